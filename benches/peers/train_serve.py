"""What the processes that train on demand share: the command line, and the loop of steps.

The command line is NET MODE THREADS [--batch N]; a mode is words joined by "+". The process builds the network, compiles
and warms up, and prints one JSON line about itself. For each line on stdin that holds a number k it then makes k training
steps and prints {"step_ms": [k times], "loss": last}. It ends when stdin does.
"""

import argparse
import json
import os
import sys
import time

# Steps before the first turn: they compile, and make what the optimiser keeps.
WARM_UP = 2


def arguments(doc, nets, words):
    """net, words (a set), threads and batch."""
    parser = argparse.ArgumentParser(description=doc.split("\n\n")[0])
    parser.add_argument("net", choices=nets)
    parser.add_argument("mode")
    parser.add_argument("threads", type=int)
    parser.add_argument("--batch", type=int, default=100)
    args = parser.parse_args()
    args.words = set(args.mode.split("+"))
    if args.words - words:
        parser.error(f"no such mode: {args.mode}")
    return args


def peak_mib():
    """The most memory that this process had until now."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:"))


def serve(build, **about):
    """`build()` gives a step, which returns the loss, and the binary layers' latent weights as arrays, by a function."""
    # What libraries print is not an answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def tell(what):
        answers.write(json.dumps(what) + "\n")
        answers.flush()

    idle, start = peak_mib(), time.perf_counter()
    step, latent = build()
    for _ in range(WARM_UP):
        step()
    if max(abs(weights).max() for weights in latent()) > 1.0:
        sys.exit("the latent weights were not clipped")
    with open("/proc/self/clear_refs", "w") as peak:
        peak.write("5")  # what compilers took is forgotten
    tell({"python": sys.version.split()[0], **about, "idle_mib": round(idle, 1),
          "warm_up_s": round(time.perf_counter() - start, 1)})
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            start = time.perf_counter()
            loss = step()
            times.append(round((time.perf_counter() - start) * 1e3, 4))
        tell({"step_ms": times, "loss": round(float(loss), 4)})
