"""The processes that run on demand, pinned to one core: the peers' (serve.py) and signbit's (example on_demand)."""

import json
import os
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}


class Failed(Exception):
    """A peer could not do what it was asked."""


def pinned(command):
    """The command on the last core allowed here."""
    return ["taskset", "-c", str(max(os.sched_getaffinity(0))), *map(str, command)]


def parsed(line):
    told = json.loads(line)
    if "failed" in told:
        raise Failed(told["failed"])
    return told


class Process:
    """One process; `ask` sends a request and waits for the answer."""

    def __init__(self, command):
        self.errors = tempfile.TemporaryFile(mode="w+")
        self.process = subprocess.Popen(pinned(command), env={**os.environ, **ONE_THREAD}, stdin=subprocess.PIPE,
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
            self.process.stdin.write(request + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # answer() says why
        return self.answer()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.errors.close()


def fresh(peer, command, requests):
    """A fresh process that answers these requests: the answers, and the most memory that it had until then, in MiB."""
    process = Process(command)
    try:
        if peer != "signbit":
            process.answer()  # what it says about itself, after its imports
        answers = [process.ask(request) for request in requests]
        # Not ru_maxrss, which keeps what the parent had when it forked. (taskset becomes the process.)
        status = Path(f"/proc/{process.process.pid}/status").read_text()
    finally:
        process.close()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return answers, int(peak.split()[1]) / 1024


class Python:
    """A peer in Python: one process for all its variants."""

    def __init__(self, python, module):
        self.command = [python, HERE / f"peer_{module}.py"]
        self.process = Process(self.command)
        try:
            self.about = self.process.answer()
        except Failed:
            self.close()
            raise

    IDLE = json.dumps({"do": "idle", "variant": None})

    @staticmethod
    def request(do, variant, **more):
        return json.dumps({"do": do, "variant": variant, **more})

    def prepare(self, case, variant):
        return self.process.ask(self.request("prepare", variant, case=case))

    def run(self, variant, seconds, least):
        return self.process.ask(self.request("run", variant, seconds=seconds, least=least))

    def output(self, variant, path):
        self.process.ask(self.request("output", variant, file=str(path)))

    def close(self):
        self.process.close()


class Signbit:
    """signbit; variants f32 (f32 to f32) and packed (the kernel alone, bits to bits)."""

    IDLE = "idle"

    def __init__(self, on_demand):
        self.command = [on_demand]
        self.process = Process(self.command)
        self.ready = None
        self.about = {}

    @staticmethod
    def request(case):
        if case["kind"] in ("network", "chain"):
            words = ["model", case["signbit"], case["shape"][0], case["input"]]
        else:
            words = ["layer", *(case[k] for k in ("n", "h", "w", "c_in", "c_out", "kernel", "input", "weight"))]
        return "\t".join(map(str, words))

    def prepare(self, case, _variant):
        if self.ready != case["name"]:
            self.about = self.process.ask(self.request(case))
            self.ready = case["name"]
        return self.about

    def run(self, variant, seconds, least):
        return self.process.ask(f"run\t{variant}\t{seconds}\t{least}")

    def output(self, _variant, path):
        self.process.ask(f"output\t{path}")

    def twin(self, model, path):
        self.process.ask(f"twin\t{model}\t{path}")

    def close(self):
        self.process.close()
