"""What the pictures share: paper, colours, markers, and the way to SVG.

A picture is drawn once. Its colours are variables in the SVG, which has their values for a light
and a dark ground and for print, so that one file serves a page, a README and paper. Text stays
text. Series differ by colour, marker and line, so that no reader depends on colours.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from graphspec.training.curves import LIGHT, dress

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE = LIGHT

# Okabe and Ito's colours without black and yellow, and a grey: apart for every colour vision
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8b8b8b")
MARKERS = "osD^vP*X<>"
LineStyle = Literal["-", "--", "-.", ":"]
LINES: tuple[LineStyle, ...] = ("-", "--", "-.", ":")

BETTER, WORSE = COLOURS[0], COLOURS[1]

_DARK = {
    LIGHT.ink: "#e6e9ee", LIGHT.faint: "#39414d", LIGHT.mark: "#a3adba", LIGHT.ground: "#161b22",
    "#0072b2": "#4a9fe8", "#d55e00": "#ff8a3d", "#009e73": "#3ccfa4", "#cc79a7": "#e39cc4",
    "#56b4e9": "#a8dcfb", "#e69f00": "#f5bd4f", "#8b8b8b": "#b4b4b4",
}  # fmt: skip
"""The colours on a dark ground, each with at least 4.5 times its luminance."""

_FONTS = 'system-ui, -apple-system, "Segoe UI", Helvetica, Arial, "DejaVu Sans", sans-serif'

TEXT_POINTS = 9
_LETTER_INCHES = 0.082
"""Width of a letter of that size in the widest of the fonts."""

LONGEST_NAME = 34
"""Characters of a variant's name in a picture; the middle of a longer one is left out."""


@dataclass(frozen=True)
class Series:
    """How a variant is drawn, the same in every picture.

    Attributes:
        name: Its name, as a picture has it.
        colour: Its colour.
        marker: Its marker.
        line: The style of its line.
    """

    name: str
    colour: str
    marker: str
    line: LineStyle


def series(names: Sequence[str]) -> dict[str, Series]:
    """Return how each of some variants is drawn: no two alike for up to 280."""
    return {
        name: Series(
            short(name),
            COLOURS[number % len(COLOURS)],
            MARKERS[number % len(MARKERS)],
            LINES[number // len(COLOURS) % len(LINES)],
        )
        for number, name in enumerate(names)
    }


def short(name: str, longest: int = LONGEST_NAME) -> str:
    """Return a name without its middle where it is too long; and nothing that TeX would read."""
    name = " ".join(name.split()).replace("$", r"\$")
    if len(name) <= longest:
        return name
    half = (longest - 1) // 2
    return f"{name[:half]}…{name[-half:]}"


def width_of(names: Sequence[str]) -> float:
    """Return the width in inches that the longest of some texts takes."""
    return max(map(len, names), default=0) * _LETTER_INCHES


def panels(
    count: int,
    columns: int,
    inches: tuple[float, float],
    *,
    left: float = 0.72,
    between: float = 0.72,
    labels: Sequence[str] = (),
) -> tuple[Figure, list[Axes]]:
    """Lay out panels of a size with fixed margins.

    Args:
        count: Number of panels.
        columns: Most in a row.
        inches: Width and height of a panel's plot.
        left: Room for labels left of the first column, in inches.
        between: Room left of the other columns.
        labels: What a legend below the panels will say, for which room is left.
    """
    from matplotlib.figure import Figure

    columns = min(columns, count)
    rows = -(-count // columns)
    top, bottom, right = 0.4, 0.55, 0.2
    wide, high = inches
    width = left + columns * wide + (columns - 1) * between + right
    below = 0.15 + 0.2 * -(-len(labels) // _legend_columns(width, labels)) if labels else 0.0
    height = rows * (top + high + bottom) + below
    figure = Figure(figsize=(width, height), facecolor="none")
    found = []
    for number in range(count):
        row, column = divmod(number, columns)
        x = left + column * (wide + between)
        y = height - (row + 1) * (top + high + bottom) + bottom
        found.append(figure.add_axes((x / width, y / height, wide / width, high / height)))
    return figure, found


def dressed(axes: Axes, title: str, x_label: str, y_label: str = "") -> Axes:
    """Give a panel its title, labels and colours."""
    dress(axes, title, PALETTE)
    axes.set_facecolor("none")
    axes.set_title(short(title, 60), loc="left", color=PALETTE.ink, fontsize=10, fontweight="bold")
    axes.set_xlabel(x_label, color=PALETTE.ink, fontsize=TEXT_POINTS)
    if y_label:
        axes.set_ylabel(y_label, color=PALETTE.ink, fontsize=TEXT_POINTS)
    axes.tick_params(which="both", colors=PALETTE.ink, labelsize=8, length=0)
    return axes


def few_ticks(axes: Axes) -> None:
    """Leave no more numbers on the axis than stand side by side in a narrow panel."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(4))


def label_rows(axes: Axes, names: Sequence[str], shown: bool = True) -> None:
    """Make a panel one row a name, the first on top."""
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_yticks(range(len(names)), list(names) if shown else [""] * len(names))
    axes.tick_params(axis="y", labelsize=TEXT_POINTS)
    axes.grid(axis="y", visible=False)


def legend(figure: Figure, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """Put one legend below all panels, where `panels` has left room for its labels."""
    figure.legend(
        handles, labels, loc="lower center", ncols=_legend_columns(figure.get_figwidth(), labels),
        frameon=False, labelcolor=PALETTE.ink, fontsize=TEXT_POINTS, handlelength=2.2,
    )  # fmt: skip


def _legend_columns(width: float, labels: Sequence[str]) -> int:
    return max(1, min(len(labels), int(width / (width_of(labels) + 0.65))))


def svg(figure: Figure) -> str:
    """Return a figure as SVG whose colours follow the theme; the same figure is the same text."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    with (
        warnings.catch_warnings(),
        mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "graphspec"}),
    ):
        # names may be in any script; the reader's fonts have what matplotlib's own lacks
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        canvas = FigureCanvasSVG(figure)
        metadata = {"Date": None, "Creator": None}
        canvas.print_svg(buffer, metadata=metadata)  # type: ignore[no-untyped-call]
    return _themed(buffer.getvalue())


def _themed(text: str) -> str:
    """Turn the colours of an SVG into variables, and its fonts into those of the page."""
    text = re.sub(
        r"<\?xml.*?\?>\s*|<!DOCTYPE.*?>\s*|<metadata>.*?</metadata>\s*", "", text, flags=re.S
    )
    names = {colour: f"c{number}" for number, colour in enumerate(_DARK)}
    for colour, name in names.items():
        text = text.replace(colour, f"var(--{name})")
    text = re.sub(r"(font(?:-family)?: [^;\"]*?)'DejaVu Sans'[^;\"]*", r"\1sans-serif", text)
    light = "".join(f"--{name}:{colour};" for colour, name in names.items())
    dark = "".join(f"--{name}:{_DARK[colour]};" for colour, name in names.items())
    style = (
        f"<style>svg{{{light}}}"
        f"@media screen and (prefers-color-scheme:dark){{svg{{{dark}}}}}"
        f"text{{font-family:{_FONTS}!important}}</style>"
    )
    return re.sub(r"(<svg[^>]*>)", lambda found: found[1] + style, text, count=1)
