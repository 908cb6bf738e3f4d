from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from gancli.data import DataSplits, ImageSet
from gancli.errors import DataError
from gancli.metrics import Draw, Figure, classifier, scores, usefulness
from gancli.metrics.scores import SEEDS_A_CARD
from gancli.metrics.usefulness import score_usefulness

TRAIN, TEST = 72, 300


@pytest.fixture(autouse=True)
def _brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train for a second, which these pictures do not take."""
    monkeypatch.setattr(usefulness, "EPOCHS", 1)
    monkeypatch.setattr(classifier, "JUDGE_LEAST_STEPS", 50)


def stripes(count: int, seed: int, spread: float = 6.3) -> ImageSet:
    """Noisy pictures of 12 x 12: lying, standing and slanting stripes, shifted up to a spread."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    rows, columns = torch.meshgrid(torch.arange(12.0), torch.arange(12.0), indexing="ij")
    angles = torch.stack([rows, columns, rows + columns])[labels]
    shifts = spread * torch.rand(count, 1, 1, generator=generator)
    noise = 60 * torch.rand(count, 12, 12, generator=generator)
    return ImageSet((100 + 90 * torch.sin(angles + shifts) + noise)[:, None].byte(), labels)


@pytest.fixture(scope="module")
def splits() -> DataSplits:
    return DataSplits(stripes(TRAIN, 1), None, stripes(TEST, 2), 3)


def told(spread: float = 6.3, turn: int = 0, seen: list[range] | None = None) -> Draw:
    """Draw stripes on request; a turn draws another class than it was asked for."""

    def draw(seeds: range) -> tuple[Tensor, Tensor]:
        if seen is not None:
            seen.append(seeds)
        drawn = stripes(len(seeds), 3 + seeds.start, spread)
        assert drawn.labels is not None
        return drawn.images, (drawn.labels + turn) % 3

    return draw


def scored(draw: Draw, splits: DataSplits, seed: int = 0) -> tuple[Figure, Figure]:
    cas, reverse = score_usefulness(draw, splits, seed=seed)
    assert (cas.name, reverse.name) == ("cas", "reverse_cas")
    for figure in (cas, reverse):
        assert 0 <= figure.low <= figure.value <= figure.high <= 1
        assert figure.real_low <= figure.real <= figure.real_high
        assert (figure.unit, figure.better) == ("share", "higher")
    # It is one and the same classifier, tested on the same images.
    assert (cas.real, cas.real_low) == (reverse.real, reverse.real_low)
    return cas, reverse


def test_fakes_as_good_as_real_ones_teach_as_much(splits: DataSplits) -> None:
    cas, reverse = scored(told(), splits)
    assert cas.real > 0.9
    assert cas.value == pytest.approx(cas.real, abs=0.08)
    assert reverse.value > 0.9
    assert cas.high - cas.low < 0.15
    assert f"trained on {TRAIN} fakes" in cas.protocol
    assert f"trained on {TRAIN} random training images" in cas.protocol
    assert f"the {TEST} images of the test split" in cas.protocol
    assert f"share of {TRAIN} fakes" in reverse.protocol


def test_fakes_of_another_class_teach_what_is_wrong(splits: DataSplits) -> None:
    cas, reverse = scored(told(turn=1), splits)
    assert cas.high < 0.2
    assert reverse.high < 0.2
    assert cas.real > 0.9


def test_fakes_without_variety_are_known_and_teach_little(splits: DataSplits) -> None:
    cas, reverse = scored(told(spread=0.1), splits)
    assert reverse.value == 1
    assert cas.high < cas.real_low


def test_both_learn_from_as_many_images_and_each_seed_is_drawn_once(
    splits: DataSplits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usefulness, "MOST_IMAGES", 50)
    monkeypatch.setattr(scores, "CHUNK", 20)
    learned: list[ImageSet] = []
    train = usefulness.train_judge

    def heard(images: ImageSet, *rest: object, **words: object) -> object:
        learned.append(images)
        return train(images, *rest, **words)  # type: ignore[arg-type]

    monkeypatch.setattr(usefulness, "train_judge", heard)
    seen: list[range] = []
    told_so: list[tuple[int, int]] = []
    state = torch.get_rng_state()
    score_usefulness(
        told(seen=seen), splits, seed=2, on_progress=lambda *counts: told_so.append(counts)
    )
    assert torch.equal(torch.get_rng_state(), state)
    first = 2 * SEEDS_A_CARD
    assert seen == [range(first + start, first + min(start + 20, 50)) for start in (0, 20, 40)]
    assert [len(images) for images in learned] == [50, 50]
    real = {image.numpy().tobytes() for image in splits.train.images}
    assert len({image.numpy().tobytes() for image in learned[1].images} & real) == 50
    steps = [(step, 50) for step in range(1, 51)]
    assert told_so == [(20, 50), (40, 50), (50, 50), *steps, *steps]


def test_the_seed_repeats_it(splits: DataSplits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier, "JUDGE_LEAST_STEPS", 8)
    assert scored(told(), splits, seed=1) == scored(told(), splits, seed=1)


def test_real_images_without_labels_are_refused(splits: DataSplits) -> None:
    assert splits.test is not None
    silent = dataclasses.replace(splits, test=ImageSet(splits.test.images, None))
    with pytest.raises(DataError, match=r"--cas needs labels .* the test split"):
        score_usefulness(told(), silent)
    with pytest.raises(DataError, match=r"data\.holdout=N"):
        score_usefulness(told(), dataclasses.replace(splits, test=None))
