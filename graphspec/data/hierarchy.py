"""Tasks that refine each other: which is the finest, and do the labels keep to the map?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from graphspec.errors import Code, fail
from graphspec.language.signature import TaskSpec


def finest(tasks: Mapping[str, TaskSpec]) -> str:
    """Return the first task that no other task refines, or the first of all if there is none."""
    refined = {task.parent for task in tasks.values()}
    return next((name for name in tasks if name not in refined), next(iter(tasks)))


def check(
    tasks: Mapping[str, TaskSpec], labels: Mapping[str, NDArray[np.int64]], where: str
) -> None:
    """Check that labels are classes of their tasks and that each class lies in its parent.

    Args:
        tasks: The tasks of the signature.
        labels: For each task the class of each sample, shape ``(N,)``.
        where: What was read, for the message.

    Raises:
        SpecError: ``data-corrupt`` if a label is no class of its task, or if a sample of a class is
            not in the parent that the signature gives.
    """
    for name, task in tasks.items():
        _check_range(name, task, labels[name], where)
    for name, task in tasks.items():
        if task.parent is not None:
            _check_parents(name, task, tasks[task.parent], labels, where)


def _check_range(name: str, task: TaskSpec, labels: NDArray[np.int64], where: str) -> None:
    if labels.size and (labels.min() < 0 or labels.max() >= task.classes):
        message = (
            f"`{where}` holds labels of `{name}` from {labels.min()} to {labels.max()}; "
            f"expected 0 to {task.classes - 1}"
        )
        raise fail(Code.DATA_CORRUPT, message, "replace the file by the official one")


def _check_parents(
    name: str,
    task: TaskSpec,
    parent: TaskSpec,
    labels: Mapping[str, NDArray[np.int64]],
    where: str,
) -> None:
    assert task.parent is not None
    expected = np.asarray(task.parents, dtype=np.int64)[labels[name]]
    wrong = np.flatnonzero(expected != labels[task.parent])
    if wrong.size:
        first = int(wrong[0])
        own = task.names[labels[name][first]]
        found = parent.names[labels[task.parent][first]]
        message = (
            f"`{where}` puts {wrong.size} samples into a wrong class of `{task.parent}`; sample "
            f"{first} is `{own}`, expected in `{parent.names[expected[first]]}`, found in `{found}`"
        )
        raise fail(Code.DATA_CORRUPT, message, "replace the file by the official one")
