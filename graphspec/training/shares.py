"""How much each task counted in an epoch: the mean of the weights that a balancer gave it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

_PENDING_LIMIT = 1000
"""Steps whose weights are set aside before they are added up."""


class Shares:
    """Running means of the tasks' weights, added up many steps at a time and without waiting.

    As long as they never change, they are what they are: no sum spoils their last digit.
    """

    def __init__(self) -> None:
        self._steps = 0
        self._constant: dict[str, float] | None = None
        self._sums: dict[str, float | Tensor] = {}
        self._pending: list[dict[str, float | Tensor]] = []

    def add(self, weights: Mapping[str, float | Tensor]) -> None:
        """Take in the weights of one step."""
        if self._steps and not self._pending and not self._sums and weights == self._constant:
            self._steps += 1
            return
        if not self._steps and not any(isinstance(each, Tensor) for each in weights.values()):
            self._constant = {task: float(each) for task, each in weights.items()}
            self._steps = 1
            return
        if self._constant is not None:
            self._sums = {task: each * self._steps for task, each in self._constant.items()}
            self._constant = None
        self._pending.append(
            {
                task: each.detach() if isinstance(each, Tensor) else each
                for task, each in weights.items()
            }
        )
        self._steps += 1
        if len(self._pending) >= _PENDING_LIMIT:
            self._count()

    def means(self) -> dict[str, float]:
        """Return the mean weight of each task; this synchronises with the device."""
        if self._constant is not None:
            return dict(self._constant)
        self._count()
        return {task: float(total) / self._steps for task, total in self._sums.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return the sums as plain data."""
        self._count()
        sums = {task: float(total) for task, total in self._sums.items()}
        return {"steps": self._steps, "constant": self._constant, "sums": sums}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self._steps = int(state["steps"])
        self._constant = state["constant"]
        self._sums = dict(state["sums"])

    def _count(self) -> None:
        """Add up what was set aside; float32 numbers in float64, which is exact."""
        for task in self._pending[0] if self._pending else ():
            given = [each[task] for each in self._pending]
            tensors = [each for each in given if isinstance(each, Tensor)]
            total: float | Tensor = sum(each for each in given if not isinstance(each, Tensor))
            if tensors:
                total = torch.stack(tensors).double().sum() + total
            self._sums[task] = self._sums.get(task, 0.0) + total
        self._pending.clear()
