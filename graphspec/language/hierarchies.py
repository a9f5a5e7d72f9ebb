"""Tasks that refine others: by ``fine: {parent: coarse}`` each fine class lies in a coarse one.

Which class lies in which is not said here: a data set knows it, or it is learned from the labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from graphspec.errors import Code, arrows, did_you_mean
from graphspec.language.signature import TaskSpec
from graphspec.language.tasks import Task


def declared(tasks: Mapping[str, Task], offered: Mapping[str, TaskSpec]) -> dict[str, TaskSpec]:
    """Return the tasks of a data set with the parents that a spec declares.

    Args:
        tasks: The spec's ``tasks:``.
        offered: What the data set offers.

    Returns:
        The same tasks; a parent that `check` reports is left out.
    """
    found = dict(offered)
    for name, task in tasks.items():
        own = offered.get(name)
        if task.parent is None or own is None or own.parent is not None:
            continue
        if own.type == "classification" and check(name, tasks, offered) is None:
            found[name] = replace(offered[name], parent=task.parent)
    return found


def check(
    name: str, tasks: Mapping[str, Task], offered: Mapping[str, TaskSpec]
) -> tuple[Code, str, str] | None:
    """Return what is wrong with the ``parent`` of a task, if anything is.

    Args:
        name: A task with a ``parent``.
        tasks: The spec's ``tasks:``.
        offered: The tasks that there are labels for.

    Returns:
        The code, the message and the hint.
    """
    parent = tasks[name].parent
    assert parent is not None
    own, above = offered[name], offered.get(parent)
    owner = tasks[parent].labels if parent in tasks else None
    if owner is not None:
        message = f"`parent: {parent}` has the labels of `{owner}`"
        return Code.BAD_VALUE, message, f"write `parent: {owner}`"
    if above is None:
        if parent in tasks:
            return None  # it is told there that it has no labels
        known = [n for n, t in offered.items() if n != name and t.type == "classification"]
        message = f"`parent: {parent}` names no task"
        return Code.UNKNOWN_TASK, message, did_you_mean(parent, known, "classifications here")
    circle = _circle(name, tasks, offered)
    if circle:
        message = f"the classes of `{name}` would lie in themselves: {arrows(circle)}"
        return Code.BAD_VALUE, message, "the task with fewer classes is the parent of the other"
    if above.type != "classification":
        message = f"`parent: {parent}` is a {above.type} task, in whose classes nothing can lie"
        return Code.BAD_VALUE, message, "name a classification"
    if own.parent not in (None, parent):
        message = f"the classes of `{name}` lie in those of `{own.parent}`, not of `{parent}`"
        return Code.DATA_MISMATCH, message, "leave `parent` out: it comes from the data set"
    return None


def _circle(
    name: str, tasks: Mapping[str, Task], offered: Mapping[str, TaskSpec]
) -> list[str] | None:
    """Return the way from a task over its parents back to itself, if there is one."""
    names = [name]
    while len(names) <= len(offered):
        last = names[-1]
        above = offered[last].parent if last in offered else None
        if above is None and last in tasks:
            above = tasks[last].parent
        if above is None:
            return None
        names.append(above)
        if above == name:
            return names
    return None
