from __future__ import annotations

import math

import pytest
import torch

from gancli.metrics import (
    Gaussian,
    centred_interval,
    class_shares,
    draws_interval,
    frechet_distance,
    frechet_interval,
    kl_divergence,
    kl_interval,
    mean_interval,
    share_interval,
)


def test_a_mean_interval_covers_the_true_mean_19_times_in_20() -> None:
    generator = torch.Generator().manual_seed(0)
    samples = torch.randn(300, 200, generator=generator, dtype=torch.float64) + 7
    intervals = [mean_interval(row, seed) for seed, row in enumerate(samples)]
    covered = sum(low <= 7 <= high for low, high in intervals) / len(intervals)
    assert 0.90 <= covered <= 0.985


def test_a_mean_interval_has_the_textbook_width() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(10_000, generator=generator, dtype=torch.float64)
    low, high = mean_interval(values, 0)
    assert high - low == pytest.approx(2 * 1.96 * float(values.std()) / 100, rel=0.1)
    assert low < float(values.mean()) < high


def test_intervals_repeat_with_their_seed() -> None:
    values = torch.arange(50.0).double()
    assert mean_interval(values, 3) == mean_interval(values, 3)
    assert mean_interval(values, 3) != mean_interval(values, 4)


def test_a_share_interval_covers_the_true_share_19_times_in_20() -> None:
    generator = torch.Generator().manual_seed(0)
    hits = torch.binomial(torch.full((500,), 400.0), torch.full((500,), 0.9), generator=generator)
    intervals = [share_interval(int(found), 400, seed) for seed, found in enumerate(hits)]
    covered = sum(low <= 0.9 <= high for low, high in intervals) / len(intervals)
    assert 0.90 <= covered <= 0.985


def test_a_share_interval_is_the_mean_interval_of_noughts_and_ones() -> None:
    values = torch.zeros(1_000).double()
    values[:700] = 1
    assert share_interval(700, 1_000, 0) == pytest.approx(mean_interval(values, 0), abs=0.006)


def test_a_perfect_share_does_not_claim_certainty() -> None:
    assert share_interval(1_000, 1_000, 0) == (0.997, 1.0)
    assert share_interval(0, 1_000, 0) == (0.0, 0.003)
    assert share_interval(0, 2, 0) == (0.0, 1.0)


def test_a_draws_interval_is_students() -> None:
    low, high = draws_interval(torch.arange(1.0, 11).double())
    half = 2.2622 * math.sqrt(110 / 12) / math.sqrt(10)  # the variance of 1 to 10, n - 1
    assert (low, high) == pytest.approx((5.5 - half, 5.5 + half), rel=1e-6)


def test_draws_of_one_finite_set_share_images() -> None:
    """The mean over ten draws of 200 of 1,000 numbers, and again of 1,000 others."""
    generator = torch.Generator().manual_seed(0)
    hits, tries = 0, 400
    for _ in range(tries):
        numbers = 50 + torch.randn(1_000, generator=generator).double()
        draws = [numbers[torch.randperm(1_000, generator=generator)[:200]] for _ in range(10)]
        low, high = draws_interval(torch.stack([draw.mean() for draw in draws]), 0.2)
        hits += low <= 50 <= high
    assert 0.92 < hits / tries < 0.98


def test_a_draws_interval_of_distances_does_not_go_below_zero() -> None:
    low, high = draws_interval(torch.tensor([0.0] * 9 + [1.0]).double())
    assert low == 0
    assert 0.3 < high < 0.35


def test_a_centred_interval_lies_around_the_value_and_not_the_resamples() -> None:
    resampled = torch.linspace(10, 12, 201).double()
    low, high = centred_interval(5.0, resampled)
    assert (low, high) == pytest.approx((4.05, 5.95))
    assert centred_interval(0.5, resampled).low == 0


def test_a_frechet_interval_has_the_width_that_other_draws_show() -> None:
    generator = torch.Generator().manual_seed(0)
    reference = Gaussian(torch.full((4,), 0.5).double(), torch.eye(4).double())
    sets = torch.randn(300, 200, 4, generator=generator, dtype=torch.float64)
    distances = torch.tensor([frechet_distance(Gaussian.of(rows), reference) for rows in sets])
    low, high = frechet_interval(sets[0], reference, 0)
    assert low < frechet_distance(Gaussian.of(sets[0]), reference) < high
    assert high - low == pytest.approx(2 * 1.96 * float(distances.std()), rel=0.3)


def test_a_kl_interval_has_the_width_that_other_draws_show() -> None:
    generator = torch.Generator().manual_seed(0)
    wanted = torch.full((4,), 0.25).double()
    truth = torch.tensor([0.4, 0.3, 0.2, 0.1]).double()
    drawn = torch.multinomial(truth.expand(300, -1), 500, replacement=True, generator=generator)
    shares = torch.stack([class_shares(labels, 4) for labels in drawn])
    divergences = kl_divergence(shares, wanted)
    low, high = kl_interval(shares[0], 500, wanted, 0)
    assert low < float(divergences[0]) < high
    assert high - low == pytest.approx(2 * 1.96 * float(divergences.std()), rel=0.3)
