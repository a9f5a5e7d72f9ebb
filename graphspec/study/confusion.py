"""Confusion of the coarse task over all seeds, and what a variant confuses more and less."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from graphspec.study.comparison import Comparison, Variant
from graphspec.study.figures.progress import chosen_variants
from graphspec.training.report import shaded

Matrix = list[list[float]]

_FAINT = 0.5
"""Difference in percentage points below which a cell is left empty."""

_FULL = 10.0
"""Difference at which a cell has its full shade."""


@dataclass(frozen=True)
class Cell:
    """A cell of a difference.

    Attributes:
        text: The difference in percentage points, or a dot.
        is_better: Whether it is for the better: more on the diagonal, or less beside it.
        shade: How strong, from 0 to 1.
    """

    text: str
    is_better: bool
    shade: float


@dataclass(frozen=True)
class Difference:
    """What a variant confuses more and less than the baseline.

    Attributes:
        variant: The variant.
        rows: For each true class its name and the cells by predicted class.
    """

    variant: str
    rows: list[tuple[str, list[Cell]]]


@dataclass(frozen=True)
class Confusion:
    """Confusion of a task.

    Attributes:
        task: The task.
        names: Its classes.
        baseline: The matrix of the baseline, as ``matrix.html.j2`` draws it.
        differences: Those of the other variants that are shown.
    """

    task: str
    names: Sequence[str]
    baseline: dict[str, Any]
    differences: tuple[Difference, ...]


def confusion(found: Comparison) -> Confusion | None:
    """Return the confusion of the baseline and the differences from it.

    Args:
        found: The comparison.

    Returns:
        None where the runs have none, or too many classes to show.
    """
    base = found.variant(found.baseline)
    first = base.first.summary["confusion"]
    if first is None:
        return None
    counts = [result.summary["confusion"]["counts"] for result in base.results.values()]
    total = [[sum(cell) for cell in zip(*rows, strict=True)] for rows in zip(*counts, strict=True)]
    baseline = shaded({**first, "counts": total})
    if baseline is None:
        return None
    shown = set(chosen_variants(found))
    shares = _shares(base)
    differences = [
        Difference(variant.name, _difference(first["names"], _shares(variant), shares))
        for variant in found.others
        if variant.name in shown and _same(variant, first)
    ]
    return Confusion(first["task"], first["names"], baseline, tuple(differences))


def _same(variant: Variant, first: Any) -> bool:
    """Return whether a variant's confusion is of the same task, classes and split."""
    return all(
        (own := result.summary["confusion"]) is not None
        and all(own[key] == first[key] for key in ("task", "names", "split"))
        for result in variant.results.values()
    )


def _shares(variant: Variant) -> Matrix:
    """Return the part of each true class that is predicted as each class, the mean over seeds."""
    runs = [result.summary["confusion"]["counts"] for result in variant.results.values()]
    size = range(len(runs[0]))
    totals = [[sum(run[row]) or 1 for row in size] for run in runs]
    return [
        [
            sum(run[row][column] / total[row] for run, total in zip(runs, totals, strict=True))
            / len(runs)
            for column in size
        ]
        for row in size
    ]


def _difference(names: Sequence[str], shares: Matrix, base: Matrix) -> list[tuple[str, list[Cell]]]:
    rows = []
    for row, name in enumerate(names):
        cells = []
        for column in range(len(names)):
            points = 100.0 * (shares[row][column] - base[row][column])
            text = f"{points:+.0f}".replace("-", "−") if abs(points) >= _FAINT else "·"
            cells.append(Cell(text, (points > 0) == (row == column), min(1.0, abs(points) / _FULL)))
        rows.append((name, cells))
    return rows
