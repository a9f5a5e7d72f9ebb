"""Metrics of tasks that refine others: do the predictions of fine and coarse classes fit together?

A class of a task lies in a class of its parent, that one perhaps in a class of the parent's parent,
and all of them below one root: a tree, in which the distance of two classes is the height of the
lowest common ancestor (1 for two classes of one parent).

Source:
    Bertinetto et al., "Making Better Mistakes: Leveraging Class Hierarchies with Deep Networks",
    CVPR 2020, section 3.1: hierarchical distance of a mistake (here ``mistake_severity``), and the
    same with right predictions counted as 0 (``hierarchical_distance``).
    https://doi.org/10.1109/CVPR42600.2020.01252
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from graphspec.data.hierarchy import UNKNOWN
from graphspec.language.signature import TaskSpec

PAIR_CLASSES = 1000
"""Most classes for which the most confused pairs are counted: the matrix has their square."""

_PAIRS = 10


@dataclass(frozen=True)
class Kin:
    """Confusion of a task seen from its parent.

    Attributes:
        parent: The parent.
        counts: Of shape ``(parent's classes, parent's classes)``: in which of them the true class
            lies (row) and in which the predicted one does (column).
        pairs: The classes most often confused, most first: the true class, the predicted one, how
            often, how many samples the true class has, and whether both have one parent.
    """

    parent: str
    counts: list[list[int]]
    pairs: list[tuple[int, int, int, int, bool]]


class Kinship:
    """The sums of one task with a parent, on the device."""

    def __init__(self, name: str, tasks: Mapping[str, TaskSpec], device: torch.device) -> None:
        """Begin with nothing.

        Args:
            name: The task, whose map to its parent is known.
            tasks: The tasks that the model predicts, the parent perhaps among them.
            device: Where predictions and labels are.
        """
        task = tasks[name]
        self.parent = str(task.parent)
        self._name = name
        self._is_predicted = self.parent in tasks
        levels = task.lineage or (task.parents,)
        # classes whose parent is not known have parents of their own, which are below 0
        alone = torch.arange(UNKNOWN, UNKNOWN - task.classes, -1, device=device)
        lineage = torch.tensor(levels, device=device)
        self._levels = torch.where(lineage == UNKNOWN, alone, lineage)
        known = max(levels[0], default=UNKNOWN) + 1
        self._parents = tasks[self.parent].classes if self._is_predicted else max(known, 1)
        self._sums = torch.zeros(9, dtype=torch.int64, device=device)
        self._counts = torch.zeros(self._parents**2, dtype=torch.int64, device=device)
        pairs = task.classes**2 if task.classes <= PAIR_CLASSES else 0
        self._pairs = torch.zeros(pairs, dtype=torch.int64, device=device)
        self._classes = task.classes

    def add(self, outputs: Mapping[str, Tensor], labels: Mapping[str, Tensor]) -> None:
        """Take in one batch.

        Args:
            outputs: Logits by task, each of shape ``(N, classes)``.
            labels: Classes by task, each of shape ``(N,)``; -1 where one is missing.
        """
        logits, true = outputs[self._name], labels[self._name]
        given, known = logits.argmax(1), true >= 0
        true = true.clamp(min=0)
        implied = self._levels[0][given]
        # where the true class is not known, that of the parent may be
        above = torch.where(known, self._levels[0][true], UNKNOWN)
        if self.parent in labels:
            above = torch.where(labels[self.parent] >= 0, labels[self.parent], above)
        placed = (above >= 0) & (above < self._parents)
        differs = (self._levels[:, given] != self._levels[:, true]) & known
        wrong = known & (given != true)
        consistent = placed
        if self._is_predicted:
            consistent = implied == outputs[self.parent].argmax(1)
        terms = (
            torch.ones_like(known), consistent,
            placed, placed & (implied == above), placed & (self._marginal(logits) == above),
            known, wrong, wrong & ~differs[0],
        )  # fmt: skip
        # a mistake is 1 from the truth, and 1 more for every level at which their ancestors differ
        height = wrong.sum() + differs.sum()
        self._sums += torch.stack([*(term.sum() for term in terms), height])
        count_pairs(self._counts, above, implied, self._parents, placed & (implied >= 0))
        if len(self._pairs):
            count_pairs(self._pairs, true, given, self._classes, known)

    def _marginal(self, logits: Tensor) -> Tensor:
        """Return the parent's class in which most of the probability lies."""
        into = torch.where(self._levels[0] >= 0, self._levels[0], self._parents)
        shares = logits.new_zeros(len(logits), self._parents + 1, dtype=torch.float32)
        return shares.index_add_(1, into, logits.float().softmax(1))[:, :-1].argmax(1)

    def scores(self) -> dict[str, float]:
        """Return the metrics by name; those of which there is nothing to say are left out."""
        seen, consistent, placed, implied, marginal, known, wrong, within, height = (
            self._sums.tolist()
        )
        parts = {
            "consistency": (consistent, seen if self._is_predicted else 0),
            "implied_top1": (implied, placed),
            "marginal_top1": (marginal, placed),
            "errors_within": (within, wrong),
            "mistake_severity": (height, wrong),
            "hierarchical_distance": (height, known),
        }
        return {name: part / whole for name, (part, whole) in parts.items() if whole}

    def confusion(self) -> Kin:
        """Return what is confused with what."""
        counts = self._counts.reshape(self._parents, self._parents).tolist()
        return Kin(self.parent, counts, self._most_confused())

    def _most_confused(self) -> list[tuple[int, int, int, int, bool]]:
        if not len(self._pairs):
            return []
        matrix = self._pairs.cpu().reshape(self._classes, self._classes)
        totals, above = matrix.sum(1).tolist(), self._levels[0].tolist()
        wrong = matrix.clone().fill_diagonal_(0).flatten()
        # a stable order, so that equal numbers stand as in the matrix
        order = wrong.argsort(descending=True, stable=True)[:_PAIRS].tolist()
        return [
            (*divmod(place, self._classes), int(wrong[place]), totals[place // self._classes],
             above[place // self._classes] == above[place % self._classes])
            for place in order if wrong[place]
        ]  # fmt: skip


def kinships(tasks: Mapping[str, TaskSpec], device: torch.device) -> dict[str, Kinship]:
    """Return the sums of every task whose classes are known to lie in those of its parent."""
    return {
        name: Kinship(name, tasks, device)
        for name, task in tasks.items()
        if task.parent is not None and max(task.parents, default=UNKNOWN) != UNKNOWN
    }


def described(name: str, kin: Kin, tasks: Mapping[str, TaskSpec]) -> dict[str, Any]:
    """Return a confusion as a summary has it, with the names of the classes.

    Args:
        name: The task.
        kin: Its confusion.
        tasks: The tasks of the data set.
    """
    own = _names(tasks[name], tasks[name].classes)
    return {
        "parent": kin.parent,
        "names": _names(tasks[kin.parent], len(kin.counts))[: len(kin.counts)],
        "counts": kin.counts,
        "pairs": [
            {"true": own[true], "predicted": own[given], "count": count, "of": total,
             "same_parent": same}
            for true, given, count, total, same in kin.pairs
        ],
    }  # fmt: skip


def _names(task: TaskSpec, classes: int) -> list[str]:
    return list(task.names) or [str(number) for number in range(classes)]


def count_pairs(sums: Tensor, rows: Tensor, columns: Tensor, size: int, counted: Tensor) -> None:
    """Count pairs of classes; unlike bincount this does not wait for the device.

    Args:
        sums: The numbers so far, a matrix of shape ``(size, size)`` as one row.
        rows: The first class of each pair, shape ``(N,)``.
        columns: The second.
        size: Number of classes.
        counted: Which pairs count.
    """
    places = torch.where(counted, rows * size + columns, 0)
    sums.scatter_add_(0, places, counted.long())
