"""A comparison on the terminal: the answer in sentences, and the table."""

from __future__ import annotations

import shutil
import sys
import textwrap
from functools import partial
from typing import TYPE_CHECKING

from graphspec.cli import terminal

if TYPE_CHECKING:
    from rich.table import Table

    from graphspec.study.comparison import Comparison

_TEXT_WIDTH = 100
"""Most columns of a sentence, and those where there is no terminal."""

_COLOURS = {"better": "green", "worse": "red"}


def show(found: Comparison) -> None:
    """Print what a comparison says, and its tables.

    Args:
        found: The comparison.
    """
    from graphspec.study import answer

    columns = shutil.get_terminal_size().columns if terminal.is_terminal(sys.stdout) else 100
    width = min(columns, _TEXT_WIDTH)
    print(textwrap.fill(answer.headline(found), width))
    for paragraph in answer.paragraphs(found):
        print()
        print(paragraph.heading)
        for sentence in paragraph.sentences:
            print(textwrap.fill(sentence, width, initial_indent="  ", subsequent_indent="  "))
    print()
    terminal.show(_table(found), partial(_table, found, narrow=True))


def _table(found: Comparison, narrow: bool = False) -> Table:
    """Return mean and difference of every variant by task; a narrow one without intervals."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from graphspec.backends.wording import count_text
    from graphspec.study import answer, tables

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("variant", overflow="fold")
    for title in ("seeds",) if narrow else ("seeds", "parameters"):
        table.add_column(title, justify="right")
    metrics = [*found.main, *([found.delta] if found.delta else [])]
    for metric in metrics:
        if metric.task:
            table.add_column(metric.title, justify="right")
        table.add_column("difference" if metric.task else metric.title, justify="right")
    for variant in found.variants:
        row: list[str | Text] = [variant.name, str(len(variant.results))]
        row += [] if narrow else [count_text(variant.parameters)]
        for metric in metrics:
            cell = found.cell(variant.name, metric.key)
            if metric.task:
                row.append(tables.mean_text(cell))
            if cell is None or cell.paired is None:
                row.append("baseline" if variant.name == found.baseline else tables.NOTHING)
                continue
            text = answer.number_change(metric, cell.paired.mean)
            if cell.interval is not None and not narrow:
                text += f" ({answer.span(metric, cell.interval)})"
            row.append(Text(text, style=_COLOURS.get(cell.verdict.value, "")))
        table.add_row(*row)
    return table
