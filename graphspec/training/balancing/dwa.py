"""Dynamic weight average: tasks whose loss falls more slowly weigh more in the next epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from graphspec.training.balancing.balancer import Factor, Stateless, scaled, weighted_sum
from graphspec.training.balancing.site import Site
from graphspec.training.observer import Record


class DynamicWeightAverage(Stateless):
    r"""Weights by how fast the losses fell.

    In epoch :math:`t` the loss of task :math:`k` of :math:`K` is weighted by

    .. math::
        \lambda_k = K \frac{\exp(r_k / T)}{\sum_i \exp(r_i / T)}, \qquad
        r_k = \frac{L_k(t-1)}{L_k(t-2)}

    times its stated weight, where :math:`L_k` is the mean training loss of an epoch (equation 7).
    In the first two epochs :math:`\lambda_k` is 1.

    Source:
        Liu, Johns, Davison: End-to-End Multi-Task Learning with Attention, CVPR 2019.
    """

    def __init__(self, site: Site, temperature: float = 2.0) -> None:
        self._stated = dict(site.factors)
        self._learned = site.learned
        self._temperature = temperature
        self._before: dict[str, float] = {}
        self._factors = dict(site.factors)

    def backward(self, losses: Mapping[str, Tensor], scale: Factor = 1.0) -> None:
        """Add the gradients of the weighted sum; see `Balancer.backward`."""
        total = scaled(weighted_sum(losses, self._factors), scale)
        total.backward()  # type: ignore[no-untyped-call]

    def weights(self) -> Mapping[str, Factor]:
        """Return the weights of this epoch."""
        return self._factors

    def close_epoch(self, losses: Mapping[str, float]) -> list[Record]:
        """Set the weights of the next epoch; there is nothing to tell."""
        latest = {task: losses[task] for task in self._learned}
        if self._before:
            self._factors |= self._weigh(latest)
        self._before = latest
        return []

    def _weigh(self, latest: Mapping[str, float]) -> dict[str, float]:
        rates = {
            # a loss that was 0 says nothing of how fast it falls
            task: loss / self._before[task] if self._before[task] else 1.0
            for task, loss in latest.items()
        }
        # softmax does not change with a shift, and none overflows after this one
        highest = max(rates.values())
        powers = {
            task: math.exp((rate - highest) / self._temperature) for task, rate in rates.items()
        }
        total = sum(powers.values())
        return {
            task: self._stated[task] * len(powers) * power / total for task, power in powers.items()
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the losses of the last epoch and the weights of this one."""
        return {"before": dict(self._before), "factors": dict(self._factors)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state_dict` gave."""
        self._before, self._factors = dict(state["before"]), dict(state["factors"])
