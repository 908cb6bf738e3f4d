"""How evenly the classes come: their shares, and how far these are from the shares wanted."""

from __future__ import annotations

import torch
from torch import Tensor


def class_shares(labels: Tensor, classes: int) -> Tensor:
    """Return the share of each class among int64 labels [n], as float64 [classes]."""
    return torch.bincount(labels, minlength=classes).double() / len(labels)


def kl_divergence(shares: Tensor, wanted: Tensor) -> Tensor:
    """Return KL(shares || wanted) in nats: the "reverse KL" of mode-coverage tests.

    Metz et al., "Unrolled Generative Adversarial Networks" (2017) and PacGAN (2018) put the
    generator first: a class that is never drawn costs little by itself, what it leaves to the
    others costs the rest. log(classes) is the most against uniform shares.

    Args:
        shares: float64 [..., classes], each row adding up to 1; zeros count for nothing.
        wanted: float64 [classes], all above 0.

    Returns:
        float64 [...], 0 or more.
    """
    terms: Tensor = torch.special.xlogy(shares, shares / wanted)
    return terms.sum(dim=-1).clamp(min=0)  # rounding can leave -1e-17


def entropies(probabilities: Tensor) -> Tensor:
    """Return the entropy of each opinion in nats: 0 where it is sure, log(classes) at most.

    Args:
        probabilities: float64 [..., classes], each row adding up to 1.

    Returns:
        float64 [...].
    """
    terms: Tensor = torch.special.entr(probabilities)
    return terms.sum(dim=-1)


def inception_scores(probabilities: Tensor, counts: Tensor) -> Tensor:
    """Return exp(H(mean opinion) - mean H(opinion)) (Salimans et al., 2016), without splits.

    Args:
        probabilities: float64 [n, classes], each row adding up to 1.
        counts: float64 [rows, n], how often each image is taken (a bootstrap resample a row).

    Returns:
        float64 [rows], from 1 to the number of classes.
    """
    total = counts.sum(dim=1, keepdim=True)
    mean_opinion = counts @ probabilities / total
    mean_entropy = counts @ entropies(probabilities) / total[:, 0]
    return (entropies(mean_opinion) - mean_entropy).exp()
