"""Every tensor on the way of an LCE `.tflite`, computed by LCE itself.

    lce_intermediates.py MODEL.tflite INPUT.npy OUT_DIR      writes OUT_DIR/t{tensor index}.npy and OUT_DIR/ops.json

The file is edited so that every operator's result is an output of the graph, and LCE runs that. Packed tensors come out
as the int32 words that LCE holds. Its kernels must agree among each other, else this fails.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import pathlib
import sys
import tempfile

import flatbuffers
import numpy as np
from flatbuffers import flexbuffers
from larq_compute_engine.tflite.python.interpreter import Interpreter
from tensorflow.lite.python import schema_py_generated as schema

from common import write_json

BUILTIN_NAMES = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
TYPE_NAMES = {value: name for name, value in vars(schema.TensorType).items() if isinstance(value, int)}


def parse(data):
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytearray(data), 0))


def pack(model):
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def computed(graph):
    """Indices of the tensors that operators write, in the order in which they do."""
    seen = {}
    for operator in graph.operators or []:
        for index in operator.outputs:
            seen.setdefault(int(index))
    return list(seen)


def operator_name(model, operator):
    code = model.operatorCodes[operator.opcodeIndex]
    builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
    if builtin == schema.BuiltinOperator.CUSTOM:
        return code.customCode.decode()
    return BUILTIN_NAMES[builtin]


def operators(data):
    """The operator list: [{"op", "options", "inputs", "outputs"}], a tensor as {"index", "type", "shape"}."""
    model = parse(data)
    graph = model.subgraphs[0]
    made = set(computed(graph)) | {int(index) for index in graph.inputs}

    def tensor(index):
        if index < 0:
            return None
        it = graph.tensors[index]
        found = {"index": int(index), "type": TYPE_NAMES[it.type], "shape": [int(n) for n in np.atleast_1d(it.shape)]}
        quantization = it.quantization
        if quantization is not None and quantization.scale is not None and len(quantization.scale) > 0:
            found["scale"] = [float(s) for s in quantization.scale][:4]
            found["zero_point"] = [int(z) for z in quantization.zeroPoint][:4]
        if index not in made:
            found["constant"] = True
        return found

    found = []
    for operator in graph.operators or []:
        options = {}
        if operator.customOptions is not None and len(operator.customOptions) > 0:
            options = flexbuffers.Loads(bytearray(np.asarray(operator.customOptions, np.uint8).tobytes()))
        elif operator.builtinOptions is not None:
            options = {
                key: value
                for key, value in vars(operator.builtinOptions).items()
                if isinstance(value, (int, float, bool))
            }
        found.append({
            "op": operator_name(model, operator),
            "options": options,
            "inputs": [tensor(index) for index in operator.inputs],
            "outputs": [tensor(index) for index in operator.outputs],
        })
    return found


# LCE has three kernels for its convolution, and none takes every one: the reference kernel refuses zero padding of an odd
# number of channels, the others refuse groups, or bits or an activation behind zero padding.
KERNELS = {
    "reference": {"use_reference_bconv": True},
    "optimised": {},
    "indirect": {"use_indirect_bgemm": True},
}


class CannotRun(Exception):
    """LCE's converter wrote the file, but LCE's own kernels refuse it."""


class Disagree(Exception):
    """LCE's kernels compute different things."""


def interpreter(data, kernel):
    """LCE's interpreter, or CannotRun with what the kernel says."""
    with tempfile.TemporaryFile() as told:
        # The reason is printed by C++, past Python's own stderr.
        sys.stderr.flush()
        stderr = os.dup(2)
        os.dup2(told.fileno(), 2)
        try:
            return Interpreter(data, num_threads=1, use_xnnpack=False, **KERNELS[kernel])
        except RuntimeError as error:
            told.seek(0)
            lines = [line for line in told.read().decode(errors="replace").splitlines() if line.startswith("ERROR")]
            raise CannotRun(lines[0].split(" ", 2)[-1] if lines else str(error)) from error
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def interpreters(data):
    """LCE's interpreter with each kernel that takes the model: {kernel: interpreter}; CannotRun where none does."""
    found, reasons = {}, []
    for kernel in KERNELS:
        try:
            found[kernel] = interpreter(data, kernel)
        except CannotRun as error:
            reasons.append(str(error))
    if not found:
        raise CannotRun(reasons[0])
    return found


def predict(data, inputs):
    """The first output, samples joined. A model of a larger batch takes that many samples at once."""
    return _run(next(iter(interpreters(data).values())), inputs)[0]


def predict_real(data, inputs):
    """`predict`, an int8 output as real numbers."""
    output = predict(data, inputs)
    if output.dtype != np.int8:
        return output
    scale, zero = scale_and_zero(data)
    return (output.astype(np.float32) - zero) * np.float32(scale)


def scale_and_zero(data):
    """Of an int8 output."""
    lce = next(iter(interpreters(data).values()))
    return float(lce.output_scales[0]), int(lce.output_zero_points[0])


def batch(data):
    """Samples that the file takes at once."""
    model = parse(data)
    graph = model.subgraphs[0]
    return int(graph.tensors[graph.inputs[0]].shape[0])


def _run(lce, inputs):
    batch = lce.input_shapes[0][0]
    if len(inputs) % batch:
        raise ValueError(f"{len(inputs)} samples are no multiple of the model's batch of {batch}")
    inner = lce.interpreter
    kind = lce.input_types[0]
    runs = []
    for start in range(0, len(inputs), batch):
        chunk = np.ascontiguousarray(inputs[start : start + batch])
        if kind == np.int8 and chunk.dtype != np.int8:
            scale, zero = lce.input_scales[0], lce.input_zero_points[0]
            chunk = np.clip(np.round(chunk / scale) + zero, -128, 127).astype(np.int8)
        runs.append([np.array(result) for result in inner.predict([chunk])])
    return [np.concatenate([np.atleast_1d(x) for x in results]) for results in zip(*runs)]


def intermediates(data, inputs):
    """{"t{index}": array} of every computed tensor, the same by each of LCE's kernels that takes the model."""
    model = parse(data)
    graph = model.subgraphs[0]
    wanted = computed(graph)
    graph.outputs = wanted
    model.signatureDefs = []
    edited = pack(model)
    runs = {kernel: _run(lce, inputs) for kernel, lce in interpreters(edited).items()}
    first, found = next(iter(runs.items()))
    for kernel, other in runs.items():
        for index, a, b in zip(wanted, found, other):
            if not _same(a, b):
                raise Disagree(f"tensor {index}: LCE's {first} and its {kernel} kernel disagree")
    return {f"t{index}": array for index, array in zip(wanted, found)}


def _same(a, b):
    """Packed words and integers exactly, f32 up to the order of sums."""
    if a.dtype == np.float32:
        return np.allclose(a, b, rtol=1e-4, atol=1e-4, equal_nan=True)
    return np.array_equal(a, b)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=pathlib.Path, metavar="MODEL.tflite")
    parser.add_argument("input", type=pathlib.Path, metavar="INPUT.npy")
    parser.add_argument("out", type=pathlib.Path, metavar="OUT_DIR")
    options = parser.parse_args()
    data = options.model.read_bytes()
    options.out.mkdir(parents=True, exist_ok=True)
    found = intermediates(data, np.load(options.input))
    for name, array in found.items():
        np.save(options.out / f"{name}.npy", array)
    write_json(options.out / "ops.json", operators(data))
    print(f"{options.model}: {len(found)} tensors")


if __name__ == "__main__":
    main()
