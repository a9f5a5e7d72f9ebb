"""The vocabulary of metrics: which a task has, what they are called, and which way is better.

A metric of a split is ``loss`` or ``TASK/NAME``, with a NAME of `MEASURES` or ``topK`` with any
number for K. This module only names them; `graphspec.training.statistics`,
`graphspec.training.gauges` and `graphspec.training.kinship` compute them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from graphspec.language.signature import TaskSpec, TaskType

TOP = 5
"""The k of top-k that a classification has by default."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric of a task.

    Attributes:
        title: Heading of a column.
        words: What it is, as the title of a picture.
        types: Types of task that may be measured by it.
        minimised: Whether less is better.
        is_part: Whether it is a part of 1, shown as percent.
        running: Whether the training split has it too, as a mean over the steps of an epoch.
        of_hierarchy: Whether it compares a task with its parent; every task with a parent has it.
    """

    title: str
    words: str
    types: tuple[TaskType, ...] = ()
    minimised: bool = False
    is_part: bool = True
    running: bool = True
    of_hierarchy: bool = False

    def text(self, value: float) -> str:
        """Return a value as people read it."""
        return percent(value) if self.is_part else f"{value:.4f}"


_CLASSES: tuple[TaskType, ...] = ("classification",)
_LABELS: tuple[TaskType, ...] = ("multilabel",)
_NUMBERS: tuple[TaskType, ...] = ("regression",)
_PLACES: tuple[TaskType, ...] = ("segmentation",)


def _kinship(title: str, words: str, minimised: bool = False, is_part: bool = True) -> Measure:
    return Measure(title, words, _CLASSES, minimised, is_part, running=False, of_hierarchy=True)


MEASURES: dict[str, Measure] = {
    "loss": Measure("loss", "loss", minimised=True, is_part=False),
    "top1": Measure("top-1", "accuracy", _CLASSES),
    "top5": Measure("top-5", "top-5 accuracy", _CLASSES),
    "f1": Measure("F1", "macro F1", _LABELS),
    "macro_f1": Measure("macro F1", "macro F1", _CLASSES),
    "iou": Measure("IoU", "mean IoU", _PLACES),
    "dice": Measure("Dice", "mean Dice coefficient", _PLACES),
    "accuracy": Measure("accuracy", "accuracy", _LABELS + _PLACES),
    "exact_match": Measure("exact match", "samples with all labels right", _LABELS),
    "precision": Measure("precision", "macro precision", _CLASSES + _LABELS),
    "recall": Measure("recall", "macro recall", _CLASSES + _LABELS),
    "mcc": Measure("MCC", "Matthews correlation", _CLASSES, is_part=False),
    "cohen_kappa": Measure("kappa", "Cohen's kappa", _CLASSES, is_part=False),
    "auroc": Measure(
        "AUROC", "area under the ROC curve", _CLASSES + _LABELS, is_part=False, running=False
    ),
    "average_precision": Measure(
        "AP", "average precision", _CLASSES + _LABELS, is_part=False, running=False
    ),
    "calibration_error": Measure(
        "ECE", "expected calibration error", _CLASSES, minimised=True, running=False
    ),
    "mae": Measure("MAE", "mean absolute error", _NUMBERS, minimised=True, is_part=False),
    "mse": Measure("MSE", "mean squared error", _NUMBERS, minimised=True, is_part=False),
    "rmse": Measure("RMSE", "root mean squared error", _NUMBERS, minimised=True, is_part=False),
    "r2": Measure("R2", "part of the variance explained", _NUMBERS, is_part=False),
    "pearson": Measure("Pearson", "Pearson correlation", _NUMBERS, is_part=False, running=False),
    "spearman": Measure(
        "Spearman", "Spearman rank correlation", _NUMBERS, is_part=False, running=False
    ),
    "consistency": _kinship("consistency", "prediction lies in the predicted parent"),
    "implied_top1": _kinship("implied top-1", "accuracy of the parent of the prediction"),
    "marginal_top1": _kinship("marginal top-1", "accuracy of the parent of most probability"),
    "errors_within": _kinship("within", "part of the errors inside the right parent"),
    "mistake_severity": _kinship(
        "severity", "mean tree distance of a mistake", minimised=True, is_part=False
    ),
    "hierarchical_distance": _kinship(
        "distance", "mean tree distance to the truth", minimised=True, is_part=False
    ),
}
"""Every metric but those ``topK``, in the order of columns."""

_TOP_K = re.compile(r"top([1-9][0-9]{0,8})")

_OF_TYPE: dict[TaskType, tuple[str, ...]] = {
    "classification": ("top1", "top5"),
    "multilabel": ("f1", "accuracy"),
    "regression": ("mae", "rmse", "r2"),
    "segmentation": ("iou", "accuracy"),
}


def top_k(name: str) -> int | None:
    """Return the k of a metric ``topK``, or None for others."""
    found = _TOP_K.fullmatch(name)
    return int(found[1]) if found else None


def named(name: str) -> Measure | None:
    """Return what a metric is, or None where there is no such metric."""
    k = top_k(name)
    if k is not None and name not in MEASURES:
        return Measure(f"top-{k}", f"top-{k} accuracy", _CLASSES)
    return MEASURES.get(name)


def measure(name: str) -> Measure:
    """Return what a metric is.

    Raises:
        KeyError: If there is no such metric.
    """
    found = named(name)
    if found is None:
        raise KeyError(name)
    return found


def ordered(names: Iterable[str]) -> list[str]:
    """Return names of metrics in the order of columns, each once."""
    places = {name: place for place, name in enumerate(MEASURES)}

    def key(name: str) -> tuple[int, int]:
        k = top_k(name)
        return (places["top1"], k) if k is not None else (places[name], 0)

    return sorted(set(names), key=key)


def of_task(task: TaskSpec, split: str = "validation") -> tuple[str, ...]:
    """Return the metrics of a task in a split: its loss, then the one that says most.

    Args:
        task: The task.
        split: ``train`` has those that are counted while the model learns; the others have all.
    """
    names = task.metrics or _OF_TYPE[task.type]
    if not task.metrics and task.type == "classification" and task.classes <= TOP:
        names = names[:1]
    kinship = (name for name, each in MEASURES.items() if each.of_hierarchy)
    everything = ("loss", *names, *(kinship if task.parent is not None else ()))
    return tuple(name for name in everything if split != "train" or measure(name).running)


def suited(kind: TaskType) -> list[str]:
    """Return the names of the metrics that a task of a type may choose."""
    return [n for n, each in MEASURES.items() if kind in each.types and not each.of_hierarchy]


def of_tasks(tasks: Mapping[str, TaskSpec], split: str = "validation") -> list[str]:
    """Return the metrics of a split, e.g. ``loss``, ``fine/loss``, ``fine/top1``."""
    names = {name: of_task(task, split) for name, task in tasks.items()}
    for name, task in tasks.items():
        if task.parent not in tasks:
            names[name] = tuple(each for each in names[name] if each != "consistency")
    return ["loss", *(f"{name}/{each}" for name in tasks for each in names[name])]


def found(scores: Iterable[str], of_hierarchy: bool = False) -> dict[str, list[str]]:
    """Return what is measured of each task besides its loss.

    Args:
        scores: Names of metrics of a split, in any company: ``epoch``, ``loss``, ``fine/top1``.
        of_hierarchy: Whether those that compare with the parent are asked for, or the others.

    Returns:
        For each task the names of its metrics in the order of the scores; the first says most.
    """
    tasks: dict[str, list[str]] = {}
    for key in scores:
        task, _, name = key.rpartition("/")
        each = named(name)
        if task and each is not None:
            tasks.setdefault(task, [])
            if name != "loss" and each.of_hierarchy == of_hierarchy:
                tasks[task].append(name)
    return tasks


def minimised(metric: str) -> bool:
    """Return whether less of a metric such as ``validation/age/mae`` is better."""
    return measure(metric.rpartition("/")[2]).minimised


def percent(value: float) -> str:
    """Return a part of 1 as percent with one digit."""
    return f"{100 * value:.1f} %"
