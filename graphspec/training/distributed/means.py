"""Means over the whole batch, of which each process has its rows: of losses and of gradients."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from graphspec.training.distributed.world import World

if TYPE_CHECKING:
    from graphspec.training.losses import Losses


def rated(
    parts: Mapping[str, Tensor],
    labels: Mapping[str, Tensor],
    losses: Losses,
    world: World,
    share: float,
) -> dict[str, Tensor]:
    """Return losses whose mean over the processes is the loss of the whole batch.

    Each process has the mean over its own rows. What it counts for in the whole batch is its share
    of the samples, or of what the mean is taken over where that is not the samples.

    Args:
        parts: The loss of each task over this process's rows.
        labels: Their targets.
        losses: The losses.
        world: The processes.
        share: Part of the batch's samples that this process has.
    """
    if not world.together:
        return dict(parts)
    import torch.distributed as dist

    bases = {task: losses.basis(task, labels[task]) for task in parts}
    known = {task: basis for task, basis in bases.items() if basis is not None}
    factors: dict[str, Tensor | float] = dict.fromkeys(parts, share * world.size)
    if known:
        own = torch.stack([basis.float() for basis in known.values()])
        total = own.clone()
        dist.all_reduce(total)
        ratio = own * world.size / (total + (total == 0))
        factors |= dict(zip(known, ratio, strict=True))
    return {task: loss * factors[task] for task, loss in parts.items()}


def averaged(tensors: Sequence[Tensor], world: World) -> list[Tensor]:
    """Return the mean of each tensor over the processes, without its graph; all must ask."""
    if not world.together:
        return [each.detach() for each in tensors]
    import torch.distributed as dist

    def mean(values: Tensor) -> None:
        dist.all_reduce(values)
        values /= world.size

    return _joined(tensors, mean)


def of_first(tensors: Sequence[Tensor], world: World) -> list[Tensor]:
    """Return the tensors that process 0 has; all must ask."""
    if not world.together:
        return list(tensors)
    import torch.distributed as dist

    return _joined(tensors, lambda values: dist.broadcast(values, src=0))


def average_gradients(parameters: Collection[nn.Parameter], world: World) -> None:
    """Average the gradients of parameters for which nothing else does, such as a balancer's."""
    found = [p.grad for p in parameters if p.grad is not None]
    if not world.together:
        return
    for gradient, mean in zip(found, averaged(found, world), strict=True):
        gradient.copy_(mean)  # which keeps its memory order


def _joined(tensors: Sequence[Tensor], exchange: Callable[[Tensor], object]) -> list[Tensor]:
    """Return tensors after an exchange, for which those of a type are put in a row."""
    found = list(tensors)
    for dtype in dict.fromkeys(each.dtype for each in tensors):
        numbers = [number for number, each in enumerate(tensors) if each.dtype == dtype]
        values = torch.cat([tensors[number].detach().reshape(-1) for number in numbers])
        exchange(values)
        parts = torch.split(values, [tensors[number].numel() for number in numbers])
        for number, part in zip(numbers, parts, strict=True):
            found[number] = part.view(tensors[number].shape)
    return found
