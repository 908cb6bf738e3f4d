from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gancli.report import charts
from gancli.report.charts import Curve, draw
from gancli.report.words import spell, spell_name

NUMBER = r"(-?[\d.]+(?:e-?\d+)?)"


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(rf"[ML]{NUMBER},{NUMBER}", path)]


def test_points_lie_where_their_values_say() -> None:
    chart = draw("Share", [0, 5, 10], [Curve("a", "real", [0.0, 0.5, 1.0])], share=True)
    (series,) = chart.series
    (x0, y0), (x1, y1), (x2, y2) = points(series.path)
    assert (x0, x2) == (chart.left, chart.right)
    assert x1 == pytest.approx((x0 + x2) / 2, abs=0.1)
    assert chart.bottom > y0 > y1 > y2 > chart.top
    assert y1 == pytest.approx((y0 + y2) / 2, abs=0.1)
    ticks = {tick.label: tick.at for tick in chart.y_ticks}
    assert (ticks["0 %"], ticks["50 %"], ticks["100 %"]) == (y0, y1, y2)
    assert [tick.label for tick in chart.x_ticks] == ["0", "2.5", "5", "7.5", "10"]
    assert series.spelled == ("0 %", "50 %", "100 %")
    assert chart.at == (x0, x1, x2)
    assert series.dots == ((x0, y0), (x1, y1), (x2, y2))


def test_a_logarithmic_axis_gives_each_decade_the_same_room() -> None:
    chart = draw("Distance", [1, 2, 3], [Curve("a", "fake", [1.0, 100.0, 10_000.0])], log=True)
    heights = [y for _, y in points(chart.series[0].path)]
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2], abs=0.2)
    at = {tick.label: tick.at for tick in chart.y_ticks}
    assert at["1"] - at["10"] == pytest.approx(at["100"] - at["1,000"], abs=0.2)
    negative = draw("Distance", [1, 2], [Curve("a", "fake", [-1.0, 100.0])], log=True)
    assert any(tick.label.startswith("0") for tick in negative.y_ticks)


def test_what_is_no_number_leaves_a_gap() -> None:
    chart = draw("Loss", [1, 2, 3, 4], [Curve("a", "fake", [1.0, math.nan, math.inf, 2.0])])
    (series,) = chart.series
    assert series.path.count("M") == 2
    assert len(points(series.path)) == 2
    assert series.spelled == ("1", spell(math.nan), spell(math.inf), "2")
    assert "nan" not in series.path
    nothing = draw("Loss", [1.0], [Curve("a", "fake", [math.nan])])
    assert nothing.series[0].path == ""
    assert "nan" not in nothing.words


def test_a_long_course_is_thinned_to_means_within_their_extremes() -> None:
    count = 1000
    values = [math.sin(index) for index in range(count)]
    chart = draw("Loss", list(range(count)), [Curve("a", "fake", values)])
    (series,) = chart.series
    assert len(chart.at) == 200
    assert chart.note.startswith("Line: mean of 5 log lines")
    assert float(series.spelled[0]) == pytest.approx(math.fsum(values[:5]) / 5, abs=1e-3)
    assert chart.epochs[0] == "4"
    assert chart.epochs[-1] == "999"
    line, area = points(series.path), points(series.band)
    upper, lower = area[:200], area[:199:-1]
    assert all(
        high[1] <= middle[1] <= low[1] for high, middle, low in zip(upper, line, lower, strict=True)
    )
    assert draw("Loss", [1, 2], [Curve("a", "fake", [1, 2])]).series[0].band == ""


def test_rare_leaps_of_many_values_stay_outside() -> None:
    values = [1.0 + index % 2 for index in range(600)]
    values[300] = 1e9
    chart = draw("Loss", list(range(600)), [Curve("a", "fake", values)])
    assert {tick.label for tick in chart.y_ticks} >= {"1", "2"}
    assert min(y for _, y in points(chart.series[0].path)) >= chart.top - 200


def test_the_description_says_start_end_and_extremes() -> None:
    chart = draw("Loss", [1, 9], [Curve("D", "real", [3.0, 1.5])])
    assert chart.words == "Loss over epochs 1 to 9: D from 3 to 1.5, between 1.5 and 3."


@given(
    st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=30),
    st.booleans(),
)
def test_any_values_give_ticks_in_order_and_points_in_the_drawing(
    values: list[float], log: bool
) -> None:
    chart = draw("Any", list(range(len(values))), [Curve("a", "fake", values)], log=log)
    heights = [tick.at for tick in chart.y_ticks]
    assert 1 <= len(heights) <= 8
    assert heights == sorted(heights, reverse=True)
    assert len({tick.label for tick in chart.y_ticks}) == len(heights)
    assert all(chart.top - 0.1 <= at <= chart.bottom + 0.1 for at in heights)
    assert all(chart.left <= tick.at <= chart.right for tick in chart.x_ticks)
    assert all(-300 < y < 500 for _, y in points(chart.series[0].path))
    assert chart.left < charts.RIGHT


def test_numbers_and_names_are_spelled_for_people() -> None:
    assert [spell(value) for value in (0, 1.23456, 1234.5, 0.00012, -2)] == [
        "0",
        "1.235",
        "1,234",
        "1.2e-04",
        "-2",
    ]
    assert [spell(value, share=True) for value in (0, 0.28325, 0.9999, 1)] == [
        "0 %",
        "28.3 %",
        "100 %",
        "100 %",
    ]
    assert spell_name("frechet_distance_judge") == "Fréchet distance (judge)"
    assert spell_name("kernel_distance_random") == "kernel distance (random features)"
    assert spell_name("judge_share") == "judge share"
    assert spell_name("d_loss") == "loss of D"
