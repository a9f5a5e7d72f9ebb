"""How the command line speaks: colours, widths, and which stream gets what.

Results go to stdout. Mistakes, warnings and remarks go to stderr, so that a pipe carries results
only.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, TextIO

from graphspec.errors import Diagnostic, render_text

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

PIPE_WIDTH = 120
"""Least width of a table that does not go to a terminal, in characters."""


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
    """Return whether a stream gets colours: a terminal does, ``NO_COLOR`` and ``FORCE_COLOR`` win."""
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


def console() -> Console:
    """Return a rich console on stdout that neither guesses markup nor cuts what goes to a pipe."""
    from rich.console import Console

    terminal = is_terminal(sys.stdout)
    return Console(
        width=None if terminal else PIPE_WIDTH,
        force_terminal=coloured(sys.stdout),
        color_system="auto" if terminal else "standard",
        no_color=not coloured(sys.stdout),
        highlight=False,
        markup=False,
        emoji=False,
    )


def show(*parts: RenderableType) -> None:
    """Print tables and texts on stdout: folded into a terminal's width, whole in a pipe."""
    from rich.measure import Measurement

    out = console()
    if not is_terminal(sys.stdout):
        unbounded = out.options.update(width=100_000)
        widest = max(Measurement.get(out, unbounded, part).maximum for part in parts)
        out.width = max(PIPE_WIDTH, widest)
    for part in parts:
        out.print(part)
