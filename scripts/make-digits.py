#!/usr/bin/env python3
"""Make the bundled digits (IDX files) from the scikit-learn wheel.

Usage: scripts/make-digits.py [--check] [WHEEL]

Reads `sklearn/datasets/data/digits.csv.gz` out of the wheel (fetched with
`pip download` when none is given; nothing is installed) and writes

    images.idx3.gz   1797 x 8 x 8 bytes, value = round(v * 255 / 16)
    labels.idx1.gz   1797 bytes, 0..9

into crates/signbit-train/src/data/digits/. The pictures keep their order. The
gzip headers carry no time and no name, so that the files are the same bytes
every time. --check writes nothing and fails if the files differ from what the
wheel gives.
"""

import argparse
import gzip
import hashlib
import subprocess
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path

OUT = Path(__file__).resolve().parent.parent / "crates/signbit-train/src/data/digits"
PACKAGE = "scikit-learn==1.9.1"
MEMBER = "sklearn/datasets/data/digits.csv.gz"
# Of the uncompressed table: it is the same in every release that has it.
CSV_SHA256 = "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8"
ROWS, SIDE = 1797, 8


def fetch_wheel(folder):
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
         "--only-binary", ":all:", "--dest", folder, PACKAGE],
        check=True,
    )
    return next(Path(folder).glob("*.whl"))


def read_table(wheel):
    """Rows of 64 values 0..16 and a label."""
    with zipfile.ZipFile(wheel) as archive:
        table = gzip.decompress(archive.read(MEMBER))
    got = hashlib.sha256(table).hexdigest()
    if got != CSV_SHA256:
        sys.exit(f"make-digits: {MEMBER} has SHA-256 {got}, not {CSV_SHA256}")
    return [[int(v) for v in line.split(b",")] for line in table.split()]


def idx(dims, values):
    """An IDX file of unsigned bytes: magic, dimensions (big endian), values."""
    header = bytes([0, 0, 8, len(dims)])
    return header + b"".join(d.to_bytes(4, "big") for d in dims) + bytes(values)


def gzip_bytes(data):
    """gzip -9 with time 0, no name, system "Unix".

    The header is written here: what the gzip module puts into it depends on the
    version of Python.
    """
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15, 9)
    body = deflate.compress(data) + deflate.flush()
    tail = zlib.crc32(data).to_bytes(4, "little") + len(data).to_bytes(4, "little")
    return bytes([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 2, 3]) + body + tail


def make(rows):
    assert len(rows) == ROWS and all(len(r) == SIDE * SIDE + 1 for r in rows)
    assert all(0 <= v <= 16 for r in rows for v in r[:-1])
    # Halves occur for v = 8 alone (127.5) and go up.
    pixels = [(v * 255 + 8) // 16 for r in rows for v in r[:-1]]
    return {
        "images.idx3.gz": idx((ROWS, SIDE, SIDE), pixels),
        "labels.idx1.gz": idx((ROWS,), [r[-1] for r in rows]),
    }


def check(name, data):
    """A complaint about the file as it is in the tree, or None."""
    there = (OUT / name).read_bytes()
    if there == gzip_bytes(data):
        return None
    if gzip.decompress(there) == data:
        return f"{name}: the content is the same, this zlib compresses it to other bytes"
    return f"{name}: the content differs"


def main():
    parser = argparse.ArgumentParser(prog="make-digits.py", description=__doc__.split("\n\n")[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("wheel", nargs="?", type=Path, help=f"a wheel of {PACKAGE.split('=')[0]}")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = make(read_table(args.wheel or fetch_wheel(folder)))
    if args.check:
        wrong = [w for w in (check(name, data) for name, data in files.items()) if w]
        for line in wrong:
            print(f"make-digits: {line}", file=sys.stderr)
        return 1 if wrong else 0
    OUT.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (OUT / name).write_bytes(gzip_bytes(data))
    return 0


if __name__ == "__main__":
    sys.exit(main())
