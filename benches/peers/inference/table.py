#!/usr/bin/env python3
"""Writes the README's tables of inference from results/infer-*.json, between the two comments that mark them.

Each ratio is CPU time of the peer over signbit's, within a round: the median of the rounds, smallest to largest. Of several
peers of a kind (f32, int8, LCE's settings), the one counts that leaves signbit the smallest median.
"""

import json
import sys
from pathlib import Path

PEERS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PEERS))
from tables import head, row, times, write  # noqa: E402

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
    return times(ratio), name


def of(run, name):
    return next(result for result in run["results"] if result["name"] == name)


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
    text = head("network, 224x224, batch 1", "signbit, ms", "LCE's faster setting, ms", "times as fast", "than its default",
                "signbit with `--winograd`, ms", "times as fast as LCE's faster setting")
    rest = []
    for run in runs:
        ratio, name = worst(run, ["LCE, indirect"], "f32")
        default, _ = worst(run, ["LCE, default"], "f32")
        ms = [of(run, who)["cpu_ms"]["median"] for who in ("signbit", name)]
        fast = of(run, "signbit, winograd")["cpu_ms"]["median"]
        text += row(run["name"], f"{ms[0]:.1f}", f"{ms[1]:.1f}", ratio, default, f"{fast:.1f}",
                    worst(run, ["LCE, indirect"], "winograd")[0])
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


def tables(path):
    """The tables of one record, under the processor and the instruction set that it was taken on."""
    record = json.loads(path.read_text())
    suite = lambda name: [run for run in record["runs"] if run["suite"] == name]  # noqa: E731
    cpu, (family, model, _) = record["cpu"]["model"], record["cpu"]["family_model_stepping"]
    about = (f"#### {record['versions']['isa']}: {cpu} (family {family}, model {model}), {record['date'][:10]}, {record['rounds']} rounds, "
             f"[record](benches/peers/results/{path.name})\n")
    return [about, layers(suite("layers")), networks(suite("networks"), record["start_and_memory"]), chain(suite("chain"))]


def main():
    paths = sorted((PEERS / "results").glob("infer-*.json"), reverse=True)
    write("inference/table.py", "\n".join(text for path in paths for text in tables(path)))


if __name__ == "__main__":
    main()
