"""Functions of tensors that torch offers only as several calls; ops call them by name.

They use torch alone, so a generated source file may hold a copy of one.
"""

from __future__ import annotations

import torch
from torch import Tensor


def average(inputs: list[Tensor]) -> Tensor:
    """Return the mean of tensors, element by element.

    Args:
        inputs: Tensors of shapes that broadcast.

    Returns:
        Their mean, of the broadcast shape.
    """
    total = inputs[0]
    for other in inputs[1:]:
        total = total + other
    return total / len(inputs)


def weighted_sum(weights: Tensor, *values: Tensor, trailing: int = 0) -> Tensor:
    """Return ``sum_i weights[:, i] * values[i]``.

    Args:
        weights: Of shape ``(N, E)`` or ``(N, E, ...)``.
        values: ``E`` tensors of one shape ``(N, ...)``.
        trailing: How many of their last dimensions the weights lack; one weight counts for all of
            these.

    Returns:
        The sum, of the shape of the values.
    """
    spread = (..., *(None,) * trailing)
    total = weights[:, 0][spread] * values[0]
    for number in range(1, len(values)):
        total = total + weights[:, number][spread] * values[number]
    return total


def cast(input: Tensor, dtype: torch.dtype) -> Tensor:
    """Return ``input.to(dtype)``; a method of a tensor has no importable name of its own."""
    return input.to(dtype)


def einsum(inputs: list[Tensor], equation: str) -> Tensor:
    """Return ``torch.einsum(equation, *inputs)``: the same with the tensors first."""
    return torch.einsum(equation, *inputs)
