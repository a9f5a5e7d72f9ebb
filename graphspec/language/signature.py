"""What the outside offers a topology: the shapes of its inputs and the tasks to predict.

A data set describes itself with a `Signature`; a spec without one states the same under
``inputs:`` and ``tasks:``. It is the low type through which data meets the compiler.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class InputSpec:
    """One input of a topology.

    Attributes:
        shape: Its shape without the batch, e.g. ``(3, 32, 32)`` for ``(C, H, W)``.
        dtype: Name of its torch dtype, e.g. ``float32`` or ``int64``.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"


@dataclass(frozen=True)
class TaskSpec:
    """One task: what a head predicts.

    Attributes:
        classes: Number of classes.
        names: Class names by index, or empty where they are unknown.
        parent: The coarser task that each class of this one lies in, or None.
        parents: For each class of this task its class in ``parent``, or empty.
    """

    classes: int
    names: tuple[str, ...] = ()
    parent: str | None = None
    parents: tuple[int, ...] = ()


@dataclass(frozen=True)
class Signature:
    """Inputs and tasks by name."""

    inputs: dict[str, InputSpec] = field(default_factory=dict)
    tasks: dict[str, TaskSpec] = field(default_factory=dict)
