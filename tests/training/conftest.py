"""A tiny data set, a tiny spec, and an observer that remembers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphspec import compiler
from graphspec.data.source import Part, Raw, Source
from graphspec.data.sources import SOURCES
from graphspec.language.signature import InputSpec, Signature, TaskSpec
from graphspec.training import curves
from graphspec.training.observer import Header, Progress, Record

PARENTS = (0, 0, 1, 1, 2, 2)

SPEC = """\
graphspec: 1
name: tiny
description: A <b>small</b> one & quick.
data: {source: tiny, augment: crop-flip, validation: 0.25}
tasks: {fine: {weight: 2}, coarse: {weight: 1}}
train: {epochs: 2, batch_size: 32, lr: 0.01}
nodes:
  trunk: {op: conv, from: image, channels: [[4]]}
  features: {op: fc, from: trunk, units: [12], dropout: 0.25}
  fine_label: {op: head, from: features, task: fine}
  coarse_label: {op: head, from: features, task: coarse}
"""


class Notes:
    """An observer that keeps what it is told, and can act on it."""

    def __init__(self, on_step: Callable[[Progress], None] | None = None) -> None:
        self.headers: list[Header] = []
        self.steps: list[Progress] = []
        self.records: list[Record] = []
        self.warnings: list[str] = []
        self.summaries: list[Mapping[str, Any]] = []
        self._on_step = on_step

    def start(self, header: Header) -> None:
        self.headers.append(header)

    def step(self, progress: Progress) -> None:
        self.steps.append(progress)
        if self._on_step:
            self._on_step(progress)

    def epoch(self, records: Sequence[Record]) -> None:
        self.records += records

    def warning(self, text: str) -> None:
        self.warnings.append(text)

    def end(self, summary: Mapping[str, Any]) -> None:
        self.summaries.append(summary)


def register_tiny() -> None:
    """Register a source of 8x8 images whose brightness in one of six places is their class."""
    tasks = {
        "fine": TaskSpec(6, ("a", "b", "c", "d", "e", "f"), "coarse", PARENTS),
        "coarse": TaskSpec(3, ("ab", "cd", "ef")),
    }
    source = Source(
        name="tiny",
        title="Tiny",
        signature=Signature({"image": InputSpec((1, 8, 8))}, tasks),
        read=lambda root: Raw(_part(128, seed=1), _part(48, seed=2), root or Path("nowhere")),
        fingerprint="",
        origin=__name__,
    )
    SOURCES.add("tiny", source, override=True)


@pytest.fixture(autouse=True)
def tiny() -> Iterator[None]:
    register_tiny()
    yield
    SOURCES._items.pop("tiny")


def _part(number: int, seed: int) -> Part:
    generator = np.random.default_rng(seed)
    fine = np.arange(number, dtype=np.int64) % 6
    images = generator.integers(0, 90, (number, 1, 8, 8), dtype=np.uint8)
    for image, label in zip(images, fine, strict=True):
        row, column = divmod(int(label), 3)
        image[0, 1 + 4 * row : 3 + 4 * row, 1 + 2 * column : 3 + 2 * column] += 160
    coarse = np.array(PARENTS, dtype=np.int64)[fine]
    return Part({"image": images}, {"fine": fine, "coarse": coarse})


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(SPEC)
    return path


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave diagram and curves out, where a test is not about them: they take most of the time."""

    def render(graph: Any, path: Path) -> Path:
        path.write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
        return path

    monkeypatch.setattr(compiler, "render", render)
    monkeypatch.setattr(curves, "draw", lambda *arguments, **options: b"picture")
