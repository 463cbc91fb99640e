#!/usr/bin/env python3
"""Compare the training speed of signbit and PyTorch, interleaved.

Called by `run`, with a Python that has torch and numpy. For each network and
number of threads, one PyTorch process per mode is started, compiles and then
waits. In every round each of them makes a few steps, and `signbit bench-train`
is called once; the order turns from round to round. So whatever else the
machine does in that minute hits all of them alike, and a ratio is taken within
a round. Everything is pinned to as many cores as it has threads.

Writes a Markdown table to stdout. The record of all rounds goes to
results/train.json, unless something was left out (signbit, a network, one of 1
and 2 threads, modes, rounds below seven); --out writes one in any case.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
RECORD = HERE / "results" / "train.json"
# Rounds below which a run is a try, not a record.
ROUNDS = 7
# Steps at the head of each turn that are not counted: the caches belong to the
# one before.
WARM_UP = 2
STEPS = {"mlp": 20, "small-cnn": 3}
MODES = {
    "mlp": ["eager", "eager+fused", "compile+fused", "compile+autotune+fused", "compile-step"],
    "small-cnn": [
        "eager+fused",
        "channels-last+fused",
        "compile+fused",
        "channels-last+compile+fused",
        "channels-last+compile-step",
    ],
}
# glibc gives big blocks back to the kernel and faults them in again in every
# step; keeping them makes PyTorch's convolutions up to a fifth faster. signbit
# runs without this, as it does for its users.
PYTORCH_ENV = {
    "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(16 << 30),
    "MALLOC_TOP_PAD_": str(64 << 20),
}


class Failed(Exception):
    """One of the two sides could not be run."""


def pin(threads):
    """Command words that pin what follows to the last `threads` cores allowed here."""
    cores = sorted(os.sched_getaffinity(0))[-threads:]
    return ["taskset", "-c", ",".join(map(str, cores))]


class PyTorch:
    """One process of train_pytorch.py, compiled and warm once built."""

    def __init__(self, net, mode, threads, batch):
        self.name = f"PyTorch {mode}"
        self.errors = tempfile.TemporaryFile(mode="w+")
        self.process = subprocess.Popen(
            [*pin(threads), sys.executable, str(HERE / "train_pytorch.py"), net, mode,
             str(threads), "--batch", str(batch)],
            env={**os.environ, **PYTORCH_ENV, "OMP_NUM_THREADS": str(threads)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True,
        )
        self.about = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            said = self.errors.read().strip().splitlines()
            raise Failed(f"{self.name}: {said[-1] if said else 'ended without a word'}")
        return json.loads(line)

    def step_ms(self, steps):
        try:
            self.process.stdin.write(f"{steps}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # answer() says why
        return self.answer()["step_ms"]

    def close(self):
        self.process.kill()
        self.process.wait()
        self.errors.close()


class Signbit:
    """`signbit bench-train`, a new process in each round."""

    name = "signbit"

    def __init__(self, binary, net, threads, batch):
        self.command = [*pin(threads), str(binary), "bench-train", net, "--batch", str(batch),
                        "--threads", str(threads), "--json", "--steps"]

    def step_ms(self, steps):
        done = subprocess.run([*self.command, str(steps)], capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            said = done.stderr.strip().splitlines()
            raise Failed(f"signbit bench-train: {said[-1] if said else f'exit status {done.returncode}'}")
        try:
            return json.loads(done.stdout)["step_ms"]
        except (ValueError, KeyError, TypeError) as err:
            raise Failed(f"signbit bench-train: its output has no step_ms ({err})") from err

    def close(self):
        pass


def turn(trainer, steps):
    """Median ms per step of one turn of one trainer."""
    times = trainer.step_ms(WARM_UP + steps)
    if len(times) != WARM_UP + steps:
        raise Failed(f"{trainer.name}: asked for {WARM_UP + steps} steps, {len(times)} came back")
    return statistics.median(times[WARM_UP:])


def measure(net, threads, args):
    """All rounds of one network with one number of threads."""
    trainers = []
    try:
        if args.signbit:
            trainers.append(Signbit(args.signbit, net, threads, args.batch))
        for mode in args.modes or MODES[net]:
            print(f"{net}, {threads} thread(s): starting PyTorch {mode}", file=sys.stderr)
            trainers.append(PyTorch(net, mode, threads, args.batch))
        rounds = {t.name: [] for t in trainers}
        for r in range(args.rounds):
            print(f"{net}, {threads} thread(s): round {r + 1} of {args.rounds}", file=sys.stderr)
            first = r % len(trainers)
            for trainer in trainers[first:] + trainers[:first]:
                rounds[trainer.name].append(turn(trainer, STEPS[net]))
        about = next((t.about for t in trainers if isinstance(t, PyTorch)), {})
    finally:
        for trainer in trainers:
            trainer.close()
    return rounds, about


def summarise(net, threads, rounds):
    """The record of one network with one number of threads."""
    results = []
    for name, ms in rounds.items():
        entry = {"name": name, "median_ms": round(statistics.median(ms), 3),
                 "ms_per_round": [round(v, 3) for v in ms]}
        if name != Signbit.name and Signbit.name in rounds:
            ratio = [peer / own for peer, own in zip(ms, rounds[Signbit.name])]
            entry["signbit_times_as_fast"] = {
                "min": round(min(ratio), 3),
                "median": round(statistics.median(ratio), 3),
                "max": round(max(ratio), 3),
            }
        results.append(entry)
    peers = [e for e in results if e["name"] != Signbit.name]
    fastest = min(peers, key=lambda e: e["median_ms"])["name"] if peers else None
    return {"net": net, "threads": threads, "counted_steps_per_round": STEPS[net],
            "fastest_peer": fastest, "results": results}


def table(runs, batch):
    lines = [
        "| network | threads | trained by | ms per step | samples/s | signbit is times as fast (min to max) |",
        "|---|---|---|---|---|---|",
    ]
    for run in runs:
        for e in run["results"]:
            ratio = e.get("signbit_times_as_fast")
            best = e["name"] == run["fastest_peer"]
            cells = [
                run["net"],
                str(run["threads"]),
                f"**{e['name']}** (fastest)" if best else e["name"],
                f"{e['median_ms']:.2f}",
                f"{batch * 1000 / e['median_ms']:,.0f}",
                f"{ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})" if ratio else "",
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def output_of(*command):
    """What a command prints, or None if it cannot be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=HERE)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def cpu():
    """Model, number of cores and vector instruction sets of this machine."""
    fields = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    sets = [f for f in fields.get("flags", fields.get("Features", "")).split()
            if f.startswith(("avx", "amx", "fma", "asimd", "sve"))]
    return {
        "model": fields.get("model name", platform.machine()),
        "family_model_stepping": [fields.get(k) for k in ("cpu family", "model", "stepping")],
        "cores": len(os.sched_getaffinity(0)),
        "vector_sets": sets,
    }


