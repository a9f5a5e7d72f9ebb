"""Variants against a baseline: every metric of every variant, with how sure the difference is.

`compare` reads finished runs and gives a `Comparison`, which `graphspec.study.answer` puts into
words and `graphspec.study.report` writes down. docs/comparing.md explains what is decided here:
which comparisons are a family, and that intervals and verdicts agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from typing import Any

from graphspec.errors import Code, Diagnostic, Severity, SpecError, did_you_mean, fail
from graphspec.study import statistics
from graphspec.study.result import Entry, Result, read
from graphspec.study.statistics import LEVEL, Interval, Paired, Spread
from graphspec.training import measures
from graphspec.training.measures import Measure

__all__ = ["Cell", "Comparison", "Entry", "Metric", "Variant", "Verdict", "compare"]

DELTA_P = "delta_p"
"""The key of the mean relative improvement over all tasks."""


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
        is_main: Whether it is the task's main metric, by which the comparison is decided; Delta-p
            is one too.
    """

    key: str
    task: str
    name: str
    is_main: bool

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
    """

    variant: str
    metric: Metric
    values: Mapping[int, float]
    spread: Spread
    paired: Paired | None = None
    p: float | None = None
    interval: Interval | None = None
    verdict: Verdict = Verdict.UNTESTED

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
        families: For the tasks' main metrics (``""``) and for Delta-p how many comparisons Holm's
            correction counted.
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
        return [metric for metric in self.metrics if metric.is_main and metric.task]

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
            "comparisons": self.families[""],
            "cells": [spreadsheet.record(self, cell) for cell in self.cells.values()],
            "remarks": list(self.remarks),
        }

    def cell(self, variant: str, key: str) -> Cell | None:
        """Return a metric of a variant, or None where it has not got it."""
        return self.cells.get((variant, key))


def compare(
    entries: Sequence[Entry], baseline: str | None = None, remarks: Sequence[str] = ()
) -> Comparison:
    """Compare finished runs with those of a baseline, paired by seed.

    Args:
        entries: The runs, in the order in which their variants are to stand.
        baseline: The variant that the others are compared with; None for the first.
        remarks: What is known of the runs already and belongs into a report.

    Raises:
        SpecError: ``not-a-run`` if there is none, or one is unfinished or damaged; ``run-mismatch``
            if they are of different data or tasks; ``bad-option`` if no variant has the name of
            `baseline`.
    """
    if not entries:
        message = "there are no finished runs to compare"
        raise fail(Code.NOT_A_RUN, message, "`graphspec runs` lists runs and their state")
    results = _read(entries)
    _check_alike(results)
    variants = tuple(
        Variant(name, {r.entry.seed: r for r in results if r.entry.variant == name})
        for name in dict.fromkeys(entry.variant for entry in entries)
    )
    chosen = _baseline(baseline, [variant.name for variant in variants])
    split = next((s for s in ("test", "validation") if all(s in r.splits for r in results)), "")
    if not split:
        message = "no split is measured in all of the runs"
        raise fail(Code.RUN_MISMATCH, message, "compare runs with a validation or a test split")
    told = [*remarks, *_remarks(variants, chosen, split)]
    metrics = _metrics(results, split)
    cells = {
        (cell.variant, cell.metric.key): cell
        for metric in metrics
        for cell in _cells(variants, metric, split, chosen)
    }
    delta = Metric(DELTA_P, "", DELTA_P, is_main=True)
    improved = _improvements(variants, metrics, cells, chosen, delta)
    if improved:
        metrics.append(delta)
        cells |= {(cell.variant, DELTA_P): cell for cell in improved}
    tested = [c for c in cells.values() if c.metric.is_main and c.metric.task]
    families = {}
    for name, family in (("", tested), (DELTA_P, improved)):
        judged = _judged(family)
        families[name] = sum(cell.p is not None for cell in judged)
        cells |= {(cell.variant, cell.metric.key): cell for cell in judged}
    data = results[0].data
    return Comparison(variants, chosen, split, data, tuple(metrics), cells, families, tuple(told))


def _read(entries: Iterable[Entry]) -> list[Result]:
    """Read all runs.

    Raises:
        SpecError: With what is wrong with each; ``run-mismatch`` where two are the same.
    """
    found: dict[tuple[str, int], Result] = {}
    wrong: list[Diagnostic] = []
    for entry in entries:
        key = (entry.variant, entry.seed)
        if key in found:
            other = found[key].entry.folder
            message = f"`{other}` and `{entry.folder}` are both `{entry.variant}`, seed {key[1]}"
            hint = "name one of them, or give what differs a name of its own"
            wrong.append(Diagnostic(Code.RUN_MISMATCH, Severity.ERROR, None, message, hint))
            continue
        try:
            found[key] = read(entry)
        except SpecError as error:
            wrong += error.diagnostics
    if wrong:
        raise SpecError(wrong)
    return list(found.values())


def _check_alike(results: Sequence[Result]) -> None:
    """Refuse runs whose numbers say nothing about each other.

    Raises:
        SpecError: ``run-mismatch``.
    """
    first = results[0]
    for result in results[1:]:
        if result.data != first.data:
            names = [f"`{r.entry.folder}` is of {r.data[0]}" for r in (first, result)]
            message = " and ".join(names)
            if result.data[0] == first.data[0]:
                message += ", but other samples (their fingerprints differ)"
            raise fail(Code.RUN_MISMATCH, message, "compare runs of the same data")
        here, there = first.predicts, result.predicts
        for task in here.keys() & there.keys():
            if here[task] != there[task]:
                message = (
                    f"`{task}` is {here[task]} in `{first.entry.folder}`, "
                    f"but {there[task]} in `{result.entry.folder}`"
                )
                raise fail(Code.RUN_MISMATCH, message, "compare runs of the same tasks")
        if not here.keys() & there.keys():
            message = (
                f"`{first.entry.folder}` predicts {', '.join(here)}, "
                f"`{result.entry.folder}` {', '.join(there)}"
            )
            raise fail(Code.RUN_MISMATCH, message, "compare runs that have a task in common")


def _baseline(asked: str | None, names: list[str]) -> str:
    if asked is None:
        return names[0]
    if asked not in names:
        hint = did_you_mean(asked, names, "variants", limit=20)
        raise fail(Code.BAD_OPTION, f"no variant is called `{asked}`", hint)
    return asked


def _remarks(variants: Sequence[Variant], baseline: str, split: str) -> list[str]:
    """Return what makes a comparison weaker than it looks."""
    found = []
    if split != "test":
        text = "not all runs have a test split: metrics are those of the validation split"
        found.append(f"{text}, by which the weights were chosen")
    seeds = next(set(v.results) for v in variants if v.name == baseline)
    for variant in variants:
        alone = sorted(set(variant.results) - seeds)
        missing = sorted(seeds - set(variant.results))
        if not seeds & set(variant.results):
            found.append(f"{variant.name} has no seed in common with {baseline}: it is not paired")
        elif alone or missing:
            parts = [f"{_seeds(alone)} only there"] if alone else []
            parts += [f"{_seeds(missing)} missing"] if missing else []
            found.append(f"{variant.name} is not paired at every seed: {', '.join(parts)}")
    machines = {
        (r.environment.get("processor"), r.environment.get("device"))
        for v in variants
        for r in v.results.values()
    }
    if len(machines) > 1:
        found.append("the runs were made on different machines or devices: times do not compare")
    return found


def _seeds(numbers: Sequence[int]) -> str:
    return f"seed{'' if len(numbers) == 1 else 's'} {', '.join(map(str, numbers))}"


def _metrics(results: Sequence[Result], split: str) -> list[Metric]:
    """Return the metrics of any run: for each task the main one, its loss, and all others."""
    keys = dict.fromkeys(key for result in results for key in result.scores(split))
    plain, kin = measures.found(keys), measures.found(keys, of_hierarchy=True)
    metrics = []
    for task in dict.fromkeys(task for result in results for task in result.predicts):
        names = plain.get(task, [])
        losses = ["loss"] if f"{task}/loss" in keys else []
        ordered = [*names[:1], *losses, *names[1:], *kin.get(task, [])]
        metrics += [
            Metric(f"{task}/{name}", task, name, is_main=number == 0)
            for number, name in enumerate(ordered)
        ]
    return metrics


def _cells(variants: Sequence[Variant], metric: Metric, split: str, baseline: str) -> list[Cell]:
    """Return a metric of all variants that have it."""
    values = {
        variant.name: {
            seed: result.scores(split)[metric.key]
            for seed, result in sorted(variant.results.items())
            if metric.key in result.scores(split)
        }
        for variant in variants
    }
    return [
        _cell(name, metric, found, values[baseline], baseline)
        for name, found in values.items()
        if found
    ]


def _cell(
    name: str,
    metric: Metric,
    values: Mapping[int, float],
    base: Mapping[int, float],
    baseline: str,
) -> Cell:
    spread = statistics.spread(list(values.values()))
    if name == baseline:
        return Cell(name, metric, values, spread, verdict=Verdict.BASELINE)
    paired = statistics.paired(values, base)
    interval = paired.interval if paired else None
    return Cell(name, metric, values, spread, paired, interval=interval)


def _improvements(
    variants: Sequence[Variant],
    metrics: Sequence[Metric],
    cells: Mapping[tuple[str, str], Cell],
    baseline: str,
    delta: Metric,
) -> list[Cell]:
    """Return Delta-p of every variant that has all tasks of the baseline, seed by seed."""
    main = [m for m in metrics if m.is_main and (baseline, m.key) in cells]
    base = [cells[baseline, metric.key].values for metric in main]
    minimised = [metric.measure.minimised for metric in main]
    found = []
    for variant in variants:
        if variant.name == baseline or any((variant.name, m.key) not in cells for m in main):
            continue
        own = [cells[variant.name, metric.key].values for metric in main]
        common = set.intersection(*(set(each) for each in (*own, *base))) if own else set()
        by_seed = {
            seed: statistics.relative_improvement(
                [each[seed] for each in own], [each[seed] for each in base], minimised
            )
            for seed in sorted(common)
        }
        values = {seed: value for seed, value in by_seed.items() if value is not None}
        paired = statistics.of_differences(values)
        if paired is not None:
            spread = statistics.spread(list(values.values()))
            found.append(
                Cell(variant.name, delta, values, spread, paired, interval=paired.interval)
            )
    return found


def _judged(family: Iterable[Cell]) -> list[Cell]:
    """Return the cells of a family with adjusted p, the interval that belongs to it, a verdict."""
    tested = [cell for cell in family if cell.paired is not None and cell.paired.p is not None]
    values = [cell.paired.p for cell in tested if cell.paired and cell.paired.p is not None]
    adjusted, levels = statistics.holm(values), statistics.holm_levels(values)
    return [
        replace(
            cell,
            p=p,
            interval=cell.paired.at(level) if cell.paired else None,
            verdict=_verdict(cell, p),
        )
        for cell, p, level in zip(tested, adjusted, levels, strict=True)
    ]


def _verdict(cell: Cell, p: float) -> Verdict:
    if p > LEVEL or not cell.difference:
        return Verdict.UNCLEAR
    is_better = (cell.difference < 0.0) == cell.metric.measure.minimised
    return Verdict.BETTER if is_better else Verdict.WORSE
