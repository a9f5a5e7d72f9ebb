"""The ``tasks:`` section as data: what is predicted and what its loss looks like.

Which keys a type has is known here; names of losses and what each of them takes are checked by the
trainer, which owns their table (`graphspec.training.losses`).
"""

from __future__ import annotations

from math import prod
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from graphspec.language.section import Section, listed
from graphspec.language.signature import TaskSpec, TaskType

MAX_CLASSES = 2**31 - 1
"""Most classes: torch's kernels index with 32 bits."""


def _countable(shape: list[int] | None) -> list[int] | None:
    if shape is not None and prod(shape) > MAX_CLASSES:
        message = f"one target has {prod(shape):,} numbers, more than {MAX_CLASSES:,}"
        raise ValueError(message)
    return shape


def _weights(value: Any) -> Any:
    if value is None or value == "balanced" or isinstance(value, list):
        return value
    message = f"expected `balanced` or a list of numbers, one for each class, got `{value}`"
    raise ValueError(message)


class Task(Section):
    """What a head predicts, and how much its loss counts."""

    type: TaskType | None = None
    """`classification` (one class a sample), `multilabel` (any number of labels), `regression`
    (numbers) or `segmentation` (one class a position); by default the data set's, else
    `classification`."""
    classes: int | None = Field(None, ge=1, le=MAX_CLASSES)
    """Number of classes or labels; comes from the data set where there is one."""
    shape: Annotated[
        list[Annotated[int, Field(ge=1, le=MAX_CLASSES)]] | None,
        Field(max_length=7),
        AfterValidator(_countable),
    ] = None
    """Shape of one sample's target: of a regression (by default `[1]`, one number), or the
    positions of a segmentation, such as `[32, 32]`; comes from the data set where there is one."""
    labels: str | None = Field(None, examples=["fine"])
    """Another task, on whose labels this one is trained too, as an auxiliary head is; type and
    classes are that task's."""
    parent: str | None = Field(None, examples=["coarse"])
    """The coarser classification that each class of this one lies in; comes from the data set where
    that knows it, and is else learned from the training labels."""
    weight: float = Field(1.0, ge=0.0)
    """Factor of the task's loss in the sum."""
    loss: str | None = Field(None, examples=["cross_entropy", "mse", "huber"])
    """Name of the loss; by the type `cross_entropy`, `binary_cross_entropy` or `mse` by default."""
    class_weights: Annotated[
        Literal["balanced"] | list[Annotated[float, Field(ge=0.0)]] | None,
        BeforeValidator(_weights),
    ] = None
    """Factors of the classes in the loss, one each: a list, or `balanced` for factors that make up
    for unequal numbers in the training split. In `multilabel` they are factors of the positives."""
    label_smoothing: float | None = Field(None, ge=0.0, lt=1.0)
    """Part of a label's weight that is spread evenly over all classes; by default what
    `train.label_smoothing` says."""
    metrics: Annotated[
        Annotated[list[str], Field(min_length=1)] | None,
        BeforeValidator(
            listed, json_schema_input_type=str | Annotated[list[str], Field(min_length=1)] | None
        ),
    ] = Field(None, examples=[["top1", "macro_f1"]])
    """What the task is measured by, the one that says most first; by the type by default."""
    ignore_index: int | None = None
    """Label of the positions of a segmentation that do not count, such as `255`."""


_FOREIGN: dict[str, dict[str, str]] = {
    "classification": {"shape": "its target is one class", "ignore_index": ""},
    "multilabel": {"shape": "its target is one number a label", "ignore_index": "", "parent": ""},
    "regression": {"classes": "its size is `shape`", "ignore_index": "", "parent": ""},
    "segmentation": {"parent": ""},
}
"""For each type the keys that it does not have, and why."""


def foreign(task: Task, kind: TaskType) -> dict[str, str]:
    """Return the keys that a task states though its type does not have them.

    Args:
        task: The task.
        kind: Its type.

    Returns:
        The keys, each with the reason, which may be empty.
    """
    found = _FOREIGN[kind].items()
    return {key: reason for key, reason in found if getattr(task, key) is not None}


def stated(task: Task) -> TaskSpec | None:
    """Return what a task says of itself, for a spec without a data set.

    Returns:
        The task, or None where it does not state its number of classes.
    """
    kind: TaskType = task.type or "classification"
    shape = stated_shape(task, kind)
    if kind == "regression":
        return TaskSpec(type=kind, shape=shape or (1,))
    if task.classes is None:
        return None
    if kind == "segmentation":
        return TaskSpec(task.classes, type=kind, shape=shape or (), ignore_index=task.ignore_index)
    return TaskSpec(task.classes, type=kind)


def stated_shape(task: Task, kind: TaskType) -> tuple[int, ...] | None:
    """Return the shape of a task's target as it is stated, or None where nothing is.

    One number is ``(1,)`` however it is written: ``[]`` or ``[1]``.
    """
    if task.shape is None or kind not in ("regression", "segmentation"):
        return None
    return tuple(task.shape) or ((1,) if kind == "regression" else None)
