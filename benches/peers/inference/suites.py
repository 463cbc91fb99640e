"""What is compared: the cases of each suite, and who runs them.

A contender is (label, peer, variant, against): `against` names the signbit variants that it is set beside.
"""

import json
import struct
import subprocess
from pathlib import Path

import numpy as np

from process import Failed

NETWORKS = ["QuickNetSmall", "QuickNet", "QuickNetLarge", "BiRealNet", "BinaryResNetE18", "RealToBinaryNet",
            "BinaryDenseNet28", "MeliusNet22", "BinaryAlexNet"]
CHAIN_BATCHES = (1, 256)
OWN_LAYER = [("signbit, f32 to f32", "signbit", "f32", ()), ("signbit, packed to packed", "signbit", "packed", ())]
OWN = [("signbit", "signbit", "f32", ())]
# Sums of the stem are rounded elsewhere: set beside the default, it is a contender too.
OWN_NETWORK = OWN + [("signbit, winograd", "signbit", "winograd", ("f32",))]
LAYER_PEERS = [
    ("ONNX Runtime f32", "onnxruntime", "f32", ("f32", "packed")),
    ("ONNX Runtime int8", "onnxruntime", "int8", ("packed",)),
    ("LiteRT f32", "litert", "f32", ("f32", "packed")),
    ("LiteRT int8", "litert", "int8", ("packed",)),
    ("PyTorch f32", "pytorch", "f32", ("f32", "packed")),
    ("OpenVINO f32", "openvino", "f32", ("f32", "packed")),
    ("tract f32", "tract", "f32", ("f32", "packed")),
]
CONV_PEERS = [
    ("OpenVINO BinaryConvolution, f32 to f32", "openvino", "binary", ("f32",)),
    ("OpenVINO BinaryConvolution, operator alone", "openvino", "operator", ("packed",)),
]
DENSE_PEERS = [
    ("bnn-lab, f32 to f32", "bnn_lab", "f32", ("f32",)),
    ("bnn-lab, packed to f32", "bnn_lab", "packed", ("packed",)),
]
NETWORK_PEERS = [
    ("LCE, default", "lce", "default", ("f32", "winograd")),
    ("LCE, indirect", "lce", "indirect", ("f32", "winograd")),
    ("LCE, indirect + XNNPACK", "lce", "indirect+xnnpack", ("f32", "winograd")),
]
# ResNet-18 in real numbers, beside the binary network of its size. Its answers are others.
RESNET_PEERS = [
    ("ResNet-18 f32 in ONNX Runtime", "onnxruntime", "f32", ("f32", "winograd")),
    ("ResNet-18 int8 in ONNX Runtime", "onnxruntime", "int8", ("f32", "winograd")),
    ("ResNet-18 f32 in tract", "tract", "f32", ("f32", "winograd")),
]
CHAIN_PEERS = [
    ("f32 twin in ONNX Runtime", "onnxruntime", "f32", ("f32",)),
    ("f32 twin in tract", "tract", "f32", ("f32",)),
]


def write(path, values):
    path.write_bytes(np.ascontiguousarray(values, "<f4").tobytes())
    return str(path)


def layers(work, only):
    """3x3 convolutions as in a ResNet, and dense layers, of ±1 inputs and weights."""
    convs = [(f"conv3x3-{s}x{s}x{c}", "conv", (1, s, s, c), 3) for s, c in ((56, 64), (28, 128), (14, 256), (7, 512))]
    dense = [(f"dense-{c}x{c}-batch{n}", "dense", (n, 1, 1, c), 1) for c in (1024, 4096) for n in (1, 64)]
    for name, kind, (n, h, w, c), kernel in convs + dense:
        if not wanted(name, only):
            continue
        random = np.random.default_rng(sum(name.encode()))
        signs = lambda *shape: random.choice(np.array([-1, 1], np.float32), shape)  # noqa: E731
        yield {"suite": "layers", "name": name, "kind": kind, "n": n, "h": h, "w": w, "c_in": c, "c_out": c,
               "kernel": kernel, "work": str(work), "input": write(work / f"{name}.input", signs(n, h, w, c)),
               "weight": write(work / f"{name}.weight", signs(c, kernel, kernel, c)),
               "shape": [n, h, w, c], "macs": n * h * w * kernel**2 * c * c}


def networks(work, only, zoo, signbit):
    for name in NETWORKS:
        if not wanted(name, only):
            continue
        tflite = zoo / name / "model.tflite"
        case = {"suite": "networks", "name": name, "kind": "network", "work": str(work), "tflite": str(tflite),
                "signbit": str(work / f"{name}.signbit"), "shape": [1, 224, 224, 3]}
        if not tflite.exists():
            yield {**case, "missing": f"no {name}/model.tflite in the folder of --zoo"}
            continue
        call(signbit, "convert", tflite, "-o", case["signbit"])
        picture = np.load(zoo / name / "input.npy")[:1]
        yield {**case, "shape": list(picture.shape), "bytes": tflite.stat().st_size,
               "input": write(work / f"{name}.input", picture)}


def chain(work, only, files, signbit, own):
    """Models of signbit's, and their f32 twins as ONNX."""
    for file in files:
        # models/NAME/model.signbit is called after its folder.
        stem = file.resolve().parent.name if file.stem == "model" else file.stem
        twin, onnx = work / f"{stem}-twin.signbit", work / f"{stem}-twin.onnx"
        own.twin(file, twin)
        call(signbit, "convert", twin, "-o", onnx)
        shape = input_shape(file)
        for n in CHAIN_BATCHES:
            name = f"{stem}-batch{n}"
            if not wanted(name, only):
                continue
            values = np.random.default_rng(1).uniform(-1, 1, (n, *shape)).astype(np.float32)
            yield {"suite": "chain", "name": name, "kind": "chain", "signbit": str(file), "twin": str(onnx),
                   "shape": list(values.shape), "input": write(work / f"{name}.input", values), "work": str(work)}


def input_shape(path):
    """Of a model file, which is a safetensors file with the graph in its metadata: [H, W, C], or [C] of a vector."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        metadata = json.loads(file.read(length))["__metadata__"]
    shape = json.loads(metadata["signbit_model"])["graph"]["input"]["shape"]
    h, w, c = (shape[k] for k in "hwc")
    return [c] if (h, w) == (1, 1) else [h, w, c]


def call(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"{Path(command[0]).name} {command[1]}: {done.stderr.strip().splitlines()[-1:]}")


def wanted(name, only):
    return not only or any(part.lower() in name.lower() for part in only)


def contenders(case):
    if case["suite"] == "networks":
        return OWN_NETWORK + NETWORK_PEERS + (RESNET_PEERS if case["name"] == "BinaryResNetE18" else [])
    if case["suite"] == "chain":
        return OWN + CHAIN_PEERS
    return OWN_LAYER + LAYER_PEERS + (CONV_PEERS if case["kind"] == "conv" else DENSE_PEERS)
