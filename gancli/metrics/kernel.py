"""The kernel distance: the squared maximum mean discrepancy of two sets of features.

Binkowski et al., "Demystifying MMD GANs" (2018), in features of one's own instead of Inception's.
Unlike the Frechet distance it has no bias that shrinks with the number of images.
"""

from __future__ import annotations

import torch
from torch import Tensor

SUBSETS = 100
LARGEST_SUBSET = 1_000


def kernel_distance(a: Tensor, b: Tensor) -> float:
    """Return the unbiased squared maximum mean discrepancy under the kernel (x.y / d + 1)^3.

    Args:
        a: float64 [n, d], n of 2 or more.
        b: float64 [m, d], m of 2 or more.

    Returns:
        0 on average for two sets of one distribution, so now and then below it.
    """
    within = [_off_diagonal_mean(_kernel(rows, rows)) for rows in (a, b)]
    return float(within[0] + within[1] - 2 * _kernel(a, b).mean())


def kernel_distances(
    a: Tensor, b: Tensor, generator: torch.Generator, subsets: int = SUBSETS
) -> Tensor:
    """Return the kernel distance of random subsets: float64 [subsets].

    Each is of :func:`subset_size` images of either set, drawn without putting back.

    Args:
        a: float64 [n, d], n of 4 or more.
        b: float64 [m, d], m of 4 or more.
        generator: draws the subsets.
        subsets: how many.
    """
    size = subset_size(min(len(a), len(b)))

    def some(rows: Tensor) -> Tensor:
        return rows[torch.randperm(len(rows), generator=generator)[:size]]

    distances = [kernel_distance(some(a), some(b)) for _ in range(subsets)]
    return torch.tensor(distances, dtype=torch.float64)


def subset_size(count: int) -> int:
    """Return how many images a subset of ``count`` has: half, and 1,000 at most."""
    return min(LARGEST_SUBSET, count // 2)


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b.T / a.shape[1] + 1) ** 3


def _off_diagonal_mean(square: Tensor) -> Tensor:
    n = len(square)
    return (square.sum() - square.trace()) / (n * (n - 1))
