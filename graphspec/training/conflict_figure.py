"""Task conflicts in words and as a picture, for the report of a run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphspec.training.curves import DARK, DPI, LIGHT, Palette, data_uri, dress, png
from graphspec.training.measures import percent
from graphspec.training.observer import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = 7
"""Most nodes with two tasks that are told and drawn: those that conflict most."""

# Okabe and Ito's colours without black and yellow, and a grey: apart for every colour vision
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8b8b8b")
_MARKERS = "osD^vP*"
_SIZE_INCHES = (7.8, 3.2)


@dataclass(frozen=True)
class Line:
    """How two tasks agreed at a node over a run.

    Attributes:
        node: The node.
        tasks: The tasks.
        steps: Steps that were compared.
        cosine: Mean cosine of their gradients.
        conflict: Part of the steps in which it was negative.
        norm_ratio: Geometric mean of the ratio of the norms, the first task's to the second's.
        records: The records by epoch.
    """

    node: str
    tasks: tuple[str, str]
    steps: int
    cosine: float
    conflict: float
    norm_ratio: float
    records: tuple[Record, ...]

    def __str__(self) -> str:
        first, second = self.tasks
        steps = f"{self.steps:,} sampled step" + ("" if self.steps == 1 else "s")
        larger, smaller, ratio = first, second, self.norm_ratio
        if ratio < 1.0:
            larger, smaller, ratio = second, first, 1.0 / ratio
        return (
            f"{self.node}: {first} and {second} conflict in {percent(self.conflict)} of {steps} "
            f"(mean cosine {self.cosine:.2f}; the gradient of {larger} is {ratio:.2f} times as "
            f"large as that of {smaller})"
        )


@dataclass(frozen=True)
class Section:
    """What the report shows: lines, the number of those left out, and the picture twice."""

    lines: tuple[str, ...]
    more: int
    light: str
    dark: str


def section(records: Sequence[Record]) -> Section | None:
    """Return what a report says of conflicts, or None where nothing was compared.

    Args:
        records: The lines of ``conflicts.jsonl``.
    """
    found = lines(records)
    if not found:
        return None
    # those that conflict most are shown, in the order of the graph
    worst = sorted(found, key=lambda line: (-line.conflict, line.cosine))[:SHOWN]
    shown = [line for line in found if line in worst]
    texts = tuple(map(str, shown))
    pictures = [data_uri(draw(shown, dark)) for dark in (False, True)]
    return Section(texts, len(found) - len(shown), pictures[0], pictures[1])


def lines(records: Sequence[Record]) -> list[Line]:
    """Return how the tasks agreed over a run, for each node and two tasks, in the records' order.

    Args:
        records: The lines of ``conflicts.jsonl``.
    """
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record["node"], *record["tasks"]), []).append(record)
    return [_joined(node, (first, second), each) for (node, first, second), each in groups.items()]


def _joined(node: str, tasks: tuple[str, str], records: Sequence[Record]) -> Line:
    """Return the means over all sampled steps of a run."""
    steps = sum(int(record["steps"]) for record in records)

    def mean(values: Iterable[float]) -> float:
        weighted = (value * r["steps"] for value, r in zip(values, records, strict=True))
        return float(sum(weighted)) / steps

    return Line(
        node,
        tasks,
        steps,
        mean(record["cosine"] for record in records),
        mean(record["conflict"] for record in records),
        math.exp(mean(math.log(record["norm_ratio"]) for record in records)),
        tuple(records),
    )


def draw(shown: Sequence[Line], dark: bool = False) -> bytes:
    """Draw cosine and ratio of norms by epoch.

    Args:
        shown: What is drawn, at most `SHOWN`.
        dark: Whether for a dark ground.

    Returns:
        A PNG file.
    """
    from matplotlib.figure import Figure

    palette = DARK if dark else LIGHT
    rows = -(-len(shown) // 2)
    legend = 0.2 + 0.22 * rows
    size = (_SIZE_INCHES[0], _SIZE_INCHES[1] + legend)
    figure = Figure(figsize=size, dpi=DPI, facecolor=palette.ground)
    figure.subplots_adjust(
        left=0.55 / size[0],
        right=1 - 0.15 / size[0],
        bottom=(0.5 + legend) / size[1],
        top=1 - 0.35 / size[1],
        wspace=0.2,
    )
    cosine, ratio = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2)
    dress(cosine, "cosine of the gradients", palette)
    cosine.set_ylim(-1.05, 1.05)
    cosine.axhline(0.0, color=palette.mark, linewidth=1, linestyle="--", zorder=1)
    _plot(cosine, shown, "cosine")
    dress(ratio, "ratio of their norms", palette)
    ratio.set_yscale("log")
    ratio.axhline(1.0, color=palette.mark, linewidth=1, linestyle="--", zorder=1)
    _plot(ratio, shown, "norm_ratio")
    _label_ratios(ratio, palette)
    handles, labels = cosine.get_legend_handles_labels()
    look = {"frameon": False, "labelcolor": palette.ink, "fontsize": 8}
    figure.legend(handles, labels, loc="lower center", ncols=2, **look)
    return png(figure)


def _plot(axes: Axes, shown: Sequence[Line], key: str) -> None:
    for number, line in enumerate(shown):
        epochs = [record["epoch"] for record in line.records]
        axes.plot(
            epochs,
            [record[key] for record in line.records],
            color=_COLOURS[number],
            marker=_MARKERS[number],
            markersize=4 if len(epochs) <= 30 else 0,
            linewidth=1.8,
            label=f"{line.node}: {' / '.join(line.tasks)}",
        )


def _label_ratios(axes: Axes, palette: Palette) -> None:
    """Write ratios as plain numbers; a panel of less than a decade has no labels otherwise."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(which="both", colors=palette.ink, labelsize=8, length=0)
