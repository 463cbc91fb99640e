"""Layer by layer: every tensor of a `.tflite` as LCE computes it, against signbit.

    lce_layers.py SIGNBIT MODEL.tflite INPUT.npy [--every N] [--worst]

For each operator the file is cut behind it (packed bits through an LceDequantize), converted and run by the command
SIGNBIT, and compared. A line per operator; the first that differs is where to look. Only the first sample is run.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import lce_intermediates
import numpy as np
from compare import relative
from tensorflow.lite.python import schema_py_generated as schema


def channels(model, graph, index):
    """Bits per position of a packed tensor."""
    for operator in graph.operators:
        if index not in operator.outputs:
            continue
        name = lce_intermediates.operator_name(model, operator)
        if name == "LceQuantize":
            return int(graph.tensors[operator.inputs[0]].shape[-1])
        if name == "LceBconv2d":
            return int(graph.tensors[operator.inputs[1]].shape[0])
        return channels(model, graph, operator.inputs[0])
    raise ValueError(f"no operator makes tensor {index}")


def cut(data, index):
    """The file with the tensor `index` as its output, and nothing that this does not need."""
    model = lce_intermediates.parse(data)
    graph = model.subgraphs[0]
    if graph.tensors[index].type == schema.TensorType.INT32:
        index = dequantize(model, graph, index)
    needed, kept = {index}, []
    for operator in reversed(graph.operators):
        if needed & {int(i) for i in operator.outputs}:
            kept.insert(0, operator)
            needed |= {int(i) for i in operator.inputs}
    graph.operators = kept
    graph.outputs = [index]
    model.signatureDefs = []
    buffers = {graph.tensors[i].buffer for i in needed if i >= 0}
    for number, buffer in enumerate(model.buffers):
        if number not in buffers:
            buffer.data = None
    return lce_intermediates.pack(model)


def dequantize(model, graph, index):
    code = schema.OperatorCodeT()
    code.builtinCode = schema.BuiltinOperator.CUSTOM
    code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = "LceDequantize"
    code.version = 1
    model.operatorCodes.append(code)
    buffer = schema.BufferT()
    model.buffers.append(buffer)
    tensor = schema.TensorT()
    tensor.type = schema.TensorType.FLOAT32
    tensor.name = f"bits_of_{index}"
    tensor.buffer = len(model.buffers) - 1
    tensor.shape = [*graph.tensors[index].shape[:-1], channels(model, graph, index)]
    graph.tensors.append(tensor)
    operator = schema.OperatorT()
    operator.opcodeIndex = len(model.operatorCodes) - 1
    operator.inputs = [index]
    operator.outputs = [len(graph.tensors) - 1]
    graph.operators.append(operator)
    return len(graph.tensors) - 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("signbit")
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("input", type=pathlib.Path)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every N-th operator, and the last")
    options = parser.parse_args()
    data = options.model.read_bytes()
    made = [(op["op"], op["outputs"][0]) for op in lce_intermediates.operators(data)]
    inputs = np.load(options.input)[: lce_intermediates.batch(data)]
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        np.save(folder / "input.npy", inputs)
        for number, (name, tensor) in enumerate(made):
            if number % options.every and number != len(made) - 1:
                continue
            piece = cut(data, tensor["index"])
            (folder / "cut.tflite").write_bytes(piece)
            told = f"{number:4} t{tensor['index']:<4} {name:18} {str(tensor['shape']):20}"
            failure = run(options.signbit, folder)
            if failure:
                print(f"{told} {failure}")
                continue
            ours, theirs = np.load(folder / "output.npy"), lce_intermediates.predict_real(piece, inputs)
            if ours.size != theirs.size:
                print(f"{told} shape {ours.shape} instead of {theirs.shape}")
                bad += 1
                continue
            apart = relative(ours.reshape(theirs.shape), theirs)
            differ = float(np.mean(apart > 1e-4))
            bad += differ > 0
            print(f"{told} median {np.median(apart):.1e}  largest {apart.max():.1e}  apart {differ:.3%}", flush=True)
    return bool(bad)


def run(signbit, folder):
    steps = (
        ["convert", "cut.tflite", "-o", "cut.signbit"],
        ["run", "cut.signbit", "--input", "input.npy", "--output", "output.npy"],
    )
    for step in steps:
        done = subprocess.run([signbit, *step], cwd=folder, capture_output=True, text=True)
        if done.returncode:
            return (done.stderr.strip().splitlines() or ["failed without a reason"])[-1]
    return None


if __name__ == "__main__":
    sys.exit(main())
