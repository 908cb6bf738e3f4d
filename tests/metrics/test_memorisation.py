from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from gancli.metrics import memorisation
from gancli.metrics.memorisation import closest, copying_z, near_share, nearest


def rows(n: int, seed: int, d: int = 6) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def test_the_nearest_training_image_is_the_nearest() -> None:
    images, train = rows(1_100, 1), rows(300, 2)
    found = nearest(images, train)
    distances = torch.cdist(images.double(), train.double())
    assert torch.equal(found.indices, distances.argmin(dim=1))
    torch.testing.assert_close(found.distances, distances.amin(dim=1), rtol=1e-6, atol=1e-6)


def test_a_copy_is_at_distance_zero() -> None:
    train = rows(200, 3)
    found = nearest(train[50:60], train)
    assert found.indices.tolist() == list(range(50, 60))
    assert float(found.distances.max()) == 0


def test_real_images_are_not_suspected_and_copies_are() -> None:
    train, held_out, fresh = rows(2_000, 4), rows(500, 5), rows(500, 6)
    real = nearest(held_out, train).distances
    honest = nearest(fresh, train).distances
    assert abs(copying_z(honest, real)) < 3
    assert 0.02 < near_share(honest, real) < 0.09
    copied = nearest(train[:500] + 0.01 * rows(500, 7), train).distances
    assert copying_z(copied, real) < -20
    assert near_share(copied, real) > 0.99
    strange = nearest(rows(500, 8) + 5, train).distances
    assert copying_z(strange, real) > 20
    assert near_share(strange, real) == 0


def test_half_a_set_of_copies_is_seen_in_the_share() -> None:
    train, held_out = rows(2_000, 4), rows(500, 5)
    real = nearest(held_out, train).distances
    mixed = nearest(torch.cat([train[:250], rows(250, 9)]), train).distances
    assert 0.49 < near_share(mixed, real) < 0.58


def test_z_counts_pairs_as_mann_and_whitney_did() -> None:
    fake = torch.tensor([1.0, 2.0, 2.0, 7.0], dtype=torch.float64)
    real = torch.tensor([2.0, 3.0, 5.0], dtype=torch.float64)
    pairs = itertools.product(fake.tolist(), real.tolist())
    statistic = sum((f > r) + (f == r) / 2 for f, r in pairs)
    # One value stands three times, which takes (3^3 - 3) / (7 * 6) off the variance.
    variance = 4 * 3 / 12 * (8 - 24 / 42)
    assert copying_z(fake, real) == pytest.approx((statistic - 6) / variance**0.5)
    assert copying_z(real, fake) == pytest.approx(-copying_z(fake, real))
    same = torch.ones(5, dtype=torch.float64)
    assert copying_z(same, same) == 0


def test_the_closest_pairs_come_nearest_first() -> None:
    generator = torch.Generator().manual_seed(0)
    train = torch.randint(256, (40, 1, 4, 4), generator=generator).byte()
    images = train[torch.tensor([7, 30, 12])].clone()
    images[0, 0, 0, 0] ^= 64
    images[2, 0, 1, 1] ^= 8
    found = nearest(images.flatten(1).float() / 255, train.flatten(1).float() / 255)
    pairs = closest(images, train, found, 2)
    assert torch.equal(pairs.images, images[[1, 2]])
    assert torch.equal(pairs.train, train[[30, 12]])
    assert pairs.distances.tolist() == pytest.approx([0, 8 / 255])
    assert pairs.among == 3
    everything = closest(images, train, found, 12)
    assert torch.equal(everything.train, train[[30, 12, 7]])


def test_pixels_are_compared_in_portions_as_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memorisation, "_TRAIN_BLOCK", 7)
    random = torch.Generator().manual_seed(4)
    train = torch.randint(0, 256, (23, 1, 3, 3), generator=random, dtype=torch.uint8)
    images = torch.randint(0, 256, (11, 1, 3, 3), generator=random, dtype=torch.uint8)
    images[4], images[5] = train[22], train[0]
    found = memorisation.nearest_pixels(images, train)
    apart = torch.cdist(images.flatten(1).double() / 255, train.flatten(1).double() / 255)
    assert torch.equal(found.indices, apart.argmin(dim=1))
    assert torch.allclose(found.distances, apart.min(dim=1).values, atol=1e-6)
    assert found.indices[4:6].tolist() == [22, 0]
