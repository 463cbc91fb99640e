#!/usr/bin/env python3
"""Writes the README's tables of inference from results/infer.json, between the two comments that mark them.

Each ratio is CPU time of the peer over signbit's, within a round: the median of the rounds, smallest to largest. Of several
peers of a kind (f32, int8, LCE's settings), the one counts that leaves signbit the smallest median.
"""

import json
import re
from pathlib import Path

PEERS = Path(__file__).resolve().parent.parent
README = PEERS.parent.parent / "README.md"
MARKS = ("<!-- made by benches/peers/inference/table.py from the record -->\n", "<!-- end -->\n")
F32 = ["ONNX Runtime f32", "LiteRT f32", "PyTorch f32", "OpenVINO f32", "tract f32"]
INT8 = ["ONNX Runtime int8", "LiteRT int8"]


def worst(run, names, against):
    """The ratio against the hardest of the peers, and its name. `against` is what of signbit's it is compared with."""
    key = f"signbit_{against}_times_as_fast_"
    found = []
    for result in run["results"]:
        ratio = result.get(key + "cpu") or result.get(key + "wall")
        if ratio and any(result["name"].startswith(name) for name in names):
            found.append((ratio["median"], ratio, result["name"]))
    if not found:
        return "", ""
    _, ratio, name = min(found, key=lambda entry: entry[0])
    return f"{ratio['median']:.1f} ({ratio['min']:.1f} to {ratio['max']:.1f})", name


def of(run, name):
    return next(result for result in run["results"] if result["name"] == name)


def row(*cells):
    return "| " + " | ".join(cells) + " |\n"


def head(*cells):
    return row(*cells) + "|---" * len(cells) + "|\n"


def layers(runs):
    text = head("layer", "signbit, packed to packed", "best f32, f32 to f32", "best int8", "OpenVINO binary, alone",
                "the same, f32 to f32", "bnn-lab, packed", "the same, f32 to f32")
    for run in runs:
        ms = of(run, "signbit, packed to packed")["cpu_ms"]["median"]
        columns = [(F32, "f32"), (INT8, "packed"), (["OpenVINO BinaryConvolution, operator"], "packed"),
                   (["OpenVINO BinaryConvolution, f32"], "f32"), (["bnn-lab, packed"], "packed"), (["bnn-lab, f32"], "f32")]
        cells = [worst(run, names, against)[0] for names, against in columns]
        text += row(run["name"], f"{ms:.3f} ms, {run['macs'] / ms / 1e6:.0f} GMAC/s", *cells)
    return text


def networks(runs, start):
    text = head("network, 224x224, batch 1", "signbit, ms", "LCE's faster setting, ms", "times as fast", "than its default")
    rest = []
    for run in runs:
        ratio, name = worst(run, ["LCE, indirect"], "f32")
        default, _ = worst(run, ["LCE, default"], "f32")
        ms = [of(run, who)["cpu_ms"]["median"] for who in ("signbit", name)]
        text += row(run["name"], f"{ms[0]:.1f}", f"{ms[1]:.1f}", ratio, default)
        for peer in ("f32", "int8"):
            ratio, name = worst(run, [f"ResNet-18 {peer}"], "f32")
            if ratio:
                rest.append(f"{ratio} times as fast as {name}")
    text += "\nBinaryResNetE18 is " + ", and ".join(rest) + ".\n"
    for entry in start:
        text += (f"{entry['model']} in {entry['name']}: {entry['model_mib']} MiB beyond an idle process, "
                 f"{entry['start_ms']['median']:.0f} ms more than a warm run to load and answer for the first time.\n")
    return text


def chain(runs):
    text = head("network, batch", "signbit, pictures/s", "f32 twin in ONNX Runtime, pictures/s", "times as fast")
    for run in runs:
        name, batch = run["name"].rsplit("-batch", 1)
        ratio, twin = worst(run, ["f32 twin in ONNX Runtime"], "f32")
        rates = [f"{int(batch) * 1e3 / of(run, who)['cpu_ms']['median']:,.0f}" for who in ("signbit", twin)]
        text += row(f"`{name}`, {batch}", *rates, ratio)
    return text


def main():
    record = json.loads((PEERS / "results" / "infer.json").read_text())
    suite = lambda name: [run for run in record["runs"] if run["suite"] == name]  # noqa: E731
    text = layers(suite("layers")) + "\n" + networks(suite("networks"), record["start_and_memory"]) + "\n" + chain(suite("chain"))
    readme = README.read_text()
    pattern = re.escape(MARKS[0]) + ".*?" + re.escape(MARKS[1])
    new, count = re.subn(pattern, lambda _: MARKS[0] + "\n" + text + "\n" + MARKS[1], readme, flags=re.S)
    if count != 1:
        raise SystemExit(f"{README.name} has no place for the tables")
    README.write_text(new)


if __name__ == "__main__":
    main()
