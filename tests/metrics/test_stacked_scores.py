from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gancli import data
from gancli.data import DataSplits, ImageSet
from gancli.data.stacked import stack
from gancli.errors import ConfigError
from gancli.metrics import Draw, Judged, ScoreCard, intervals, score_stacked, stacked

# Without the judge, a digit is a small picture of one brightness.
BRIGHTNESS = 25
Digits = Callable[[int], Tensor]


def reading(images: Tensor) -> Judged:
    """Read a digit off its brightness, and be quite sure of it."""
    digits = images[:, 0, 0, 0].long() // BRIGHTNESS
    probabilities = torch.full((len(images), 10), 0.01, dtype=torch.float64)
    probabilities[torch.arange(len(images)), digits] = 0.91
    return Judged(torch.zeros(len(images), 64, dtype=torch.float64), probabilities)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the reader of brightness in the judge's place, and leave distances out."""
    monkeypatch.setattr(stacked, "judged", reading)
    monkeypatch.setattr(stacked, "KINDS", ())


def painted(digits: Tensor) -> Tensor:
    """Paint digits, int64 [n, 3], as images of 2 x 2."""
    return (digits * BRIGHTNESS).to(torch.uint8)[:, :, None, None].expand(-1, 3, 2, 2)


def digits_of(weights: list[float], seed: int) -> Digits:
    """Draw independent digits, as often as the weights say."""
    generator = torch.Generator().manual_seed(seed)
    shares = torch.tensor(weights)

    def draw(count: int) -> Tensor:
        return torch.multinomial(shares, 3 * count, True, generator=generator).reshape(count, 3)

    return draw


def splits(weights: list[float]) -> DataSplits:
    parts = []
    for seed, count in ((100, 60_000), (101, 50)):
        digits = digits_of(weights, seed)(count)
        modes = (digits * torch.tensor([100, 10, 1])).sum(1)
        parts.append(ImageSet(painted(digits), modes))
    return DataSplits(parts[0], None, parts[1], 1_000)


def counted(fakes: Digits, real: DataSplits, samples: int = 26_000, *, seed: int = 0) -> ScoreCard:
    def draw(seeds: range) -> tuple[Tensor, Tensor]:
        assert len(seeds) <= 1_000
        return painted(fakes(len(seeds))), torch.zeros(len(seeds), dtype=torch.int64)

    return score_stacked(draw, real, samples=samples, seed=seed, extent="quick")


EVEN = [1.0] * 10


@pytest.mark.usefixtures("read")
def test_a_perfect_sampler_has_every_mode_and_the_floor_of_chance() -> None:
    fakes = digits_of(EVEN, 1)
    card = score_stacked(
        lambda seeds: (painted(fakes(len(seeds))), None), splits(EVEN), extent="quick"
    )
    assert (card.samples, card.reference_images) == (26_000, 50)
    modes = card["modes"]
    assert modes.value == modes.low == modes.high == modes.real == 1_000
    # Miller (1955): chance alone adds (classes - 1) / 2 n nats, and a little more.
    floor = 999 / 52_000
    for name in ("reverse_kl", "class_balance_kl"):
        figure = card[name]
        for value in (figure.value, figure.real):
            assert 0.85 * floor < value < 1.2 * floor
        assert figure.low < figure.value < figure.high
        assert 0 < figure.real_low < figure.real < figure.real_high
        assert "in 26,000 fakes" in figure.protocol
        assert "KL(fakes || data)" in figure.protocol
    assert card["judge_confidence"].value == pytest.approx(0.91**3)
    assert [figure.name for figure in card.figures] == [
        "modes",
        "reverse_kl",
        "class_balance_kl",
        "judge_confidence",
    ]


@pytest.mark.usefixtures("read")
def test_missing_modes_are_missed() -> None:
    odd = digits_of([0.0, 1.0] * 5, 2)
    card = counted(odd, splits(EVEN))
    assert card["modes"].value == 125
    # Even shares of an eighth of the modes, and what chance adds.
    assert card["reverse_kl"].value == pytest.approx(math.log(8) + 124 / 52_000, abs=0.001)
    assert card["reverse_kl"].low > card["reverse_kl"].real_high


