"""Larq Compute Engine: whole networks. Variants: default, indirect, indirect+xnnpack."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from importlib.metadata import version
from pathlib import Path

import numpy as np
from larq_compute_engine.tflite.python.interpreter import Interpreter

from serve import Job, array, serve


def prepare(case, variant):
    words = variant.split("+")
    net = Interpreter(Path(case["tflite"]).read_bytes(), num_threads=1, use_indirect_bgemm="indirect" in words,
                      use_xnnpack="xnnpack" in words).interpreter
    x = array(case["input"], case["shape"])
    run = lambda: net.predict([x])  # noqa: E731
    return Job(run, lambda: np.asarray(run()[0]))


if __name__ == "__main__":
    serve(prepare, larq_compute_engine=version("larq-compute-engine"), numpy=np.__version__)
