"""Differences with the spread of all variants together: another opinion, for few seeds.

With three seeds the spread of one variant's differences is a poor guess, and Student's t takes that
into account with wide intervals. If all variants vary alike from seed to seed, their spreads are
guesses of the same number, and together a good one: with six variants and three seeds ten degrees
of freedom instead of two. That they do is an assumption, so no verdict rests on it.

Source:
    Fisher, "The Design of Experiments", 1935, chapter 4 (randomised blocks: a seed is a block, a
    variant a treatment); Dunnett, "A multiple comparison procedure for comparing several treatments
    with a control", Journal of the American Statistical Association 1955.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from graphspec.study.statistics import Interval

_ROUNDING = 1e-12
"""Spread, as a part of the values, that rounding alone can make."""


@dataclass(frozen=True)
class Pooled:
    """The difference of a variant from the baseline, with the spread of all variants.

    Attributes:
        mean: The mean difference over the seeds that all variants have.
        error: Its standard error.
        freedom: Degrees of freedom of the error.
    """

    mean: float
    error: float
    freedom: int

    @property
    def p(self) -> float:
        """Of the t test, two-sided, not corrected."""
        return float(2.0 * stats.t.sf(abs(self.mean) / self.error, self.freedom))

    def at(self, level: float) -> Interval:
        """Return the interval of a level."""
        half = float(stats.t.isf(level / 2.0, self.freedom)) * self.error
        return Interval(self.mean - half, self.mean + half, level)


def pool(values: Mapping[str, Mapping[int, float]], baseline: str) -> dict[str, Pooled]:
    """Compare variants with the baseline by the spread that is left after variants and seeds.

    Args:
        values: A metric by variant and seed.
        baseline: The baseline's name among them.

    Returns:
        The comparison of every variant that has all seeds of the baseline. None are made with
        fewer than three such variants (two give the paired t test), fewer than two seeds, or
        without any spread.
    """
    seeds = sorted(values.get(baseline, ()))
    names = [name for name, each in values.items() if set(seeds) <= set(each)]
    if len(names) < 3 or len(seeds) < 2:
        return {}
    table = np.array([[values[name][seed] for seed in seeds] for name in names])
    means = table.mean(axis=1)
    rest = table - means[:, None] - table.mean(axis=0)[None, :] + table.mean()
    freedom = (len(names) - 1) * (len(seeds) - 1)
    variance = float((rest**2).sum()) / freedom
    if math.sqrt(variance) <= _ROUNDING * float(np.abs(table).max()):
        return {}
    error = math.sqrt(2.0 * variance / len(seeds))
    base = means[names.index(baseline)]
    return {
        name: Pooled(float(mean - base), error, freedom)
        for name, mean in zip(names, means, strict=True)
        if name != baseline
    }
