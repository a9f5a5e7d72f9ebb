"""From a spec to everything a run needs: checked recipe, data, model, optimizer, batches."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from graphspec import compiler
from graphspec.compiler import Checked
from graphspec.data import sources
from graphspec.data.batches import Batches
from graphspec.errors import Code, Diagnostic, fail
from graphspec.graph import passes
from graphspec.language.learning import Names
from graphspec.language.recipe import Data, Train
from graphspec.language.signature import TaskSpec
from graphspec.language.tasks import Task
from graphspec.training import (
    check,
    class_weights,
    devices,
    in_place,
    judging,
    labelled,
    losses,
    measures,
    metric_choice,
    remarks,
)
from graphspec.training.balancing import choice
from graphspec.training.balancing.site import Site
from graphspec.training.distributed.world import ALONE, World
from graphspec.training.losses import Losses
from graphspec.training.observer import Observer

if TYPE_CHECKING:
    from graphspec.data.dataset import DataSet, Split
    from graphspec.graph.ir import Graph
    from graphspec.language.models import Spec

EVALUATION_BATCH = 1000
"""Largest batch of an evaluation, unless the recipe trains with a larger one."""


@dataclass(frozen=True)
class Setup:
    """What a run is made of.

    Attributes:
        spec: The spec, with all overrides.
        recipe: Its recipe, with metrics of an empty validation split replaced by the train split's.
        section: Its data section.
        graph: Its graph.
        data: The data set.
        tasks: The tasks that have a head.
        losses: The loss.
        device: The device.
        labelled: For each task how many samples of each split have a label.
    """

    spec: Spec
    recipe: Train
    section: Data
    graph: Graph
    data: DataSet
    tasks: dict[str, TaskSpec]
    losses: Losses
    device: torch.device
    labelled: dict[str, dict[str, int]]

    def model(self) -> nn.Module:
        """Build the model with its initial weights, on the device and in its memory order."""
        model: nn.Module = compiler.compile(self.graph, seed=self.recipe.seed)
        if self.recipe.channels_last:
            channels_last(model)
        if self.recipe.in_place:
            in_place.overwrite(model)
        return model.to(self.device)

    def site(self, model: nn.Module, world: World = ALONE) -> Site:
        """Return what a balancer of a model that `model` gave is made for."""
        weights, seed = self.losses.weights, self.recipe.seed
        return Site(self.graph, model, self.tasks, weights, self.device, seed, world)

    def batches(self, split: str, learning: bool = False) -> Batches | None:
        """Return the batches of a split.

        Args:
            split: ``train``, ``validation`` or ``test``.
            learning: Whether they are shuffled and augmented as the recipe says; otherwise they
                come in order, as they are, and in larger batches.

        Returns:
            None where the split is empty.
        """
        part: Split = getattr(self.data, split)
        if not len(part):
            return None
        size = self.recipe.batch_size
        return Batches(
            part,
            self.data,
            batch_size=size if learning else max(size, min(4 * size, EVALUATION_BATCH)),
            augment=self.section.augment if learning else "none",
            normalize=self.section.normalize,
            shuffle=learning,
            seed=self.recipe.seed,
            device=self.device,
            channels_last=self.recipe.channels_last,
            inputs=tuple(self.graph.inputs),
        )


def portable(spec: Spec, environment: Mapping[str, Any]) -> Spec:
    """Return the spec of a run so that it compiles where its data are not.

    Args:
        spec: The spec of the run.
        environment: What ``environment.json`` of the run holds.
    """
    source = None if spec.data is None else sources.SOURCES.find(spec.data.source)
    if source is None or source.configure is None:
        return spec  # what the source offers is known without its files
    stated = environment["data"]["signature"]
    return compiler.load(spec, {"data": None, "inputs": stated["inputs"], "tasks": stated["tasks"]})


def load(spec: Spec | str | Path, overrides: Mapping[str, Any], observer: Observer) -> Checked:
    """Load a spec and check it, its recipe included; warnings go to the observer.

    Raises:
        SpecError: With every mistake of the spec and the recipe.
    """
    checked = check.checked(spec, overrides)
    for warning in checked.warnings:
        observer.warning(words(warning))
    return checked


def prepare(checked: Checked, observer: Observer) -> Setup:
    """Read the data and bring it together with the spec.

    Raises:
        SpecError: ``missing-key`` where no data set is named, ``data-mismatch`` where it does not
            offer what the topology reads and predicts, ``bad-device``, and those of the data room.
    """
    spec, graph = checked.spec, passes.run(checked.graph)  # without inputs that nobody reads
    if spec.data is None:
        message = f"`{spec.name}` names no data set to train on"
        raise fail(Code.MISSING_KEY, message, "add `--data fashion-mini`, or `data:` to the spec")
    device = devices.resolve(spec.train.device)
    reading = getattr(observer, "reading", None)  # which not every observer has
    data = sources.load(spec.data, spec.train.seed, spec.tasks, reading)
    for warning in data.warnings:
        observer.warning(words(warning))
    tasks = tasks_of(graph, data, spec.tasks)
    labels = labelled.counts(data, tasks)
    labelled.check(labels, data.name)
    labelled.check_hierarchies(tasks, data.name)
    loss = losses.make(tasks, spec.tasks, data.train.labels, device, spec.train.label_smoothing)
    if not any(loss.weights.values()):
        message = "every task has the loss weight 0, so there is nothing to learn"
        raise fail(Code.BAD_VALUE, message, "give a task a `weight` above 0")
    _remark(spec, data, tasks, observer)
    told = choice.remark(spec.train.balance, graph, loss.weights)
    if told is not None:
        observer.warning(told)
    for told in remarks.of_recipe(spec.train, -(-len(data.train) // spec.train.batch_size)):
        observer.warning(told)
    recipe = spec.train if len(data.validation) else _steerable(spec.train, tasks, observer)
    labelled.check_measurable(recipe, labels, data.name)
    return Setup(spec, recipe, spec.data, graph, data, tasks, loss, device, labels)


def tasks_of(
    graph: Graph, data: DataSet, sections: Mapping[str, Task], skipped: Collection[str] = ()
) -> dict[str, TaskSpec]:
    """Return the tasks with a head as the data set describes them, with their chosen metrics.

    Args:
        graph: The topology.
        data: The data set.
        sections: The spec's ``tasks:``.
        skipped: Tasks that are not asked for.

    Raises:
        SpecError: ``data-mismatch`` where it does not offer what is read and predicted.
    """
    offered = data.signature
    for name in graph.inputs:
        if name not in offered.inputs:
            known = ", ".join(f"`{n}`" for n in offered.inputs)
            message = f"the topology reads the input `{name}`, which `{data.name}` does not offer"
            raise fail(Code.DATA_MISMATCH, message, f"inputs of `{data.name}`: {known}")
    wanted = {name: task for name, task in graph.tasks.items() if name not in skipped}
    for name, task in wanted.items():
        found = offered.tasks.get(name)
        if found is None:
            known = ", ".join(f"`{n}`" for n in offered.tasks)
            message = f"the topology predicts `{name}`, for which `{data.name}` has no labels"
            raise fail(Code.DATA_MISMATCH, message, f"tasks of `{data.name}`: {known}")
        if (found.type, found.text) != (task.type, task.text):
            message = (
                f"the task `{name}` has {task.text} in the topology and {found.text} in "
                f"`{data.name}`"
            )
            raise fail(Code.DATA_MISMATCH, message, "state what the data have, or leave it out")
    return metric_choice.chosen({name: offered.tasks[name] for name in wanted}, sections)


def _remark(spec: Spec, data: DataSet, tasks: Mapping[str, TaskSpec], observer: Observer) -> None:
    """Tell what is allowed, but probably not meant."""
    assert spec.data is not None
    if spec.data.augment != "none" and not data.channels:
        observer.warning(f"`augment: {spec.data.augment}` changes nothing: no input is an image")
    for name, task in tasks.items():
        if name not in spec.tasks or spec.tasks[name].class_weights != "balanced":
            continue
        counted = class_weights.counts(task, data.train.labels[name])
        absent = [str(number) for number, count in enumerate(counted) if not count]
        if absent:
            observer.warning(
                f"`{name}` has no training sample of the class {', '.join(absent[:5])}"
                f"{', ...' if len(absent) > 5 else ''}: its balanced weight is 1"
            )


def channels_last(model: nn.Module) -> None:
    """Lay weights of two-dimensional convolutions out channels-last; `Module.to` refuses others."""
    for each in (*model.parameters(), *model.buffers()):
        if each.dim() == 4:
            each.data = each.data.to(memory_format=torch.channels_last)


def _steerable(recipe: Train, tasks: Mapping[str, TaskSpec], observer: Observer) -> Train:
    """Return the recipe for an empty validation split: judged by metrics of the train split.

    Raises:
        SpecError: ``data-mismatch`` for a metric that the train split does not have.
    """
    changes: dict[str, Any] = {}
    used: list[Names] = []
    best = judging.on_train(recipe.best)
    if best != recipe.best:
        changes["best"] = best
        used.append(best)
    for key, part in (("early_stopping", recipe.early_stopping), ("schedule", recipe.schedule)):
        if part is None or part.metric is None:
            continue
        metric = judging.on_train(part.metric)
        if metric != part.metric:
            changes[key] = part.model_copy(update={"metric": metric})
            used.append(metric)
    if used:
        words = " and ".join(f"`{name}`" for name in judging.texts(used[0]))
        observer.warning(f"the validation split is empty: the run is judged by {words} instead")
    made = recipe.model_copy(update=changes)
    known = measures.of_tasks(tasks, "train")
    for key, metric in judging.metrics_of(made):
        if metric.removeprefix("train/") not in known:
            message = f"`{key}` needs a validation split, and it is empty: while the model learns "
            message += f"there is no `{metric.removeprefix('train/')}`"
            raise fail(Code.DATA_MISMATCH, message, "hold samples out with `data.validation`")
    return made


def words(warning: Diagnostic) -> str:
    """Return a warning in one line, with its place."""
    place = f"{warning.location}: " if warning.span else ""
    return f"{place}{warning.message}" + (f" ({warning.hint})" if warning.hint else "")
