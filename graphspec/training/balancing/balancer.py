"""What a balancer is, and the plain one: a weighted sum with fixed weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Balancer(Protocol):
    """Turns the losses of the tasks into gradients of the model's parameters.

    What it learns or remembers is part of the state of a run. Nothing in a step may wait for the
    device.
    """

    def backward(self, losses: Mapping[str, Tensor], scale: Tensor | float = 1.0) -> None:
        """Add the gradients of one batch to ``grad`` of every parameter.

        Args:
            losses: The mean loss of each task over the batch, before weighting, each a scalar with
                its graph.
            scale: A factor of all gradients: that of mixed precision, or of accumulated batches.
        """

    def parameters(self) -> list[nn.Parameter]:
        """Return what it learns itself, to be optimised with the model; often nothing."""

    def weights(self) -> Mapping[str, Tensor | float]:
        """Return the factor of each task's loss in the latest step, on the device."""

    def close_epoch(self, losses: Mapping[str, float]) -> None:
        """Take note of the mean training loss of each task over the epoch that ends."""

    def state_dict(self) -> dict[str, Any]:
        """Return all it remembers, as plain data and tensors."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state_dict` gave."""


class Fixed:
    """The weighted sum of the losses, with the weights that the tasks state.

    Attributes:
        factors: The weight of each task's loss.
    """

    def __init__(self, factors: Mapping[str, float]) -> None:
        self.factors = dict(factors)

    def backward(self, losses: Mapping[str, Tensor], scale: Tensor | float = 1.0) -> None:
        """Add the gradients of the weighted sum; see `Balancer.backward`."""
        total = weighted_sum(losses, self.factors)
        if isinstance(scale, Tensor) or scale != 1.0:
            total = total * scale
        total.backward()  # type: ignore[no-untyped-call]

    def parameters(self) -> list[nn.Parameter]:
        """Return nothing: it learns nothing."""
        return []

    def weights(self) -> Mapping[str, Tensor | float]:
        """Return the stated weights."""
        return self.factors

    def close_epoch(self, losses: Mapping[str, float]) -> None:
        """Do nothing."""

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: it remembers nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Do nothing."""


def weighted_sum(losses: Mapping[str, Tensor], weights: Mapping[str, Tensor | float]) -> Tensor:
    """Return the sum of the losses, each times its weight; a weight of 1 costs nothing."""
    terms = [
        loss if isinstance(weights[task], float) and weights[task] == 1.0 else weights[task] * loss
        for task, loss in losses.items()
    ]
    total = terms[0]
    for term in terms[1:]:
        total = torch.add(total, term)
    return total
