"""Modes of made data: how many a generator covers, how near to one its samples come.

What a made data set consists of is known exactly, so nothing is judged by a network here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from gancli.data import ImageSet
from gancli.data.synthetic import Targets
from gancli.metrics.intervals import Interval, mean_interval, share_interval
from gancli.metrics.scores import (
    Draw,
    Figure,
    Progress,
    ScoreCard,
    Unit,
    drawn,
)

HIGH_QUALITY_SPREADS = 3.0
LEAST_SHARE = 0.01
_BOOTSTRAP = 1_000


def score_modes(
    draw: Draw,
    made: Targets,
    real: ImageSet,
    *,
    samples: int = 10_000,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> ScoreCard:
    """Score a generator of made data.

    One target gets ``target_distance``. Several get ``distinct_glyphs`` and ``glyph_share`` where
    they are drawings, ``modes`` and ``high_quality_share`` where they are points, and
    ``mode_distance``.

    Args:
        draw: makes fakes; called with ranges of at most 1,000 image seeds.
        made: what the data consist of.
        real: the test split, for the same figures.
        samples: how many fakes.
        seed: another seed scores other fakes.
        on_progress: called after every chunk with the samples drawn and the samples in all.
    """
    modes = _modes(made, real)
    fakes = torch.cat([points for points, _ in drawn(draw, seed, samples, on_progress)])
    near = [_nearest(_flat(rows), modes) for rows in (fakes, real.images)]
    points = made.modes.ndim == 2
    figures: list[Figure] = []
    if len(modes) > 1:
        figures += _covered(near, len(modes), _reach(made, modes), points, seed)
    measure = "distance" if points else "root mean square distance, in ink from 0 to 1,"
    figures.append(
        _figure(
            "target_distance" if len(modes) == 1 else "mode_distance",
            [float(distances.mean()) for distances, _ in near],
            [mean_interval(distances, seed) for distances, _ in near],
            f"mean {measure} of the fakes from the nearest of {len(modes)} known targets; real: "
            "of the test split",
            better="lower",
            unit="distance",
        )
    )
    return ScoreCard(tuple(figures), None, samples, seed, None, "test", len(real))


def _modes(made: Targets, real: ImageSet) -> Tensor:
    """Return the modes, float64 [k, d]; drawings in the size that the images have."""
    return _flat(real.images[: len(made.modes)] if made.spread == 0 else made.modes)


def _reach(made: Targets, modes: Tensor) -> float:
    return HIGH_QUALITY_SPREADS * made.spread if made.spread else half_way(modes)


def half_way(modes: Tensor) -> float:
    """Return half the distance of the two modes, float64 [k, d], that are nearest to each other.

    A sample nearer than this to a mode is nearer to it than to any other.
    """
    return float(torch.pdist(modes).min()) / math.sqrt(modes.shape[1]) / 2


def _covered(
    near: list[tuple[Tensor, Tensor]], modes: int, reach: float, points: bool, seed: int
) -> list[Figure]:
    """Return how many modes are covered, and by what share of the samples."""
    hits = [distances < reach for distances, _ in near]
    counts = [
        torch.bincount(which[good], minlength=modes)
        for good, (_, which) in zip(hits, near, strict=True)
    ]
    total = [len(good) for good in hits]
    what, within = (
        ("mode", f"{HIGH_QUALITY_SPREADS:g} standard deviations")
        if points
        else ("glyph", "half the distance of the two glyphs that are most alike")
    )
    share = f"share of the fakes within {within} of a {what}; real: of the test split"
    return [
        _figure(
            "modes" if points else "distinct_glyphs",
            [float(covered(row, n)) for row, n in zip(counts, total, strict=True)],
            [_count_interval(row, n, seed) for row, n in zip(counts, total, strict=True)],
            f"of {modes} {what}s, those that get {LEAST_SHARE:.0%} of the fakes or more, within "
            f"{within}; real: of the test split; interval: bootstrap",
            better="higher",
            unit="count",
        ),
        _figure(
            "high_quality_share" if points else "glyph_share",
            [float(row.sum()) / n for row, n in zip(counts, total, strict=True)],
            [share_interval(int(row.sum()), n, seed) for row, n in zip(counts, total, strict=True)],
            share,
            better="higher",
            unit="share",
        ),
    ]


def mode_shortfall(samples: Tensor, made: Targets, real: ImageSet) -> float:
    """Return the share of samples that would have to move for every mode to have its part.

    That is the total variation distance between where the samples are (at a mode, or near none)
    and equal parts for all modes: 0 is best, 1 is none near any mode. Of a single target it is the
    mean distance from it, since every sample belongs to it.

    Args:
        samples: uint8 [n, channels, height, width], or points float32 [n, 2].
        made: what the data consist of.
        real: samples of the data, mode after mode in turn.
    """
    modes = _modes(made, real)
    distances, which = _nearest(_flat(samples), modes)
    if len(modes) == 1:
        return float(distances.mean())
    good = distances < _reach(made, modes)
    shares = torch.bincount(which[good], minlength=len(modes)) / len(samples)
    return 1 - float(shares.clamp(max=1 / len(modes)).sum())


def covered(counts: Tensor, total: int) -> int:
    """Return how many modes get at least :data:`LEAST_SHARE` of all samples."""
    return int((counts >= LEAST_SHARE * total).sum())


def _count_interval(counts: Tensor, total: int, seed: int) -> Interval:
    random = np.random.default_rng(seed)
    shares = np.append(counts.numpy(), total - int(counts.sum())) / total
    drawn = random.multinomial(total, shares, _BOOTSTRAP)[:, :-1]
    found = (drawn >= LEAST_SHARE * total).sum(axis=1)
    low, high = np.quantile(found, [0.025, 0.975])
    return Interval(float(low), float(high))


def _flat(samples: Tensor) -> Tensor:
    """Return samples as float64 [n, d]: points as they are, images in ink from 0 to 1."""
    rows = samples.flatten(1).double()
    return rows if samples.is_floating_point() else rows / 255


def _nearest(rows: Tensor, modes: Tensor) -> tuple[Tensor, Tensor]:
    """Return each row's distance to the nearest mode (per root number), and which it is."""
    scale = math.sqrt(modes.shape[1]) if modes.shape[1] > 2 else 1.0
    distances, which = torch.cdist(rows, modes).min(dim=1)
    return distances / scale, which


def _figure(
    name: str,
    values: Sequence[float],
    intervals: Sequence[Interval],
    protocol: str,
    *,
    better: Literal["higher", "lower"],
    unit: Unit,
) -> Figure:
    (value, real), ((low, high), (real_low, real_high)) = values, intervals
    return Figure(name, value, low, high, real, real_low, real_high, protocol, better, unit)
