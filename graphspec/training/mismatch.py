"""What is said when a checkpoint or a run belongs to another topology: how the two differ."""

from __future__ import annotations

from pathlib import Path

from graphspec import compiler
from graphspec.errors import Code, SpecError, fail
from graphspec.graph import difference

MAX_LINES = 12
"""How many differences a message lists."""


def another_topology(path: Path, theirs: str, ours: str) -> SpecError:
    """Make the error for something of another topology.

    Args:
        path: The file or run folder.
        theirs: Text of its resolved spec; empty where that is not known.
        ours: Text of the spec that it was to fit.
    """
    hint = "train the changed spec as a new run, with another `--out`"
    message = f"`{path}` belongs to another topology"
    return fail(Code.RUN_MISMATCH, message, told(theirs, ours) + hint)


def told(theirs: str, ours: str) -> str:
    """Return how two topologies differ as lines of a hint, each with its end."""
    lines = differences(theirs, ours)
    if len(lines) > MAX_LINES:
        lines = [*lines[:MAX_LINES], f"... and {len(lines) - MAX_LINES} more"]
    first = ["from that topology to this one:"] if lines else []
    return "".join(f"{line}\n" for line in [*first, *(f"  {line}" for line in lines)])


def differences(theirs: str, ours: str) -> list[str]:
    """Return how two topologies differ, a line each; nothing where one cannot be read."""
    try:
        graphs = [compiler.check(compiler.load_text(text)).graph for text in (theirs, ours)]
    except SpecError:
        return []
    return difference.difference(graphs[0], graphs[1]).lines()
