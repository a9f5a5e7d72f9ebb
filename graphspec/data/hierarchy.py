"""Tasks that refine each other: which is the finest, and do the labels keep to the map?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphspec.errors import Code, fail
from graphspec.language.signature import TaskSpec


def finest(tasks: Mapping[str, TaskSpec]) -> str | None:
    """Return the first classification that no other task refines, else the first of all.

    Returns:
        Its name, or None where no task is a classification.
    """
    names = [name for name, task in tasks.items() if task.type == "classification"]
    refined = {tasks[name].parent for name in names}
    return next((name for name in names if name not in refined), next(iter(names), None))


def check(tasks: Mapping[str, TaskSpec], labels: Mapping[str, NDArray[Any]], where: str) -> None:
    """Check that each class lies in its parent, for labels that are classes of their tasks.

    Args:
        tasks: The tasks of the signature.
        labels: For each task the class of each sample, shape ``(N,)``.
        where: What was read, for the message.

    Raises:
        SpecError: ``data-corrupt`` if a sample of a class is not in the parent that the signature
            gives.
    """
    for name, task in tasks.items():
        if task.parent is not None:
            _check_parents(name, task, tasks[task.parent], labels, where)


def _check_parents(
    name: str,
    task: TaskSpec,
    parent: TaskSpec,
    labels: Mapping[str, NDArray[np.int64]],
    where: str,
) -> None:
    assert task.parent is not None
    own_labels, found_labels = labels[name], labels[task.parent]
    expected = np.asarray(task.parents, dtype=np.int64)[own_labels]
    known = (own_labels >= 0) & (found_labels >= 0)
    wrong = np.flatnonzero(known & (expected != found_labels))
    if wrong.size:
        first = int(wrong[0])
        own = task.names[labels[name][first]]
        found = parent.names[labels[task.parent][first]]
        message = (
            f"`{where}` puts {wrong.size} samples into a wrong class of `{task.parent}`; sample "
            f"{first} is `{own}`, expected in `{parent.names[expected[first]]}`, found in `{found}`"
        )
        raise fail(Code.DATA_CORRUPT, message, "replace the file by the official one")
