"""The loop of a peer's process: requests on stdin, one line of JSON each, answers on stdout.

    {"do": "prepare", "case": {...}, "variant": "f32"}    {"first_ms": ...}, or {"failed": why}
    {"do": "run", "variant": "f32", "seconds": 0.2, "least": 3}
                                                          {"wall_ms": median, "cpu_ms": per run, "runs": n}
    {"do": "idle", "variant": null}                       {}
    {"do": "output", "variant": "f32", "file": F}         writes the output, f32, NHWC

A case is a dictionary of compare.py; arrays in it are files of little-endian f32, activations NHWC, weights OHWI.
"""

import json
import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np


class Job:
    """A layer or a network that is ready to run."""

    # A function that runs once and tells the seconds that count, where that is not the time of the whole run.
    measured = None

    def __init__(self, run, output):
        self.run, self.output = run, output


def array(path, shape):
    return np.fromfile(path, "<f4").reshape(shape)


def layer_arrays(case):
    """Input [N, H, W, C] or [N, C], and weights [O, kh, kw, I] or [O, I], of ±1."""
    k = case["kernel"]
    if case["kind"] == "dense":
        return array(case["input"], (case["n"], case["c_in"])), array(case["weight"], (case["c_out"], case["c_in"]))
    x = array(case["input"], (case["n"], case["h"], case["w"], case["c_in"]))
    return x, array(case["weight"], (case["c_out"], k, k, case["c_in"]))


def nchw(x):
    return np.ascontiguousarray(np.moveaxis(x, -1, 1)) if x.ndim == 4 else x


def nhwc(x):
    return np.moveaxis(x, 1, -1) if x.ndim == 4 else x


def turn(job, seconds, least):
    """Runs for so many seconds: the median wall time of a run, and the CPU time of one."""
    job.run()
    times, cpu, start = [], time.process_time(), time.perf_counter()
    while len(times) < least or time.perf_counter() - start < seconds:
        if job.measured:
            times.append(job.measured())
            continue
        began = time.perf_counter()
        job.run()
        times.append(time.perf_counter() - began)
    cpu = (time.process_time() - cpu) / len(times)
    return {"wall_ms": 1e3 * statistics.median(times), "cpu_ms": None if job.measured else 1e3 * cpu,
            "runs": len(times)}


def answer(request, jobs, prepare):
    variant = request["variant"]
    if request["do"] == "idle":
        return {}
    if request["do"] == "prepare":
        jobs.pop(variant, None)
        began = time.perf_counter()
        jobs[variant] = prepare(request["case"], variant)
        jobs[variant].run()
        return {"first_ms": 1e3 * (time.perf_counter() - began)}
    if request["do"] == "run":
        return turn(jobs[variant], request["seconds"], request["least"])
    output = np.ascontiguousarray(jobs[variant].output(), "<f4")
    Path(request["file"]).write_bytes(output.tobytes())
    return {}


def serve(prepare, **about):
    """Answers until stdin ends. `prepare(case, variant)` gives a Job."""
    # What libraries print is not an answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def tell(what):
        answers.write(json.dumps(what) + "\n")
        answers.flush()

    tell({"python": sys.version.split()[0], **about})
    jobs = {}
    for line in sys.stdin:
        try:
            tell(answer(json.loads(line), jobs, prepare))
        except Exception as error:  # whatever a library raises: this case is left out, the next may do
            said = str(error).strip().splitlines()
            tell({"failed": f"{type(error).__name__}: {said[0][:200] if said else ''}"})
