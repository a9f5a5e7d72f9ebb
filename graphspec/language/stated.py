"""What a spec states of its inputs and tasks itself, alone or beside what its data set offers."""

from __future__ import annotations

from collections.abc import Mapping

from graphspec.errors import Code, Sink, did_you_mean
from graphspec.language import hierarchies, labels
from graphspec.language.models import Spec
from graphspec.language.recipe import Data
from graphspec.language.signature import InputSpec, Signature, TaskSpec, TaskType
from graphspec.language.tasks import foreign, stated, stated_shape


def signature(spec: Spec, sink: Sink) -> Signature | None:
    """Return the inputs and tasks that a spec states itself.

    Args:
        spec: A spec without a data set, or one whose data are not here.
        sink: Where ``no-input``, ``missing-key`` and ``bad-value`` go.

    Returns:
        The signature, or None where something is missing.
    """
    if not spec.inputs:
        sink.error(
            Code.NO_INPUT,
            spec.locate("nodes", key=True),
            "the spec names no data set and states no inputs",
            "write `data: cifar100`, or `inputs: {image: {shape: [3, 32, 32]}}` and "
            "`tasks: {fine: {classes: 100}}`",
        )
        return None
    tasks = {}
    for name, task in spec.tasks.items():
        if task.labels is not None:
            continue
        _check_foreign(spec, name, task.type or "classification", sink)
        described = stated(task)
        if described is None:
            word = "labels" if task.type == "multilabel" else "classes"
            sink.error(
                Code.MISSING_KEY,
                spec.locate("tasks", name, key=True),
                f"the key `classes` of the task `{name}` is missing",
                f"without a data set a task states its number of {word}: `{name}: {{classes: 10}}`",
            )
            return None
        tasks[name] = described
    tasks = hierarchies.declared(spec.tasks, tasks)
    _check_parents(spec, tasks, sink)
    inputs = {name: InputSpec(tuple(item.shape), item.dtype) for name, item in spec.inputs.items()}
    everything = Signature(inputs, tasks | labels.borrowed(spec.tasks, tasks))
    for name, task in spec.tasks.items():
        if task.labels is not None:
            _check_borrowed(spec, name, everything, sink)
    return everything


def compare(spec: Spec, offered: Signature, sink: Sink) -> None:
    """Report what a spec states otherwise than its data set offers.

    Args:
        spec: A spec with a data set.
        offered: What that offers.
        sink: Where ``data-mismatch``, ``unknown-task`` and ``bad-value`` go.
    """
    assert spec.data is not None
    source = spec.data.source
    for name, item in spec.inputs.items():
        there = offered.inputs.get(name)
        if there is None or (tuple(item.shape), item.dtype) != (there.shape, there.dtype):
            found = f"offers {list(there.shape)} {there.dtype}" if there else "has no such input"
            sink.error(
                Code.DATA_MISMATCH,
                spec.locate("inputs", name),
                f"the input `{name}` is stated as {item.shape} {item.dtype}, "
                f"but `{source}` {found}",
                "leave `inputs:` out: they come from the data set",
            )
    for name, task in spec.tasks.items():
        if task.labels is not None:
            _check_borrowed(spec, name, offered, sink)
            continue
        offer = offered.tasks.get(name)
        if offer is not None:
            _compare_task(spec, name, offer, (f"`{source}`", "the data set"), sink)
            continue
        sink.error(
            Code.UNKNOWN_TASK,
            spec.locate("tasks", name, key=True),
            f"`{source}` has no task `{name}`",
            _offers(name, spec.data, offered),
        )

    _check_parents(spec, offered.tasks, sink)


def _check_parents(spec: Spec, offered: Mapping[str, TaskSpec], sink: Sink) -> None:
    """Report parents of tasks that cannot be."""
    for name, task in spec.tasks.items():
        if task.parent is None or name not in offered or offered[name].type != "classification":
            continue
        wrong = hierarchies.check(name, spec.tasks, offered)
        if wrong is not None:
            code, message, hint = wrong
            sink.error(code, spec.locate("tasks", name, "parent"), message, hint)


def _offers(name: str, data: Data, offered: Signature) -> str:
    """Return the hint for a task that a data set does not have."""
    own = [each for each, task in offered.tasks.items() if task.labels is None]
    if data.path is not None:
        # the spec says which arrays are targets: a typo leaves the array that is meant an input
        return did_you_mean(name, [*own, *offered.inputs], f"arrays of `{data.path}`")
    hint = did_you_mean(name, own, f"tasks of `{data.source}`")
    return f"{hint}\nto train it on the labels of one of these: `{name}: {{labels: {own[0]}}}`"


def _check_borrowed(spec: Spec, name: str, offered: Signature, sink: Sink) -> None:
    """Report what cannot be of a task that is trained on the labels of another."""
    wrong = labels.check(name, spec.tasks, offered)
    if wrong is not None:
        code, message, hint = wrong
        sink.error(code, spec.locate("tasks", name, "labels"), message, hint)
        return
    offer = offered.tasks.get(name)
    if offer is not None:
        owner = f"`{offer.labels}`, whose labels it has,"
        _compare_task(spec, name, offer, (owner, f"`{offer.labels}`"), sink)


def _compare_task(
    spec: Spec, name: str, offer: TaskSpec, giver: tuple[str, str], sink: Sink
) -> None:
    """Report what a spec says of a task otherwise than its data set, or the task it borrows from.

    Args:
        spec: The spec.
        name: The task.
        offer: What it is.
        giver: Who says what it is: by name, and as the hints call it.
        sink: Where the mistakes go.
    """
    task, (source, origin) = spec.tasks[name], giver
    if task.type is not None and task.type != offer.type:
        sink.error(
            Code.DATA_MISMATCH,
            spec.locate("tasks", name, "type"),
            f"the task `{name}` is stated as {task.type}, but {source} has it as {offer.type}",
            f"leave `type` out: it comes from {origin}",
        )
        return
    _check_foreign(spec, name, offer.type, sink)
    if task.classes is not None and offer.classes and task.classes != offer.classes:
        sink.error(
            Code.DATA_MISMATCH,
            spec.locate("tasks", name, "classes"),
            f"the task `{name}` is stated with {task.classes} classes, but {source} has "
            f"{offer.classes}",
            f"leave `classes` out: it comes from {origin}",
        )
    shape = stated_shape(task, offer.type)
    if shape is not None and shape != offer.shape:
        sink.error(
            Code.DATA_MISMATCH,
            spec.locate("tasks", name, "shape"),
            f"the task `{name}` is stated with targets of shape {list(shape)}, but {source} has "
            f"{list(offer.shape)}",
            f"leave `shape` out: it comes from {origin}",
        )
    if offer.type == "segmentation" and task.ignore_index not in (None, offer.ignore_index):
        found = "counts every label" if offer.ignore_index is None else f"has {offer.ignore_index}"
        sink.error(
            Code.DATA_MISMATCH,
            spec.locate("tasks", name, "ignore_index"),
            f"the task `{name}` ignores {task.ignore_index}, but {source} {found}",
            f"leave `ignore_index` out: it comes from {origin}",
        )


def _check_foreign(spec: Spec, name: str, kind: TaskType, sink: Sink) -> None:
    """Report keys of a task that its type does not have."""
    for key, reason in foreign(spec.tasks[name], kind).items():
        why = f": {reason}" if reason else ""
        sink.error(
            Code.BAD_VALUE,
            spec.locate("tasks", name, key),
            f"`{key}` is not for a {kind} task such as `{name}`",
            f"leave it out{why}",
        )
