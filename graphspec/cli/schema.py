"""``graphspec schema``: the language as a JSON Schema, for editors."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from graphspec.cli.options import Plugins

EXAMPLES = (
    "graphspec schema > graphspec.schema.json",
    "graphspec schema --plugin my_ops.py -o my.schema.json",
    "graphspec schema --study > study.schema.json",
)


def command(
    plugins: Plugins = None,
    study: Annotated[
        bool, typer.Option("--study", help="The schema of study.yaml instead of a spec's.")
    ] = False,
    out: Annotated[
        str | None,
        typer.Option(
            "-o", "--out", metavar="FILE", help="A file; default: printed.", show_default=False
        ),
    ] = None,
) -> None:
    """Print the language as a JSON Schema, for editors."""
    from graphspec.backends import schema
    from graphspec.data.sources import SOURCES
    from graphspec.language import files

    text = schema.write_study() if study else schema.write(SOURCES)
    if out is None:
        sys.stdout.write(text)
    else:
        files.write_text(Path(out), text, "schema")
        print(out)
