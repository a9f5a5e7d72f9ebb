"""The source `table`: a CSV or Parquet file, one row a sample, columns for inputs and targets.

The spec's ``tasks:`` say what is predicted; a task's target is the column of its name, or those
that ``data.targets`` names. A cell that is empty is a label that is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphspec.data import columns, download, targets
from graphspec.data.columns import Column
from graphspec.data.decoding import Form
from graphspec.data.pictures import Names, Packed, Pictures, find_form, is_picture, spread
from graphspec.data.source import Encoding, Part, Raw, Source, at_key
from graphspec.data.splitting import divide
from graphspec.data.table_targets import Target, refine, target
from graphspec.data.tree import SPLITS
from graphspec.errors import Code, Diagnostic, Severity, did_you_mean, fail
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

NUMBERS = "features"
"""Name of the input that the columns of numbers make up, unless ``data.inputs`` says otherwise."""


@dataclass(frozen=True, eq=False)
class _Table:
    """A table and what its columns are for.

    Attributes:
        path: The file.
        columns: All of its columns.
        inputs: For each input its columns.
        targets: For each task its target.
        splits: For each row its split; None where no column says it.
        unused: Columns that are neither.
    """

    path: Path
    columns: Mapping[str, Column]
    inputs: Mapping[str, tuple[str, ...]]
    targets: Mapping[str, Target]
    splits: NDArray[Any] | None
    unused: tuple[str, ...]

    def is_picture(self, name: str) -> bool:
        """Return whether an input is pictures."""
        first = self.columns[self.inputs[name][0]]
        return holds_pictures(first)


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
    table = _table(path, section, own)
    forms = _forms(table, section, path.parent if root is None else root)
    signature = Signature(
        _inputs(table, forms, section), {n: each.task for n, each in table.targets.items()}
    )
    folder = path.parent if root is None else root

    def read(_root: Path | None) -> Raw:
        columns.RECENT.forget()
        return _raw(table, forms, folder, section)

    return replace(SOURCE, signature=signature, read=read)


def _table(path: Path, section: Data, tasks: Mapping[str, Task]) -> _Table:
    """Read a table and settle what its columns are for."""
    found = columns.read(path)
    stated = section.targets or {}
    taken = {name: _target_columns(path, found, name, stated) for name in tasks}
    goals = {n: target(path, n, [found[c] for c in names], tasks[n]) for n, names in taken.items()}
    used = {column for names in taken.values() for column in names}
    split = _split_column(path, found, section.split, used)
    used |= set() if split is None else {split.name}
    inputs = _chosen(path, found, section.inputs, used)
    used |= {column for names in inputs.values() for column in names}
    splits = None if split is None else _splits(path, split)
    unused = tuple(name for name in found if name not in used)
    return _Table(path, found, inputs, refine(goals), splits, unused)


def _target_columns(
    path: Path, found: Mapping[str, Column], task: str, stated: Mapping[str, Sequence[str]]
) -> tuple[str, ...]:
    """Return the columns of a task's target: those stated, that of its name, or ``TASK.part``."""
    if task in stated:
        return tuple(_known(path, found, name, "targets") for name in stated[task])
    if task in found:
        return (task,)
    several = tuple(name for name in found if name.startswith(f"{task}."))
    if not several:
        message = f"`{path}` has no column for the task `{task}`"
        hint = did_you_mean(task, found, "columns")
        hint += f"\nor state which it is: `data: {{targets: {{{task}: COLUMN}}}}`"
        raise at_key(Code.UNKNOWN_TASK, task, message, hint, "tasks")
    return several


def _known(path: Path, found: Mapping[str, Column], name: str, key: str) -> str:
    if name not in found:
        message = f"`{path}` has no column `{name}`"
        raise at_key(Code.DATA_MISMATCH, key, message, did_you_mean(name, found, "columns"))
    return name


def _split_column(
    path: Path, found: Mapping[str, Column], stated: str | None, used: set[str]
) -> Column | None:
    """Return the column that says the splits, or None."""
    if stated is not None:
        return found[_known(path, found, stated, "split")]
    for name, column in found.items():
        if name.lower() == "split" and name not in used and column.kind == "text":
            told = {str(value).lower() for value in column.values if value is not None}
            return column if told <= set(SPLITS) else None
    return None


def _splits(path: Path, column: Column) -> NDArray[Any]:
    """Return the split of each row."""
    names = []
    for row, value in enumerate(column.values, 1):
        split = SPLITS.get(str(value).lower()) if column.kind == "text" else None
        if split is None:
            shown = "is empty" if value is None else f"is `{value}`"
            message = f"the split of row {row:,} of `{path}` {shown}"
            hint = f"the column `{column.name}` says `train`, `validation` or `test`"
            raise at_key(Code.DATA_MISMATCH, "split", message, hint)
        names.append(split)
    if "train" not in names:
        message = f"no row of `{path}` is in the training split"
        hint = f"write `train` into the column `{column.name}`"
        raise at_key(Code.DATA_MISMATCH, "split", message, hint)
    return np.array(names)


def holds_pictures(column: Column) -> bool:
    """Return whether a column is pictures: names of their files, or what is in them."""
    if column.kind == "bytes":
        return True
    told = [value for value in column.values if value is not None] if column.kind == "text" else []
    return bool(told) and all(map(is_picture, told))


