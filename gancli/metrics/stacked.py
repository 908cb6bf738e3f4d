"""StackedMNIST's score card: how many of a thousand modes come, how evenly, and how real they look.

The judge that ships looks at each channel of a colour image by itself. Its three digits are the
image's mode, and its three rows of features, side by side, the image's features.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gancli.data import DataSplits, ImageSet
from gancli.data.stacked import CHANNELS, DIGITS, MODES, modes_of
from gancli.errors import ConfigError
from gancli.metrics.balance import class_shares, entropies, kl_divergence
from gancli.metrics.intervals import RESAMPLES, Interval, centred_interval, mean_interval
from gancli.metrics.judge import judge_sha256, judged
from gancli.metrics.random_features import random_features
from gancli.metrics.scores import (
    COURSE_IMAGES,
    KINDS,
    Draw,
    Extent,
    Figure,
    Kind,
    Progress,
    ScoreCard,
    Sides,
    copying_figures,
    drawn,
    frechet_figure,
    kernel_figure,
    label_accuracy_figure,
    make_figure,
    overlap_figures,
)

# PacGAN (Lin et al., 2018) and most who came after it count the modes of 26,000 samples. The
# divergence that chance alone makes falls with their number, so fewer would not compare.
STACKED_SAMPLES = 26_000
# Three channels of 60,000 training images are too many to look for the nearest of every fake.
_COPIES = 1_000


@dataclasses.dataclass(frozen=True)
class _Seen:
    """What is kept of n images; of the first m, enough to take distances between them.

    Attributes:
        modes: int64 [n], what the judge reads.
        confidence: float64 [n], how probable it takes the three digits together to be.
        entropy: float64 [n], of its opinion on the three together, in nats.
        judge: float64 [m, 192], its features of the three channels.
        random: float64 [m, 192], those of a random network; empty unless all is scored.
        pixels: uint8 [m, 3, height, width]; empty unless all is scored.
    """

    modes: Tensor
    confidence: Tensor
    entropy: Tensor
    judge: Tensor
    random: Tensor
    pixels: Tensor

    @classmethod
    def of(cls, images: Tensor, kept: int, extent: Extent) -> _Seen:
        """Look at uint8 images [n, 3, height, width], and keep much of the first ``kept``."""
        said = judged(_channels(images))
        # What the channels show is told independently: chances multiply, entropies add up.
        opinions = said.probabilities.reshape(len(images), CHANNELS, DIGITS)
        # Copies: a view would keep alive all that it is a part of.
        pixels = images[: kept if extent == "full" else 0].clone()
        return cls(
            modes_of(opinions.argmax(dim=2)),
            opinions.amax(dim=2).prod(dim=1),
            entropies(opinions).sum(dim=1),
            _side_by_side(said.features)[:kept].clone(),
            random_features(pixels),
            pixels,
        )

    @classmethod
    def joined(cls, portions: Sequence[_Seen]) -> _Seen:
        """Put portions behind one another."""
        return cls(
            *(
                torch.cat([getattr(portion, field.name) for portion in portions])
                for field in dataclasses.fields(cls)
            )
        )

    def features(self, kind: Kind) -> Tensor:
        """Return the features of one kind."""
        return self.judge if kind == "judge" else self.random


def _channels(images: Tensor) -> Tensor:
    """Take colour images [n, 3, height, width] apart into grey ones, [3 n, 1, height, width]."""
    return images.flatten(0, 1)[:, None]


def _side_by_side(features: Tensor) -> Tensor:
    """Put the features of an image's channels, [3 n, d], into one row: [n, 3 d]."""
    rows, width = features.shape
    return features.reshape(rows // CHANNELS, CHANNELS * width)


def score_stacked(
    draw: Draw,
    splits: DataSplits,
    *,
    samples: int = STACKED_SAMPLES,
    seed: int = 0,
    extent: Extent = "full",
    on_progress: Progress | None = None,
) -> ScoreCard:
    """Score a generator of StackedMNIST.

    It gets ``modes``, ``reverse_kl`` and ``class_balance_kl``; ``label_accuracy`` (conditional) or
    ``judge_confidence`` (unconditional); of as many fakes as there are test images, Frechet and
    kernel distances in the features of the judge and of a random network, ``precision_judge``,
    ``recall_judge``, ``density_judge``, ``coverage_judge``, ``precision_k5_judge`` and
    ``recall_k5_judge``; ``judge_entropy``; and of 1,000 fakes, ``copying_z`` and ``near_share``. Of
    further fakes little is kept, so that memory hardly grows with their number.

    Args:
        draw: makes fakes; called with ranges of at most 1,000 image seeds.
        splits: the data that the generator was trained on.
        samples: how many fakes the modes are counted over.
        seed: another seed scores other fakes, against other random real images.
        extent: ``quick`` leaves it at modes, divergences, accuracy or confidence, and one Frechet
            distance; ``course`` adds precision, recall, density and coverage, of 1,000 fakes.
        on_progress: called after every chunk with the images drawn and the images in all.

    Raises:
        ConfigError: ``samples`` is too small.
        CheckpointError: the judge's weights are damaged.
    """
    if samples < STACKED_SAMPLES:
        raise ConfigError(
            f"{samples:,} samples are too few to count {MODES:,} modes by; take "
            f"{STACKED_SAMPLES:,} or more"
        )
    train, test = splits.train, splits.test
    assert test is not None
    if extent == "course" and len(test) > COURSE_IMAGES:
        test = test.at(torch.arange(COURSE_IMAGES))
    assert train.labels is not None
    assert test.labels is not None
    count = min(len(test), len(train), samples)
    fakes, asked = _look_at_fakes(draw, seed, samples, count, extent, on_progress)
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(train), generator=generator)[:count]
    reals = _Seen.of(train.images[chosen], count, extent)
    held_out = _Seen.of(test.images, len(test), extent)
    figures = _coverage(fakes.modes, _perfect(train, samples, generator), train.labels, seed)
    right = held_out.modes == test.labels
    if asked is None:
        figures.append(_confidence(fakes, held_out, seed))
    else:
        figures.append(label_accuracy_figure(fakes.modes == asked, right, seed))
    for kind in KINDS if extent == "full" else KINDS[:1]:
        sides = Sides(
            kind,
            [fakes.features(kind)],
            [reals.features(kind)],
            held_out.features(kind),
            "test",
            seed,
        )
        distances = [frechet_figure(sides)]
        if extent == "full":
            distances.append(kernel_figure(sides))
        if extent != "quick" and kind == "judge":
            distances += overlap_figures(sides, extent)
        figures += [
            dataclasses.replace(figure, protocol=f"three channels side by side, {figure.protocol}")
            for figure in distances
        ]
    pairs = None
    if extent == "full":
        figures.append(_entropy(fakes, held_out, seed))
        few = fakes.pixels[:_COPIES], held_out.pixels[:_COPIES]
        copies, pairs = copying_figures(*few, train, seed)
        figures += copies
    return ScoreCard(
        tuple(figures),
        judge_sha256(),
        samples,
        seed,
        None,
        "test",
        len(test),
        "the digit judge that ships, asked about each channel, right on all three of "
        f"{float(right.double().mean()):.1%} of real images",
        True,
        count,
        closest=pairs,
    )


