"""The table of losses: what a task's ``loss`` may name, and how each is computed.

A loss is a mean. Most are means over samples; one with class weights, or with labels that are
missing or do not count, is a mean over what counts (its *basis*), so that it does not depend on how
samples happen to fall into batches. A batch in which nothing counts has the loss 0 and no gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from graphspec.errors import Code
from graphspec.language.signature import TaskType
from graphspec.ops.registry import Registry

MISSING = -1
"""The class of a sample or position that lacks its label; a number that does is NaN."""


class Objective(Protocol):
    """The loss of one task, with its options."""

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of a batch."""

    def basis(self, labels: Tensor) -> Tensor | None:
        """Return over how much that mean is taken; None where it is over the samples."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a task says of its loss.

    Attributes:
        class_weights: Factor of each class, or of each label's positives.
        label_smoothing: Part of a label's weight that is spread over all classes.
        ignore_index: Label of what does not count.
        partial: Whether labels may be missing: -1 for a class, NaN for a number.
    """

    class_weights: Tensor | None = None
    label_smoothing: float = 0.0
    ignore_index: int | None = None
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss that a task may name.

    Attributes:
        summary: What it computes, in one sentence.
        types: Types of task that it suits.
        takes: Keys of a task that it heeds.
        make: Gives the loss with its options.
        origin: The module that defines it, for messages about duplicates.
    """

    summary: str
    types: tuple[TaskType, ...]
    takes: frozenset[str]
    make: Callable[[Options], Objective]
    origin: str = __name__


class CrossEntropy:
    """Cross-entropy of logits ``(N, classes, ...)`` and classes ``(N, ...)``."""

    def __init__(self, options: Options) -> None:
        self._weights = options.class_weights
        self._ignored = MISSING if options.partial else options.ignore_index
        self._merged = options.ignore_index if options.partial else None
        weightless = self._weights is not None and not bool((self._weights > 0).all())
        self._may_be_empty = self._ignored is not None or weightless
        self._kwargs: dict[str, Any] = {}
        if options.label_smoothing:
            self._kwargs["label_smoothing"] = options.label_smoothing
        if self._ignored is not None:
            self._kwargs["ignore_index"] = self._ignored

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the mean over the basis; 0 where nothing counts."""
        if not self._may_be_empty:
            return functional.cross_entropy(outputs, labels, self._weights, **self._kwargs)
        basis = self.basis(labels)
        assert basis is not None
        if self._merged is not None:
            labels = torch.where(labels == self._merged, MISSING, labels)
        total = functional.cross_entropy(
            outputs, labels, self._weights, reduction="sum", **self._kwargs
        )
        return total / (basis + (basis == 0))

    def basis(self, labels: Tensor) -> Tensor | None:
        """Return the number of labels that count, or the sum of their weights."""
        if self._weights is None and self._ignored is None:
            return None
        if self._ignored is None:
            assert self._weights is not None
            return self._weights[labels].sum()
        counted = labels != self._ignored
        if self._merged is not None:
            counted &= labels != self._merged
        if self._weights is None:
            return counted.sum()
        return (self._weights[labels * counted] * counted).sum()


class BinaryCrossEntropy:
    """Cross-entropy of each label alone: logits ``(N, labels)`` and 0 or 1 of the same shape."""

    def __init__(self, options: Options) -> None:
        self._weights = options.class_weights
        self._smoothing = options.label_smoothing
        self._partial = options.partial

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the mean over samples and labels, those that are known."""
        if self._smoothing:
            labels = labels * (1 - self._smoothing) + self._smoothing / 2
        if self._partial:
            return _mean_of_known(self._entropies, outputs, labels)
        return functional.binary_cross_entropy_with_logits(
            outputs, labels, pos_weight=self._weights
        )

    def basis(self, labels: Tensor) -> Tensor | None:
        """Return the number of known labels; None, for the samples, where all are."""
        return _known(labels) if self._partial else None

    def _entropies(self, outputs: Tensor, labels: Tensor, reduction: str) -> Tensor:
        return functional.binary_cross_entropy_with_logits(
            outputs, labels, pos_weight=self._weights, reduction=reduction
        )


class Distance:
    """A mean over all numbers of the targets, which have the shape of the outputs."""

    def __init__(self, function: Callable[..., Tensor], options: Options) -> None:
        self._function = function
        self._partial = options.partial

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the mean over samples and numbers, those that are known."""
        if self._partial:
            return _mean_of_known(self._function, outputs, labels)
        return self._function(outputs, labels)

    def basis(self, labels: Tensor) -> Tensor | None:
        """Return the number of known numbers; None, for the samples, where all are."""
        return _known(labels) if self._partial else None


def _known(labels: Tensor) -> Tensor:
    return labels.isfinite().sum()


def _mean_of_known(function: Callable[..., Tensor], outputs: Tensor, labels: Tensor) -> Tensor:
    """Return the mean of what a function gives where the label is not NaN; 0 where all are.

    A missing label is replaced before the function sees it: NaN times 0 would still be NaN in the
    gradient.
    """
    known = labels.isfinite()
    each = function(outputs, torch.where(known, labels, 0.0), reduction="none") * known
    return each.sum() / known.sum().clamp(min=1)


def _distance(summary: str, function: Callable[..., Tensor]) -> Loss:
    return Loss(summary, ("regression",), frozenset(), lambda options: Distance(function, options))


LOSSES: Registry[Loss] = Registry("loss", Code.BAD_VALUE, "docs/training.md describes each")
"""Every loss by the name that ``tasks.NAME.loss`` uses."""

for _name, _entry in {
    "cross_entropy": Loss(
        "Cross-entropy of the softmax over the classes.",
        ("classification", "segmentation"),
        frozenset({"class_weights", "label_smoothing"}),
        CrossEntropy,
    ),
    "binary_cross_entropy": Loss(
        "Cross-entropy of a sigmoid for each label.",
        ("multilabel",),
        frozenset({"class_weights", "label_smoothing"}),
        BinaryCrossEntropy,
    ),
    "mse": _distance("Mean squared error.", functional.mse_loss),
    "l1": _distance("Mean absolute error.", functional.l1_loss),
    "huber": _distance(
        "Squared error below 1, absolute error above (Huber 1964).", functional.huber_loss
    ),
    "smooth_l1": _distance(
        "The same as huber with torch's default beta of 1.", functional.smooth_l1_loss
    ),
}.items():
    LOSSES.add(_name, _entry)


def suited(kind: TaskType) -> list[str]:
    """Return the names of the losses for a type of task; the first is its default."""
    return [name for name in LOSSES if kind in LOSSES.get(name).types]
