"""Finding the run that a user means: by its folder, by a file in it, or the newest unfinished."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from graphspec.errors import Code, SpecError, fail
from graphspec.training import folder
from graphspec.training.trained import Run

if TYPE_CHECKING:
    from graphspec.language.models import Spec

RUNS = Path("runs")
"""Where runs are when ``--out`` does not say otherwise."""


def named(path: str) -> Path:
    """Return the run folder that a user names.

    Raises:
        SpecError: ``not-a-run``; a file in a run folder is answered with the folder's name.
    """
    found = Path(path)
    if found.is_file() and folder.is_run(found.parent):
        message = f"`{path}` is a file of a run, not its folder"
        raise fail(Code.NOT_A_RUN, message, f"name the folder: `{found.parent}`")
    return folder.require_run(found)


def newest_unfinished(spec: Spec, data: str | None, where: Path = RUNS) -> Path:
    """Return the newest run of a spec that was interrupted or died.

    Args:
        spec: The spec, with what ``--set`` asks.
        data: What ``--data`` asks, or None for any data.
        where: The folder of runs.

    Raises:
        SpecError: ``not-a-run`` if there is none; runs of the same name whose topology differs
            are named.
    """
    others, finished = [], []
    for path in _by_age(where):
        stored = _spec(path)
        if stored is None or stored.name != spec.name:
            continue
        if _is_finished(path):
            finished.append(path)
            continue
        same_data = data is None or (stored.data is not None and stored.data.source == data)
        if stored.hash() == spec.hash() and same_data:
            return path
        others.append(path)
    message = f"`{where}` has no unfinished run of `{spec.name}`"
    hint = "name the folder of a run with `--out`, or train without `--resume`"
    if others:
        message += " with this topology and data"
        hint = f"an unfinished run of other values: `graphspec train {others[0]} --resume`"
    elif finished:
        hint = f"take a finished one further: `graphspec train {finished[0]} --resume --epochs N`"
    raise fail(Code.NOT_A_RUN, message, hint)


def _by_age(where: Path) -> Sequence[Path]:
    """Return the runs in a folder, the one that was written to last first."""
    if not where.is_dir():
        return ()
    found = [path for path in where.iterdir() if folder.is_run(path)]
    return sorted(found, key=folder.written, reverse=True)


def _is_finished(path: Path) -> bool:
    """Return whether a run has come to its end; one without a readable summary has not."""
    try:
        return (path / folder.SUMMARY).is_file() and Run.open(path).status == "finished"
    except SpecError:
        return False


def _spec(path: Path) -> Spec | None:
    """Return the spec of a run, or None where it is damaged."""
    from graphspec import compiler

    try:
        return compiler.load(path / folder.SPEC)
    except SpecError:
        return None
