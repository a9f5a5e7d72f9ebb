"""Small models with several losses, and what a balancer makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

import graphspec as gs
from graphspec import compiler
from graphspec.graph import passes
from graphspec.graph.ir import Graph
from graphspec.language.balance import Balance
from graphspec.training.balancing import choice
from graphspec.training.balancing.balancer import Balancer
from graphspec.training.balancing.site import Site

CPU = torch.device("cpu")

HARD = """\
graphspec: 1
inputs: {x: {shape: [6]}}
tasks: {a: {classes: 3}, b: {type: regression}, c: {classes: 4}}
nodes:
  trunk: {op: fc, from: x, units: [5, 4], dropout: 0}
  side: {op: fc, from: trunk, units: [4], dropout: 0}
  a: {op: head, from: trunk, task: a}
  b: {op: head, from: side, task: b}
  c: {op: head, from: side, task: c}
"""
"""Two tasks share more than the third: side is for b and c, trunk for all."""


class Place:
    """A model, its site and a batch.

    Attributes:
        graph: The typed graph.
        model: The model.
        site: What balancers are made for.
        inputs: A batch of inputs.
        targets: Its targets.
    """

    def __init__(
        self,
        graph: Graph,
        factors: Mapping[str, float] | None = None,
        size: int = 8,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.graph = passes.run(graph)
        self.model: nn.Module = gs.compile(self.graph, seed=0).to(dtype)
        weights = dict.fromkeys(self.graph.tasks, 1.0) | dict(factors or {})
        self.site = Site(self.graph, self.model, self.graph.tasks, weights, CPU, seed=3)
        generator = torch.Generator().manual_seed(5)
        self.inputs = {
            name: torch.randn(size, *kind.shape[1:], generator=generator, dtype=dtype)
            for name, kind in self.graph.inputs.items()
        }
        self.targets = {
            name: torch.randn(size, *task.shape, generator=generator, dtype=dtype)
            if task.type == "regression"
            else torch.randint(task.classes, (size,), generator=generator)
            for name, task in self.graph.tasks.items()
        }

    def losses(self) -> dict[str, Tensor]:
        """Return the loss of each task on the batch."""
        takes = getattr(self.model, "takes_labels", False)
        more = {"labels": self.targets} if takes else {}
        outputs = self.model(**self.inputs, **more)
        return {
            name: functional.mse_loss(outputs[name], self.targets[name])
            if task.type == "regression"
            else functional.cross_entropy(outputs[name], self.targets[name])
            for name, task in self.graph.tasks.items()
        }

    def values(self) -> dict[str, float]:
        """Return the losses as numbers."""
        return {task: loss.item() for task, loss in self.losses().items()}

    def balancer(self, method: str, **arguments: Any) -> Balancer:
        """Make a balancer as a recipe would."""
        return choice.make(Balance(method=method, **arguments), self.site)

    def gradients(self, balancer: Balancer, scale: Any = 1.0) -> dict[str, Tensor]:
        """Return the gradients after one backward pass from none."""
        self.model.zero_grad(set_to_none=True)
        torch.manual_seed(0)
        balancer.backward(self.losses(), scale)
        return {
            name: p.grad.clone() for name, p in self.model.named_parameters() if p.grad is not None
        }

    def rows(self) -> dict[str, dict[str, Tensor]]:
        """Return the gradient of each task's loss alone, unweighted."""
        found = {}
        for task in self.graph.tasks:
            self.model.zero_grad(set_to_none=True)
            torch.manual_seed(0)
            self.losses()[task].backward()
            found[task] = {
                name: torch.zeros_like(p) if p.grad is None else p.grad.clone()
                for name, p in self.model.named_parameters()
            }
        return found


def hard(factors: Mapping[str, float] | None = None, **options: Any) -> Place:
    """Return a model of hard parameter sharing with three tasks."""
    return Place(gs.analyze(compiler.load_text(HARD)), factors, **options)
