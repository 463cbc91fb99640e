"""What both comparisons share: processes that run on demand, and what a record tells about the machine."""

import json
import os
import platform
import statistics
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


class Failed(Exception):
    """A contender could not do what it was asked."""


def pinned(command, threads=1):
    """The command on the last cores allowed here. (taskset becomes the process.)"""
    cores = sorted(os.sched_getaffinity(0))[-threads:]
    return ["taskset", "-c", ",".join(map(str, cores)), *map(str, command)]


def parsed(line):
    told = json.loads(line)
    if "failed" in told:
        raise Failed(told["failed"])
    return told


class Process:
    """One process; `ask` sends a request and waits for the answer."""

    def __init__(self, command, env, threads=1):
        self.errors = tempfile.TemporaryFile(mode="w+")
        self.process = subprocess.Popen(pinned(command, threads), env={**os.environ, **env}, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.errors, text=True)

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            said = self.errors.read().strip().splitlines()
            raise Failed(said[-1][:200] if said else "its process ended without a word")
        return parsed(line)

    def ask(self, request):
        try:
            self.process.stdin.write(f"{request}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # answer() says why
        return self.answer()

    def peak_mib(self):
        """The most memory that it had until now. (Not ru_maxrss, which keeps what the parent had when it forked.)"""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM:"))

    def close(self):
        self.process.kill()
        self.process.wait()
        self.errors.close()


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


def versions(signbit):
    """Of signbit and what it runs on."""
    commit = output_of("git", "rev-parse", "--short=12", "HEAD")
    if commit and output_of("git", "status", "--porcelain", "--untracked-files=no"):
        commit += " with changes"
    return {"signbit": output_of(str(signbit), "--version") if signbit else None, "commit": commit,
            "rustc": output_of("rustc", "--version"), "kernel": platform.release()}


def command_line(script):
    """The command line of the record. Of files and folders their names: where they lie is this machine's affair."""
    own = [Path(a).name for a in os.environ.get("PEERS_ARGS", "").split("\n") if a]
    return " ".join([f"benches/peers/{script}", *own])


def spread(values, digits=4):
    found = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: round(value, digits) for name, value in found.items()}
