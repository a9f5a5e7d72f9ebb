"""Metrics: their names, which way is better, and the running means of a training epoch.

A metric is named ``SPLIT/loss`` or ``SPLIT/TASK/loss``, ``SPLIT/TASK/top1``, ``SPLIT/TASK/top5``.
Losses are means over samples, accuracies parts of 1. Top-5 is left out for tasks of at most five
classes, where it says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from graphspec.errors import Code, Sink, did_you_mean
from graphspec.language.recipe import Train
from graphspec.training.losses import Losses
from graphspec.training.observer import Record
from graphspec.training.optimizers import Spans

SPLITS = ("train", "validation")
"""Splits by whose metrics a run may be steered; the test split is for the end alone."""

TOP = 5

_PENDING_LIMIT = 1 << 18
"""Logits that are kept before they are counted: 1 MiB in float32, which a cache still holds."""


def names(tasks: Mapping[str, int]) -> list[str]:
    """Return the metrics of one split, e.g. ``loss``, ``fine/loss``, ``fine/top1``.

    Args:
        tasks: Number of classes by task.
    """
    found = ["loss"]
    for task, classes in tasks.items():
        found += [f"{task}/loss", f"{task}/top1"] + ([f"{task}/top5"] if classes > TOP else [])
    return found


def minimised(metric: str) -> bool:
    """Return whether less of a metric is better: it is for losses."""
    return metric.rsplit("/", 1)[-1] == "loss"


def better(metric: str, value: float, best: float | None, margin: float = 0.0) -> bool:
    """Return whether ``value`` improves on ``best`` by more than ``margin``."""
    if best is None:
        return True
    return value < best - margin if minimised(metric) else value > best + margin


def value(metric: str, records: Iterable[Record]) -> float:
    """Return a metric of an epoch, e.g. ``validation/fine/top1``, from the epoch's records."""
    split, name = metric.split("/", 1)
    return float(next(r for r in records if r["split"] == split)[name])


def check(train: Train, tasks: Mapping[str, int], sink: Sink, span: Spans) -> None:
    """Report metrics in a recipe that no epoch will have.

    Args:
        train: The recipe; its ``best`` and ``early_stopping.metric`` are looked at.
        tasks: Number of classes by task.
        sink: Where ``bad-value`` goes.
        span: Where a path of the spec stands.
    """
    known = [f"{split}/{name}" for split in reversed(SPLITS) for name in names(tasks)]
    asked: dict[tuple[str, ...], str] = {("train", "best"): train.best}
    if train.early_stopping is not None:
        asked["train", "early_stopping", "metric"] = train.early_stopping.metric
    for path, metric in asked.items():
        if metric in known:
            continue
        message = f"`{path[-1]}: {metric}` is no metric of this spec"
        hint = did_you_mean(metric, known, "metrics")
        if metric.startswith("test/"):
            hint = "the test split is kept for the end; choose by `validation/...`"
        sink.error(Code.BAD_VALUE, span(path), message, hint)


class Meter:
    """Running means of loss, top-1 and top-5 over the steps of an epoch, kept on the device.

    A step costs next to nothing and no synchronisation: logits and losses are set aside and
    counted many steps at a time. Sums of losses never become finite again once one was not, so
    they tell a bad loss of any earlier step too. Losses are float32 and their sums float64, in
    which such sums are exact: when steps are counted together does not change them.

    Attributes:
        samples: Samples seen.
    """

    def __init__(self, tasks: Mapping[str, int], device: torch.device) -> None:
        # MPS has no float64; its sums over an epoch are good to about five digits.
        exact = torch.float32 if device.type == "mps" else torch.float64
        self.samples = 0
        self._tasks = dict(tasks)
        self._loss = {task: torch.zeros((), dtype=exact, device=device) for task in tasks}
        self._hits = {task: torch.zeros(2, dtype=torch.int64, device=device) for task in tasks}
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
            outputs: Logits by task, each of shape ``(N, classes)``.
            labels: True classes by task, each int64 of shape ``(N,)``.
            losses: Mean loss of the batch by task.
        """
        size = len(next(iter(outputs.values())))
        if size != self._batch_size:
            self._count()
            self._batch_size = size
        for task, pending in self._pending.items():
            logits = outputs[task].detach()
            pending.append((logits, labels[task], losses[task].detach()))
            self._waiting += logits.numel()
        self.samples += size
        if self._waiting >= _PENDING_LIMIT:
            self._count()

    def scores(self, losses: Losses) -> dict[str, float]:
        """Return the means so far; this synchronises with the device, once.

        Args:
            losses: Gives the weighted sum.

        Returns:
            ``loss`` and, for each task, ``TASK/loss``, ``TASK/top1`` and perhaps ``TASK/top5``.
        """
        self._count()
        if not self.samples:
            return {}
        sums = torch.cat([torch.stack(list(self._loss.values())), *self._hits.values()]).tolist()
        parts = {task: sums[i] / self.samples for i, task in enumerate(self._tasks)}
        found = {"loss": losses.total(parts)}
        for i, (task, classes) in enumerate(self._tasks.items()):
            top1, top5 = sums[len(parts) + 2 * i : len(parts) + 2 * i + 2]
            found |= {f"{task}/loss": parts[task], f"{task}/top1": top1 / self.samples}
            if classes > TOP:
                found[f"{task}/top5"] = top5 / self.samples
        return found

    def state_dict(self) -> dict[str, Any]:
        """Return the sums, so that a run that is resumed in an epoch goes on with its means."""
        self._count()
        return {
            "samples": self.samples,
            "loss": {task: total.cpu().clone() for task, total in self._loss.items()},
            "hits": {task: hits.cpu().clone() for task, hits in self._hits.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.samples = int(state["samples"])
        for task in self._tasks:
            self._loss[task].copy_(state["loss"][task])
            self._hits[task].copy_(state["hits"][task])

    def _count(self) -> None:
        """Add up the losses that were set aside and count the hits among the logits.

        The rank of the true class is the number of logits at least as high as its own, which is
        several times faster than sorting; equal logits count against the model.
        """
        for task, pending in self._pending.items():
            if not pending:
                continue
            steps = list(zip(*pending, strict=True))
            logits, labels = torch.cat(steps[0]).float(), torch.cat(steps[1])
            losses = torch.stack(steps[2]).to(self._loss[task].dtype)
            self._loss[task] += losses.sum() * self._batch_size
            own = logits.gather(1, labels[:, None])
            # compared into floats: several times faster on a CPU than into booleans, and exact
            rank = torch.ge(logits, own, out=torch.empty_like(logits)).sum(1)
            self._hits[task] += torch.stack([(rank <= 1).sum(), (rank <= TOP).sum()])
            pending.clear()
        self._waiting = 0
