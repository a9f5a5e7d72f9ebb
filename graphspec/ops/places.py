"""Where the code of plugins stands: for the origin of an op, and for errors that arise in it.

A user who is told of a mistake in a plugin wants its file and line, however deep in torch the
exception arose.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import FrameType

from graphspec.errors import Source, Span

_OURS = str(Path(__file__).parents[1]) + os.sep
_HOMES: set[str] = set()


def add_home(path: str) -> None:
    """Take a file, or a folder with all files in it, for the user's own code."""
    _HOMES.add(path)


def is_ours(path: str) -> bool:
    """Return whether a file belongs to graphspec."""
    return path.startswith(_OURS)


def caller() -> str:
    """Return ``file:line`` of the code that called graphspec."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and is_ours(frame.f_code.co_filename):
        frame = frame.f_back
    return "" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"


def file_of(origin: str) -> str:
    """Return the file of an origin ``file:line``."""
    return origin.rpartition(":")[0]


def lines_of(error: BaseException) -> tuple[str, int] | None:
    """Return file and line of the innermost piece of a user's own code that an error passed.

    Args:
        error: An exception that was raised and caught.
    """
    found, trace = None, error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if name in _HOMES or any(str(folder) in _HOMES for folder in Path(name).parents):
            found = name, trace.tb_lineno
        trace = trace.tb_next
    if found is None and error.__cause__ is not None:
        return lines_of(error.__cause__)
    return found


def place_of(error: BaseException) -> str:
    """Return ``my_ops.py:14`` where an error arose in a plugin, else the empty string."""
    found = lines_of(error)
    return "" if found is None else shown(f"{found[0]}:{found[1]}")


def shown(path: str) -> str:
    """Return a path as it is shown: from the current folder where it lies in it."""
    folder = str(Path.cwd()) + os.sep
    return path.removeprefix(folder)


def line_span(path: Path, number: int) -> Span | None:
    """Return the place of a line of a file, without its indentation; None if it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    source = Source(shown(str(path)), text)
    lines = text.split("\n")
    if not 0 < number <= len(lines):
        return None
    line = lines[number - 1]
    start = sum(len(each) + 1 for each in lines[: number - 1])
    indentation = len(line) - len(line.lstrip())
    return Span(source, start + indentation, start + max(len(line.rstrip()), indentation + 1))
