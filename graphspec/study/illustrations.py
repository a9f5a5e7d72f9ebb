"""The pictures that a comparison has, each under a name and with the words that belong to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graphspec.study.comparison import Comparison
from graphspec.study.costs import Cost
from graphspec.study.figures import forest, progress, strips, tradeoffs


@dataclass(frozen=True)
class Illustration:
    """A picture.

    Attributes:
        name: Its file's name without the ending, e.g. ``forest``.
        title: What it shows.
        caption: How to read it.
        svg: The picture.
    """

    name: str
    title: str
    caption: str
    svg: str


def illustrations(found: Comparison, costs: Mapping[str, Cost | None]) -> dict[str, Illustration]:
    """Draw everything that there is to draw of a comparison.

    Args:
        found: The comparison.
        costs: What each variant costs to compute; None where it is not known.

    Returns:
        The pictures by name, in the order of a report.
    """
    kin = [metric for metric in found.metrics if metric.of_hierarchy]
    several = len(found.seeds) > 1
    band = " Bands reach from the least to the greatest of the seeds." if several else ""
    few = ""
    if len(found.variants) > progress.MOST:
        few = f" Grey lines are all but the baseline and the best {progress.MOST - 1}."
    pictures = [
        (
            "forest",
            f"Differences from {found.baseline}",
            "Thin lines with caps are the intervals that the verdicts rest on, held to the level "
            "that Holm's correction asks; thick ones are plain 95 % intervals. Filled triangles "
            "are told apart from chance, hollow circles are not.",
            forest.draw(found),
        ),
        (
            "seeds",
            "What every seed reaches",
            "A mark is a seed, a bar the mean over seeds, the dashed line the mean of "
            f"{found.baseline}.",
            strips.draw(found, found.main),
        ),
        (
            "curves",
            "Learning curves",
            f"Validation split; lines are means over seeds.{band}{few}",
            progress.draw(found),
        ),
        (
            "tradeoffs",
            "What it reaches against what it costs",
            "Ringed: no other variant costs less and reaches more (Pareto front). Vertical bars "
            "are standard deviations over seeds.",
            tradeoffs.draw(found, costs) if found.main else None,
        ),
        (
            "hierarchy",
            "Do the predictions of fine and coarse classes fit together?",
            "A mark is a seed, a bar the mean over seeds, the dashed line the mean of "
            f"{found.baseline}.",
            strips.draw(found, kin),
        ),
        (
            "conflicts",
            "Do the tasks' gradients agree?",
            "Cosine of the gradients of two tasks at what they share, mean over seeds; below zero "
            f"a step for one task raises the loss of the other.{band}",
            progress.conflicts(found),
        ),
    ]
    return {
        name: Illustration(name, title, caption, svg)
        for name, title, caption, svg in pictures
        if svg is not None
    }
