"""What a balancer is made for: a model, and which losses reach which of its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import nn

from graphspec.graph.reachability import Parameter, parameters
from graphspec.training.distributed.world import ALONE, World

if TYPE_CHECKING:
    from graphspec.graph.ir import Graph
    from graphspec.language.signature import TaskSpec


@dataclass(frozen=True)
class Site:
    """A model with its tasks.

    Attributes:
        graph: The typed graph that the model was made from.
        model: The model itself, not a wrapper of it.
        tasks: The tasks that it predicts.
        factors: The stated weight of each task's loss.
        device: Where the model is.
        seed: The run's seed.
        world: The processes that train together, each with its rows of a batch.
    """

    graph: Graph
    model: nn.Module
    tasks: Mapping[str, TaskSpec]
    factors: Mapping[str, float]
    device: torch.device
    seed: int = 0
    world: World = ALONE

    @cached_property
    def learned(self) -> tuple[str, ...]:
        """The tasks that count: one of weight 0 is measured only."""
        return tuple(task for task, factor in self.factors.items() if factor)

    @cached_property
    def parameters(self) -> Mapping[str, Parameter]:
        """Every parameter of the model by its name, with the tasks whose losses reach it."""
        return parameters(self.graph)

    def reached(self, name: str) -> frozenset[str]:
        """Return the tasks that count and whose losses reach a parameter."""
        return self.parameters[name].tasks & frozenset(self.learned)

    @cached_property
    def shared(self) -> tuple[str, ...]:
        """The parameters that the losses of two or more tasks reach."""
        return tuple(name for name in self.parameters if len(self.reached(name)) > 1)

    @cached_property
    def own(self) -> tuple[str, ...]:
        """The parameters that the loss of one task reaches."""
        return tuple(name for name in self.parameters if len(self.reached(name)) == 1)

    def tensors(self, names: tuple[str, ...]) -> list[nn.Parameter]:
        """Return the parameters of these names."""
        return [self.model.get_parameter(name) for name in names]

    @cached_property
    def by_node(self) -> Mapping[str, tuple[str, ...]]:
        """The shared parameters of each node that owns any, in topological order of the nodes."""
        place: dict[str, int] = {}
        for number, node in enumerate(self.graph.order):
            for name in (node.weights, node.name):
                place.setdefault(name, number)
        found: dict[str, list[str]] = {}
        for name in self.shared:
            found.setdefault(self.parameters[name].owner, []).append(name)
        order = sorted(found, key=lambda owner: place.get(owner, len(place)))
        return {owner: tuple(found[owner]) for owner in order}
