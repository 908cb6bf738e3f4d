from __future__ import annotations

import math
import time

import pytest
import torch

from gancli import config, data
from gancli.data import DataSplits, ImageSet
from gancli.data.stacked import modes_of, stack
from gancli.errors import ConfigError


@pytest.fixture(scope="module")
def digits() -> DataSplits:
    return data.load("mnist")


@pytest.fixture(scope="module")
def stacked() -> DataSplits:
    return data.load("stacked-mnist", channels=3)


def test_every_channel_is_a_digit_of_its_own_split(digits: DataSplits, stacked: DataSplits) -> None:
    assert stacked.classes == 1_000
    assert stacked.holdout is None
    for made, source, count in (
        (stacked.train, digits.train, 60_000),
        (stacked.test, digits.test, 10_000),
    ):
        assert isinstance(made, ImageSet)
        assert isinstance(source, ImageSet)
        assert made.labels is not None
        assert source.labels is not None
        assert made.images.shape == (count, 3, 28, 28)
        assert made.images.dtype == torch.uint8
        known = {
            image.numpy().tobytes(): int(label)
            for image, label in zip(source.images, source.labels, strict=True)
        }
        for image, label in zip(made.images[:200], made.labels[:200], strict=True):
            red, green, blue = (known[channel.numpy().tobytes()] for channel in image)
            assert 100 * red + 10 * green + blue == int(label)


def test_the_modes_come_as_often_as_independent_digits_make_them(
    digits: DataSplits, stacked: DataSplits
) -> None:
    assert stacked.train.labels is not None
    assert digits.train.labels is not None
    counts = torch.bincount(stacked.train.labels, minlength=1_000).double()
    assert counts.min() > 20
    shares = torch.bincount(digits.train.labels).double() / 60_000
    expected = (shares[:, None, None] * shares[:, None] * shares).flatten() * 60_000
    # Pearson's statistic has 999 degrees of freedom, and so about this mean and deviation.
    statistic = float(((counts - expected).square() / expected).sum())
    assert abs(statistic - 999) < 5 * math.sqrt(2 * 999)


def test_it_is_the_same_every_time_and_quick(stacked: DataSplits) -> None:
    began = time.perf_counter()
    again = data.load("stacked-mnist", channels=3)
    assert time.perf_counter() - began < 10  # 0.7 s when nothing else runs
    assert again.train.fingerprint() == stacked.train.fingerprint()
    assert again.test is not None
    assert stacked.test is not None
    assert again.test.fingerprint() == stacked.test.fingerprint()
    assert not torch.equal(again.test.images[0], again.train.images[0])


def test_another_size_is_that_of_the_digits() -> None:
    digits, stacked = data.load("mnist", image_size=8), data.load("stacked-mnist", image_size=8)
    assert digits.train.labels is not None
    images, labels = stack(digits.train.images, digits.train.labels, 60_000, 0)
    assert stacked.train.images.shape == (60_000, 3, 8, 8)
    assert torch.equal(stacked.train.images, images)
    assert stacked.train.labels is not None
    assert torch.equal(stacked.train.labels, labels)


def test_a_mode_reads_red_green_blue() -> None:
    assert modes_of(torch.tensor([[4, 0, 7], [0, 0, 0], [9, 9, 9]])).tolist() == [407, 0, 999]


def test_seeds_draw_other_stacks() -> None:
    images = torch.arange(10, dtype=torch.uint8).reshape(10, 1, 1, 1)
    labels = torch.arange(10)
    drawn = [stack(images, labels, 50, seed) for seed in (0, 0, 1)]
    assert torch.equal(drawn[0][0], drawn[1][0])
    assert not torch.equal(drawn[0][0], drawn[2][0])
    for pixels, modes in drawn:
        assert torch.equal(modes_of(pixels.flatten(1).long()), modes)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("channels", 1, r"data\.channels = 1: stacked-mnist has a digit in each of 3"),
        ("digit", 7, r"data\.digit \(--digit\) leaves one of the 1,000 modes.*leave it out"),
    ],
)
def test_what_makes_no_sense_of_stacks_is_refused(key: str, value: int, words: str) -> None:
    table = {
        "data": {"source": "stacked-mnist", "channels": 3, key: value},
        "generator": {"layers": ["dense 1"]},
        "discriminator": {"layers": ["dense 1"]},
        "training": {"steps": 1},
    }
    with pytest.raises(ConfigError, match=words):
        config.from_table(table)
