"""The score card: every number beside the same number for real images, with intervals.

``score`` reads top to bottom: held-out images, fakes, what the judge says of both, figures.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from gancli.data import DataSplits, ImageSet
from gancli.errors import ConfigError, DataError
from gancli.metrics.balance import class_shares, entropies, inception_scores, kl_divergence
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
from gancli.metrics.kernel import SUBSETS, kernel_distances, subset_size
from gancli.metrics.memorisation import (
    NEAR_QUANTILE,
    Pairs,
    closest,
    copying_z,
    near_share,
    nearest,
)
from gancli.metrics.neighbours import COVERAGE_K, PRECISION_K, Cloud, Overlap, overlap
from gancli.metrics.random_features import random_features

# Image seeds -> images uint8 [n, channels, height, width] and the labels that were asked for,
# int64 [n], or None of an unconditional generator.
Draw = Callable[[range], tuple[Tensor, Tensor | None]]
# Called with the number of images drawn so far and of all.
Progress = Callable[[int, int], None]

Better = Literal["higher", "lower", "near"]
Unit = Literal["share", "nats", "features^2", "kernel", "count", "distance", "ratio"]
Kind = Literal["judge", "random"]
KINDS: tuple[Kind, ...] = ("judge", "random")
_FEATURES = {
    "judge": "the judge's features",
    "random": "the features of a fixed random network",
}

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
    "precision_k5": (
        f"share of the fakes nearer to a real image than its neighbour {COVERAGE_K} is",
        "higher",
    ),
    "recall_k5": (
        f"share of the real images nearer to a fake than its neighbour {COVERAGE_K} is",
        "higher",
    ),
}
_BY_FIVE = ("precision_k5", "recall_k5")
# A share for each of more classes would bury the other figures.
MOST_SHARES = 20
CHUNK = 1_000
USUAL_SAMPLES = 10_000
# How much is scored: all; the judge's view and one distance; the course of a training.
Extent = Literal["full", "quick", "course"]
COURSE_IMAGES = 1_000
CLOSEST_PAIRS = 12
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
            ``kernel`` (without a unit of its own), ``count``, ``distance`` (in the plane, or in ink
            from 0 to 1), or ``ratio``.
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
        drawn: how many fakes at a time are held to the real images.
        draws: how often that is done, each time with others.
        closest: the fakes nearest to a training image beside it, and the same of the held-out
            images; None of a quick card. Not part of what is compared or written.
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
    drawn: int | None = None
    draws: int = 1
    closest: tuple[Pairs, Pairs] | None = dataclasses.field(default=None, repr=False, compare=False)

    def __getitem__(self, name: str) -> Figure:
        """Return a figure by its name; KeyError when it was left out."""
        return {figure.name: figure for figure in self.figures}[name]

    def as_dict(self) -> dict[str, Any]:
        """Return plain dicts, lists, strings and finite numbers, fit for JSON."""
        content = dataclasses.asdict(dataclasses.replace(self, closest=None))
        del content["closest"]
        return {**content, "figures": list(content["figures"])}


@dataclasses.dataclass(frozen=True)
class Seen:
    """What is kept of n images.

    Attributes:
        judged: what the judge says of them.
        random: float64 [n, 64 a channel], the features of a random network; empty unless all is
            scored.
        pixels: uint8 [n, channels, height, width], themselves; empty unless all is scored.
    """

    judged: Judged
    random: Tensor
    pixels: Tensor

    @classmethod
    def of(cls, images: Tensor, judge: Judge, extent: Extent) -> Seen:
        """Look at uint8 images [n, channels, height, width]."""
        said = judged(images, judge)
        if extent != "full":
            return cls(said, said.features[:, :0], images[:, :0])
        return cls(said, random_features(images), images)

    @classmethod
    def joined(cls, portions: Sequence[Seen]) -> Seen:
        """Put portions behind one another."""
        return cls(
            Judged(
                torch.cat([portion.judged.features for portion in portions]),
                torch.cat([portion.judged.probabilities for portion in portions]),
            ),
            torch.cat([portion.random for portion in portions]),
            torch.cat([portion.pixels for portion in portions]),
        )

    def __getitem__(self, part: slice) -> Seen:
        """Return some of the images."""
        said = Judged(self.judged.features[part], self.judged.probabilities[part])
        return Seen(said, self.random[part], self.pixels[part])


@dataclasses.dataclass(frozen=True)
class Sides:
    """Draws of fakes, and as many of real training images, beside the held-out images.

    Attributes:
        kind: whose features these are, ``judge`` or ``random``.
        fakes: one draw or ten, float64 [count, d] each.
        reals: the same of real training images.
        held_out: float64 [n, d].
        reference: the name of the held-out split.
        seed: of what is random in a figure.
        overlapping: the share of all training images that one of several draws is.
    """

    kind: Kind
    fakes: list[Tensor]
    reals: list[Tensor]
    held_out: Tensor
    reference: str
    seed: int
    overlapping: float = 0.0

    @classmethod
    def of(
        cls,
        kind: Kind,
        fakes: Sequence[Seen],
        reals: Sequence[Seen],
        held_out: Seen,
        reference: str,
        seed: int,
        overlapping: float,
    ) -> Sides:
        """Take one kind of features of all that was seen."""

        def features(seen: Seen) -> Tensor:
            return seen.judged.features if kind == "judge" else seen.random

        return cls(
            kind,
            [features(seen) for seen in fakes],
            [features(seen) for seen in reals],
            features(held_out),
            reference,
            seed,
            overlapping,
        )

    @property
    def both(self) -> list[tuple[list[Tensor], float]]:
        """The draws of fakes and of reals, with the share of all there is that one is of either."""
        return [(self.fakes, 0.0), (self.reals, self.overlapping)]  # fakes have no end

    @property
    def several(self) -> bool:
        """Whether there are ten draws."""
        return len(self.fakes) == DRAWS

    def protocol(self, measure: str, interval: str) -> str:
        """Say what was done."""
        drawn = f"mean over {DRAWS} draws of" if self.several else "one draw of"
        return (
            f"in {_FEATURES[self.kind]}, {measure}; {drawn} {len(self.fakes[0]):,} fakes against "
            f"the {len(self.held_out):,} images of the {self.reference} split; real: as many "
            f"random training images; interval: {interval}"
        )


def score(
    draw: Draw,
    splits: DataSplits,
    *,
    digit: int | None,
    samples: int | None = None,
    seed: int = 0,
    appointed: Appointed | None = None,
    extent: Extent = "full",
    on_progress: Progress | None = None,
) -> ScoreCard:
    """Score a generator against held-out real images.

    One class gets ``judge_share``; all classes get ``label_accuracy`` (conditional) or
    ``judge_confidence`` (unconditional), ``inception_score_judge``, ``class_balance_kl`` and, of no
    more than 20 classes, ``share_0`` to ``share_9``. Both get Frechet and kernel distances in the
    features of the judge and of a random network, ``precision_judge``, ``recall_judge``,
    ``density_judge``, ``coverage_judge``, ``precision_k5_judge``, ``recall_k5_judge``,
    ``judge_entropy``, ``copying_z`` and ``near_share``. What
    needs a judge who knows the data's classes is left out where there is none, what needs
    neighbours where there are fewer than six images.

    Args:
        draw: makes fakes; called with ranges of at most 1,000 image seeds, none of them twice.
        splits: the data that the generator was trained on, all classes of it.
        digit: the one class the generator draws; None for all.
        samples: how many fakes the shares are taken from; None for 10,000, or as many as a draw
            takes. The ten draws of one class may need more, of further seeds.
        seed: another seed scores other fakes, against other random real images.
        appointed: the judge; by default :func:`gancli.metrics.judge.appoint` chooses.
        extent: ``quick`` leaves it at what the judge says and the Frechet distance in its
            features; ``course`` adds precision, recall, density and coverage, all of one draw of at
            most 1,000 fakes against as many random held-out images.
        on_progress: called after every chunk with the images drawn and the images in all.

    Raises:
        ConfigError: ``samples`` is too small.
        DataError: nothing was held out, or the class is unknown.
        CheckpointError: the judge's weights are damaged.
    """
    train, real, reference = real_images(splits, digit)
    if extent == "course" and len(real) > COURSE_IMAGES:
        chosen = torch.randperm(len(real), generator=torch.Generator().manual_seed(seed))
        real = real.at(chosen[:COURSE_IMAGES])
    count = min(len(real), len(train))
    # Of few training images, ten draws of real ones would be the same ones over and over.
    many = digit is not None and extent != "course" and 2 * count <= len(train)
    draws = DRAWS if many else 1
    if samples is None or extent == "course":
        samples = count if extent == "course" else max(USUAL_SAMPLES, count)
    if samples < count:
        raise ConfigError(
            f"{samples:,} samples are too few to compare with {count:,} real images; "
            f"take {count:,} or more"
        )
    appointed = appointed or appoint(splits)

    def look(images: Tensor) -> Seen:
        return Seen.of(images, appointed.judge, extent)

    fakes, asked = _draw_and_look(draw, look, seed, max(samples, draws * count), on_progress)
    generator = torch.Generator().manual_seed(seed)
    real_draws = [
        look(train.images[torch.randperm(len(train), generator=generator)[:count]])
        for _ in range(draws)
    ]
    fake_draws = [fakes[start * count : (start + 1) * count] for start in range(draws)]
    shown, held_out = fakes[:samples], look(real.images)

    figures: list[Figure] = []
    knows = appointed.knows_classes
    if knows and digit is not None:
        figures.append(_judge_share(shown.judged, held_out.judged, digit, seed))
    if knows and digit is None and asked is not None and real.labels is not None:
        hits = shown.judged.classes == asked[:samples], held_out.judged.classes == real.labels
        figures.append(label_accuracy_figure(*hits, seed))
    if digit is None and asked is None:
        figures.append(_judge_confidence(shown.judged, held_out.judged, seed))
    overlapping = count / len(train) if many else 0.0
    for kind in KINDS if extent == "full" else KINDS[:1]:
        sides = Sides.of(kind, fake_draws, real_draws, held_out, reference, seed, overlapping)
        figures.append(frechet_figure(sides))
        if extent == "full" and count >= 4:
            figures.append(kernel_figure(sides))
        if extent != "quick" and kind == "judge" and count > COVERAGE_K:
            figures += overlap_figures(sides, extent)
    pairs = None
    if extent == "full":
        figures.append(_entropy(shown.judged, held_out.judged, seed))
        if knows and digit is None:
            figures.append(_inception_style(shown.judged, held_out.judged, seed))
        copies, pairs = copying_figures(fake_draws[0].pixels, held_out.pixels, train, seed)
        figures += copies
    if knows and digit is None and extent != "course":
        figures += _class_balance(shown.judged, held_out.judged, train, seed)
    return ScoreCard(
        tuple(figures),
        appointed.sha256,
        samples,
        seed,
        digit,
        reference,
        len(real),
        appointed.words,
        knows,
        count,
        draws,
        pairs,
    )


def real_images(
    splits: DataSplits, digit: int | None
) -> tuple[ImageSet, ImageSet, Literal["test", "holdout"]]:
    """Return the training images, the real images that judge, and the name of their split.

    Raises:
        DataError: nothing was held out, or the class is unknown.
    """
    if digit is not None:
        splits = splits.of_class(digit)
    reference: Literal["test", "holdout"] = "holdout" if splits.test is None else "test"
    real, train = splits.unseen, splits.train
    if real is None or min(len(real), len(train)) < 2:
        raise DataError(
            "scores need two or more real images that were not trained on, and there are fewer; "
            "train with `--set data.holdout=N`"
        )
    return train, real, reference


def _draw_and_look(
    draw: Draw,
    look: Callable[[Tensor], Seen],
    seed: int,
    total: int,
    on_progress: Progress | None,
) -> tuple[Seen, Tensor | None]:
    """Look at ``total`` fakes chunk by chunk, so that only what was seen is kept."""
    portions, labels = [], []
    for images, asked in drawn(draw, seed, total, on_progress):
        portions.append(look(images))
        if asked is not None:
            labels.append(asked)
    return Seen.joined(portions), torch.cat(labels) if labels else None


def drawn(
    draw: Draw, seed: int, total: int, on_progress: Progress | None
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield the fakes of a score card's seed and what was asked for, a chunk at a time.

    Progress is told once a chunk has been dealt with.
    """
    start = seed * SEEDS_A_CARD
    for first in range(0, total, CHUNK):
        after = min(first + CHUNK, total)
        yield draw(range(start + first, start + after))
        if on_progress is not None:
            on_progress(after, total)


