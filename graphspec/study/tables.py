"""The tables of a comparison as text, for a page, for Markdown and for a terminal alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from graphspec.backends.wording import count_text
from graphspec.study import answer
from graphspec.study.comparison import Cell, Comparison, Metric, Verdict
from graphspec.study.costs import Cost
from graphspec.training.conflict_figure import lines
from graphspec.training.measures import percent
from graphspec.training.summary import duration

NOTHING = "–"
"""What stands where there is nothing."""

_SIDE_BY_SIDE = 3
"""Metrics in one table: with their differences they fit on a page."""

WORDS = {
    Verdict.BETTER: "▲ better",
    Verdict.WORSE: "▼ worse",
    Verdict.UNCLEAR: "not told apart",
    Verdict.UNTESTED: "not tested",
    Verdict.BASELINE: "baseline",
}


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        title: What it shows.
        caption: How to read it.
        header: The titles of its columns.
        rows: The rows; the first cell names the row.
        verdicts: For each row what is said of it, where something is.
    """

    title: str
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    verdicts: Sequence[Verdict | None] = field(default=())

    @property
    def longest(self) -> int:
        """Characters of the longest name of a row."""
        return max((len(row[0]) for row in self.rows), default=0)

    def lined(self) -> list[tuple[Sequence[str], str]]:
        """Return each row with the class of its verdict, which may be empty."""
        verdicts = self.verdicts or [None] * len(self.rows)
        return [
            (row, "" if verdict is None else verdict.name.lower())
            for row, verdict in zip(self.rows, verdicts, strict=True)
        ]


def overview(found: Comparison, costs: Mapping[str, Cost | None]) -> Table:
    """Return what every variant is, costs and reaches."""
    metrics = [*found.main, *([found.delta] if found.delta else [])]
    header = ["variant", "seeds", "parameters", "FLOPs", "epochs", "time"]
    header += [metric.title for metric in metrics]
    rows = []
    for variant in found.variants:
        cost = costs.get(variant.name)
        rows.append(
            [
                variant.name,
                str(len(variant.results)),
                count_text(variant.parameters),
                NOTHING if cost is None else count_text(cost.flops),
                f"{variant.epochs:.3g}",
                duration(variant.seconds),
                *(mean_text(found.cell(variant.name, metric.key)) for metric in metrics),
            ]
        )
    verdicts = [Verdict.BASELINE if v.name == found.baseline else None for v in found.variants]
    caption = (
        f"Mean ± standard deviation over seeds, {found.split} split. FLOPs: per sample, forward; "
        "time: of training, mean of a run."
    )
    return Table("Results", caption, header, rows, verdicts)


def differences(found: Comparison, metric: Metric) -> Table:
    """Return the differences from the baseline in one metric, with all that was tested."""
    unit = " (points)" if metric.measure.is_part else " (%)" if not metric.task else ""
    header = [
        "variant", "verdict", metric.measure.title, f"difference{unit}", "corrected interval",
        "plain 95 %", "p", "p corrected", "p pooled", "p sign-flip", "pairs",
    ]  # fmt: skip
    rows, verdicts = [], []
    for variant in found.variants:
        cell = found.cell(variant.name, metric.key)
        if cell is not None:
            rows.append([variant.name, *_tested(cell)])
            verdicts.append(cell.verdict)
    title = metric.title if metric.task else "all tasks (Δp)"
    caption = f"Difference from {found.baseline}, paired by seed."
    return Table(f"{title}: differences", caption, header, rows, verdicts)


def _tested(cell: Cell) -> list[str]:
    paired = cell.paired
    row = [WORDS[cell.verdict], mean_text(cell)]
    if paired is None:
        return [*row, *[NOTHING] * 8]
    metric = cell.metric
    intervals = [cell.interval, paired.interval]
    return [
        *row,
        answer.number_change(metric, paired.mean),
        *(NOTHING if each is None else answer.span(metric, each) for each in intervals),
        *(answer.p_text(p) or NOTHING for p in (paired.p, cell.p, cell.p_pooled, paired.p_flipped)),
        str(len(paired.differences)),
    ]


