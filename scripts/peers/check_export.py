"""Runs exported models in another system and compares with signbit's own output.

    cargo run -p signbit-convert --example export_cases -- FOLDER 500
    python scripts/peers/check_export.py FOLDER --engine onnxruntime
    python scripts/peers/check_export.py FOLDER --engine lce

The first makes the models; ONNX Runtime's environment needs onnx, onnxruntime and numpy, LCE's larq-compute-engine.
FOLDER holds `cases.jsonl` and for each case NAME.onnx, NAME.tflite, NAME.input.npy and NAME.output.npy. A case that is
`exact` must agree in every bit, another to 1e-5 of its largest number. Exit code 1 where a case differs.
"""

import argparse
import collections
import json
import os
import pathlib
import sys

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

TOLERANCE = 1e-5
LCE_KERNELS = {
    "optimized": {},
    "indirect": {"use_indirect_bgemm": True},
    "reference": {"use_reference_bconv": True},
    "xnnpack": {"use_indirect_bgemm": True, "use_xnnpack": True},
}
MAY_REFUSE = ["optimized by LCE", "reference by LCE"]


def run_onnxruntime(path, x, optimize):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.run(["output"], {"input": x})[0]


def run_lce(path, x, kernels):
    from larq_compute_engine.tflite.python.interpreter import Interpreter

    return Interpreter(path.read_bytes(), **LCE_KERNELS[kernels]).predict(x)


def checked_by_onnx(path):
    import onnx

    onnx.checker.check_model(str(path), full_check=True)


def difference(case, expected, found):
    """What is wrong, or None."""
    if expected.shape != found.shape:
        return f"shape {found.shape}, expected {expected.shape}"
    if case["exact"]:
        wrong = int((expected != found).sum())
        return f"{wrong} of {expected.size} differ" if wrong else None
    scale = max(float(np.abs(expected).max(initial=0)), 1e-6)
    worst = float(np.abs(expected - found).max(initial=0)) / scale
    return f"relative difference {worst:.2e}" if not worst <= TOLERANCE else None


def ways(engine, case):
    """The ways of running a case: a name and a function of path and input."""
    if engine == "onnxruntime":
        yield "optimized by ONNX Runtime", lambda path, x: run_onnxruntime(path, x, True)
        yield "as written, by ONNX Runtime", lambda path, x: run_onnxruntime(path, x, False)
        return
    for kernels in LCE_KERNELS:
        yield f"{kernels} by LCE", lambda path, x, kernels=kernels: run_lce(path, x, kernels)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--engine", choices=["onnxruntime", "lce"], required=True)
    parser.add_argument("--only", help="the name of one case")
    arguments = parser.parse_args()
    ending = ".onnx" if arguments.engine == "onnxruntime" else ".tflite"
    counts, operators = collections.Counter(), collections.Counter()
    failed = False
    for line in (arguments.folder / "cases.jsonl").read_text().splitlines():
        case = json.loads(line)
        path = arguments.folder / (case["name"] + ending)
        if not path.exists() or (arguments.only and arguments.only != case["name"]):
            continue
        operators.update(set(case["operators"]))
        x = np.load(arguments.folder / f"{case['name']}.input.npy")
        expected = np.load(arguments.folder / f"{case['name']}.output.npy")
        if arguments.engine == "onnxruntime":
            checked_by_onnx(path)
        for way, run in ways(arguments.engine, case):
            try:
                wrong = difference(case, expected, run(path, x))
                kind = "exact" if case["exact"] else "within tolerance"
                kind = "different" if wrong else kind
            except Exception as error:  # The engine refuses the file.
                wrong, kind = f"refused: {str(error).strip()[:300]}", "refused"
            counts[way, kind] += 1
            # The other kernels of LCE have no groups, or no zero padding of an odd number of channels.
            if wrong and not (kind == "refused" and way in MAY_REFUSE):
                failed = True
                print(f"{case['name']} {way}: {wrong}; {case['operators']}")
    for (way, kind), count in sorted(counts.items()):
        print(f"{way}: {count} {kind}")
    print("operators:", ", ".join(f"{name} {count}" for name, count in sorted(operators.items())))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
