"""``graphspec validate``: every mistake of every spec, at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from graphspec.cli import terminal
from graphspec.cli.options import Assignments, DataName, MemoryLimit, Specs, overrides
from graphspec.errors import (
    Diagnostic,
    Severity,
    Sink,
    SpecError,
    render_github,
    render_json,
)

if TYPE_CHECKING:
    from graphspec.compiler import Checked
    from graphspec.language.compose import Override
    from graphspec.language.models import Spec

EXAMPLES = (
    "$ graphspec validate specs/*.yaml",
    "$ graphspec validate arch5 --set width=8 --data fashion-mini",
    "$ graphspec validate arch5 --memory-limit 2GiB --strict",
)


class Report(str, Enum):
    """How mistakes are written."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"


def command(
    specs: Specs,
    assignments: Assignments = None,
    data: DataName = None,
    memory_limit: MemoryLimit = None,
    strict: Annotated[bool, typer.Option("--strict", help="Treat warnings as mistakes.")] = False,
    form: Annotated[
        Report,
        typer.Option("--format", help="For people, for programs, or for a GitHub workflow."),
    ] = Report.TEXT,
) -> int:
    """Check specs: every mistake at once, each with its place and what to do."""
    asked = overrides(assignments, data=data)
    found: dict[Diagnostic, None] = {}
    faulty = 0
    for spec in specs:
        checked, diagnostics = examine(spec, asked, memory_limit)
        if strict:
            diagnostics = [replace(item, severity=Severity.ERROR) for item in diagnostics]
        wrong = any(item.severity is Severity.ERROR for item in diagnostics)
        faulty += wrong
        if form is Report.TEXT:
            # A mistake in a file that several specs extend is told once.
            terminal.report(item for item in diagnostics if item not in found)
            if wrong or checked is None:
                known = all(item in found for item in diagnostics)
                terminal.remark(f"{spec}: {_counted(diagnostics)}{', see above' if known else ''}")
            else:
                print(_good(spec, checked), flush=True)
        found.update(dict.fromkeys(diagnostics))
    if form is Report.JSON:
        print(render_json(found))
    elif form is Report.GITHUB and found:
        print(render_github(found))
    if form is Report.TEXT and faulty and len(specs) > 1:
        terminal.remark(f"{faulty} of {len(specs)} specs have mistakes")
    return 2 if faulty else 0


def examine(
    spec: str, asked: Sequence[Override], memory_limit: str | None = None
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


def _loaded(spec: str, asked: Sequence[Override]) -> Spec | None:
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
    check(spec.train, classes, sink, lambda path: spec.locate(*path))


def _good(name: str, checked: Checked) -> str:
    from graphspec.backends.wording import count_text
    from graphspec.graph.analysis import parameters_of

    graph = checked.graph
    parameters = sum(parameters_of(weights) for weights in graph.weights.values())
    return (
        f"{name}: ok, {_plural(len(graph.nodes), 'node')}, {count_text(parameters)} parameters, "
        f"tasks {', '.join(graph.tasks)}"
    )


def _counted(diagnostics: Sequence[Diagnostic]) -> str:
    errors = sum(item.severity is Severity.ERROR for item in diagnostics)
    warnings = len(diagnostics) - errors
    parts = [_plural(errors, "error")] if errors else []
    parts += [_plural(warnings, "warning")] if warnings else []
    return ", ".join(parts)


def _plural(count: int, word: str) -> str:
    return f"{count:,} {word}" + ("" if count == 1 else "s")
