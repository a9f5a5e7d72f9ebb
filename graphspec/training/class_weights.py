"""Class weights: factors that make up for classes of unequal size."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from graphspec.language.signature import TaskSpec


def resolve(
    asked: Literal["balanced"] | list[float] | None, task: TaskSpec, labels: Tensor
) -> list[float] | None:
    """Return the class weights of a task.

    Args:
        asked: What the spec says.
        task: The task.
        labels: Its targets in the training split.
    """
    if asked != "balanced":
        return asked
    if task.type == "multilabel":
        return balanced_positives(labels)
    return balanced(counts(task, labels))


def counts(task: TaskSpec, labels: Tensor) -> list[int]:
    """Return how often each class occurs; labels that are missing or do not count are left out.

    Args:
        task: The task.
        labels: Classes, of any shape; of a multi-label task 0 or 1 of shape ``(N, labels)``.
    """
    if task.type == "multilabel":
        return [int(n) for n in (labels > 0.5).sum(0).tolist()]
    flat = labels.flatten()
    if task.ignore_index is not None:
        flat = flat[flat != task.ignore_index]
    if task.partial:
        flat = flat[flat >= 0]
    return [int(n) for n in torch.bincount(flat, minlength=task.classes).tolist()]


def balanced(counts: list[int]) -> list[float]:
    """Return weights under which every class weighs as much as the others: n / (classes * count).

    A class that does not occur has the weight 1.

    Args:
        counts: How often each class occurs.

    Source:
        G. King and L. Zeng, "Logistic Regression in Rare Events Data", Political Analysis 9(2),
        2001; scikit-learn's ``class_weight="balanced"``.
    """
    total = sum(counts)
    return [total / (len(counts) * count) if count else 1.0 for count in counts]


def balanced_positives(labels: Tensor) -> list[float]:
    """Return for each label how many times more often it is absent than present.

    A label that is always absent or always present has the weight 1.

    Args:
        labels: 0 or 1, or NaN where it is not known, of shape ``(N, labels)``.
    """
    present = (labels > 0.5).sum(0).tolist()
    known = labels.isfinite().sum(0).tolist()
    return [
        (samples - n) / n if 0 < n < samples else 1.0
        for n, samples in zip(present, known, strict=True)
    ]
