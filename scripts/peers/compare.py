"""Compares what signbit computes with what the peer computed.

    compare.py CASE OURS.npy             one case: a line of figures, exit status 1 where they disagree
    compare.py --all CASES OURS          a table: CASES/NAME against OURS/NAME/MODEL/output.npy

Bits and exact cases must be equal. Otherwise a value may differ by the order of its sums; as a sum next to zero can then
flip a sign, which moves everything behind it, a network passes by its median difference and by its top class. Where that
is not enough, lce_layers.py goes layer by layer.
"""

import argparse
import json
import pathlib
import sys

import numpy as np

MEDIAN = 1e-4
# How much further from the peer than the peer's two ways (Keras and LCE) are from each other.
NOISE = 3.0
# What `signbit convert` says of an operator that it does not express: an answer, not a failure.
REFUSAL = "cannot be taken in"
# The share of samples whose top class must be the same.
TOP = 0.9


def relative(ours, theirs):
    """|ours - theirs| over the size of the values, so that a value near zero counts as what it is: small."""
    size = float(np.sqrt(np.mean(np.square(theirs, dtype=np.float64)))) or 1.0
    return np.abs(ours.astype(np.float64) - theirs.astype(np.float64)) / size


def figures(case, ours):
    path = pathlib.Path(case)
    told = json.loads((path / "case.json").read_text())
    theirs = np.load(path / "output.npy")
    if told.get("int8"):
        scale, zero = told["int8"]
        theirs = (theirs.astype(np.float32) - zero) * np.float32(scale)
    if told.get("layout") == "NCHW" and theirs.ndim == 4:
        theirs = theirs.transpose(0, 2, 3, 1)
    found = {"name": path.name, "shape": list(theirs.shape)}
    if ours.size != theirs.size or len(ours) != len(theirs):
        return {**found, "agrees": False, "why": f"shape {list(ours.shape)} instead of {list(theirs.shape)}"}
    ours = ours.reshape(theirs.shape)
    if not np.isfinite(ours).all():
        return {**found, "agrees": False, "why": "a value that is no number"}
    apart = relative(ours, theirs)
    flat = ours.reshape(len(ours), -1), theirs.reshape(len(theirs), -1)
    top = float(np.mean(flat[0].argmax(1) == flat[1].argmax(1)))
    found |= {
        "median": float(np.median(apart)),
        "largest": float(apart.max()),
        "unequal": float(np.mean(ours != theirs)),
        "top": top,
    }
    if told.get("exact"):
        # The multiplier is exact, but a root or a division may still round once.
        agrees = found["largest"] < 1e-5
    else:
        noise = NOISE * told.get("keras_median", 0.0)
        agrees = found["median"] < max(MEDIAN, noise) and (top >= TOP or noise > MEDIAN or found["largest"] < 1e-3)
    return {**found, "agrees": agrees, "why": "" if agrees else "values"}


def line(found):
    if "median" not in found:
        return f"{found['name']:32} {found['why']}"
    verdict = "agrees" if found["agrees"] else "DIFFERS"
    return (f"{found['name']:32} {verdict:8} median {found['median']:.1e}  largest {found['largest']:.1e}  "
            f"unequal {found['unequal']:6.1%}  top class {found['top']:.0%}")


def every(cases, ours):
    agreed, differ, refused = [], [], []
    for path in sorted(cases.iterdir()):
        if not (path / "case.json").exists():
            continue
        for model in json.loads((path / "case.json").read_text())["models"]:
            result = ours / path.name / model
            if (result / "output.npy").exists():
                found = figures(path, np.load(result / "output.npy"))
                found["name"] = f"{path.name}/{model}"
                (agreed if found["agrees"] else differ).append(found)
            elif (result / "failed.txt").exists():
                lines = (result / "failed.txt").read_text().strip().splitlines() or ["no reason given"]
                differ.append({"name": f"{path.name}/{model}", "agrees": False, "why": f"cannot be run: {lines[-1]}"})
            elif (result / "error.txt").exists():
                lines = (result / "error.txt").read_text().strip().splitlines() or ["no reason given"]
                if any(REFUSAL in line for line in lines):
                    refused.append((f"{path.name}/{model}", lines[-1]))
                else:
                    differ.append({"name": f"{path.name}/{model}", "agrees": False, "why": f"cannot be read: {lines[-1]}"})
    for found in agreed + differ:
        print(line(found))
    for name, why in refused:
        print(f"{name:32} refused: {why}")
    print(f"{len(agreed)} agree, {len(differ)} differ, {len(refused)} refused")
    return bool(differ) or not agreed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", type=pathlib.Path)
    parser.add_argument("ours", type=pathlib.Path)
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args()
    if options.all:
        return every(options.case, options.ours)
    found = figures(options.case, np.load(options.ours))
    print(line(found))
    return not found["agrees"]


if __name__ == "__main__":
    sys.exit(main())
