#!/usr/bin/env python3
"""Training of a binary network in Larq on TensorFlow, as a process that steps on demand (train_serve.py).

The networks and the step are those of train_pytorch.py: `ste_sign` on weights and activations, `weight_clip` on the
latent weights, batch normalisation before each sign.

A mode is words joined by "+":

    function     the whole step is one tf.function
    jit          the same, with jit_compile=True: XLA compiles it
    legacy-adam  with one of these: tf.keras.optimizers.legacy.Adam, whose update is one operator of TensorFlow's
"""

import larq as lq
import tensorflow as tf
from tensorflow import keras

from train_serve import arguments, serve

WORDS = {"function", "jit", "legacy-adam"}
LATENT = {"kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip", "use_bias": False}
BINARY = {"input_quantizer": "ste_sign", **LATENT}


def dense(units, **how):
    return [lq.layers.QuantDense(units, **how), keras.layers.BatchNormalization()]


def conv(channels, pool, first=False):
    same = {"padding": "same", "use_bias": False}
    if first:
        layers = [keras.layers.Conv2D(channels, 3, **same)]
    else:
        layers = [lq.layers.QuantConv2D(channels, 3, **{**same, **BINARY})]
    return [*layers, *([keras.layers.MaxPool2D()] if pool else []), keras.layers.BatchNormalization()]


def last():
    return [lq.quantizers.SteSign(), keras.layers.Dense(10)]


def mlp():
    return [*dense(1024, **LATENT), *dense(1024, **BINARY), *dense(1024, **BINARY), *last()]


def small_cnn():
    return [*conv(64, False, first=True), *conv(64, True), *conv(128, False), *conv(128, True), keras.layers.Flatten(),
            *dense(512, **BINARY), *last()]


def binarynet():
    return [*conv(128, False, first=True), *conv(128, True), *conv(256, False), *conv(256, True), *conv(512, False),
            *conv(512, True), keras.layers.Flatten(), *dense(1024, **BINARY), *dense(1024, **BINARY), *last()]


NETS = {"mlp": (mlp, (784,)), "small-cnn": (small_cnn, (28, 28, 1)), "binarynet": (binarynet, (28, 28, 1))}


def build(args):
    """A function that does one training step, and one that gives the latent weights."""
    keras.utils.set_random_seed(1)
    make, shape = NETS[args.net]
    model = keras.Sequential([keras.Input(shape), *make()])
    adam = keras.optimizers.legacy.Adam if "legacy-adam" in args.words else keras.optimizers.Adam
    optimizer = adam(1e-3)
    images = tf.random.uniform((args.batch, *shape))
    labels = tf.random.uniform((args.batch,), maxval=10, dtype=tf.int32)

    @tf.function(jit_compile="jit" in args.words)
    def step(images, labels):
        with tf.GradientTape() as tape:
            logits = model(images, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        weights = model.trainable_variables
        # Clips the latent weights as well: it applies the constraints.
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
        return loss

    def latent():
        return [layer.kernel.numpy() for layer in model.layers if getattr(layer, "kernel_quantizer", None)]

    return lambda: step(images, labels), latent


def main():
    args = arguments(__doc__, NETS, WORDS)
    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    serve(lambda: build(args), tensorflow=tf.__version__, larq=lq.__version__)


if __name__ == "__main__":
    main()
