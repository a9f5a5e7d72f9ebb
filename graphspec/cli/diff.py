"""``graphspec diff``: in what two specs or runs differ, as text, JSON or one diagram of both."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from graphspec.cli import terminal
from graphspec.cli.options import (
    Assignments,
    DataName,
    DataRoot,
    Format,
    Plugins,
    Tasks,
    TextOrJson,
    overrides,
    shipped_specs,
    split,
)

EXAMPLES = (
    "graphspec diff arch2 arch5",
    "graphspec diff arch2 arch5 -o difference.svg",
    "graphspec diff arch5 arch5 --set-b width=16",
    "graphspec diff runs/first runs/second --format json",
)

DIFFERENT = 1
"""Exit code under ``--exit-code`` where the two differ."""

_HELP = "A spec's file, the name of a shipped one, or the folder of a run."
_COLOURS = {"-": "31", "+": "32", "~": "33"}


def command(
    a: Annotated[
        str,
        typer.Argument(metavar="A", help=_HELP, autocompletion=shipped_specs, show_default=False),
    ],
    b: Annotated[
        str,
        typer.Argument(
            metavar="B", help="Another.", autocompletion=shipped_specs, show_default=False
        ),
    ],
    out: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--out",
            metavar="FILE",
            help="Draw both as one diagram, too: a file that ends in .svg, .png, .dot or .mmd.",
            show_default=False,
        ),
    ] = None,
    depth: Annotated[
        int | None,
        typer.Option(
            "--depth",
            min=0,
            metavar="N",
            help="Open blocks of the diagram N levels deep. Default: all open.",
            show_default=False,
        ),
    ] = None,
    tasks: Tasks = None,
    assignments: Assignments = None,
    only_a: Annotated[
        list[str] | None,
        typer.Option(
            "--set-a", metavar="KEY=VALUE", help="As --set, for A alone.", show_default=False
        ),
    ] = None,
    only_b: Annotated[
        list[str] | None,
        typer.Option(
            "--set-b", metavar="KEY=VALUE", help="As --set, for B alone.", show_default=False
        ),
    ] = None,
    data: DataName = None,
    data_root: DataRoot = None,
    plugins: Plugins = None,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 1 if the two differ.")
    ] = False,
    form: TextOrJson = Format.TEXT,
) -> None:
    """Show in what two specs or runs differ."""
    from graphspec.backends import diagram
    from graphspec.training.difference import diff

    if out is not None:
        diagram.format_of(Path(out))
    found = diff(
        a,
        b,
        overrides=overrides(assignments, data=data, data_root=data_root),
        overrides_a=overrides(only_a, option="--set-a"),
        overrides_b=overrides(only_b, option="--set-b"),
        tasks=split(tasks),
    )
    terminal.report(found.warnings)
    # The file first: a reader that goes away, as `head` does, ends what is printed.
    path = None if out is None else found.render(out, depth)
    if form is Format.JSON:
        print(json.dumps(found.plain(), indent=2, ensure_ascii=False), flush=True)
    else:
        colour = terminal.coloured(sys.stdout)
        print("\n".join(_shown(line, colour) for line in found.lines()), flush=True)
    if path is not None:
        if form is Format.JSON:
            terminal.remark(str(path))
        else:
            print(f"\n{path}", flush=True)
    if exit_code and not found.is_empty:
        raise typer.Exit(DIFFERENT)


def _shown(line: str, colour: bool) -> str:
    """Return a line in the colour of its sign."""
    code = _COLOURS.get(line[:1]) if colour and line[1:2] == " " else None
    return f"\x1b[{code}m{line}\x1b[0m" if code else line
