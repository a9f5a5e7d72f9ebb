"""Evaluation of a model on one split: losses, metrics and confusion.

Classifications are measured by torchmetrics. The other types are counted by the same sums as the
running means of training (`graphspec.training.statistics`), which are exact: torchmetrics takes
logits that all lie in [0, 1] for probabilities, and gives an R2 of 1 to targets of small numbers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from graphspec.language.signature import TaskSpec
from graphspec.training.kinship import Kin, kinships
from graphspec.training.losses import Losses
from graphspec.training.measures import TOP, of_tasks
from graphspec.training.statistics import statistics

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
        Classifications that are parents, else the one of fewest classes, if there is any.
    """
    classified = [name for name, task in tasks.items() if task.type == "classification"]
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
        from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix

        self.samples = 0
        self._losses = losses
        self._tasks = tasks
        self._sums: dict[str, Tensor] = {}
        self._basis: dict[str, Tensor] = {}
        self._accuracy: dict[str, Any] = {}
        exact = torch.float32 if device.type == "mps" else torch.float64
        self._statistics = {
            name: statistics(task, exact)
            for name, task in tasks.items()
            if task.type != "classification"
        }
        self._counts: dict[str, Tensor] = {}
        self._classified = dict.fromkeys((n for n in tasks if tasks[n].type == "classification"), 0)
        for name, task in tasks.items():
            if task.type != "classification":
                continue
            for top in (1, TOP) if task.classes > TOP else (1,):
                self._accuracy[f"{name}/top{top}"] = MulticlassAccuracy(
                    task.classes, top_k=top, average="micro", validate_args=False
                ).to(device)
        self._confusion = {
            name: MulticlassConfusionMatrix(tasks[name].classes, validate_args=False).to(device)
            for name in coarse_tasks(tasks)
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
        classified = {n: self._labelled(n, outputs[n], labels[n]) for n in self._classified}
        for key, accuracy in self._accuracy.items():
            given, true = classified[key.rsplit("/", 1)[0]]
            if len(true):
                accuracy.update(given, true)
        for name, matrix in self._confusion.items():
            given, true = classified[name]
            if len(true):
                matrix.update(given.argmax(1), true)
        for kinship in self._kinships.values():
            kinship.add(outputs, labels)

    def result(self, started: float) -> Evaluation:
        parts = {name: self._mean(name, float(total)) for name, total in self._sums.items()}
        scores = {"loss": self._losses.total(parts)}
        scores |= {f"{name}/loss": parts[name] for name in self._tasks}
        for key, accuracy in self._accuracy.items():
            # torchmetrics divides in float32; the number of hits is whole
            number = self._classified[key.rsplit("/", 1)[0]]
            if number:
                scores[key] = round(float(accuracy.compute()) * number) / number
        for name, each in self._statistics.items():
            found = each.scores(self._counts[name].cpu(), self.samples)
            scores |= {f"{name}/{metric}": value for metric, value in found.items()}
        for name, kinship in self._kinships.items():
            scores |= {f"{name}/{metric}": value for metric, value in kinship.scores().items()}
        return Evaluation(
            scores={key: scores[key] for key in of_tasks(self._tasks) if key in scores},
            samples=self.samples,
            kin={name: each.confusion() for name, each in self._kinships.items()},
            confusion={n: matrix.confmat.tolist() for n, matrix in self._confusion.items()},
            seconds=time.perf_counter() - started,
        )

    def _labelled(self, name: str, outputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs and labels of the samples that have a class."""
        if self._tasks[name].partial:
            known = labels >= 0
            outputs, labels = outputs[known], labels[known]
        self._classified[name] += len(labels)
        return outputs, labels

    def _mean(self, name: str, total: float) -> float:
        """Return the mean loss of a task, over samples or over what counts."""
        if name not in self._basis:
            return total / self.samples
        basis = float(self._basis[name])
        return total / basis if basis else total


def _add(sums: dict[str, Tensor], name: str, value: Tensor) -> None:
    sums[name] = sums.get(name, torch.zeros_like(value)) + value
