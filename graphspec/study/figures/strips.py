"""The value of every seed, with the mean: a row a variant, a panel a metric."""

from __future__ import annotations

from collections.abc import Sequence

from graphspec.study.comparison import Comparison, Metric
from graphspec.study.figures import canvas
from graphspec.study.figures.canvas import PALETTE

_COLUMNS = 3
_PANEL_INCHES = 2.35
_ROW_INCHES = 0.25


def draw(found: Comparison, metrics: Sequence[Metric]) -> str | None:
    """Draw what every seed reaches.

    Args:
        found: The comparison.
        metrics: The metrics, a panel each.

    Returns:
        An SVG, or None where there are no metrics.
    """
    if not metrics:
        return None
    looks = canvas.series([variant.name for variant in found.variants])
    names = [looks[variant.name].name for variant in found.variants]
    columns = min(_COLUMNS, len(metrics))
    figure, axes = canvas.panels(
        len(metrics), _COLUMNS, (_PANEL_INCHES, max(0.8, _ROW_INCHES * len(names))),
        left=canvas.width_of(names) + 0.2, between=0.25,
    )  # fmt: skip
    for number, (metric, panel) in enumerate(zip(metrics, axes, strict=True)):
        factor = 100.0 if metric.measure.is_part else 1.0
        unit = " (%)" if metric.measure.is_part else ""
        direction = "less" if metric.measure.minimised else "more"
        canvas.dressed(panel, metric.title, f"{metric.measure.title}{unit}, {direction} is better")
        canvas.label_rows(panel, names, shown=number % columns == 0)
        canvas.few_ticks(panel)
        panel.margins(x=0.08)
        base = found.cell(found.baseline, metric.key)
        if base is not None:
            mean = factor * base.spread.mean
            panel.axvline(mean, color=PALETTE.mark, linewidth=1.2, linestyle="--", zorder=1)
        for row, variant in enumerate(found.variants):
            cell = found.cell(variant.name, metric.key)
            if cell is None:
                continue
            look = looks[variant.name]
            values = [factor * value for value in cell.values.values()]
            panel.plot(
                values, [row] * len(values), linestyle="", marker=look.marker, color=look.colour,
                markersize=5, alpha=0.75,
            )  # fmt: skip
            panel.plot(
                [factor * cell.spread.mean], [row], linestyle="", marker="|", color=PALETTE.ink,
                markersize=13, markeredgewidth=2,
            )  # fmt: skip
    return canvas.svg(figure)
