"""What several processes know together: predictions of a whole batch, sums over all samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from graphspec.training.distributed.world import World, explained_peers


def together(model: nn.Module, world: World) -> nn.Module:
    """Return what evaluates a model: each process a part of the batch, the result known to all.

    So metrics are those of the whole split, counted by every process in the same way.
    """
    return Divided(model, world) if world.together else model


class Divided(nn.Module):
    """A model in evaluation mode that divides each batch among the processes."""

    def __init__(self, model: nn.Module, world: World) -> None:
        super().__init__()
        self.model = model
        self._world = world

    def forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        """Return the predictions of the whole batch by task; all processes call with the same."""
        count, size = len(next(iter(inputs.values()))), self._world.size
        if count < size:
            found: dict[str, Tensor] = self.model(**inputs)
            return found
        bounds = [count * rank // size for rank in range(size + 1)]
        first, last = bounds[self._world.rank : self._world.rank + 2]
        own = self.model(**{name: values[first:last] for name, values in inputs.items()})
        return {task: _joined(values, bounds) for task, values in own.items()}


def _joined(values: Tensor, bounds: Sequence[int]) -> Tensor:
    """Return the rows of all processes in their order."""
    import torch.distributed as dist

    sizes = [last - first for first, last in pairwise(bounds)]
    padded = values.new_zeros((max(sizes), *values.shape[1:]))
    padded[: len(values)] = values
    parts = [torch.empty_like(padded) for _ in sizes]
    with explained_peers():
        dist.all_gather(parts, padded)
    return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])


def added(states: Sequence[Any]) -> Any:
    """Return the sum of nested mappings of numbers and tensors; a key may be missing in some."""
    first = states[0]
    if not isinstance(first, Mapping):
        return sum(states[1:], start=first)
    keys = dict.fromkeys(key for state in states for key in state)
    return {key: added([state[key] for state in states if key in state]) for key in keys}
