#!/usr/bin/env python3
"""What each method of training is worth on CIFAR-10, at a small fixed budget: one change at a time.

    models/ablation.py run RUNS [--only NAME ...]    trains what RUNS does not hold yet, packs and checks it; then the table
    models/ablation.py table [--check]               docs/src/ablation.md anew, from ablation.json

Every run is the base recipe with the change that its row names, on one thread; the base runs with three seeds, which shows
how far two runs of the same recipe are apart. `SIGNBIT` names the command, as for make.py.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

import make

DATA = "cifar10"
EPOCHS = 6
BASE = {"width": 16, "learning_rate": 0.005, "epochs": EPOCHS}
HALF = {"epochs": EPOCHS // 2}
RESULTS = make.MODELS / "ablation.json"
PAGE = make.MODELS.parent / "docs/src/ablation.md"
INTRODUCTION = """# What each method is worth

One network, one small budget, one change at a time: `binarynet` of width 16 on CIFAR-10, {epochs} epochs on one thread. It says which
methods help a short training of a small network; a long one of a large network may order them otherwise (teachers and two steps, for
instance, are made for long trainings). The two steps share the {epochs} epochs. The teacher has its own {epochs}, which are not counted.
Nothing is tuned for a row: where it names no other, the learning rate is the base's, and `alpha_k`, `swish_sign` or SGD may want another.

```sh
signbit data fetch cifar10
SIGNBIT_ISA=avx2 models/ablation.py run runs/ablation     # trains, packs and checks every row, and writes this table
```

(Without the variable, `verify` takes some seconds more, for the other instruction sets.)

Two rows are different where they are further apart than the base's own seeds.

