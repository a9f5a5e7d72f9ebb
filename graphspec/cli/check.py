"""``graphspec check``: one batch through every node, and whether it can be learned by heart."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from graphspec.cli import terminal
from graphspec.cli.options import (
    SPEC_HELP,
    Assignments,
    DataName,
    DataRoot,
    Device,
    Format,
    Plugins,
    TextOrJson,
    overrides,
    shipped_specs,
)

if TYPE_CHECKING:
    from rich.table import Table

    from graphspec.training.probe import Probe, TaskCheck

EXAMPLES = (
    "graphspec check arch5 --data fashion-mini --set width=16",
    "graphspec check my.yaml --seconds 30 --format json",
)


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
    device: Device = None,
    seconds: Annotated[
        float,
        typer.Option("--seconds", min=0.0, help="How long to try to learn the batch by heart."),
    ] = 10.0,
    plugins: Plugins = None,
    form: TextOrJson = Format.TEXT,
) -> None:
    """Send one batch through every node and try to overfit it."""
    from graphspec.cli.progress import watching
    from graphspec.training.check import checked
    from graphspec.training.probe import check

    asked = overrides(assignments, data=data, data_root=data_root, device=device)
    with watching() as observer:
        found = check(checked(spec, asked).spec, seconds=seconds, observer=observer)
    if form is Format.JSON:
        print(json.dumps(asdict(found) | {"healthy": found.healthy}, indent=2, ensure_ascii=False))
        return
    terminal.show(_table(found), partial(_table, found, narrow=True))
    print("\n".join(["", *_lines(found)]), flush=True)


def _table(found: Probe, narrow: bool = False) -> Table:
    from rich import box
    from rich.table import Table

    from graphspec.graph.analysis import bytes_text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("node", overflow="fold")
    if not narrow:
        table.add_column("gives", overflow="fold")
    for title in ("forward", "backward", "kept", "gradient", "of weights"):
        table.add_column(title, justify="right", overflow="fold")
    table.add_column("", overflow="fold")
    for node in found.nodes:
        row = [node.node] if narrow else [node.node, node.shape]
        table.add_row(
            *row,
            time_text(node.forward_s),
            time_text(node.backward_s) if node.gradient is not None else "",
            bytes_text(node.saved_bytes) if node.saved_bytes else "",
            _norm(node.gradient),
            _norm(node.weight_gradient),
            ", ".join(node.remarks),
        )
    return table


def _lines(found: Probe) -> list[str]:
    """Return what the batch shows as a whole."""
    from graphspec.graph.analysis import bytes_text
    from graphspec.training.summary import duration

    lines = [
        f"one step of {found.batch} samples of {found.data}: {time_text(found.step_s)}, "
        f"{bytes_text(found.peak_bytes)}; an epoch: about "
        f"{duration(found.epoch_s) if found.epoch_s >= 1 else time_text(found.epoch_s)}",
    ]
    if found.unused:
        shown = ", ".join(found.unused[:5]) + (", ..." if len(found.unused) > 5 else "")
        lines.append(f"parameters that learn nothing: {len(found.unused)} ({shown})")
    else:
        lines.append("every parameter gets a gradient")
    steps = f"{found.overfit_steps} step" + ("" if found.overfit_steps == 1 else "s")
    lines.append(f"{found.overfit_batch} samples to learn by heart, {steps}:")
    width = max(len(task.task) for task in found.tasks)
    lines += [f"  {task.task:<{width}}  {_verdict(task)}" for task in found.tasks]
    return lines


def _verdict(task: TaskCheck) -> str:
    from graphspec.training.measures import MEASURES

    fell = f"loss {task.first:.4f} to {task.last:.4f}"
    if task.score is not None:
        name, value = task.score
        fell += f", {MEASURES[name].title} {MEASURES[name].text(value)}"
    if task.learned:
        return f"learned by step {task.step} ({fell})"
    return f"not learned in this time ({fell}); try more `--seconds`, or another learning rate"


def time_text(seconds: float) -> str:
    """Return a short time as people read it: ``350 µs``, ``12.1 ms``, ``1.25 s``."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} µs"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _norm(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
