"""The running means of an epoch: losses and metrics, named as in `graphspec.training.measures`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from graphspec.language.signature import TaskSpec
from graphspec.training import gauges, measures
from graphspec.training.distributed.together import added
from graphspec.training.distributed.world import World
from graphspec.training.gauges import Gauges
from graphspec.training.losses import Losses
from graphspec.training.statistics import statistics

_PENDING_LIMIT = 1 << 20
"""Outputs that are kept before they are counted: 4 MiB in float32. What a count costs depends more
on how often than on how many."""


def _running(task: TaskSpec) -> list[str]:
    """Return the metrics of a training epoch that do not follow from the sums of statistics."""
    names = measures.of_task(task, "train")
    return [name for name in gauges.computed(task, names) if measures.top_k(name) is None]


class Meter:
    """Running means of the losses and metrics over the steps of an epoch, kept on the device.

    A step costs next to nothing and no synchronisation: outputs and losses are set aside and
    counted many steps at a time. Sums of losses never become finite again once one was not, so
    they tell a bad loss of any earlier step too. Losses are float32 and their sums float64, in
    which such sums are exact: when steps are counted together does not change them. What is not
    exact is added up one step after another, so that a run that is resumed has the same sums.

    Attributes:
        samples: Samples seen.
    """

    def __init__(
        self,
        tasks: Mapping[str, TaskSpec],
        losses: Losses,
        device: torch.device,
        rounded: bool = False,
    ) -> None:
        """Begin with nothing.

        Args:
            tasks: The tasks that the model predicts.
            losses: Their losses.
            device: Where outputs and labels are.
            rounded: Whether outputs are computed in half precision, where many are equal.
        """
        # MPS has no float64; its sums over an epoch are good to about five digits.
        exact = torch.float32 if device.type == "mps" else torch.float64
        self.samples = 0
        self._tasks = dict(tasks)
        self._losses = losses
        made = {name: statistics(task, exact, rounded) for name, task in tasks.items()}
        self._statistics = {name: each for name, each in made.items() if each is not None}
        self._gauges = {
            name: made_gauges
            for name, task in tasks.items()
            if (made_gauges := Gauges(task, _running(task), device, exact))
        }
        self._loss = {task: torch.zeros((), dtype=exact, device=device) for task in tasks}
        self._basis: dict[str, Tensor] = {}
        self._sums = {
            name: torch.zeros(each.shape, dtype=each.dtype, device=device)
            for name, each in self._statistics.items()
        }
        self._pending: dict[str, list[tuple[Tensor, Tensor, Tensor]]] = {t: [] for t in tasks}
        self._waiting = 0
        self._batch_size = 0

    def add(
        self,
        outputs: Mapping[str, Tensor],
        labels: Mapping[str, Tensor],
        losses: Mapping[str, Tensor],
    ) -> None:
        """Take in one step.

        Args:
            outputs: What the model gives by task, each of shape ``(N, ...)``.
            labels: The targets by task.
            losses: Mean loss of the batch by task.
        """
        size = next(iter(outputs.values())).shape[0]
        if size != self._batch_size:
            self._count()
            self._batch_size = size
        for task, pending in self._pending.items():
            own = outputs[task].detach()
            pending.append((own, labels[task], losses[task].detach()))
            self._waiting += own.numel()
        self.samples += size
        if self._waiting >= _PENDING_LIMIT:
            self._count()

    def scores(self) -> dict[str, float]:
        """Return the means so far; this synchronises with the device.

        Returns:
            ``loss`` and, for each task, ``TASK/loss`` and its metrics.
        """
        self._count()
        if not self.samples:
            return {}
        parts = {task: self._mean(task) for task in self._tasks}
        found = {"loss": self._losses.total(parts)}
        for name, task in self._tasks.items():
            scores = {"loss": parts[name]}
            if name in self._statistics:
                sums = self._sums[name].cpu()
                scores |= self._statistics[name].scores(sums, self.samples)
            if name in self._gauges:
                scores |= self._gauges[name].scores()
            wanted = measures.of_task(task, "train")
            found |= {f"{name}/{each}": scores[each] for each in wanted if each in scores}
        return found

    def together(self, world: World) -> Meter:
        """Return a meter with the sums of all processes; all must ask."""
        if not world.together:
            return self
        whole = Meter(self._tasks, self._losses, next(iter(self._loss.values())).device)
        state = self.state_dict()
        if self._gauges:
            own = self._gauges.items()
            state["gauges"] = {task: each.summable(state["gauges"][task]) for task, each in own}
        whole.load_state_dict(added(world.gather(state)))
        return whole

    def state_dict(self) -> dict[str, Any]:
        """Return the sums, so that a run that is resumed in an epoch goes on with its means."""
        self._count()
        state: dict[str, Any] = {
            "samples": self.samples,
            "loss": {task: total.cpu().clone() for task, total in self._loss.items()},
            "hits": {task: sums.cpu().clone() for task, sums in self._sums.items()},
        }
        if self._basis:
            state["basis"] = {task: total.cpu().clone() for task, total in self._basis.items()}
        if self._gauges:
            state["gauges"] = {task: each.state_dict() for task, each in self._gauges.items()}
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.samples = int(state["samples"])
        for task in self._tasks:
            self._loss[task].copy_(state["loss"][task])
        for task, sums in self._sums.items():
            sums.copy_(state["hits"][task])
        for task, each in self._gauges.items():
            each.load_state_dict(state["gauges"][task])
        for task, total in state.get("basis", {}).items():
            self._basis[task] = total.to(self._loss[task])

    def _mean(self, task: str) -> float:
        """Return the mean loss of a task, over samples or over its basis."""
        total = self._loss[task].item()
        if task not in self._basis:
            return total / self.samples
        basis = self._basis[task].item()
        return total / basis if basis else total

    def _count(self) -> None:
        """Add up the losses that were set aside and count the outputs."""
        for task, pending in self._pending.items():
            if not pending:
                continue
            outputs, labels, losses = zip(*pending, strict=True)
            means = torch.stack(losses).to(self._loss[task].dtype)
            bases = [self._losses.basis(task, each) for each in labels]
            known = [basis for basis in bases if basis is not None]
            if known:
                self._add_weighted(task, means, torch.stack(known).to(means.dtype))
            else:
                self._loss[task] += means.sum() * self._batch_size
            self._measure(task, outputs, labels)
            pending.clear()
        self._waiting = 0

    def _measure(self, task: str, outputs: Sequence[Tensor], labels: Sequence[Tensor]) -> None:
        """Count predictions of several steps: at once where the order does not matter."""
        each, own = self._statistics.get(task), self._gauges.get(task)
        whole = each is None or each.is_whole
        steps = [(torch.cat(list(outputs)), torch.cat(list(labels)))] if whole else None
        for step in steps or zip(outputs, labels, strict=True):
            if each is not None:
                self._sums[task] += each.count(*step)
            if own is not None:
                own.update(*step)

    def _add_weighted(self, task: str, means: Tensor, bases: Tensor) -> None:
        """Add up losses that are means over a basis, step by step: such sums are not exact."""
        basis = self._basis.get(task, torch.zeros_like(self._loss[task]))
        for mean, over in zip(means, bases, strict=True):
            self._loss[task] += mean * over
            basis = basis + over
        self._basis[task] = basis
