"""Tasks that refine each other: which class lies in which, and do the labels keep to that?

A source may know the map; else it is learned from the labels of the training split. Samples that
lack one of the two labels say nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphspec.errors import Code, fail
from graphspec.language.signature import TaskSpec

UNKNOWN = -1
"""The parent of a class of which no sample shows it."""

Called = Callable[[int], str]
"""Gives what people call a sample: its row in a table, its file, or its number."""


def finest(tasks: Mapping[str, TaskSpec]) -> str | None:
    """Return the first classification that no other task refines, else the first of all.

    Returns:
        Its name, or None where no task is a classification.
    """
    names = [name for name, task in tasks.items() if task.type == "classification"]
    refined = {tasks[name].parent for name in names}
    return next((name for name in names if name not in refined), next(iter(names), None))


def learned(
    tasks: Mapping[str, TaskSpec],
    labels: Mapping[str, NDArray[Any]],
    where: str,
    called: Called = "sample {}".format,
) -> dict[str, TaskSpec]:
    """Return the tasks with the map of every class to its parent, and on to the parent's parent.

    Args:
        tasks: The tasks of the signature; a map that one of them has already is kept.
        labels: For each task the class of each sample, shape ``(N,)``.
        where: What was read, for the message.
        called: What a sample is called there.

    Raises:
        SpecError: ``data-corrupt`` if a class lies in two classes of its parent.
    """
    found = dict(tasks)
    for name, task in tasks.items():
        if task.parent is not None and not task.parents:
            parents = _learn(name, tasks, labels, where, called)
            found[name] = replace(task, parents=tuple(parents.tolist()))
    return {name: replace(task, lineage=_lineage(name, found)) for name, task in found.items()}


def mapped(
    tasks: Mapping[str, TaskSpec], parents: Mapping[str, Sequence[int]]
) -> dict[str, TaskSpec]:
    """Return the tasks with a map that is known already, instead of that of their labels.

    Args:
        tasks: The tasks.
        parents: For a task with a parent the parent of each of its classes; others are left alone.
    """
    found = {
        name: replace(task, parents=tuple(parents[name]))
        if task.parent is not None and len(parents.get(name, ())) == task.classes
        else task
        for name, task in tasks.items()
    }
    return {name: replace(task, lineage=_lineage(name, found)) for name, task in found.items()}


def _learn(
    name: str,
    tasks: Mapping[str, TaskSpec],
    labels: Mapping[str, NDArray[Any]],
    where: str,
    called: Called,
) -> NDArray[np.int64]:
    """Return for each class its parent in the first sample that has both labels."""
    above = str(tasks[name].parent)
    own, parent = labels[name], labels[above]
    both = np.flatnonzero((own >= 0) & (parent >= 0))
    classes, first = np.unique(own[both], return_index=True)
    parents = np.full(tasks[name].classes, UNKNOWN, dtype=np.int64)
    parents[classes] = parent[both[first]]
    wrong = both[parents[own[both]] != parent[both]]
    if wrong.size:
        sample = int(wrong[0])
        other = int(both[first[np.searchsorted(classes, own[sample])]])
        message = (
            f"the class `{_name(tasks[name], own[sample])}` of `{name}` in `{where}` lies in two "
            f"classes of `{above}`: in `{_name(tasks[above], parent[other])}` by {called(other)}, "
            f"in `{_name(tasks[above], parent[sample])}` by {called(sample)}"
        )
        hint = f"correct the labels, or leave `parent: {above}` of `{name}` out"
        if tasks[above].classes > tasks[name].classes:
            hint += f"; was `{above}: {{parent: {name}}}` meant?"
        raise fail(Code.DATA_CORRUPT, message, hint)
    return parents


def _lineage(name: str, tasks: Mapping[str, TaskSpec]) -> tuple[tuple[int, ...], ...]:
    """Return for each level above a task, the nearest first, where its classes lie."""
    levels: list[tuple[int, ...]] = []
    task: TaskSpec | None = tasks[name]
    while task is not None and task.parents:
        up = task.parents
        below = levels[-1] if levels else tuple(range(len(up)))
        levels.append(tuple(UNKNOWN if each == UNKNOWN else up[each] for each in below))
        task = tasks.get(str(task.parent))
    return tuple(levels)


def check(
    tasks: Mapping[str, TaskSpec],
    labels: Mapping[str, NDArray[Any]],
    where: str,
    official: bool = True,
    called: Called = "sample {}".format,
) -> None:
    """Check that each sample of a class is in the parent that the map gives.

    Args:
        tasks: The tasks, with their maps.
        labels: For each task the class of each sample, shape ``(N,)``.
        where: What was read, for the message.
        official: Whether there are official files that would be right.
        called: What a sample is called there.

    Raises:
        SpecError: ``data-corrupt`` with the first sample that is not.
    """
    for name, task in tasks.items():
        if task.parent is not None and task.parents:
            _check_parents(name, task, tasks[task.parent], labels, where, official, called)


def _check_parents(
    name: str,
    task: TaskSpec,
    parent: TaskSpec,
    labels: Mapping[str, NDArray[np.int64]],
    where: str,
    official: bool,
    called: Called,
) -> None:
    assert task.parent is not None
    own_labels, found_labels = labels[name], labels[task.parent]
    expected = np.asarray(task.parents, dtype=np.int64)[own_labels]
    known = (own_labels >= 0) & (found_labels >= 0) & (expected != UNKNOWN)
    wrong = np.flatnonzero(known & (expected != found_labels))
    if wrong.size:
        first = int(wrong[0])
        samples = "1 sample" if wrong.size == 1 else f"{wrong.size:,} samples"
        message = (
            f"`{where}` puts {samples} into a wrong class of `{task.parent}`; {called(first)} "
            f"is `{_name(task, own_labels[first])}`, expected in "
            f"`{_name(parent, expected[first])}`, found in `{_name(parent, found_labels[first])}`"
        )
        hint = "replace the file by the official one" if official else "correct the labels"
        raise fail(Code.DATA_CORRUPT, message, hint)


def _name(task: TaskSpec, label: Any) -> str:
    return task.names[int(label)] if task.names else str(int(label))
