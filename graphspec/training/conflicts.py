"""Task conflicts: how the gradients of the tasks agree at what they share, sampled now and then."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn

from graphspec.language.balance import Conflicts
from graphspec.language.recipe import Train
from graphspec.training.balancing import choice
from graphspec.training.balancing.balancer import Balancer, Factor, scaled
from graphspec.training.balancing.site import Site
from graphspec.training.distributed.means import averaged
from graphspec.training.observer import Record

_COUNT, _COSINE, _CONFLICT, _RATIO = range(4)
"""What is summed over the sampled steps: steps, cosines, negative ones, logs of ratios of norms."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two tasks at a node.

    Attributes:
        node: The node that owns the parameters.
        tasks: The two tasks.
        where: The parameters that the losses of both reach.
    """

    node: str
    tasks: tuple[str, str]
    where: tuple[nn.Parameter, ...]


class Watched:
    """A balancer that is watched: every so many steps the gradients of the tasks are compared.

    At each node with parameters that the losses of two tasks reach, over these parameters, the
    cosine of the two gradients and the ratio of their norms are taken, each loss times its stated
    weight. They conflict where the cosine is negative: a small step along one raises the other's
    loss. What the balancer makes of the losses is not changed by it, nor is any random number.

    A comparison takes one backward pass from each loss to what is shared, and waits for nothing.

    Source:
        Yu et al., Gradient Surgery for Multi-Task Learning, NeurIPS 2020: gradients conflict by
        their definition 1; that they differ in magnitude is the other half of their analysis.
    """

    def __init__(self, balancer: Balancer, site: Site, when: Conflicts) -> None:
        """Watch a balancer.

        Args:
            balancer: What balances.
            site: The model and its tasks.
            when: How many steps lie between comparisons; the first step is compared.
        """
        self.balancer = balancer
        self._factors = site.factors
        self._calls = 0
        self._pairs = tuple(_pairs(site))
        self._tasks = tuple(dict.fromkeys(task for pair in self._pairs for task in pair.tasks))
        self._every = when.steps(len(self._tasks))
        exact = torch.float32 if site.device.type == "mps" else torch.float64
        self._world = site.world
        self._sums = torch.zeros(len(self._pairs), 4, dtype=exact, device=site.device)

    def backward(self, losses: Mapping[str, Tensor], scale: Factor = 1.0) -> None:
        """Let the balancer go back, after a comparison if one is due; see `Balancer.backward`."""
        if self._every and self._pairs and self._calls % self._every == 0:
            self._compare(losses, scale)
        self._calls += 1
        self.balancer.backward(losses, scale)

    def parameters(self) -> list[nn.Parameter]:
        """Return what the balancer learns."""
        return self.balancer.parameters()

    def weights(self) -> Mapping[str, Factor]:
        """Return the weights of the balancer."""
        return self.balancer.weights()

    def close_epoch(self, losses: Mapping[str, float]) -> list[Record]:
        """Return the comparisons of the epoch that ends, one record for each node and two tasks.

        Each has the ``node``, the two ``tasks``, the number of ``steps`` compared, the mean
        ``cosine``, the part of steps in ``conflict`` and the geometric mean of the ``norm_ratio``
        of the first task's gradient to the second's. There are none where nothing was compared.
        """
        found = [
            {
                "node": pair.node,
                "tasks": list(pair.tasks),
                "steps": int(sums[_COUNT]),
                "cosine": sums[_COSINE] / sums[_COUNT],
                "conflict": sums[_CONFLICT] / sums[_COUNT],
                "norm_ratio": math.exp(sums[_RATIO] / sums[_COUNT]),
            }
            for pair, sums in zip(self._pairs, self._sums.tolist(), strict=True)
            if sums[_COUNT]
        ]
        self._sums.zero_()
        return [*found, *self.balancer.close_epoch(losses)]

    def remarks(self) -> list[str]:
        """Return the remarks of the balancer."""
        return self.balancer.remarks()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the balancer, and the comparisons of the current epoch."""
        return {
            "balancer": self.balancer.state_dict(),
            "calls": self._calls,
            "conflicts": self._sums.cpu().clone(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state_dict` gave."""
        self.balancer.load_state_dict(state["balancer"])
        self._calls = int(state["calls"])
        self._sums.copy_(state["conflicts"])

    def _compare(self, losses: Mapping[str, Tensor], scale: Factor) -> None:
        """Add one comparison to the sums."""
        wanted = {id(p): p for pair in self._pairs for p in pair.where if p.requires_grad}
        gradients: dict[str, dict[int, Tensor]] = {}
        for task in self._tasks:
            loss = scaled(scaled(losses[task], self._factors[task]), scale)
            if not (loss.requires_grad and wanted):
                continue
            found = torch.autograd.grad(
                loss, list(wanted.values()), retain_graph=True, allow_unused=True
            )
            gradients[task] = {
                key: each for key, each in zip(wanted, found, strict=True) if each is not None
            }
        self._average(gradients)
        for number, pair in enumerate(self._pairs):
            first, second = (gradients.get(task, {}) for task in pair.tasks)
            both = [id(p) for p in pair.where if id(p) in first and id(p) in second]
            if both:
                self._add(number, [first[key] for key in both], [second[key] for key in both])

    def _average(self, gradients: Mapping[str, dict[int, Tensor]]) -> None:
        """Put the gradients of the whole batch in the place of those of this process's rows."""
        own = [each for found in gradients.values() for each in found.values()]
        whole = iter(averaged(own, self._world))
        for found in gradients.values():
            found.update({key: next(whole) for key in found})

    def _add(self, number: int, first: Sequence[Tensor], second: Sequence[Tensor]) -> None:
        """Add the comparison of two gradients; one that is zero or not finite does not count."""
        dot = _inner(first, second).to(self._sums.dtype)
        norms = [_inner(each, each).to(self._sums.dtype).sqrt() for each in (first, second)]
        cosine = dot / (norms[0] * norms[1])
        values = torch.stack(
            [torch.ones_like(cosine), cosine, cosine < 0, (norms[0] / norms[1]).log()]
        )
        self._sums[number] += torch.where(values.isfinite().all(), values, 0.0)


def watched(recipe: Train, site: Site) -> Watched:
    """Make what a recipe balances with, watched as often as it says.

    Args:
        recipe: The recipe.
        site: The model and its tasks.

    Raises:
        SpecError: ``missing-package`` where the packages of the method are not installed.
    """
    return Watched(choice.make(recipe.balance, site), site, recipe.conflicts)


def _pairs(site: Site) -> Iterable[Pair]:
    for node, names in site.by_node.items():
        reached = {name: site.reached(name) for name in names}
        for first, second in combinations(site.learned, 2):
            both = tuple(name for name in names if {first, second} <= reached[name])
            if both:
                yield Pair(node, (first, second), tuple(site.tensors(both)))


def _inner(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    """Return the inner product of two gradients that are given in parts."""
    products = torch._foreach_mul(
        [each.float() for each in first], [each.float() for each in second]
    )
    return torch.stack([product.sum() for product in products]).sum()
