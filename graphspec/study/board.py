"""Where a study is: the state of each run, as the live table shows it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from graphspec.study.ledger import Planned

WAITING, RUNNING, DONE, FINISHED = "waiting", "running", "done before", "finished"
INTERRUPTED, FAILED = "interrupted", "failed"


@dataclass
class Entry:
    """One run on the board.

    Attributes:
        planned: Which run.
        state: One of the words above.
        queued: Whether an engine has it that has not begun with it yet.
        progress: What its worker told last.
        message: Why it failed.
        began: When its worker was started, or what we know of that, in seconds of `time.monotonic`.
        seconds: How long its worker took.
    """

    planned: Planned
    state: str = WAITING
    queued: bool = False
    progress: Mapping[str, Any] = field(default_factory=dict)
    message: str = ""
    began: float = 0.0
    seconds: float = 0.0

    @property
    def title(self) -> str:
        """The run in words."""
        return f"{self.planned.variant.label}, seed {self.planned.seed}"

    def heard(self, progress: Mapping[str, Any]) -> None:
        """Take note of what its worker has told, if anything."""
        if progress and self.queued:
            self.queued, self.began = False, time.monotonic()
        self.progress = progress or self.progress

    @property
    def part(self) -> float:
        """Which part of it is done."""
        if self.state in (DONE, FINISHED):
            return 1.0
        return float(self.progress.get("done", 0.0))

    @property
    def left_s(self) -> float | None:
        """How long it will take from now on, if it runs and has said so."""
        left = self.progress.get("left_s") if self.state == RUNNING else None
        return None if left is None else float(left)


@dataclass
class Board:
    """All runs of a study.

    Attributes:
        folder: The folder of the study.
        entries: The runs.
        slots: Runs at a time.
        threads: Threads of each.
    """

    folder: Path
    entries: list[Entry]
    slots: int
    threads: int

    def count(self, *states: str) -> int:
        """Return how many runs are in one of some states."""
        return sum(entry.state in states for entry in self.entries)

    def left_s(self) -> float | None:
        """Return how long the rest will take, or None before there is an estimate.

        A run that waits is taken to last as long as the mean of those that were trained, of the
        same variant if there is one.
        """
        running = [e for e in self.entries if e.state == RUNNING]
        known: dict[str, list[float]] = {}
        for entry in self.entries:
            label = entry.planned.variant.label
            if entry.state == FINISHED and not entry.planned.begun:
                known.setdefault(label, []).append(entry.seconds)
            elif entry.state == RUNNING and entry.left_s is not None and entry.part > 0.02:
                passed = time.monotonic() - entry.began
                known.setdefault(label, []).append(passed + entry.left_s)
        if not known:
            return None
        every = [value for values in known.values() for value in values]
        mean = sum(every) / len(every)
        rest = sum(entry.left_s if entry.left_s is not None else mean for entry in running)
        for entry in self.entries:
            if entry.state == WAITING:
                own = known.get(entry.planned.variant.label, [mean])
                rest += sum(own) / len(own)
        return rest / max(1, min(self.slots, self.count(RUNNING, WAITING)))


class Watcher(Protocol):
    """Who is told how a study goes. No method may raise or take long."""

    def begin(self, board: Board, notes: Sequence[str]) -> None:
        """The study is about to begin with its first run."""

    def tick(self, board: Board) -> None:
        """Some time has passed, about half a second."""

    def changed(self, board: Board, entry: Entry) -> None:
        """A run has begun or ended."""

    def warning(self, text: str) -> None:
        """Something is worth knowing."""


class Unwatched:
    """A watcher that does nothing."""

    def begin(self, board: Board, notes: Sequence[str]) -> None:
        """Do nothing."""

    def tick(self, board: Board) -> None:
        """Do nothing."""

    def changed(self, board: Board, entry: Entry) -> None:
        """Do nothing."""

    def warning(self, text: str) -> None:
        """Do nothing."""
