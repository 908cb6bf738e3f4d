"""The score card: every number beside the same number for real images, with intervals.

``score`` reads top to bottom: held-out images, fakes, what the judge says of both, figures.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from gancli.data import DataSplits, ImageSet
from gancli.errors import DataError
from gancli.metrics.balance import class_shares, kl_divergence
from gancli.metrics.frechet import Gaussian, frechet_distance
from gancli.metrics.intervals import (
    DRAWS,
    Interval,
    centred_interval,
    draws_interval,
    frechet_interval,
    kl_interval,
    mean_interval,
    resample_counts,
    share_interval,
)
from gancli.metrics.judge import Appointed, Judge, Judged, appoint, judged
from gancli.metrics.neighbours import COVERAGE_K, PRECISION_K, Cloud, Overlap, overlap

# Image seeds -> images uint8 [n, channels, height, width] and the labels that were asked for,
# int64 [n], or None of an unconditional generator.
Draw = Callable[[range], tuple[Tensor, Tensor | None]]
# Called with the number of images drawn so far and of all.
Progress = Callable[[int, int], None]

Better = Literal["higher", "lower", "near"]
Unit = Literal["share", "nats", "features^2", "count", "distance", "ratio"]

# What each is in words, and which way it is better.
_OVERLAP: dict[str, tuple[str, Better]] = {
    "precision": (
        f"share of the fakes nearer to a real image than its neighbour {PRECISION_K} is",
        "higher",
    ),
    "recall": (
        f"share of the real images nearer to a fake than its neighbour {PRECISION_K} is",
        "higher",
    ),
    "density": (
        f"real images a fake is nearer to than their neighbour {COVERAGE_K} is, divided by "
        f"{COVERAGE_K}; above 1 where fakes crowd",
        "near",
    ),
    "coverage": (
        f"share of the real images that have a fake nearer than their neighbour {COVERAGE_K}",
        "higher",
    ),
}
CHUNK = 1_000
# Score cards of different seeds share no image as long as they draw no more than this.
SEEDS_A_CARD = 1_000_000


@dataclasses.dataclass(frozen=True)
class Figure:
    """One number of the score card, with its 95 % interval and that of real images.

    Attributes:
        name: for programs, such as ``frechet_distance_judge``.
        value: the number for the generator; ``low`` and ``high`` are the ends of its interval.
        real: the same for real images, as a perfect generator would get it, with its interval.
        protocol: in plain words, what was done.
        better: which way is better; ``near`` says near to ``real``.
        unit: ``share`` (0 to 1), ``nats``, ``features^2`` (the judge's own unit, squared),
            ``count``, ``distance`` (in the plane, or in ink from 0 to 1), or ``ratio`` (0 or more).
    """

    name: str
    value: float
    low: float
    high: float
    real: float
    real_low: float
    real_high: float
    protocol: str
    better: Better
    unit: Unit


@dataclasses.dataclass(frozen=True)
class ScoreCard:
    """All figures of one generator.

    Attributes:
        figures: in the order they are to be read.
        judge_sha256: of the judge's weights; only numbers of one judge compare. None where no
            judge was asked.
        samples: how many fakes the shares are of.
        seed: the image seeds start at ``seed * SEEDS_A_CARD``.
        digit: the one class that was scored; None for all.
        reference: the split of real images, ``test`` or ``holdout``.
        reference_images: how many real images of the class or classes it has.
        judge: which judge it was and how often it is right, in plain words; None without one.
        judge_knows_classes: whether the judge tells the data's classes apart; else the figures
            that need that are left out.
    """

    figures: tuple[Figure, ...]
    judge_sha256: str | None
    samples: int
    seed: int
    digit: int | None
    reference: Literal["test", "holdout"]
    reference_images: int
    judge: str | None = None
    judge_knows_classes: bool = False

    def __getitem__(self, name: str) -> Figure:
        """Return a figure by its name; KeyError when it was left out."""
        return {figure.name: figure for figure in self.figures}[name]

    def as_dict(self) -> dict[str, Any]:
        """Return plain dicts, lists, strings and finite numbers, fit for JSON."""
        return {
            **dataclasses.asdict(self),
            "figures": [dataclasses.asdict(f) for f in self.figures],
        }


def score(
    draw: Draw,
    splits: DataSplits,
    *,
    digit: int | None,
    samples: int = 10_000,
    seed: int = 0,
    appointed: Appointed | None = None,
    on_progress: Progress | None = None,
) -> ScoreCard:
    """Score a generator against held-out real images.

    One class gets ``judge_share`` and ``frechet_distance_judge``; all classes get
    ``label_accuracy`` (conditional) or ``judge_confidence`` (unconditional),
    ``frechet_distance_judge``, ``class_balance_kl`` and ``share_0`` to ``share_9``. Both get
    ``precision_judge``, ``recall_judge``, ``density_judge`` and ``coverage_judge``. What needs
    a judge who knows the data's classes is left out where there is none, what needs neighbours
    where there are fewer than six images.

    Args:
        draw: makes fakes; called with ranges of at most 1,000 image seeds, none of them twice.
        splits: the data that the generator was trained on, all classes of it.
        digit: the one class the generator draws; None for all.
        samples: how many fakes the shares are taken from. The ten draws of one class may need
            more, of further seeds.
        seed: another seed scores other fakes, against other random real images.
        appointed: the judge; by default :func:`gancli.metrics.judge.appoint` chooses.
        on_progress: called after every chunk with the images drawn and the images in all.

    Raises:
        DataError: nothing was held out, the class is unknown, or ``samples`` is too small.
        CheckpointError: the judge's weights are damaged.
    """
    train, real, reference = _held_out(splits, digit)
    count = min(len(real), len(train))
    draws = 1 if digit is None else DRAWS
    if samples < count:
        raise DataError(
            f"{samples:,} samples are too few to compare with {count:,} real images; "
            f"take {count:,} or more"
        )
    appointed = appointed or appoint(splits)
    judge = appointed.judge
    fakes, asked = _draw_and_judge(draw, judge, seed, max(samples, draws * count), on_progress)
    generator = torch.Generator().manual_seed(seed)
    real_draws = [
        judged(
            train.images[torch.randperm(len(train), generator=generator)[:count]], judge
        ).features
        for _ in range(draws)
    ]
    fake_draws = list(torch.split(fakes.features[: draws * count], count))
    shown = Judged(fakes.features[:samples], fakes.probabilities[:samples])
    judged_real = judged(real.images, judge)

    figures: list[Figure] = []
    knows = appointed.knows_classes
    if knows and digit is not None:
        figures.append(_judge_share(shown, judged_real, digit, seed))
    if knows and digit is None and asked is not None and real.labels is not None:
        hits = shown.classes == asked[:samples], judged_real.classes == real.labels
        figures.append(_label_accuracy(*hits, seed))
    if digit is None and asked is None:
        figures.append(_judge_confidence(shown, judged_real, seed))
    figures.append(_frechet(fake_draws, real_draws, judged_real.features, reference, seed))
    if count > COVERAGE_K:
        figures += _overlap(fake_draws, real_draws, judged_real.features, reference, seed)
    if knows and digit is None:
        figures += _class_balance(shown, judged_real, train, seed)
    return ScoreCard(
        tuple(figures),
        appointed.sha256,
        samples,
        seed,
        digit,
        reference,
        len(judged_real.features),
        appointed.words,
        knows,
    )


def _held_out(
    splits: DataSplits, digit: int | None
) -> tuple[ImageSet, ImageSet, Literal["test", "holdout"]]:
    """Return the training images, the real images that judge, and the name of their split."""
    reference: Literal["test", "holdout"] = "holdout" if splits.test is None else "test"
    real = splits.holdout if splits.test is None else splits.test
    train = splits.train
    if real is not None and digit is not None:
        train, real = train.of_class(digit), real.of_class(digit)
    if real is None or min(len(real), len(train)) < 2:
        raise DataError(
            "scores need two or more real images that were not trained on, and there are fewer; "
            "train with `--set data.holdout=N`"
        )
    return train, real, reference


def _draw_and_judge(
    draw: Draw, judge: Judge, seed: int, total: int, on_progress: Progress | None
) -> tuple[Judged, Tensor | None]:
    """Judge ``total`` fakes chunk by chunk, so that only their features are kept."""
    features, probabilities, labels = [], [], []
    for seeds in _chunks(seed * SEEDS_A_CARD, total):
        images, asked = draw(seeds)
        seen = judged(images, judge)
        features.append(seen.features)
        probabilities.append(seen.probabilities)
        if asked is not None:
            labels.append(asked)
        if on_progress is not None:
            on_progress(seeds.stop - seed * SEEDS_A_CARD, total)
    fakes = Judged(torch.cat(features), torch.cat(probabilities))
    return fakes, torch.cat(labels) if labels else None


def _chunks(start: int, total: int) -> Iterator[range]:
    for first in range(start, start + total, CHUNK):
        yield range(first, min(first + CHUNK, start + total))


def _judge_share(fakes: Judged, real: Judged, digit: int, seed: int) -> Figure:
    return _share(
        "judge_share",
        fakes.classes == digit,
        real.classes == digit,
        f"share of the fakes that the judge calls a {digit}; real: of the held-out {digit}s",
        better="higher",
        seed=seed,
    )


def _label_accuracy(fake_hits: Tensor, real_hits: Tensor, seed: int) -> Figure:
    return _share(
        "label_accuracy",
        fake_hits,
        real_hits,
        "share of the fakes that the judge calls what was asked for; "
        "real: of the held-out images that it calls by their label",
        better="higher",
        seed=seed,
    )


def _judge_confidence(fakes: Judged, real: Judged, seed: int) -> Figure:
    tops = [seen.probabilities.amax(dim=1) for seen in (fakes, real)]
    values, intervals = zip(*((float(t.mean()), mean_interval(t, seed)) for t in tops), strict=True)
    return _figure(
        "judge_confidence",
        values,
        intervals,
        "mean of the judge's highest probability; real: for the held-out images",
        better="higher",
        unit="share",
    )


def _class_balance(fakes: Judged, real: Judged, train: ImageSet, seed: int) -> list[Figure]:
    """Return how far the classes are from the training labels' shares, and every share."""
    assert train.labels is not None  # the judge knows their classes
    classes = fakes.probabilities.shape[1]
    wanted = class_shares(train.labels, classes)
    shares = [class_shares(seen.classes, classes) for seen in (fakes, real)]
    counts = [len(seen.classes) for seen in (fakes, real)]
    balance = _figure(
        "class_balance_kl",
        [float(kl_divergence(row, wanted)) for row in shares],
        [kl_interval(row, n, wanted, seed) for row, n in zip(shares, counts, strict=True)],
        "Kullback-Leibler divergence of the judged classes from the shares of the training "
        "labels; real: of the held-out images",
        better="lower",
        unit="nats",
    )
    return [balance] + [
        _share(
            f"share_{label}",
            fakes.classes == label,
            real.classes == label,
            f"share of the fakes that the judge calls a {label}; real: of the held-out images",
            better="near",
            seed=seed,
        )
        for label in range(classes)
    ]


def _frechet(
    fake_draws: list[Tensor],
    real_draws: list[Tensor],
    reference_features: Tensor,
    reference: str,
    seed: int,
) -> Figure:
    """Compare draws of fakes, and as many of real training images, with the held-out images."""
    held_out = Gaussian.of(reference_features)
    values, intervals = [], []
    for draws in (fake_draws, real_draws):
        distances = torch.tensor(
            [frechet_distance(Gaussian.of(features), held_out) for features in draws],
            dtype=torch.float64,
        )
        values.append(float(distances.mean()))
        intervals.append(
            draws_interval(distances)
            if len(draws) == DRAWS
            else frechet_interval(draws[0], held_out, seed)
        )
    drawn, interval = (
        (f"mean over {DRAWS} draws of", "Student's t")
        if len(fake_draws) == DRAWS
        else ("one draw of", "centred bootstrap of the draw")
    )
    return _figure(
        "frechet_distance_judge",
        values,
        intervals,
        f"Frechet distance in the judge's features, {drawn} {len(fake_draws[0]):,} fakes against "
        f"the {len(reference_features):,} images of the {reference} split; real: as many random "
        f"training images; interval: {interval}",
        better="lower",
        unit="features^2",
    )


def _overlap(
    fake_draws: list[Tensor],
    real_draws: list[Tensor],
    reference_features: Tensor,
    reference: str,
    seed: int,
) -> list[Figure]:
    """Compare draws of fakes, and as many of real training images, with the held-out images."""
    held_out = Cloud.of(reference_features)
    count = len(fake_draws[0])
    counts: Tensor | None = None
    if len(fake_draws) == DRAWS:
        drawn, interval = f"mean over {DRAWS} draws of", "Student's t"
    else:
        drawn, interval = "one draw of", "centred bootstrap of the draw, the balls as they are"
        counts = torch.cat([torch.ones(1, count), resample_counts(count, seed)])
    sides = []
    for draws in (fake_draws, real_draws):
        found = [overlap(Cloud.of(features), held_out, counts) for features in draws]
        sides.append(Overlap(*map(torch.cat, zip(*found, strict=True))))
    figures = []
    for part, (meaning, better) in _OVERLAP.items():
        unit: Unit = "ratio" if part == "density" else "share"
        rows = [getattr(side, part) for side in sides]
        figures.append(
            _figure(
                f"{part}_judge",
                [float(row.mean() if counts is None else row[0]) for row in rows],
                [_overlap_interval(row, counts is not None, unit, count, seed) for row in rows],
                f"in the judge's features, {meaning}; {drawn} {count:,} fakes against the "
                f"{len(reference_features):,} images of the {reference} split; real: as many "
                f"random training images; interval: {interval}",
                better=better,
                unit=unit,
            )
        )
    return figures


def _overlap_interval(
    values: Tensor, resampled: bool, unit: Unit, count: int, seed: int
) -> Interval:
    """Return the interval of ten draws' mean, or of the first value by the resamples after it."""
    if unit == "share" and bool((values == values[0]).all()) and values[0] in (0, 1):
        return share_interval(int(values[0]) * count, count, seed)
    if resampled:
        low, high = centred_interval(float(values[0]), values[1:])
    else:
        low, high = draws_interval(values)
    return Interval(low, min(high, 1.0) if unit == "share" else high)


def _share(
    name: str,
    fake_hits: Tensor,
    real_hits: Tensor,
    protocol: str,
    *,
    better: Literal["higher", "near"],
    seed: int,
) -> Figure:
    hits = [(int(found.sum()), len(found)) for found in (fake_hits, real_hits)]
    return _figure(
        name,
        [found / count for found, count in hits],
        [share_interval(found, count, seed) for found, count in hits],
        protocol,
        better=better,
        unit="share",
    )


def _figure(
    name: str,
    values: Sequence[float],
    intervals: Sequence[Interval],
    protocol: str,
    *,
    better: Better,
    unit: Unit,
) -> Figure:
    """Pair the number for the fakes with that for real images, in this order."""
    value, real = values
    (low, high), (real_low, real_high) = intervals
    return Figure(name, value, low, high, real, real_low, real_high, protocol, better, unit)
