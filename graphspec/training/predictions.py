"""What a model says of samples, in the words of its tasks: classes, labels, numbers, maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphspec.language.signature import TaskSpec
from graphspec.training.measures import percent

GIVEN = 0.5
"""Probability above which a label counts as given, as in the metrics."""


@dataclass(frozen=True)
class Ranked:
    """A class or label with its probability.

    Attributes:
        name: Its name, or its number where the data have no names.
        index: Its number, from 0.
        probability: From 0 to 1.
    """

    name: str
    index: int
    probability: float

    def plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"name": self.name, "index": self.index, "probability": self.probability}


@dataclass(frozen=True)
class Classes:
    """Of a classification: the classes that are most probable, the first first."""

    ranking: tuple[Ranked, ...]

    @property
    def name(self) -> str:
        """The most probable class."""
        return self.ranking[0].name

    @property
    def probability(self) -> float:
        """Its probability."""
        return self.ranking[0].probability

    def plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {**self.ranking[0].plain(), "top": [each.plain() for each in self.ranking]}

    def text(self) -> str:
        """Return it in words."""
        return ", ".join(f"{each.name} {percent(each.probability)}" for each in self.ranking)


@dataclass(frozen=True)
class Labels:
    """Of a multi-label task: every label with its probability, in the order of the data."""

    labels: tuple[Ranked, ...]

    @property
    def given(self) -> tuple[Ranked, ...]:
        """The labels with a probability above one half, the most probable first."""
        above = (each for each in self.labels if each.probability > GIVEN)
        return tuple(sorted(above, key=lambda each: -each.probability))

    @property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(each.name for each in self.given)

    def plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        probabilities = {each.name: each.probability for each in self.labels}
        return {"names": list(self.names), "probabilities": probabilities}

    def text(self) -> str:
        """Return it in words."""
        return (
            ", ".join(f"{each.name} {percent(each.probability)}" for each in self.given) or "none"
        )


@dataclass(frozen=True)
class Numbers:
    """Of a regression: the numbers, and the shape that they have."""

    values: tuple[float, ...]
    shape: tuple[int, ...]

    @property
    def value(self) -> float:
        """The first number, which is often the only one."""
        return self.values[0]

    def plain(self) -> dict[str, Any]:
        """Return it as plain data, nested as the shape says."""
        nested = np.array(self.values).reshape(self.shape).tolist()
        return {"value": nested[0] if self.shape == (1,) else nested}

    def text(self) -> str:
        """Return it in words."""
        shown = ", ".join(f"{value:.5g}" for value in self.values[:6])
        return shown + (", ..." if len(self.values) > 6 else "")


@dataclass(frozen=True, eq=False)
class Map:
    """Of a segmentation: the class of every position, and the share of positions of each class."""

    classes: NDArray[Any]
    names: tuple[str, ...]

    @property
    def shares(self) -> dict[str, float]:
        """Part of the positions of each class that occurs, the most frequent first."""
        counts = np.bincount(self.classes.ravel(), minlength=len(self.names))
        order = np.argsort(-counts, kind="stable")
        whole = self.classes.size
        return {self.names[i]: float(counts[i] / whole) for i in order if counts[i]}

    def plain(self) -> dict[str, Any]:
        """Return it as plain data; the map itself is not part of that."""
        return {"shares": self.shares, "size": list(self.classes.shape)}

    def text(self) -> str:
        """Return it in words."""
        shown = [f"{name} {percent(share)}" for name, share in self.shares.items()]
        return ", ".join(shown[:5]) + (", ..." if len(shown) > 5 else "")


Answer = Classes | Labels | Numbers | Map


@dataclass(frozen=True)
class Prediction:
    """What a model says of one sample.

    Attributes:
        sample: What the sample is called: its file, or its place in one.
        tasks: The answers by task; none where the sample cannot be read.
        problem: Why it cannot be read, or nothing.
    """

    sample: str
    tasks: Mapping[str, Answer] = field(default_factory=dict)
    problem: str = ""

    def __getitem__(self, task: str) -> Answer:
        """Return the answer of a task."""
        return self.tasks[task]

    def plain(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        found: dict[str, Any] = {"sample": self.sample}
        if self.problem:
            return found | {"problem": self.problem}
        return found | {"tasks": {name: each.plain() for name, each in self.tasks.items()}}


def read(outputs: Tensor, task: TaskSpec, top: int) -> list[Answer]:
    """Return what the outputs of a head say, sample by sample.

    Args:
        outputs: Of shape ``(N, ...)`` as a head of the task's type gives them.
        task: The task.
        top: How many classes of a classification, at most.
    """
    values = outputs.detach().float().cpu()
    names = task.names or tuple(map(str, range(task.classes)))
    found: Sequence[Answer]
    if task.type == "classification":
        best = values.softmax(1).topk(min(top, task.classes), dim=1)
        rows = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        found = [Classes(_ranked(names, *row)) for row in rows]
    elif task.type == "multilabel":
        numbers = list(range(task.classes))
        found = [Labels(_ranked(names, numbers, row)) for row in values.sigmoid().tolist()]
    elif task.type == "regression":
        found = [Numbers(tuple(row), task.shape) for row in values.flatten(1).tolist()]
    else:
        kind = torch.uint8 if task.classes <= 256 else torch.int32
        found = [Map(each, names) for each in values.argmax(1).to(kind).numpy()]
    return list(found)


def _ranked(
    names: Sequence[str], numbers: Sequence[int], values: Sequence[float]
) -> tuple[Ranked, ...]:
    pairs = zip(numbers, values, strict=True)
    return tuple(Ranked(names[number], number, value) for number, value in pairs)
