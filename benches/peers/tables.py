"""Markdown tables, and their place in the project's README."""

import re
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "README.md"


def row(*cells):
    return "| " + " | ".join(cells) + " |\n"


def head(*cells):
    return row(*cells) + "|---" * len(cells) + "|\n"


def times(ratio, digits=1):
    """A ratio: the median of the rounds, smallest and largest."""
    return "{:.{d}f} ({:.{d}f} to {:.{d}f})".format(ratio["median"], ratio["min"], ratio["max"], d=digits)


def write(script, text):
    """Puts the text between the two comments that mark the place of what this script makes."""
    begin, end = f"<!-- made by benches/peers/{script} from the record -->\n", "<!-- end -->\n"
    readme = README.read_text()
    new, count = re.subn(re.escape(begin) + ".*?" + re.escape(end), lambda _: f"{begin}\n{text}\n{end}", readme, flags=re.S)
    if count != 1:
        raise SystemExit(f"{README.name} has no place for the tables of {script}")
    README.write_text(new)
