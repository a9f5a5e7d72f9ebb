"""GradNorm: weights under which the gradients of the tasks have balanced norms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from graphspec.training.balancing.balancer import Factor, Stateless, scaled, weighted_sum
from graphspec.training.balancing.last_shared import last_shared
from graphspec.training.balancing.site import Site
from graphspec.training.distributed.means import averaged


class GradNorm(Stateless):
    r"""Gradient normalisation.

    At the last shared parameters :math:`W` (see `last_shared`) each task has the gradient norm
    :math:`G_i = \lVert \nabla_W w_i L_i \rVert` and the relative inverse training rate
    :math:`r_i = \tilde L_i / \mathrm{mean}_j \tilde L_j` with
    :math:`\tilde L_i = L_i / L_i(0)`. After each step the weights :math:`w_i` descend on

    .. math:: L_\text{grad} = \sum_i \left| G_i - \bar G\, r_i^\alpha \right|

    (equation 2) with the target held constant, and are scaled to sum to the number of tasks. Since
    :math:`G_i = w_i \lVert \nabla_W L_i \rVert`, its derivative is known without a second backward
    pass through gradients: :math:`\operatorname{sign}(G_i - \bar G r_i^\alpha)\,
    \lVert \nabla_W L_i \rVert`. The losses are those times the stated weights. Tasks whose losses
    do not reach :math:`W` keep their stated weights, and so do all where nothing is shared. The
    weights of a step are updated by Adam with its own learning rate.

    Source:
        Chen, Badrinarayanan, Lee, Rabinovich: GradNorm: Gradient Normalization for Adaptive Loss
        Balancing in Deep Multitask Networks, ICML 2018, algorithm 1.

    Attributes:
        at: Names of the parameters at which norms are taken.
    """

    def __init__(
        self, site: Site, alpha: float = 1.5, lr: float = 0.025, at: str | None = None
    ) -> None:
        self.at, tasks = last_shared(site, at)
        self._tasks = tuple(task for task in site.learned if task in tasks)
        self._where = site.tensors(self.at)
        self._stated = dict(site.factors)
        self._alpha = alpha
        self._world = site.world
        count = len(self._tasks)
        self._weights = nn.Parameter(torch.ones(count, device=site.device))
        self._initial = torch.zeros(count, device=site.device)
        self._latest = torch.ones(count, device=site.device)
        self._optimizer = torch.optim.Adam([self._weights], lr=lr, foreach=False)

    def backward(self, losses: Mapping[str, Tensor], scale: Factor = 1.0) -> None:
        """Add the gradients of the weighted sum and update the weights; see `Balancer.backward`."""
        where = [p for p in self._where if p.requires_grad]
        compared = bool(where) and all(losses[task].requires_grad for task in self._tasks)
        self._latest = self._weights.detach().clone()
        factors = self.weights()
        norms = self._norms(losses, where, scale) if compared else None
        total = scaled(weighted_sum(losses, factors), scale)
        total.backward()  # type: ignore[no-untyped-call]
        if norms is not None:
            self._update(losses, norms)

    def _norms(
        self, losses: Mapping[str, Tensor], where: list[nn.Parameter], scale: Factor
    ) -> Tensor:
        """Return the norm of the gradient of each task's loss, as stated, at the shared place."""
        gradients: list[list[Tensor]] = []
        for task in self._tasks:
            # the scale keeps small gradients of half precision from vanishing on the way
            loss = scaled(scaled(losses[task], self._stated[task]), scale)
            found = torch.autograd.grad(loss, where, retain_graph=True, allow_unused=True)
            gradients.append([each.float() for each in found if each is not None])
        whole = iter(averaged([each for parts in gradients for each in parts], self._world))
        norms = []
        for parts in gradients:
            own = [next(whole).norm() for _ in parts]
            norms.append(torch.stack(own).norm() if own else torch.zeros_like(self._weights[0]))
        stacked = torch.stack(norms)
        return stacked if isinstance(scale, float) and scale == 1.0 else stacked / scale

    def _update(self, losses: Mapping[str, Tensor], norms: Tensor) -> None:
        """Make one step of the weights."""
        with torch.no_grad():
            stated = [losses[t].detach().float() * self._stated[t] for t in self._tasks]
            (values,) = averaged([torch.stack(stated)], self._world)
            self._initial = torch.where(self._initial == 0, values, self._initial)
            seen = values != 0  # a task without a label in the batch is not compared
            count = seen.sum().clamp(min=1)
            tilde = torch.where(seen, values / torch.where(seen, self._initial, 1.0), 0.0)
            rates = tilde / (tilde.sum() / count)
            weighted = self._weights * norms
            mean = (weighted * seen).sum() / count
            difference = weighted - mean * rates**self._alpha
            gradient = torch.where(seen, difference.sign() * norms, 0.0)
            # half precision may overflow in a step, which its scaler skips
            self._weights.grad = gradient.nan_to_num(0.0, 0.0, 0.0)
        self._optimizer.step()
        with torch.no_grad():
            self._weights.clamp_(min=1e-3)  # a negative weight would ascend on the task's loss
            self._weights.mul_(len(self._tasks) / self._weights.sum())

    def weights(self) -> Mapping[str, Factor]:
        """Return the factor of each loss in the latest step."""
        factors: dict[str, Factor] = dict(self._stated)
        for task, weight in zip(self._tasks, self._latest.unbind(), strict=True):
            factors[task] = weight * self._stated[task]
        return factors

    def state_dict(self) -> dict[str, Any]:
        """Return weights, initial losses and the moments of the weights' own optimizer."""
        return {
            "weights": self._weights.detach(),
            "latest": self._latest,
            "initial": self._initial,
            "optimizer": self._optimizer.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state_dict` gave."""
        with torch.no_grad():
            self._weights.copy_(state["weights"])
        device = self._weights.device
        self._latest = state["latest"].to(device)
        self._initial = state["initial"].to(device)
        self._optimizer.load_state_dict(state["optimizer"])
