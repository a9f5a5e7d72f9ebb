"""``graphspec eject``: a spec as one file of plain PyTorch."""

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
    Tasks,
    overrides,
    shipped_specs,
    split,
)
from graphspec.errors import Code, fail

EXAMPLES = (
    "graphspec eject arch5",
    "graphspec eject arch5 --set width=16 --tasks fine -o fine_only.py",
    "graphspec eject zoo/resnet50 -o -",
)

STDOUT = "-"


def command(
    spec: Annotated[
        str, typer.Argument(metavar="SPEC", help=SPEC_HELP, autocompletion=shipped_specs)
    ],
    out: Annotated[
        str, typer.Option("-o", "--out", metavar="FILE", help="The file, or - for stdout.")
    ] = "model.py",
    tasks: Tasks = None,
    assignments: Assignments = None,
    data: DataName = None,
    data_root: DataRoot = None,
    plugins: Plugins = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
) -> None:
    """Write a model as plain PyTorch, free of graphspec."""
    from graphspec import compiler

    path = None if out == STDOUT else _target(out, force)
    checked = compiler.check(spec, overrides(assignments, data=data, data_root=data_root))
    terminal.report(checked.warnings)
    text = compiler.eject(checked.graph, path, split(tasks))
    if path is None:
        sys.stdout.write(text)
    else:
        print(path)


def _target(out: str, force: bool) -> Path:
    """Return the file to write.

    Raises:
        SpecError: ``bad-option`` if it is no Python file, ``cannot-write`` if it is there.
    """
    path = Path(out)
    if path.suffix != ".py":
        hint = f"for example `-o {path / 'model.py' if path.is_dir() else path.with_suffix('.py')}`"
        raise fail(Code.BAD_OPTION, f"`-o {out}` does not end in `.py`", hint)
    if path.exists() and not force:
        hint = "`--force` overwrites it, `-o FILE` writes elsewhere"
        raise fail(Code.CANNOT_WRITE, f"`{path}` is there already", hint)
    return path
