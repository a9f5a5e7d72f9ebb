"""Gradient aggregation: the gradients of the tasks, not their losses, become one.

torchjd computes the Jacobian of the losses and has the aggregators; here is decided for which
parameters. Those that two or more losses reach are aggregated, all others get the gradient of the
one loss that reaches them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from graphspec.training.balancing.balancer import Factor, Stateless, scaled, weighted_sum
from graphspec.training.balancing.draws import drawing, seed_of
from graphspec.training.balancing.site import Site
from graphspec.training.distributed.means import average_gradients, averaged, of_first

if TYPE_CHECKING:
    from torchjd.aggregation import Aggregator

    from graphspec.training.balancing.scaling import Bargaining


@dataclass(frozen=True)
class Recipe:
    """How an aggregator is made and used.

    Attributes:
        make: Gives the aggregator for a number of tasks.
        draws: Whether it draws random numbers.
        needs_all: Whether a task without a gradient (no label in the batch) would stop or break it,
            so that its row is left out; finding that out waits for the device.
        solves: Whether it decomposes or solves with the matrix, which must be finite then; finding
            that out waits for the device, as solving does.
    """

    make: Callable[[int], Aggregator]
    draws: bool = False
    needs_all: bool = False
    solves: bool = True


class Aggregation(Stateless):
    r"""Jacobian descent: one row for each task, aggregated to one gradient.

    With the stated weights :math:`w_i`, :math:`J` has the rows :math:`w_i \nabla_\theta L_i` over
    the shared parameters :math:`\theta`, and their gradient is :math:`A(J)`. Any other parameter
    has the gradient of :math:`\sum_i w_i L_i`, of which one term reaches it. Where nothing is
    shared the step is that of the weighted sum. Several processes aggregate the mean of their
    Jacobians, and nothing else may average their gradients.

    Source:
        Quinton, Rey: Jacobian Descent for Multi-Objective Optimization, arXiv 2406.16232, 2024,
        and the paper of each aggregator.
    """

    def __init__(self, site: Site, recipe: Recipe) -> None:
        self._recipe = recipe
        self._factors = dict(site.factors)
        self._learned = site.learned
        self._shared = site.tensors(site.shared)
        self._own = site.tensors(site.own)
        self._device = site.device
        self._seed = site.seed
        self._world = site.world
        self._calls = 0
        self._failed = 0
        self._latest: dict[str, Factor] = dict(site.factors)
        self._aggregators = {len(self._learned): recipe.make(len(self._learned))}

    def backward(self, losses: Mapping[str, Tensor], scale: Factor = 1.0) -> None:
        """Add the aggregated gradients; see `Balancer.backward`."""
        self._calls += 1
        self._latest = dict(self._factors)
        shared = [p for p in self._shared if p.requires_grad]
        rows = [task for task in self._learned if losses[task].requires_grad]
        if len(rows) < 2 or not shared:
            total = scaled(weighted_sum(losses, self._factors), scale)
            total.backward()  # type: ignore[no-untyped-call]
            average_gradients([*self._shared, *self._own], self._world)
            return
        weighted = {task: scaled(scaled(losses[task], self._factors[task]), scale) for task in rows}
        own = [p for p in self._own if p.requires_grad]
        if own:
            total = weighted_sum(weighted, dict.fromkeys(rows, 1.0))
            torch.autograd.backward(total, inputs=own, retain_graph=True)
            average_gradients(own, self._world)
        if self._recipe.needs_all:
            whole = averaged([losses[task] for task in rows], self._world)
            counted = [t for t, loss in zip(rows, whole, strict=True) if loss.item() != 0.0] or rows
            self._latest |= {task: 0.0 for task in rows if task not in counted}
            rows = counted
        self._aggregate([weighted[task] for task in rows], rows, shared, scale)

    def _aggregate(
        self,
        losses: Sequence[Tensor],
        rows: Sequence[str],
        shared: list[nn.Parameter],
        scale: Factor,
    ) -> None:
        """Aggregate the rows of the Jacobian into ``grad`` of the shared parameters."""
        from torchjd import autojac
        from torchjd.aggregation import Sum

        before = [p.grad for p in shared]
        try:
            # one row after another: functions of ours and recurrent layers have no batching rule
            autojac.backward(losses, inputs=shared, parallel_chunk_size=1)
            for p, whole in zip(shared, averaged(_rows(shared), self._world), strict=True):
                vars(p)["jac"] = whole
            plain = isinstance(scale, float) and scale == 1.0
            if not plain:
                for p in shared:
                    vars(p)["jac"] = vars(p)["jac"] / scale
            finite = not self._recipe.solves or _finite(shared)
            aggregator = self._aggregator(len(rows)) if finite else Sum()
            for p in shared:
                p.grad = None
            weights = self._apply(aggregator, shared)
            self._agree(shared)
        finally:
            for p in shared:
                vars(p).pop("jac", None)
        for p, old in zip(shared, before, strict=True):
            _accumulate(p, old, scale)
        if weights is not None:
            for task, weight in zip(rows, weights.detach().unbind(), strict=True):
                self._latest[task] = weight * self._factors[task]

    def _agree(self, shared: Sequence[nn.Parameter]) -> None:
        """Take what process 0 found: a solver may find something else on another machine."""
        found = [p.grad for p in shared if p.grad is not None]
        for gradient, first in zip(found, of_first(found, self._world), strict=True):
            gradient.copy_(first)

    def _aggregator(self, rows: int) -> Aggregator:
        if rows not in self._aggregators:
            self._aggregators[rows] = self._recipe.make(rows)
        return self._aggregators[rows]

    def _apply(self, aggregator: Aggregator, shared: list[nn.Parameter]) -> Tensor | None:
        """Put the aggregation of ``jac`` into ``grad``; the sum, where a solver finds no solution.

        Returns:
            The weights of the rows, where the aggregator is a combination of them.
        """
        from torchjd.aggregation import Sum
        from torchjd.autojac import jac_to_grad

        draws = self._recipe.draws
        seeded = drawing(seed_of(self._seed, self._calls), self._device) if draws else nullcontext()
        solves = self._recipe.solves
        unsolved = _unsolved() if solves else ()
        with seeded, warnings.catch_warnings():
            # a solver's remark that its answer is inexact is not for the user of a run
            warnings.simplefilter("ignore")
            try:
                return jac_to_grad(shared, aggregator, retain_jac=solves)
            except unsolved:
                self._failed += 1
        return jac_to_grad(shared, Sum())

    def weights(self) -> Mapping[str, Factor]:
        """Return the factor of each task's row in the latest step.

        It is the stated weight times that of the aggregator; the stated one where the aggregator
        does more than weigh rows.
        """
        return self._latest

    def remarks(self) -> list[str]:
        """Return in how many steps there was no solution, if any."""
        failed, self._failed = self._failed, 0
        if not failed:
            return []
        times = "step" if failed == 1 else "steps"
        return [f"in {failed} {times} no solution was found, and the gradients were summed"]

    def state_dict(self) -> dict[str, Any]:
        """Return the number of steps, the latest weights and what aggregators remember."""
        memories = {
            rows: memory
            for rows, aggregator in self._aggregators.items()
            if (memory := _memory(aggregator)) is not None
        }
        return {
            "calls": self._calls,
            "failed": self._failed,
            "latest": dict(self._latest),
            "memories": memories,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state_dict` gave."""
        self._calls, self._failed = int(state["calls"]), int(state["failed"])
        self._latest = {
            task: each.to(self._device) if isinstance(each, Tensor) else each
            for task, each in state["latest"].items()
        }
        for rows, memory in state["memories"].items():
            _remember(self._aggregator(rows), memory)


