"""How many samples of a data set have a label of each task, and whether that is enough.

A sample may lack the label of a task; then it contributes nothing to it: not to its loss, its class
weights or its metrics.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graphspec.data import hierarchy, targets
from graphspec.errors import Code, fail
from graphspec.language.recipe import Train
from graphspec.language.signature import TaskSpec
from graphspec.training import judging

if TYPE_CHECKING:
    from graphspec.data.batches import Batch
    from graphspec.data.dataset import DataSet

_LOOKED_AT = 50
"""Batches among which the one with labels of most tasks is chosen."""

Labelled = Mapping[str, Mapping[str, int]]
"""For each task the number of samples that have a label, by split."""


def counts(data: DataSet, tasks: Mapping[str, TaskSpec]) -> dict[str, dict[str, int]]:
    """Return how many samples have a label of each task, by split."""
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    return {
        name: {
            split: int(targets.labelled(task, part.labels[name].numpy()).sum())
            if task.partial
            else len(part)
            for split, part in splits.items()
        }
        for name, task in tasks.items()
    }


def check(labelled: Labelled, data: str) -> None:
    """Check that every task has something to learn from.

    Args:
        labelled: What `counts` gave.
        data: Name of the data set.

    Raises:
        SpecError: ``data-mismatch``.
    """
    for name, splits in labelled.items():
        if not splits["train"]:
            message = f"no training sample of `{data}` has a label of the task `{name}`"
            hint = "label some, or leave the head and the task out"
            raise fail(Code.DATA_MISMATCH, message, hint)


def check_hierarchies(tasks: Mapping[str, TaskSpec], data: str) -> None:
    """Check that something shows in which classes of its parent those of a task lie.

    Args:
        tasks: The tasks.
        data: Name of the data set.

    Raises:
        SpecError: ``data-mismatch``.
    """
    for name, task in tasks.items():
        if task.parents and max(task.parents) == hierarchy.UNKNOWN:
            message = f"no training sample of `{data}` has labels of both `{name}` and "
            message += f"`{task.parent}`, so it is not known which class lies in which"
            hint = f"label some for both, or leave `parent: {task.parent}` of `{name}` out"
            raise fail(Code.DATA_MISMATCH, message, hint)


def check_measurable(recipe: Train, labelled: Labelled, data: str) -> None:
    """Check that what steers a run can be measured.

    Args:
        recipe: The recipe, with the metrics that steer the run.
        labelled: What `counts` gave.
        data: Name of the data set.

    Raises:
        SpecError: ``data-mismatch`` where a split has no label of the task whose metric is asked.
    """
    for key, metric in judging.metrics_of(recipe):
        split, *rest = metric.split("/")
        if len(rest) == 2 and not labelled[rest[0]][split]:
            message = f"`{key}: {metric}` cannot be measured: no {split} sample of `{data}` has a "
            message += f"label of `{rest[0]}`"
            hint = "choose another metric, or hold more out with `data.validation`"
            raise fail(Code.DATA_MISMATCH, message, hint)


def words(labelled: Mapping[str, int], samples: Mapping[str, int], split: str) -> str:
    """Return how many samples of a split are labelled, or nothing where all are."""
    if labelled[split] == samples[split]:
        return ""
    return f"{labelled[split]:,} of {samples[split]:,} labelled"


def fullest(batches: Iterable[Batch], tasks: Mapping[str, TaskSpec]) -> Batch:
    """Return the first batch in which every task has a label, else the one where most have.

    Args:
        batches: At least one; few of them are looked at.
        tasks: The tasks.
    """
    found: tuple[int, Batch] | None = None
    for batch in islice(batches, _LOOKED_AT):
        number = sum(bool(_of(task, batch.labels[name]).any()) for name, task in tasks.items())
        if found is None or number > found[0]:
            found = number, batch
        if number == len(tasks):
            break
    assert found is not None
    return found[1]


def rows(labels: Mapping[str, Tensor], tasks: Mapping[str, TaskSpec], size: int) -> Tensor:
    """Return some samples of a batch among which every task has its labels, where there are any.

    Args:
        labels: The labels of the batch by task.
        tasks: The tasks.
        size: How many samples.

    Returns:
        Their numbers in the batch, in order; the first ones where no label is missing.
    """
    share = -(-size // len(tasks))
    wanted = [_of(task, labels[name]).nonzero()[:share, 0] for name, task in tasks.items()]
    total = len(next(iter(labels.values())))
    everything = torch.cat([*(each.cpu() for each in wanted), torch.arange(total)]).tolist()
    return torch.tensor(sorted(list(dict.fromkeys(everything))[:size]))


def _of(task: TaskSpec, labels: Tensor) -> Tensor:
    """Return for each sample whether it has a label."""
    return torch.from_numpy(targets.labelled(task, labels.cpu().numpy()))
