"""Checking a spec with its recipe, so that one run shows the mistakes of both.

The compiler knows no trainer, and so cannot say whether an optimizer takes an argument; the
trainer can.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from graphspec.errors import Diagnostic, Sink, SpecError

if TYPE_CHECKING:
    from graphspec.compiler import Checked
    from graphspec.language.compose import Override
    from graphspec.language.models import Spec


def require(spec: str | Path, asked: Sequence[Override]) -> Checked:
    """Return a spec that has no mistakes.

    Raises:
        SpecError: With every mistake of the spec and its recipe.
    """
    checked, diagnostics = examine(spec, asked)
    if checked is None:
        raise SpecError(diagnostics)
    return checked


def examine(
    spec: str | Path, asked: Sequence[Override], memory_limit: str | None = None
) -> tuple[Checked | None, list[Diagnostic]]:
    """Check one spec with its recipe.

    Args:
        spec: A path or the name of a shipped spec.
        asked: What the options set.
        memory_limit: See `graphspec.compiler.check`.

    Returns:
        The checked spec, or None where it has mistakes; and all mistakes and warnings.
    """
    from graphspec import compiler

    sink = Sink()
    checked: Checked | None = None
    loaded: Spec | None = None
    try:
        checked = compiler.check(spec, asked, memory_limit)
        loaded = checked.spec
        found = checked.warnings
    except SpecError as error:
        found = error.diagnostics
        loaded = _loaded(spec, asked)
    for item in found:
        sink.add(item)
    if loaded is not None:
        _check_recipe(loaded, checked, sink)
    return (None if sink.has_errors else checked), list(sink.diagnostics)


def _loaded(spec: str | Path, asked: Sequence[Override]) -> Spec | None:
    """Return a spec whose sections are right although its graph is not, or None."""
    from graphspec import compiler

    try:
        return compiler.load(spec, asked)
    except SpecError:
        return None


def _check_recipe(spec: Spec, checked: Checked | None, sink: Sink) -> None:
    """Check what only the trainer knows: the optimizer's arguments, metrics, the device's name."""
    from graphspec.training.check import check

    tasks = checked.graph.tasks.items() if checked else None
    classes = None if tasks is None else {name: task.classes for name, task in tasks}
    check(spec.train, classes, sink, spec.tree.locate)
