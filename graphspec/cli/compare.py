"""``graphspec compare``: runs that exist, compared with a baseline over seeds."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from graphspec.cli import terminal
from graphspec.cli.options import Format, Plugins, TextOrJson

EXAMPLES = (
    "graphspec compare runs/",
    "graphspec compare runs/arch1-* runs/arch5-* --baseline arch1 --out comparisons/one-and-five",
    "graphspec compare runs/ --format json",
)

COMPARISONS = Path("comparisons")
"""Where reports go when ``--out`` does not say otherwise."""


def command(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN",
            help="Run folders, or folders that hold runs; runs that differ in the seed alone "
            "belong together.",
            show_default=False,
        ),
    ],
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline",
            metavar="NAME",
            help="The variant that the others are compared with; default: the first.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Folder of the report; default: comparisons/YYYYMMDD-HHMMSS, and none with "
            "--format json.",
            show_default=False,
        ),
    ] = None,
    plugins: Plugins = None,
    form: TextOrJson = Format.TEXT,
) -> None:
    """Compare runs over seeds: what helped which task, and how sure."""
    from graphspec.cli import verdicts
    from graphspec.study import gathering, report

    folder = None if out is None else Path(out)
    if form is Format.TEXT and folder is None:
        folder = COMPARISONS / f"{datetime.now():%Y%m%d-%H%M%S}"
    if folder is not None:
        report.check_free(folder)
    found = gathering.compare(runs, baseline, folder)
    if form is Format.JSON:
        print(json.dumps(found.record(), indent=2, ensure_ascii=False))
        return
    for text in found.remarks:
        terminal.remark(text, "note")
    verdicts.show(found)
    print(f"\nreport: {folder / report.HTML if folder else ''}")
