"""Who watches a run: the command line's progress bar, a plain printer, a notebook, a test.

The trainer calls an `Observer` and prints nothing itself. All values are plain numbers on the host.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

Record = dict[str, Any]
"""One line of ``metrics.jsonl``, e.g. ``{"epoch": 1, "split": "train", "fine/top1": 0.5}``."""


@dataclass(frozen=True)
class Header:
    """What is known before the first step.

    Attributes:
        name: Name of the spec.
        folder: The run folder.
        data: Name of the data set.
        samples: Number of samples by split: ``train``, ``validation``, ``test``.
        tasks: What is predicted by task, in words, e.g. ``10 classes``.
        weights: Factor of each task's loss.
        parameters: Number of trainable parameters, shared ones once.
        device: The device in words.
        epochs: Epochs that the run is to have at most.
        steps: Steps of one epoch.
        batch_size: Samples of one step.
        start_epoch: Epochs that are done already (0 unless the run is resumed).
        seed: The seed.
        facts: The choices that make a run faster, as label and value, each with its switch in docs.
        unit: What samples are called: ``images`` or ``samples``.
        notes: Further lines, such as where the initial weights come from.
    """

    name: str
    folder: Path
    data: str
    samples: Mapping[str, int]
    tasks: Mapping[str, str]
    weights: Mapping[str, float]
    parameters: int
    device: str
    epochs: int
    steps: int
    batch_size: int
    start_epoch: int
    seed: int
    facts: tuple[tuple[str, str], ...] = ()
    unit: str = "images"
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Progress:
    """Where a run is, sent at most about twice a second.

    Attributes:
        stage: ``train``, or the split that is being evaluated.
        epoch: The current epoch, from 1.
        epochs: Epochs of the run at most.
        step: Steps (or evaluation batches) done in this epoch.
        steps: Steps (or evaluation batches) of this epoch.
        scores: Running means of the epoch by metric, e.g. ``loss`` and ``fine/top1``; empty while
            evaluating.
        images_per_s: Samples a second in this epoch and stage.
        seconds_left: Estimated time to the last epoch, or None before there is an estimate.
    """

    stage: str
    epoch: int
    epochs: int
    step: int
    steps: int
    scores: Mapping[str, float]
    images_per_s: float
    seconds_left: float | None = None


class Observer(Protocol):
    """What the trainer tells while it runs. No method may raise or take long."""

    def start(self, header: Header) -> None:
        """The run is about to make its first step."""

    def step(self, progress: Progress) -> None:
        """Some steps were made."""

    def epoch(self, records: Sequence[Record]) -> None:
        """An epoch is over, or the final test; these are the new lines of the metrics."""

    def warning(self, text: str) -> None:
        """Something is worth knowing, but does not stop the run."""

    def end(self, summary: Mapping[str, Any]) -> None:
        """The run is over; the summary is what ``summary.json`` holds."""


class Silent:
    """An observer that does nothing."""

    def start(self, header: Header) -> None:
        """Do nothing."""

    def step(self, progress: Progress) -> None:
        """Do nothing."""

    def epoch(self, records: Sequence[Record]) -> None:
        """Do nothing."""

    def warning(self, text: str) -> None:
        """Do nothing."""

    def end(self, summary: Mapping[str, Any]) -> None:
        """Do nothing."""
