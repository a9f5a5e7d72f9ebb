"""The source `arrays`: inputs and targets from one ``.npz`` file of numpy.

Each array of the file is an input or the target of a task, by its name; the spec's ``tasks:`` say
which are targets. ``train_NAME``, ``test_NAME`` and perhaps ``val_NAME`` are the splits of NAME; a
file with plain names is split here. ``TASK_names`` may hold the names of a task's classes, as text.
"""

from __future__ import annotations

import keyword
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphspec.data import download, hierarchy, npz, targets
from graphspec.data.npz import Header
from graphspec.data.source import Part, Raw, Source
from graphspec.data.splitting import divide
from graphspec.errors import Code, SpecError, did_you_mean, fail
from graphspec.language import hierarchies
from graphspec.language.recipe import Data
from graphspec.language.signature import InputSpec, Signature, TaskSpec, TaskType
from graphspec.language.tasks import Task, stated_shape

SPLITS = {
    "train": ("train_",),
    "validation": ("val_", "valid_", "validation_"),
    "test": ("test_",),
}
"""What the name of an array in each split begins with; the validation split may be absent."""

KEYS = frozenset(("root", "path"))
"""Keys of ``data:`` that it understands."""

_INTEGERS, _NUMBERS = "biu", "biuf"
"""Kinds of numpy's types: whole numbers and truth values; all real numbers."""


