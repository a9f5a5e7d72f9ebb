"""What the outside offers a topology: the shapes of its inputs and the tasks to predict.

A data set describes itself with a `Signature`; a spec without one states the same under
``inputs:`` and ``tasks:``. It is the low type through which data meets the compiler.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Literal

TaskType = Literal["classification", "multilabel", "regression", "segmentation"]
"""What kind of thing a task predicts."""


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
        classes: Number of classes, or of labels where several may hold at once; 0 for regression.
        names: Class names by index, or empty where they are unknown.
        parent: The coarser task that each class of this one lies in, or None.
        parents: For each class of this task its class in ``parent``, -1 where it is not known;
            empty before the labels were looked at.
        metrics: Names of the metrics that a spec chooses for it; empty for those of its type.
        lineage: The same for ``parent``, its own parent and so on; ``parents`` is the first.
        type: ``classification`` for one class a sample, ``multilabel`` for any number of labels,
            ``regression`` for numbers, ``segmentation`` for one class a position.
        shape: Of one sample's target, without the batch: the numbers of a regression, e.g.
            ``(1,)``; the positions of a segmentation, e.g. ``(32, 32)``, or empty where they are
            not known; empty for the other types.
        ignore_index: Label of the positions of a segmentation that do not count, or None.
        labels: The task whose labels these are, where they are not its own, or None.
        partial: Whether some samples lack its label, which is -1 for a class and NaN for a number.
    """

    classes: int = 0
    names: tuple[str, ...] = ()
    parent: str | None = None
    parents: tuple[int, ...] = ()
    type: TaskType = "classification"
    shape: tuple[int, ...] = ()
    ignore_index: int | None = None
    labels: str | None = None
    partial: bool = False
    lineage: tuple[tuple[int, ...], ...] = ()
    metrics: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """What is predicted, in words: ``10 classes``, ``3 labels``, ``1 number``."""
        if self.type == "regression":
            sizes = "x".join(map(str, self.shape))
            return "1 number" if prod(self.shape) == 1 else f"{sizes} numbers"
        word = {"multilabel": "label"}.get(self.type, "class")
        plural = "" if self.classes == 1 else "es" if word == "class" else "s"
        places = " a position" if self.type == "segmentation" else ""
        return f"{self.classes} {word}{plural}{places}"


@dataclass(frozen=True)
class Signature:
    """Inputs and tasks by name."""

    inputs: dict[str, InputSpec] = field(default_factory=dict)
    tasks: dict[str, TaskSpec] = field(default_factory=dict)
