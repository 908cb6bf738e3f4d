"""Has a generator learned its training images by heart?

A fake is suspicious when it lies nearer to the training images than real images which were never
trained on. After Meehan, Chaudhuri and Dasgupta, "A Non-Parametric Test to Detect Data-Copying in
Generative Models" (2020), over the whole space as one cell.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

NEAR_QUANTILE = 0.05
_BLOCK = 500
_TRAIN_BLOCK = 10_000


@dataclasses.dataclass(frozen=True)
class Nearest:
    """The training image nearest to each of n images.

    Attributes:
        distances: float64 [n], Euclidean.
        indices: int64 [n], which training image it is.
    """

    distances: Tensor
    indices: Tensor


def nearest(images: Tensor, train: Tensor) -> Nearest:
    """Find each image's nearest training image, in blocks.

    Args:
        images: float32 or float64 [n, d].
        train: the same type, [m, d], m of 1 or more.
    """
    squares = train.norm(dim=1).square()  # a square of all of them would take as much memory again
    found, indices = [], []
    for block in torch.split(images, _BLOCK):
        # |a|^2 is the same for all of a row, and is not needed to find the nearest.
        index = torch.addmm(squares, block, train.T, alpha=-2).argmin(dim=1)
        found.append((block - train[index]).double().norm(dim=1))
        indices.append(index)
    return Nearest(torch.cat(found), torch.cat(indices))


def nearest_pixels(images: Tensor, train: Tensor) -> Nearest:
    """Find each image's nearest training image by pixels of 0 to 1.

    Training images are compared in portions: all at once would take much memory as floats.

    Args:
        images: uint8 [n, channels, height, width].
        train: uint8 [m, channels, height, width], m of 1 or more.
    """
    ours = images.flatten(1).float() / 255
    found = Nearest(torch.full((len(ours),), torch.inf).double(), torch.zeros(len(ours)).long())
    for start in range(0, len(train), _TRAIN_BLOCK):
        block = train[start : start + _TRAIN_BLOCK]
        there = nearest(ours, block.flatten(1).float() / 255)
        nearer = there.distances < found.distances
        found = Nearest(
            torch.where(nearer, there.distances, found.distances),
            torch.where(nearer, there.indices + start, found.indices),
        )
    return found


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Images beside the training images nearest to them, the closest pair first.

    Attributes:
        images: uint8 [n, channels, height, width].
        train: the training image nearest to each, of the same shape.
        distances: float64 [n], Euclidean, ascending.
        among: how many images these are the nearest of.
    """

    images: Tensor
    train: Tensor
    distances: Tensor
    among: int


def closest(images: Tensor, train: Tensor, found: Nearest, count: int) -> Pairs:
    """Return the ``count`` pairs that are closest, or all where there are fewer.

    Args:
        images: uint8 [n, channels, height, width].
        train: the training images, uint8 [m, channels, height, width].
        found: of each image, what :func:`nearest` says.
        count: how many pairs.
    """
    chosen = found.distances.argsort(stable=True)[:count]
    return Pairs(images[chosen], train[found.indices[chosen]], found.distances[chosen], len(images))


def copying_z(fake: Tensor, real: Tensor) -> float:
    """Return how much nearer the fakes lie to the training images than unseen real images do.

    It is the z score of the Mann-Whitney statistic: the number of pairs in which the fake is
    farther, less its expectation, in standard deviations. About 0 for a generator as good as real
    images, below -3 for one that copies, far above 0 for one that draws what no real image is like.

    Args:
        fake: float64 [n], distances to the nearest training image.
        real: float64 [m], the same of held-out real images.
    """
    n, m = len(fake), len(real)
    both = torch.cat([fake, real])
    _, inverse, counts = torch.unique(both, return_inverse=True, return_counts=True)
    ends = counts.cumsum(0).double()
    ranks = (ends - (counts.double() - 1) / 2)[inverse]  # ties share the mean of their ranks
    statistic = float(ranks[:n].sum()) - n * (n + 1) / 2
    total = n + m
    ties = float((counts.double() ** 3 - counts).sum()) / (total * (total - 1))
    variance = n * m / 12 * (total + 1 - ties)
    return (statistic - n * m / 2) / math.sqrt(variance) if variance > 0 else 0.0


def near_share(fake: Tensor, real: Tensor) -> float:
    """Return the share of fakes nearer to a training image than the 5 % nearest real images.

    A generator as good as real images gets 0.05.
    """
    return float((fake < torch.quantile(real, NEAR_QUANTILE)).double().mean())
