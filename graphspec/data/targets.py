"""Targets: whether the labels of a data set are what their tasks say, from whatever source.

A sample may lack the label of a task: -1 for a class (of a sample or a position), NaN for a number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphspec.errors import Code, Diagnostic, Severity, fail
from graphspec.language.signature import TaskSpec

MISSING = -1
"""The class of a sample or position that lacks its label."""

OFFICIAL = "replace the file by the official one"


def check(
    tasks: Mapping[str, TaskSpec], labels: Mapping[str, NDArray[Any]], where: str, official: bool
) -> None:
    """Check the labels of a split.

    Args:
        tasks: The tasks of the signature.
        labels: For each task its targets, shaped as `graphspec.data.source.Part` says.
        where: What was read, for the message.
        official: Whether there are official files that would be right.

    Raises:
        SpecError: ``data-corrupt`` if a label is no class of its task, a label of several is
            neither 0 nor 1, or a number is infinite. A missing label is allowed, but where there
            are official files.
    """
    for name, task in tasks.items():
        values = labels[name]
        if task.type in ("classification", "segmentation"):
            _check_classes(name, task, values, where, official)
        elif task.type == "multilabel":
            _check_marks(name, values, where)
        else:
            _check_infinite(f"the targets of `{name}`", values, where)


def doubts(
    tasks: Mapping[str, TaskSpec], splits: Iterable[Mapping[str, NDArray[Any]]]
) -> list[Diagnostic]:
    """Return what is odd about the classes of a data set as a whole.

    Args:
        tasks: The tasks of the signature.
        splits: For each split the targets by task.
    """
    found: list[tuple[str, str]] = []
    parts = list(splits)
    for name, task in tasks.items():
        if task.type != "classification":
            continue
        if task.classes == 1:
            text = f"`{name}` has one class, so that nothing can be learned about it"
            found.append((text, "leave the task out, or add samples of other classes"))
        elif not task.names and task.classes > 2:
            seen = np.unique(np.concatenate([labels[name] for labels in parts]))
            if seen[seen >= 0].tolist() == list(range(1, task.classes)):
                text = f"no sample of `{name}` has the class 0, and all others occur"
                found.append((text, "if the classes are numbered from 1, take 1 off their numbers"))
    return [Diagnostic(Code.DATA_DOUBTFUL, Severity.WARNING, None, *each) for each in found]


def labelled(task: TaskSpec, values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return for each sample whether it has a label: at least one number or position that counts.

    Args:
        task: The task.
        values: Its targets, of shape ``(N, ...)``.
    """
    known: NDArray[np.bool_] = _known(task, values)
    if task.ignore_index is not None:
        known = np.logical_and(known, values != task.ignore_index)
    return np.asarray(known.any(axis=tuple(range(1, values.ndim))))


def with_partial(
    tasks: Mapping[str, TaskSpec], splits: Iterable[Mapping[str, NDArray[Any]]]
) -> dict[str, TaskSpec]:
    """Return the tasks, marked where a label is missing anywhere.

    Args:
        tasks: The tasks of the signature.
        splits: For each split the targets by task.
    """
    lacking = {
        name
        for labels in splits
        for name, task in tasks.items()
        if name in labels and not _known(task, labels[name]).all()
    }
    return {n: replace(task, partial=True) if n in lacking else task for n, task in tasks.items()}


def _known(task: TaskSpec, values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return for each number or position whether its label is there."""
    if task.type in ("classification", "segmentation"):
        known = np.asarray(values >= 0)
        return known if task.ignore_index is None else known | (values == task.ignore_index)
    return np.asarray(~np.isnan(values))


def _check_infinite(what: str, values: NDArray[Any], where: str) -> None:
    """Check numbers of which some may be missing."""
    wrong = np.flatnonzero(np.isinf(values).any(axis=tuple(range(1, values.ndim))))
    if wrong.size:
        message = (
            f"{what} in `{where}` are not finite in {wrong.size} of {len(values)} samples, the "
            f"first of them {int(wrong[0])}"
        )
        hint = "replace the numbers; NaN stands for one that is missing"
        raise fail(Code.DATA_CORRUPT, message, hint)


def check_finite(what: str, values: NDArray[Any], where: str) -> None:
    """Check that numbers are.

    Raises:
        SpecError: ``data-corrupt`` with the first sample that holds one which is not finite.
    """
    finite = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
    if not finite.all():
        wrong = np.flatnonzero(~finite)
        message = (
            f"{what} in `{where}` are not finite (NaN or infinity) in {wrong.size} of "
            f"{len(values)} samples, the first of them {int(wrong[0])}"
        )
        raise fail(Code.DATA_CORRUPT, message, "replace the numbers, or leave the samples out")


def _check_classes(
    name: str, task: TaskSpec, values: NDArray[Any], where: str, official: bool
) -> None:
    counted = values if task.ignore_index is None else values[values != task.ignore_index]
    if not counted.size:
        return
    low, high = int(counted.min()), int(counted.max())
    if low < (0 if official else MISSING) or high >= task.classes:
        message = f"`{where}` holds labels of `{name}` from {low} to {high}; "
        message += f"expected 0 to {task.classes - 1}"
        hint = OFFICIAL if official else _hint(task, low, high)
        raise fail(Code.DATA_CORRUPT, message, hint)


def _hint(task: TaskSpec, low: int, high: int) -> str:
    marker = low if low < 0 else high
    if task.type == "segmentation" and task.ignore_index is None and (low < 0 or high == 255):
        return f"if {marker} marks what has no class, state `ignore_index: {marker}`"
    if low < 0:
        return f"number the classes from 0; {MISSING} stands for a label that is missing"
    return f"correct them, or state `classes: {high + 1}`"


def _check_marks(name: str, values: NDArray[Any], where: str) -> None:
    wrong = np.unique(values[(values != 0) & (values != 1) & ~np.isnan(values)])
    if wrong.size:
        message = f"`{where}` holds labels of `{name}` other than 0 and 1, such as {wrong[0]:g}"
        hint = "each column is one label: 1 where it holds, else 0, NaN where that is not known"
        raise fail(Code.DATA_CORRUPT, message, hint)
