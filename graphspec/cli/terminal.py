"""How the command line speaks: colours, widths, and which stream gets what.

Results go to stdout. Mistakes, warnings and remarks go to stderr, so that a pipe carries results
only.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TextIO

from graphspec.errors import Diagnostic, render_text

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

PIPE_WIDTH = 120
"""Least width of a table that does not go to a terminal, in characters."""

_UNBOUNDED = 100_000
"""Columns that no table needs."""


def tolerate_encodings() -> None:
    """Let a stream that cannot say ``×`` say ``?`` instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def without_colour() -> None:
    """Switch colours off for the rest of the process and its children (https://no-color.org)."""
    os.environ["NO_COLOR"] = "1"
    os.environ.pop("FORCE_COLOR", None)


def coloured(stream: TextIO) -> bool:
    """Return whether a stream gets colours: ``NO_COLOR``, ``FORCE_COLOR``, else what it is."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return is_terminal(stream) and os.environ.get("TERM") != "dumb"


def is_terminal(stream: TextIO) -> bool:
    """Return whether a person sits at the other end of a stream."""
    return not stream.closed and stream.isatty()


def report(diagnostics: Iterable[Diagnostic]) -> None:
    """Show mistakes and warnings on stderr."""
    text = render_text(diagnostics, colour=coloured(sys.stderr))
    if text:
        print(text, file=sys.stderr, flush=True)


def remark(text: str, kind: str = "") -> None:
    """Say something on stderr that is not a result, after a coloured word such as ``warning``."""
    if kind:
        shown = f"\x1b[1;33m{kind}\x1b[0m" if coloured(sys.stderr) else kind
        text = f"{shown}: {text}"
    print(text, file=sys.stderr, flush=True)


def console(width: int | None = None) -> Console:
    """Return a rich console on stdout that guesses neither markup nor emoji.

    Args:
        width: Columns; None for the terminal's, or `PIPE_WIDTH` in a pipe.
    """
    from rich.console import Console

    terminal = is_terminal(sys.stdout)
    with_colours = coloured(sys.stdout)
    return Console(
        width=width or (None if terminal else PIPE_WIDTH),
        force_terminal=terminal or with_colours,
        color_system=("auto" if terminal else "standard") if with_colours else None,
        highlight=False,
        markup=False,
        emoji=False,
    )


def show(table: RenderableType, narrow: Callable[[], RenderableType] | None = None) -> None:
    """Print a table on stdout.

    Args:
        table: The table.
        narrow: Makes the same in another shape, for a terminal that is too narrow for the first;
            a pipe then gets the table as wide as it is, one line a row. Without it the cells of
            the table are folded.
    """
    from rich.measure import Measurement

    out = console()
    if narrow is not None:
        unbounded = out.options.update(width=_UNBOUNDED)
        widest = Measurement.get(out, unbounded, table).maximum
        if not is_terminal(sys.stdout):
            out = console(max(PIPE_WIDTH, widest))
        elif widest > out.width:
            table = narrow()
    with out.capture() as captured:
        out.print(table)
    print("\n".join(line.rstrip() for line in captured.get().split("\n")), end="")