def _look_at_fakes(
    draw: Draw, seed: int, samples: int, kept: int, extent: Extent, on_progress: Progress | None
) -> tuple[_Seen, Tensor | None]:
    portions, labels, left = [], [], kept
    for images, asked in drawn(draw, seed, samples, on_progress):
        portions.append(_Seen.of(images, min(left, len(images)), extent))
        left = max(0, left - len(images))
        if asked is not None:
            labels.append(asked)
    return _Seen.joined(portions), torch.cat(labels) if labels else None


def _perfect(train: ImageSet, samples: int, generator: torch.Generator) -> Tensor:
    """Return the modes of stacks of training digits drawn anew, int64 [samples].

    What the judge says of a digit does not depend on the channel it stands in, so it is asked once
    about each digit of the red channel, however many stacks are drawn from them.
    """
    digits = judged(train.images[:, :1]).classes
    return modes_of(digits[torch.randint(len(digits), (samples, CHANNELS), generator=generator)])


def _coverage(fakes: Tensor, perfect: Tensor, labels: Tensor, seed: int) -> list[Figure]:
    """Return how many modes come, and how far their shares are from even and from the data's."""
    shares = [class_shares(modes, MODES) for modes in (fakes, perfect)]
    resampled = [_resampled(row, len(fakes), seed) for row in shares]
    real = "real: of as many stacks of training digits drawn anew, a perfect sampler's floor"
    interval = "interval: centred bootstrap"
    covered = [torch.count_nonzero(row).double() for row in shares]
    counts = [torch.count_nonzero(rows, dim=1).double() for rows in resampled]
    modes = make_figure(
        "modes",
        [float(number) for number in covered],
        [
            _at_most_all(centred_interval(float(n), ns))
            for n, ns in zip(covered, counts, strict=True)
        ],
        f"of {MODES:,} triples of digits, those that the judge sees in one or more of "
        f"{len(fakes):,} fakes, a digit a channel; {real}; {interval}",
        better="higher",
        unit="count",
    )
    even = torch.full((MODES,), 1 / MODES, dtype=torch.float64)
    divergences = []
    for name, wanted, words in (
        ("reverse_kl", even, f"{MODES:,} equal shares (as published)"),
        ("class_balance_kl", _expected(labels), "the shares that the digits' training labels make"),
    ):
        values = [float(kl_divergence(row, wanted)) for row in shares]
        intervals = [
            centred_interval(value, kl_divergence(rows, wanted))
            for value, rows in zip(values, resampled, strict=True)
        ]
        divergences.append(
            make_figure(
                name,
                values,
                intervals,
                f"Kullback-Leibler divergence KL(fakes || data) of the modes that the judge sees "
                f"in {len(fakes):,} fakes from {words}; {real}; {interval}",
                better="lower",
                unit="nats",
            )
        )
    return [modes, *divergences]


