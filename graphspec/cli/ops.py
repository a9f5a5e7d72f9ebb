"""``graphspec ops``: the vocabulary, and the page of one op."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from graphspec.cli import terminal
from graphspec.cli.options import Format, Plugins, TextOrJson

if TYPE_CHECKING:
    from rich.table import Table

    from graphspec.ops.describe import OpPage
    from graphspec.ops.registry import Op

EXAMPLES = (
    "graphspec ops",
    "graphspec ops conv",
    "graphspec ops LSTM --format json",
    "graphspec ops --plugin my_ops.py",
)


def command(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Show this op's page.", show_default=False),
    ] = None,
    plugins: Plugins = None,
    form: TextOrJson = Format.TEXT,
) -> None:
    """List the ops that a node may name, or show one."""
    from graphspec.ops import describe, load_ops
    from graphspec.ops.plugins import broken

    if name is not None:
        page = describe.document(load_ops().get(name))
        if form is Format.JSON:
            print(json.dumps(asdict(page), indent=2, ensure_ascii=False))
        else:
            _show_page(page)
        return
    catalogue = describe.catalogue()
    terminal.report(broken("graphspec.ops"))
    if form is Format.JSON:
        listed = [
            {
                "name": op.name,
                "category": category,
                "summary": op.summary,
                "origin": describe.origin_of(op),
            }
            for category, found in catalogue.items()
            for op in found
        ]
        print(json.dumps(listed, indent=2, ensure_ascii=False))
        return
    for category, found in catalogue.items():
        if found:
            print(f"{describe.CATEGORIES.get(category, category)}\n")
            terminal.show(_listing(found))
            print()
    print("`graphspec ops NAME` shows one: its arguments, their defaults, an example.")


def _listing(found: list[Op]) -> Table:
    from rich.table import Table

    from graphspec.ops import describe

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1))
    table.add_column(min_width=18, style="bold" if terminal.coloured(sys.stdout) else "")
    table.add_column(overflow="fold")
    for op in found:
        origin = describe.origin_of(op)
        table.add_row(f"  {op.name}", _plain(op.summary) + (f" ({origin})" if origin else ""))
    return table


def _show_page(page: OpPage) -> None:
    from rich import box
    from rich.table import Table

    print(f"{page.name} ({page.category}): {_plain(page.summary)}\n")
    if page.details:
        print(f"{page.details}\n")
    if page.origin:
        print(f"defined in {page.origin}")
    print(f"takes {page.inputs}")
    if page.shorthand is not None:
        print(f"short form in `layers:`: {{{page.name}: {page.shorthand.upper()}}}")
    if page.arguments:
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        table.add_column("argument", no_wrap=True)
        table.add_column("takes", overflow="fold")
        table.add_column("default", overflow="fold")
        table.add_column("meaning", overflow="fold")
        for item in page.arguments:
            table.add_row(item.name, item.type, item.default or "required", item.description)
        print()
        terminal.show(table)
    else:
        print("it has no arguments")
    print(f"\nexample:\n\n{page.example.rstrip()}")


def _plain(text: str) -> str:
    """Return a docstring's sentence with the backticks of a terminal, not of reStructuredText."""
    return text.replace("``", "`")