def versions(signbit, about):
    commit = output_of("git", "rev-parse", "--short=12", "HEAD")
    if commit and output_of("git", "status", "--porcelain", "--untracked-files=no"):
        commit += " with changes"
    return {
        "signbit": output_of(str(signbit), "--version") if signbit else None,
        "commit": commit,
        "rustc": output_of("rustc", "--version"),
        **{k: about.get(k) for k in ("torch", "numpy", "python", "cpu_capability")},
        "kernel": platform.release(),
    }


def arguments():
    parser = argparse.ArgumentParser(prog="run", description=__doc__.split("\n\n")[0])
    parser.add_argument("--nets", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--modes", nargs="+", help="of PyTorch, for all nets (default: those worth a look)")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--out", type=Path, help="record (default: results/train.json, if nothing was left out)")
    parser.add_argument("--signbit", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if min(args.rounds, args.batch, *args.threads) < 1:
        parser.error("--rounds, --batch and --threads are at least 1")
    cores = len(os.sched_getaffinity(0))
    if max(args.threads) > cores:
        parser.error(f"--threads {max(args.threads)}: only {cores} core(s) are to be had here")
    return args


def is_record(args):
    """True if nothing was left out of the comparison."""
    return (args.signbit and args.rounds >= ROUNDS and not args.modes
            and set(args.nets) == set(STEPS) and {1, 2} <= set(args.threads))


def main():
    args = arguments()
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"the machine is busy (load {load:.1f}): the figures will be noisy", file=sys.stderr)
    started = datetime.datetime.now(datetime.timezone.utc)
    runs, about = [], {}
    try:
        for net in args.nets:
            for threads in args.threads:
                rounds, about = measure(net, threads, args)
                runs.append(summarise(net, threads, rounds))
    except (Failed, subprocess.TimeoutExpired) as err:
        sys.exit(f"run: {err}")
    print(table(runs, args.batch))

    out = args.out or (RECORD if is_record(args) else None)
    if out is None:
        return
    own = [a for a in os.environ.get("PEERS_ARGS", "").split("\n") if a]
    record = {
        "what": "ms per training step, median of each round",
        "date": started.isoformat(timespec="seconds"),
        "command": " ".join(["benches/peers/run", *own]),
        "cpu": cpu(),
        "load_before": round(load, 2),
        "versions": versions(args.signbit, about),
        "batch": args.batch,
        "rounds": args.rounds,
        "runs": runs,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
