#!/usr/bin/env python3
"""Compare the speed of inference of signbit and of other runtimes, interleaved on one core.

Called by `infer`. Every runtime is a process that runs layers and networks on demand, pinned to the same core. A case is
made ready in all of them; then, in every round, each gets one turn, and the order turns from round to round. So whatever
else the machine does in that minute hits all alike, and a ratio is taken within a round.

Writes Markdown to stdout. The record of all rounds goes to results/infer-ISA.json, unless something was left out
(a suite or what it needs, cases by --only, rounds below seven); --out writes one in any case. What cannot be run is a line "skipped".
"""

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import suites
from process import Failed, Python, Signbit, fresh  # makes `common` known as well
from common import command_line, cpu, spread, versions

PEERS = Path(__file__).resolve().parent.parent

RECORDS = PEERS / "results"
SUITES = ["layers", "networks", "chain"]
# Rounds below which a run is a try, not a record.
ROUNDS = 7
# Seconds of one turn, and the runs that it has at least.
SECONDS = {"layers": 0.15, "networks": 0.3, "chain": 0.2}
LEAST = 2
# Fresh processes whose start is measured, by whom, and the network that they load. (LCE's take seconds, to import
# TensorFlow.)
STARTS = {"signbit": 5, "lce": 3}
STARTED = [("signbit", "signbit", "f32"), ("LCE, indirect", "lce", "indirect"),
           ("LCE, indirect + XNNPACK", "lce", "indirect+xnnpack")]
START_NETWORK = "QuickNet"


class Contenders:
    """The processes, started when first needed. One that cannot start is named once and then left out."""

    def __init__(self, args):
        self.args = args
        self.processes, self.skipped = {}, {}

    def get(self, peer):
        if peer in self.skipped:
            raise Failed(self.skipped[peer])
        if peer not in self.processes:
            try:
                self.processes[peer] = self.start(peer)
            except Failed as error:
                self.skipped[peer] = str(error)
                print(f"skipped: {peer}: {error}", file=sys.stderr)
                raise
        return self.processes[peer]

    def start(self, peer):
        if peer == "signbit":
            return Signbit(self.args.on_demand)
        python = self.args.python.get(peer)
        if not python:
            raise Failed("no Python that has it")
        return Python(python, peer)

    def about(self):
        return {peer: process.about for peer, process in self.processes.items() if peer != "signbit"}

    def isa(self):
        return self.processes["signbit"].about.get("isa") if "signbit" in self.processes else None

    def close(self):
        for process in self.processes.values():
            process.close()


def say(line):
    print(line, file=sys.stderr, flush=True)


def measure(case, peers, args):
    """All rounds of one case: turns by label, and the lines of what is left out."""
    ready, skipped = [], {}
    for label, peer, variant, against in suites.contenders(case):
        known = peer in peers.skipped
        try:
            process = peers.get(peer)
            process.prepare(case, variant)
            ready.append((label, process, variant, against))
        except Failed as error:
            skipped[label] = str(error)
            if not known and peer not in peers.skipped:
                say(f"skipped: {label}: {error}")
    turns = {label: [] for label, *_ in ready}
    for r in range(args.rounds):
        first = r % len(ready)
        for label, process, variant, _ in ready[first:] + ready[:first]:
            if label in skipped:
                continue
            try:
                turns[label].append(process.run(variant, args.seconds or SECONDS[case["suite"]], LEAST))
            except Failed as error:
                skipped[label] = str(error)
                say(f"skipped: {label}: {error}")
    ready = [entry for entry in ready if entry[0] not in skipped]
    return ready, turns, skipped, differences(case, ready)


def differences(case, ready):
    """Largest difference of each peer's output from signbit's, where both compute the same."""
    path = Path(case["work"]) / "output"

    def output(process, variant):
        process.output(variant, path)
        return np.fromfile(path, "<f4")

    def inside(values):
        # f32 layers pad with 0, binary ones with +1.
        return values.reshape(case["shape"])[:, 1:-1, 1:-1] if case["kind"] == "conv" else values

    own = next(((p, v) for _, p, v, against in ready if not against and v == "f32"), None)
    if own is None or case["suite"] == "chain":
        return {}
    truth, found = inside(output(*own)), {}
    for label, process, variant, against in ready:
        if not against or "int8" in label or "ResNet" in label:
            continue
        values = inside(output(process, variant))
        found[label] = {"max": float(np.abs(values - truth).max())}
        if case["suite"] == "networks":
            found[label]["same_class"] = bool(values.argmax() == truth.argmax())
    return found


