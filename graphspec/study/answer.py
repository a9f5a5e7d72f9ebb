"""The answer of a comparison in sentences: what helped which task, by how much, how sure.

Every sentence follows from a `Cell`'s verdict and interval, so that words, tables and figures say
the same. The same sentences stand in the report, in Markdown and on the terminal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphspec.study.comparison import (
    CONSISTENCY,
    DELTA_P,
    TASKS,
    Cell,
    Comparison,
    Metric,
    Verdict,
)
from graphspec.study.statistics import EXACT_PAIRS, LEVEL, Interval, least_p

_NAMED = 6
"""Most variants that a sentence lists with their numbers; the table has the others."""


@dataclass(frozen=True)
class Paragraph:
    """What is said of one task.

    Attributes:
        heading: What it is about.
        sentences: The sentences.
    """

    heading: str
    sentences: tuple[str, ...]


def headline(found: Comparison) -> str:
    """Return the answer in one sentence."""
    if not found.others:
        return f"There is one variant, {found.baseline}: nothing to compare it with."
    if not found.families[TASKS]:
        return (
            "These runs cannot tell an effect from chance: it takes two seeds that a variant has "
            f"in common with {found.baseline}."
        )
    parts = [part for metric in found.main for part in _effects(found, metric, "on")]
    kin = [m for m in found.tested if m.family == CONSISTENCY]
    fitting = [part for metric in kin for part in _effects(found, metric, "in consistency of")]
    if not parts:
        said = (
            f"No variant can be told apart from {found.baseline} on any task: what differs is no "
            "larger than what another seed could make."
        )
        return f"{said} But {'; '.join(fitting)}." if fitting else said
    silent = [m.task for m in found.main if not _effects(found, m, "on")]
    if silent:
        parts.append(f"on {_listed(silent)} nothing can be told apart")
    return f"Compared with {found.baseline}: {'; '.join([*parts, *fitting])}."


def _effects(found: Comparison, metric: Metric, where: str) -> list[str]:
    """Return which variants do better and worse ``on`` a task."""
    parts = []
    for verdict, word in ((Verdict.BETTER, "better"), (Verdict.WORSE, "worse")):
        names = [cell.variant for cell in _with(found, metric, verdict)]
        if names:
            verb = "is" if len(names) == 1 else "are"
            parts.append(f"{_listed(names, _NAMED)} {verb} {word} {where} {metric.task}")
    return parts


def paragraphs(found: Comparison) -> list[Paragraph]:
    """Return what is said of each task, of all tasks together, and how sure it is."""
    if not found.others:
        return [Paragraph(m.title, (_baseline(found, m),)) for m in found.main]
    single = [metric for metric in found.tested if metric.task]
    told = [Paragraph(_heading(found, metric), _of(found, metric)) for metric in single]
    if found.delta is not None:
        told.append(Paragraph("All tasks together (Δp)", _of(found, found.delta)))
    return [*told, Paragraph("How sure", tuple(certainty(found)))]


def _heading(found: Comparison, metric: Metric) -> str:
    less = ", less is better" if metric.measure.minimised else ""
    return f"{metric.task}: {metric.measure.words}, {found.split} split{less}"


def _baseline(found: Comparison, metric: Metric) -> str:
    cell = found.cell(found.baseline, metric.key)
    if cell is None:
        return f"{found.baseline} has no {metric.title}."
    return f"{found.baseline} reaches {level(cell)}."


def _of(found: Comparison, metric: Metric) -> tuple[str, ...]:
    """Return the sentences about one metric."""
    told = [_baseline(found, metric)] if metric.task else []
    if metric.key == DELTA_P:
        told.append(
            f"Δp is the mean over tasks of the improvement relative to {found.baseline}, which "
            "stands for the single-task models of the literature."
        )
    for verdict, word in ((Verdict.BETTER, "better"), (Verdict.WORSE, "worse")):
        cells = _with(found, metric, verdict)
        told += [f"{cell.variant} is {word}: {_effect(cell)}." for cell in cells[:_NAMED]]
        if len(cells) > _NAMED:
            names = _listed([cell.variant for cell in cells[_NAMED:]], _NAMED)
            told.append(f"So {'is' if len(cells) == _NAMED + 1 else 'are'} {names}.")
    unclear = _with(found, metric, Verdict.UNCLEAR)
    if unclear:
        told.append(_undecided(found, metric, unclear))
    alone = [c for c in _with(found, metric, Verdict.UNTESTED) if c.paired is not None]
    if alone:
        told.append(_untested(alone))
    return tuple(told)


def _undecided(found: Comparison, metric: Metric, cells: Sequence[Cell]) -> str:
    """Return which variants are not told apart from the baseline, and what may be true of them."""
    if len(cells) == 1:
        cell = cells[0]
        return f"{cell.variant} cannot be told apart from {found.baseline}: {_effect(cell)}."
    names = _listed([cell.variant for cell in cells], _NAMED)
    lows = [cell.interval.low for cell in cells if cell.interval]
    highs = [cell.interval.high for cell in cells if cell.interval]
    differences = [cell.difference for cell in cells if cell.difference is not None]
    spans = (
        f"their differences lie between {change(metric, min(differences))} and "
        f"{change(metric, max(differences))}, and the intervals reach from "
        f"{change(metric, min(lows))} to {change(metric, max(highs))}"
    )
    return f"{names} cannot be told apart from {found.baseline}: {spans}."


def _untested(cells: Sequence[Cell]) -> str:
    """Return the differences that no test was made of."""
    parts = [
        f"{cell.variant} {change(cell.metric, cell.difference or 0.0)}" for cell in cells[:_NAMED]
    ]
    if len(cells) > _NAMED:
        parts.append(f"{len(cells) - _NAMED} more in the table")
    pairs = {len(cell.paired.differences) for cell in cells if cell.paired}
    why = "one seed, so chance is not ruled out" if pairs == {1} else "no spread to test against"
    return f"Not tested ({why}): {', '.join(parts)}."


def certainty(found: Comparison) -> list[str]:
    """Return how far the answer can be trusted."""
    tested = [c for c in found.cells.values() if c.p is not None and c.paired]
    if not tested:
        return [
            "Without a second seed in common with the baseline there is no interval: the numbers "
            "are single measurements. Train more seeds."
        ]
    pairs = sorted({len(cell.paired.differences) for cell in tested if cell.paired})
    count = str(pairs[0]) if len(pairs) == 1 else f"{pairs[0]} to {pairs[-1]}"
    words = {TASKS: "on tasks", CONSISTENCY: "in consistency", DELTA_P: "in Δp"}
    family = _listed([f"{n} {words[name]}" for name, n in found.families.items() if n])
    told = [
        f"Differences are paired by seed ({count} pairs). Intervals and p values are those of the "
        f"paired t test, corrected by Holm's method in each family of comparisons ({family}) at "
        f"{100 * LEVEL:.0f} %: where an interval leaves out zero, the difference is told apart "
        "from chance.",
        "Not told apart does not mean equal: anything inside the interval may be true.",
    ]
    main = [c for c in tested if c.metric.task and c.interval]
    for metric in found.main:
        halves = sorted(
            (c.interval.high - c.interval.low) / 2
            for c in main
            if c.metric == metric and c.interval
        )
        if halves:
            size = change(metric, halves[len(halves) // 2]).lstrip("+")
            told.append(f"On {metric.task} a difference below about {size} would not be seen.")
    if pairs[0] <= EXACT_PAIRS and least_p(pairs[0]) > LEVEL:
        told.append(
            f"The sign-flip test, which assumes no normal distribution, cannot give a p below "
            f"{least_p(pairs[0]):.3g} with {pairs[0]} pairs: a verdict here rests on the t test, "
            "and six seeds are the fewest with which the other could agree."
        )
    told += _second_opinion(found)
    told.append(
        "This is about other seeds, not about other data or another test set, and not about "
        "longer training or other sizes."
    )
    return told


def _second_opinion(found: Comparison) -> list[str]:
    """Return what would be told apart besides if all variants varied alike from seed to seed."""
    opinions = [cell for cell in found.cells.values() if cell.pooled and cell.p_pooled is not None]
    if not opinions:
        return []
    more = [
        f"{cell.variant} on {cell.metric.title} ({change(cell.metric, cell.pooled.mean)})"
        for cell in opinions
        if cell.verdict is Verdict.UNCLEAR
        and cell.pooled
        and cell.p_pooled is not None
        and cell.p_pooled <= LEVEL
    ]
    freedom = max(cell.pooled.freedom for cell in opinions if cell.pooled)
    lead = (
        "If all variants vary alike from seed to seed, their spreads can be pooled "
        f"({freedom} degrees of freedom); that test"
    )
    if not more:
        return [f"{lead} tells nothing more apart."]
    return [f"{lead} also tells apart {_listed(more, _NAMED)}: worth more seeds, not a verdict."]


def _with(found: Comparison, metric: Metric, verdict: Verdict) -> list[Cell]:
    """Return the cells of a verdict, the largest effect first."""
    cells = [
        cell
        for variant in found.others
        if (cell := found.cell(variant.name, metric.key)) and cell.verdict is verdict
    ]
    return sorted(cells, key=lambda cell: -abs(cell.difference or 0.0))


def _effect(cell: Cell) -> str:
    """Return a difference with its interval and p."""
    text = f"{change(cell.metric, cell.difference or 0.0)}"
    if cell.metric.task:
        text += f", to {value(cell.metric, cell.spread.mean)}"
    if cell.interval is not None:
        p = p_text(cell.p)
        sign = "" if p.startswith("<") else "= "
        text += f" (interval {span(cell.metric, cell.interval)}, p {sign}{p})"
    return text


def level(cell: Cell) -> str:
    """Return mean and deviation of a cell in words."""
    text = value(cell.metric, cell.spread.mean)
    if cell.spread.deviation is None:
        return text
    return f"{text} (deviation {spread(cell.metric, cell.spread.deviation)})"


def value(metric: Metric, number: float) -> str:
    """Return a value of a metric: ``42.31 %``, ``1.2345``."""
    if metric.key == DELTA_P:
        return f"{_signed(number, 2)} %"
    return f"{100 * number:.2f} %" if metric.measure.is_part else _plain(number)


def spread(metric: Metric, number: float) -> str:
    """Return a deviation: ``0.31`` for percent, without its unit."""
    if metric.key == DELTA_P:
        return f"{number:.2f}"
    return f"{100 * number:.2f}" if metric.measure.is_part else _plain(number)


def change(metric: Metric, number: float) -> str:
    """Return a difference with its sign and unit: ``+1.30 points`` of percent, ``-0.0123``."""
    if metric.key == DELTA_P:
        return f"{_signed(number, 2)} %"
    if metric.measure.is_part:
        return f"{_signed(100 * number, 2)} points"
    return number_change(metric, number)


def number_change(metric: Metric, number: float) -> str:
    """Return a difference with its sign, without a unit."""
    if metric.key == DELTA_P:
        return _signed(number, 2)
    return _signed(100 * number, 2) if metric.measure.is_part else _signed(number, 4)


def span(metric: Metric, interval: Interval) -> str:
    """Return an interval: ``+0.31 to +2.10``."""
    return f"{number_change(metric, interval.low)} to {number_change(metric, interval.high)}"


def p_text(p: float | None) -> str:
    """Return a p value: ``0.012``, ``< 0.001``."""
    if p is None:
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def _signed(number: float, digits: int) -> str:
    text = f"{number:+.{digits}f}".replace("-", "−")
    return text if float(f"{number:.{digits}f}") else text[1:]


def _plain(number: float) -> str:
    return f"{number:.4f}" if abs(number) < 1000 else f"{number:.6g}"


def _listed(names: Sequence[str], most: int | None = None) -> str:
    """Return names as people list them."""
    shown = list(names if most is None or len(names) <= most + 1 else names[:most])
    if len(shown) < len(names):
        shown.append(f"{len(names) - len(shown)} more")
    if len(shown) < 2:
        return "".join(shown)
    return f"{', '.join(shown[:-1])} and {shown[-1]}"
