from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gancli import data
from gancli.data.synthetic import Targets, targets
from gancli.metrics import ScoreCard, score_modes


def scored(source: str, fakes: Tensor, size: int = 10) -> ScoreCard:
    made = targets(source)
    test = data.load(source, image_size=size).test
    assert made is not None
    assert test is not None
    return score_modes(
        lambda seeds: (fakes[seeds.start : seeds.stop], None), made, test, samples=len(fakes)
    )


def glyphs() -> Targets:
    made = targets("digits-10x10")
    assert made is not None
    return made


def test_perfect_samples_cover_every_mode() -> None:
    for source, modes in (("ring8", 8), ("grid25", 25)):
        made = targets(source)
        assert made is not None
        card = scored(source, made.draw(5_000, 7)[0])
        assert card["modes"].value == card["modes"].real == modes
        # Within three standard deviations in the plane: 1 - exp(-4.5).
        for share in (card["high_quality_share"].value, card["high_quality_share"].real):
            assert 0.983 < share < 0.994
        assert card["mode_distance"].low < card["mode_distance"].real < card["mode_distance"].high
        assert card.judge_sha256 is None


def test_a_mode_visited_less_than_once_in_a_hundred_is_not_covered() -> None:
    made = targets("ring8")
    assert made is not None
    for visits, covered in ((5, 1), (10, 2), (50, 2)):
        fakes = made.modes[[0] * (1_000 - visits) + [4] * visits]
        card = scored("ring8", fakes)
        assert card["modes"].value == covered
        assert card["modes"].low <= covered <= card["modes"].high
        assert card["high_quality_share"].value == 1


def test_samples_between_modes_count_for_none() -> None:
    made = targets("grid25")
    assert made is not None
    card = scored("grid25", (made.modes + 1).repeat(40, 1))
    assert card["modes"].value == card["high_quality_share"].value == 0
    assert card["mode_distance"].value == pytest.approx(2**0.5, rel=0.15)


def test_collapse_to_one_glyph_is_seen() -> None:
    six = glyphs().modes[6].repeat(500, 1, 1, 1)
    card = scored("digits-10x10", six)
    assert card["distinct_glyphs"].value == 1
    assert card["distinct_glyphs"].real == 10
    assert card["glyph_share"].value == 1
    assert card["mode_distance"].value == 0


def test_a_glyph_is_recognised_until_it_is_half_another() -> None:
    made = glyphs().modes.double()
    eight, six = made[8], made[6]  # 13 pixels apart; the two that are most alike have 12
    for way, share in ((0.4, 1.0), (0.6, 1.0), (0.5, 0.0)):
        mixed = (eight + way * (six - eight)).round().to(torch.uint8)
        card = scored("digits-10x10", mixed.repeat(100, 1, 1, 1))
        assert card["glyph_share"].value == share
        assert card["mode_distance"].value == pytest.approx(
            min(way, 1 - way) * (13 / 100) ** 0.5, abs=0.002
        )


def test_one_target_is_measured_by_its_distance() -> None:
    made = targets("point")
    assert made is not None
    card = scored("point", made.modes.repeat(100, 1) + torch.tensor([0.3, -0.4]))
    assert [figure.name for figure in card.figures] == ["target_distance"]
    assert card["target_distance"].value == pytest.approx(0.5, abs=1e-6)
    assert card["target_distance"].real == 0
    image = data.load("true-image", image_size=10).train.images[:50]
    assert scored("true-image", image)["target_distance"].value == 0
    assert scored("true-image", 255 - image)["target_distance"].value == 1


def test_glyphs_of_another_size_are_compared_in_that_size() -> None:
    images = data.load("digits-10x10", image_size=28).train.images[:200]
    card = scored("digits-10x10", images, size=28)
    assert card["distinct_glyphs"].value == 10
    assert card["mode_distance"].value < 1e-6
