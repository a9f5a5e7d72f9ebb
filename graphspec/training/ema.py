"""The exponential moving average of the weights, by which a run is judged and kept."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from graphspec.language.learning import Average
from graphspec.training.distributed.parts import local

Tensors = tuple[Tensor, ...] | list[Tensor]


class Averaged:
    """A copy of a model whose weights follow the model's as a moving average.

    Floating buffers, such as the statistics of batch-norm, are averaged like the weights, so that
    they fit them; what counts in whole numbers is copied.

    Attributes:
        updates: How many times the average was moved.

    Source:
        B. Polyak and A. Juditsky, "Acceleration of Stochastic Approximation by Averaging", SIAM
        Journal on Control and Optimization 1992. https://doi.org/10.1137/0330046; the rising decay
        as in TensorFlow's ``ExponentialMovingAverage(num_updates=...)``.
    """

    def __init__(self, model: nn.Module, recipe: Average) -> None:
        self.updates = 0
        self._recipe = recipe
        self._averaged = AveragedModel(model, multi_avg_fn=self._move, use_buffers=True)

    @property
    def module(self) -> nn.Module:
        """The model with the averaged weights."""
        found: nn.Module = self._averaged.module
        return found

    def update(self, model: nn.Module) -> None:
        """Move towards the weights of ``model``; the first time, take them over.

        Where several processes each have a part of the weights, each moves its part.
        """
        reshard = getattr(self.module, "reshard", None)
        if reshard is not None:  # FSDP leaves the outermost weights whole after an evaluation
            reshard()
        self._averaged.update_parameters(model)
        self.updates += 1

    def go_on(self, updates: int) -> None:
        """Go on after some updates, whose averages the module has."""
        self.updates = updates
        self._averaged.n_averaged.fill_(updates)

    def _move(self, averages: Tensors, current: Tensors, _count: Tensor | int) -> None:
        """Move tensors of one kind; without looking at the count, which may be on the device."""
        averages, current = [local(t) for t in averages], [local(t) for t in current]
        if not averages[0].is_floating_point():
            torch._foreach_copy_(averages, current)
            return
        decay = self._recipe.decay
        if self._recipe.warmup:
            decay = min(decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(averages, current, 1 - decay)
