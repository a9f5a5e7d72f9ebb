"""What can be wrong with a recipe, found when a spec is loaded rather than after an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from graphspec import compiler
from graphspec.compiler import Checked, Overrides
from graphspec.errors import Code, Sink, Span
from graphspec.language import labels
from graphspec.language.recipe import Train
from graphspec.language.signature import TaskSpec, TaskType
from graphspec.training import (
    devices,
    groups,
    judging,
    loggers,
    losses,
    metric_choice,
    optimizers,
    schedules,
)
from graphspec.training.balancing import choice as balancing
from graphspec.training.optimizers import Spans

if TYPE_CHECKING:
    from graphspec.graph.ir import Graph
    from graphspec.language.models import Spec


def check(
    train: Train,
    tasks: Mapping[str, TaskSpec] | None,
    sink: Sink,
    span: Spans,
    graph: Graph | None = None,
) -> None:
    """Report the mistakes of a ``train:`` section that its model cannot see.

    Nothing depends on this machine: a spec for CUDA is valid on a laptop.

    Args:
        train: The recipe.
        tasks: The tasks that are predicted, or None where they are not known; then names of metrics
            are not looked at.
        sink: Where mistakes go: ``bad-value``, ``unknown-argument``, ``missing-argument``,
            ``bad-argument``, ``unknown-node``, ``bad-expression``, ``bad-device``,
            ``missing-package``.
        span: Where a path of the spec stands, e.g. ``("train", "optimizer", "betas")``.
        graph: The typed graph, or None where it is not known; then patterns of nodes are not
            looked at.
    """
    optimizers.check(train, sink, span)
    schedules.check(train, sink, span)
    groups.check(train, graph, sink, span)
    loggers.check(train.loggers, sink, span)
    tasks = graph.tasks if tasks is None and graph is not None else tasks
    if tasks is not None:
        judging.check(train, tasks, sink, span)
    if devices.kind(train.device) is None:
        message = f"`device: {train.device}` is no device"
        hint = "write `auto`, `cpu`, `cuda`, `cuda:1` or `mps`"
        sink.error(Code.BAD_DEVICE, span(("train", "device")), message, hint)


def checked(
    source: str | Path | Spec, overrides: Overrides = None, memory_limit: str | int | None = None
) -> Checked:
    """Check a spec with its recipe, so that one report has the mistakes of both.

    Args:
        source: See `graphspec.compiler.check`, as for the others.
        overrides: Values from outside the file.
        memory_limit: Bytes, or a text such as ``16GiB``.

    Raises:
        SpecError: With every mistake.
    """
    return compiler.check(source, overrides, memory_limit, also=[check_recipe])


def check_recipe(spec: Spec, graph: Graph | None, sink: Sink) -> None:
    """Report the mistakes in a spec's recipe, each at its place in the spec's files.

    It is one of the checks that `graphspec.compiler.check` runs also.

    Args:
        spec: The spec.
        graph: Its graph, or None where that has mistakes.
        sink: Where mistakes go: see `check`.
    """
    tasks = None if graph is None else metric_choice.chosen(graph.tasks, spec.tasks)

    def span(path: tuple[str | int, ...], key: bool = False) -> Span | None:
        return spec.locate(*path, key=key)

    check(spec.train, tasks, sink, span, graph)
    balancing.check(spec.train.balance, graph, sink, span)
    kinds, classes = _kinds(spec, graph), _classes(spec, graph)
    losses.check(spec.tasks, kinds, classes, sink, span)
    metric_choice.check(spec.tasks, kinds, classes, sink, span)
    if tasks is not None:
        losses.check_smoothing(spec.train, tasks, spec.tasks, sink, span)
        _check_augmentation(spec, tasks, sink)


def _kinds(spec: Spec, graph: Graph | None) -> dict[str, TaskType]:
    """Return the types of the tasks as far as they are known."""
    kinds: dict[str, TaskType] = {n: t.type for n, t in spec.tasks.items() if t.type is not None}
    if spec.data is None:
        own = {name: labels.path(name, spec.tasks)[-1] for name in spec.tasks}
        kinds = {name: kinds.get(each, "classification") for name, each in own.items()}
    return kinds | ({} if graph is None else {n: task.type for n, task in graph.tasks.items()})


def _classes(spec: Spec, graph: Graph | None) -> dict[str, int]:
    """Return the numbers of classes as far as they are known."""
    found = {n: t.classes for n, t in spec.tasks.items() if t.classes is not None}
    return found | ({} if graph is None else {n: task.classes for n, task in graph.tasks.items()})


def _check_augmentation(spec: Spec, tasks: Mapping[str, TaskSpec], sink: Sink) -> None:
    """Report images that would move while the positions of their targets stay."""
    if spec.data is None or spec.data.augment == "none":
        return
    for name, task in tasks.items():
        placed = task.type == "segmentation" or len(task.shape) > 1
        if placed:
            sink.error(
                Code.BAD_VALUE,
                spec.locate("data", "augment"),
                f"`augment: {spec.data.augment}` moves images, but not the targets of `{name}`, "
                "which have positions",
                "write `augment: none`",
            )
