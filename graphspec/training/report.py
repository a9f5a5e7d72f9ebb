"""The report of a run: one HTML file with everything in it, to be read, printed or sent on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from graphspec.training import conflict_figure, curves, folder, summary
from graphspec.training.curves import data_uri
from graphspec.training.measures import found as measured
from graphspec.training.measures import measure, named, percent
from graphspec.training.observer import Record

_SCORE_COLUMNS = 11
"""Most columns of the table of results; with more there is one for each kind of task."""

_MATRIX_CLASSES = 60
"""Most classes for which the matrix of confusion is shown."""


def render(run: Path, found: Mapping[str, Any], records: Sequence[Record]) -> str:
    """Return the report.

    Args:
        run: The run folder, of which spec, environment, diagram and curves are read.
        found: The summary.
        records: The lines of ``metrics.jsonl``.

    Returns:
        HTML that needs no other file and no network, and that runs no script. All text in it is
        escaped, whatever a spec's names and descriptions hold.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("graphspec.training", package_path="")
    jinja = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters.update(percent=percent, duration=summary.duration)
    best_epoch = found["best"]["epoch"]
    graph = run / folder.GRAPH
    header, rows = summary.scores(found)
    wide = len(header) > _SCORE_COLUMNS
    return jinja.get_template("report.html.j2").render(
        summary=found,
        spec=(run / folder.SPEC).read_text(encoding="utf-8"),
        environment=folder.read_json(run / folder.ENVIRONMENT),
        graph=data_uri(graph.read_bytes(), "image/svg+xml") if graph.exists() else None,
        light=data_uri((run / folder.CURVES).read_bytes(), "image/png"),
        dark=data_uri(curves.draw(records, best_epoch, dark=True), "image/png"),
        conflicts=conflict_figure.section(folder.read_conflicts(run)),
        tiles=_tiles(found),
        scores=summary.grouped(header, rows) if wide else [(header, rows)],
        hierarchy=_hierarchy(found),
        labelled=summary.labelled(found)[1:],
        confusion=shaded(found["confusion"]),
        columns=_columns(records),
        records=records,
        best_epoch=best_epoch,
        best_text=summary.best_text(found["best"]),
    )


def _tiles(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return for each task the metric that says most, as a value and what it is."""
    tiles = []
    for name, task in found["tasks"].items():
        split = next((each for each in ("test", "validation") if each in task), None)
        names = measured(f"task/{key}" for key in task.get(split, {})).get("task")
        if not names:
            continue
        each = measure(names[0])
        size = "" if task.get("type") == "regression" else f", {task['classes']} classes"
        words = f"{name}{size}: {each.title}, {split}"
        tiles.append((each.text(task[split][names[0]]), words))
    for name, splits in found["hierarchy"].items():
        split = list(splits)[-1]
        value = found["tasks"][name][split].get("consistency")
        if value is not None:
            words = f"consistency of {name} with {splits[split]['parent']}, {split}"
            tiles.append((percent(value), words))
    return tiles


def _hierarchy(found: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the metrics of tasks with a parent as a table, and what is confused in each."""
    if not found["hierarchy"]:
        return None
    header, rows = summary.kin_scores(found["hierarchy"], found["tasks"])
    parts = []
    for task, splits in found["hierarchy"].items():
        split = list(splits)[-1]
        kin = splits[split]
        pairs = [summary.pair_text(pair, kin) for pair in kin["pairs"]]
        matrix = {"task": task, "split": split, "names": kin["names"], "counts": kin["counts"]}
        parts.append({"kin": kin, "pairs": pairs, "confusion": shaded(matrix), **matrix})
    return {"header": header, "rows": rows, "parts": parts}


def shaded(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return a matrix of confusion with the share of each row, which gives the shade of a cell.

    Args:
        found: ``task``, ``split``, ``names`` and ``counts`` of a summary, or None.

    Returns:
        What the template ``matrix.html.j2`` draws, or None where there are too many classes.
    """
    if found is None or len(found["names"]) > _MATRIX_CLASSES:
        return None
    rows = []
    for number, (name, counts) in enumerate(zip(found["names"], found["counts"], strict=True)):
        total = sum(counts)
        cells = [
            {"count": count, "share": count / total if total else 0.0, "right": number == column}
            for column, count in enumerate(counts)
        ]
        rows.append({"name": name, "cells": cells, "total": total})
    return {"task": found["task"], "split": found["split"], "names": found["names"], "rows": rows}


def _columns(records: Sequence[Record]) -> list[str]:
    """Return the metrics of the table of epochs, those of any split."""
    keys = dict.fromkeys(key for record in records for key in record)
    return [key for key in keys if named(key.rpartition("/")[2]) is not None]