def _judge_share(fakes: Judged, real: Judged, digit: int, seed: int) -> Figure:
    return share_figure(
        "judge_share",
        fakes.classes == digit,
        real.classes == digit,
        f"share of the fakes that the judge calls a {digit}; real: of the held-out {digit}s",
        better="higher",
        seed=seed,
    )


def label_accuracy_figure(fake_hits: Tensor, real_hits: Tensor, seed: int) -> Figure:
    """Return the share of images, bool [n] each, that the judge calls by their label."""
    return share_figure(
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
    return make_figure(
        "judge_confidence",
        values,
        intervals,
        "mean of the judge's highest probability; real: for the held-out images",
        better="higher",
        unit="share",
    )


def _entropy(fakes: Judged, real: Judged, seed: int) -> Figure:
    rows = [entropies(seen.probabilities) for seen in (fakes, real)]
    return make_figure(
        "judge_entropy",
        [float(row.mean()) for row in rows],
        [mean_interval(row, seed) for row in rows],
        "mean entropy of the judge's opinion of a fake: high where it cannot tell; real: of the "
        "held-out images",
        better="near",
        unit="nats",
    )


def _inception_style(fakes: Judged, real: Judged, seed: int) -> Figure:
    """Score sureness and variety at once (Salimans et al., 2016), by the judge's classes."""
    values, intervals = [], []
    few = _as_many(fakes, real)
    counts = resample_counts(few, seed).double()
    weights = torch.cat([torch.ones(1, few, dtype=torch.float64), counts])
    for seen in (fakes, real):
        scores = inception_scores(seen.probabilities[:few], weights)
        values.append(float(scores[0]))
        intervals.append(centred_interval(float(scores[0]), scores[1:]))
    return make_figure(
        "inception_score_judge",
        values,
        intervals,
        "exp of the mean divergence of the judge's opinion from its average: 1 to the number of "
        f"classes; of {few:,} fakes; real: of as many held-out images; interval: "
        "centred bootstrap",
        better="higher",
        unit="ratio",
    )


def copying_figures(
    fakes: Tensor, real: Tensor, train: ImageSet, seed: int
) -> tuple[list[Figure], tuple[Pairs, Pairs]]:
    """Compare how near fakes and held-out images come to the training images, in pixels.

    Args:
        fakes: uint8 [n, channels, height, width].
        real: the held-out images, of the same shape.
        train: the training images.
        seed: of the intervals.

    Returns:
        ``copying_z`` and ``near_share``, and the closest pairs of the fakes and of the real images.
    """
    learned = _flat(train.images)
    fake_near, real_near = (nearest(_flat(images), learned) for images in (fakes, real))
    distances = fake_near.distances, real_near.distances
    z, share = copying_z(*distances), near_share(*distances)
    what = f"of {len(fakes):,} fakes and {len(real):,} held-out images to the nearest training"
    figures = [
        make_figure(
            "copying_z",
            [z, 0.0],
            [Interval(z - 1.96, z + 1.96), Interval(-1.96, 1.96)],
            f"z score of the distances in pixels {what} image: below -3 fakes are copies, far "
            "above 0 they are like nothing real; real: by definition",
            better="near",
            unit="ratio",
        ),
        make_figure(
            "near_share",
            [share, NEAR_QUANTILE],
            [
                share_interval(round(share * len(fakes)), len(fakes), seed),
                share_interval(round(NEAR_QUANTILE * len(real)), len(real), seed),
            ],
            f"share of the fakes nearer to a training image than the nearest 5 % of the real "
            f"ones are, distances in pixels {what} image; real: by definition",
            better="near",
            unit="share",
        ),
    ]
    pairs = (
        closest(fakes, train.images, fake_near, CLOSEST_PAIRS),
        closest(real, train.images, real_near, CLOSEST_PAIRS),
    )
    return figures, pairs


def _flat(images: Tensor) -> Tensor:
    return images.flatten(1).float().div_(255)  # in place: the training images are many


def _as_many(fakes: Judged, real: Judged) -> int:
    """Return how many of both are looked at where chance alone makes a figure of few larger."""
    return min(len(fakes.classes), len(real.classes))


def _class_balance(fakes: Judged, real: Judged, train: ImageSet, seed: int) -> list[Figure]:
    """Return how far the classes are from the training labels' shares, and shares of a few."""
    assert train.labels is not None  # the judge knows their classes
    classes = fakes.probabilities.shape[1]
    wanted = class_shares(train.labels, classes)
    few = _as_many(fakes, real)
    shares = [class_shares(seen.classes[:few], classes) for seen in (fakes, real)]
    balance = make_figure(
        "class_balance_kl",
        [float(kl_divergence(row, wanted)) for row in shares],
        [kl_interval(row, few, wanted, seed) for row in shares],
        f"Kullback-Leibler divergence of the judged classes of {few:,} fakes from the shares "
        "of the training labels; real: of as many held-out images",
        better="lower",
        unit="nats",
    )
    if classes > MOST_SHARES:
        return [balance]
    return [balance] + [
        share_figure(
            f"share_{label}",
            fakes.classes == label,
            real.classes == label,
            f"share of the fakes that the judge calls a {label}; real: of the held-out images",
            better="near",
            seed=seed,
        )
        for label in range(classes)
    ]


def frechet_figure(sides: Sides) -> Figure:
    """Return the mean Frechet distance of the draws from the held-out images."""
    held_out = Gaussian.of(sides.held_out)
    values, intervals = [], []
    for draws, share in sides.both:
        distances = torch.tensor(
            [frechet_distance(Gaussian.of(features), held_out) for features in draws],
            dtype=torch.float64,
        )
        values.append(float(distances.mean()))
        intervals.append(
            draws_interval(distances, share)
            if len(draws) == DRAWS
            else frechet_interval(draws[0], held_out, sides.seed)
        )
    interval = "Student's t" if sides.several else "centred bootstrap of the draw"
    return make_figure(
        f"frechet_distance_{sides.kind}",
        values,
        intervals,
        sides.protocol("Frechet distance", interval),
        better="lower",
        unit="features^2",
    )


def kernel_figure(sides: Sides) -> Figure:
    """Return the mean kernel distance of 100 random subsets, spread over the draws."""
    generator = torch.Generator().manual_seed(sides.seed)
    values, intervals = [], []
    for draws, share in sides.both:
        distances = torch.cat(
            [
                kernel_distances(features, sides.held_out, generator, SUBSETS // len(draws))
                for features in draws
            ]
        )
        mean, size = float(distances.mean()), subset_size(len(draws[0]))
        # A subset's spread shrinks with the root of how many images there are beyond its own.
        error = float(distances.std()) * math.sqrt(size / (len(draws) * len(draws[0])))
        error *= math.sqrt(1 + (len(draws) - 1) * share)
        values.append(mean)
        intervals.append(Interval(mean - 1.96 * error, mean + 1.96 * error))
    subsets = f"unbiased, {SUBSETS} subsets of {subset_size(len(sides.fakes[0])):,}"
    return make_figure(
        f"kernel_distance_{sides.kind}",
        values,
        intervals,
        sides.protocol(f"kernel distance ({subsets})", "normal, from the spread of the subsets"),
        better="lower",
        unit="kernel",
    )


def overlap_figures(sides: Sides, extent: Extent) -> list[Figure]:
    """Return precision, recall, density and coverage, means over the draws; less of a course."""
    held_out = Cloud.of(sides.held_out)
    count = len(sides.fakes[0])
    counts: Tensor | None = None
    interval = "Student's t"
    if not sides.several:
        interval = "centred bootstrap of the draw, the balls as they are"
        counts = torch.cat([torch.ones(1, count), resample_counts(count, sides.seed)])
    found = []
    for draws, _ in sides.both:
        overlaps = [overlap(Cloud.of(features), held_out, counts) for features in draws]
        found.append(Overlap(*map(torch.cat, zip(*overlaps, strict=True))))
    figures = []
    for part, (meaning, better) in _OVERLAP.items():
        if extent == "course" and part in _BY_FIVE:
            continue
        unit: Unit = "ratio" if part == "density" else "share"
        rows = [getattr(side, part) for side in found]
        figures.append(
            make_figure(
                f"{part}_{sides.kind}",
                [float(row.mean() if counts is None else row[0]) for row in rows],
                [
                    _overlap_interval(row, counts is not None, share, unit, count, sides.seed)
                    for row, (_, share) in zip(rows, sides.both, strict=True)
                ],
                sides.protocol(meaning, interval),
                better=better,
                unit=unit,
            )
        )
    return figures


def _overlap_interval(
    values: Tensor, resampled: bool, share: float, unit: Unit, count: int, seed: int
) -> Interval:
    """Return the interval of ten draws' mean, or of the first value by the resamples after it."""
    if unit == "share" and bool((values == values[0]).all()) and values[0] in (0, 1):
        return share_interval(int(values[0]) * count, count, seed)
    if resampled:
        low, high = centred_interval(float(values[0]), values[1:])
    else:
        low, high = draws_interval(values, share)
    return Interval(low, min(high, 1.0) if unit == "share" else high)


def share_figure(
    name: str,
    fake_hits: Tensor,
    real_hits: Tensor,
    protocol: str,
    *,
    better: Literal["higher", "near"],
    seed: int,
) -> Figure:
    """Return the figure of a share: of hits among the fakes, bool [n], and among real images."""
    hits = [(int(found.sum()), len(found)) for found in (fake_hits, real_hits)]
    return make_figure(
        name,
        [found / count for found, count in hits],
        [share_interval(found, count, seed) for found, count in hits],
        protocol,
        better=better,
        unit="share",
    )


def make_figure(
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
