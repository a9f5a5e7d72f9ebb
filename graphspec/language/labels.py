"""Tasks that are trained on the labels of another: ``aux: {labels: fine}``.

Deep supervision has several heads for one target (auxiliary classifiers, heads at several depths),
and each head is a task of its own, with its own loss weight and metrics.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from graphspec.errors import Code, arrows, did_you_mean
from graphspec.language.signature import Signature, TaskSpec
from graphspec.language.tasks import Task


def path(name: str, tasks: Mapping[str, Task]) -> list[str]:
    """Return from task to task whose labels a task has; the last has labels of its own.

    Args:
        name: A task.
        tasks: The spec's ``tasks:``.

    Returns:
        The names, beginning with this one; where they go in a circle one of them twice.
    """
    names = [name]
    while (task := tasks.get(names[-1])) is not None and task.labels is not None:
        names.append(task.labels)
        if task.labels in names[:-1]:
            break
    return names


def borrowed(tasks: Mapping[str, Task], offered: Mapping[str, TaskSpec]) -> dict[str, TaskSpec]:
    """Return the tasks that have the labels of others.

    Args:
        tasks: The spec's ``tasks:``.
        offered: The tasks that have labels of their own.

    Returns:
        What is predicted, by task; without those that `check` reports.
    """
    found = {}
    for name, task in tasks.items():
        if task.labels is not None and name not in offered:
            origin = path(name, tasks)[-1]
            if origin in offered:
                found[name] = replace(offered[origin], labels=origin)
    return found


def check(name: str, tasks: Mapping[str, Task], offered: Signature) -> tuple[Code, str, str] | None:
    """Return what is wrong with the ``labels`` of a task, if anything is.

    Args:
        name: A task with ``labels``.
        tasks: The spec's ``tasks:``.
        offered: What there are labels for; inputs only serve the hint.

    Returns:
        The code, the message and the hint.
    """
    names = path(name, tasks)
    if names[-1] in names[:-1]:
        message = f"the labels of `{name}` come from no task: {arrows(names)}"
        return Code.BAD_VALUE, message, "name a task that has labels of its own"
    own = offered.tasks.get(name)
    if own is not None and own.labels is None:
        message = f"`{name}` has labels of its own, so it cannot have those of `{names[1]}`"
        return Code.DATA_MISMATCH, message, f"give this task another name, such as `{name}_2`"
    if names[-1] in offered.tasks or names[1] in tasks:
        return None  # a mistake further on is told there
    message = f"`labels: {names[1]}` names no task"
    if names[1] in offered.inputs:
        hint = f"say that it is one: `tasks: {{{names[1]}: {{}}, {name}: {{labels: {names[1]}}}}}`"
        return Code.UNKNOWN_TASK, message, hint
    known = [each for each in {**offered.tasks, **tasks} if each != name]
    return Code.UNKNOWN_TASK, message, did_you_mean(names[1], known, "tasks with labels")
