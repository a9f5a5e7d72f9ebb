"""Geometric loss strategy: the geometric mean of the losses instead of their sum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from graphspec.training.balancing.balancer import Factor, Stateless, scaled
from graphspec.training.balancing.site import Site
from graphspec.training.distributed.means import averaged


class GeometricMean(Stateless):
    r"""The weighted geometric mean of the losses.

    It minimises :math:`\prod_i L_i^{a_i}` with :math:`a_i = w_i / \sum_j w_j`: at equal stated
    weights :math:`\sqrt[n]{L_1 \cdots L_n}`. So the factor of the gradient of a loss is
    :math:`a_i / L_i` times the mean: not the scale of a loss matters, but its relative change.
    A task without a label in the batch (loss 0) is left out of the mean.

    Source:
        Chennupati, Sistu, Yogamani, Rawashdeh: MultiNet++: Multi-Stream Feature Aggregation and
        Geometric Loss Strategy for Multi-Task Learning, CVPR Workshops 2019.
    """

    def __init__(self, site: Site) -> None:
        self._tasks = tuple(site.factors)
        self._stated = torch.tensor(list(site.factors.values()), device=site.device)
        self._latest = self._stated / self._stated.sum()
        self._world = site.world

    def backward(self, losses: Mapping[str, Tensor], scale: Factor = 1.0) -> None:
        """Add the gradients of the geometric mean; see `Balancer.backward`."""
        values = torch.stack([losses[task] for task in self._tasks]).float()
        (whole,) = averaged([values], self._world)
        counted = whole != 0
        exponents = self._stated * counted
        exponents = exponents / exponents.sum().clamp(min=torch.finfo(exponents.dtype).tiny)
        mean = (exponents * torch.where(counted, whole, 1.0).log()).sum().exp()
        # the derivative of the mean by each loss, of which a process may have a part only
        self._latest = torch.where(counted, exponents * mean / whole, 0.0)
        scaled((self._latest * values).sum(), scale).backward()  # type: ignore[no-untyped-call]

    def weights(self) -> Mapping[str, Factor]:
        """Return the factor of each loss's gradient in the latest step."""
        return dict(zip(self._tasks, self._latest.unbind(), strict=True))

    def state_dict(self) -> dict[str, Any]:
        """Return the latest weights."""
        return {"latest": self._latest}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state_dict` gave."""
        self._latest = state["latest"].to(self._stated.device)
