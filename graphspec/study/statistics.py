"""The arithmetic of a comparison: paired differences, intervals, tests, correction, Delta-p.

Plain numbers in, plain numbers out; docs/comparing.md says how to read them. A difference is
*paired*: the baseline and a variant are trained with the same seed, hence with the same order of
the data, the same augmentation and the same initial weights where their nodes are the same, and
what these do to both goes out of the difference.

Source:
    Student, "The probable error of a mean", Biometrika 1908 (the paired t test); Fisher, "The
    Design of Experiments", 1935, section 21 (the sign-flip test); Holm, "A simple sequentially
    rejective multiple test procedure", Scandinavian Journal of Statistics 1979.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.05
"""The part of families without any effect in which something would be called told apart."""

EXACT_PAIRS = 13
"""Most pairs for which the sign-flip test goes through all flips; beyond, it draws them."""

_DRAWS = 9999
_ROUNDING = 1e-12
"""Deviation of differences, as a part of their size, that rounding alone can make."""


@dataclass(frozen=True)
class Interval:
    """A confidence interval.

    Attributes:
        low: Its lower end.
        high: Its upper end.
        level: The part of such intervals that misses the truth: 0.05 for one of 95 %.
    """

    low: float
    high: float
    level: float

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside."""
        return self.low > 0.0 or self.high < 0.0


@dataclass(frozen=True)
class Spread:
    """Values of several seeds.

    Attributes:
        count: How many.
        mean: Their mean.
        deviation: Their standard deviation (of a sample: ``n - 1``); None for a single one.
        least: The least.
        greatest: The greatest.
    """

    count: int
    mean: float
    deviation: float | None
    least: float
    greatest: float


@dataclass(frozen=True)
class Paired:
    """The differences of a variant from the baseline, over the seeds that both have.

    Attributes:
        differences: The difference by seed, variant minus baseline.
        mean: Their mean.
        interval: The 95 % interval of the mean by Student's t; None where there is none: for one
            pair, and where all differences are the same.
        p: Of the paired t test, two-sided; None likewise, 1 where every difference is zero.
        p_flipped: Of the sign-flip test, two-sided, the second opinion; None for one pair.
        p_least: The least p that the sign-flip test can give with so many pairs.
    """

    differences: Mapping[int, float]
    mean: float
    interval: Interval | None
    p: float | None
    p_flipped: float | None
    p_least: float | None

    def at(self, level: float) -> Interval | None:
        """Return the interval of another level, or None where there is none."""
        return _t_interval(list(self.differences.values()), level)


def spread(values: Sequence[float]) -> Spread:
    """Return mean and deviation of at least one value."""
    numbers = np.asarray(values, dtype=np.float64)
    deviation = float(numbers.std(ddof=1)) if len(numbers) > 1 else None
    return Spread(
        len(numbers), float(numbers.mean()), deviation, float(numbers.min()), float(numbers.max())
    )


def paired(values: Mapping[int, float], baseline: Mapping[int, float]) -> Paired | None:
    """Compare a variant with the baseline, seed by seed.

    Args:
        values: A metric of the variant by seed.
        baseline: The same of the baseline.

    Returns:
        The comparison over the seeds that both have, or None where they have none in common.
    """
    seeds = sorted(values.keys() & baseline.keys())
    return of_differences({seed: values[seed] - baseline[seed] for seed in seeds})


def of_differences(differences: Mapping[int, float]) -> Paired | None:
    """Return what differences by seed say, or None where there are none."""
    numbers = list(differences.values())
    if not numbers:
        return None
    count = len(numbers)
    several = count > 1
    return Paired(
        dict(differences),
        math.fsum(numbers) / count,
        _t_interval(numbers, LEVEL),
        _t_test(numbers),
        sign_flips(numbers) if several else None,
        least_p(count) if several else None,
    )


def _has_spread(numbers: Sequence[float]) -> bool:
    if len(numbers) < 2:
        return False
    return float(np.std(numbers)) > _ROUNDING * max(map(abs, numbers))


