"""The source `table`: a CSV or Parquet file, one row a sample, columns for inputs and targets.

The spec's ``tasks:`` say what is predicted; a task's target is the column of its name, or those
that ``data.targets`` names. A cell that is empty is a label that is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphspec.data import columns, download, targets
from graphspec.data.column import Column
from graphspec.data.decoding import Form
from graphspec.data.pictures import Names, Packed, Pictures, find_form, spread
from graphspec.data.source import Encoding, Part, Raw, Source
from graphspec.data.splitting import divide
from graphspec.data.table_layout import Table, doubts, layout, uses
from graphspec.errors import Code, Diagnostic, Severity, fail
from graphspec.language.recipe import Data
from graphspec.language.signature import InputSpec, Signature
from graphspec.language.tasks import Task

KEYS = frozenset(
    (
        *("root", "path", "inputs", "targets", "split", "missing"),
        *("size", "channels", "corrupt", "memory", "workers"),
    )
)
"""Keys of ``data:`` that it understands."""


def configure(section: Data, tasks: Mapping[str, Task]) -> Source:
    """Return the source for the table that a spec names.

    Args:
        section: Its ``data:`` section.
        tasks: Its ``tasks:``.

    Raises:
        SpecError: ``missing-key`` where no file or no task is named; ``data-not-found``,
            ``file-unreadable`` or ``data-corrupt`` for the file; ``data-mismatch`` where a column
            does not suit what it is to be.
    """
    if section.path is None:
        hint = "name the file: `data: {source: table, path: FILE.csv}`"
        raise fail(Code.MISSING_KEY, "the key `path` of `data` is missing", hint)
    own = {name: task for name, task in tasks.items() if task.labels is None}
    if not own:
        message = "with `table` the spec says which columns are targets, and here are no `tasks`"
        raise fail(Code.MISSING_KEY, message, "for example `tasks: {label: {}}`")
    root = download.expand(section.root) if section.root is not None else None
    path = (root or Path()) / download.expand(section.path)
    table = layout(path, section, own)
    forms = _forms(table, section, path.parent if root is None else root)
    signature = Signature(
        _inputs(table, forms, section), {n: each.task for n, each in table.targets.items()}
    )
    folder = path.parent if root is None else root

    def read(_root: Path | None) -> Raw:
        columns.RECENT.forget()
        return _raw(table, forms, folder, section)

    return replace(SOURCE, signature=signature, read=read)


def _forms(table: Table, section: Data, folder: Path) -> dict[str, Form]:
    """Return the form of each input that is pictures."""
    size = None if section.size is None else (section.size[0], section.size[1])
    forms = {}
    for name, (first, *_) in table.inputs.items():
        if not table.is_picture(name):
            continue
        names = [value for value in table.columns[first].values if value is not None]
        packed = table.columns[first].kind == "bytes"
        some = (names[r] if packed else folder / names[r] for r in spread(len(names)))
        form = find_form(some, size, section.channels)
        if form is None and packed:
            message = f"`{first}` of `{table.path}` holds bytes that are no image"
            raise fail(Code.DATA_MISMATCH, message, "store the contents of image files")
        if form is None:
            message = f"no picture of `{table.path}` is there, such as `{folder / names[0]}`"
            hint = f"paths are taken from `{folder}`; `--data-root DIR` names another folder"
            raise fail(Code.DATA_MISMATCH, message, hint)
        forms[name] = form
    return forms


def _inputs(table: Table, forms: Mapping[str, Form], section: Data) -> dict[str, InputSpec]:
    """Return what each input is."""
    found = {}
    for name, own in table.inputs.items():
        if name in forms:
            found[name] = InputSpec(forms[name].shape)
        elif table.columns[own[0]].kind == "text":
            found[name] = InputSpec((len(own),), "int64")
        else:
            found[name] = InputSpec((len(own),))
            if section.missing == "mean":
                found[f"{name}_missing"] = InputSpec((len(own),))
    return found


def _raw(table: Table, forms: Mapping[str, Form], folder: Path, section: Data) -> Raw:
    """Return the samples by split."""
    inputs: dict[str, Any] = {}
    warnings: list[Diagnostic] = []
    kept = np.ones(len(next(iter(table.columns.values()))), np.bool_)
    for name, own in table.inputs.items():
        if name in forms:
            column = table.columns[own[0]]
            kept &= ~_absent(table, column, section.corrupt == "skip", warnings)
            names = Names(value or "" for value in column.values)
            packed = column.kind == "bytes"
            make = Packed if packed else Pictures
            inputs[name] = make(table.path if packed else folder, names, forms[name])
        elif table.columns[own[0]].kind == "text":
            inputs[name] = np.stack([_codes(table, table.columns[c]) for c in own], 1)
        else:
            inputs[name] = np.stack([table.columns[c].values for c in own], 1)
            _check_numbers(table, own)
    rows = np.arange(1, len(kept) + 1)
    whole = Part(inputs, {name: each.values for name, each in table.targets.items()}, rows=rows)
    splits, tasks = table.splits, {name: each.task for name, each in table.targets.items()}
    targets.check(tasks, whole.labels, str(table.path), official=False)
    if not kept.all():
        whole, splits = whole[kept], None if splits is None else splits[kept]
    train, validation, test = divide(whole, splits, tasks, section.test)
    warnings += doubts(table, section.inputs is not None)
    raw = Raw(
        *(train, test, table.path), validation=validation, warnings=tuple(warnings),
        columns=uses(table),
    )  # fmt: skip
    return _filled(table, forms, raw, section.missing == "mean")


def _absent(
    table: Table, column: Column, skip: bool, warnings: list[Diagnostic]
) -> NDArray[np.bool_]:
    """Return which rows name no picture; refuse them, or leave them out with a warning."""
    missing = column.missing
    if missing.any():
        rows = np.flatnonzero(missing) + 1
        message = f"{len(rows):,} of {len(column):,} rows of `{table.path}` name no picture in "
        message += f"`{column.name}`, the first of them row {rows[0]:,}"
        if not skip:
            hint = "fill them in, or leave such rows out with `corrupt: skip`"
            raise fail(Code.DATA_CORRUPT, message, hint)
        warnings.append(Diagnostic(Code.DATA_SKIPPED, Severity.WARNING, None, message, "left out"))
    return missing


def _codes(table: Table, column: Column) -> NDArray[np.int64]:
    """Return a column of text as numbers from 0, in the order of the texts."""
    if column.missing.any():
        raise _lacking(table, [column])
    _, codes = np.unique(column.values.astype(str), return_inverse=True)
    return codes.reshape(-1).astype(np.int64)


def _words(column: Column) -> tuple[str, ...]:
    """Return the texts of a column, by their numbers."""
    return tuple(map(str, np.unique(column.values.astype(str))))


def _check_numbers(table: Table, own: Sequence[str]) -> None:
    """Refuse numbers that are infinite, or too large for float32."""
    for name in own:
        values = table.columns[name].values
        wrong = np.flatnonzero(np.abs(values) > np.finfo(np.float32).max)
        if wrong.size:
            message = f"`{name}` of `{table.path}` is infinite in {wrong.size:,} of "
            message += f"{len(values):,} rows, the first of them row {wrong[0] + 1:,}, and is an "
            message += "input"
            hint = "replace the numbers, or leave the rows out"
            raise fail(Code.DATA_CORRUPT, message, hint)


def _lacking(table: Table, own: Sequence[Column]) -> Exception:
    column = next(each for each in own if each.missing.any())
    rows = np.flatnonzero(column.missing) + 1
    message = f"`{column.name}` of `{table.path}` is empty in {len(rows):,} of {len(column):,} rows"
    message += f", the first of them row {rows[0]:,}, and is an input"
    hint = "fill them in or leave the rows out"
    if column.kind != "text":
        hint += "; `missing: mean` puts the mean of the training split there, and adds an input "
        hint += "that says where"
    return fail(Code.DATA_CORRUPT, message, hint)


def _filled(table: Table, forms: Mapping[str, Form], raw: Raw, by_mean: bool) -> Raw:
    """Return the splits with numbers as float32, and without gaps."""
    parts = raw.parts
    encodings = {}
    for name, own in table.inputs.items():
        if name in forms or table.columns[own[0]].kind == "text":
            texts = () if name in forms else tuple(_words(table.columns[c]) for c in own)
            encodings[name] = Encoding(own, texts)
            continue
        numbers = {split: np.asarray(part.inputs[name]) for split, part in parts.items()}
        if not by_mean and any(np.isnan(values).any() for values in numbers.values()):
            raise _lacking(table, [table.columns[column] for column in own])
        known = ~np.isnan(numbers["train"])
        sums = np.where(known, numbers["train"], 0).sum(0)
        means = sums / np.maximum(known.sum(0), 1)
        encodings[name] = Encoding(own, means=tuple(means.tolist()) if by_mean else ())
        for split, values in numbers.items():
            gaps = np.isnan(values)
            filled = np.where(gaps, means, values).astype(np.float32)
            more = {f"{name}_missing": gaps.astype(np.float32)} if by_mean else {}
            part = parts[split]
            parts[split] = replace(part, inputs={**part.inputs, name: filled, **more})
    return replace(raw.with_parts(parts), encodings=encodings)


def _unconfigured(_root: Path | None) -> Raw:
    message = "the source `table` is read for a spec, which names its file and its tasks"
    raise fail(Code.MISSING_KEY, message, "name the file: `data: {source: table, path: FILE.csv}`")


SOURCE = Source("table", "the table", Signature(), _unconfigured, "", __name__, configure, KEYS)