<!-- made by models/ablation.py from models/ablation.json -->
""".format(epochs=EPOCHS)

# Group, name of the run, what the row says, the change. {RUN} in a value is the folder of another run.
ROWS = [
    ("base", "base", "`binarynet` of width 16, `ste_sign`, Adam, no scale factor", {}),
    ("base", "base-seed1", "the same, seed 1", {"seed": 1}),
    ("base", "base-seed2", "the same, seed 2", {"seed": 2}),
    ("quantizer", "approx_sign", "`approx_sign`", {"quantizer": "approx_sign"}),
    ("quantizer", "swish_sign", "`swish_sign`", {"quantizer": "swish_sign"}),
    ("quantizer", "ede", "`ede` for activations and weights", {"quantizer": "ede", "weight_quantizer": "ede"}),
    ("quantizer", "progressive_sign", "`progressive_sign`", {"quantizer": "progressive_sign"}),
    ("quantizer", "rsign", "`rsign`", {"quantizer": "rsign"}),
    ("quantizer", "magnitude_aware_sign", "weights: `magnitude_aware_sign`", {"weight_quantizer": "magnitude_aware_sign"}),
    ("quantizer", "libra_pb", "weights: `libra_pb`", {"weight_quantizer": "libra_pb"}),
    ("scale factor", "alpha", "`alpha`", {"scale": "alpha"}),
    ("scale factor", "alpha_k", "`alpha_k`", {"scale": "alpha_k"}),
    ("scale factor", "learned", "`learned`", {"scale": "learned"}),
    ("scale factor", "learned_map", "`learned_map`", {"scale": "learned_map"}),
    ("optimiser", "adamw", "AdamW, weight decay 0.01", {"optimizer": "adamw", "weight_decay": 0.01}),
    ("optimiser", "sgd", "SGD, momentum 0.9, learning rate 0.05", {"optimizer": "{ sgd = { momentum = 0.9 } }", "learning_rate": 0.05}),
    ("optimiser", "bop", "Bop for bits, Adam for the rest", {"binary_optimizer": "{ bop = { threshold = 1e-6, gamma = 1e-3 } }"}),
    ("softer classes", "smoothing", "label smoothing 0.1", {"label_smoothing": 0.1}),
    ("softer classes", "mixup", "mixup 0.2", {"augmentation.mixup": 0.2}),
    ("averages", "average", "averages of real parameters, 0.998", {"average": 0.998}),
    ("distillation", "twin", "the teacher: the real-valued twin", {"twin": True, "learning_rate": 0.001}),
    ("distillation", "distilled", "outputs of the twin, weight 0.5, temperature 4", {"distillation.teacher": "{twin}"}),
    ("two steps", "step1", f"first step, {EPOCHS // 2} epochs: real weights, binary activations", {"real_weights": True, **HALF}),
    ("two steps", "step2", f"second step, {EPOCHS // 2} epochs: binary weights too", {"init": "{step1}", **HALF}),
]


def train(runs, name, change):
    """The run of a row, unless it is there whole."""
    run = runs / name
    settings = {**BASE, **change}
    if (run / "metrics.csv").exists() and len(make.epochs_of(run)) == settings["epochs"]:
        return run
    words = [make.SIGNBIT, "train", "binarynet", "--data", DATA, "--out", run, "--threads", "1", "--no-report", "--quiet", "--force"]
    for key, value in settings.items():
        if isinstance(value, bool):
            value = str(value).lower()
        if isinstance(value, str) and value.startswith("{") and value.endswith("}") and " " not in value:
            value = runs / value[1:-1]
        words += ["--set", f"{key}={value}"]
    subprocess.run(list(map(str, words)), check=True)
    return run


def result(runs, row):
    group, name, text, change = row
    run = train(runs, name, change)
    epochs = make.epochs_of(run)
    found = {"group": group, "text": text, "accuracy": float(epochs[-1]["test_accuracy"]), "epochs": len(epochs),
             "training_seconds": round(sum(float(epoch["seconds"]) for epoch in epochs))}
    if not {"twin", "real_weights"} & change.keys():
        found["verified"] = make.checked(run, runs / f"{name}.signbit", DATA)["verified"]
        found["bytes"] = (runs / f"{name}.signbit").stat().st_size
    return found


def run(args):
    args.runs.mkdir(parents=True, exist_ok=True)
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for row in ROWS:
        if args.only and row[1] not in args.only:
            continue
        found[row[1]] = result(args.runs, row)
        ordered = {row[1]: found[row[1]] for row in ROWS if row[1] in found}
        RESULTS.write_text(json.dumps(ordered, indent=2) + "\n")


def table():
    found = json.loads(RESULTS.read_text())
    base = [entry["accuracy"] for entry in found.values() if entry["group"] == "base"]
    mean = statistics.mean(base)
    text = "| method | test accuracy | against the base, points | bytes | bits compared by `verify` |\n|---|---|---|---|---|\n"
    for entry in found.values():
        what = entry["text"] if entry["group"] == "base" else f"{entry['group']}: {entry['text']}"
        gain = f"{100 * (entry['accuracy'] - mean):+.2f}"
        verified = entry.get("verified")
        bits = f"{verified['bits']:,}, 0 differ" if verified else "no bits to compare"
        size = f"{entry['bytes']:,}" if "bytes" in entry else ""
        text += f"| {what} | {make.percent(entry['accuracy'])} | {gain} | {size} | {bits} |\n"
    spread = f"The base's {len(base)} seeds have {make.percent(mean)} in the mean, {make.percent(min(base))} to {make.percent(max(base))}."
    return f"{text}\n{spread}\n"


def write(check):
    whole = INTRODUCTION + table()
    if check and (not PAGE.exists() or whole != PAGE.read_text()):
        sys.exit("docs/src/ablation.md is not what ablation.json says; run models/ablation.py table")
    PAGE.write_text(whole)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words = parser.add_subparsers(dest="word", required=True)
    new = words.add_parser("run")
    new.add_argument("runs", type=Path)
    new.add_argument("--only", nargs="*", choices=[row[1] for row in ROWS])
    words.add_parser("table").add_argument("--check", action="store_true")
    args = parser.parse_args()
    if args.word == "run":
        run(args)
    write(args.word == "table" and args.check)


if __name__ == "__main__":
    main()
