"""``graphspec validate``: every mistake of every spec, at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from graphspec.cli import terminal
from graphspec.cli.options import (
    Assignments,
    DataName,
    DataRoot,
    MemoryLimit,
    Plugins,
    Specs,
    overrides,
)
from graphspec.errors import Diagnostic, Severity, SpecError, render_github, render_json

if TYPE_CHECKING:
    from graphspec.compiler import Checked
    from graphspec.language.compose import Override

EXAMPLES = (
    "graphspec validate specs/*.yaml",
    "graphspec validate arch5 --set width=8 --data fashion-mini",
    "graphspec validate arch5 --memory-limit 2GiB --strict",
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
    data_root: DataRoot = None,
    memory_limit: MemoryLimit = None,
    plugins: Plugins = None,
    strict: Annotated[bool, typer.Option("--strict", help="Treat warnings as mistakes.")] = False,
    form: Annotated[
        Report,
        typer.Option("--format", help="For people, for programs, or for a GitHub workflow."),
    ] = Report.TEXT,
) -> int:
    """Check specs: every mistake at once, with place and remedy."""
    asked = overrides(assignments, data=data, data_root=data_root)
    found: dict[Diagnostic, None] = {}
    faulty = 0
    for spec in specs:
        checked, diagnostics = _examined(spec, asked, memory_limit)
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


def _examined(
    spec: str, asked: Sequence[Override], memory_limit: str | None
) -> tuple[Checked | None, list[Diagnostic]]:
    """Return the checked spec, or None where it has mistakes; and all that was found."""
    from graphspec.training.check import checked

    try:
        found = checked(spec, asked, memory_limit)
    except SpecError as error:
        return None, list(error.diagnostics)
    return found, list(found.warnings)


def _good(name: str, checked: Checked) -> str:
    from graphspec.backends.wording import count_text
    from graphspec.graph.reachability import count_parameters

    graph = checked.graph
    parameters = count_text(count_parameters(graph))
    return (
        f"{name}: ok, {_plural(len(graph.nodes), 'node')}, {parameters} parameters, "
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
