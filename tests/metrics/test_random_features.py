from __future__ import annotations

import hashlib

import pytest
import torch

from gancli import data
from gancli.metrics.random_features import RandomFeatures, random_features


def test_the_weights_are_the_same_everywhere() -> None:
    digest = hashlib.sha256()
    for weight in RandomFeatures().state_dict().values():
        digest.update(weight.numpy().tobytes())
    assert digest.hexdigest() == "b54d1c435767603b0744e48440aff378692f9ab674c8adbce3e70e04bb899c44"


def test_features_move_no_random_state_and_know_no_batch() -> None:
    images = data.load().train.images[:300]
    before = torch.get_rng_state()
    features = random_features(images)
    assert torch.equal(before, torch.get_rng_state())
    assert features.shape == (300, 64)
    assert features.dtype == torch.float64
    torch.testing.assert_close(random_features(images[7:9]), features[7:9], rtol=1e-5, atol=1e-6)


def test_they_see_what_the_judge_need_not() -> None:
    """A paler stroke is the same digit, and quite another style."""
    images = data.load().train.images[:200]
    paler = (images // 2).to(torch.uint8)
    moved = (random_features(paler) - random_features(images)).norm(dim=1)
    assert torch.allclose(moved, random_features(images).norm(dim=1) / 2, rtol=0.02)


@pytest.mark.parametrize("shape", [(3, 28, 28), (1, 10, 10), (3, 40, 40)])
def test_other_colours_and_sizes_are_brought_to_the_same(shape: tuple[int, ...]) -> None:
    images = torch.full((2, *shape), 200, dtype=torch.uint8)
    plain = random_features(torch.full((2, 1, 28, 28), 200, dtype=torch.uint8))
    a_channel = torch.cat([plain] * shape[0], dim=1)
    torch.testing.assert_close(random_features(images), a_channel, rtol=1e-3, atol=1e-3)


def test_they_see_colour() -> None:
    red, green = torch.zeros(2, 1, 3, 28, 28, dtype=torch.uint8)
    red[:, 0, 9:19, 9:19], green[:, 1, 9:19, 9:19] = 199, 101  # equally bright
    apart = (random_features(red) - random_features(green)).norm()
    assert apart > random_features(red).norm()