def others(found: Comparison, task: str, of_hierarchy: bool) -> list[Table]:
    """Return the metrics of a task that the verdicts do not rest on, with plain intervals.

    Args:
        found: The comparison.
        task: The task.
        of_hierarchy: Whether those that compare the task with its parent are asked for.

    Returns:
        Tables of at most three metrics, which fit on a page.
    """
    metrics = [
        metric
        for metric in found.metrics
        if metric.task == task and metric.family is None and metric.of_hierarchy == of_hierarchy
    ]
    parts = [
        metrics[start : start + _SIDE_BY_SIDE] for start in range(0, len(metrics), _SIDE_BY_SIDE)
    ]
    return [_others(found, task, part) for part in parts]


def _others(found: Comparison, task: str, metrics: Sequence[Metric]) -> Table:
    header = ["variant"]
    for metric in metrics:
        header += [metric.measure.title, "difference"]
    rows = []
    for variant in found.variants:
        row = [variant.name]
        for metric in metrics:
            cell = found.cell(variant.name, metric.key)
            row += [mean_text(cell), _plain_difference(cell)]
        rows.append(row)
    caption = (
        f"Mean ± standard deviation; difference from {found.baseline} with its plain 95 % "
        "interval, not corrected: these metrics were not tested."
    )
    verdicts = [Verdict.BASELINE if v.name == found.baseline else None for v in found.variants]
    title = f"{task}: {', '.join(metric.measure.title for metric in metrics)}"
    return Table(title, caption, header, rows, verdicts)


def _plain_difference(cell: Cell | None) -> str:
    if cell is None or cell.paired is None:
        return NOTHING
    text = answer.number_change(cell.metric, cell.paired.mean)
    interval = cell.paired.interval
    return text if interval is None else f"{text} ({answer.span(cell.metric, interval)})"


def conflicts(found: Comparison) -> Table | None:
    """Return how the gradients of the tasks agree at what they share, over all seeds."""
    rows = []
    for variant in found.variants:
        records = [r for result in variant.results.values() for r in result.conflicts()]
        rows += [
            [
                variant.name, line.node, " / ".join(line.tasks), f"{line.steps:,}",
                percent(line.conflict), f"{line.cosine:.2f}".replace("-", "−"),
                f"{line.norm_ratio:.2f}",
            ]
            for line in lines(records)
        ]  # fmt: skip
    if not rows:
        return None
    header = ["variant", "node", "tasks", "steps", "in conflict", "mean cosine", "ratio of norms"]
    caption = (
        "Steps that were compared, over all seeds; in conflict: cosine below zero; ratio: the "
        "gradient of the first task to that of the second, geometric mean."
    )
    return Table("Conflicts by node", caption, header, rows)


def mean_text(cell: Cell | None) -> str:
    """Return mean and deviation of a cell: ``42.31 ± 0.25 %``."""
    if cell is None:
        return NOTHING
    text = answer.value(cell.metric, cell.spread.mean)
    if cell.spread.deviation is None:
        return text
    number, _, unit = text.partition(" ")
    around = answer.spread(cell.metric, cell.spread.deviation)
    return f"{number} ± {around}{f' {unit}' if unit else ''}"


def markdown(table: Table) -> str:
    """Return a table as GitHub's Markdown."""
    right = ["---", *["---:"] * (len(table.header) - 1)]
    cells = [list(table.header), right, *map(list, table.rows)]
    return "\n".join(f"| {' | '.join(map(escaped, row))} |" for row in cells)


def escaped(text: str) -> str:
    """Return a text as Markdown shows it as it is, whatever a user has put into it."""
    for mark in "\\`*_[]|~":
        text = text.replace(mark, "\\" + mark)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return " ".join(text.split())
