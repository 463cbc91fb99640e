"""TFLite's own operators, one small network for each group of them, converted and run by TFLite without LCE.

    tflite_builtins.py OUT [TEXT]      writes OUT/builtin_*/{model.tflite, input.npy, output.npy}

Larq's converter does not give all of what is found around binary layers: a dynamic batch, a
batch of 4, float16 weights. OUT may be crates/signbit-convert/tests/data/tflite, where these are kept. TEXT: only networks whose name holds it.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pathlib
import sys

import numpy as np
import tensorflow as tf

import common

L = tf.keras.layers
NETS = {}


def net(shape, batch=None, samples=2, weights=None):
    """`weights`: the type that the file holds them in, where it is not f32."""

    def register(build):
        NETS[f"builtin_{build.__name__}"] = (shape, batch, samples, weights, build)
        return build

    return register


def function(call):
    return L.Lambda(call)


@net((6, 5, 3))
def dynamic_batch(x):
    # Flatten and Reshape compute their shape from the batch in the graph itself.
    x = L.Conv2D(4, 3, activation="relu")(x)
    x = L.Dense(12)(L.Flatten()(x))
    return L.Dense(3)(L.GlobalAvgPool2D(keepdims=False)(L.Reshape((1, 1, 12))(x)))


@net((5, 5, 4), batch=4, samples=4)
def batch_of_4(x):
    return L.Dense(3)(L.Flatten()(L.MaxPool2D(3, strides=2, padding="same")(x)))


@net((4, 6))
def picture_without_channels(x):
    return L.GlobalMaxPool2D()(L.Conv2D(5, 3, padding="same")(L.Reshape((4, 6, 1))(x)))


@net((7, 6, 4))
def arithmetic(x):
    y = function(lambda t: (1.5 - t) / np.float32([2.0, -4.0, 3.0, 0.5]))(x)
    y = function(lambda t: tf.nn.relu(t - 0.25) - tf.nn.relu6(t * 3.0))(y)
    y = function(lambda t: t * tf.sigmoid(t) - tf.clip_by_value(t, -1.0, 1.0))(y)
    return L.LeakyReLU(0.125)(y)


@net((6, 7, 3), batch=1, samples=1)
def paddings(x):
    x = function(lambda t: tf.pad(t, [[0, 0], [1, 2], [0, 3], [0, 0]], constant_values=-1.0))(x)
    x = L.Conv2D(4, 3, dilation_rate=2)(L.ZeroPadding2D(((2, 0), (1, 1)))(x))
    return L.AvgPool2D((3, 2), strides=(2, 1), padding="same")(x)


@net((4, 3, 5))
def transposed(x):
    x = L.Conv2DTranspose(6, (3, 2), strides=(2, 1), padding="same", activation="relu")(x)
    x = L.Conv2DTranspose(3, 2, strides=3, use_bias=False)(x)
    return L.Conv2DTranspose(4, (1, 4), strides=(2, 1))(x)


@net((4, 4, 10))
def parts_of_channels(x):
    a, b = function(lambda t: tf.split(t, 2, axis=-1))(x)
    c, d, e = function(lambda t: tf.split(t, [1, 3, 1], axis=3))(a)
    f = function(lambda t: t[..., 1:4])(b)
    g = function(lambda t: tf.slice(t, [0, 0, 0, 2], [-1, 4, 4, 3]))(b)
    # MeliusNet adds to the last channels only.
    sums = L.add([x, function(lambda t: tf.pad(t, [[0, 0], [0, 0], [0, 0], [7, 0]]))(d)])
    return L.concatenate([L.add([d, f]), c, g, e, sums])


@net((5, 4, 6))
def reductions(x):
    a = function(lambda t: tf.reduce_max(t, axis=[1, 2], keepdims=True))(x)
    b = function(lambda t: tf.reduce_mean(t, axis=[-3, -2], keepdims=True))(x)
    gated = L.multiply([x, L.Conv2D(6, 1, activation="sigmoid")(L.add([a, b]))])
    return L.Softmax()(function(lambda t: tf.squeeze(t, [1, 2]))(L.AvgPool2D((5, 4))(gated)))


@net((6, 6, 4), batch=1, samples=1, weights=tf.float16)
def half_precision(x):
    return L.Dense(3)(L.Flatten()(L.DepthwiseConv2D(3, depth_multiplier=2, activation="relu")(x)))


@net((6, 6, 4), batch=1, samples=1)
def mirrored(x):
    return function(lambda t: tf.pad(t, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="REFLECT"))(x)


def convert(model, weights):
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if weights is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [weights]
    return converter.convert()


def run(data, inputs):
    lite = tf.lite.Interpreter(model_content=data, num_threads=1)
    source, result = (details[0]["index"] for details in (lite.get_input_details(), lite.get_output_details()))
    lite.resize_tensor_input(source, inputs.shape)
    lite.allocate_tensors()
    lite.set_tensor(source, inputs)
    lite.invoke()
    return lite.get_tensor(result)


def main():
    out, text = pathlib.Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""
    for name, (shape, batch, samples, weights, build) in NETS.items():
        if text not in name:
            continue
        random = common.rng(0, name)
        tf.keras.backend.clear_session()
        inputs = L.Input(shape, batch_size=batch)
        model = tf.keras.Model(inputs, build(inputs))
        model.set_weights([common.normal(random, weight.shape, 0.4) for weight in model.get_weights()])
        data = convert(model, weights)
        x = common.normal(random, (samples, *shape))
        path = common.folder(out, name)
        (path / "model.tflite").write_bytes(data)
        np.save(path / "input.npy", x)
        np.save(path / "output.npy", run(data, x))
        print(f"{name:32} {len(data)} bytes", flush=True)


if __name__ == "__main__":
    main()
