"""``graphspec data``: what a data set holds, before anything is trained on it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from graphspec.cli import terminal
from graphspec.cli.options import (
    SPEC_HELP,
    Assignments,
    DataName,
    DataRoot,
    Format,
    Plugins,
    TextOrJson,
    overrides,
    shipped_specs,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from graphspec.data.column import Use
    from graphspec.data.leakage import Repeats
    from graphspec.training.overview import Overview, TaskOverview

EXAMPLES = (
    "graphspec data arch5 --data fashion-mini",
    "graphspec data my.yaml --sheet sheet.png",
    "graphspec data arch5 --data folder --data-root pictures --set data.size=32",
)

MOST_CLASSES = 40
"""Classes of a task that are listed; of more, the most and the least frequent are."""


def command(
    spec: Annotated[
        str,
        typer.Argument(
            metavar="SPEC", help=SPEC_HELP, autocompletion=shipped_specs, show_default=False
        ),
    ],
    data: DataName = None,
    data_root: DataRoot = None,
    assignments: Assignments = None,
    sheet: Annotated[
        str | None,
        typer.Option(
            "--sheet",
            metavar="FILE",
            help="Write a contact sheet of augmented pictures, as PNG.",
            show_default=False,
        ),
    ] = None,
    plugins: Plugins = None,
    form: TextOrJson = Format.TEXT,
) -> None:
    """Show what a data set holds: classes, balance, hierarchy, leaks."""
    from graphspec import compiler
    from graphspec.cli.progress import Lines
    from graphspec.training.overview import describe_data

    # loaded here, mistakes in options point at them
    loaded = compiler.load(spec, overrides(assignments, data=data, data_root=data_root))
    found = describe_data(loaded, sheet_path=sheet, watch=Lines().reading)
    if form is Format.JSON:
        print(json.dumps(found.record(), indent=2, ensure_ascii=False))
        return
    terminal.report(found.warnings)
    print("\n".join(_head(found)), flush=True)
    if found.columns:
        print(flush=True)
        terminal.show(_columns(found.columns))
    for task in found.tasks:
        print("\n" + "\n".join(_task(task)), flush=True)
        if task.counts:
            terminal.show(_table(task))
    print("\n" + "\n".join(_repeated(found)), flush=True)
    if found.sheet is not None:
        print(f"\ncontact sheet: {found.sheet}", flush=True)


def _head(found: Overview) -> list[str]:
    counts = ", ".join(f"{count:,} {split}" for split, count in found.samples.items())
    lines = [
        f"{found.name} from {found.origin}",
        f"{counts} {found.unit}; {found.storage}",
        f"fingerprint {found.fingerprint}",
    ]
    for name, item in found.inputs.items():
        text = f"input {name}: {'x'.join(map(str, item.shape))} {item.dtype}"
        if name in found.channels:
            mean, std = (", ".join(f"{v:.4f}" for v in each) for each in found.channels[name])
            text += f"; mean {mean}; deviation {std}"
        lines.append(text)
    return lines


def _columns(columns: Sequence[Use]) -> Table:
    """Return the columns of a table, what they hold and what they are used for."""
    table = _plain_table()
    table.add_column("column", overflow="fold")
    table.add_column("holds", overflow="fold")
    table.add_column("missing", justify="right", overflow="fold")
    table.add_column("used as", overflow="fold")
    for place, each in enumerate(columns):
        hidden = len(columns) - MOST_CLASSES
        if hidden > 0 and MOST_CLASSES // 2 <= place < len(columns) - MOST_CLASSES // 2:
            if place == MOST_CLASSES // 2:
                table.add_row(f"... {hidden:,} more")
            continue
        table.add_row(each.column, each.holds, f"{each.missing:,}", each.purpose)
    return table


def _plain_table() -> Table:
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))


def _task(task: TaskOverview) -> list[str]:
    """Return what is to be said of a task besides its counts."""
    lines = [f"{task.task}: {task.spec.text}"]
    if task.spec.parent is not None:
        lines[0] += f", each in one class of {task.spec.parent}"
    lacking = [f"{count:,} of {split}" for split, count in task.missing.items() if count]
    if lacking:
        lines.append(f"without a label: {', '.join(lacking)}")
    if task.imbalance is not None:
        lines.append(f"most frequent to rarest class: {task.imbalance:.3g} to 1")
    if task.absent:
        names = ", ".join(_name(task, number) for number in task.absent[:8])
        more = ", ..." if len(task.absent) > 8 else ""
        lines.append(f"without a training sample: {names}{more}")
    for split, numbers in task.numbers.items():
        words = ", ".join(f"{word} {value:.5g}" for word, value in numbers.items())
        lines.append(f"{split}: {words or 'no number'}")
    return lines


def _name(task: TaskOverview, number: int) -> str:
    return task.spec.names[number] if task.spec.names else str(number)


def _table(task: TaskOverview) -> Table:
    """Return the classes, how often each occurs, and its balanced weight."""
    table = _plain_table()
    table.add_column("class", overflow="fold")
    for split in task.counts:
        table.add_column(split, justify="right", overflow="fold")
    table.add_column("weight", justify="right", overflow="fold")
    if task.parent_names:
        table.add_column("in", overflow="fold")
    train = task.counts["train"]
    order = list(range(len(train)))
    if len(order) > MOST_CLASSES:
        order.sort(key=lambda number: -train[number])
    half = MOST_CLASSES // 2
    for place, number in enumerate(order):
        hidden = len(order) - MOST_CLASSES
        if hidden > 0 and half <= place < len(order) - half:
            if place == half:
                table.add_row(f"... {hidden:,} more")
            continue
        row = [_name(task, number), *(f"{each[number]:,}" for each in task.counts.values())]
        row.append(f"{task.weights[number]:.3g}" if task.weights else "")
        if task.parent_names:
            row.append(task.parent_names[number])
        table.add_row(*row)
    return table


def _repeated(found: Overview) -> list[str]:
    """Return which samples occur more than once."""
    if not found.repeats:
        return ["no sample occurs twice"]
    lines = [] if found.leaks else ["no sample is in two splits"]
    for each in found.repeats:
        lines += [_repeat(each, found.unit), *(f"  {a} = {b}" for a, b in each.examples)]
    return lines


def _repeat(each: Repeats, unit: str) -> str:
    word = unit if each.samples != 1 else unit.removesuffix("s")
    labels = f", {each.differing:,} with other labels" if each.differing else ""
    if each.first == each.second:
        equal = "equal" if each.samples != 1 else "equals"
        return f"{each.samples:,} {word} of {each.first} {equal} an earlier one of it{labels}"
    verb = "are" if each.samples != 1 else "is"
    return f"leak: {each.samples:,} {word} of {each.second} {verb} in {each.first} too{labels}"
