"""What a comparison is made of: metrics, cells with verdicts, variants, and the whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

from graphspec.study.pooled import Pooled
from graphspec.study.result import Result
from graphspec.study.statistics import Interval, Paired, Spread
from graphspec.training import measures
from graphspec.training.measures import Measure

TASKS = "tasks"
"""The family of the main metrics of all tasks."""

CONSISTENCY = "consistency"
"""The family of, and the metric that says, how often a prediction lies in the predicted parent."""

DELTA_P = "delta_p"
"""The family and the key of the mean relative improvement over all tasks."""


class Verdict(str, Enum):
    """What can be said of a difference from the baseline."""

    BETTER = "better"
    WORSE = "worse"
    UNCLEAR = "not told apart"
    UNTESTED = "not tested"
    BASELINE = "baseline"


@dataclass(frozen=True)
class Metric:
    """A column: a metric of a task, or Delta-p.

    Attributes:
        key: ``fine/top1``, or ``delta_p``.
        task: The task; empty for Delta-p.
        name: Its name in the vocabulary of metrics.
        family: The family of comparisons that it is tested in: `TASKS` for the main metric of each
            task, `CONSISTENCY`, `DELTA_P`; None for a metric that only describes.
    """

    key: str
    task: str
    name: str
    family: str | None = None

    @property
    def is_main(self) -> bool:
        """Whether it is the main metric of its task."""
        return self.family == TASKS

    @property
    def measure(self) -> Measure:
        """What it is: its words, and which way is better."""
        if self.key == DELTA_P:
            words = "mean relative improvement over the baseline"
            return Measure("Δp", words, is_part=False, running=False)
        return measures.measure(self.name)

    @property
    def title(self) -> str:
        """Its heading: ``fine top-1``."""
        return f"{self.task} {self.measure.title}".strip()

    @property
    def of_hierarchy(self) -> bool:
        """Whether it compares a task with its parent."""
        return self.measure.of_hierarchy


@dataclass(frozen=True)
class Cell:
    """A metric of a variant.

    Attributes:
        variant: The variant.
        metric: The metric.
        values: Its value by seed.
        spread: Mean and deviation over the seeds.
        paired: The differences from the baseline; None for the baseline and without a common seed.
        p: Of the paired t test after Holm's correction; None where it is not tested.
        interval: The interval of the difference at the level at which Holm's correction tested it;
            that of a metric that is not tested is the plain one of 95 %.
        verdict: What can be said.
        pooled: The difference with the spread of all variants together, another opinion; None where
            there is none.
        p_pooled: Its p after Holm's correction.
    """

    variant: str
    metric: Metric
    values: Mapping[int, float]
    spread: Spread
    paired: Paired | None = None
    p: float | None = None
    interval: Interval | None = None
    verdict: Verdict = Verdict.UNTESTED
    pooled: Pooled | None = None
    p_pooled: float | None = None

    @property
    def difference(self) -> float | None:
        """The mean difference from the baseline, or None."""
        return None if self.paired is None else self.paired.mean


@dataclass(frozen=True)
class Variant:
    """What several runs have in common but for the seed.

    Attributes:
        name: Its name.
        results: Its runs by seed.
    """

    name: str
    results: Mapping[int, Result]

    @property
    def first(self) -> Result:
        """The run of the least seed, for what all of them have in common."""
        return self.results[min(self.results)]

    @property
    def parameters(self) -> int:
        """Trainable parameters."""
        return int(self.first.summary["parameters"])

    @property
    def seconds(self) -> float:
        """Mean time of training of its runs."""
        times = [float(result.summary["seconds"]) for result in self.results.values()]
        return sum(times) / len(times)

    @property
    def epochs(self) -> float:
        """Mean number of epochs of its runs."""
        counts = [int(result.summary["epochs"]) for result in self.results.values()]
        return sum(counts) / len(counts)


@dataclass(frozen=True)
class Comparison:
    """Variants, their metrics, and what differs from the baseline.

    Attributes:
        variants: The variants, the baseline wherever it stands among them.
        baseline: The name of the one that the others are compared with.
        split: What the metrics are of: ``test``, or ``validation`` where a run has no test.
        data: Name and fingerprint of the data.
        metrics: The metrics that any variant has, those of one task together, Delta-p last.
        cells: The cells by variant and metric.
        families: How many comparisons Holm's correction counted, by family.
        remarks: What the reader should know: runs left out, pairs that are missing.
    """

    variants: tuple[Variant, ...]
    baseline: str
    split: str
    data: tuple[str, str]
    metrics: tuple[Metric, ...]
    cells: Mapping[tuple[str, str], Cell]
    families: Mapping[str, int]
    remarks: tuple[str, ...] = ()

    @property
    def main(self) -> list[Metric]:
        """The main metric of each task."""
        return [metric for metric in self.metrics if metric.is_main]

    @property
    def tested(self) -> list[Metric]:
        """The metrics that differences are tested in: main ones, consistency, Delta-p."""
        return [
            metric
            for family in (TASKS, CONSISTENCY, DELTA_P)
            for metric in self.metrics
            if metric.family == family
        ]

    @property
    def delta(self) -> Metric | None:
        """Delta-p, or None where it cannot be computed of any variant."""
        return next((metric for metric in self.metrics if metric.key == DELTA_P), None)

    @property
    def others(self) -> list[Variant]:
        """All variants but the baseline."""
        return [variant for variant in self.variants if variant.name != self.baseline]

    @cached_property
    def seeds(self) -> list[int]:
        """The seeds of all variants."""
        return sorted({seed for variant in self.variants for seed in variant.results})

    def variant(self, name: str) -> Variant:
        """Return a variant by its name."""
        return next(variant for variant in self.variants if variant.name == name)

    def record(self) -> dict[str, Any]:
        """Return the comparison as plain data: sentences, and every cell."""
        from graphspec.study import answer, spreadsheet

        return {
            "baseline": self.baseline,
            "data": {"name": self.data[0], "fingerprint": self.data[1]},
            "split": self.split,
            "headline": answer.headline(self),
            "answer": {each.heading: list(each.sentences) for each in answer.paragraphs(self)},
            "variants": {
                variant.name: {
                    "parameters": variant.parameters,
                    "seconds": variant.seconds,
                    "runs": {str(s): str(r.entry.folder) for s, r in variant.results.items()},
                }
                for variant in self.variants
            },
            "comparisons": dict(self.families),
            "cells": [spreadsheet.record(self, cell) for cell in self.cells.values()],
            "remarks": list(self.remarks),
        }

    def cell(self, variant: str, key: str) -> Cell | None:
        """Return a metric of a variant, or None where it has not got it."""
        return self.cells.get((variant, key))
