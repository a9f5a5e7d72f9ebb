"""The pooled spread against an example worked by hand, and against the paired test."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from graphspec.study import statistics
from graphspec.study.pooled import pool

THREE = {
    "a": {0: 1.0, 1: 2.0, 2: 3.0},
    "b": {0: 2.0, 1: 4.0, 2: 3.0},
    "c": {0: 3.0, 1: 3.0, 2: 6.0},
}
"""Means 2, 3, 4 of variants and 2, 3, 4 of seeds, 3 of all."""


def test_an_example_by_hand() -> None:
    """Rests (0, 0, 0), (0, 1, -1), (0, -1, 1): their squares sum to 4, over 2·2 degrees is 1."""
    found = pool(THREE, "a")
    assert list(found) == ["b", "c"]
    assert (found["b"].mean, found["c"].mean) == (1.0, 2.0)
    assert found["b"].freedom == 4
    assert found["b"].error == pytest.approx((2 / 3) ** 0.5)
    # t(0.975, 4) = 2.776445
    assert found["c"].at(0.05).low == pytest.approx(2.0 - 2.776445 * (2 / 3) ** 0.5, abs=1e-6)
    # of t = 2/√(2/3) = √6 with four degrees of freedom
    assert found["c"].p == pytest.approx(0.070484, abs=1e-6)


def test_what_cannot_be_pooled() -> None:
    assert pool({"a": THREE["a"], "b": THREE["b"]}, "a") == {}
    assert pool({name: {0: each[0]} for name, each in THREE.items()}, "a") == {}
    steady = {"a": {0: 0.1, 1: 0.2}, "b": {0: 0.3, 1: 0.4}, "c": {0: 0.5, 1: 0.6}}
    assert pool(steady, "a") == {}
    assert pool(THREE, "none") == {}
    assert list(pool(THREE | {"d": {0: 1.0}}, "a")) == ["b", "c"]


values = st.lists(st.integers(-30, 30).map(float), min_size=3, max_size=5)


@given(st.lists(values, min_size=3, max_size=5), st.integers(-9, 9))
def test_a_lucky_seed_changes_nothing(rows: list[list[float]], luck: int) -> None:
    """What a seed does to all variants goes out, as in a pair."""
    seeds = range(min(map(len, rows)))
    table = {str(number): {seed: row[seed] for seed in seeds} for number, row in enumerate(rows)}
    lucky = {
        name: {seed: value + luck * (seed == 1) for seed, value in row.items()}
        for name, row in table.items()
    }
    one, other = pool(table, "0"), pool(lucky, "0")
    assert one.keys() == other.keys()
    for name, found in one.items():
        assert other[name].mean == pytest.approx(found.mean, abs=1e-9)
        assert other[name].error == pytest.approx(found.error, rel=1e-6)


@given(values)
def test_a_third_variant_like_the_mean_of_two_agrees_with_the_paired_test(row: list[float]) -> None:
    """Then all spread is that of the two: half the square sum, over twice the freedom."""
    base = {seed: float(seed % 2) for seed in range(len(row))}
    own = dict(enumerate(row))
    mid = {seed: (base[seed] + own[seed]) / 2 for seed in base}
    found = pool({"base": base, "own": own, "mid": mid}, "base")
    paired = statistics.paired(own, base)
    assert paired is not None
    assume("own" in found and paired.interval is not None)
    assert found["own"].mean == pytest.approx(paired.mean)
    half = paired.interval.high - paired.mean if paired.interval else 0.0
    quantile = float(statistics.stats.t.isf(0.025, len(row) - 1))
    assert found["own"].error == pytest.approx(half / quantile / 2**0.5)
