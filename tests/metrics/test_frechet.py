from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gancli.metrics import Gaussian, frechet_distance


def features(count: int, width: int = 8, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(width, width, generator=generator, dtype=torch.float64)
    return torch.randn(count, width, generator=generator, dtype=torch.float64) @ mix


def rotation(width: int) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    square = torch.randn(width, width, generator=generator, dtype=torch.float64)
    turn: Tensor = torch.linalg.qr(square).Q
    return turn


def test_moments_are_those_of_torch() -> None:
    rows = features(50)
    moments = Gaussian.of(rows)
    torch.testing.assert_close(moments.mean, rows.mean(dim=0))
    torch.testing.assert_close(moments.covariance, torch.cov(rows.T))


def test_counts_stand_for_repeated_rows() -> None:
    rows = features(4)
    counts = torch.tensor([3, 0, 1, 2])
    repeated = Gaussian.of(rows.repeat_interleave(counts, dim=0))
    weighted = Gaussian.of(rows, counts.double())
    torch.testing.assert_close(weighted.mean, repeated.mean)
    torch.testing.assert_close(weighted.covariance, repeated.covariance)


def test_a_set_is_no_distance_from_itself() -> None:
    moments = Gaussian.of(features(200))
    assert 0 <= frechet_distance(moments, moments) < 1e-9


def test_a_singular_covariance_is_no_distance_from_itself() -> None:
    moments = Gaussian.of(features(4))  # rank 3 of 8
    assert 0 <= frechet_distance(moments, moments) < 1e-5


def test_symmetry() -> None:
    a, b = Gaussian.of(features(100, seed=1)), Gaussian.of(features(150, seed=2))
    there, back = frechet_distance(a, b), frechet_distance(b, a)
    assert there > 1
    assert there == pytest.approx(back, rel=1e-10)


def test_one_dimension_has_a_closed_form() -> None:
    a = Gaussian(torch.tensor([1.0]).double(), torch.tensor([[4.0]]).double())
    b = Gaussian(torch.tensor([-2.0]).double(), torch.tensor([[0.25]]).double())
    assert frechet_distance(a, b) == pytest.approx(3**2 + (2 - 0.5) ** 2, rel=1e-12)


def test_diagonal_covariances_have_a_closed_form() -> None:
    means = torch.tensor([[0.0, 1, 2], [1, 1, -1]]).double()
    deviations = torch.tensor([[1.0, 2, 0], [3, 0.5, 1]]).double()
    a, b = (Gaussian(m, (s**2).diag()) for m, s in zip(means, deviations, strict=True))
    expected = (means[0] - means[1]).square().sum() + (deviations[0] - deviations[1]).square().sum()
    assert frechet_distance(a, b) == pytest.approx(float(expected), rel=1e-7)


def test_commuting_covariances_have_a_closed_form() -> None:
    turn = rotation(5)
    scales = torch.tensor([1.0, 2, 3, 4, 5]).double()
    a = Gaussian(torch.zeros(5).double(), (turn * scales**2) @ turn.T)
    b = Gaussian(torch.zeros(5).double(), (turn * (2 * scales) ** 2) @ turn.T)
    assert frechet_distance(a, b) == pytest.approx(float(scales.square().sum()), rel=1e-10)


def test_covariances_that_do_not_commute() -> None:
    # For two by two matrices tr (M^(1/2)) = sqrt(tr M + 2 sqrt(det M)), here of M = A B.
    a = torch.tensor([[2.0, 1], [1, 1]]).double()
    b = torch.tensor([[1.0, -0.5], [-0.5, 3]]).double()
    product = a @ b
    cross = math.sqrt(float(product.trace()) + 2 * math.sqrt(float(torch.linalg.det(product))))
    expected = float(a.trace() + b.trace()) - 2 * cross
    zero = torch.zeros(2).double()
    assert frechet_distance(Gaussian(zero, a), Gaussian(zero, b)) == pytest.approx(expected)


def test_rotating_and_moving_both_changes_nothing() -> None:
    rows, others = features(100, seed=1), features(100, seed=2) * 0.5 + 1
    turn = rotation(8)
    plain = frechet_distance(Gaussian.of(rows), Gaussian.of(others))
    turned = frechet_distance(Gaussian.of(rows @ turn + 3), Gaussian.of(others @ turn + 3))
    assert turned == pytest.approx(plain, rel=1e-9)


def test_scaling_both_scales_the_distance_by_the_square() -> None:
    rows, others = features(100, seed=1), features(100, seed=2)
    plain = frechet_distance(Gaussian.of(rows), Gaussian.of(others))
    scaled = frechet_distance(Gaussian.of(3 * rows), Gaussian.of(3 * others))
    assert scaled == pytest.approx(9 * plain, rel=1e-9)


def test_the_order_of_the_features_changes_nothing() -> None:
    rows, others = Gaussian.of(features(100, seed=1)), features(100, seed=2)
    shuffled = others[torch.randperm(100, generator=torch.Generator().manual_seed(0))]
    assert frechet_distance(rows, Gaussian.of(shuffled)) == pytest.approx(
        frechet_distance(rows, Gaussian.of(others)), rel=1e-10
    )
