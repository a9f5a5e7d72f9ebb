"""Variants against a baseline: every metric of every variant, with how sure the difference is.

`compare` reads finished runs and gives a `Comparison`, which `graphspec.study.answer` puts into
words and `graphspec.study.report` writes down. docs/comparing.md explains what is decided here:
which comparisons are a family, and that intervals and verdicts agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from graphspec.errors import Code, Diagnostic, Severity, SpecError, did_you_mean, fail
from graphspec.study import statistics
from graphspec.study.evidence import (
    CONSISTENCY,
    DELTA_P,
    TASKS,
    Cell,
    Comparison,
    Metric,
    Variant,
    Verdict,
)
from graphspec.study.pooled import Pooled, pool
from graphspec.study.result import Entry, Result, read
from graphspec.study.statistics import LEVEL
from graphspec.training import measures

__all__ = [
    "CONSISTENCY",
    "DELTA_P",
    "TASKS",
    "Cell",
    "Comparison",
    "Entry",
    "Metric",
    "Variant",
    "Verdict",
    "compare",
]


_FAMILIES = {CONSISTENCY: CONSISTENCY}
"""The families of metrics that are not the first of their task."""


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
    delta = Metric(DELTA_P, "", DELTA_P, DELTA_P)
    improved = _improvements(variants, metrics, cells, chosen, delta)
    if improved:
        metrics.append(delta)
        cells |= {(cell.variant, DELTA_P): cell for cell in improved}
    families = {}
    for family in (TASKS, CONSISTENCY, DELTA_P):
        judged = _judged([cell for cell in cells.values() if cell.metric.family == family])
        families[family] = len(judged)
        cells |= {(cell.variant, cell.metric.key): cell for cell in judged}
        if family != DELTA_P:
            tested = [metric for metric in metrics if metric.family == family]
            cells = _with_pooled(cells, tested, chosen)
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
    return [*found, *filter(None, map(_early, variants))]


def _early(variant: Variant) -> str | None:
    """Return that all runs of a variant are judged by the weights of an early epoch, if so.

    What chooses the weights may have turned for the worse there while some task went on learning.
    """
    summaries = [result.summary for result in variant.results.values()]
    chosen = [int((summary.get("best") or {}).get("epoch") or 0) for summary in summaries]
    if not all(
        0 < 2 * epoch < summary["epochs"] for epoch, summary in zip(chosen, summaries, strict=True)
    ):
        return None
    epochs = max(summary["epochs"] for summary in summaries)
    at = " or ".join(map(str, sorted(set(chosen))))
    metric = summaries[0]["best"]["metric"]
    return (
        f"{variant.name} is judged by the weights of epoch {at} of {epochs}, where {metric} was "
        "best; its curves tell how each task went on"
    )


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
            Metric(f"{task}/{name}", task, name, TASKS if number == 0 else _FAMILIES.get(name))
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


def _with_pooled(
    cells: Mapping[tuple[str, str], Cell], metrics: Sequence[Metric], baseline: str
) -> dict[tuple[str, str], Cell]:
    """Add the opinion of the pooled spread to the cells of a family's metrics."""
    found: dict[tuple[str, str], Pooled] = {}
    for metric in metrics:
        values = {name: cell.values for (name, key), cell in cells.items() if key == metric.key}
        found |= {(name, metric.key): each for name, each in pool(values, baseline).items()}
    adjusted = statistics.holm([each.p for each in found.values()])
    p_of = dict(zip(found, adjusted, strict=True))
    return {
        key: replace(cell, pooled=found[key], p_pooled=p_of[key]) if key in found else cell
        for key, cell in cells.items()
    }


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
