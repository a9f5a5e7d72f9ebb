"""What a balancer is, and the plain one: a weighted sum with fixed weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor, nn

from graphspec.training.observer import Record

Factor = Tensor | float
"""A factor of a loss: a number, or a scalar on the device."""


class Balancer(Protocol):
    """Turns the losses of the tasks into gradients of the model's parameters.

    What it learns or remembers is part of the state of a run. Nothing in a step may wait for the
    device, unless the method cannot do without.
    """

    def backward(self, losses: Mapping[str, Tensor], scale: Factor = 1.0) -> None:
        """Add the gradients of one batch to ``grad`` of every parameter.

        Args:
            losses: The mean loss of each task over the batch, before weighting, each a scalar with
                its graph.
            scale: A factor of all gradients: that of mixed precision, or of accumulated batches.
        """

    def parameters(self) -> list[nn.Parameter]:
        """Return what it learns itself, to be optimised with the model; often nothing."""

    def weights(self) -> Mapping[str, Factor]:
        """Return the factor of each task's loss in the latest step, on the device."""

    def close_epoch(self, losses: Mapping[str, float]) -> list[Record]:
        """Take note of the mean training loss of each task over the epoch that ends.

        Returns:
            What it has to tell of how the tasks' gradients agreed; mostly nothing.
        """

    def remarks(self) -> list[str]:
        """Return what the user should know of the epoch that ends, and forget it; often nothing."""

    def state_dict(self) -> dict[str, Any]:
        """Return all it remembers, as plain data and tensors."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state_dict` gave."""


class Stateless:
    """The part of a balancer that learns and remembers nothing."""

    def parameters(self) -> list[nn.Parameter]:
        """Return nothing: it learns nothing."""
        return []

    def close_epoch(self, losses: Mapping[str, float]) -> list[Record]:
        """Return nothing: it has nothing to tell."""
        return []

    def remarks(self) -> list[str]:
        """Return nothing: there is nothing to know."""
        return []

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: it remembers nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Do nothing."""


class Fixed(Stateless):
    """The weighted sum of the losses, with the weights that the tasks state.

    Attributes:
        factors: The weight of each task's loss.
    """

    def __init__(self, factors: Mapping[str, float]) -> None:
        self.factors = dict(factors)

    def backward(self, losses: Mapping[str, Tensor], scale: Factor = 1.0) -> None:
        """Add the gradients of the weighted sum; see `Balancer.backward`."""
        scaled(weighted_sum(losses, self.factors), scale).backward()  # type: ignore[no-untyped-call]

    def weights(self) -> Mapping[str, Factor]:
        """Return the stated weights."""
        return self.factors


def scaled(value: Tensor, factor: Factor) -> Tensor:
    """Return a value times a factor; the number 1 costs nothing."""
    return value if isinstance(factor, float) and factor == 1.0 else value * factor


def weighted_sum(losses: Mapping[str, Tensor], weights: Mapping[str, Factor]) -> Tensor:
    """Return the sum of the losses, each times its weight; a weight of 1 costs nothing."""
    total: Tensor | None = None
    for task, loss in losses.items():
        term = scaled(loss, weights[task])
        total = term if total is None else total + term
    assert total is not None
    return total