@dataclass(frozen=True)
class _File:
    """What a file offers.

    Attributes:
        path: The file.
        headers: All of its arrays.
        keys: For each name its arrays: those of `splits`, or the only one.
        splits: The splits that the file has, or nothing.
        class_names: For each task whose class names are in the file those names.
    """

    path: Path
    headers: Mapping[str, Header]
    keys: Mapping[str, tuple[str, ...]]
    class_names: Mapping[str, tuple[str, ...]]
    splits: tuple[str, ...] = ()

    def header(self, name: str) -> Header:
        return self.headers[self.keys[name][0]]

    def read(self, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        keys = [key for name in names for key in self.keys[name]]
        return npz.arrays(self.path, self.headers, keys)


def configure(section: Data, tasks: Mapping[str, Task]) -> Source:
    """Return the source for the file that a spec names.

    Args:
        section: Its ``data:`` section.
        tasks: Its ``tasks:``.

    Raises:
        SpecError: ``missing-key`` where no file or no task is named; ``data-not-found``,
            ``file-unreadable`` or ``data-corrupt`` for the file; ``data-mismatch`` where an array
            cannot be the target of its task.
    """
    if section.path is None:
        hint = "name the file: `data: {source: arrays, path: FILE.npz}`"
        raise fail(Code.MISSING_KEY, "the key `path` of `data` is missing", hint)
    if not tasks:
        message = "with `arrays` the spec says which arrays are targets, and here are no `tasks`"
        hint = "for example `tasks: {label: {type: classification}}`"
        raise fail(Code.MISSING_KEY, message, hint)
    folder = download.expand(section.root) if section.root is not None else Path()
    file = _open(folder / download.expand(section.path), tasks)
    offered = {name: _task(file, name, task) for name, task in tasks.items() if name in file.keys}
    offered = hierarchies.declared(tasks, offered)
    inputs = {name: _input_spec(file, name) for name in file.keys if name not in tasks}

    def read(_root: Path | None) -> Raw:
        missing = [name for name in tasks if name not in offered]
        if missing:
            message = f"`{file.path}` has no array for the task `{missing[0]}`"
            raise fail(Code.DATA_MISMATCH, message, did_you_mean(missing[0], inputs, "arrays"))
        return _read(file, offered, list(inputs), section.test)

    return replace(SOURCE, signature=Signature(inputs, offered), read=read)


def _open(path: Path, tasks: Mapping[str, Task]) -> _File:
    """Read the headers of a file and sort its arrays by name."""
    headers = {name: header for name, header in npz.headers(path).items() if header.shape}
    texts = {
        f"{task}_names": task
        for task in tasks
        if f"{task}_names" in headers and headers[f"{task}_names"].dtype.kind == "U"
    }
    samples = {key: header for key, header in headers.items() if key not in texts}
    keys, splits = _keys(path, samples)
    for name in keys:
        if not (name.isascii() and name.isidentifier()) or keyword.iskeyword(name):
            message = f"the array `{name}` in `{path}` cannot be called so in a spec"
            raise fail(Code.DATA_CORRUPT, message, "use letters, digits and `_`, no Python keyword")
    for split in range(len(next(iter(keys.values())))):
        _check_lengths(path, {each[split]: samples[each[split]] for each in keys.values()})
    for name, (first, *others) in keys.items():
        for other in others:
            if samples[first].shape[1:] != samples[other].shape[1:]:
                message = f"`{name}` in `{path}` is {samples[first]} in `{first}`, but "
                message += f"{samples[other]} in `{other}`"
                raise fail(Code.DATA_CORRUPT, message, "give the samples of both splits one shape")
    found = npz.arrays(path, headers, list(texts))
    class_names = {texts[key]: tuple(map(str, values.ravel())) for key, values in found.items()}
    return _File(path, samples, keys, class_names, splits)


def _keys(
    path: Path, headers: Mapping[str, Header]
) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """Return the arrays of each name, one for each split that the file has, and these splits."""
    if not headers:
        message = f"`{path}` holds no arrays of samples"
        raise fail(Code.DATA_CORRUPT, message, "save arrays whose first dimension is the samples")
    if not any(key.startswith((*SPLITS["train"], *SPLITS["test"])) for key in headers):
        return {key: (key,) for key in headers}, ()
    starts = {"train": "train_", "test": "test_"}
    for start in SPLITS["validation"]:
        if any(key.startswith(start) for key in headers):
            starts.setdefault("validation", start)
    prefixes = tuple(starts.values())
    plain = [key for key in headers if not key.startswith(prefixes)]
    names = dict.fromkeys(key.partition("_")[2] for key in headers if key.startswith(prefixes))
    found = {name: tuple(prefix + name for prefix in prefixes) for name in names}
    lacking = [key for each in found.values() for key in each if key not in headers]
    if plain or lacking:
        what = f"lacks `{lacking[0]}`" if lacking else f"has `{plain[0]}` without a split"
        *most, last = (f"`{prefix}...`" for prefix in prefixes)
        message = f"`{path}` has arrays of the splits {', '.join(most)} and {last}, but {what}"
        hint = "give every array as `train_NAME` and `test_NAME`, or all of them as plain `NAME`;"
        hint += " `val_NAME` may be added"
        raise fail(Code.DATA_CORRUPT, message, hint)
    return found, tuple(starts)


def _check_lengths(path: Path, headers: Mapping[str, Header]) -> None:
    lengths = {key: header.shape[0] for key, header in headers.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"`{key}` {length:,}" for key, length in lengths.items())
        message = f"the arrays of `{path}` differ in their number of samples: {listed}"
        hint = "their first dimension is the samples, as many in all"
        raise fail(Code.DATA_CORRUPT, message, hint)
    if not all(lengths.values()):
        message = f"`{next(iter(lengths))}` in `{path}` has no samples"
        raise fail(Code.DATA_CORRUPT, message, "save at least one")


def _input_spec(file: _File, name: str) -> InputSpec:
    """Return what an array is as an input."""
    header = file.header(name)
    shape, kind = header.shape[1:], header.dtype.kind
    if kind not in _NUMBERS:
        message = f"`{name}` in `{file.path}` holds {header.dtype.name}, which is no input"
        hint = "save numbers; a task needs its name under `tasks:`"
        raise fail(Code.DATA_MISMATCH, message, hint)
    if not all(shape):
        message = f"`{name}` in `{file.path}` is {header}, so a sample of it is empty"
        raise fail(Code.DATA_CORRUPT, message, "every dimension has a size of at least 1")
    if header.dtype == np.uint8 and len(shape) in (2, 3):
        if len(shape) == 3 and shape[2] in (1, 3, 4) and shape[0] > 4:
            message = f"the images `{name}` in `{file.path}` are {header}, channels last"
            raise fail(Code.DATA_MISMATCH, message, f"save `numpy.moveaxis({name}, -1, 1)`")
        return InputSpec(shape if len(shape) == 3 else (1, *shape))
    return InputSpec(shape or (1,), "int64" if kind in "iu" else "float32")


def _task(file: _File, name: str, task: Task) -> TaskSpec:
    """Return what an array is as a target, by the declared type."""
    header = file.header(name)
    shape, names = header.shape[1:], file.class_names.get(name, ())
    kind: TaskType = task.type or "classification"
    whole = kind in ("classification", "segmentation")
    if header.dtype.kind not in (_INTEGERS if whole else _NUMBERS):
        wanted = "whole numbers" if whole else "numbers"
        hint = f"state what it is: `{name}: {{type: regression}}`" if task.type is None else None
        raise _unfit(file, name, kind, wanted, hint)
    if kind == "regression":
        own = shape or (1,)
        meant = stated_shape(task, kind) or own
        return TaskSpec(type=kind, shape=meant if _alike(own, meant) else own)
    if kind == "multilabel":
        if len(shape) != 1:
            raise _unfit(file, name, kind, "one row of labels a sample, [N, labels]")
        _check_names(file, name, names, shape[0])
        return TaskSpec(shape[0], names, type=kind)
    if kind == "classification" and shape not in ((), (1,)):
        other = "multilabel" if len(shape) == 1 else "segmentation"
        hint = f"state what it is: `{name}: {{type: {other}}}`" if task.type is None else None
        raise _unfit(file, name, kind, "one class a sample, [N]", hint)
    if kind == "segmentation" and not shape:
        raise _unfit(file, name, kind, "one class a position, such as [N, height, width]")
    classes = task.classes or len(names) or _count(file, name, task.ignore_index)
    _check_names(file, name, names, classes)
    if kind == "classification":
        return TaskSpec(classes, names)
    meant = stated_shape(task, kind) or shape
    places = meant if _alike(shape, meant) else shape
    return TaskSpec(classes, names, type=kind, shape=places, ignore_index=task.ignore_index)


def _check_names(file: _File, name: str, names: tuple[str, ...], classes: int) -> None:
    if names and len(names) != classes:
        message = f"`{name}_names` in `{file.path}` has {len(names)} names for {classes} classes"
        raise fail(Code.DATA_MISMATCH, message, "give every class a name, or leave the names out")


def _alike(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Return whether two shapes differ by dimensions of size 1 alone."""
    return [size for size in shape if size != 1] == [size for size in wanted if size != 1]


def _count(file: _File, name: str, ignored: int | None) -> int:
    """Return the number of classes: one more than the highest label."""
    highest = 0
    for values in file.read([name]).values():
        counted = values if ignored is None else values[values != ignored]
        highest = max(highest, int(counted.max(initial=0)))
    return highest + 1


def _unfit(file: _File, name: str, kind: str, wanted: str, hint: str | None = None) -> SpecError:
    message = f"`{name}` in `{file.path}` is {file.header(name)}; a {kind} task needs {wanted}"
    return fail(Code.DATA_MISMATCH, message, hint)


def _read(file: _File, tasks: Mapping[str, TaskSpec], inputs: Sequence[str], test: float) -> Raw:
    """Read the arrays and bring them into the types of a `Part`."""
    values = file.read([*inputs, *tasks])
    parts = []
    for split in range(len(next(iter(file.keys.values())))):
        keys = {name: each[split] for name, each in file.keys.items()}
        where = f"{file.path}: {file.splits[split]}" if file.splits else str(file.path)
        found = {n: _input(keys[n], values.pop(keys[n]), str(file.path)) for n in inputs}
        labels = {n: _target(values.pop(keys[n]), task) for n, task in tasks.items()}
        # here already, where the numbers of samples are those of the file
        targets.check(tasks, labels, where, official=False)
        hierarchy.learned(tasks, labels, where)
        rows = None if file.splits else np.arange(len(next(iter(labels.values()))))
        parts.append(Part(found, labels, rows=rows))
    if not file.splits:
        train, _, rest = divide(parts[0], None, tasks, test)
        return Raw(train, rest, file.path)
    own = dict(zip(file.splits, parts, strict=True))
    return Raw(own["train"], own["test"], file.path, validation=own.get("validation"))


def _input(key: str, values: NDArray[Any], where: str) -> NDArray[Any]:
    if values.dtype == np.uint8 and values.ndim in (3, 4):
        return values if values.ndim == 4 else values[:, None]
    values = values if values.ndim > 1 else values[:, None]
    if values.dtype.kind in "iu":
        return values.astype(np.int64, copy=False)
    values = _floats(values)
    targets.check_finite(f"the numbers of `{key}`", values, where)
    return values


def _target(values: NDArray[Any], task: TaskSpec) -> NDArray[Any]:
    if task.type == "classification":
        return values.reshape(len(values)).astype(np.int64, copy=False)
    if task.type == "segmentation":
        kind = np.uint8 if values.dtype == np.uint8 else np.int64
        return values.reshape(len(values), *task.shape).astype(kind, copy=False)
    shape = (task.classes,) if task.type == "multilabel" else task.shape
    return _floats(values.reshape(len(values), *shape))


def _floats(values: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # what float32 cannot hold is told as not finite
        return values.astype(np.float32, copy=False)


def _unconfigured(_root: Path | None) -> Raw:
    message = "the source `arrays` is read for a spec, which names its file and its tasks"
    raise fail(Code.MISSING_KEY, message, "name the file: `data: {source: arrays, path: FILE.npz}`")


SOURCE = Source("arrays", "arrays", Signature(), _unconfigured, "", __name__, configure, KEYS)
