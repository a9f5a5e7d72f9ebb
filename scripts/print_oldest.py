#!/usr/bin/env python3
"""Print the oldest versions that pyproject.toml admits, as constraints for pip.

    python scripts/print_oldest.py > oldest.txt
    pip install -c oldest.txt -e '.[dev]'

`make test-oldest` does that in a venv of its own and runs the tests there.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_COMPANIONS = ("pyparsing<3.3",)
"""What the oldest need besides: matplotlib of that time uses names that newer ones warn of."""
_BOUND = re.compile(r"^(?P<name>[\w-]+)(\[[\w,]+\])?>=(?P<version>[\w.]+)$")


def oldest(project: dict[str, Any]) -> list[str]:
    """Return a line ``NAME==VERSION`` for each requirement that has a lower bound, and companions.

    Args:
        project: The table ``[project]`` of pyproject.toml.
    """
    extras = project["optional-dependencies"].values()
    stated = [*project["dependencies"], *(each for extra in extras for each in extra)]
    bounds = filter(None, map(_BOUND.match, stated))
    exact = {f"{bound['name']}=={bound['version']}" for bound in bounds}
    return sorted({*exact, *_COMPANIONS}, key=str.lower)


def main() -> None:
    """Print them."""
    if sys.version_info < (3, 11):
        raise SystemExit("print_oldest.py needs Python 3.11 or newer")
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    print("\n".join(oldest(project)))


if __name__ == "__main__":
    main()