def summarise(case, ready, turns, skipped, apart):
    """The record of one case."""
    own = {variant: turns[label] for label, process, variant, _ in ready if isinstance(process, Signbit)}
    results = []
    for label, _, _, against in ready:
        entry = {"name": label, "wall_ms": spread([t["wall_ms"] for t in turns[label]]), "rounds": turns[label]}
        if turns[label][0]["cpu_ms"] is not None:
            entry["cpu_ms"] = spread([t["cpu_ms"] for t in turns[label]])
        for variant in against:
            if variant not in own:
                continue
            for clock in ("wall", "cpu"):
                if f"{clock}_ms" in entry:
                    pairs = zip(turns[label], own[variant])
                    ratio = spread([p[f"{clock}_ms"] / o[f"{clock}_ms"] for p, o in pairs if o[f"{clock}_ms"]])
                    entry[f"signbit_{variant}_times_as_fast_{clock}"] = ratio
        if label in apart:
            entry["difference"] = apart[label]
        results.append(entry)
    return {"suite": case["suite"], "name": case["name"], "shape": case["shape"], "macs": case.get("macs"),
            "results": results, "skipped": skipped}


def start_and_memory(case, peers):
    """Fresh processes that load one network and answer once: how long beyond a warm run, how much memory beyond an
    idle process of the same kind."""
    found = []
    idle = {}
    for label, peer, variant in STARTED:
        try:
            process = peers.get(peer)
            if peer == "signbit":
                load, run = Signbit.request(case), "run\tf32\t0.2\t3"
            else:
                load = Python.request("prepare", variant, case=case)
                run = Python.request("run", variant, seconds=0.2, least=3)
            if peer not in idle:
                idle[peer] = fresh(peer, process.command, [process.IDLE])[1]
            peak, begin = [], []
            for _ in range(STARTS[peer]):
                answers, memory = fresh(peer, process.command, [load, run])
                begin.append(answers[-2]["first_ms"] - answers[-1]["wall_ms"])
                peak.append(memory)
        except Failed:
            continue
        found.append({"name": label, "model": case["name"], "file_bytes": case["bytes"],
                      "idle_mib": round(idle[peer], 1), "peak_mib": spread(peak),
                      "model_mib": round(statistics.median(peak) - idle[peer], 1), "start_ms": spread(begin)})
    return found


def ratio_cell(entry, variant, clock):
    ratio = entry.get(f"signbit_{variant}_times_as_fast_{clock}")
    return f"{ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})" if ratio else ""


def time_cell(entry, clock):
    return f"{entry[clock]['median']:.3f}" if clock in entry else ""


def table(suite, runs):
    """Ratios by CPU time, and by wall time where there is no other; all are in the record."""
    heads = {"f32": "signbit is times as fast (min to max)"}
    if suite == "layers":
        heads = {"f32": "signbit, f32 to f32, is times as fast (min to max)",
                 "packed": "signbit, packed to packed, is times as fast (min to max)"}
    if suite == "networks":
        heads["winograd"] = "signbit, winograd, is times as fast (min to max)"
    lines = [f"## {suite}", "", "| case | run by | wall ms | CPU ms | " + " | ".join(heads.values()) + " | largest difference |",
             "|---|---|---|---|" + "---|" * (len(heads) + 1)]
    for run in runs:
        for entry in run["results"]:
            apart = entry.get("difference")
            told = "" if apart is None else f"{apart['max']:.1e}" + ("" if apart.get("same_class", True) else ", other class")
            cells = [run["name"], entry["name"], time_cell(entry, "wall_ms"), time_cell(entry, "cpu_ms"),
                     *(ratio_cell(entry, v, "cpu") or ratio_cell(entry, v, "wall") for v in heads), told]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def start_table(found):
    lines = ["## start and memory", "", "| network | run by | start ms (min to max) | memory MiB beyond an idle process | idle MiB |",
             "|---|---|---|---|---|"]
    for e in found:
        start = e["start_ms"]
        lines.append(f"| {e['model']} | {e['name']} | {start['median']:.1f} ({start['min']:.1f} to {start['max']:.1f}) "
                     f"| {e['model_mib']:.1f} | {e['idle_mib']:.1f} |")
    return "\n".join(lines) + "\n"