@pytest.mark.usefixtures("read")
def test_one_mode_is_as_far_from_even_as_can_be() -> None:
    card = counted(lambda count: torch.tensor([[4, 0, 7]]).expand(count, 3), splits(EVEN))
    assert card["modes"].value == card["modes"].low == card["modes"].high == 1
    assert card["reverse_kl"].value == pytest.approx(math.log(1_000))


@pytest.mark.usefixtures("read")
def test_rare_modes_are_counted_with_doubt() -> None:
    weights = [1.0] + [0.02] * 9
    cards = [counted(digits_of(weights, seed), splits(weights), seed=seed) for seed in range(6)]
    values = torch.tensor([[card[n].value for n in ("modes", "reverse_kl")] for card in cards])
    claimed = torch.tensor(
        [[card[n].high - card[n].low for n in ("modes", "reverse_kl")] for card in cards]
    )
    assert 100 < values[:, 0].min() < values[:, 0].max() < 1_000
    ratio = values.std(dim=0) / (claimed.mean(dim=0) / 2 / 1.96)
    assert 0.3 < ratio.min() < ratio.max() < 2.5


@pytest.mark.usefixtures("read")
def test_the_data_need_not_be_even() -> None:
    weights = [2.0] + [1.0] * 9
    card = counted(digits_of(weights, 3), splits(weights))
    shares = torch.tensor(weights, dtype=torch.float64) / 11
    apart = 3 * float((shares * (shares * 10).log()).sum())
    floor = 999 / 52_000
    assert card["reverse_kl"].value == pytest.approx(apart + floor, abs=0.004)
    assert card["reverse_kl"].real == pytest.approx(apart + floor, abs=0.004)
    assert card["class_balance_kl"].value == pytest.approx(floor, abs=0.003)