def _unsolved() -> tuple[type[Exception], ...]:
    """Return what a solver that finds no solution raises: each library has its own way."""
    from cvxpy.error import SolverError

    # a solution that is None is a TypeError of who computes with it
    singular: type[Exception] = torch.linalg.LinAlgError  # type: ignore[attr-defined]
    return (SolverError, singular, ValueError, ArithmeticError, TypeError)


def _rows(shared: Sequence[nn.Parameter]) -> list[Tensor]:
    """Return the rows of the Jacobian for each parameter, of shape ``(tasks, *parameter)``."""
    return [vars(p)["jac"] for p in shared]


def _finite(shared: Sequence[nn.Parameter]) -> bool:
    """Return whether the Jacobian is; this waits for the device."""
    norms = torch._foreach_norm(_rows(shared))
    return bool(torch.stack(norms).isfinite().all())


def _accumulate(p: nn.Parameter, old: Tensor | None, scale: Factor) -> None:
    """Scale the new gradient and add the old one, in the parameter's memory order.

    Fused optimizers walk through a parameter and its gradient side by side in memory.
    """
    new = p.grad
    assert new is not None
    new = scaled(new, scale)
    if old is not None:
        p.grad = old.add_(new)
        return
    p.grad = new if new.stride() == p.stride() else torch.empty_like(p).copy_(new).detach()


def _memory(aggregator: Aggregator) -> Tensor | None:
    """Return what Nash-MTL starts its next solution from; the other aggregators have no memory."""
    weighting = _bargaining(aggregator)
    return None if weighting is None else weighting.memory


def _remember(aggregator: Aggregator, memory: Tensor) -> None:
    """Go back to what `_memory` gave."""
    weighting = _bargaining(aggregator)
    assert weighting is not None
    weighting.begin(memory)


def _bargaining(aggregator: Aggregator) -> Bargaining | None:
    from graphspec.training.balancing.scaling import Bargaining

    weighting = getattr(aggregator, "gramian_weighting", None)
    return weighting if isinstance(weighting, Bargaining) else None
