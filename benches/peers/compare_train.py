#!/usr/bin/env python3
"""Compare the training speed and memory of signbit, PyTorch and Larq, interleaved.

Called by `run`. For each network and number of threads, one process per mode of a peer is started, compiles, warms up and
then waits. In every round each of them makes a few steps, and `signbit bench-train` is called once; the order turns from
round to round. So whatever else the machine does in that minute hits all of them alike, and a ratio is taken within a
round. Everything is pinned to as many cores as it has threads.

Writes a Markdown table to stdout. The record of all rounds goes to results/train.json, unless something was left out
(signbit, a network, one of 1 and 2 threads, a peer, modes, rounds below five); --out writes one in any case. What cannot
be run is a line "skipped".
"""

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import HERE, Failed, Process, command_line, cpu, pinned, spread, versions

RECORD = HERE / "results" / "train.json"
# Rounds below which a run is a try, not a record.
ROUNDS = 5
# Steps of a turn: those at its head that are not counted, for the caches belong to the one before, and those that are.
STEPS = {"mlp": (2, 20), "small-cnn": (1, 2), "binarynet": (0, 1)}
PEERS = {"pytorch": "PyTorch", "larq": "Larq"}
# Those that have been the fastest of their peer somewhere, or may be with two threads, and PyTorch without its compiler.
MODES = {
    "mlp": ["pytorch:eager+fused", "pytorch:compile+fused", "pytorch:compile+autotune+fused",
            "larq:function+legacy-adam", "larq:jit+legacy-adam"],
    "small-cnn": [
        "pytorch:channels-last+compile+autotune+fused",
        "pytorch:channels-last+compile-step",
        "larq:function+legacy-adam",
        "larq:jit+legacy-adam",
    ],
    "binarynet": ["pytorch:channels-last+compile+fused", "larq:function+legacy-adam", "larq:jit+legacy-adam"],
}
# --all takes these as well.
SLOW = {
    "mlp": ["pytorch:eager", "pytorch:compile-step", "larq:function", "larq:jit"],
    "small-cnn": [
        "pytorch:eager+fused",
        "pytorch:channels-last+fused",
        "pytorch:compile+fused",
        "pytorch:channels-last+compile+fused",
        "larq:function",
    ],
    "binarynet": ["pytorch:channels-last+fused", "pytorch:channels-last+compile-step", "larq:function"],
}
# glibc gives big blocks back to the kernel and faults them in again in every step; keeping them makes PyTorch's convolutions
# up to a fifth faster. signbit runs without this, as it does for its users.
PEER_ENV = {
    "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(16 << 30),
    "MALLOC_TOP_PAD_": str(64 << 20),
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


class Peer:
    """One process of a peer in one mode, compiled and warm once built."""

    def __init__(self, mode, net, threads, args):
        peer, words = mode.split(":")
        self.name = f"{PEERS[peer]} {words}"
        command = [args.python[peer], HERE / f"train_{peer}.py", net, words, threads, "--batch", args.batch]
        self.process = Process(command, {**PEER_ENV, "OMP_NUM_THREADS": str(threads)}, threads)
        try:
            self.about = self.process.answer()
        except Failed:
            self.close()
            raise
        self.versions = {k: v for k, v in self.about.items() if k not in ("idle_mib", "warm_up_s")}

    def step_ms(self, steps):
        return self.process.ask(steps)["step_ms"]

    def memory(self):
        idle, peak = self.about["idle_mib"], self.process.peak_mib()
        return {"peak_mib": round(peak, 1), "idle_mib": idle, "net_mib": round(peak - idle, 1)}

    def close(self):
        self.process.close()


class Signbit:
    """`signbit bench-train`, a new process in each round."""

    name = "signbit"

    def __init__(self, net, threads, args):
        self.command = pinned([args.signbit, "bench-train", net, "--batch", args.batch, "--threads", threads, "--json",
                               "--steps"], threads)
        self.peak = 0

    def step_ms(self, steps):
        with tempfile.TemporaryFile(mode="w+") as errors:
            process = subprocess.Popen([*self.command, str(steps)], stdout=subprocess.PIPE, stderr=errors, text=True)
            told = process.stdout.read()
            # What subprocess does not tell: the memory. (It is never below that of this script, which is small.)
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            errors.seek(0)
            said = errors.read().strip().splitlines()
        if process.returncode != 0:
            raise Failed(f"signbit bench-train: {said[-1] if said else f'exit status {process.returncode}'}")
        self.peak = max(self.peak, used.ru_maxrss / 1024)
        try:
            return json.loads(told)["step_ms"]
        except (ValueError, KeyError, TypeError) as err:
            raise Failed(f"signbit bench-train: its output has no step_ms ({err})") from err

    def memory(self):
        """Nothing is taken off: there is no framework."""
        return {"peak_mib": round(self.peak, 1), "idle_mib": 0, "net_mib": round(self.peak, 1)}

    def close(self):
        pass


def say(line):
    print(line, file=sys.stderr, flush=True)


def turn(trainer, net):
    """Median ms per step of one turn of one trainer."""
    head, counted = STEPS[net]
    times = trainer.step_ms(head + counted)
    if len(times) != head + counted:
        raise Failed(f"asked for {head + counted} steps, {len(times)} came back")
    return statistics.median(times[head:])


def modes(net, args):
    """Those asked for, of the peers that are here."""
    asked = args.modes or MODES[net] + (SLOW[net] if args.all else [])
    return [mode for mode in asked if mode.split(":")[0] in args.python]


def measure(net, threads, args, skipped, about):
    """All rounds of one network with one number of threads: each trainer's, and its memory."""
    trainers, began = [], time.time()
    where = f"{net}, {threads} thread(s)"
    try:
        if args.signbit:
            trainers.append(Signbit(net, threads, args))
        for mode in modes(net, args):
            peer = mode.split(":")[0]
            try:
                trainers.append(Peer(mode, net, threads, args))
                about[peer] = trainers[-1].versions
                say(f"{where}: {trainers[-1].name} is warm after {trainers[-1].about['warm_up_s']} s")
            except Failed as error:
                skipped[f"{where}: {mode}"] = str(error)
                say(f"skipped: {where}: {mode}: {error}")
        rounds = {t.name: [] for t in trainers}
        for r in range(args.rounds):
            say(f"{where}: round {r + 1} of {args.rounds} ({time.time() - began:.0f} s)")
            first = r % len(trainers)
            for trainer in trainers[first:] + trainers[:first]:
                rounds[trainer.name].append(turn(trainer, net))
        memory = {t.name: t.memory() for t in trainers}
    finally:
        for trainer in trainers:
            trainer.close()
    return rounds, memory


def summarise(net, threads, rounds, memory):
    """The record of one network with one number of threads."""
    results = []
    for name, ms in rounds.items():
        entry = {"name": name, "median_ms": round(statistics.median(ms), 3),
                 "ms_per_round": [round(v, 3) for v in ms], **memory[name]}
        if name != Signbit.name and Signbit.name in rounds:
            entry["signbit_times_as_fast"] = spread([p / own for p, own in zip(ms, rounds[Signbit.name])], 3)
        results.append(entry)
    fastest = {}
    for peer in PEERS.values():
        own = [e for e in results if e["name"].startswith(peer)]
        if own:
            fastest[peer] = min(own, key=lambda e: e["median_ms"])["name"]
    return {"net": net, "threads": threads, "counted_steps_per_round": STEPS[net][1], "fastest": fastest,
            "results": results}


def table(runs, batch):
    lines = [
        "| network | threads | trained by | ms per step | samples/s | signbit is times as fast (min to max) "
        "| memory, MiB | of it idle |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        for e in run["results"]:
            ratio = e.get("signbit_times_as_fast")
            best = e["name"] in run["fastest"].values()
            cells = [
                run["net"],
                str(run["threads"]),
                f"**{e['name']}** (fastest)" if best else e["name"],
                f"{e['median_ms']:.2f}",
                f"{batch * 1000 / e['median_ms']:,.0f}",
                f"{ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})" if ratio else "",
                f"{e['peak_mib']:.0f}",
                f"{e['idle_mib']:.0f}",
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def mode(word):
    """peer:words, as the table names them."""
    if word.split(":")[0] not in PEERS or word.count(":") != 1:
        raise argparse.ArgumentTypeError(f"{word}: a mode is {' or '.join(f'{peer}:WORDS' for peer in PEERS)}")
    return word


def arguments():
    parser = argparse.ArgumentParser(prog="run", description=__doc__.split("\n\n")[0])
    parser.add_argument("--nets", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--modes", nargs="+", type=mode, metavar="PEER:MODE",
                        help="for all nets, as in pytorch:compile+fused (default: the fastest ones)")
    parser.add_argument("--all", action="store_true", help="the modes too that are not the fastest")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="default: 5")
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--out", type=Path, help="record (default: results/train.json, if nothing was left out)")
    parser.add_argument("--signbit", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--python", nargs="*", default=[], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if min(args.rounds, args.batch, *args.threads) < 1:
        parser.error("--rounds, --batch and --threads are at least 1")
    cores = len(os.sched_getaffinity(0))
    if max(args.threads) > cores:
        parser.error(f"--threads {max(args.threads)}: only {cores} core(s) are to be had here")
    args.python = dict(word.split("=", 1) for word in args.python)
    return args


def is_record(args, about):
    """True if nothing was left out of the comparison."""
    return (args.signbit and args.rounds >= ROUNDS and not args.modes and set(about) == set(PEERS)
            and set(args.nets) == set(STEPS) and {1, 2} <= set(args.threads))


def main():
    args = arguments()
    load = os.getloadavg()[0]
    if load > 0.5:
        say(f"the machine is busy (load {load:.1f}): the figures will be noisy")
    started = datetime.datetime.now(datetime.timezone.utc)
    runs, about = [], {}
    skipped = {peer: "no Python that has it" for peer in PEERS if peer not in args.python}
    try:
        for net in args.nets:
            for threads in args.threads:
                runs.append(summarise(net, threads, *measure(net, threads, args, skipped, about)))
    except Failed as error:
        sys.exit(f"run: {error}")
    print(table(runs, args.batch))

    out = args.out or (RECORD if is_record(args, about) else None)
    if out is None:
        return
    record = {
        "what": "ms per training step, median of each round; memory is the largest resident set",
        "date": started.isoformat(timespec="seconds"),
        "command": command_line("run"),
        "cpu": cpu(),
        "load_before": round(load, 2),
        "versions": {**versions(args.signbit), **about},
        "skipped": skipped,
        "batch": args.batch,
        "rounds": args.rounds,
        "runs": runs,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
