"""What is counted of predictions, so that metrics of a whole split follow from sums over batches.

Each type of task has its sums: whole numbers, or errors added up in float64. They hardly depend on
how samples fall into batches, can wait on the device, and go into a checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from graphspec.language.signature import TaskSpec, TaskType
from graphspec.training.measures import of_task, top_k

_CONSTANT = 1e-12
"""Variance, as a part of the mean square, below which a target counts as constant."""


class Statistics(Protocol):
    """The sums of one task."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the sums."""

    @property
    def dtype(self) -> torch.dtype:
        """Their type."""

    @property
    def is_whole(self) -> bool:
        """Whether they are whole numbers, whose sum is the same in whatever order."""

    def count(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the sums over some predictions.

        Args:
            outputs: What a model gives, of shape ``(N, ...)``.
            labels: The targets.
        """

    def scores(self, sums: Tensor, samples: int) -> dict[str, float]:
        """Return the metrics of the task besides its loss.

        Args:
            sums: What `count` gave, added up, on the CPU.
            samples: How many samples that were.

        Returns:
            Nothing where labels may be missing and all are.
        """


COUNTED: dict[TaskType, tuple[str, ...]] = {
    "classification": (),
    "multilabel": ("f1", "accuracy", "precision", "recall"),
    "regression": ("mae", "mse", "rmse", "r2"),
    "segmentation": ("iou", "accuracy", "dice"),
}
"""The metrics of every type that follow from its sums, besides top-k."""


def statistics(task: TaskSpec, exact: torch.dtype, rounded: bool = False) -> Statistics | None:
    """Return what is counted of a task, or None where it has no metric that follows from sums.

    Args:
        task: The task.
        exact: Type in which numbers are added up: float64 where the device has it.
        rounded: Whether outputs were computed in half precision, whatever type they have now.
    """
    names = of_task(task)
    if task.type == "classification":
        ranks = sorted(k for name in names if (k := top_k(name)) is not None)
        return Ranks(task, ranks, rounded) if ranks else None
    if not set(names) & set(COUNTED[task.type]):
        return None
    if task.type == "regression":
        return Errors(task, exact)
    return Positions(task) if task.type == "segmentation" else Marks(task)


class Ranks:
    """Classification: in how many samples the true class is among the first k."""

    dtype = torch.int64
    is_whole = True

    def __init__(self, task: TaskSpec, ranks: Sequence[int], rounded: bool) -> None:
        self.shape = (len(ranks) + task.partial,)
        self._ranks = ranks
        self._rounded = rounded
        self._partial = task.partial

    def count(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Count hits; the outputs are logits of shape ``(N, classes)``.

        The rank of the true class is the number of logits at least as high as its own, which is
        several times faster than sorting; equal logits count against the model. In half precision
        many are equal: those of later classes then do not, as in an argmax.
        """
        logits = outputs.float()
        classes = (labels.clamp(min=0) if self._partial else labels)[:, None]
        own = logits.gather(1, classes)
        # compared into floats: several times faster on a CPU than into booleans, and exact
        rank = torch.ge(logits, own, out=torch.empty_like(logits)).sum(1)
        if self._rounded:
            later = torch.arange(logits.shape[1], device=logits.device) > classes
            rank -= ((logits == own) & later).sum(1)
        if self._partial:
            known = labels >= 0
            hits = [*((rank <= k) & known for k in self._ranks), known]
            return torch.stack([each.sum() for each in hits])
        return torch.stack([(rank <= k).sum() for k in self._ranks])

    def scores(self, sums: Tensor, samples: int) -> dict[str, float]:
        """Return ``topK`` for each K."""
        hits = sums.tolist()
        samples = hits[-1] if self._partial else samples
        if not samples:
            return {}
        return {f"top{k}": number / samples for k, number in zip(self._ranks, hits, strict=False)}


class Marks:
    """Multi-label: how many labels of each kind are given rightly, wrongly, and not at all."""

    dtype = torch.int64
    is_whole = True

    def __init__(self, task: TaskSpec) -> None:
        self.shape = (4 if task.partial else 3, task.classes)
        self._partial = task.partial

    def count(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Count true positives, false positives and false negatives, shape ``(3, labels)``.

        A label is given where its logit is above 0, a probability above one half. Where labels may
        be missing, the known ones are counted too.
        """
        given, true = outputs > 0, labels > 0.5
        if self._partial:
            known = labels.isfinite()
            marks = [given & true, given & known & ~true, ~given & true, known]
        else:
            marks = [given & true, given & ~true, ~given & true]
        return torch.stack([each.sum(0) for each in marks])

    def scores(self, sums: Tensor, samples: int) -> dict[str, float]:
        """Return the means over the labels, and the part of right answers as ``accuracy``.

        The F1 of a label that neither occurs nor is given is 0, as in scikit-learn, and so are its
        precision and recall.
        """
        hits, false, missed, *known = sums.double()
        marks = float(known[0].sum()) if known else samples * len(hits)
        if not marks:
            return {}
        f1 = 2 * hits / (2 * hits + false + missed).clamp(min=1)
        wrong = float((false + missed).sum())
        return {
            "f1": float(f1.mean()),
            "accuracy": 1 - wrong / marks,
            "precision": float((hits / (hits + false).clamp(min=1)).mean()),
            "recall": float((hits / (hits + missed).clamp(min=1)).mean()),
        }


class Positions:
    """Segmentation: how often each class is hit, given, and true, over all positions."""

    dtype = torch.int64
    is_whole = True

    def __init__(self, task: TaskSpec) -> None:
        self.shape = (3, task.classes)
        self._classes = task.classes
        self._ignored = task.ignore_index
        self._partial = task.partial

    def count(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Count by class; the outputs are logits of shape ``(N, classes, *positions)``."""
        given, labels = outputs.argmax(1).flatten(), labels.flatten()
        counted = torch.ones_like(labels)
        if self._ignored is not None:
            counted = (labels != self._ignored).long()
        if self._partial:
            counted = counted * (labels >= 0)
        if self._ignored is not None or self._partial:
            labels = labels * counted  # what does not count adds 0 to class 0
        hit = (given == labels).long() * counted
        sums = torch.zeros(self.shape, dtype=self.dtype, device=labels.device)
        # unlike bincount it does not wait for the device
        for row, classes, numbers in zip(
            sums, (labels, given, labels), (hit, counted, counted), strict=True
        ):
            row.scatter_add_(0, classes, numbers)
        return sums

    def scores(self, sums: Tensor, samples: int) -> dict[str, float]:
        """Return means of ``iou`` and ``dice`` over the classes, and the part of right positions.

        Classes that are neither true nor given anywhere have neither and are left out of the means.
        """
        hits, given, true = sums.double()
        if self._partial and not true.any():
            return {}
        union = given + true - hits
        seen = union > 0
        if self._ignored is not None and 0 <= self._ignored < self._classes:
            seen[self._ignored] = False
        iou = float((hits[seen] / union[seen]).mean()) if seen.any() else 0.0
        dice = float((2 * hits[seen] / (given + true)[seen]).mean()) if seen.any() else 0.0
        accuracy = float(hits.sum() / true.sum().clamp(min=1))
        return {"iou": iou, "accuracy": accuracy, "dice": dice}


class Errors:
    """Regression: sums of errors, and of the targets and their squares for the variance."""

    is_whole = False

    def __init__(self, task: TaskSpec, exact: torch.dtype) -> None:
        self.shape = (5 if task.partial else 4, *task.shape)
        self.dtype = exact
        self._partial = task.partial

    def count(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Add up absolute errors, squared errors, targets and squared targets, each ``*shape``.

        Where targets may be missing, the known ones are counted too.
        """
        labels = labels.to(self.dtype)
        error = outputs.to(self.dtype) - labels
        terms = [error.abs(), error**2, labels, labels**2]
        if self._partial:
            known = labels.isfinite()
            terms = [*(torch.where(known, each, 0.0) for each in terms), known.to(self.dtype)]
        return torch.stack([each.sum(0) for each in terms])

    def scores(self, sums: Tensor, samples: int) -> dict[str, float]:
        """Return ``mae``, ``mse``, ``rmse`` and ``r2``, the mean over the numbers of a target.

        Numbers whose targets are all the same have no R2 and are left out of its mean; 0 where
        that is all of them.
        """
        absolute, squared, total, squares, *rest = sums.double()
        known = rest[0] if rest else torch.full_like(total, samples)
        if not known.any():
            return {}
        variance = squares - total**2 / known.clamp(min=1)
        varies = variance > _CONSTANT * squares
        r2 = 1 - squared[varies] / variance[varies]
        return {
            "mae": float(absolute.mean()) / float(known.mean()),
            "mse": float(squared.mean()) / float(known.mean()),
            "rmse": (float(squared.mean()) / float(known.mean())) ** 0.5,
            "r2": float(r2.mean()) if varies.any() else 0.0,
        }
