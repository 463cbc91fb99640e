#!/usr/bin/env python3
"""Small Larq and Keras networks for the tests of the Keras reader, each with an input and Keras' own output.

    python scripts/peers/keras_cases.py crates/signbit-convert/tests/data/keras

Python 3.10 with tensorflow-cpu==2.15.1, larq==0.14.0, larq-zoo==2.4.0, numpy<2. One network is

    NAME.h5, NAME.keras, NAME.weights.h5 and NAME.legacy.h5 with NAME.json    in the forms that the case says
    NAME.input.npy, NAME.output.npy                        f32, the batch first

Batch norms have gammas of both signs; inputs and weights are random, so that no sign stands on an edge.
"""

import argparse
import os
import pathlib
import zipfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import h5py
import larq as lq
import numpy as np
import tensorflow as tf
from larq_zoo.literature.xnornet import xnor_weight_scale

layers = tf.keras.layers
models = tf.keras.models
QuantConv2D = lq.layers.QuantConv2D
# Larq shares one quantizer among layers if it is given as an object, so names do.
SIGNS = dict(input_quantizer="ste_sign", kernel_quantizer="ste_sign")


def trunk():
    """Pads of 0, 1 and -1, strides on odd sizes, dilation, groups, odd channels, all quantizers of kernels."""
    x = image = layers.Input((13, 11, 3))
    x = layers.Conv2D(5, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.BatchNormalization()(x)
    x = QuantConv2D(7, 3, padding="same", pad_values=1.0, **SIGNS)(x)
    x = layers.BatchNormalization(scale=False)(x)
    x = QuantConv2D(
        8, 3, padding="same", dilation_rate=2, input_quantizer="approx_sign", kernel_quantizer="magnitude_aware_sign"
    )(x)
    x = layers.BatchNormalization(center=False)(x)
    x = QuantConv2D(6, 3, padding="same", strides=2, groups=2, pad_values=-1.0, use_bias=False, **SIGNS)(x)
    x = layers.BatchNormalization(axis=-1)(x)
    x = QuantConv2D(9, (1, 2), input_quantizer="swish_sign", kernel_quantizer=xnor_weight_scale)(x)
    x = layers.BatchNormalization()(x)
    x = layers.Flatten()(x)
    x = lq.layers.QuantDense(10, **SIGNS)(x)
    x = layers.BatchNormalization()(x)
    x = layers.Dense(4, activation="softmax")(x)
    return models.Model(image, x)


def branches():
    """Shortcut, concat, gate, shared layer, nested model, operators between layers, depthwise and separable."""
    image = layers.Input((8, 8, 3))
    x = layers.Rescaling(2.0, offset=-0.5)(image)
    x = layers.ZeroPadding2D(((1, 0), (2, 1)))(x)
    x = layers.Conv2D(6, 3)(x)
    x = layers.PReLU(shared_axes=[1, 2])(x)
    shared = layers.Conv2D(6, 1, name="shared")
    norm = layers.BatchNormalization(name="shared_norm")
    y = norm(shared(x))
    y = QuantConv2D(6, 3, padding="same", activation="hard_tanh", **SIGNS)(y)
    x = x + norm(shared(y))
    inner = tf.keras.Sequential(
        [
            layers.Conv2D(5, 1, name="a"),
            layers.BatchNormalization(name="b"),
            layers.Conv2D(6, 1, name="c", use_bias=False),
        ],
        name="inner",
    )
    x = layers.Add()([inner(x), x, inner(y)])
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(6, 1, activation="sigmoid")(gate)
    x = layers.Multiply()([gate, x])
    squeeze = layers.GlobalMaxPooling2D()(x)
    squeeze = layers.Dense(6, activation="relu")(squeeze)
    x = layers.Multiply()([x, layers.Reshape((1, 1, 6))(squeeze)])
    y = lq.layers.QuantDepthwiseConv2D(
        3, padding="same", depth_multiplier=2, input_quantizer="ste_sign", depthwise_quantizer="ste_sign", pad_values=1.0
    )(x)
    y = layers.LeakyReLU(0.1)(y * 0.25 - 0.5)
    x = layers.Concatenate()([x, tf.nn.relu6(y)])
    x = layers.Dropout(0.5)(x)
    x = layers.AveragePooling2D(3, strides=2, padding="same")(x)
    x = lq.layers.QuantSeparableConv2D(
        5, 3, input_quantizer="ste_sign", depthwise_quantizer="ste_sign", pointwise_quantizer="ste_sign", padding="same"
    )(x)
    x = layers.Subtract()([layers.Lambda(lambda t: t)(x), layers.ReLU(max_value=4.0, negative_slope=0.25)(x)])
    x = layers.MaxPooling2D(2, padding="same")(layers.BatchNormalization()(x))
    x = layers.Activation(lq.quantizers.SteSign())(x)
    x = layers.Flatten()(x)
    return models.Model(image, layers.Dense(3)(x))


def sequential():
    """A Sequential model that gives a flat input its shape."""
    return tf.keras.Sequential(
        [
            layers.Reshape((6, 6, 1), input_shape=(36,)),
            layers.Normalization(mean=[0.25], variance=[4.0]),
            QuantConv2D(5, 3, kernel_quantizer="ste_sign", use_bias=False),
            layers.MaxPool2D(2),
            layers.BatchNormalization(momentum=0.9),
            layers.GaussianNoise(0.1),
            lq.quantizers.SteSign(),
            QuantConv2D(4, 2, kernel_quantizer="ste_sign"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(3),
            layers.Softmax(),
        ]
    )


def transposed():
    """Transposed convolutions: both paddings, kernels smaller than strides, output padding, signs."""
    x = image = layers.Input((4, 3, 3))
    x = layers.Conv2DTranspose(5, (3, 2), strides=(2, 3), padding="same", activation="relu")(x)
    x = layers.BatchNormalization()(x)
    x = lq.layers.QuantConv2DTranspose(6, 3, strides=2, **SIGNS)(x)
    x = layers.BatchNormalization()(x)
    x = lq.layers.QuantConv2DTranspose(4, 2, strides=(1, 3), use_bias=False, **SIGNS)(x)
    x = layers.BatchNormalization()(x)
    x = layers.Conv2DTranspose(2, 3, strides=2, padding="same", output_padding=1)(x)
    x = layers.Conv2DTranspose(3, 3, strides=2, padding="same", output_padding=0)(x)
    x = layers.GlobalAveragePooling2D()(x)
    return models.Model(image, layers.Dense(4)(x))


CASES = {
    "transposed": (transposed, ("h5", "keras")),
    "trunk": (trunk, ("h5", "keras")),
    "branches": (branches, ("h5", "keras")),
    "sequential": (sequential, ("h5", "keras", "weights", "legacy_weights")),
}


def randomise(model, random):
    """Weights as training leaves them: no zeros, gammas of both signs, statistics of what really comes."""
    norms = []
    for layer in model._flatten_layers(include_self=False, recursive=True):
        if isinstance(layer, layers.BatchNormalization):
            norms.append((layer, layer.momentum))
            layer.momentum = 0.0
            if layer.scale:
                layer.gamma.assign(random.choice([-1.0, 1.0], layer.gamma.shape) * random.uniform(0.3, 1.5, layer.gamma.shape))
            if layer.center:
                layer.beta.assign(0.5 * random.standard_normal(layer.beta.shape))
        elif not isinstance(layer, (tf.keras.Model, layers.Normalization)):
            for variable in layer.weights:
                variable.assign(0.3 * random.standard_normal(variable.shape))
    # With a momentum of 0 one batch sets the moving statistics.
    model(random.standard_normal((64, *model.input_shape[1:])).astype(np.float32), training=True)
    for layer, momentum in norms:
        layer.momentum = momentum


def repack(path):
    """Rewrite an .h5 file with its tensors in compressed chunks of f64, as tools that repack HDF5 leave it."""
    with h5py.File(path) as source, h5py.File(f"{path}.new", "w") as target:
        target.attrs.update(source.attrs)

        def copy(name, item):
            if isinstance(item, h5py.Dataset):
                data = item[()].astype(np.float64)
                chunks = tuple(max(1, d // 2) for d in data.shape)
                target.create_dataset(name, data=data, chunks=chunks, compression="gzip", shuffle=True)
            else:
                target.require_group(name).attrs.update(item.attrs)

        source.visititems(copy)
    os.replace(f"{path}.new", path)


def compress(path):
    """Repack a .keras file, in which HDF5's unused room is most of the bytes; Keras itself only stores."""
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--grid", choices=("small", "full"), default="small", help="there is one grid; for check-peers")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, (build, forms) in CASES.items():
        tf.keras.backend.clear_session()
        random = np.random.default_rng(arguments.seed)
        tf.keras.utils.set_random_seed(arguments.seed)
        model = build()
        randomise(model, random)
        path = str(arguments.out / name)
        if "h5" in forms:
            model.save(f"{path}.h5", include_optimizer=False)
            if name == "sequential":
                repack(f"{path}.h5")
        if "keras" in forms:
            model.save(f"{path}.keras")
            if name != "sequential":
                compress(f"{path}.keras")
        if "weights" in forms:
            model.save_weights(f"{path}.weights.h5")
            pathlib.Path(f"{path}.json").write_text(model.to_json())
        if "legacy_weights" in forms:
            model.save_weights(f"{path}.legacy.h5")
        input = random.standard_normal((2, *model.input_shape[1:])).astype(np.float32)
        np.save(f"{path}.input.npy", input)
        np.save(f"{path}.output.npy", model.predict(input, verbose=0).astype(np.float32))


if __name__ == "__main__":
    main()
