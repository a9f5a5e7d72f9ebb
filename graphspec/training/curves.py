"""The learning curves of a run as a picture: loss, and the metric of each task, over epochs."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphspec.training.measures import found, measure
from graphspec.training.observer import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

_COLUMNS = 3
_PANEL_INCHES = (3.7, 2.6)
_LEGEND_INCHES = 0.4
DPI = 160


@dataclass(frozen=True)
class Palette:
    """Colours of one theme; the two lines stay apart for every kind of colour vision."""

    ground: str
    ink: str
    faint: str
    train: str
    validation: str
    mark: str


LIGHT = Palette("#ffffff", "#1f2933", "#d9dee5", "#b4560b", "#0b5cad", "#5b6775")
DARK = Palette("#161b22", "#e6e9ee", "#39414d", "#f2a65a", "#6cb2f7", "#a3adba")


def draw(records: Sequence[Record], best_epoch: int, dark: bool = False) -> bytes:
    """Draw the curves.

    Args:
        records: The lines of ``metrics.jsonl``; there is a panel for the loss and one for each
            task, with the metric that says most.
        best_epoch: The epoch whose weights were kept, marked in every panel; 0 for none.
        dark: Whether for a dark ground.

    Returns:
        A PNG file.
    """
    # Figure and canvas instead of pyplot: no global state and no window system is touched.
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    palette = DARK if dark else LIGHT
    # some metrics are measured on the validation split alone, in an order of their own
    validated = (record for record in records if record["split"] != "train")
    tasks = found(dict.fromkeys(key for record in (*validated, *records) for key in record))
    panels = [("loss", "loss")]
    panels += [
        (f"{task}/{names[0]}", f"{task}: {measure(names[0]).words}")
        for task, names in tasks.items()
        if names
    ]
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    size = (_PANEL_INCHES[0] * columns, _PANEL_INCHES[1] * rows + _LEGEND_INCHES)
    figure = Figure(figsize=size, dpi=DPI, facecolor=palette.ground)
    # fixed margins in inches: matplotlib's own layouts draw everything twice to find them
    figure.subplots_adjust(
        left=0.5 / size[0],
        right=1 - 0.15 / size[0],
        bottom=(0.5 + _LEGEND_INCHES) / size[1],
        top=1 - 0.35 / size[1],
        wspace=0.2,
        hspace=0.45,
    )
    for number, (metric, title) in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, columns, number)
        dress(axes, title, palette)
        _lines(axes, records, metric, palette)
        if metric.endswith("/top1"):
            _lines(axes, records, metric.replace("/top1", "/top5"), palette, thin=True)
        if measure(metric.rpartition("/")[2]).is_part:
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        if best_epoch:
            axes.axvline(best_epoch, color=palette.mark, linewidth=1, linestyle="--", zorder=1)
    figure.legend(
        handles=_legend(palette, any("top5" in n for n in tasks.values()), bool(best_epoch)),
        loc="lower center",
        ncols=4,
        frameon=False,
        labelcolor=palette.ink,
        fontsize=9,
    )
    return png(figure)


def png(figure: Figure) -> bytes:
    """Return a figure as a PNG file; the same figure is the same bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    canvas = FigureCanvasAgg(figure)
    # without the version of matplotlib in it
    canvas.print_png(buffer, metadata={"Software": None})  # type: ignore[no-untyped-call]
    return buffer.getvalue()


def data_uri(content: bytes, kind: str = "image/png") -> str:
    """Return a picture as an address that holds it; a picture shown so can run no script."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def dress(axes: Axes, title: str, palette: Palette) -> None:
    """Give a panel over epochs its title and its colours."""
    from matplotlib.ticker import MaxNLocator

    axes.set_facecolor(palette.ground)
    axes.set_title(title, loc="left", color=palette.ink, fontsize=11, fontweight="bold")
    axes.set_xlabel("epoch", color=palette.ink, fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.tick_params(colors=palette.ink, labelsize=8, length=0)
    axes.grid(color=palette.faint, linewidth=0.8)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _lines(
    axes: Axes, records: Sequence[Record], metric: str, palette: Palette, thin: bool = False
) -> None:
    """Draw a metric of both splits; one that is there for a single epoch is a dot."""
    style: dict[str, dict[str, Any]] = {
        "train": {"color": palette.train, "marker": "o"},
        "validation": {"color": palette.validation, "marker": "s"},
    }
    for split, look in style.items():
        points = [(r["epoch"], r[metric]) for r in records if r["split"] == split and metric in r]
        if not points:
            continue
        axes.plot(
            [epoch for epoch, _ in points],
            [value for _, value in points],
            linewidth=1.1 if thin else 2,
            linestyle=":" if thin else "-",
            markersize=(2.5 if thin else 4) if len(points) <= 30 else 0,
            **look,
        )


def _legend(palette: Palette, top5: bool, best: bool) -> list[Line2D]:
    """Return one entry for each kind of line, for all panels together."""
    from matplotlib.lines import Line2D

    entries = [
        Line2D([], [], color=palette.train, linewidth=2, marker="o", markersize=4, label="train"),
        Line2D(
            [], [], color=palette.validation, linewidth=2, marker="s", markersize=4,
            label="validation",
        ),
    ]  # fmt: skip
    if top5:
        label = "accuracy: solid top-1, dotted top-5"
        entries.append(Line2D([], [], color=palette.mark, linestyle=":", label=label))
    if best:
        entries.append(Line2D([], [], color=palette.mark, linestyle="--", label="kept weights"))
    return entries
