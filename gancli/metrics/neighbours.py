"""Precision, recall, density and coverage: two sets of features compared by near neighbours.

Around each image lies a ball that reaches to its k-th nearest neighbour in its own set; together
the balls stand for all that the set could show. Precision and recall: Kynkaanniemi et al.,
"Improved Precision and Recall Metric for Assessing Generative Models" (2019). Density and coverage:
Naeem et al., "Reliable Fidelity and Diversity Metrics for Generative Models" (2020), who give
precision and recall by their own k as well.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import torch
from torch import Tensor

PRECISION_K = 3
COVERAGE_K = 5
# 250 x 10,000 float64 distances are 20 MB; larger blocks leave the cache and take longer.
BLOCK = 250
# A ball does not hold its rim. Rounding must not decide that where a fake is the very image that
# set the radius, so the rim is drawn in by more than rounding errs.
_RIM = 1 - 1e-9


@dataclasses.dataclass(frozen=True)
class Cloud:
    """A set of features with the reach of the ball around each.

    Attributes:
        features: float64 [n, d], n of 6 or more.
        squared_radii: float64 [n, 5], the squared distances to the five nearest others, ascending.
    """

    features: Tensor
    squared_radii: Tensor

    @classmethod
    def of(cls, features: Tensor) -> Cloud:
        """Measure the balls around features, float64 [n, d].

        Raises:
            ValueError: an image has fewer than five others beside it.
        """
        if len(features) <= COVERAGE_K:
            raise ValueError(f"{len(features)} images have no {COVERAGE_K} neighbours each")
        radii = []
        for start in range(0, len(features), BLOCK):
            distances = _squared_distances(features[start : start + BLOCK], features)
            # Rounding may leave another image nearer than an image is to itself; take it out.
            rows = torch.arange(len(distances))
            distances[rows, start + rows] = torch.inf
            radii.append(distances.topk(COVERAGE_K, largest=False).values)
        return cls(features, torch.cat(radii))


class Overlap(NamedTuple):
    """Precision, recall, density and coverage, in this order; each float64 [rows].

    Attributes:
        precision: share of the fakes that lie in a real image's ball (k = 3).
        recall: share of the real images that lie in a fake's ball (k = 3).
        density: in how many real balls (k = 5) a fake lies on average, divided by k; 0 or more,
            and above 1 where fakes crowd in among the real images.
        coverage: share of the real images that have a fake in their ball (k = 5).
        precision_k5: precision by larger balls (k = 5).
        recall_k5: recall by larger balls (k = 5).
    """

    precision: Tensor
    recall: Tensor
    density: Tensor
    coverage: Tensor
    precision_k5: Tensor
    recall_k5: Tensor


def overlap(fakes: Cloud, reals: Cloud, counts: Tensor | None = None) -> Overlap:
    """Compare two clouds in blocks, so that memory grows with the sum of their sizes.

    Args:
        fakes: what is judged.
        reals: what it is judged by.
        counts: float32 [rows, fakes], how often each fake is taken, whole numbers that add up to
            the number of fakes (a bootstrap resample a row; the balls stay); None for one row,
            once each.
    """
    count = len(fakes.features)
    if counts is None:
        counts = torch.ones(1, count)
    near, wide = (reals.squared_radii[:, k - 1] * _RIM for k in (PRECISION_K, COVERAGE_K))
    fake_near, fake_wide = (
        fakes.squared_radii[:, k - 1 : k] * _RIM for k in (PRECISION_K, COVERAGE_K)
    )
    precise, precise_wide, dense = (torch.zeros(len(counts), dtype=torch.float64) for _ in range(3))
    recalling, recalling_wide, covering = (
        torch.zeros(len(counts), len(reals.features)) for _ in range(3)
    )
    for start in range(0, count, BLOCK):
        block = slice(start, start + BLOCK)
        taken = counts[:, block]
        distances = _squared_distances(fakes.features[block], reals.features)
        within = distances < wide
        precise += taken.double() @ (distances < near).any(dim=1).double()
        precise_wide += taken.double() @ within.any(dim=1).double()
        dense += taken.double() @ within.sum(dim=1).double()
        recalling += taken @ (distances < fake_near[block]).float()
        recalling_wide += taken @ (distances < fake_wide[block]).float()
        covering += taken @ within.float()
    return Overlap(
        precise / count,
        (recalling > 0).double().mean(dim=1),
        dense / (count * COVERAGE_K),
        (covering > 0).double().mean(dim=1),
        precise_wide / count,
        (recalling_wide > 0).double().mean(dim=1),
    )


def _squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Return the squared Euclidean distances of rows, float64 [len(a), len(b)], 0 or more.

    |a|^2 + |b|^2 - 2ab loses digits where points are near each other and far from the origin.
    float64 has them to spare, and is quick enough.
    """
    squares = torch.addmm(b.square().sum(dim=1), a, b.T, alpha=-2)
    return squares.add_(a.square().sum(dim=1, keepdim=True)).clamp_(min=0)
