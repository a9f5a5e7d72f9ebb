"""What a data set holds: classes and their balance, hierarchy, missing labels, repeated samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from graphspec import compiler
from graphspec.data import hierarchy, leakage, sheet, sources
from graphspec.data.column import Use
from graphspec.data.dataset import Channels, DataSet
from graphspec.data.leakage import Repeats
from graphspec.errors import Code, Diagnostic, Sink, SpecError, fail
from graphspec.language.signature import InputSpec, TaskSpec
from graphspec.training import class_weights

if TYPE_CHECKING:
    from graphspec.language.models import Spec

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class TaskOverview:
    """One task in the data.

    Attributes:
        task: Its name.
        spec: What is predicted.
        counts: For each split how often each class (or label) occurs; empty for a regression.
        missing: For each split how many samples lack the label, or any number of it.
        weights: Balanced weight of each class in the loss (``class_weights: balanced``).
        imbalance: The most frequent class of the training split over the rarest that occurs.
        numbers: For each split of a regression the least, mean, deviation and greatest number.
        parent_names: For each class the name of the class that it lies in, where there is one.
    """

    task: str
    spec: TaskSpec
    counts: dict[str, list[int]]
    missing: dict[str, int]
    weights: list[float]
    imbalance: float | None
    numbers: dict[str, dict[str, float]]
    parent_names: tuple[str, ...] = ()

    @property
    def absent(self) -> list[int]:
        """The classes without a training sample."""
        return [number for number, count in enumerate(self.counts.get("train", ())) if not count]


@dataclass(frozen=True)
class Overview:
    """A data set as a whole.

    Attributes:
        name: Name of the source.
        origin: Folder or file that was read.
        fingerprint: Its fingerprint.
        storage: Where the samples are in a run: in memory, or streamed.
        unit: What samples are called.
        samples: Number of samples by split.
        inputs: What each input is.
        channels: Mean and deviation of the channels of inputs that are images.
        tasks: The tasks.
        columns: How the columns of a table were read, and what for; empty for other sources.
        repeats: Samples that occur more than once, between splits first.
        warnings: What the source warns of.
        sheet: The contact sheet, if one was written.
    """

    name: str
    origin: str
    fingerprint: str
    storage: str
    unit: str
    samples: dict[str, int]
    inputs: dict[str, InputSpec]
    channels: dict[str, Channels]
    tasks: tuple[TaskOverview, ...]
    repeats: tuple[Repeats, ...]
    warnings: tuple[Diagnostic, ...]
    columns: tuple[Use, ...] = ()
    sheet: Path | None = None

    @property
    def leaks(self) -> list[Repeats]:
        """Samples that two splits have in common."""
        return [each for each in self.repeats if each.first != each.second]

    def record(self) -> dict[str, Any]:
        """Return it as plain data."""
        tasks = [
            asdict(task) | {"absent": task.absent, "predicts": task.spec.text}
            for task in self.tasks
        ]
        return {
            "name": self.name,
            "origin": self.origin,
            "fingerprint": self.fingerprint,
            "storage": self.storage,
            "samples": self.samples,
            "inputs": {name: asdict(item) for name, item in self.inputs.items()},
            "channels": {name: each._asdict() for name, each in self.channels.items()},
            "columns": [asdict(each) for each in self.columns],
            "tasks": tasks,
            "repeats": [asdict(each) for each in self.repeats],
            "warnings": [{"code": w.code.value, "message": w.message, "hint": w.hint}
                         for w in self.warnings],
            "sheet": None if self.sheet is None else str(self.sheet),
        }  # fmt: skip


def describe_data(
    spec: Spec | str | Path,
    *,
    data: str | None = None,
    data_root: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    sheet_path: str | Path | None = None,
    watch: Callable[[int, int], None] | None = None,
) -> Overview:
    """Read the data set of a spec and say what it holds.

    Args:
        spec: A spec, its file or the name of a shipped one; its nodes are not looked at.
        data: Name of a data source, instead of the spec's.
        data_root: Folder with the files of the data source.
        overrides: Further values of the spec, e.g. ``{"data.validation": 0.1}``.
        sheet_path: Where to write a contact sheet of augmented pictures, as PNG.
        watch: Told now and then how many pictures in files were read, and of how many.

    Raises:
        SpecError: With the mistakes of the spec; ``missing-key`` where it names no data set; what
            reading the data and writing the sheet raise.

    Example:
        >>> found = describe_data("arch5", data="fashion-mini")
        >>> found.samples["train"], found.tasks[0].task, found.tasks[0].imbalance
        (4800, 'fine', 1.0)
    """
    changes = dict(overrides or {})
    if data is not None:
        changes |= {"data.source": data, "data.root": None}
    if data_root is not None:
        changes["data.root"] = str(data_root)
    loaded = compiler.load(spec, changes)
    if loaded.data is None:
        message = f"`{loaded.name}` names no data set"
        raise fail(Code.MISSING_KEY, message, "add `--data fashion-mini`, or `data:` to the spec")
    sink = Sink()
    sources.check(loaded.data, sink, lambda path: loaded.locate(*path))
    sink.raise_if_errors()
    try:
        found = sources.load(loaded.data, loaded.train.seed, loaded.tasks, watch)
    except SpecError as error:
        raise SpecError(compiler.data_mistakes(loaded, error)) from error
    seen = overview(found)
    if sheet_path is None:
        return seen
    sheet.write(found, loaded.data.augment, Path(sheet_path), loaded.train.seed)
    return replace(seen, sheet=Path(sheet_path))


def overview(data: DataSet) -> Overview:
    """Say what a data set holds.

    Args:
        data: The data set.
    """
    splits = {name: getattr(data, name) for name in SPLITS}
    tasks = (
        replace(
            _task(name, task, {split: part.labels[name] for split, part in splits.items()}),
            parent_names=_parents(task, data.signature.tasks),
        )
        for name, task in data.signature.tasks.items()
        if task.labels is None
    )
    return Overview(
        name=data.name,
        origin=data.origin,
        fingerprint=data.fingerprint,
        storage=data.storage.text,
        unit=data.unit,
        samples={name: len(split) for name, split in splits.items()},
        inputs=dict(data.signature.inputs),
        channels=data.channels,
        tasks=tuple(tasks),
        repeats=tuple(leakage.repeats(data)),
        warnings=data.warnings,
        columns=data.columns,
    )


def _task(name: str, task: TaskSpec, labels: Mapping[str, Tensor]) -> TaskOverview:
    missing = {split: _missing(task, values) for split, values in labels.items()}
    if task.type == "regression":
        numbers = {split: _numbers(values) for split, values in labels.items() if len(values)}
        return TaskOverview(name, task, {}, missing, [], None, numbers)
    counts = {split: class_weights.counts(task, values) for split, values in labels.items()}
    weights = class_weights.resolve("balanced", task, labels["train"]) or []
    occurring = [count for count in counts["train"] if count]
    imbalance = max(occurring) / min(occurring) if occurring else None
    return TaskOverview(name, task, counts, missing, weights, imbalance, {})


def _parents(task: TaskSpec, tasks: Mapping[str, TaskSpec]) -> tuple[str, ...]:
    """Return for each class the name of its class in the coarser task."""
    if task.parent is None:
        return ()
    # a class of which no training sample shows it lies in none that is known
    names = tasks[task.parent].names
    return tuple(
        "" if number == hierarchy.UNKNOWN else names[number] if names else str(number)
        for number in task.parents
    )


def _missing(task: TaskSpec, labels: Tensor) -> int:
    """Return how many samples lack a label, or any part of it."""
    if labels.is_floating_point():
        return int(labels.isnan().flatten(1).any(1).sum())
    if task.type == "segmentation":
        return int((labels.flatten(1) < 0).all(1).sum())
    return int((labels < 0).sum())


def _numbers(labels: Tensor) -> dict[str, float]:
    """Return what the numbers of a regression are like, over all of them."""
    known = labels.double().flatten()
    known = known[~known.isnan()]
    if not len(known):
        return {}
    deviation = torch.sqrt(((known - known.mean()) ** 2).mean())
    names = ("least", "mean", "deviation", "greatest")
    values = (known.min(), known.mean(), deviation, known.max())
    return {name: float(value) for name, value in zip(names, values, strict=True)}
