"""What was read is not read again while nothing changed, and is when anything did."""

from __future__ import annotations

import os
import time
from pathlib import Path

from graphspec.data import tree
from graphspec.data.recent import Recent


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_it_is_made_again_when_a_source_changes(tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_text("one")
    made: list[str] = []
    recent: Recent[str] = Recent()

    def make() -> tuple[str, list[Path]]:
        made.append(source.read_text())
        return made[-1], [source]

    for _ in range(2):
        assert recent.get(source, make) == "one"
    assert len(made) == 2  # it was changed just now, so its time is not trusted
    age(source, 10)
    for _ in range(3):
        assert recent.get(source, make) == "one"
    assert len(made) == 3
    source.write_text("two")
    assert recent.get(source, make) == "two"
    age(source, 20)
    assert recent.get(source, make) == "two"
    assert recent.get(tmp_path, lambda: ("other", [])) == "other"


def test_a_tree_is_walked_again_when_a_folder_in_it_changes(tmp_path: Path) -> None:
    for name in ("x/a", "x/b"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "1.png").touch()
    for folder in (tmp_path, tmp_path / "x", tmp_path / "x/a", tmp_path / "x/b"):
        age(folder, 10)
    first = tree.walk(tmp_path)
    assert tree.walk(tmp_path) is first
    (tmp_path / "x/b/2.png").touch()
    again = tree.walk(tmp_path)
    assert again is not first
    assert len(again.names) == 3
