#!/usr/bin/env python3
"""Compare every model of the zoo with its reference and write the tables of docs/zoo.md.

    python scripts/make_zoo_table.py              # renews docs/zoo.md, in about a minute
    python scripts/make_zoo_table.py --check      # writes nothing; exit code 1 if it would

The references are those of the tests (tests/zoo). Each gets random weights, the compiled spec gets
the same ones, and both see the same random inputs. The difference is the largest one of any output,
relative to the largest output where that is above 1; it may vary with the processor and torch.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "zoo.md"
sys.path.insert(0, str(ROOT))

from tests.zoo.parity import Case, compare  # noqa: E402 - the tests are no installed package
from tests.zoo.references import MULTITASK, OTHERS, TORCHVISION  # noqa: E402

HEAD = "| model | lines | parameters | largest difference |\n|---|--:|--:|--:|\n"
GROUPS: Mapping[str, Mapping[str, Callable[[], Case]]] = {
    "torchvision": TORCHVISION,
    "multi-task": MULTITASK,
    "others": OTHERS,
}
"""The tables of the page by the name in the comment that stands before each."""


def lines_of(text: str) -> int:
    """Return the number of lines that say something: neither blank nor comment only."""
    return sum(
        bool(line.strip()) and not line.lstrip().startswith("#") for line in text.split("\n")
    )


def row(name: str, make: Callable[[], Case]) -> str:
    """Return the line of one model."""
    file = ROOT / "specs" / f"{name}.yaml"
    found = compare(name, make)
    if found.parameters != found.expected_parameters or found.difference > found.tolerance:
        message = f"{name} is not its reference: {found}"
        raise SystemExit(message)
    link = f"[{name.removeprefix('zoo/')}](../specs/{name}.yaml)"
    difference = "0" if found.difference == 0 else f"{found.difference:.0e}"
    lines = lines_of(file.read_text(encoding="utf-8"))
    return f"| {link} | {lines} | {found.parameters:,} | {difference} |\n"


def renewed(page: str) -> str:
    """Return the page with the table after each ``<!-- table: NAME -->`` made anew."""
    for group, cases in GROUPS.items():
        table = HEAD + "".join(row(name, make) for name, make in cases.items())
        mark = f"<!-- table: {group} -->\n"
        before, _, after = page.partition(mark)
        page = before + mark + table + re.sub(r"\A(\|.*\n)*", "", after)
    return page


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    old = PAGE.read_text(encoding="utf-8")
    check = parser.parse_args().check
    new = renewed(old)
    if not check:
        PAGE.write_text(new, encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)}: {'as it was' if new == old else 'other tables'}")
    return int(check and new != old)


if __name__ == "__main__":
    sys.exit(main())