@pytest.mark.usefixtures("read")
def test_a_conditional_generator_is_judged_by_what_was_asked() -> None:
    digits = digits_of(EVEN, 4)

    def draw(seeds: range) -> tuple[Tensor, Tensor]:
        drawn = digits(len(seeds))
        asked = (drawn * torch.tensor([100, 10, 1])).sum(1)
        asked[: len(seeds) // 4] += 1
        return painted(drawn), asked

    card = score_stacked(draw, splits(EVEN), extent="quick")
    assert card["label_accuracy"].value == pytest.approx(0.75)
    assert card["label_accuracy"].real == 1
    with pytest.raises(KeyError):
        card["judge_confidence"]


def test_too_few_samples_name_the_number_needed() -> None:
    with pytest.raises(ConfigError, match=r"25,999 samples are too few.* take 26,000 or more"):
        counted(digits_of(EVEN, 1), splits(EVEN), 25_999)


@pytest.fixture(scope="module")
def few(mnist: DataSplits) -> tuple[DataSplits, Draw]:
    """A few real stacks, and others to pass for fakes."""
    assert mnist.test is not None
    parts = []
    for images, start, count in (
        (mnist.train, 0, 2_000),
        (mnist.test, 0, 400),
        (mnist.train, 30_000, 1_500),
    ):
        assert images.labels is not None
        chosen = slice(start, start + 5_000)
        parts.append(ImageSet(*stack(images.images[chosen], images.labels[chosen], count, start)))
    fakes = parts[2].images
    return DataSplits(parts[0], None, parts[1], 1_000), lambda seeds: (
        fakes[seeds.start : seeds.stop],
        None,
    )


def test_real_stacks_score_as_real_stacks_do(
    few: tuple[DataSplits, Draw], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, draw = few
    monkeypatch.setattr(stacked, "STACKED_SAMPLES", 1_500)
    monkeypatch.setattr(intervals, "DISTANCE_RESAMPLES", 20)
    card = score_stacked(draw, real, samples=1_500)
    assert [figure.name for figure in card.figures] == [
        "modes",
        "reverse_kl",
        "class_balance_kl",
        "judge_confidence",
        "frechet_distance_judge",
        "kernel_distance_judge",
        "precision_judge",
        "recall_judge",
        "density_judge",
        "coverage_judge",
        "precision_k5_judge",
        "recall_k5_judge",
        "frechet_distance_random",
        "kernel_distance_random",
        "judge_entropy",
        "copying_z",
        "near_share",
    ]
    for figure in card.figures:
        assert figure.low <= figure.value <= figure.high
        assert figure.real_low <= figure.real <= figure.real_high
        assert "real" in figure.protocol
        if "distance" in figure.name:
            assert figure.protocol.startswith("three channels side by side, in the ")
    assert 0.85 < card["modes"].value / card["modes"].real < 1.15
    assert 0.8 < card["reverse_kl"].value / card["reverse_kl"].real < 1.2
    for name in ("frechet_distance_judge", "frechet_distance_random"):
        assert 0.7 < card[name].value / card[name].real < 1.4
    for name in ("precision_judge", "recall_judge", "density_judge", "coverage_judge"):
        assert abs(card[name].value - card[name].real) < 0.15
    assert 0.95 < card["judge_confidence"].value < 1
    assert abs(card["copying_z"].value) < 4
    assert card.closest is not None
    assert card.closest[0].images.shape == card.closest[1].train.shape == (12, 3, 28, 28)
    assert card.judge is not None
    assert "each channel" in card.judge
    assert card.judge_knows_classes


def test_an_empty_channel_is_far_from_real(
    few: tuple[DataSplits, Draw], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, draw = few
    monkeypatch.setattr(stacked, "STACKED_SAMPLES", 1_500)
    monkeypatch.setattr(intervals, "DISTANCE_RESAMPLES", 20)

    def dim(seeds: range) -> tuple[Tensor, Tensor | None]:
        images = draw(seeds)[0].clone()
        images[:, 2] = 0  # grey would hardly miss blue
        return images, None

    monkeypatch.setattr(stacked, "COURSE_IMAGES", 300)
    card = score_stacked(dim, real, samples=1_500, extent="course")
    assert [figure.name for figure in card.figures][3:] == [
        "judge_confidence",
        "frechet_distance_judge",
        "precision_judge",
        "recall_judge",
        "density_judge",
        "coverage_judge",
    ]
    frechet = card["frechet_distance_judge"]
    assert "one draw of 300 fakes against the 300 images" in frechet.protocol
    assert frechet.low > 2 * frechet.real_high
    assert card["modes"].value <= 100
    assert card["coverage_judge"].high < card["coverage_judge"].real_low


def test_the_published_floor_is_that_of_mnist_digits(
    mnist: DataSplits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A perfect sampler of MNIST's digits gets 0.0236 nats at 26,000 samples, 0.0063 at 240,000."""
    assert mnist.train.labels is not None
    monkeypatch.setattr(stacked, "judged", reading)
    monkeypatch.setattr(stacked, "KINDS", ())
    labels = mnist.train.labels
    images = painted(labels[:, None].expand(-1, 3))[:, :1]
    real = DataSplits(ImageSet(*stack(images, labels, 60_000, 0)), None, splits(EVEN).test, 1_000)
    shares = (torch.bincount(labels) / len(labels)).tolist()
    for samples, floor, error in ((26_000, 0.0236, 0.003), (240_000, 0.0063, 0.0006)):
        card = counted(digits_of(shares, 5), real, samples)
        assert card["reverse_kl"].value == pytest.approx(floor, abs=error)
        assert card["reverse_kl"].real == pytest.approx(floor, abs=error)


def test_a_perfect_sampler_is_judged_as_if_its_stacks_were(few: tuple[DataSplits, Draw]) -> None:
    """What the judge says of a digit is the same in any channel."""
    real, _ = few
    apart = data.ImageSet(real.train.images[:60], None).images
    together = stacked._Seen.of(apart, 0, "quick").modes
    single = [stacked.judged(apart[:, channel : channel + 1]).classes for channel in range(3)]
    assert torch.equal(together, 100 * single[0] + 10 * single[1] + single[2])
