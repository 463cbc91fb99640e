"""What the generators of test cases share: seeds, random numbers, and the folder of one case.

One case is a folder:

    NAME/model.*                  the peer's own file (several where it has more than one form of the same network)
    NAME/input.npy                f32, the batch first
    NAME/output.npy               what the peer computes from it
    NAME/intermediates/*.npy      tensors on the way, where the peer gives them
    NAME/case.json                {"name", "peer", "models", "layout", "note", ...}

and OUT/cases.json lists the case.json of every folder. Only numpy is needed here, of either major version.
"""

import argparse
import json
import pathlib
import shutil
import zlib

import numpy as np

# Odd, below a word, across a word of 32 bits, across one of 64.
CHANNELS = (3, 7, 33, 70)


def arguments(description, grids=("small", "full"), names=False):
    """The command line that every generator has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("out", type=pathlib.Path, metavar="OUT", help="folder that the cases are written to")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--grid", choices=grids, default=grids[0])
    if names:
        parser.add_argument("names", nargs="*", metavar="NAME", help="make only these [default: all]")
    else:
        parser.add_argument("--only", default="", metavar="TEXT", help="make only the cases whose name contains TEXT")
    return parser


def rng(seed, name):
    """Random numbers of one case: the same whichever other cases are made."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def normal(random, shape, scale=1.0):
    return (scale * random.standard_normal(shape)).astype(np.float32)


def dyadic(random, shape, step=1 / 16, largest=2.0):
    """Multiples of a power of two, so that short sums are exact in f32 in any order; zeros among them."""
    steps = int(largest / step)
    return (random.integers(-steps, steps + 1, shape) * step).astype(np.float32)


def signs(random, shape):
    return random.choice(np.array([-1.0, 1.0], np.float32), shape)


def batch_norm(random, channels, scale=1.0, zeros=True, exact=False):
    """gamma, beta, mean, variance as a trained network never has them: gammas of both signs, and some of zero.

    `scale` is the size of what is normalised, e.g. the square root of a dot product's length. `exact` takes powers of
    two for gamma and dyadic shifts, so that the affine function is exact but for the root of the variance.
    """
    if exact:
        gamma = signs(random, channels) * np.float32(2.0) ** random.integers(-2, 3, channels)
        beta = dyadic(random, channels)
        mean = np.round(random.standard_normal(channels) * scale)
        variance = np.ones(channels)
    else:
        gamma = signs(random, channels) * random.uniform(0.3, 1.5, channels)
        beta = 0.5 * random.standard_normal(channels)
        mean = 0.5 * scale * random.standard_normal(channels)
        variance = scale * scale * random.uniform(0.5, 2.0, channels)
    if zeros and channels > 2:
        gamma[random.integers(0, channels)] = 0.0
    return tuple(np.asarray(x, np.float32) for x in (gamma, beta, mean, variance))


def folder(out, name):
    """An empty folder for the case."""
    path = pathlib.Path(out) / name
    if path.exists():
        shutil.rmtree(path)
    path.mkdir(parents=True)
    return path


def save(path, peer, input, output, intermediates=None, layout="NHWC", note="", **more):
    """Write the arrays of a case whose model files are in `path` already, and its case.json."""
    path = pathlib.Path(path)
    np.save(path / "input.npy", np.ascontiguousarray(input, np.float32))
    np.save(path / "output.npy", np.ascontiguousarray(output))
    if intermediates:
        (path / "intermediates").mkdir(exist_ok=True)
        for name, array in intermediates.items():
            np.save(path / "intermediates" / f"{name}.npy", np.ascontiguousarray(array))
    models = sorted(file.name for file in path.iterdir() if file.suffix not in (".npy", ".json", ".toml") and file.is_file())
    case = {"name": path.name, "peer": peer, "models": models, "layout": layout, "note": note, **more}
    write_json(path / "case.json", case)
    return case


def index(out):
    """Write OUT/cases.json anew from the folders that are there."""
    cases = [json.loads(file.read_text()) for file in sorted(pathlib.Path(out).glob("*/case.json"))]
    write_json(pathlib.Path(out) / "cases.json", cases)
    return cases


def write_json(path, value):
    pathlib.Path(path).write_text(json.dumps(value, indent=1, default=str) + "\n")


def write_lines(path, values):
    """A JSON list, one line for each value."""
    lines = ",\n".join(json.dumps(value, default=str) for value in values)
    pathlib.Path(path).write_text(f"[\n{lines}\n]\n")
