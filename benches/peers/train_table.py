#!/usr/bin/env python3
"""Writes the README's tables of training from results/train.json, between the two comments that mark them.

Each ratio is a peer's time over signbit's, within a round: the median of the rounds, smallest to largest. Of several modes of
a peer, the fastest one counts; its memory is in the second table.
"""

import json

from common import HERE
from compare_train import PEERS
from tables import head, row, times, write

# A mode's words as the README tells them. "function" goes without saying.
WORDS = {"eager": "eager", "compile": "`torch.compile`", "compile-step": "`torch.compile` with the optimiser",
         "autotune": "max-autotune", "channels-last": "channels_last", "fused": "fused Adam", "jit": "XLA",
         "legacy-adam": "legacy Adam", "function": "`tf.function`"}


def told(name):
    return ", ".join(WORDS[word] for word in name.split(" ")[1].split("+"))


def named(run):
    return {result["name"]: result for result in run["results"]}


def best(run, peer):
    """The fastest mode's result, or None where the peer was skipped."""
    return named(run).get(run["fastest"].get(peer))


def speed_cells(result):
    if not result:
        return ["", "", ""]
    return [told(result["name"]), f"{result['median_ms']:.1f}", times(result["signbit_times_as_fast"], 2)]


def memory_cell(result):
    return f"{result['net_mib']:.0f} ({result['peak_mib']:.0f})" if result else ""


def speed(runs, batch):
    columns = [c for peer in PEERS.values() for c in (f"{peer}'s fastest mode", "ms per step", "times as fast (min to max)")]
    text = head("network", "threads", "signbit, ms per step", *columns)
    for run in runs:
        cells = [cell for peer in PEERS.values() for cell in speed_cells(best(run, peer))]
        text += row(f"`{run['net']}`, batch {batch}", str(run["threads"]), f"{named(run)['signbit']['median_ms']:.1f}", *cells)
    return text


def memory(runs):
    text = head("network", "threads", "signbit, MiB", *(f"{peer}, MiB (with the framework)" for peer in PEERS.values()))
    for run in runs:
        own = named(run)["signbit"]["net_mib"]
        text += row(f"`{run['net']}`", str(run["threads"]), f"{own:.0f}", *(memory_cell(best(run, p)) for p in PEERS.values()))
    return text


def main():
    record = json.loads((HERE / "results" / "train.json").read_text())
    write("train_table.py", speed(record["runs"], record["batch"]) + "\n" + memory(record["runs"]))


if __name__ == "__main__":
    main()
