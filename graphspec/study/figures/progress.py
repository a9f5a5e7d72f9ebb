"""Curves over epochs with bands over seeds: what a task's metrics did while it was trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from graphspec.study.comparison import Comparison, Metric
from graphspec.study.figures import canvas
from graphspec.study.figures.canvas import PALETTE, Series
from graphspec.training.conflict_figure import lines
from graphspec.training.observer import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 8
"""Most variants that are drawn as lines of their own."""

_PANEL_INCHES = (3.6, 2.3)

Curve = dict[int, list[float]]
"""The values of all seeds by epoch."""


def draw(found: Comparison) -> str | None:
    """Draw main metric and loss of each task on the validation split.

    Args:
        found: The comparison.

    Returns:
        An SVG, or None where the runs have no validation split. With more than `MOST` variants the
        baseline and those that end best are drawn, the others as thin grey lines.
    """
    records = {
        variant.name: [result.records() for result in variant.results.values()]
        for variant in found.variants
    }
    metrics = [metric for metric in found.metrics if metric.is_main]
    metrics += [m for m in found.metrics if m.name == "loss" and m not in metrics]
    metrics.sort(key=lambda metric: [m.task for m in found.metrics].index(metric.task))
    curves = {
        metric.key: {name: _curve(each, metric.key, "validation") for name, each in records.items()}
        for metric in metrics
    }
    metrics = [metric for metric in metrics if any(curves[metric.key].values())]
    if not metrics:
        return None
    looks = canvas.series([variant.name for variant in found.variants])
    chosen = chosen_variants(found)
    names = [looks[name].name for name in chosen]
    figure, axes = canvas.panels(len(metrics), 2, _PANEL_INCHES, labels=names)
    for metric, panel in zip(metrics, axes, strict=True):
        _panel(panel, metric, curves[metric.key], looks, chosen)
    canvas.legend(figure, [_handle(looks[name]) for name in chosen], names)
    return canvas.svg(figure)


def chosen_variants(found: Comparison) -> list[str]:
    """Return the baseline and the variants with the best ranks over the tasks, at most `MOST`."""
    names = [variant.name for variant in found.variants]
    if len(names) <= MOST:
        return names
    ranks = dict.fromkeys(names, 0.0)
    for metric in found.main:
        cells = {name: found.cell(name, metric.key) for name in names}
        sign = 1.0 if metric.measure.minimised else -1.0

        def order(name: str, cells: Mapping[str, Any] = cells, sign: float = sign) -> float:
            cell = cells[name]
            return float("inf") if cell is None else sign * cell.spread.mean

        for rank, name in enumerate(sorted(names, key=order)):
            ranks[name] += rank
    best = [n for n in sorted(names, key=lambda name: ranks[name]) if n != found.baseline]
    kept = {found.baseline, *best[: MOST - 1]}
    return [name for name in names if name in kept]


def _curve(runs: Iterable[Sequence[Record]], key: str, split: str) -> Curve:
    found: Curve = {}
    for records in runs:
        for record in records:
            value = record.get(key)
            if record["split"] == split and isinstance(value, (int, float)):
                found.setdefault(int(record["epoch"]), []).append(float(value))
    return dict(sorted(found.items()))


def _panel(
    axes: Axes,
    metric: Metric,
    curves: Mapping[str, Curve],
    looks: Mapping[str, Series],
    chosen: Sequence[str],
) -> None:
    factor = 100.0 if metric.measure.is_part else 1.0
    unit = " (%)" if metric.measure.is_part else ""
    title = f"{metric.task}: {metric.measure.words}"
    canvas.dressed(axes, title, "epoch", f"{metric.measure.title}{unit}")
    for name, curve in curves.items():
        if name not in chosen and curve:
            means = [factor * sum(values) / len(values) for values in curve.values()]
            axes.plot(list(curve), means, color=PALETTE.faint, linewidth=1, zorder=1)
    for name in chosen:
        _line(axes, curves[name], looks[name], factor)


def _line(axes: Axes, curve: Curve, look: Series, factor: float = 1.0) -> None:
    """Draw the mean over seeds, and as a band the range from the least to the greatest."""
    if not curve:
        return
    epochs = list(curve)
    means = [factor * sum(values) / len(values) for values in curve.values()]
    if any(len(values) > 1 for values in curve.values()):
        low = [factor * min(values) for values in curve.values()]
        high = [factor * max(values) for values in curve.values()]
        axes.fill_between(epochs, low, high, color=look.colour, alpha=0.16, linewidth=0)
    every = max(1, len(epochs) // 10)
    axes.plot(
        epochs, means, color=look.colour, linestyle=look.line, linewidth=1.8, marker=look.marker,
        markersize=4.5, markevery=every,
    )  # fmt: skip


def _handle(look: Series) -> object:
    from matplotlib.lines import Line2D

    line = Line2D([], [], color=look.colour, linewidth=1.8, marker=look.marker, markersize=4.5)
    line.set_linestyle(look.line)
    return line


def conflicts(found: Comparison) -> str | None:
    """Draw the cosine of the tasks' gradients by epoch at the nodes that conflict most.

    Args:
        found: The comparison.

    Returns:
        An SVG, or None where no run has compared gradients.
    """
    curves: dict[str, Curve] = {}
    order: dict[str, float] = {}
    for variant in found.variants:
        records = [r for result in variant.results.values() for r in result.conflicts()]
        for line in lines(records):
            name = f"{variant.name}, {line.node}: {' / '.join(line.tasks)}"
            order[name] = line.cosine
            curve: Curve = {}
            for record in line.records:
                curve.setdefault(int(record["epoch"]), []).append(float(record["cosine"]))
            curves[name] = dict(sorted(curve.items()))
    if not curves:
        return None
    shown = sorted(order, key=lambda name: order[name])[:MOST]
    looks = canvas.series([name for name in curves if name in shown])
    names = [canvas.short(name, 48) for name in looks]
    wide = (2 * _PANEL_INCHES[0] + 0.72, _PANEL_INCHES[1])
    figure, (axes,) = canvas.panels(1, 1, wide, labels=names)
    canvas.dressed(axes, "agreement of the tasks' gradients", "epoch", "cosine")
    axes.set_ylim(-1.05, 1.05)
    axes.axhline(0.0, color=PALETTE.mark, linewidth=1, linestyle="--", zorder=1)
    for name, look in looks.items():
        _line(axes, curves[name], look)
    canvas.legend(figure, [_handle(look) for look in looks.values()], names)
    return canvas.svg(figure)
