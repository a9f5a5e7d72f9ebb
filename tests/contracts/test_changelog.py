"""The newest entry of the changelog is the package's version."""

from __future__ import annotations

import re
from pathlib import Path

import graphspec as gs


def test_the_newest_entry_is_this_version() -> None:
    text = (Path(__file__).parent.parent.parent / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", text, flags=re.MULTILINE)
    assert versions[0] == gs.__version__
