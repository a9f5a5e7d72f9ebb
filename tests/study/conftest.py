"""Tiny specs on tiny data, an engine that works in this process, a watcher that remembers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from graphspec.study import worker
from graphspec.study.board import Board, Entry
from graphspec.study.jobs import Job
from tests.training.conftest import no_pictures as no_pictures

BASE = """\
graphspec: 1
vars: {width: 8}
data: {source: arrays, path: data.npz, validation: 0.25}
tasks: {fine: {weight: 2, parent: coarse}, coarse: {}}
train: {epochs: 2, batch_size: 16, lr: 0.01}
"""

SHARED = """\
graphspec: 1
extends: base.yaml
name: shared
nodes:
  trunk: {op: fc, from: x, units: [=width, =width]}
  fine_label: {op: head, from: trunk, task: fine}
  coarse_label: {op: head, from: trunk, task: coarse}
"""

APART = """\
graphspec: 1
extends: base.yaml
name: apart
nodes:
  trunk: {op: fc, from: x, units: [=width, =width]}
  other: {op: fc, from: x, units: [=width, =width]}
  fine_label: {op: head, from: trunk, task: fine}
  coarse_label: {op: head, from: other, task: coarse}
"""


def write_data(path: Path, count: int = 120) -> None:
    """Write samples of six numbers, of which the largest is the fine class."""
    x = np.random.default_rng(0).normal(size=(count, 6)).astype("float32")
    fine = x.argmax(1)
    np.savez(path, x=x, fine=fine, coarse=fine // 2)


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, which is the current one, with two specs and their data."""
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path / "data.npz")
    for name, text in (("base", BASE), ("shared", SHARED), ("apart", APART)):
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


class Ended:
    """A handle of what has ended already."""

    def __init__(self, code: int) -> None:
        self._code = code

    def poll(self) -> int | None:
        return self._code

    def stop(self) -> None:
        """There is nothing to stop."""

    kill = stop


class Here:
    """An engine that trains in this process, one run after the other.

    Attributes:
        started: The runs it was given.
    """

    name = "here"
    threads = 1
    queues = False

    def __init__(self, before: Callable[[Job], None] | None = None) -> None:
        self.slots: int | None = 1
        self.started: list[Job] = []
        self._before = before

    def start(self, job: Job) -> Ended:
        self.started.append(job)
        if self._before is not None:
            self._before(job)
        return Ended(worker.work(Job.read(job.description)))

    def close(self) -> None:
        """Nothing is held."""

    @property
    def titles(self) -> list[str]:
        """The runs it was given, in words."""
        return [job.title for job in self.started]


class Notes:
    """A watcher that remembers."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.events: list[tuple[str, str]] = []
        self.warnings: list[str] = []

    def begin(self, board: Board, notes: Sequence[str]) -> None:
        self.notes += notes

    def tick(self, board: Board) -> None:
        """Nothing is kept of it."""

    def changed(self, board: Board, entry: Entry) -> None:
        self.events.append((entry.title, entry.state))

    def warning(self, text: str) -> None:
        self.warnings.append(text)
