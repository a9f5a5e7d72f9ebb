"""Differences from the baseline with their intervals: a row a variant, a panel a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphspec.study.comparison import Cell, Comparison, Metric, Verdict
from graphspec.study.figures import canvas
from graphspec.study.figures.canvas import BETTER, PALETTE, WORSE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 4
_PANEL_INCHES = 2.0
_ROW_INCHES = 0.27
_LOOKS = {Verdict.BETTER: (BETTER, "^"), Verdict.WORSE: (WORSE, "v")}


def draw(found: Comparison) -> str | None:
    """Draw the forest of all metrics that are tested.

    Args:
        found: The comparison.

    Returns:
        An SVG, or None where no variant has an interval.
    """
    metrics = found.tested
    cells = [cell for v in found.others for m in metrics if (cell := found.cell(v.name, m.key))]
    if not any(cell.interval for cell in cells):
        return None
    names = [canvas.short(variant.name) for variant in found.others]
    high = max(0.8, _ROW_INCHES * len(names))
    labels = ["better", "worse", "not told apart", "corrected interval", "plain 95 %"]
    columns = min(_COLUMNS, len(metrics))
    left = canvas.width_of(names) + 0.2
    figure, axes = canvas.panels(
        len(metrics), _COLUMNS, (_PANEL_INCHES, high), left=left, between=0.25,
        labels=labels,
    )  # fmt: skip
    for number, (metric, panel) in enumerate(zip(metrics, axes, strict=True)):
        canvas.dressed(panel, _title(metric), _label(metric))
        canvas.label_rows(panel, names, shown=number % columns == 0)
        panel.axvline(0.0, color=PALETTE.mark, linewidth=1.2, linestyle="--", zorder=1)
        for row, variant in enumerate(found.others):
            cell = found.cell(variant.name, metric.key)
            if cell is not None and cell.difference is not None:
                _mark(panel, row, cell)
        canvas.few_ticks(panel)
    canvas.legend(figure, _handles(), labels)
    return canvas.svg(figure)


def _title(metric: Metric) -> str:
    return metric.title if metric.task else "all tasks (Δp)"


def _label(metric: Metric) -> str:
    unit = "points" if metric.measure.is_part else "%" if not metric.task else ""
    less = ", less is better" if metric.measure.minimised else ""
    return f"difference{f' ({unit})' if unit else ''}{less}"


def _mark(axes: Axes, row: int, cell: Cell) -> None:
    """Draw a difference, and its intervals if it has them: the corrected one thin, with caps."""
    factor = 100.0 if cell.metric.measure.is_part else 1.0
    colour, marker = _LOOKS.get(cell.verdict, (PALETTE.mark, "o"))
    if cell.interval is not None:
        low, high = factor * cell.interval.low, factor * cell.interval.high
        axes.plot([low, high], [row, row], color=colour, linewidth=1.1, marker="|", markersize=7)
    if cell.paired is not None and cell.paired.interval is not None:
        plain = cell.paired.interval
        ends = [factor * plain.low, factor * plain.high]
        axes.plot(ends, [row, row], color=colour, linewidth=3.4, solid_capstyle="butt")
    filled = colour if cell.verdict in _LOOKS else PALETTE.ground
    axes.plot(
        [factor * (cell.difference or 0.0)], [row], marker=marker, markersize=7, color=colour,
        markerfacecolor=filled, markeredgewidth=1.4, linestyle="", zorder=3,
    )  # fmt: skip


def _handles() -> list[object]:
    from matplotlib.lines import Line2D

    look = {"linestyle": "", "markersize": 7, "markeredgewidth": 1.4}
    return [
        Line2D([], [], marker="^", color=BETTER, **look),  # type: ignore[arg-type]
        Line2D([], [], marker="v", color=WORSE, **look),  # type: ignore[arg-type]
        Line2D([], [], marker="o", color=PALETTE.mark, markerfacecolor=PALETTE.ground, **look),  # type: ignore[arg-type]
        Line2D([], [], color=PALETTE.mark, linewidth=1.1, marker="|", markersize=7),
        Line2D([], [], color=PALETTE.mark, linewidth=3.4),
    ]
