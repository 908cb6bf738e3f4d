from __future__ import annotations

import pytest
import torch

from gancli import data
from gancli.data import ImageSet
from gancli.data.synthetic import Targets, targets
from gancli.metrics import Gaussian, frechet_distance, judged
from gancli.metrics.modes import mode_shortfall
from gancli.metrics.tracking import FAKES, REALS, Tracker


def made(source: str) -> tuple[Targets, ImageSet]:
    found = targets(source)
    assert found is not None
    return found, data.load(source).train


def test_a_tracker_gives_the_frechet_distance_in_the_judges_features() -> None:
    sevens = data.load("mnist").train.of_class(7).images
    known, fakes = sevens[:REALS], sevens[-FAKES:]
    tracker = Tracker.of(ImageSet(known, None), None)
    expected = frechet_distance(
        Gaussian.of(judged(fakes).features), Gaussian.of(judged(known).features)
    )
    assert (tracker.name, tracker.samples) == ("frechet_distance_judge", 500)
    assert tracker.distance(fakes) == pytest.approx(expected, rel=1e-6)


def test_a_tracker_tells_better_from_worse_images() -> None:
    train = data.load("mnist").train
    sevens, ones = train.of_class(7).images, train.of_class(1).images
    tracker = Tracker.of(ImageSet(sevens[FAKES:], None), None)
    mixed = torch.cat([sevens[:400], ones[:100]])
    real, part, none = (tracker.distance(images) for images in (sevens[:500], mixed, ones[:500]))
    assert 5 < real < part / 3 < none / 6


@pytest.mark.parametrize(
    ("lost", "off"), [(0, 0), (3, 0), (0, 200), (7, 100)], ids=["all", "modes", "far", "both"]
)
def test_the_shortfall_is_the_share_that_would_have_to_move(lost: int, off: int) -> None:
    ring, train = made("ring8")
    kept = 8 - lost
    points = ring.modes[torch.arange(800) % kept].clone()
    points[:off] += 0.5  # nearer to no mode than 3 standard deviations
    wanted = 100
    counts = [sum(1 for n in range(off, 800) if n % kept == mode) for mode in range(kept)]
    missing = sum(max(wanted - count, 0) for count in [*counts, *[0] * lost])
    assert mode_shortfall(points, ring, train) == pytest.approx(missing / 800, abs=1e-6)


def test_the_shortfall_of_one_target_is_the_distance_from_it() -> None:
    point, train = made("point")
    points = point.modes.expand(10, 2) + torch.tensor([0.3, -0.4])
    assert mode_shortfall(points, point, train) == pytest.approx(0.5, rel=1e-5)


def test_glyphs_of_another_size_are_compared_with_images_of_that_size() -> None:
    glyphs = targets("digits-10x10")
    assert glyphs is not None
    train = data.load("digits-10x10", image_size=20).train
    assert mode_shortfall(train.images[:500], glyphs, train) == pytest.approx(0, abs=1e-6)
    assert mode_shortfall(255 - train.images[:500], glyphs, train) == 1
