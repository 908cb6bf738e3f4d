"""bench/precision.py: when 16 bits are worse than 32, by distances of several seeds."""

from __future__ import annotations

import math
from types import ModuleType

import pytest
from tiny import OfBench


@pytest.fixture
def bench(of_bench: OfBench) -> ModuleType:
    return of_bench("precision")


def test_the_ratio_is_that_of_geometric_means_with_welchs_interval(bench: ModuleType) -> None:
    middle, low, high = bench.ratio([50.0, 100.0, 200.0], [100.0, 200.0, 400.0])
    # Logarithms apart by ln 2, each side with a variance of ln(2)^2, four degrees of freedom.
    half = 2.78 * math.log(2) * math.sqrt(2 / 3)
    assert middle == pytest.approx(2.0)
    assert (low, high) == pytest.approx((2 * math.exp(-half), 2 * math.exp(half)))
    assert bench.ratio([80.0, 80.0], [80.0, 80.0]) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("exact", "rough", "deaths", "verdict"),
    [
        ([100, 101, 102], [100, 101, 103], "0 of 3", "unchanged"),
        ([100, 101, 102], [110, 111, 112], "0 of 3", "worse"),
        ([100, 101, 102], [90, 91, 92], "0 of 3", "unchanged"),
        ([100, 101, 102], [100, 101, math.inf], "1 of 3", "worse"),
        ([100, 101, math.inf], [100, 101, math.inf], "1 of 3", "unchanged"),
        ([100, 101, 102], [math.inf] * 3, "3 of 3", "worse"),
        ([100, math.inf, math.inf], [100, 101, 102], "0 of 3", "not measured"),
    ],
)
def test_16_bits_are_worse_where_the_whole_interval_is_or_more_runs_die(
    bench: ModuleType, exact: list[float], rough: list[float], deaths: str, verdict: str
) -> None:
    found = bench.row("a", [list(map(float, exact)), list(map(float, rough))])
    assert found[0] == "`a`"
    assert (found[-2], found[-1]) == (deaths, verdict)
