"""Targets from the columns of a table: which task a column suggests, and its labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphspec.data.column import Column
from graphspec.errors import Code, SpecError, fail
from graphspec.language.signature import TaskSpec, TaskType
from graphspec.language.tasks import Task

SEPARATOR = "|"
"""Between the labels of one cell: ``red|round``."""

_SPARSE = 1000
"""Classes above ten times as many as occur, which are hardly meant as numbers of classes."""


@dataclass(frozen=True, eq=False)
class Target:
    """What a task predicts, and the labels.

    Attributes:
        task: The task.
        values: Its labels, as `graphspec.data.source.Part` says.
        columns: Where they come from.
    """

    task: TaskSpec
    values: NDArray[Any]
    columns: tuple[str, ...]


def target(path: Path, name: str, own: Sequence[Column], task: Task) -> Target:
    """Return what some columns are as the target of a task.

    Args:
        path: The table, for messages.
        name: The task.
        own: Its columns.
        task: What the spec says of it; without a type the columns say it: text, true and false and
            whole numbers are classes, other numbers a regression, several columns of 0 and 1
            several labels.

    Raises:
        SpecError: ``data-mismatch`` if they do not suit the task.
    """
    kind = task.type or _suggested(own)
    names = tuple(column.name for column in own)
    if any(column.kind in ("bytes", "other") for column in own) or kind == "segmentation":
        raise _unfit(path, name, own, kind, "text or numbers, one row a sample")
    values: NDArray[Any]
    if kind == "multilabel":
        spec, values = _multilabel(path, name, own)
    elif kind == "regression":
        if any(column.kind == "text" for column in own):
            raise _unfit(path, name, own, kind, "numbers")
        spec = TaskSpec(type=kind, shape=(len(own),))
        with np.errstate(over="ignore"):  # what float32 cannot hold is told as not finite
            values = np.stack([column.values for column in own], 1).astype(np.float32)
    elif len(own) > 1:
        raise _unfit(path, name, own, kind, "one column")
    else:
        spec, values = _classification(path, name, own[0], task)
    return Target(spec, values, names)


def refine(found: Mapping[str, Target]) -> dict[str, Target]:
    """Return the targets with what they refine: tasks whose classes each lie in one of another.

    A hierarchy is seen where the finer task has more classes, and three rows for two classes on
    average, since with one row a class there is always one; of several coarser tasks the finest
    counts.
    """
    classes = {name: each for name, each in found.items() if each.task.type == "classification"}
    refined = dict(found)
    for name, fine in classes.items():
        coarser = sorted(
            (other for other in classes if 1 < classes[other].task.classes < fine.task.classes),
            key=lambda other: -classes[other].task.classes,
        )
        for other in coarser:
            parents = _parents(fine, classes[other])
            if parents is not None:
                spec = replace(fine.task, parent=other, parents=parents)
                refined[name] = replace(fine, task=spec)
                break
    return refined


def _parents(fine: Target, coarse: Target) -> tuple[int, ...] | None:
    """Return the coarse class of each fine one, or None where a fine one has none or several."""
    both = (fine.values >= 0) & (coarse.values >= 0)
    pairs = np.unique(np.stack([fine.values[both], coarse.values[both]], 1), axis=0)
    if 2 * both.sum() < 3 * fine.task.classes:
        return None
    if pairs[:, 0].tolist() != list(range(fine.task.classes)):
        return None
    return tuple(pairs[:, 1].tolist())


def _suggested(own: Sequence[Column]) -> TaskType:
    if len(own) == 1:
        return "regression" if own[0].kind == "number" else "classification"
    marks = all(
        column.kind != "text" and np.isin(column.values[~column.missing], (0, 1)).all()
        for column in own
    )
    return "multilabel" if marks else "regression"


def _multilabel(
    path: Path, name: str, own: Sequence[Column]
) -> tuple[TaskSpec, NDArray[np.float32]]:
    """Return several labels: a column each, or one column of texts such as ``red|round``."""
    if len(own) == 1 and own[0].kind == "text":
        cells = [None if v is None else _parts(v) for v in own[0].values]
        names = tuple(sorted({label for cell in cells if cell is not None for label in cell}))
        values = np.zeros((len(cells), len(names)), np.float32)
        place = {label: i for i, label in enumerate(names)}
        for row, cell in enumerate(cells):
            values[row] = np.nan if cell is None else 0
            for label in cell or ():
                values[row, place[label]] = 1
        return TaskSpec(len(names), names, type="multilabel"), values
    if any(column.kind == "text" for column in own):
        raise _unfit(path, name, own, "multilabel", f"0 and 1, or one text such as `a{SEPARATOR}b`")
    labels = tuple(column.name.removeprefix(f"{name}.") for column in own)
    values = np.stack([column.values for column in own], 1).astype(np.float32)
    return TaskSpec(len(own), labels, type="multilabel"), values


def _parts(cell: str) -> set[str]:
    return {part.strip() for part in cell.split(SEPARATOR) if part.strip()}


def _classification(
    path: Path, name: str, column: Column, task: Task
) -> tuple[TaskSpec, NDArray[np.int64]]:
    """Return one class a row, -1 where it is missing."""
    missing = column.missing
    if missing.all():
        message = f"the column `{column.name}` of `{path}` is empty"
        raise fail(Code.DATA_MISMATCH, message, f"fill in labels of `{name}`")
    if column.kind == "text":
        names = tuple(sorted({str(value) for value in column.values[~missing]}))
        place = {text: i for i, text in enumerate(names)}
        values = [-1 if value is None else place[value] for value in column.values]
        return TaskSpec(len(names), names), np.array(values, np.int64)
    numbers = column.values[~missing]
    if column.kind == "number" and not (numbers == np.round(numbers)).all():
        raise _unfit(path, name, [column], "classification", "text or whole numbers")
    labels = np.full(len(column), -1, np.int64)
    labels[~missing] = numbers.astype(np.int64)
    if column.kind == "truth":
        return TaskSpec(2, ("false", "true")), labels
    classes = task.classes or int(labels.max()) + 1
    occurring = len(np.unique(labels[labels >= 0]))
    if task.classes is None and classes > 10 * occurring + _SPARSE:
        message = f"`{column.name}` of `{path}` has {occurring:,} different numbers up to "
        message += f"{classes - 1:,}, which are hardly numbers of classes"
        hint = f"state `{name}: {{type: regression}}`, or number the classes from 0"
        raise fail(Code.DATA_MISMATCH, message, hint)
    return TaskSpec(max(1, classes)), labels


def _unfit(path: Path, name: str, own: Sequence[Column], kind: str, wanted: str) -> SpecError:
    listed = ", ".join(f"`{column.name}` ({column.text})" for column in own[:8])
    message = f"the target of `{name}` in `{path}` is {listed}; a {kind} task needs {wanted}"
    return fail(Code.DATA_MISMATCH, message, "state another `type`, or correct the cells")
