"""The loss of a multi-task model: one loss per task, and how they are weighted for the records.

How they become gradients is a balancer's business (`graphspec.training.balancing`).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from graphspec.errors import Code, Sink, did_you_mean
from graphspec.language.recipe import Train
from graphspec.language.signature import TaskSpec, TaskType
from graphspec.language.tasks import Task
from graphspec.training import class_weights
from graphspec.training.objectives import LOSSES, CrossEntropy, Loss, Objective, Options, suited
from graphspec.training.optimizers import Spans


class Losses:
    """The loss of every task, and their weighted sum as a number.

    Attributes:
        weights: The factor of each task's loss in the sum.
        class_weights: For each task that has them the factors of its classes.
    """

    def __init__(
        self,
        weights: Mapping[str, float],
        objectives: Mapping[str, Objective] | None = None,
        class_weights: Mapping[str, list[float]] | None = None,
    ) -> None:
        """Join losses; a task without one of its own has the plain cross-entropy."""
        own = objectives or {}
        self.weights = dict(weights)
        self.class_weights = dict(class_weights or {})
        self._objectives = {t: own.get(t) or CrossEntropy(Options()) for t in self.weights}

    def __call__(
        self, outputs: Mapping[str, Tensor], labels: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Compute the losses of one batch.

        Args:
            outputs: What the model gives by task, each of shape ``(N, ...)``.
            labels: The targets by task.

        Returns:
            The loss of each task, a scalar with its graph, before weighting.
        """
        return {
            task: objective(outputs[task], labels[task])
            for task, objective in self._objectives.items()
        }

    def basis(self, task: str, labels: Tensor) -> Tensor | None:
        """Return over how much a task's loss of a batch is the mean; None: over its samples."""
        return self._objectives[task].basis(labels)

    def total(self, parts: Mapping[str, float]) -> float:
        """Return the weighted sum of losses that are numbers already."""
        return sum(weight * parts[task] for task, weight in self.weights.items())


def make(
    tasks: Mapping[str, TaskSpec],
    sections: Mapping[str, Task],
    labels: Mapping[str, Tensor],
    device: torch.device,
    smoothing: float = 0.0,
) -> Losses:
    """Make the loss of a run.

    Args:
        tasks: The tasks that the model predicts.
        sections: What the spec says of them.
        labels: The targets of the training split by task, from which balanced weights follow.
        device: Where the losses are computed.
        smoothing: The recipe's label smoothing, for tasks that state none.
    """
    factors: dict[str, float] = {}
    objectives: dict[str, Objective] = {}
    recorded: dict[str, list[float]] = {}
    for name, task in tasks.items():
        section = sections.get(name) or Task()
        factors[name] = section.weight
        own = class_weights.resolve(section.class_weights, task, labels[name])
        if own is not None:
            recorded[name] = own
        stated = section.label_smoothing
        options = Options(
            None if own is None else torch.tensor(own, device=device),
            smoothing if stated is None else stated,
            task.ignore_index,
            task.partial,
        )
        loss = LOSSES.get(section.loss or suited(task.type)[0])
        objectives[name] = loss.make(options)
    return Losses(factors, objectives, recorded)


def check(
    sections: Mapping[str, Task],
    kinds: Mapping[str, TaskType],
    classes: Mapping[str, int],
    sink: Sink,
    span: Spans,
) -> None:
    """Report what a ``tasks:`` section says of losses that cannot be.

    Args:
        sections: The section.
        kinds: The type of each task, where it is known.
        classes: The number of classes of each task, where it is known.
        sink: Where ``bad-value`` goes.
        span: Where a path of the spec stands.
    """
    for name, task in sections.items():
        if name not in kinds:
            continue
        loss = _loss(name, task, kinds[name], sink, span)
        if loss is None:
            continue
        stated = {"class_weights": task.class_weights, "label_smoothing": task.label_smoothing}
        wrong = [key for key, value in stated.items() if value and key not in loss.takes]
        for key in wrong:
            message = f"`{key}` is not for a {kinds[name]} task such as `{name}`"
            sink.error(Code.BAD_VALUE, span(("tasks", name, key)), message, "leave it out")
        if isinstance(task.class_weights, list) and "class_weights" not in wrong:
            _check_weights(name, task.class_weights, classes.get(name), sink, span)


def check_smoothing(
    train: Train,
    tasks: Mapping[str, TaskSpec],
    sections: Mapping[str, Task],
    sink: Sink,
    span: Spans,
) -> None:
    """Report a ``train.label_smoothing`` that no task has a use for.

    Args:
        train: The recipe.
        tasks: The tasks that are predicted.
        sections: The ``tasks:`` section.
        sink: Where ``bad-value`` goes.
        span: Where a path of the spec stands.
    """
    if not train.label_smoothing:
        return
    asked = {name: (sections.get(name) or Task()).loss for name in tasks}
    found = [LOSSES.find(asked[name] or suited(task.type)[0]) for name, task in tasks.items()]
    if any(loss is None or "label_smoothing" in loss.takes for loss in found):
        return
    kinds = " and ".join(dict.fromkeys(f"{task.type}" for task in tasks.values()))
    message = f"`label_smoothing` is for tasks with a cross-entropy, and here is only {kinds}"
    sink.error(Code.BAD_VALUE, span(("train", "label_smoothing")), message, "leave it out")


def _loss(name: str, task: Task, kind: TaskType, sink: Sink, span: Spans) -> Loss | None:
    """Return the loss of a task, or None where it names one that it cannot have (reported)."""
    fitting = suited(kind)
    asked = task.loss or fitting[0]
    place = span(("tasks", name, "loss"))
    if asked not in LOSSES:
        hint = did_you_mean(asked, fitting, f"losses of a {kind} task")
        sink.error(Code.BAD_VALUE, place, f"there is no loss `{asked}`", hint)
        return None
    if asked not in fitting:
        message = f"`loss: {asked}` is not for a {kind} task such as `{name}`"
        known = ", ".join(fitting)
        sink.error(Code.BAD_VALUE, place, message, f"losses of a {kind} task: {known}")
        return None
    return LOSSES.get(asked)


def _check_weights(
    name: str, weights: list[float], classes: int | None, sink: Sink, span: Spans
) -> None:
    place = span(("tasks", name, "class_weights"))
    if classes is not None and len(weights) != classes:
        message = f"`class_weights` of `{name}` has {len(weights)} numbers for {classes} classes"
        sink.error(Code.BAD_VALUE, place, message, "give one for each class, or write `balanced`")
    elif not any(weights):
        message = f"all `class_weights` of `{name}` are 0, so there is nothing to learn"
        sink.error(Code.BAD_VALUE, place, message, "give a class a weight above 0")
