"""Random loss weighting: other weights at every step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from graphspec.training.balancing.balancer import Factor, Stateless, scaled, weighted_sum
from graphspec.training.balancing.draws import seed_of
from graphspec.training.balancing.site import Site


class RandomWeights(Stateless):
    r"""Weights drawn anew at every step.

    The weights are :math:`\mathrm{softmax}(z)` with :math:`z \sim \mathcal{N}(0, I)` (RLW with a
    normal distribution, algorithm 1), so they sum to 1; each is multiplied by the stated weight of
    its task. They are drawn on the host, from the run's seed and the number of the step.

    Source:
        Lin, Ye, Zhang, Tsang: Reasonable Effectiveness of Random Weighting: A Litmus Test for
        Multi-Task Learning, TMLR 2022 (arXiv 2111.10603, 2021).
    """

    def __init__(self, site: Site) -> None:
        self._stated = dict(site.factors)
        self._learned = site.learned
        self._seed = site.seed
        self._calls = 0
        self._generator = torch.Generator()
        self._factors = dict(site.factors)

    def backward(self, losses: Mapping[str, Tensor], scale: Factor = 1.0) -> None:
        """Draw weights, and add the gradients of the weighted sum; see `Balancer.backward`."""
        self._generator.manual_seed(seed_of(self._seed, self._calls))
        self._calls += 1
        stated = torch.tensor([self._stated[task] for task in self._learned])
        drawn = torch.randn(len(self._learned), generator=self._generator).softmax(0) * stated
        self._factors |= zip(self._learned, drawn.tolist(), strict=True)
        total = scaled(weighted_sum(losses, self._factors), scale)
        total.backward()  # type: ignore[no-untyped-call]

    def weights(self) -> Mapping[str, Factor]:
        """Return the weights of the latest step."""
        return dict(self._factors)

    def state_dict(self) -> dict[str, Any]:
        """Return how often weights were drawn, and the latest."""
        return {"calls": self._calls, "factors": dict(self._factors)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state_dict` gave."""
        self._calls, self._factors = int(state["calls"]), dict(state["factors"])