def _chosen(
    path: Path,
    found: Mapping[str, Column],
    stated: Mapping[str, Sequence[str]] | None,
    used: set[str],
) -> dict[str, tuple[str, ...]]:
    """Return the columns of each input: as stated, else pictures and all numbers."""
    if stated is not None:
        own = {n: tuple(_known(path, found, c, "inputs") for c in cs) for n, cs in stated.items()}
        for name, names in own.items():
            _check_kinds(path, name, [found[column] for column in names])
        return own
    free = [column for name, column in found.items() if name not in used]
    pictures = [column.name for column in free if holds_pictures(column)]
    inputs: dict[str, tuple[str, ...]]
    inputs = {"image": (pictures[0],)} if len(pictures) == 1 else {n: (n,) for n in pictures}
    wrong = next((name for name in inputs if not (name.isascii() and name.isidentifier())), None)
    if wrong is not None:
        message = f"the column `{wrong}` of `{path}` cannot be the name of an input"
        raise fail(Code.DATA_MISMATCH, message, f"state `inputs: {{left: {wrong}, ...}}`")
    numbers = tuple(c.name for c in free if c.kind in ("whole", "number", "truth"))
    if numbers:
        inputs[NUMBERS] = numbers
    if not inputs:
        listed = ", ".join(f"`{column.name}` ({column.text})" for column in free[:8])
        message = f"`{path}` has no input: no column of numbers or of image files"
        raise fail(Code.DATA_MISMATCH, message, f"columns left: {listed or 'none'}")
    return inputs


def _check_kinds(path: Path, name: str, own: Sequence[Column]) -> None:
    """Refuse columns that do not make one input."""
    others = [column for column in own if column.kind == "other"]
    kinds = {c.kind if c.kind in ("text", "bytes") else "numbers" for c in own}
    several = len(own) > 1 and any(map(holds_pictures, own))
    if others or len(kinds) > 1 or several:
        listed = ", ".join(f"`{column.name}` ({column.text})" for column in own[:8])
        message = f"the input `{name}` cannot be made of {listed} of `{path}`"
        hint = "an input is one column of image files, columns of numbers, or columns of text"
        raise at_key(Code.DATA_MISMATCH, "inputs", message, hint)


def _forms(table: _Table, section: Data, folder: Path) -> dict[str, Form]:
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


def _inputs(table: _Table, forms: Mapping[str, Form], section: Data) -> dict[str, InputSpec]:
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


def _raw(table: _Table, forms: Mapping[str, Form], folder: Path, section: Data) -> Raw:
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
    whole = Part(inputs, {name: each.values for name, each in table.targets.items()})
    splits, tasks = table.splits, {name: each.task for name, each in table.targets.items()}
    targets.check(tasks, whole.labels, str(table.path), official=False)
    if not kept.all():
        whole, splits = whole[kept], None if splits is None else splits[kept]
    train, validation, test = divide(whole, splits, tasks, section.test)
    raw = Raw(train, test, table.path, validation=validation, warnings=tuple(warnings))
    return _filled(table, forms, raw, section.missing == "mean")


def _absent(
    table: _Table, column: Column, skip: bool, warnings: list[Diagnostic]
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


def _codes(table: _Table, column: Column) -> NDArray[np.int64]:
    """Return a column of text as numbers from 0, in the order of the texts."""
    if column.missing.any():
        raise _lacking(table, [column])
    _, codes = np.unique(column.values.astype(str), return_inverse=True)
    return codes.reshape(-1).astype(np.int64)


def _words(column: Column) -> tuple[str, ...]:
    """Return the texts of a column, by their numbers."""
    return tuple(map(str, np.unique(column.values.astype(str))))


def _lacking(table: _Table, own: Sequence[Column]) -> Exception:
    column = next(each for each in own if each.missing.any())
    rows = np.flatnonzero(column.missing) + 1
    message = f"`{column.name}` of `{table.path}` is empty in {len(rows):,} of {len(column):,} rows"
    message += f", the first of them row {rows[0]:,}, and is an input"
    hint = "fill them in or leave the rows out"
    if column.kind != "text":
        hint += "; `missing: mean` puts the mean of the training split there, and adds an input "
        hint += "that says where"
    return fail(Code.DATA_CORRUPT, message, hint)


def _filled(table: _Table, forms: Mapping[str, Form], raw: Raw, by_mean: bool) -> Raw:
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
            with np.errstate(over="ignore"):  # what float32 cannot hold is told as not finite
                filled = np.where(gaps, means, values).astype(np.float32)
            targets.check_finite(f"the numbers of `{name}`", filled, str(table.path))
            more = {f"{name}_missing": gaps.astype(np.float32)} if by_mean else {}
            part = parts[split]
            parts[split] = replace(part, inputs={**part.inputs, name: filled, **more})
    return replace(raw.with_parts(parts), encodings=encodings)


def _unconfigured(_root: Path | None) -> Raw:
    message = "the source `table` is read for a spec, which names its file and its tasks"
    raise fail(Code.MISSING_KEY, message, "name the file: `data: {source: table, path: FILE.csv}`")


SOURCE = Source("table", "the table", Signature(), _unconfigured, "", __name__, configure, KEYS)
