"""``graphspec predict``: what a trained model says of images, tables and arrays."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Sequence
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphspec.cli import terminal
from graphspec.cli.evaluate import Checkpoint
from graphspec.cli.options import Device, Plugins
from graphspec.errors import Code, Diagnostic, Severity, SpecError

if TYPE_CHECKING:
    from rich.table import Table

    from graphspec.training.predictions import Answer, Prediction

EXAMPLES = (
    "graphspec predict runs/first shirt.png",
    "graphspec predict runs/first pictures/ --top 3 --format csv",
    "graphspec predict runs/houses new.csv --format json",
)


class Form(str, Enum):
    """How predictions are written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def command(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="The run folder that `graphspec train` printed.", show_default=False
        ),
    ],
    given: Annotated[
        list[str],
        typer.Argument(
            metavar="SAMPLES",
            help="Images, folders of images, tables (CSV, Parquet), or .npz files.",
            show_default=False,
        ),
    ],
    top: Annotated[
        int, typer.Option("--top", metavar="K", min=1, help="How many classes of each task.")
    ] = 1,
    checkpoint: Annotated[
        Checkpoint, typer.Option("--checkpoint", help="Which weights.")
    ] = Checkpoint.BEST,
    batch_size: Annotated[
        int | None,
        typer.Option(
            "--batch-size", metavar="N", min=1, help="Samples at a time.", show_default=False
        ),
    ] = None,
    maps: Annotated[
        Path | None,
        typer.Option(
            "--maps",
            metavar="DIR",
            help="Where the maps of a segmentation are written, as PNG.",
            show_default=False,
        ),
    ] = None,
    device: Device = None,
    plugins: Plugins = None,
    form: Annotated[Form, typer.Option("--format", help="How the result is written.")] = Form.TABLE,
) -> None:
    """Say what the model of a run makes of samples."""
    from graphspec.cli import finding
    from graphspec.cli.progress import watching
    from graphspec.training.predict import predict

    folder = finding.named(run)
    with watching() as observer:
        found = predict(
            folder,
            given,
            checkpoint=checkpoint.value,
            device=device,
            batch_size=batch_size,
            top=top,
            observer=observer,
        )
    if maps is not None:
        _write_maps(found, maps)
    if form is Form.JSON:
        print(json.dumps([each.plain() for each in found], indent=2, ensure_ascii=False))
    elif form is Form.CSV:
        _write_csv(found)
    elif any(not each.problem for each in found):
        terminal.show(_table(found), partial(_table, found))
    _report(found)


def _report(found: Sequence[Prediction]) -> None:
    """Name the samples that could not be read, after all that could.

    Raises:
        SpecError: ``data-corrupt`` with each of them.
    """
    problems = [each for each in found if each.problem]
    if problems:
        sys.stdout.flush()
        raise SpecError(
            [
                Diagnostic(Code.DATA_CORRUPT, Severity.ERROR, None, _words(each), None)
                for each in problems
            ]
        )


def _words(each: Prediction) -> str:
    named = f"`{each.sample}`" in each.problem
    return each.problem if named else f"`{each.sample}`: {each.problem}"


def _table(found: Sequence[Prediction]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    answered = [each for each in found if not each.problem]
    for title in ("sample", *answered[0].tasks):
        table.add_column(title, overflow="fold")
    for each in answered:
        table.add_row(each.sample, *(answer.text() for answer in each.tasks.values()))
    return table


def _write_csv(found: Sequence[Prediction]) -> None:
    """Write a line for each sample, with a column for each thing that is said of it."""
    rows: list[dict[str, Any]] = []
    for each in found:
        row: dict[str, Any] = {"sample": each.sample}
        for task, answer in each.tasks.items():
            row |= _cells(task, answer)
        rows.append(row | ({"problem": each.problem} if each.problem else {}))
    header = list(dict.fromkeys(key for row in rows for key in row))
    if "problem" in header:
        header.sort(key=lambda key: key == "problem")
    writer = csv.DictWriter(sys.stdout, header, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def _cells(task: str, answer: Answer) -> dict[str, Any]:
    """Return what is said of one task by column."""
    from graphspec.training.predictions import Classes, Labels, Numbers

    if isinstance(answer, Classes):
        found: dict[str, Any] = {}
        for place, each in enumerate(answer.ranking, 1):
            name = task if place == 1 else f"{task}_{place}"
            found |= {name: each.name, f"{name}_probability": each.probability}
        return found
    if isinstance(answer, Labels):
        own = {f"{task}.{each.name}": each.probability for each in answer.labels}
        return {task: "|".join(answer.names), **own}
    if isinstance(answer, Numbers):
        if len(answer.values) == 1:
            return {task: answer.value}
        return {f"{task}.{number}": value for number, value in enumerate(answer.values)}
    shares = answer.shares
    return {f"{task}.{name}": shares.get(name, 0.0) for name in answer.names}


def _write_maps(found: Sequence[Prediction], where: Path) -> None:
    """Write the class of every position as a grey level of a PNG."""
    import numpy as np
    from PIL import Image

    from graphspec.training.folder import explained_writing, replacing
    from graphspec.training.predictions import Map

    taken: set[str] = set()
    for each in found:
        for task, answer in each.tasks.items():
            if not isinstance(answer, Map) or answer.classes.ndim != 2:
                continue
            stem = re.sub(r"[^\w.-]+", "-", Path(each.sample).stem or "sample") + f"-{task}"
            name, number = stem, 1
            while name in taken:
                number += 1
                name = f"{stem}-{number}"
            taken.add(name)
            with explained_writing(where):
                where.mkdir(parents=True, exist_ok=True)
            levels = answer.classes.astype(np.uint8 if len(answer.names) <= 256 else np.uint16)
            with replacing(where / f"{name}.png") as file:
                Image.fromarray(levels).save(file, "PNG")
    if not taken:
        terminal.remark("no task is a segmentation of images, so there are no maps", "warning")
    else:
        terminal.remark(f"{len(taken):,} maps in `{where}`; a pixel is the number of its class")
