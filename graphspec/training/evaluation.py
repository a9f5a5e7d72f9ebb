"""Evaluation of a model on one split: losses, metrics and confusion.

Classifications are measured by torchmetrics (`graphspec.training.gauges`). What the other types
have by default is counted by the same sums as the running means of training
(`graphspec.training.statistics`), which are exact: torchmetrics gives an R2 of 1 to targets of
small numbers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from graphspec.language.signature import TaskSpec
from graphspec.training.gauges import Gauges
from graphspec.training.kinship import Kin, count_pairs, kinships
from graphspec.training.losses import Losses
from graphspec.training.measures import of_task, of_tasks
from graphspec.training.statistics import statistics

CONFUSION_CLASSES = 2000
"""Most classes of a task whose confusion is counted: the matrix has their square."""

Forward = Callable[..., Mapping[str, Tensor]]


@dataclass(frozen=True)
class Evaluation:
    """What a model reaches on a split.

    Attributes:
        scores: ``loss`` and, for each task, ``TASK/loss`` and its metrics.
        samples: Number of samples.
        seconds: Time it took.
        kin: For each task that has a parent its confusion as seen from there.
        confusion: For each coarse task the counts of shape ``(classes, classes)``: row = true
            class, column = predicted class.
    """

    scores: dict[str, float]
    samples: int
    seconds: float
    kin: dict[str, Kin]
    confusion: dict[str, list[list[int]]]

    @property
    def images_per_s(self) -> float:
        """Samples a second."""
        return self.samples / self.seconds if self.seconds else 0.0


def coarse_tasks(tasks: Mapping[str, TaskSpec]) -> tuple[str, ...]:
    """Return the tasks whose confusion is worth a look.

    Returns:
        Classifications that are parents, else the one of fewest classes, if there is any; none of
        more than `CONFUSION_CLASSES` classes.
    """
    classified = [
        name
        for name, task in tasks.items()
        if task.type == "classification" and task.classes <= CONFUSION_CLASSES
    ]
    parents = {task.parent for task in tasks.values()}
    found = tuple(name for name in classified if name in parents)
    if found or not classified:
        return found
    return (min(classified, key=lambda name: tasks[name].classes),)


def evaluate(
    model: nn.Module,
    batches: Iterable[Any],
    losses: Losses,
    tasks: Mapping[str, TaskSpec],
    device: torch.device,
    watch: Callable[[int, int], bool] = lambda batch, samples: True,
) -> Evaluation | None:
    """Evaluate a model, in evaluation mode and without gradients; its mode is restored.

    Args:
        model: Called with the inputs by name; gives predictions of shape ``(N, ...)`` by task. One
            that takes true labels is not given any.
        batches: Values with ``inputs`` and ``labels`` by name.
        losses: The loss.
        tasks: The tasks that the model predicts.
        device: Where model and batches are.
        watch: Called after each batch with the batches and samples done; False ends it.

    Returns:
        The evaluation, or None if it was ended.
    """
    board = _Scoreboard(losses, tasks, device)
    training = model.training
    started = time.perf_counter()
    model.eval()
    try:
        with torch.no_grad():
            for number, batch in enumerate(batches, start=1):
                board.add(model(**batch.inputs), batch.labels)
                if not watch(number, board.samples):
                    return None
        return board.result(started)
    finally:
        model.train(training)


class _Scoreboard:
    """The metrics of one evaluation, accumulated on the device."""

    def __init__(self, losses: Losses, tasks: Mapping[str, TaskSpec], device: torch.device) -> None:
        self.samples = 0
        self._losses = losses
        self._tasks = tasks
        self._sums: dict[str, Tensor] = {}
        self._basis: dict[str, Tensor] = {}
        exact = torch.float32 if device.type == "mps" else torch.float64
        # classifications are measured by torchmetrics alone
        made = {n: statistics(t, exact) for n, t in tasks.items() if t.type != "classification"}
        self._statistics = {name: each for name, each in made.items() if each is not None}
        self._counts: dict[str, Tensor] = {}
        self._gauges = {
            name: Gauges(task, of_task(task), device, exact) for name, task in tasks.items()
        }
        sizes = {name: tasks[name].classes for name in coarse_tasks(tasks)}
        self._confusion = {
            name: torch.zeros(size**2, dtype=torch.int64, device=device)
            for name, size in sizes.items()
        }
        self._kinships = kinships(tasks, device)

    def add(self, outputs: Mapping[str, Tensor], labels: Mapping[str, Tensor]) -> None:
        parts = self._losses(outputs, labels)
        count = len(next(iter(labels.values())))
        self.samples += count
        for name, loss in parts.items():
            basis = self._losses.basis(name, labels[name])
            if basis is not None:
                _add(self._basis, name, basis)
            _add(self._sums, name, loss * (count if basis is None else basis))
        for name, each in self._statistics.items():
            _add(self._counts, name, each.count(outputs[name], labels[name]))
        for name, gauges in self._gauges.items():
            if gauges:
                gauges.update(outputs[name], labels[name])
        for name, matrix in self._confusion.items():
            true, size = labels[name], self._tasks[name].classes
            count_pairs(matrix, true, outputs[name].argmax(1), size, true >= 0)
        for kinship in self._kinships.values():
            kinship.add(outputs, labels)

    def result(self, started: float) -> Evaluation:
        parts = {name: self._mean(name, float(total)) for name, total in self._sums.items()}
        scores = {"loss": self._losses.total(parts)}
        for name in self._tasks:
            found = {"loss": parts[name]} | self._gauges[name].scores()
            if name in self._statistics:
                sums = self._counts[name].cpu()
                found |= self._statistics[name].scores(sums, self.samples)
            if name in self._kinships:
                found |= self._kinships[name].scores()
            scores |= {f"{name}/{metric}": value for metric, value in found.items()}
        return Evaluation(
            scores={key: scores[key] for key in of_tasks(self._tasks) if key in scores},
            samples=self.samples,
            kin={name: each.confusion() for name, each in self._kinships.items()},
            confusion={
                name: matrix.reshape(self._tasks[name].classes, -1).tolist()
                for name, matrix in self._confusion.items()
            },
            seconds=time.perf_counter() - started,
        )

    def _mean(self, name: str, total: float) -> float:
        """Return the mean loss of a task, over samples or over what counts."""
        if name not in self._basis:
            return total / self.samples
        basis = float(self._basis[name])
        return total / basis if basis else total


def _add(sums: dict[str, Tensor], name: str, value: Tensor) -> None:
    sums[name] = sums.get(name, torch.zeros_like(value)) + value
