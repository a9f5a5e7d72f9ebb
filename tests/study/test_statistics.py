"""The arithmetic against numbers computed by hand, and against what must hold of any numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from graphspec.study import statistics
from graphspec.study.statistics import Interval, holm, holm_levels, paired

numbers = st.floats(-1e3, 1e3, allow_subnormal=False).map(lambda x: round(x, 6))
samples = st.lists(numbers, min_size=2, max_size=8)
p_values = st.lists(st.floats(1e-9, 1.0), min_size=1, max_size=12)


def _paired(differences: Sequence[float]) -> statistics.Paired:
    found = statistics.of_differences(dict(enumerate(differences)))
    assert found is not None
    return found


def test_paired_differences_by_hand() -> None:
    """Mean 2, deviation 1, standard error 1/√3; t(0.975, 2) = 4.3027, so ± 2.4842."""
    found = paired({0: 11.0, 1: 22.0, 2: 33.0, 9: 5.0}, {0: 10.0, 1: 20.0, 2: 30.0, 7: 4.0})
    assert found is not None
    assert found.differences == {0: 1.0, 1: 2.0, 2: 3.0}
    assert found.mean == 2.0
    assert found.interval is not None
    assert found.interval.low == pytest.approx(2.0 - 4.302653 / math.sqrt(3), abs=1e-6)
    assert found.interval.high == pytest.approx(2.0 + 4.302653 / math.sqrt(3), abs=1e-6)
    # t = 2√3 with two degrees of freedom: p = 1 - t/√(2 + t²)
    assert found.p == pytest.approx(1.0 - math.sqrt(12) / math.sqrt(14), abs=1e-9)
    assert found.p_flipped == 0.25  # of 8 flips the one seen and its mirror
    assert found.p_least == 0.25


def test_sign_flips_by_hand() -> None:
    """Of (3, -1, 2) the sums are ±6, ±4, ±2, ±0; |4| or more have four of eight."""
    assert statistics.sign_flips([3.0, -1.0, 2.0]) == 0.5
    assert statistics.sign_flips([1.0] * 6) == 2 / 64
    assert statistics.sign_flips([0.0, 0.0]) == 1.0


@pytest.mark.parametrize("pairs", [2, 5, 13, 14, 40])
def test_the_least_p_is_reached_by_differences_of_one_sign(pairs: int) -> None:
    same = [1.0 + number / 100 for number in range(pairs)]
    assert statistics.sign_flips(same) == pytest.approx(statistics.least_p(pairs))


def test_one_pair_has_a_mean_and_nothing_more() -> None:
    found = _paired([0.5])
    assert (found.mean, found.interval, found.p) == (0.5, None, None)
    assert (found.p_flipped, found.p_least) == (None, None)


def test_no_pair_is_nothing() -> None:
    assert paired({0: 1.0}, {1: 2.0}) is None


def test_equal_runs_and_a_difference_without_spread() -> None:
    same = _paired([0.0, 0.0, 0.0])
    assert (same.interval, same.p) == (Interval(0.0, 0.0, 0.05), 1.0)
    steady = paired({0: 0.3, 1: 0.4, 2: 0.5}, {0: 0.2, 1: 0.3, 2: 0.4})
    assert steady is not None
    assert (steady.interval, steady.p) == (None, None)


def test_spread_by_hand() -> None:
    found = statistics.spread([1.0, 2.0, 6.0])
    assert (found.count, found.mean, found.least, found.greatest) == (3, 3.0, 1.0, 6.0)
    assert found.deviation == pytest.approx(math.sqrt(7.0))
    assert statistics.spread([4.0]).deviation is None


def test_holm_by_hand() -> None:
    """Sorted 0.01, 0.02, 0.03, 0.5 times 4, 3, 2, 1, each no less than the one before."""
    assert holm([0.03, 0.5, 0.01, 0.02]) == pytest.approx([0.06, 0.5, 0.04, 0.06])
    assert holm([]) == []
    # the first is rejected at 0.05/4; the second is not at 0.05/3, where the correction stops
    levels = holm_levels([0.03, 0.5, 0.01, 0.02])
    assert levels == pytest.approx([0.05 / 3, 0.05 / 3, 0.05 / 4, 0.05 / 3])


def test_delta_p_by_hand() -> None:
    """Accuracy 40 -> 44 is +10 %, an error of 2 -> 1.9 is +5 %, so +7.5 % on average."""
    found = statistics.relative_improvement([0.44, 1.9], [0.40, 2.0], [False, True])
    assert found == pytest.approx(7.5)
    assert statistics.relative_improvement([0.1], [0.0], [False]) is None
    assert statistics.relative_improvement([0.1], [-0.3], [False]) is None
    assert statistics.relative_improvement([], [], []) is None


@given(samples)
def test_the_interval_excludes_zero_exactly_where_the_test_rejects(values: list[float]) -> None:
    found = _paired(values)
    assume(found.interval is not None and found.p is not None)
    assert found.interval is not None
    assert found.p is not None
    assume(abs(found.p - statistics.LEVEL) > 1e-9)
    assert found.interval.excludes_zero == (found.p < statistics.LEVEL)


@given(samples, st.floats(0.001, 0.2), st.floats(0.3, 0.9))
def test_a_stricter_level_is_a_wider_interval(
    values: list[float], strict: float, lax: float
) -> None:
    found = _paired(values)
    narrow, wide = found.at(lax), found.at(strict)
    assume(narrow is not None and wide is not None)
    assert narrow is not None
    assert wide is not None
    assert wide.low <= narrow.low <= found.mean <= narrow.high <= wide.high


@given(samples)
def test_the_other_sign_is_the_mirror(values: list[float]) -> None:
    found, mirror = _paired(values), _paired([-value for value in values])
    assert mirror.mean == pytest.approx(-found.mean, abs=1e-9)
    assert mirror.p == pytest.approx(found.p) if found.p is not None else mirror.p is None
    assert mirror.p_flipped == found.p_flipped


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=6))
def test_sign_flips_count_all_exchanges(values: list[int]) -> None:
    """Against a count that goes through them one by one, in whole numbers."""
    sums = [0]
    for value in values:
        sums = [total + sign * value for total in sums for sign in (1, -1)]
    as_large = sum(abs(total) >= abs(sum(values)) for total in sums)
    assert statistics.sign_flips(values) == pytest.approx(min(1.0, as_large / len(sums)))


@given(p_values)
def test_holm_lies_between_no_correction_and_bonferroni(values: list[float]) -> None:
    adjusted = holm(values)
    for p, corrected in zip(values, adjusted, strict=True):
        assert p <= corrected <= min(1.0, len(values) * p) + 1e-12
    order = np.argsort(values, kind="stable")
    assert sorted(adjusted) == [adjusted[place] for place in order]


@given(p_values)
def test_levels_reject_exactly_what_holm_rejects(values: list[float]) -> None:
    for p, corrected, level in zip(values, holm(values), holm_levels(values), strict=True):
        assume(abs(corrected - statistics.LEVEL) > 1e-9)
        assert (p <= level) == (corrected <= statistics.LEVEL)


@given(st.lists(st.tuples(st.floats(0.1, 1.0), st.booleans()), min_size=1))
def test_delta_p_of_the_baseline_itself_is_zero_and_more_is_better(
    tasks: list[tuple[float, bool]],
) -> None:
    base, minimised = [task[0] for task in tasks], [task[1] for task in tasks]
    assert statistics.relative_improvement(base, base, minimised) == 0.0
    halved = [value / 2 if less else value * 2 for value, less in zip(base, minimised, strict=True)]
    gain = statistics.relative_improvement(halved, base, minimised)
    assert gain is not None
    assert gain > 0.0
