"""Another data set as a run reads its own: by the run's constants, classes and words.

A model knows classes by their numbers, and what stands behind a number may differ from data set to
data set: a folder with fewer classes numbers them otherwise. Names settle it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from graphspec.data.dataset import Channels, DataSet, Split
from graphspec.data.readings import Reading
from graphspec.errors import Code, did_you_mean, fail
from graphspec.language.signature import TaskSpec

Names = Mapping[str, Sequence[str]]
"""For each task the names of its classes, where they are known."""

Change = Callable[[Tensor, Tensor | None], Tensor]
"""Gives the values of an input from what they were and where some are missing."""


def refitted(data: DataSet, inputs: Mapping[str, Reading], names: Names) -> DataSet:
    """Return a data set with the numbers that a run gave to classes and words, and its constants.

    Args:
        data: The data set.
        inputs: How the run read the inputs that its model has.
        names: The names of the run's classes.

    Raises:
        SpecError: ``data-mismatch`` where an input has another shape, or a class or a word is one
            that the run did not know.
    """
    for name, reading in inputs.items():
        _check_input(data, name, reading)
    images = {n: Channels(each.mean, each.std) for n, each in inputs.items() if each.is_image}
    data = replace(data, channels={**data.channels, **images})
    for name, reading in inputs.items():
        if reading.words and name in data.encodings:
            data = _with_words(data, name, reading)
        elif reading.means and f"{name}_missing" in data.signature.inputs:
            data = _with_means(data, name, reading)
    numbers = {
        name: found
        for name, task in data.signature.tasks.items()
        if (found := _numbers(data, name, task, tuple(names.get(name, ())))) is not None
    }
    return _with_classes(data, numbers, names) if numbers else data


def _check_input(data: DataSet, name: str, reading: Reading) -> None:
    found = data.signature.inputs.get(name)
    if found is None:
        return  # told with the others where data and topology meet
    here = name in data.channels
    if tuple(found.shape) == reading.shape and here == reading.is_image:
        return
    shape = ", ".join(map(str, ("N", *found.shape)))
    what = "" if here == reading.is_image else f", {'images' if here else 'no images'}"
    message = f"the model reads `{name}` {reading.text}, and `{data.name}` has [{shape}]{what}"
    raise fail(Code.DATA_MISMATCH, message, "pictures in files are resized by `data.size`")


def _numbers(data: DataSet, task: str, found: TaskSpec, known: tuple[str, ...]) -> list[int] | None:
    """Return the run's number of each class of a data set, or None where they are the same."""
    if not known or not found.names or found.names == known:
        return None
    unknown = next((each for each in found.names if each not in known), None)
    if unknown is not None:
        message = f"`{data.name}` has the class `{unknown}` of `{task}`, which the run did not know"
        raise fail(Code.DATA_MISMATCH, message, did_you_mean(unknown, known, "classes"))
    if found.type not in ("classification", "segmentation"):
        message = f"the labels of `{task}` in `{data.name}` are not those of the run, in its order"
        raise fail(Code.DATA_MISMATCH, message, f"labels of the run: {', '.join(known)}")
    return [known.index(each) for each in found.names]


def _with_classes(data: DataSet, numbers: Mapping[str, list[int]], names: Names) -> DataSet:
    """Return a data set with other numbers for its classes."""
    tasks = {}
    for name, task in data.signature.tasks.items():
        above, levels = task.parent, []
        for level in task.lineage or ((task.parents,) if task.parents else ()):
            levels.append(_moved(level, numbers.get(name), numbers.get(str(above)), names, name))
            above = data.signature.tasks[str(above)].parent if above else None
        changed = replace(task, lineage=tuple(levels), parents=levels[0] if levels else ())
        if name in numbers:
            known = tuple(names[name])
            changed = replace(changed, names=known, classes=len(known))
        tasks[name] = changed

    def relabelled(split: Split) -> Split:
        labels = {name: _relabelled(v, numbers.get(name)) for name, v in split.labels.items()}
        return replace(split, labels=labels)

    return replace(
        data,
        signature=replace(data.signature, tasks=tasks),
        train=relabelled(data.train),
        validation=relabelled(data.validation),
        test=relabelled(data.test),
    )


def _moved(
    level: tuple[int, ...],
    own: list[int] | None,
    above: list[int] | None,
    names: Names,
    task: str,
) -> tuple[int, ...]:
    """Return the parents of classes where classes, or those of the parent, have other numbers."""
    size = len(names[task]) if own is not None else len(level)
    found = [-1] * size
    for number, parent in enumerate(level):
        place = number if own is None else own[number]
        found[place] = parent if above is None or parent < 0 else above[parent]
    return tuple(found)


def _relabelled(labels: Tensor, numbers: list[int] | None) -> Tensor:
    """Return labels by other numbers; what is no class, such as -1, stays."""
    if numbers is None:
        return labels
    table = torch.tensor(numbers)
    whole = labels.long()
    inside = (whole >= 0) & (whole < len(numbers))
    return torch.where(inside, table[whole.clamp(0, len(numbers) - 1)], whole)


def _with_words(data: DataSet, name: str, reading: Reading) -> DataSet:
    """Return a data set whose texts have the run's numbers."""
    encoding = data.encodings[name]
    tables = []
    for column, words, known in zip(encoding.columns, encoding.words, reading.words, strict=True):
        unknown = next((word for word in words if word not in known), None)
        if unknown is not None:
            message = f"`{column}` of `{data.name}` has `{unknown}`, which the run did not know"
            raise fail(Code.DATA_MISMATCH, message, did_you_mean(unknown, known, "words"))
        tables.append(torch.tensor([known.index(word) for word in words]))

    def renumbered(values: Tensor, _gaps: Tensor | None) -> Tensor:
        columns = [table[values[:, i]] for i, table in enumerate(tables)]
        return torch.stack(columns, 1)

    return _with_input(data, name, renumbered)


def _with_means(data: DataSet, name: str, reading: Reading) -> DataSet:
    """Return a data set in which the run's means stand for missing numbers."""
    means = torch.tensor(reading.means)

    def filled(values: Tensor, gaps: Tensor | None) -> Tensor:
        assert gaps is not None
        return torch.where(gaps > 0, means.to(values), values)

    return _with_input(data, name, filled)


def _with_input(data: DataSet, name: str, change: Change) -> DataSet:
    def changed(split: Split) -> Split:
        values, gaps = split.inputs[name], split.inputs.get(f"{name}_missing")
        assert isinstance(values, Tensor)
        assert gaps is None or isinstance(gaps, Tensor)
        return replace(split, inputs={**split.inputs, name: change(values, gaps)})

    splits = {key: changed(getattr(data, key)) for key in ("train", "validation", "test")}
    return replace(
        data, train=splits["train"], validation=splits["validation"], test=splits["test"]
    )
