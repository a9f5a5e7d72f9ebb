"""``graphspec runs``: the runs there are, with what they reached."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphspec.cli import terminal
from graphspec.cli.options import Format, Plugins, TextOrJson

if TYPE_CHECKING:
    from rich.table import Table

    from graphspec.training.listing import Listed

EXAMPLES = (
    "graphspec runs",
    "graphspec runs studies/first --format json",
)


def command(
    where: Annotated[str, typer.Argument(metavar="DIR", help="Folder that holds runs.")] = "runs",
    plugins: Plugins = None,
    form: TextOrJson = Format.TEXT,
) -> None:
    """List runs, the newest first: data, state and metrics."""
    from graphspec.training.listing import runs

    found = runs(where)
    if form is Format.JSON:
        print(json.dumps([_record(run) for run in found], indent=2, ensure_ascii=False))
        return
    if not found:
        terminal.remark(f"`{where}` holds no runs; `graphspec train` makes some")
        return
    terminal.show(_table(found), partial(_table, found, narrow=True))
    for run in found:
        if run.state == "damaged":
            terminal.remark(run.why, "warning")


def _record(run: Listed) -> dict[str, Any]:
    return asdict(run) | {"folder": str(run.folder)}


def _table(found: list[Listed], narrow: bool = False) -> Table:
    from rich import box
    from rich.table import Table

    from graphspec.backends.wording import count_text
    from graphspec.training.listing import ago
    from graphspec.training.summary import duration

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for title in ("run", "spec", "data", "state"):
        table.add_column(title, overflow="fold")
    table.add_column("epochs", justify="right")
    wide = () if narrow else ("seed", "parameters", "time", "written")
    for title in wide:
        table.add_column(title, justify="right")
    table.add_column("reached", overflow="fold")
    for run in found:
        row = [str(run.folder), run.spec, run.data, run.state]
        row.append(f"{run.epochs}/{run.epochs_asked}" if run.epochs_asked else "")
        if not narrow:
            row += [
                "" if run.seed is None else str(run.seed),
                "" if run.parameters is None else count_text(run.parameters),
                duration(run.seconds) if run.seconds else "",
                f"{ago(run.written)} ago",
            ]
        table.add_row(*row, _reached(run))
    return table


def _reached(run: Listed) -> str:
    """Return the first metric of each task in words: ``test: fine top-1 83.1 %``."""
    from graphspec.training.measures import MEASURES

    parts = []
    for metric, value in (run.metrics or {}).items():
        task, _, name = metric.rpartition("/")
        parts.append(f"{task} {MEASURES[name].title} {MEASURES[name].text(value)}")
    return f"{run.split}: {', '.join(parts)}" if parts else ""
