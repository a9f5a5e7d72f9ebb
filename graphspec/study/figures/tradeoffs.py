"""What a variant reaches against what it costs, with the Pareto front marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graphspec.study.comparison import Comparison
from graphspec.study.costs import Cost
from graphspec.study.figures import canvas
from graphspec.study.figures.canvas import PALETTE

_PANEL_INCHES = (2.3, 2.1)
_DECADE = 8.0
"""Ratio of the greatest cost to the least from which a logarithmic axis shows more."""


@dataclass(frozen=True)
class _Axis:
    """A cost: its label, and its value by variant."""

    label: str
    values: Mapping[str, float]


def front(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """Return the names on the Pareto front: nothing costs as little or less and reaches more.

    Args:
        points: For each name what it costs, and what it reaches (more is better).

    Returns:
        The names by cost. Of points that are the same, all are on it.
    """
    found: list[str] = []
    best = float("-inf")
    for name in sorted(points, key=lambda name: (points[name][0], -points[name][1])):
        cost, reached = points[name]
        same = bool(found) and points[found[-1]] == (cost, reached)
        if reached > best or same:
            found.append(name)
            best = max(best, reached)
    return found


def fronts(found: Comparison, costs: Mapping[str, Cost | None]) -> list[str]:
    """Return the fronts in words, a line for each task and cost."""
    told = []
    for metric in found.main:
        for axis in _axes(found, costs):
            names = front(_points(found, metric.key, axis))
            told.append(f"{metric.title} against {axis.label}: {', '.join(names)}")
    return told


def draw(found: Comparison, costs: Mapping[str, Cost | None]) -> str:
    """Draw each task's main metric against parameters, FLOPs and time.

    Args:
        found: The comparison.
        costs: What each variant costs; None where it is not known.
    """
    from matplotlib.lines import Line2D

    axes_of = _axes(found, costs)
    looks = canvas.series([variant.name for variant in found.variants])
    labels = [*(look.name for look in looks.values()), "Pareto front"]
    figure, panels = canvas.panels(
        len(found.main) * len(axes_of), len(axes_of), _PANEL_INCHES, between=0.6,
        labels=labels,
    )  # fmt: skip
    for number, panel in enumerate(panels):
        metric, axis = found.main[number // len(axes_of)], axes_of[number % len(axes_of)]
        factor = 100.0 if metric.measure.is_part else 1.0
        unit = " (%)" if metric.measure.is_part else ""
        first = number % len(axes_of) == 0
        title = metric.title if first else ""
        canvas.dressed(panel, title, axis.label, f"{metric.measure.title}{unit}" if first else "")
        points = _points(found, metric.key, axis)
        best = [points[name] for name in front(points)]
        sign = -1.0 if metric.measure.minimised else 1.0
        panel.plot(
            [cost for cost, _ in best], [factor * sign * reached for _, reached in best],
            color=PALETTE.mark, linewidth=1.1, linestyle="--", drawstyle="steps-post", zorder=1,
            marker="o", markersize=13, markerfacecolor="none", markeredgewidth=1.2,
        )  # fmt: skip
        for name, (cost, _) in points.items():
            cell = found.cells[name, metric.key]
            panel.errorbar(
                [cost], [factor * cell.spread.mean], yerr=factor * (cell.spread.deviation or 0.0),
                color=looks[name].colour, marker=looks[name].marker, markersize=6, linewidth=1.2,
                linestyle="",
            )  # fmt: skip
        _scale(panel, [cost for cost, _ in points.values()])
    handles: list[object] = [
        Line2D([], [], linestyle="", color=look.colour, marker=look.marker, markersize=6)
        for look in looks.values()
    ]
    ring = Line2D([], [], color=PALETTE.mark, linewidth=1.1, linestyle="--", marker="o")
    ring.set(markersize=11, markerfacecolor="none", markeredgewidth=1.2)
    handles.append(ring)
    canvas.legend(figure, handles, labels)
    return canvas.svg(figure)


def _axes(found: Comparison, costs: Mapping[str, Cost | None]) -> list[_Axis]:
    flops = {name: float(cost.flops) for name, cost in costs.items() if cost is not None}
    axes = [_Axis("parameters", {v.name: float(v.parameters) for v in found.variants})]
    if flops:
        axes.append(_Axis("FLOPs per sample", flops))
    axes.append(_Axis("training time (s)", {v.name: v.seconds for v in found.variants}))
    return axes


def _points(found: Comparison, key: str, axis: _Axis) -> dict[str, tuple[float, float]]:
    """Return cost and reach of each variant; a metric of which less is better is turned round."""
    points = {}
    for name, cost in axis.values.items():
        cell = found.cell(name, key)
        if cell is not None:
            sign = -1.0 if cell.metric.measure.minimised else 1.0
            points[name] = (cost, sign * cell.spread.mean)
    return points


def _scale(axes: object, costs: Sequence[float]) -> None:
    """Choose the axis of costs, and write them as 10 k, 2.5 M."""
    from matplotlib.axes import Axes
    from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter

    assert isinstance(axes, Axes)
    if costs and min(costs) > 0 and max(costs) / min(costs) >= _DECADE:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.margins(x=0.15)
        axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
