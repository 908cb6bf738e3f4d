"""Held against `prdc`, the package of the authors of density and coverage."""

from __future__ import annotations

import pytest
import torch
from prdc import compute_prdc
from torch import Tensor

from gancli.metrics.neighbours import BLOCK, COVERAGE_K, PRECISION_K, Cloud, Overlap, overlap


def points(count: int, seed: int, shift: float = 0.0, spread: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(count, 8, dtype=torch.float64, generator=generator)
    return drawn * spread + shift


def of(fakes: Tensor, reals: Tensor) -> list[float]:
    return [float(row) for row in overlap(Cloud.of(fakes), Cloud.of(reals))]


def reference(fakes: Tensor, reals: Tensor) -> list[float]:
    """Return the six numbers as the package of density and coverage's authors has them."""
    near, wide = (compute_prdc(reals.numpy(), fakes.numpy(), k) for k in (PRECISION_K, COVERAGE_K))
    narrow = [near["precision"], near["recall"]]
    return [*narrow, *(wide[name] for name in ("density", "coverage", "precision", "recall"))]


@pytest.mark.parametrize(
    ("fakes", "reals"),
    [
        (points(300, 0), points(400, 1)),
        (points(BLOCK, 0, shift=0.4), points(BLOCK + 1, 1)),
        (points(700, 0, spread=0.5), points(300, 1)),
        (points(7, 0), points(7, 1)),
        (points(300, 0, shift=100.0), points(300, 1, shift=100.0)),
    ],
)
def test_blocks_agree_with_the_reference(fakes: Tensor, reals: Tensor) -> None:
    assert of(fakes, reals) == pytest.approx(reference(fakes, reals), rel=1e-4)


def test_a_line_of_points_by_hand() -> None:
    reals = torch.arange(10.0, dtype=torch.float64)[:, None]
    # Third neighbours along a line are 2 away, at its ends 3; fifth ones 3, at the ends 5 and 4.
    assert Cloud.of(reals).squared_radii[5].tolist() == [1, 1, 4, 4, 9]
    assert Cloud.of(reals).squared_radii[0].tolist() == [1, 4, 9, 16, 25]
    fakes = torch.full((6, 1), 8.5, dtype=torch.float64)
    found = overlap(Cloud.of(fakes), Cloud.of(reals))
    assert float(found.precision) == 1
    assert float(found.recall) == 0  # the balls of equal fakes are points
    assert float(found.density) == 4 / COVERAGE_K  # 6, 7, 8 and 9; the ball of 5 reaches to 8
    assert float(found.coverage) == 0.4


def test_equal_sets_are_precise_and_covered_whole() -> None:
    same = points(400, 2)
    precision, recall, density, coverage, *by_five = of(same, same)
    assert precision == recall == coverage == 1
    assert by_five == [1, 1]
    # A ball holds its centre and the k - 1 that are nearer than neighbour k: k in all.
    assert density == 1


def test_far_sets_share_nothing() -> None:
    assert of(points(300, 0, shift=50), points(300, 1)) == [0] * 6


def test_each_number_shows_its_own_fault() -> None:
    reals = points(500, 1)
    good = of(points(500, 0), reals)
    crowded = of(points(500, 0, spread=0.3), reals)
    assert crowded[0] > good[0]
    assert crowded[1] < 0.2 < good[1]
    assert crowded[2] > 1.5 * good[2]
    assert crowded[3] < good[3] - 0.1
    scattered = of(points(500, 0, spread=2), reals)
    assert scattered[0] < good[0] - 0.3
    assert scattered[1] > good[1] - 0.05


def test_precision_and_recall_change_places_with_the_sets() -> None:
    one, other = points(300, 0), points(200, 1, shift=0.3)
    forth, back = of(one, other), of(other, one)
    assert forth[:2] == back[1::-1]


def test_one_image_over_and_over_recalls_nothing_whatever_the_rounding() -> None:
    fakes = points(1, 0, shift=1e3).repeat(300, 1)
    cloud = Cloud.of(fakes)
    assert float(cloud.squared_radii.max()) < 1e-6
    assert float(overlap(cloud, Cloud.of(points(300, 1, shift=1e3))).recall) == 0


def test_order_changes_nothing() -> None:
    fakes, reals = points(600, 0), points(300, 1)
    fakes[:50] = reals[:50]  # ties
    shuffle = torch.randperm(600, generator=torch.Generator().manual_seed(5))
    assert of(fakes[shuffle], reals.flip(0)) == pytest.approx(of(fakes, reals), rel=1e-12)


def test_counts_take_fakes_as_often_as_they_say() -> None:
    fakes, reals = points(300, 0), points(200, 1)
    half = torch.zeros(300)
    half[:150] = 2
    found = overlap(Cloud.of(fakes), Cloud.of(reals), torch.stack([torch.ones(300), half]))
    assert all(row.shape == (2,) for row in found)
    assert [float(row[0]) for row in found] == of(fakes, reals)
    # The balls stay those of all fakes, so precision and density are plain means over the half.
    part = Cloud(fakes[:150], Cloud.of(fakes).squared_radii[:150])
    expected: Overlap = overlap(part, Cloud.of(reals))
    for row, value in zip(found, expected, strict=True):
        assert float(row[1]) == pytest.approx(float(value), rel=1e-12)


def test_five_images_are_too_few() -> None:
    assert max(PRECISION_K, COVERAGE_K) == 5
    with pytest.raises(ValueError, match="no 5 neighbours"):
        Cloud.of(points(5, 0))