def cases(suite, args, peers):
    if suite == "layers":
        found = list(suites.layers(args.work, args.only))
        make_tflite(found, args)
        return found
    if suite == "networks":
        if not args.zoo:
            say("skipped: networks: --zoo names no folder of .tflite networks (scripts/check-peers zoo makes one)")
            return []
        return suites.networks(args.work, args.only, args.zoo, args.signbit)
    if not args.models:
        say("skipped: chain: --models names no .signbit files")
        return []
    return suites.chain(args.work, args.only, args.models, args.signbit, peers.get("signbit"))


def make_tflite(found, args):
    """Layers for LiteRT, by the TensorFlow beside LCE. Without it LiteRT is left out."""
    if "lce" not in args.python or "litert" not in args.python:
        return
    listed = args.work / "layers.json"
    listed.write_text(json.dumps(found))
    done = subprocess.run([args.python["lce"], str(Path(__file__).parent / "tflite_models.py"), str(listed)],
                          capture_output=True, text=True)
    if done.returncode != 0:
        say(f"the layers of LiteRT cannot be made: {done.stderr.strip().splitlines()[-1:]}")


def arguments():
    parser = argparse.ArgumentParser(prog="infer", description=__doc__.split("\n\n")[0])
    parser.add_argument("--suite", nargs="+", choices=SUITES, default=SUITES,
                        help="default: all of layers, networks, chain")
    parser.add_argument("--only", nargs="+", metavar="PART", help="only cases whose name has one of these in it")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="default: 7")
    parser.add_argument("--seconds", type=float, help="of one turn (default: 0.15 to 0.3, by suite)")
    parser.add_argument("--zoo", type=Path, metavar="DIR",
                        help="NAME/model.tflite, NAME/input.npy: what `scripts/check-peers zoo` makes in target/peers/cases/zoo")
    parser.add_argument("--models", type=Path, nargs="+", metavar="FILE", help=".signbit files of the suite chain")
    parser.add_argument("--out", type=Path, help="record (default: results/infer-ISA.json, if nothing was left out)")
    parser.add_argument("--work", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--signbit", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--on-demand", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--python", nargs="*", default=[], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.rounds < 1:
        parser.error("--rounds is at least 1")
    args.python = dict(word.split("=", 1) for word in args.python)
    args.work.mkdir(parents=True, exist_ok=True)
    return args


def is_record(args):
    """True if nothing was left out of the comparison."""
    return (args.rounds >= ROUNDS and not args.only and not args.seconds and set(args.suite) == set(SUITES)
            and bool(args.zoo and args.models))


def record(args, started, load, peers, runs, starts):
    return {
        "what": "inference on one core: median ms of each turn; ratios are taken within a round",
        "date": started.isoformat(timespec="seconds"),
        "command": command_line("infer"),
        "cpu": cpu(),
        "load_before": round(load, 2),
        "versions": {**versions(args.signbit), "isa": peers.isa(), **peers.about()},
        "skipped": peers.skipped,
        "rounds": args.rounds,
        "runs": runs,
        "start_and_memory": starts,
    }


def main():
    args = arguments()
    load = os.getloadavg()[0]
    if load > 0.5:
        say(f"the machine is busy (load {load:.1f}): the figures will be noisy")
    started, began = datetime.datetime.now(datetime.timezone.utc), time.time()
    peers, runs, starts = Contenders(args), [], []
    try:
        for suite in args.suite:
            done = []
            for case in cases(suite, args, peers):
                if "missing" in case:
                    say(f"skipped: {case['name']}: {case['missing']}")
                    continue
                say(f"{suite} {case['name']} ({time.time() - began:.0f} s)")
                done.append(summarise(case, *measure(case, peers, args)))
                if suite == "networks" and case["name"] == START_NETWORK:
                    starts = start_and_memory(case, peers)
            if done:
                print(table(suite, done), flush=True)
                runs += done
        if starts:
            print(start_table(starts))
    except Failed as error:
        sys.exit(f"infer: {error}")
    finally:
        peers.close()
    for peer, why in peers.skipped.items():
        print(f"skipped: {peer}: {why}")
    out = args.out or (RECORDS / f"infer-{peers.isa()}.json" if is_record(args) else None)
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(record(args, started, load, peers, runs, starts), indent=1) + "\n")


if __name__ == "__main__":
    main()
