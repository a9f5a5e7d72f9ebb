"""What always giving the same answer would reach: a model that has learned something does better.

Where almost no label is given, or almost every position is background, a model that says so of all
has 99 % right answers and a small loss, and knows nothing of its inputs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from graphspec.language.signature import TaskSpec

_LEAST = 1e-6
"""Least share of a class or label, whose logarithm must be finite."""


def outputs(task: TaskSpec, like: Tensor, labels: Tensor) -> Tensor:
    """Return the predictions of the best model that does not look at its inputs.

    Args:
        task: The task.
        like: Predictions of a model, of shape ``(N, ...)``.
        labels: The targets; what lacks its label does not count.

    Returns:
        For every sample the same: logits of the shares of classes or labels, or mean numbers.
    """
    values = like.detach().float()
    if task.type == "regression":
        return labels.float().nanmean(0).nan_to_num().expand_as(values)
    if task.type == "multilabel":
        given = (labels > 0.5).float().where(labels.isfinite(), torch.nan)
        return given.nanmean(0).nan_to_num().logit(_LEAST).expand_as(values)
    counted = (labels >= 0) & (labels < task.classes)
    if task.ignore_index is not None:
        counted &= labels != task.ignore_index
    shares = torch.bincount(labels[counted].long(), minlength=task.classes).float()
    logits = (shares / shares.sum().clamp(min=1)).clamp(min=_LEAST).log()
    return logits.view(1, -1, *[1] * (values.dim() - 2)).expand_as(values)
