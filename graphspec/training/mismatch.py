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
    lines = differences(theirs, ours)
    shown = lines[:MAX_LINES] + (
        [f"... and {len(lines) - MAX_LINES} more"] * (len(lines) > MAX_LINES)
    )
    hint = "train the changed spec as a new run, with another `--out`"
    if lines:
        hint = "\n".join(["from it to this spec:", *(f"  {line}" for line in shown), hint])
    return fail(Code.RUN_MISMATCH, f"`{path}` belongs to another topology", hint)


def differences(theirs: str, ours: str) -> list[str]:
    """Return how two topologies differ, a line each; nothing where one cannot be read."""
    try:
        graphs = [compiler.check(compiler.load_text(text)).graph for text in (theirs, ours)]
    except SpecError:
        return []
    return difference.difference(graphs[0], graphs[1]).lines()
