"""``graphspec resolve``: what remains of a spec when all that it refers to is worked off."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from graphspec.cli import terminal
from graphspec.cli.options import (
    SPEC_HELP,
    Assignments,
    DataName,
    DataRoot,
    Plugins,
    overrides,
    shipped_specs,
)

EXAMPLES = (
    "graphspec resolve arch5 --set width=8",
    "graphspec resolve my.yaml -o flat.yaml",
)


def command(
    spec: Annotated[
        str, typer.Argument(metavar="SPEC", help=SPEC_HELP, autocompletion=shipped_specs)
    ],
    assignments: Assignments = None,
    data: DataName = None,
    data_root: DataRoot = None,
    plugins: Plugins = None,
    out: Annotated[
        str | None,
        typer.Option(
            "-o", "--out", metavar="FILE", help="A file; default: printed.", show_default=False
        ),
    ] = None,
) -> None:
    """Print a spec with everything worked off."""
    from graphspec import compiler
    from graphspec.language import files
    from graphspec.language.format import format_text

    checked = compiler.check(spec, overrides(assignments, data=data, data_root=data_root))
    terminal.report(checked.warnings)
    text = format_text(checked.spec.resolved_yaml(), "resolved spec")
    if out is None:
        sys.stdout.write(text)
    else:
        files.write_text(Path(out), text, "spec")
        print(out)
