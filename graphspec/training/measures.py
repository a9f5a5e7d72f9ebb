"""The vocabulary of metrics: which a task has, what they are called, and which way is better.

A metric of a split is ``loss`` or ``TASK/NAME``, with a NAME of `MEASURES`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from graphspec.language.signature import TaskSpec

TOP = 5
"""The k of top-k, which is left out for tasks of at most that many classes: it says nothing."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric of a task.

    Attributes:
        title: Heading of a column.
        words: What it is, as the title of a picture.
        minimised: Whether less is better.
        is_part: Whether it is a part of 1, shown as percent.
    """

    title: str
    words: str
    minimised: bool = False
    is_part: bool = True

    def text(self, value: float) -> str:
        """Return a value as people read it."""
        return percent(value) if self.is_part else f"{value:.4f}"


MEASURES: dict[str, Measure] = {
    "loss": Measure("loss", "loss", minimised=True, is_part=False),
    "top1": Measure("top-1", "accuracy"),
    "top5": Measure("top-5", "top-5 accuracy"),
    "f1": Measure("F1", "macro F1"),
    "iou": Measure("IoU", "mean IoU"),
    "accuracy": Measure("accuracy", "accuracy"),
    "mae": Measure("MAE", "mean absolute error", minimised=True, is_part=False),
    "rmse": Measure("RMSE", "root mean squared error", minimised=True, is_part=False),
    "r2": Measure("R2", "part of the variance explained", is_part=False),
}
"""Every metric, in the order of columns."""

_OF_TYPE = {
    "classification": ("top1", "top5"),
    "multilabel": ("f1", "accuracy"),
    "regression": ("mae", "rmse", "r2"),
    "segmentation": ("iou", "accuracy"),
}


def of_task(task: TaskSpec) -> tuple[str, ...]:
    """Return the metrics of a task: its loss, then the one that says most."""
    names = _OF_TYPE[task.type]
    if task.type == "classification" and task.classes <= TOP:
        names = names[:1]
    return ("loss", *names)


def of_tasks(tasks: Mapping[str, TaskSpec]) -> list[str]:
    """Return the metrics of a split, e.g. ``loss``, ``fine/loss``, ``fine/top1``."""
    return ["loss", *(f"{name}/{each}" for name, task in tasks.items() for each in of_task(task))]


def found(scores: Iterable[str]) -> dict[str, list[str]]:
    """Return what is measured of each task besides its loss.

    Args:
        scores: Names of metrics of a split, in any company: ``epoch``, ``loss``, ``fine/top1``.

    Returns:
        For each task the names of its metrics in the order of the scores; the first says most.
    """
    tasks: dict[str, list[str]] = {}
    for key in scores:
        task, _, name = key.rpartition("/")
        if task and name in MEASURES:
            tasks.setdefault(task, [])
            if name != "loss":
                tasks[task].append(name)
    return tasks


def minimised(metric: str) -> bool:
    """Return whether less of a metric such as ``validation/age/mae`` is better."""
    return MEASURES[metric.rpartition("/")[2]].minimised


def percent(value: float) -> str:
    """Return a part of 1 as percent with one digit."""
    return f"{100 * value:.1f} %"