def _resampled(shares: Tensor, count: int, seed: int) -> Tensor:
    """Return the shares of bootstrap resamples of ``count`` images: float64 [1,000, modes]."""
    random = np.random.default_rng(seed)
    return torch.from_numpy(random.multinomial(count, shares.numpy(), RESAMPLES)) / float(count)


def _at_most_all(interval: Interval) -> Interval:
    return Interval(interval.low, min(interval.high, float(MODES)))


def _expected(labels: Tensor) -> Tensor:
    """Return the share of each mode when digits come independently, as often as in the labels."""
    digits = torch.stack([labels // 100, labels // 10 % DIGITS, labels % DIGITS])
    red, green, blue = (class_shares(row, DIGITS) for row in digits)
    return (red[:, None, None] * green[:, None] * blue).flatten()


def _confidence(fakes: _Seen, real: _Seen, seed: int) -> Figure:
    return make_figure(
        "judge_confidence",
        [float(seen.confidence.mean()) for seen in (fakes, real)],
        [mean_interval(seen.confidence, seed) for seen in (fakes, real)],
        "mean of the product of the judge's highest probabilities of the three channels; real: for "
        "the held-out images",
        better="higher",
        unit="share",
    )


def _entropy(fakes: _Seen, real: _Seen, seed: int) -> Figure:
    return make_figure(
        "judge_entropy",
        [float(seen.entropy.mean()) for seen in (fakes, real)],
        [mean_interval(seen.entropy, seed) for seen in (fakes, real)],
        "mean over fakes of the entropies of the judge's opinions of the three channels, added up: "
        "high where it cannot tell; real: of the held-out images",
        better="near",
        unit="nats",
    )
