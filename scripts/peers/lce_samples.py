"""The few small LCE cases that are committed with signbit-convert's tests.

    lce_samples.py CASES TESTS_DATA      CASES: what lce_cases.py wrote; TESTS_DATA: crates/signbit-convert/tests/data/tflite

Of the tensors on the way only packed ones and short ones are kept.
"""

import json
import pathlib
import shutil
import sys

import numpy as np

import common

LARGEST = 3000
SAMPLES = {
    "conv_003": "3 channels, zero padding, bits on",
    "conv_008": "zero padding of an odd number of channels, relu6 behind it, batch norm",
    "net_packed_valid_ties": "thresholds with ties at exactly zero, gammas of both signs and zero",
    "net_packed_one": "thresholds behind padding with ones, 7 and 70 channels",
    "net_packed_relu": "thresholds behind a fused ReLU",
    "net_packed_strided_dilated": "stride 2, dilation 2",
    "net_packed_groups": "2 and 4 groups",
    "net_packed_two_uses": "bits with two readers, global average, concat",
    "net_binary_max_pool": "max pool of bits, windows 2x2 and 3x2",
    "net_flatten_dense": "bits over a flattened picture",
    "net_mlp_ties": "LceDequantize before dense layers",
    "net_concat": "densely connected",
    "net_blur_pool": "max pool, then a fixed depthwise convolution",
    "net_gate": "a sigmoid gate that is [1, C] beside a picture",
    "net_sliced": "channel slices",
    "net_real_depthwise": "depthwise with a multiplier of 2",
    "net_average_pool_same": "average pool that does not count its padding",
    "net_real_conv_options": "real convolutions: dilation, groups, relu6, PReLU",
    "net_quant_depthwise": "depthwise of bits",
    "net_batch_3": "a batch of 3 in the file, 2 runs of it",
    "net_int8_packed_valid": "int8 around binary layers",
}


def main():
    cases, out = map(pathlib.Path, sys.argv[1:3])
    kept = []
    for name, what in SAMPLES.items():
        source = cases / name
        path = common.folder(out, name)
        for file in ("model.tflite", "input.npy", "output.npy"):
            shutil.copy(source / file, path / file)
        case = json.loads((source / "case.json").read_text())
        tensors = []
        (path / "intermediates").mkdir()
        for op in json.loads((source / "ops.json").read_text()):
            for tensor in op["outputs"]:
                file = source / "intermediates" / f"t{tensor['index']}.npy"
                array = np.load(file)
                if array.dtype == np.int32 or array.nbytes <= LARGEST:
                    shutil.copy(file, path / "intermediates" / file.name)
                    tensors.append({"index": tensor["index"], "op": op["op"], "type": tensor["type"],
                                    "shape": tensor["shape"]})
        kept.append({"name": name, "what": what, "operators": case["operators"], "exact": case.get("exact", False),
                     "oracle": case.get("oracle", "lce"), "intermediates": tensors})
    common.write_lines(out / "cases.json", kept)
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    print(f"{len(kept)} cases, {size} bytes")


if __name__ == "__main__":
    main()
