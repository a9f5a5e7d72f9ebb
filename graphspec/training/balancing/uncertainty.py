"""Uncertainty weighting: the noise of each task is learned, and weighs its loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from graphspec.training.balancing.balancer import Factor, Stateless, scaled
from graphspec.training.balancing.site import Site
from graphspec.training.distributed.means import averaged


class Uncertainty(Stateless):
    r"""Homoscedastic uncertainty as weight of a task.

    Each task has a learned log variance :math:`s_i = \log \sigma_i^2`, optimised with the model.
    With the stated weights :math:`w_i` it minimises

    .. math:: \sum_i w_i \left(c_i e^{-s_i} L_i + \tfrac{1}{2} s_i\right)

    where :math:`c_i = 1/2` for a regression (equation 7, a Gaussian likelihood) and 1 for the other
    types (equation 10, a scaled softmax). The stated weight stands before the whole term: before
    the loss alone the variance would learn to undo it. A task without a label in the batch (loss 0)
    adds nothing.

    Source:
        Kendall, Gal, Cipolla: Multi-Task Learning Using Uncertainty to Weigh Losses for Scene
        Geometry and Semantics, CVPR 2018.

    Attributes:
        log_variances: The log variance of each task, of shape ``(tasks,)``; 0 at the start.
    """

    def __init__(self, site: Site) -> None:
        self._tasks = tuple(site.factors)
        self._world = site.world
        start = torch.zeros(len(self._tasks), device=site.device)
        self.log_variances = nn.Parameter(start)
        self._stated = torch.tensor(list(site.factors.values()), device=site.device)
        halves = [0.5 if site.tasks[task].type == "regression" else 1.0 for task in self._tasks]
        self._half = torch.tensor(halves, device=site.device)
        self._latest = self._stated * self._half

    def backward(self, losses: Mapping[str, Tensor], scale: Factor = 1.0) -> None:
        """Add the gradients of the objective; see `Balancer.backward`."""
        values = torch.stack([losses[task] for task in self._tasks]).float()
        weights = self._stated * self._half * torch.exp(-self.log_variances)
        (whole,) = averaged([values], self._world)
        penalty = 0.5 * self._stated * self.log_variances * (whole != 0)
        scaled((weights * values + penalty).sum(), scale).backward()  # type: ignore[no-untyped-call]
        self._latest = weights.detach()

    def parameters(self) -> list[nn.Parameter]:
        """Return the log variances."""
        return [self.log_variances]

    def weights(self) -> Mapping[str, Factor]:
        """Return the factor of each loss in the latest step."""
        return dict(zip(self._tasks, self._latest.unbind(), strict=True))

    def state_dict(self) -> dict[str, Any]:
        """Return the log variances and the latest weights."""
        return {"log_variances": self.log_variances.detach(), "latest": self._latest}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state_dict` gave."""
        with torch.no_grad():
            self.log_variances.copy_(state["log_variances"])
        self._latest = state["latest"].to(self.log_variances.device)
