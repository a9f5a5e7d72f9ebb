"""The loss of a multi-task model: a weighted sum of one cross-entropy per task."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional


class Losses:
    """Cross-entropy per task and their weighted sum.

    Attributes:
        weights: The factor of each task's loss in the sum.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        self.weights = dict(weights)

    def __call__(
        self, outputs: Mapping[str, Tensor], labels: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the losses of one batch.

        Args:
            outputs: Logits by task, each of shape ``(N, classes)``.
            labels: True classes by task, each int64 of shape ``(N,)``.

        Returns:
            The weighted sum, a scalar to call ``backward`` on, and the loss of each task: means
            over the batch, before weighting.
        """
        parts = {
            task: functional.cross_entropy(outputs[task], labels[task]) for task in self.weights
        }
        terms = [
            loss if self.weights[task] == 1.0 else self.weights[task] * loss
            for task, loss in parts.items()
        ]
        total = terms[0]
        for term in terms[1:]:
            total = torch.add(total, term)
        return total, parts

    def total(self, parts: Mapping[str, float]) -> float:
        """Return the weighted sum of losses that are numbers already."""
        return sum(weight * parts[task] for task, weight in self.weights.items())