def _t_interval(numbers: Sequence[float], level: float) -> Interval | None:
    """Return mean ± t(1 - level/2, n - 1) · s / √n; a width of zero only where all are zero."""
    if len(numbers) > 1 and not any(numbers):
        return Interval(0.0, 0.0, level)
    if not _has_spread(numbers):
        return None
    count = len(numbers)
    mean = math.fsum(numbers) / count
    half = float(stats.t.isf(level / 2, count - 1) * np.std(numbers, ddof=1) / math.sqrt(count))
    return Interval(mean - half, mean + half, level)


def _t_test(numbers: Sequence[float]) -> float | None:
    if len(numbers) > 1 and not any(numbers):
        return 1.0
    if not _has_spread(numbers):
        return None
    return float(stats.ttest_1samp(numbers, 0.0).pvalue)


def sign_flips(differences: Sequence[float]) -> float:
    """Return the p of the sign-flip test, two-sided, exact for up to `EXACT_PAIRS` pairs.

    It asks in how many of the ``2^n`` ways to exchange variant and baseline within the pairs the
    mean difference is as large as the one seen. It assumes no normal distribution, only that
    without an effect each exchange is as likely, and pays with a least p of ``2 / 2^n``.

    Args:
        differences: At least one.
    """
    found = stats.permutation_test(
        (np.asarray(differences, dtype=np.float64),),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=_DRAWS,
        random_state=0,
    )
    return float(found.pvalue)


def least_p(pairs: int) -> float:
    """Return the least p that the sign-flip test can give: all differences of one sign."""
    return 2.0 / 2.0**pairs if pairs <= EXACT_PAIRS else 2.0 / (_DRAWS + 1)


def holm(values: Sequence[float]) -> list[float]:
    """Return p values adjusted by Holm's step-down correction.

    The probability that any true null hypothesis of the family has an adjusted p of at most
    ``a`` is at most ``a``, however the tests depend on each other.

    Args:
        values: The p values of the family.
    """
    adjusted = [0.0] * len(values)
    highest = 0.0
    for rank, place in enumerate(_ascending(values)):
        highest = max(highest, min(1.0, (len(values) - rank) * values[place]))
        adjusted[place] = highest
    return adjusted


def holm_levels(values: Sequence[float], level: float = LEVEL) -> list[float]:
    """Return the level at which Holm's correction tests each hypothesis of a family.

    An interval of this level excludes zero exactly where the adjusted p is at most `level`, so that
    intervals and verdicts agree. The hypotheses that stand share the level of the step at which the
    correction stopped: their intervals hold simultaneously.

    Args:
        values: The p values of the family.
        level: The level of the family.

    Source:
        Guilbaud, "Simultaneous confidence regions corresponding to Holm's step-down procedure and
        other closed-testing procedures", Biometrical Journal 2008.
    """
    levels = [level] * len(values)
    stopped: float | None = None
    for rank, place in enumerate(_ascending(values)):
        own = level / (len(values) - rank)
        if stopped is None and values[place] > own:
            stopped = own
        levels[place] = own if stopped is None else stopped
    return levels


def _ascending(values: Sequence[float]) -> list[int]:
    return sorted(range(len(values)), key=lambda place: values[place])


def relative_improvement(
    values: Sequence[float], baseline: Sequence[float], minimised: Sequence[bool]
) -> float | None:
    """Return Delta-p: the mean over tasks of the relative improvement, in percent.

    ``100/T · Σ (-1)^l (M - B) / B``, with ``l = 1`` where less is better.

    Args:
        values: A metric of each task.
        baseline: The same of the baseline; the literature takes single-task models.
        minimised: Whether less of it is better.

    Returns:
        Percent, or None where a value of the baseline is not positive, so that a part of it means
        nothing.

    Source:
        Maninis et al., "Attentive Single-Tasking of Multiple Tasks", CVPR 2019, and
        Vandenhende et al., "Multi-Task Learning for Dense Prediction Tasks: A Survey", TPAMI 2021:
        the relative change of each task with a sign for its direction, averaged over tasks.
    """
    if not values or any(base <= 0.0 for base in baseline):
        return None
    terms = [
        (base - value) / base if less else (value - base) / base
        for value, base, less in zip(values, baseline, minimised, strict=True)
    ]
    return 100.0 * math.fsum(terms) / len(terms)
