"""Networks whose `.tflite` computes on constants, as LCE leaves it for kernels too large for its converter to fold.

    lce_constants.py OUT [TEXT]      writes OUT/folded_*/{model.tflite, input.npy, output.npy}

To have small ones, the kernel is converted as a second input, which then becomes a constant of the file. OUT may be
crates/signbit-convert/tests/data/tflite, where these are kept. TEXT: only networks whose name holds it.
"""

import pathlib
import sys

import lce_tools  # first: it quiets TensorFlow

import larq as lq
import numpy as np
import tensorflow as tf

import common
import lce_intermediates

L = tf.keras.layers
NETS = {}


def net(shape, *constants):
    """Shapes of the input per sample, and of the constants."""

    def register(build):
        NETS[f"folded_{build.__name__}"] = (shape, constants, build)
        return build

    return register


def function(call, *operands):
    return L.Lambda(lambda tensors: call(*tensors))(operands)


def sign(x):
    return lq.quantizers.SteSign()(x)


@net((5, 4, 8), (3, 3, 8, 12))
def kernel(x, kernel):
    # XNORNet of larq-zoo: +-alpha per channel, alpha the mean of the clipped kernel's magnitudes.
    kernel = function(lambda k: tf.clip_by_value(k, -1.0, 1.0), kernel)
    alpha = function(lambda k: tf.reduce_mean(tf.abs(k), axis=[0, 1, 2], keepdims=True), kernel)
    kernel = function(tf.multiply, alpha, sign(kernel))
    x = function(lambda x, k: tf.nn.conv2d(x, k, 1, "VALID"), sign(x), kernel)
    return L.ReLU()(function(lambda x: x * 0.5 + 0.25, x))


@net((3, 4, 6), (2, 6), (6,))
def arithmetic(x, table, divisor):
    table = function(lambda t, d: tf.nn.relu(t - d) / (tf.abs(d) + 1.0), table, divisor)
    factor = function(lambda t: tf.reduce_mean(tf.nn.relu6(-t + 0.5), axis=0), table)
    weights = function(lambda t: tf.transpose(tf.reshape(t, (3, 4))) * -2.0, table)
    pixels = function(lambda x, f: x * f + f, x, factor)
    part = function(lambda p: tf.reduce_mean(p, axis=[1, 2])[:, 1:4], pixels)
    return function(lambda p, w: tf.matmul(p, w, transpose_b=True), part, weights)


def with_constants(data, values):
    """The file with all inputs but the first as constants of these values, found by their shapes."""
    model = lce_intermediates.parse(data)
    graph = model.subgraphs[0]
    shapes = {tuple(value.shape): value for value in values}
    kept = [index for index in graph.inputs if tuple(graph.tensors[index].shape) not in shapes]
    for index in set(graph.inputs) - set(kept):
        tensor = graph.tensors[index]
        buffer = lce_intermediates.schema.BufferT()
        buffer.data = np.frombuffer(shapes[tuple(tensor.shape)].tobytes(), np.uint8)
        model.buffers.append(buffer)
        tensor.buffer = len(model.buffers) - 1
    if len(kept) != 1:
        raise ValueError(f"{len(kept)} inputs are left")
    graph.inputs = kept
    model.signatureDefs = []
    return lce_intermediates.pack(model)


def main():
    out, text = pathlib.Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""
    for name, (shape, constants, build) in NETS.items():
        if text not in name:
            continue
        random = common.rng(0, name)
        tf.keras.backend.clear_session()
        inputs = [L.Input(shape, batch_size=1), *(L.Input(c[1:], batch_size=c[0]) for c in constants)]
        data = lce_tools.convert(tf.keras.Model(inputs, build(*inputs)))
        data = with_constants(data, [common.normal(random, c, 0.6) for c in constants])
        x = common.normal(random, (2, *shape))
        path = common.folder(out, name)
        (path / "model.tflite").write_bytes(data)
        np.save(path / "input.npy", x)
        np.save(path / "output.npy", lce_intermediates.predict(data, x))
        operators = [op["op"] for op in lce_intermediates.operators(data)]
        print(f"{name:24} {len(data)} bytes  {' '.join(operators)}", flush=True)


if __name__ == "__main__":
    main()
