"""``graphspec evaluate``: what the weights of a run reach on a split."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from graphspec.cli import terminal
from graphspec.cli.options import (
    DataRoot,
    Device,
    Format,
    Plugins,
    TextOrJson,
    overrides,
    plain,
)

EXAMPLES = (
    "graphspec evaluate runs/arch5-20260102-030405",
    "graphspec evaluate runs/narrow --split validation --checkpoint last",
    "graphspec evaluate runs/pictures --data folder --data-root new/ --split all",
    "graphspec evaluate runs/narrow --format json",
)


class Split(str, Enum):
    """A part of the data."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"
    ALL = "all"


class Checkpoint(str, Enum):
    """Which weights of a run."""

    BEST = "best"
    LAST = "last"


def command(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="The run folder that `graphspec train` printed.", show_default=False
        ),
    ],
    part: Annotated[Split, typer.Option("--split", help="What to evaluate on.")] = Split.TEST,
    checkpoint: Annotated[
        Checkpoint, typer.Option("--checkpoint", help="Which weights.")
    ] = Checkpoint.BEST,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="NAME",
            help="Other data than the run's: a source, such as folder, whose classes fit.",
            show_default=False,
        ),
    ] = None,
    data_root: DataRoot = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A value of the other data (data.path=new.csv). Repeatable.",
            show_default=False,
        ),
    ] = None,
    device: Device = None,
    plugins: Plugins = None,
    form: TextOrJson = Format.TEXT,
) -> None:
    """Evaluate the weights of a run; the run is not changed."""
    from graphspec.cli import finding
    from graphspec.cli.progress import watching
    from graphspec.training.evaluate import evaluate

    folder = finding.named(run)
    with watching() as observer:
        found = evaluate(
            folder,
            split=part.value,
            checkpoint=checkpoint.value,
            data=data,
            data_root=data_root,
            overrides=plain(overrides(assignments)),
            device=device,
            observer=observer,
        )
    if form is Format.JSON:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print("\n".join(_text(found, _names(folder))))


def _names(folder: Path) -> Mapping[str, Sequence[str]]:
    """Return the names of the classes by task."""
    from graphspec import compiler
    from graphspec.data import sources
    from graphspec.training.folder import SPEC
    from graphspec.training.recorded import read

    recorded: dict[str, list[str]] | None = read(folder)["data"].get("names")
    if recorded is not None:
        return recorded
    spec = compiler.load(folder / SPEC)
    offered = sources.describe(spec.data, spec.tasks).tasks if spec.data else {}
    return {name: task.names for name, task in offered.items()}


def _text(found: dict[str, Any], names_of: Mapping[str, Sequence[str]]) -> list[str]:
    from graphspec.training import summary
    from graphspec.training.measures import found as measured
    from graphspec.training.measures import measure, ordered

    tasks = measured(found)
    names = ordered(["loss", *(name for each in tasks.values() for name in each)])
    width = shutil.get_terminal_size().columns if terminal.is_terminal(sys.stdout) else 100
    rows = [[t, *(summary.cell(n, found.get(f"{t}/{n}")) for n in names)] for t in tasks]
    lines = [
        f"{found['name']}, {found['checkpoint']} weights (epoch {found['epoch']}), on "
        f"{summary.part(found['split'])}: {found['samples']:,} {found['unit']}, "
        f"{found['images_per_s']:,.0f} {found['unit']}/s",
        "",
        *summary.tables(["task", *(measure(name).title for name in names)], rows, width),
        f"weighted loss {found['loss']:.4f}",
    ]
    related = {task: {found["split"]: each} for task, each in found["hierarchy"].items()}
    own = {
        task: {found["split"]: {name: found[f"{task}/{name}"] for name in names}}
        for task, names in measured(found, of_hierarchy=True).items()
    }
    lines += summary.hierarchy(related, own)
    for task, counts in found["confusion"].items():
        classes = names_of.get(task) or [str(number) for number in range(len(counts))]
        table = {"task": task, "split": found["split"], "names": classes, "counts": counts}
        lines += ["", *summary.confusion(table, width)]
    return lines
