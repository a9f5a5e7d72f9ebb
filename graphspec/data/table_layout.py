"""What the columns of a table are for: inputs, targets, the split, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphspec.data import columns
from graphspec.data.column import Column, Use
from graphspec.data.pictures import is_picture
from graphspec.data.source import at_key
from graphspec.data.table_targets import Target, refine, target
from graphspec.data.tree import SPLITS
from graphspec.errors import Code, Diagnostic, Severity, did_you_mean, fail
from graphspec.language.data import Data
from graphspec.language.tasks import Task

NUMBERS = "features"
"""Name of the input that the columns of numbers make up, unless ``data.inputs`` says otherwise."""

_COUNTED = 10
"""Rows from which numbers that rise by one from row to row are hardly by chance."""


@dataclass(frozen=True, eq=False)
class Table:
    """A table and what its columns are for.

    Attributes:
        path: The file.
        columns: All of its columns.
        inputs: For each input its columns.
        targets: For each task its target.
        splits: For each row its split; None where no column says it.
        split: The column that says so.
    """

    path: Path
    columns: Mapping[str, Column]
    inputs: Mapping[str, tuple[str, ...]]
    targets: Mapping[str, Target]
    splits: NDArray[Any] | None
    split: str | None

    def is_picture(self, name: str) -> bool:
        """Return whether an input is pictures."""
        first = self.columns[self.inputs[name][0]]
        return holds_pictures(first)


def layout(path: Path, section: Data, tasks: Mapping[str, Task]) -> Table:
    """Read a table and settle what its columns are for.

    Args:
        path: The file.
        section: The ``data:`` of the spec.
        tasks: Its tasks with labels of their own.

    Raises:
        SpecError: What reading the file raises; ``unknown-task`` or ``data-mismatch`` where a
            column is not there or does not suit what it is to be.
    """
    found = columns.read(path)
    stated = section.targets or {}
    taken = {name: _target_columns(path, found, name, stated) for name in tasks}
    goals = {n: target(path, n, [found[c] for c in names], tasks[n]) for n, names in taken.items()}
    used = {column for names in taken.values() for column in names}
    split = _split_column(path, found, section.split, used)
    used |= set() if split is None else {split.name}
    inputs = _chosen(path, found, section.inputs, used)
    splits = None if split is None else _splits(path, split)
    return Table(path, found, inputs, refine(goals), splits, split.name if split else None)


def uses(table: Table) -> tuple[Use, ...]:
    """Return how each column was read, and what for."""
    purposes: dict[str, list[str]] = {name: [] for name in table.columns}
    for name, own in table.inputs.items():
        for column in own:
            what = "pictures" if table.is_picture(name) else "input"
            purposes[column].append(f"{what} `{name}`")
    for task, goal in table.targets.items():
        for column in goal.columns:
            purposes[column].append(f"target of `{task}`")
    if table.split is not None:
        purposes[table.split].append("split")
    return tuple(
        Use(name, column.text, int(column.missing.sum()), ", ".join(purposes[name]) or "not used")
        for name, column in table.columns.items()
    )


def _counts(column: Column) -> bool:
    """Return whether numbers rise by one from row to row."""
    many = column.kind == "whole" and len(column) >= _COUNTED
    return many and bool((np.diff(column.values) == 1).all())


def doubts(table: Table, stated: bool) -> list[Diagnostic]:
    """Return what may be meant otherwise.

    Args:
        table: The table.
        stated: Whether the spec says what the inputs are.
    """
    found: list[tuple[str, str]] = []
    for task, goal in table.targets.items():
        for name, own in table.inputs.items():
            for column in set(own) & set(goal.columns):
                message = (
                    f"`{column}` of `{table.path}` is the target of `{task}`, and part of the "
                )
                found.append((f"{message}input `{name}`", "leave it out of `data.inputs`"))
    if stated:
        return _warned(found)
    if "" in table.columns:
        message = f"a column of `{table.path}` has no name in the header, and is not used"
        found.append((message, "give it a name if it is an input"))
    for name in table.inputs.get(NUMBERS, ()):
        if _counts(table.columns[name]):
            message = f"`{name}` of `{table.path}` counts the rows, and is taken as an input"
            rest = [other for other in table.inputs[NUMBERS] if other != name]
            named = ", ".join(rest) if len(rest) <= 8 else "..."
            hint = f"state the inputs without it: `inputs: {{{NUMBERS}: [{named}]}}`"
            found.append((message, hint))
    return _warned(found)


def _warned(found: Sequence[tuple[str, str]]) -> list[Diagnostic]:
    return [Diagnostic(Code.DATA_DOUBTFUL, Severity.WARNING, None, *each) for each in found]


def _target_columns(
    path: Path, found: Mapping[str, Column], task: str, stated: Mapping[str, Sequence[str]]
) -> tuple[str, ...]:
    """Return the columns of a task's target: those stated, that of its name, or ``TASK.part``."""
    if task in stated:
        return tuple(_known(path, found, name, "targets") for name in stated[task])
    if task in found:
        return (task,)
    several = tuple(name for name in found if name.startswith(f"{task}."))
    if not several:
        message = f"`{path}` has no column for the task `{task}`"
        hint = did_you_mean(task, found, "columns")
        hint += f"\nor state which it is: `data: {{targets: {{{task}: COLUMN}}}}`"
        raise at_key(Code.UNKNOWN_TASK, task, message, hint, "tasks")
    return several


