from __future__ import annotations

import math

import pytest
import torch

from gancli import data
from gancli.data.synthetic import targets
from gancli.errors import DataError


@pytest.mark.parametrize(("source", "modes", "radius"), [("ring8", 8, 2.0), ("grid25", 25, None)])
def test_mixtures_lie_around_their_modes_as_evenly_as_can_be(
    source: str, modes: int, radius: float | None
) -> None:
    made = targets(source)
    assert made is not None
    assert made.modes.shape == (modes, 2)
    if radius:
        torch.testing.assert_close(made.modes.norm(dim=1), torch.full((modes,), radius))
    splits = data.load(source)
    points = splits.train.images
    assert points.dtype == torch.float32
    assert points.shape == (50_000, 2)
    distances, which = torch.cdist(points, made.modes).min(dim=1)
    counts = torch.bincount(which, minlength=modes)
    assert counts.max() - counts.min() <= 1
    # The root mean square distance of a Gaussian in the plane is sqrt(2) of its spread.
    spread = float(distances.double().square().mean().sqrt()) / math.sqrt(2)
    assert 0.99 * made.spread < spread < 1.01 * made.spread
    assert splits.test is not None
    assert not torch.equal(splits.test.images, points[: len(splits.test)])
    assert data.load(source).train.fingerprint() == splits.train.fingerprint()


def test_one_point_is_always_the_same_and_off_the_middle() -> None:
    splits = data.load("point")
    assert len(torch.unique(splits.train.images, dim=0)) == 1
    x, y = splits.train.images[0].tolist()
    assert 0 < x < 1
    assert 0 < y < 1
    assert x != y
    assert 0.5 not in (x, y)


def test_the_true_image_is_a_square_with_one_diagonal() -> None:
    image = data.load("true-image", image_size=10).train.images[0, 0]
    ink = image == 255
    assert set(image.unique().tolist()) == {0, 255}
    border = torch.ones(10, 10, dtype=torch.bool)
    border[1:-1, 1:-1] = False
    assert torch.equal(ink, border | torch.eye(10, dtype=torch.bool))


def test_ten_glyphs_are_labelled_black_and_white_and_well_apart() -> None:
    splits = data.load("digits-10x10", image_size=10)
    assert splits.classes == 10
    assert len(splits.train) == 1_000
    made = targets("digits-10x10")
    assert made is not None
    assert splits.train.labels is not None
    assert torch.equal(splits.train.images, made.modes[splits.train.labels])
    assert torch.bincount(splits.train.labels).tolist() == [100] * 10
    ink = (made.modes > 0).flatten(1).float()
    assert torch.pdist(ink, p=1).min() >= 12
    assert set(made.modes.unique().tolist()) == {0, 255}


def test_drawings_take_the_size_a_recipe_asks() -> None:
    splits = data.load("digits-10x10", image_size=28, channels=3)
    assert splits.train.images.shape == (1_000, 3, 28, 28)


def test_points_have_no_classes() -> None:
    with pytest.raises(DataError, match="no labels"):
        data.load("ring8").of_class(1)
    with pytest.raises(DataError, match=r"ring8.*mean 'ring8'"):
        data.load("ring9")
