"""The Frechet distance between two sets of features, each taken for a Gaussian.

Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
Equilibrium" (2017), in the features of a judge of one's own instead of Inception's.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor


@dataclasses.dataclass(frozen=True)
class Gaussian:
    """The first two moments of a set of features.

    Attributes:
        mean: float64 [d].
        covariance: float64 [d, d], symmetric, without negative eigenvalues.
    """

    mean: Tensor
    covariance: Tensor

    @classmethod
    def of(cls, features: Tensor, counts: Tensor | None = None) -> Gaussian:
        """Return the mean and the unbiased covariance (divided by n - 1) of features.

        Args:
            features: float64 [n, d], n of 2 or more.
            counts: float64 [n], how often each row is taken (a bootstrap resample); None for
                once each.
        """
        if counts is None:
            counts = torch.ones(len(features), dtype=features.dtype)
        total = counts.sum()
        mean = counts @ features / total
        centred = features - mean
        return cls(mean, (centred.T * counts) @ centred / (total - 1))


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """Return |mean_a - mean_b|^2 + tr(A + B - 2 (A B)^(1/2)): 0 or more, symmetric.

    It is a squared distance (the squared 2-Wasserstein distance of the Gaussians), in the
    features' unit squared, and biased upwards for small sets: compare equal set sizes alone.
    """
    # A B has the eigenvalues of the symmetric A^(1/2) B A^(1/2), whose root is well conditioned
    # even where a covariance is singular.
    root = _square_root(a.covariance)
    inner = root @ b.covariance @ root
    cross = _clamped(torch.linalg.eigvalsh((inner + inner.T) / 2)).sqrt().sum()
    means = (a.mean - b.mean).square().sum()
    distance = means + a.covariance.trace() + b.covariance.trace() - 2 * cross
    return max(float(distance), 0.0)


def _square_root(covariance: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    root: Tensor = (vectors * _clamped(values).sqrt()) @ vectors.T
    return root


def _clamped(eigenvalues: Tensor) -> Tensor:
    """Lift the eigenvalues of a singular matrix that rounding pushed below zero."""
    return eigenvalues.clamp(min=0)
