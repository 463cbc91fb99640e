"""Random weights for a larq network, and the folder of one LCE case."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import contextlib
import io
import random as python_random
import warnings

import larq_compute_engine as lce
import numpy as np
import tensorflow as tf

import common
import lce_intermediates

tf.get_logger().setLevel("ERROR")

PEER = "larq-compute-engine 0.16.0"
BATCH_NORM = tf.keras.layers.BatchNormalization
# An epsilon and a variance that add up to exactly 1.
EXACT_EPSILON = 2.0**-10


class Refused(Exception):
    """LCE's converter does not take the network."""


def seed(number):
    python_random.seed(number)
    np.random.seed(number % 2**32)
    tf.random.set_seed(number)


def randomise(model, random, samples, exact=False):
    """Random weights, and a batch normalisation as after training: gammas of both signs, one of zero, statistics near
    the true ones of `samples`, so that values neither grow nor vanish from layer to layer."""
    norms = [layer for layer in flat_layers(model) if isinstance(layer, BATCH_NORM)]
    for layer in flat_layers(model):
        if isinstance(layer, BATCH_NORM) or not layer.weights or not layer.trainable:
            continue
        layer.set_weights([weight_like(random, weight) for weight in layer.weights])
    for layer in norms:
        channels = layer.moving_mean.shape[0]
        gamma, beta, _, _ = common.batch_norm(random, channels, exact=exact)
        if layer.scale:
            layer.gamma.assign(gamma)
        if layer.center:
            layer.beta.assign(beta)
        if exact:
            layer.epsilon = EXACT_EPSILON
    if not norms:
        return
    # One pass in training mode with no momentum leaves each layer's own statistics behind.
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    model(samples, training=True)
    for layer, momentum in zip(norms, momenta):
        layer.momentum = momentum
        mean, variance = layer.moving_mean.numpy(), layer.moving_variance.numpy()
        if exact:
            layer.moving_mean.assign(np.round(mean))
            layer.moving_variance.assign(np.full_like(variance, 1.0 - EXACT_EPSILON))
            continue
        variance = np.maximum(variance, 1e-2 * max(float(variance.mean()), 1e-3))
        mean = mean + 0.1 * np.sqrt(variance) * random.standard_normal(mean.shape)
        layer.moving_mean.assign(mean.astype(np.float32))
        layer.moving_variance.assign((variance * random.uniform(0.8, 1.25, mean.shape)).astype(np.float32))


def flat_layers(model):
    for layer in model.layers:
        if isinstance(layer, tf.keras.Model):
            yield from flat_layers(layer)
        else:
            yield layer


def weight_like(random, weight):
    name, shape = weight.name, tuple(weight.shape)
    if "alpha" in name:
        return random.uniform(-0.5, 0.5, shape).astype(np.float32)
    if "bias" in name:
        return common.normal(random, shape, 0.3)
    fan_in = max(1, int(np.prod(shape[:-1])))
    return np.clip(common.normal(random, shape, 1.5 / np.sqrt(fan_in)), -1, 1)


def convert(model, **options):
    """The `.tflite`, or Refused with the converter's own reason."""
    try:
        with quiet(), contextlib.redirect_stderr(io.StringIO()):
            return lce.convert_keras_model(model, **options)
    except Exception as error:
        raise Refused(str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__) from error


def write(out, name, model, inputs, note="", convert_options=None, keep_intermediates=True, keras=True, **more):
    """Convert, run and save one case."""
    data = convert(model, **(convert_options or {}))
    path = common.folder(out, name)
    (path / "model.tflite").write_bytes(data)
    if keras:
        with quiet():
            model.save(path / "keras.h5", include_optimizer=False)
    ops = lce_intermediates.operators(data)
    common.write_json(path / "ops.json", ops)
    with quiet():
        truth = model.predict(inputs, verbose=0)
    found = None
    try:
        output = lce_intermediates.predict(data, inputs)
        if output.dtype == np.int8:
            more["int8"] = lce_intermediates.scale_and_zero(data)
        apart = np.abs(lce_intermediates.predict_real(data, inputs) - truth)
        more["keras_difference"] = float(apart.max())
        # What the peer's own two ways differ by: signs of values next to zero.
        more["keras_median"] = float(np.median(apart) / (np.sqrt(np.mean(np.square(truth))) or 1.0))
        if keep_intermediates:
            found = lce_intermediates.intermediates(data, inputs)
    except lce_intermediates.CannotRun as error:
        # The file is still to be read rightly: Keras says what it computes.
        output = truth
        more["oracle"] = "keras"
        more["lce_cannot_run"] = str(error)
    return common.save(path, PEER, inputs, output, found, note=note, operators=[op["op"] for op in ops], **more)


@contextlib.contextmanager
def quiet():
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
