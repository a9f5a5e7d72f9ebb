"""Who watches a run for the command line: a progress bar on a terminal, plain lines in a pipe.

Both print the same lines at the beginning and after each epoch. An observer may not raise, so a
reader that goes away (``| head``) only ends the printing: the run goes on.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from graphspec.backends.wording import count_text
from graphspec.cli import terminal
from graphspec.cli.printer import Printer
from graphspec.training.measures import found, measure
from graphspec.training.observer import Header, Observer, Progress, Record
from graphspec.training.summary import duration

READING_S = 5.0
"""How often it is told how many pictures were read, in seconds."""


@contextmanager
def watching() -> Iterator[Observer]:
    """Give the observer that suits stdout, and clear its bar away in the end."""
    if not terminal.is_terminal(sys.stdout):
        yield Lines()
        return
    bar = Bar()
    try:
        yield bar
    finally:
        bar.close()


class Lines(Printer):
    """An observer that prints a line for each epoch and split."""

    def __init__(self) -> None:
        super().__init__()
        self._epochs = 0
        self._unit = "images"
        self._told = time.monotonic()

    def reading(self, done: int, total: int) -> None:
        """Say on stderr how many pictures were read, where that takes long."""
        now = time.monotonic()
        if now - self._told < READING_S:
            return
        self._told = now
        try:
            terminal.remark(f"reading pictures: {done:,} of {total:,}")
        except OSError:
            return

    def start(self, header: Header) -> None:
        """Print what is trained, on what, where."""
        self._epochs, self._unit = header.epochs, header.unit
        for line in header_lines(header):
            self._print(line)

    def step(self, progress: Progress) -> None:
        """Print nothing: a pipe is read later."""

    def epoch(self, records: Sequence[Record]) -> None:
        """Print the new lines of the metrics."""
        for record in records:
            self._print(record_line(record, self._epochs, self._unit))

    def end(self, summary: Mapping[str, Any]) -> None:
        """Print nothing: the command prints the summary."""


class Bar(Lines):
    """An observer that also keeps a moving line at the bottom of the terminal."""

    def __init__(self) -> None:
        super().__init__()
        from rich import progress

        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(bar_width=None),
            progress.TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            progress.TextColumn("{task.fields[scores]}"),
            progress.TextColumn("{task.fields[speed]}"),
            console=terminal.console(),
            transient=True,
            refresh_per_second=2,
            expand=True,
        )
        self._task: progress.TaskID | None = None

    def step(self, progress: Progress) -> None:
        """Move the bar."""
        text = f"epoch {progress.epoch}/{progress.epochs}"
        if progress.stage != "train":
            text += f" {progress.stage}"
        speed = f"{progress.images_per_s:,.0f}/s"
        if progress.seconds_left is not None:
            speed += f", {clock(progress.seconds_left)} left"
        shown: dict[str, Any] = {
            "description": text,
            "total": progress.steps,
            "completed": progress.step,
            "scores": scores_text(progress.scores, short=True),
            "speed": speed,
        }
        if self._task is None:
            self._task = self._bar.add_task(**shown)
            self._bar.start()
        else:
            self._bar.update(self._task, **shown)

    def close(self) -> None:
        """Clear the bar away."""
        self._bar.stop()


def header_lines(header: Header) -> list[str]:
    """Return what a reader wants to know before the first epoch."""
    samples = ", ".join(f"{count:,} {split}" for split, count in header.samples.items() if count)
    tasks = ", ".join(
        f"{name} ({words}, weight {header.weights.get(name, 1.0):g})"
        for name, words in header.tasks.items()
    )
    facts = "; ".join(f"{label}: {value}" for label, value in header.facts)
    epochs = "epoch" if header.epochs == 1 else "epochs"
    steps = "step" if header.steps == 1 else "steps"
    begun = f", {header.start_epoch} done" if header.start_epoch else ""
    return [
        f"{header.name} on {header.data}: {samples} {header.unit}",
        f"tasks: {tasks}",
        f"{count_text(header.parameters)} parameters on {header.device}; {facts}",
        f"{header.epochs} {epochs} of {header.steps} {steps} of {header.batch_size} {header.unit}"
        f"{begun}; seed {header.seed}; run folder: {header.folder}",
        *header.notes,
    ]


def record_line(record: Record, epochs: int, unit: str = "images") -> str:
    """Return one line of the metrics as people read it."""
    keys = ("epoch", "step", "split", "seconds", "images_per_s")
    scores = {key: value for key, value in record.items() if key not in keys}
    width = len(str(epochs))
    return (
        f"epoch {record['epoch']:>{width}}/{epochs}  {record['split']:<10}  {scores_text(scores)}  "
        f"{record['images_per_s']:,.0f} {unit}/s  {duration(record['seconds'])}"
    )


def scores_text(scores: Mapping[str, float], short: bool = False) -> str:
    """Return the loss and what the tasks reach.

    For example ``loss 3.2116  fine 12.3 % (top-5 40.1 %)  age MAE 4.2170 (RMSE 5.3010)``.
    """
    parts = [f"loss {scores['loss']:.4f}"] if "loss" in scores else []
    for task, names in found(scores).items():
        if not names:
            continue
        main, *others = names
        values = {name: measure(name).text(scores[f"{task}/{name}"]) for name in names}
        title = "" if main == "top1" else f"{measure(main).title} "
        rest = ", ".join(f"{measure(name).title} {values[name]}" for name in others)
        parts.append(f"{task} {title}{values[main]}" + (f" ({rest})" if rest and not short else ""))
    return "  ".join(parts)


def clock(seconds: float) -> str:
    """Return a time as a clock shows it: ``1:05``, ``2:03:00``."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
