"""95 % intervals: how far a number would move if other images were drawn."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from gancli.metrics.balance import class_shares, kl_divergence
from gancli.metrics.frechet import Gaussian, frechet_distance

RESAMPLES = 1_000
DISTANCE_RESAMPLES = 200
_RESAMPLES_A_BLOCK = 50  # 50 x 10,000 indices are 4 MB; all at once would be 80
DRAWS = 10
_STUDENT = 2.2622  # Student's t, 97.5 %, for the nine degrees of freedom of ten draws


class Interval(NamedTuple):
    """A 95 % interval, both ends included."""

    low: float
    high: float


def mean_interval(values: Tensor, seed: int) -> Interval:
    """Return the percentile bootstrap interval of a mean (Efron, 1979).

    Args:
        values: float64 [n].
        seed: of the resampling; the same values and seed give the same interval.
    """
    generator = torch.Generator().manual_seed(seed)
    size = (_RESAMPLES_A_BLOCK, len(values))
    means = [
        values[torch.randint(len(values), size, generator=generator)].mean(dim=1)
        for _ in range(RESAMPLES // _RESAMPLES_A_BLOCK)
    ]
    return _percentiles(torch.cat(means))


def share_interval(hits: int, count: int, seed: int) -> Interval:
    """Return the percentile bootstrap interval of the share ``hits / count``.

    Where every trial hit, or none, all resamples are alike and would claim certainty. There the
    rule of three sets the far end: something with a chance of 3 / count stays away from all
    ``count`` trials only once in twenty times.
    """
    if hits in (0, count):
        doubt = min(3 / count, 1.0)
        return Interval(0.0, doubt) if hits == 0 else Interval(1 - doubt, 1.0)
    # Resampling noughts and ones is drawing from a binomial distribution.
    generator = torch.Generator().manual_seed(seed)
    trials = torch.full((RESAMPLES,), float(count), dtype=torch.float64)
    chances = torch.full_like(trials, hits / count)
    return _percentiles(torch.binomial(trials, chances, generator=generator) / count)


def draws_interval(values: Tensor, share: float = 0.0) -> Interval:
    """Return Student's interval of the mean of ten draws, float64 [10].

    A bootstrap of ten values is too narrow; Student's t is made for them. Draws without
    replacement from one finite set share images: they differ by 1 - share of the variance that
    others from elsewhere would, and what they have in common, no mean of them takes away.

    Args:
        values: a figure of each draw.
        share: of the finite set that one draw is; 0 where there is no end to it.
    """
    common = math.sqrt((1 + (DRAWS - 1) * share) / (1 - share))
    spread = _STUDENT * float(values.std()) / math.sqrt(DRAWS) * common
    mean = float(values.mean())
    return Interval(max(mean - spread, 0.0), mean + spread)


def centred_interval(value: float, resampled: Tensor) -> Interval:
    """Return a bootstrap interval of a distance that resampling itself makes larger.

    Resampling repeats images, which adds distance to every resample. So the spread of the
    resamples is kept and laid around the value, not around their own too large mean.

    Args:
        value: the distance, 0 or more.
        resampled: float64 [resamples], the distances of the resamples.
    """
    low, high = _percentiles(resampled - resampled.mean() + value)
    return Interval(max(low, 0.0), high)


def frechet_interval(features: Tensor, reference: Gaussian, seed: int) -> Interval:
    """Return the centred bootstrap interval of a Frechet distance, for other draws of features.

    The reference stays as it is: the interval is of what this test split would say.

    Args:
        features: float64 [n, d].
        reference: what they are compared with.
        seed: of the resampling.
    """
    distances = [
        frechet_distance(Gaussian.of(features, counts.double()), reference)
        for counts in resample_counts(len(features), seed)
    ]
    value = frechet_distance(Gaussian.of(features), reference)
    return centred_interval(value, torch.tensor(distances, dtype=torch.float64))


def resample_counts(count: int, seed: int) -> Tensor:
    """Return how often each of ``count`` images is in each of 200 bootstrap resamples.

    Returns:
        float32 [200, count], whole numbers; each row adds up to ``count``.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = [
        torch.bincount(torch.randint(count, (count,), generator=generator), minlength=count)
        for _ in range(DISTANCE_RESAMPLES)
    ]
    return torch.stack(rows).float()


def kl_interval(shares: Tensor, count: int, wanted: Tensor, seed: int) -> Interval:
    """Return the centred bootstrap interval of a Kullback-Leibler divergence of class shares.

    Args:
        shares: float64 [classes], the shares among ``count`` images.
        count: how many images the shares are of.
        wanted: float64 [classes], all above 0.
        seed: of the resampling.
    """
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.multinomial(
        shares.expand(DISTANCE_RESAMPLES, -1), count, replacement=True, generator=generator
    )
    resampled = torch.stack([class_shares(labels, len(shares)) for labels in chosen])
    value = float(kl_divergence(shares, wanted))
    return centred_interval(value, kl_divergence(resampled, wanted))


def _percentiles(values: Tensor) -> Interval:
    low, high = torch.quantile(values, torch.tensor([0.025, 0.975], dtype=values.dtype)).tolist()
    return Interval(low, high)
