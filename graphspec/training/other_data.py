"""A run on data that are not its own: another source, another folder, another table.

The topology is the run's, and so is everything that was learned of its data: constants of
normalisation, class weights, the numbers of classes and words. Only the samples are others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphspec import compiler
from graphspec.data import hierarchy, leakage, readings, sources
from graphspec.data.refit import refitted
from graphspec.errors import Code, fail
from graphspec.graph import passes
from graphspec.language.tasks import Task
from graphspec.training import devices, folder, labelled, losses, recorded, setup
from graphspec.training.observer import Observer
from graphspec.training.setup import Setup

if TYPE_CHECKING:
    from graphspec.data.dataset import DataSet
    from graphspec.language.models import Spec

_COMMON = ("normalize", "validation", "test")
"""Keys of the run's ``data:`` that hold for every other source too."""


def prepare(
    run: Path,
    data: str | None,
    root: str | None,
    overrides: Mapping[str, Any],
    device: str | None,
    observer: Observer,
) -> Setup:
    """Bring the model of a run together with other data.

    Args:
        run: The run folder.
        data: Name of the source, or None for that of the run.
        root: Folder with its files.
        overrides: Values of its ``data:`` section by path, such as ``{"data.path": "new.csv"}``.
        device: Device, instead of the recipe's.
        observer: Who is told warnings.

    Raises:
        SpecError: ``bad-option`` for an override that is not of ``data:``; ``data-mismatch`` where
            the data do not fit; those of the data room.
    """
    for path in overrides:
        if not path.startswith("data."):
            message = f"`{path}` is part of the run, and only its data may be others"
            raise fail(Code.BAD_OPTION, message, "set values of `data.`, such as `data.path=FILE`")
    described = recorded.read(run)
    own = compiler.load(run / folder.SPEC)
    asked = _asked(own, described, data, root, overrides)
    assert asked.data is not None
    graph = passes.run(compiler.analyze(setup.portable(own, described)))
    inputs = readings.recorded(described["data"].get("inputs", {}))
    if not inputs:
        observer.warning("the run is of an older version: other data are normalised by their own")
    sections = _sections(own, described)
    found = sources.load(asked.data, own.train.seed, sections)
    for warning in found.warnings:
        observer.warning(setup.words(warning))
    used = {name: reading for name, reading in inputs.items() if name in graph.inputs}
    found = refitted(found, used, described["data"].get("names", {}))
    found = _mapped(found, described["data"].get("parents", {}))
    absent = [name for name in graph.tasks if name not in found.signature.tasks]
    if len(absent) == len(graph.tasks):
        absent = []  # none fits, which is told as a mistake
    for name in absent:
        observer.warning(f"`{found.name}` has no labels of `{name}`, which is not measured")
    tasks = setup.tasks_of(graph, found, own.tasks, absent)
    target = devices.resolve(device or own.train.device)
    weighted = _weighted(own, described)
    smoothing = own.train.label_smoothing
    loss = losses.make(tasks, weighted, found.train.labels, target, smoothing)
    counts = labelled.counts(found, tasks)
    return Setup(own, own.train, asked.data, graph, found, tasks, loss, target, counts)


def _mapped(data: DataSet, parents: Mapping[str, Sequence[int]]) -> DataSet:
    """Return a data set whose classes lie in those of their parents as they did in the run."""
    tasks = hierarchy.mapped(data.signature.tasks, parents)
    for where in ("train", "validation", "test"):
        split = getattr(data, where)
        labels = {name: values.numpy() for name, values in split.labels.items()}
        name = partial(leakage.called, split, word="row" if data.columns else "sample")
        hierarchy.check(tasks, labels, where, official=False, called=name)
    return replace(data, signature=replace(data.signature, tasks=tasks))


def _asked(
    own: Spec,
    described: Mapping[str, Any],
    data: str | None,
    root: str | None,
    overrides: Mapping[str, Any],
) -> Spec:
    """Return the run's spec with the other data."""
    assert own.data is not None
    section = own.data.model_dump(exclude_unset=True)
    source = data or own.data.source
    if source != own.data.source:
        section = {key: value for key, value in section.items() if key in _COMMON}
    known = sources.SOURCES.find(source)
    understood = (known.keys if known is not None else None) or frozenset[str]()
    section |= {"source": source, "augment": "none"}
    section |= {} if root is None else {"root": root}
    section = _as_read(section, described, understood)
    given: dict[str, Any] = {"data": section}
    return compiler.load(compiler.load(own, given), dict(overrides) or None)


def _as_read(
    section: dict[str, Any], described: Mapping[str, Any], understood: frozenset[str]
) -> dict[str, Any]:
    """Return a section that reads pictures and columns as the run did, unless it says otherwise."""
    inputs = readings.recorded(described["data"].get("inputs", {}))
    pictures = [r for r in inputs.values() if r.is_image and r.shape[0] in (1, 3)]
    if pictures and "size" in understood:
        channels, height, width = pictures[0].shape
        section = {"size": [height, width], "channels": channels} | section
    columns = {name: list(r.columns) for name, r in inputs.items() if r.columns}
    if columns and "inputs" in understood:
        section = {"inputs": columns} | section
    return section


def _sections(own: Spec, described: Mapping[str, Any]) -> dict[str, Task]:
    """Return the tasks with the types and classes that they had in the run."""
    stated = described["data"]["signature"]["tasks"]
    found: dict[str, Task] = {}
    for name, values in stated.items():
        section = own.tasks.get(name) or Task()
        found[name] = section
        if section.labels is None:
            update = {k: v for k, v in values.items() if getattr(section, k) is None}
            found[name] = section.model_copy(update=update)
    return found


def _weighted(own: Spec, described: Mapping[str, Any]) -> dict[str, Task]:
    """Return the tasks with the class weights that the run had."""
    weights = described.get("class_weights") or {}
    return {
        name: section.model_copy(update={"class_weights": weights[name]})
        if name in weights
        else section
        for name, section in own.tasks.items()
    }
