"""`graphspec train`, with the observer of its command line."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import graphspec
from benchmarks.train_speed.contest import COARSE, FINE, Settings, Turn
from graphspec.cli.progress import watching
from graphspec.training.observer import Header, Observer, Progress, Record


class Over(Exception):  # noqa: N818
    """There are no more rounds."""


class Rounds:
    """Makes every epoch a round, and tells the observer of the command line everything."""

    def __init__(self, turn: Turn, shown: Observer) -> None:
        self._turn, self._shown = turn, shown

    def start(self, header: Header) -> None:
        """The run is about to make its first step."""
        self._shown.start(header)
        self._turn.ready(header.parameters)
        self._next()

    def step(self, progress: Progress) -> None:
        """Some steps were made."""
        self._shown.step(progress)

    def epoch(self, records: Sequence[Record]) -> None:
        """An epoch is over."""
        self._shown.epoch(records)
        train = records[0]
        self._turn.end(train["loss"], train["fine/top1"], train["seconds"])
        self._next()

    def warning(self, text: str) -> None:
        """Something is worth knowing."""
        self._shown.warning(text)

    def end(self, summary: Mapping[str, Any]) -> None:
        """The run is over."""
        self._shown.end(summary)

    def _next(self) -> None:
        if not self._turn.begin():
            raise Over


def run(settings: Settings, turn: Turn, precision: str = "float32") -> None:
    """Train arch5 as it is shipped, an epoch at each turn, without validation."""
    overrides = {
        "width": settings.width,
        "data": {
            "source": "arrays",
            "path": str(settings.file),
            "augment": "crop-flip",
            "validation": 0,
        },
        "tasks.fine.classes": FINE,
        "tasks.coarse.classes": COARSE,
        "train.early_stopping": None,
        "train.precision": precision,
    }
    with watching() as shown, contextlib.suppress(Over):
        graphspec.train(
            "arch5",
            epochs=1_000_000,
            out=settings.folder / "run",
            overrides=overrides,
            observer=Rounds(turn, shown),
        )


def run_in_bf16(settings: Settings, turn: Turn) -> None:
    """Train in mixed precision, which is not the default."""
    run(settings, turn, "bf16")
