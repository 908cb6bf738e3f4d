from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import ImageColor

from gancli.palette import DARK_GENERATOR as GENERATOR
from gancli.palette import DISCRIMINATOR
from gancli.pictures.strip import Curve, Strip

PLACES = [index / 100 for index in range(101)]
RISING = [3 * place for place in PLACES]
FLAT = [0.2] * 101


def strip(g: list[float] | None = None, d: list[float] | None = None) -> Strip:
    curves = (Curve("G", GENERATOR, g or RISING), Curve("D", DISCRIMINATOR, d or FLAT))
    return Strip(PLACES, curves, PLACES)


def places_of(ink: str, shown: Strip, now: float, width: int = 600) -> np.ndarray:
    """Return rows and columns of the pixels of an ink, left of the labels."""
    pixels = np.asarray(shown.draw(now, (width, 80))).astype(int)
    assert pixels.shape == (80, width, 3)
    near = np.abs(pixels - ImageColor.getrgb(ink)).sum(2) < 30
    return np.argwhere(near[:, : int(0.8 * width)])


def test_curves_reach_now_and_no_further() -> None:
    ends = [places_of(GENERATOR, strip(), now)[:, 1].max() for now in (0.1, 0.3, 0.5, 0.7)]
    steps = np.diff(ends)
    assert steps.max() - steps.min() <= 1
    assert 80 < steps[0] < 120  # of an axis that leaves room for the labels
    assert places_of(GENERATOR, strip(), 0.5)[:, 1].min() < 12


def test_a_curve_that_rises_rises_and_one_that_stays_stays() -> None:
    rising, flat = places_of(GENERATOR, strip(), 1.0), places_of(DISCRIMINATOR, strip(), 0.5)
    left, right = (rising[rising[:, 1] < 60, 0].mean(), rising[rising[:, 1] > 400, 0].mean())
    assert left - right > 40
    line = flat[flat[:, 1] < 200, 0]
    assert line.max() - line.min() <= 4


@pytest.mark.parametrize("rises", [GENERATOR, DISCRIMINATOR])
def test_the_label_of_the_higher_curve_stands_higher(rises: str) -> None:
    falls = DISCRIMINATOR if rises == GENERATOR else GENERATOR
    curves = [Curve("G", GENERATOR, RISING), Curve("D", DISCRIMINATOR, RISING[::-1])]
    if rises == DISCRIMINATOR:
        curves = [Curve("G", GENERATOR, RISING[::-1]), Curve("D", DISCRIMINATOR, RISING)]
    pixels = np.asarray(Strip(PLACES, curves, PLACES).draw(1.0, (600, 80))).astype(int)
    labels = pixels[:, 540:]
    high, low = (
        np.argwhere(np.abs(labels - ImageColor.getrgb(ink)).sum(2) < 30)[:, 0]
        for ink in (rises, falls)
    )
    assert high.max() < 40 < low.min()


@pytest.mark.parametrize("end", [12.34, -123.45, 1234.5])
def test_long_numbers_are_not_cut_off(end: float) -> None:
    pixels = np.asarray(strip([*RISING[:-1], end]).draw(1.0, (600, 80))).astype(int)
    ink = np.abs(pixels - ImageColor.getrgb(GENERATOR)).sum(2) < 60
    assert ink[:, -80:-4].any()  # the word is there,
    assert not ink[:, -2:].any()  # and ends before the picture does


def test_the_scale_stays_while_the_marker_moves() -> None:
    shown = strip()
    early, late = (places_of(GENERATOR, shown, now) for now in (0.5, 0.9))
    for column in (50, 100, 150):
        rows = [found[found[:, 1] == column, 0].mean() for found in (early, late)]
        assert abs(rows[0] - rows[1]) < 1


def test_one_wild_value_does_not_flatten_the_rest() -> None:
    wild = [*RISING[:-1], 1e9]
    assert strip(wild).span()[1] < 5


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_no_number_leaves_a_gap(bad: float) -> None:
    broken = [*RISING[:40], *[bad] * 30, *RISING[70:]]
    columns = set(places_of(GENERATOR, strip(broken), 1.0)[:, 1].tolist())
    end = max(columns)
    assert not any(0.42 * end < column < 0.67 * end for column in columns)
    assert any(0.1 * end < column < 0.35 * end for column in columns)
    assert np.isfinite(strip([bad] * 101, [bad] * 101).span()).all()


@pytest.mark.parametrize("width", [12, 60, 200])
def test_small_strips_are_drawn_too(width: int) -> None:
    assert strip().draw(0.3, (width, 36)).size == (width, 36)