def _known(path: Path, found: Mapping[str, Column], name: str, key: str) -> str:
    if name not in found:
        message = f"`{path}` has no column `{name}`"
        raise at_key(Code.DATA_MISMATCH, key, message, did_you_mean(name, found, "columns"))
    return name


def _split_column(
    path: Path, found: Mapping[str, Column], stated: str | None, used: set[str]
) -> Column | None:
    """Return the column that says the splits, or None."""
    if stated is not None:
        return found[_known(path, found, stated, "split")]
    for name, column in found.items():
        if name.lower() == "split" and name not in used and column.kind == "text":
            told = {str(value).lower() for value in column.values if value is not None}
            return column if told <= set(SPLITS) else None
    return None


def _splits(path: Path, column: Column) -> NDArray[Any]:
    """Return the split of each row."""
    names = []
    for row, value in enumerate(column.values, 1):
        split = SPLITS.get(str(value).lower()) if column.kind == "text" else None
        if split is None:
            number = f"{value:g}" if isinstance(value, float) else value
            shown = "is empty" if value is None else f"is `{number}`"
            message = f"the split of row {row:,} of `{path}` {shown}"
            hint = f"the column `{column.name}` says `train`, `validation` or `test`"
            raise at_key(Code.DATA_MISMATCH, "split", message, hint)
        names.append(split)
    if "train" not in names:
        message = f"no row of `{path}` is in the training split"
        hint = f"write `train` into the column `{column.name}`"
        raise at_key(Code.DATA_MISMATCH, "split", message, hint)
    return np.array(names)


def holds_pictures(column: Column) -> bool:
    """Return whether a column is pictures: names of their files, or what is in them."""
    if column.kind == "bytes":
        return True
    told = [value for value in column.values if value is not None] if column.kind == "text" else []
    return bool(told) and all(map(is_picture, told))


def _chosen(
    path: Path,
    found: Mapping[str, Column],
    stated: Mapping[str, Sequence[str]] | None,
    used: set[str],
) -> dict[str, tuple[str, ...]]:
    """Return the columns of each input: as stated, else pictures and all numbers."""
    if stated is not None:
        own = {n: tuple(_known(path, found, c, "inputs") for c in cs) for n, cs in stated.items()}
        for name, names in own.items():
            _check_kinds(path, name, [found[column] for column in names])
        return own
    free = [column for name, column in found.items() if name and name not in used]
    pictures = [column.name for column in free if holds_pictures(column)]
    inputs: dict[str, tuple[str, ...]]
    inputs = {"image": (pictures[0],)} if len(pictures) == 1 else {n: (n,) for n in pictures}
    wrong = next((name for name in inputs if not (name.isascii() and name.isidentifier())), None)
    if wrong is not None:
        message = f"the column `{wrong}` of `{path}` cannot be the name of an input"
        raise fail(Code.DATA_MISMATCH, message, f"state `inputs: {{left: {wrong}, ...}}`")
    numbers = tuple(c.name for c in free if c.kind in ("whole", "number", "truth"))
    if numbers:
        inputs[NUMBERS] = numbers
    if not inputs:
        listed = ", ".join(f"`{column.name}` ({column.text})" for column in free[:8])
        message = f"`{path}` has no input: no column of numbers or of image files"
        raise fail(Code.DATA_MISMATCH, message, f"columns left: {listed or 'none'}")
    return inputs


def _check_kinds(path: Path, name: str, own: Sequence[Column]) -> None:
    """Refuse columns that do not make one input."""
    others = [column for column in own if column.kind == "other"]
    kinds = {c.kind if c.kind in ("text", "bytes") else "numbers" for c in own}
    several = len(own) > 1 and any(map(holds_pictures, own))
    if others or len(kinds) > 1 or several:
        listed = ", ".join(f"`{column.name}` ({column.text})" for column in own[:8])
        message = f"the input `{name}` cannot be made of {listed} of `{path}`"
        hint = "an input is one column of image files, columns of numbers, or columns of text"
        raise at_key(Code.DATA_MISMATCH, "inputs", message, hint)
