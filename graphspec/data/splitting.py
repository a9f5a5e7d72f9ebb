"""How samples are held out: stratified, seeded, and the same choice on every machine."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphspec.data import hierarchy
from graphspec.data.source import Part
from graphspec.language.signature import TaskSpec

TEST_SEED = 0
"""Seed of the test split of files without one: runs of all seeds have the same test samples."""


def strata(
    tasks: Mapping[str, TaskSpec], labels: Mapping[str, NDArray[Any]], samples: int
) -> NDArray[np.int64]:
    """Return what samples are stratified by: the classes of the finest task.

    Args:
        tasks: The tasks.
        labels: For each task the target of each sample.
        samples: Number of samples.

    Returns:
        A class for each sample, shape ``(N,)``; all the same where no task is a classification.
        Samples that lack the finest label are told apart by the first other task whose class is
        known, by numbers below 0.
    """
    task = hierarchy.finest(tasks)
    if task is None:
        return np.zeros(samples, dtype=np.int64)
    found = labels[task]
    if not (found < 0).any():
        return found
    found = np.where(found < 0, -1, found)
    taken = 1
    for name, other in tasks.items():
        if other.type == "classification" and name != task:
            free = (found == -1) & (labels[name] >= 0)
            found = np.where(free, -1 - taken - labels[name], found)
            taken += other.classes
    return found


def hold_out(labels: NDArray[np.int64], fraction: float, seed: int) -> NDArray[np.bool_]:
    """Choose a stratified part of the samples.

    Of every class as near to the same part as whole samples allow (largest remainders), and never
    the whole class. The choice rests on `random.Random.random`, the one generator of Python and
    numpy whose numbers are promised to stay the same in every version.

    Args:
        labels: Class of each sample, shape ``(N,)``.
        fraction: Part to choose, from 0 up to but not including 1.
        seed: Seed of the choice.

    Returns:
        For each sample whether it is chosen, shape ``(N,)``.
    """
    generator = random.Random(seed)
    keys = np.array([generator.random() for _ in range(len(labels))])
    order = np.argsort(labels, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1) if len(order) else []
    ties = [generator.random() for _ in members]
    exact = [fraction * len(indices) for indices in members]
    counts = [int(share) for share in exact]
    spare = round(fraction * len(labels)) - sum(counts)
    by_remainder = sorted(range(len(members)), key=lambda i: (counts[i] - exact[i], ties[i]))
    for i in by_remainder[: max(spare, 0)]:
        counts[i] += 1
    chosen = np.zeros(len(labels), dtype=np.bool_)
    for indices, count in zip(members, counts, strict=True):
        order = np.argsort(keys[indices], kind="stable")
        chosen[indices[order[: min(count, len(indices) - 1)]]] = True
    return chosen


def divide(
    whole: Part, splits: NDArray[Any] | None, tasks: Mapping[str, TaskSpec], test: float
) -> tuple[Part, Part | None, Part]:
    """Divide samples into training, validation and test split.

    Args:
        whole: All samples.
        splits: For each sample ``train``, ``validation`` or ``test``; None where the source has no
            splits of its own.
        tasks: The tasks, by which a test split is stratified.
        test: Part of the training samples that becomes the test split, where there is none.

    Returns:
        The training split, the source's own validation split or None, and the test split.
    """
    validation = None
    if splits is not None:
        own = splits == "validation"
        validation = whole[own] if own.any() else None
        if (splits == "test").any():
            return whole[splits == "train"], validation, whole[splits == "test"]
        whole = whole[splits == "train"]
    held = hold_out(strata(tasks, whole.labels, len(whole)), test, TEST_SEED)
    return whole[~held], validation, whole[held]
