"""The processes that run on demand, pinned to one core: the peers' (serve.py) and signbit's (example on_demand)."""

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from common import Failed, Process  # noqa: E402

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}


def fresh(peer, command, requests):
    """A fresh process that answers these requests: the answers, and the most memory that it had until then, in MiB."""
    process = Process(command, ONE_THREAD)
    try:
        if peer != "signbit":
            process.answer()  # what it says about itself, after its imports
        answers = [process.ask(request) for request in requests]
        return answers, process.peak_mib()
    finally:
        process.close()


class Python:
    """A peer in Python: one process for all its variants."""

    def __init__(self, python, module):
        self.command = [python, HERE / f"peer_{module}.py"]
        self.process = Process(self.command, ONE_THREAD)
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
    """signbit; variants f32 (f32 to f32), packed (the kernel alone, bits to bits), winograd (f32 to f32, large real
    convolutions by minimal filtering)."""

    IDLE = "idle"

    def __init__(self, on_demand):
        self.command = [on_demand]
        self.process = Process(self.command, ONE_THREAD)
        self.ready = None
        self.about = {}

    @staticmethod
    def request(case):
        if case["kind"] in ("network", "chain"):
            words = ["model", case["signbit"], case["shape"][0], case["input"]]
        else:
            words = ["layer", *(case[k] for k in ("n", "h", "w", "c_in", "c_out", "kernel", "input", "weight"))]
        return "\t".join(map(str, words))

    def prepare(self, case, variant):
        if self.ready != case["name"]:
            self.about = self.process.ask(self.request(case))
            self.ready = case["name"]
        if variant == "winograd":
            self.process.ask("winograd")
        return self.about

    def run(self, variant, seconds, least):
        return self.process.ask(f"run\t{variant}\t{seconds}\t{least}")

    def output(self, variant, path):
        self.process.ask(f"output\t{variant}\t{path}")

    def twin(self, model, path):
        self.process.ask(f"twin\t{model}\t{path}")

    def close(self):
        self.process.close()
