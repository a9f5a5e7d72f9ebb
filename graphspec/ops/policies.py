"""What an edge does to what it passes on: functions and modules that use torch alone.

A generated source file may hold a copy of one.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def onehot(logits: Tensor) -> Tensor:
    """Return 1 at the likeliest class and 0 elsewhere; no gradient flows back.

    Args:
        logits: Of shape ``(N, classes)`` or ``(N, classes, ...)``.

    Returns:
        The same shape and dtype.
    """
    likeliest = logits.argmax(dim=1, keepdim=True)
    return torch.zeros_like(logits).scatter(1, likeliest, 1.0)


def scale_gradient(input: Tensor, scale: float) -> Tensor:
    """Return the input unchanged, whose gradient is multiplied by ``scale`` on its way back."""
    return torch.lerp(input.detach(), input, scale)


class Teacher(nn.Module):
    """Teacher forcing: the true label of a task while training, the prediction otherwise.

    Both have one form: for classes 1 at the class and 0 elsewhere, for several labels 0 or 1 each,
    for a regression the numbers themselves. No gradient flows back.

    Attributes:
        task: The task.
        kind: Its type: ``classification``, ``segmentation``, ``multilabel`` or ``regression``.

    Source:
        Williams and Zipser, "A Learning Algorithm for Continually Running Fully Recurrent Neural
        Networks", Neural Computation 1989.
    """

    def __init__(self, task: str, kind: str = "classification") -> None:
        super().__init__()
        self.task = task
        self.kind = kind

    def forward(self, logits: Tensor, labels: Mapping[str, Tensor] | None = None) -> Tensor:
        """Return the true label or the prediction, of the shape of the logits.

        Args:
            logits: What the head gives: ``(N, classes)``, ``(N, classes, ...)`` or ``(N, ...)``.
            labels: True labels by task; a class below 0, or a number that is NaN, stands for an
                unknown one, for which the prediction is used.

        Raises:
            ValueError: If the model is training and the task's labels are not given.
        """
        predicted = self.predicted(logits.detach())
        if not self.training:
            return predicted
        if labels is None or self.task not in labels:
            message = (
                f"in training mode this model needs the true labels of `{self.task}`: call it "
                f"with `labels={{'{self.task}': ...}}`, or `model.eval()` first"
            )
            raise ValueError(message)
        label = labels[self.task]
        if self.kind in ("regression", "multilabel"):
            numbers = label.to(logits.dtype).reshape(logits.shape)
            return torch.where(numbers.isnan(), predicted, numbers)
        known = (label >= 0).unsqueeze(1)
        true = torch.zeros_like(logits).scatter(1, label.clamp_min(0).unsqueeze(1), 1.0)
        return torch.where(known, true, predicted)

    def predicted(self, logits: Tensor) -> Tensor:
        """Return the prediction in the form of a label."""
        if self.kind == "regression":
            return logits
        if self.kind == "multilabel":
            return (logits > 0).to(logits.dtype)
        likeliest = logits.argmax(dim=1, keepdim=True)
        return torch.zeros_like(logits).scatter(1, likeliest, 1.0)

    def extra_repr(self) -> str:
        """Return the task and its type."""
        return f"{self.task!r}, kind={self.kind!r}"
