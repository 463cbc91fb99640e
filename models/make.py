#!/usr/bin/env python3
"""Puts a trained run into this folder as a model, and writes the cards.

    models/make.py add NAME RUN --title TEXT [--twin RUN] [--seeds RUN ...] [--commit HASH]
                                                 pack, verify, eval, bench; then the cards. HASH: the program that trained
    models/make.py twin NAME RUN                 the real-valued twin of a model that is there; then the cards
    models/make.py seeds NAME RUN ... [--commit HASH]   the same recipe with other seeds: pack, verify, eval; then the cards
    models/make.py cards                         the cards anew, from the results
    models/make.py cards --check                 fails where a card is not what its results say

`SIGNBIT` names the command (target/release/signbit without it). Every number of a card stands in results.json, which `add`
writes from what the command says: nothing is typed in.
"""

import argparse
import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path

MODELS = Path(__file__).resolve().parent
SIGNBIT = os.environ.get("SIGNBIT", str(MODELS.parent / "target/release/signbit"))
SOURCES = {
    "mnist": "MNIST (LeCun et al. 1998)",
    "fashion-mnist": "Fashion-MNIST (Xiao et al. 2017, MIT licence)",
    "cifar10": "CIFAR-10 (Krizhevsky 2009)",
}


def ask(*words):
    """What the command answers as JSON."""
    done = subprocess.run([SIGNBIT, *map(str, words), "--json"], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def recipe_of(folder):
    return tomllib.loads((folder / "recipe.toml").read_text())


def epochs_of(folder):
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def head():
    """The commit that is checked out."""
    done = subprocess.run(["git", "-C", MODELS, "rev-parse", "--short=10", "HEAD"], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def checked(run, model, data):
    """Packs a run, compares all its bits on the whole test set, and counts what it knows."""
    ask("pack", run, "-o", model)
    verified = ask("verify", run, model, "--data", data, "--threads", "1")
    if not verified["identical"]:
        sys.exit(f"{run}: the packed model differs from the run")
    # Instruction sets beside the best one may have seen the first pictures only.
    whole = [r for r in verified["runs"] if r["pictures"] == verified["runs"][0]["pictures"]]
    evaluated = ask("eval", model, "--data", data, "--threads", "1")
    epochs = epochs_of(run)
    return {
        "seed": recipe_of(run)["seed"],
        "accuracy": evaluated["accuracy"],
        "pictures": evaluated["pictures"],
        "verified": {"bits": whole[0]["bits"], "outputs": whole[0]["outputs"], "isas": [r["isa"] for r in whole]},
        "epochs": len(epochs),
        "training_seconds": round(sum(float(epoch["seconds"]) for epoch in epochs)),
    }


def keep(run, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name in ["recipe.toml", "metrics.csv"]:
        shutil.copyfile(run / name, folder / name)


def add(args):
    folder = MODELS / args.name
    keep(args.run, folder)
    data = recipe_of(args.run)["data"]["source"]
    model = folder / "model.signbit"
    results = {"title": args.title, "data": data, "trained_by": args.commit or head(), "run": checked(args.run, model, data)}
    size = ask("summary", model)
    keys = ["file_bytes", "f32_bytes", "binary_params", "real_params", "binary_macs", "real_macs"]
    results["size"] = {key: size[key] for key in keys if key in size}
    results["speed"] = {}
    for batch in [1, 256]:
        record = ask("bench", model, "--batch", batch, "--threads", 1, "--seconds", 4)
        results["machine"] = {"cpu": record["machine"]["cpu"], "isa": record["isa"], "date": record["date"][:10]}
        results["speed"][str(batch)] = {"pictures_per_second": record["bits_per_second"], "times_f32": record["ratio"]}
    results["seeds"] = kept_seeds(args.seeds, folder, data, results["trained_by"])
    if args.twin:
        results["twin"] = kept_twin(args.twin, folder)
    write(folder, results)


def kept_seeds(runs, folder, data, commit):
    """Checks runs of other seeds and keeps their recipes and metrics; their packed models are not kept."""
    found = []
    for run in runs:
        spare = folder / "spare.signbit"
        found.append({**checked(run, spare, data), "trained_by": commit})
        spare.unlink()
        keep(run, folder / f"seed{recipe_of(run)['seed']}")
    return found


def kept_twin(run, folder):
    keep(run, folder / "twin")
    epochs = epochs_of(run)
    return {
        "accuracy": float(epochs[-1]["test_accuracy"]),
        "epochs": len(epochs),
        "training_seconds": round(sum(float(epoch["seconds"]) for epoch in epochs)),
    }


def twin(args):
    folder = MODELS / args.name
    results = json.loads((folder / "results.json").read_text())
    write(folder, {**results, "twin": kept_twin(args.run, folder)})


def seeds(args):
    folder = MODELS / args.name
    results = json.loads((folder / "results.json").read_text())
    new = kept_seeds(args.runs, folder, results["data"], args.commit or head())
    left = [run for run in results["seeds"] if run["seed"] not in [run["seed"] for run in new]]
    write(folder, {**results, "seeds": sorted(left + new, key=lambda run: run["seed"])})


def write(folder, results):
    (folder / "results.json").write_text(json.dumps(results, indent=2) + "\n")


def percent(share):
    return f"{100 * share:.2f} %"


def minutes(seconds):
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds} s"


def seeds_text(results):
    found = [run["accuracy"] for run in [results["run"], *results["seeds"]]]
    if len(found) < 2:
        return ""
    spread = f"{percent(min(found))} to {percent(max(found))}"
    return f"{percent(statistics.mean(found))} in the mean of {len(found)} seeds, {spread}"


def card(name, results):
    run, size, machine = results["run"], results["size"], results["machine"]
    recipe = recipe_of(MODELS / name)
    data = results["data"]
    rows = [
        ("accuracy", f"**{percent(run['accuracy'])}** of {run['pictures']:,} test pictures, by `signbit eval`"),
    ]
    if seeds_text(results):
        rows.append(("other seeds", seeds_text(results)))
    if "twin" in results:
        gap = 100 * (results["twin"]["accuracy"] - run["accuracy"])
        rows.append(("real-valued twin", f"{percent(results['twin']['accuracy'])} under the same budget; the gap is {gap:.2f} points"))
    rows += [
        ("checked", f"{run['verified']['bits']:,} hidden bits and {run['verified']['outputs']:,} outputs over the whole test set are those of the trained network ({', '.join(run['verified']['isas'])})"),
        ("file", f"{size['file_bytes']:,} bytes; in f32 {size['f32_bytes']:,}"),
        ("weights", f"{size['binary_params']:,} of one bit, {size['real_params']:,} real"),
    ]
    for batch, speed in results["speed"].items():
        ratio = speed["times_f32"]
        spread = f"{ratio['median']:.1f} times signbit's own f32, {ratio['p10']:.1f} to {ratio['p90']:.1f}"
        rows.append((f"speed, batch {batch}", f"{speed['pictures_per_second']:,.0f} pictures/s on one core ({spread})"))
    rows.append(("training", f"{run['epochs']} epochs, {minutes(run['training_seconds'])}, seed {run['seed']}"))
    table = "| | |\n|---|---|\n" + "".join(f"| {what} | {text} |\n" for what, text in rows)
    twin = "" if "twin" not in results else "`twin/` holds the twin's recipe and metrics. "
    others = results["seeds"]
    bits = ", ".join(f"{run['verified']['bits']:,}" for run in others)
    programs = ", ".join(sorted({run["trained_by"] for run in others}))
    seeds = "" if not others else (f"`seedN/` hold those of the other seeds, trained by the program of commit {programs}; their packed models were "
                                   f"compared with them too ({bits} bits, 0 differ). ")
    return f"""# {name}: {results['title']}

`{recipe['network']}` of width {recipe['width']}, trained on {SOURCES.get(data, data)}.

{table}
Speed: {machine['cpu']}, {machine['isa']}, {machine['date']}, `signbit bench model.signbit --threads 1 --batch N --seconds 4`.

```sh
signbit predict models/{name}/model.signbit photo.png       # any size: it is brought into shape as in training
signbit eval models/{name}/model.signbit --data {data}
signbit train models/{name}/recipe.toml --out runs/{name}
```

The last command gives the same weights again with the program of commit {results['trained_by']}, on a processor of the same kind and with any
number of threads; another version may add floats in another order.

It knows the classes of its data and nothing else: a picture of anything else gets one of them too. `metrics.csv` has every epoch.
{twin}{seeds}The times of training were taken on a machine that did other work too.
""".rstrip() + "\n"


def overview(all_results):
    head = ["model", "data", "test accuracy", "real-valued twin", "1-bit weights", "bytes", "times smaller than in f32",
            "bits and outputs compared by `verify`", "pictures/s, one core, batch 1"]
    text = f"| {' | '.join(head)} |\n{'|---' * len(head)}|\n"
    for name, results in all_results.items():
        run, size = results["run"], results["size"]
        twin = percent(results["twin"]["accuracy"]) if "twin" in results else ""
        verified = run["verified"]["bits"] + run["verified"]["outputs"]
        smaller, speed = size["f32_bytes"] / size["file_bytes"], results["speed"]["1"]["pictures_per_second"]
        cells = [f"[{name}](models/{name}/README.md)", results["data"], percent(run["accuracy"]), twin, f"{size['binary_params']:,}",
                 f"{size['file_bytes']:,}", f"{smaller:.1f}", f"{verified:,}, 0 differ", f"{speed:,.0f}"]
        text += f"| {' | '.join(cells)} |\n"
    return text


MARKS = ("<!-- made by models/make.py from the results -->\n", "<!-- end of models -->\n")


def pages():
    """Every page that is made from results, and its text."""
    found = {folder.parent.name: json.loads(folder.read_text()) for folder in sorted(MODELS.glob("*/results.json"))}
    made = {MODELS / name / "README.md": card(name, results) for name, results in found.items()}
    readme = MODELS.parent / "README.md"
    before, rest = readme.read_text().split(MARKS[0])
    made[readme] = before + MARKS[0] + overview(found) + MARKS[1] + rest.split(MARKS[1])[1]
    return made


def cards(check):
    stale = [page for page, text in pages().items() if not page.exists() or page.read_text() != text]
    if check and stale:
        sys.exit("not what the results say: " + ", ".join(str(page.relative_to(MODELS.parent)) for page in stale) + "; run models/make.py cards")
    for page, text in pages().items():
        page.write_text(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words = parser.add_subparsers(dest="word", required=True)
    new = words.add_parser("add")
    new.add_argument("name")
    new.add_argument("run", type=Path)
    new.add_argument("--title", required=True)
    new.add_argument("--twin", type=Path)
    new.add_argument("--commit")
    new.add_argument("--seeds", type=Path, nargs="*", default=[])
    later = words.add_parser("twin")
    later.add_argument("name")
    later.add_argument("run", type=Path)
    more = words.add_parser("seeds")
    more.add_argument("name")
    more.add_argument("runs", type=Path, nargs="+")
    more.add_argument("--commit")
    words.add_parser("cards").add_argument("--check", action="store_true")
    args = parser.parse_args()
    if args.word == "add":
        add(args)
    if args.word == "twin":
        twin(args)
    if args.word == "seeds":
        seeds(args)
    cards(args.word == "cards" and args.check)


if __name__ == "__main__":
    main()
