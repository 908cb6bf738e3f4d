"""Adversarial losses as pure functions of logits, and gradient penalties beside them.

Every loss is a pair of functions. The discriminator's takes the logits of real and fake images,
the generator's those of fake and real ones; each returns the mean over the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus


class Loss(NamedTuple):
    """The two sides of a game.

    Attributes:
        discriminator: (real logits [n], fake logits [n]) -> scalar.
        generator: (fake logits [n], real logits [n]) -> scalar.
        pairs: whether the generator's side looks at the real logits.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor], Tensor]
    pairs: bool = False


def cross_entropy_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-ln sigmoid(real) - ln(1 - sigmoid(fake)) (Goodfellow et al., 2014). Equilibrium ln 4."""
    return softplus(-real).mean() + softplus(fake).mean()


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """-t ln sigmoid(x) - (1 - t) ln(1 - sigmoid(x)), for labels of any size; the batch's mean.

    Labels other than 0 and 1 are noisy label smoothing (Salimans et al., 2016; reports R2, R5).

    Args:
        logits: [n].
        labels: [n].
    """
    return (softplus(logits) - labels * logits).mean()


def minimax_generator(fake: Tensor, real: Tensor) -> Tensor:
    """ln(1 - sigmoid(fake)): the original game, whose gradient vanishes where D is sure."""
    return -softplus(fake).mean()


def non_saturating_generator(fake: Tensor, real: Tensor) -> Tensor:
    """-ln sigmoid(fake) (Goodfellow et al., 2014). Equilibrium ln 2."""
    return softplus(-fake).mean()


def least_squares_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """((real - 1)^2 + fake^2) / 2 (Mao et al., 2017). Equilibrium 1/4."""
    return ((real - 1).square().mean() + fake.square().mean()) / 2


def least_squares_generator(fake: Tensor, real: Tensor) -> Tensor:
    """(fake - 1)^2 / 2 (Mao et al., 2017). Equilibrium 1/8."""
    return (fake - 1).square().mean() / 2


def squared_error_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """(sigmoid(real) - 1)^2 + sigmoid(fake)^2: report R3's mean squared error. Equilibrium 1/2.

    The errors on real and on fake are added, as those of cross-entropy are, and not halved: the
    two costs of R3 differ in the error alone.
    """
    return torch.sigmoid(-real).square().mean() + torch.sigmoid(fake).square().mean()


def squared_error_generator(fake: Tensor, real: Tensor) -> Tensor:
    """(sigmoid(fake) - 1)^2 (report R3); its gradient vanishes where D is sure. Equilibrium 1/4."""
    return torch.sigmoid(-fake).square().mean()


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """max(0, 1 - real) + max(0, 1 + fake) (Lim and Ye, 2017). Equilibrium 2."""
    return relu(1 - real).mean() + relu(1 + fake).mean()


def critic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """fake - real: minus the Wasserstein distance (Arjovsky et al., 2017). Equilibrium 0."""
    return fake.mean() - real.mean()


def critic_generator(fake: Tensor, real: Tensor) -> Tensor:
    """-fake: the generator's side of the hinge and Wasserstein games. Equilibrium 0."""
    return -fake.mean()


def relativistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-ln sigmoid(real - fake), pair by pair (Jolicoeur-Martineau, 2018). Equilibrium ln 2."""
    return softplus(fake - real).mean()


def relativistic_generator(fake: Tensor, real: Tensor) -> Tensor:
    """-ln sigmoid(fake - real), pair by pair (Jolicoeur-Martineau, 2018). Equilibrium ln 2."""
    return softplus(real - fake).mean()


LOSSES = {
    "minimax": Loss(cross_entropy_discriminator, minimax_generator),
    "non-saturating": Loss(cross_entropy_discriminator, non_saturating_generator),
    "least-squares": Loss(least_squares_discriminator, least_squares_generator),
    "mean-squared-error": Loss(squared_error_discriminator, squared_error_generator),
    "hinge": Loss(hinge_discriminator, critic_generator),
    "wasserstein": Loss(critic_discriminator, critic_generator),
    "relativistic": Loss(relativistic_discriminator, relativistic_generator, pairs=True),
}


def squared_gradient(logits: Tensor, images: Tensor) -> Tensor:
    """Return |d logit / d image|^2 of each image: [n], differentiable once more.

    Half of it times gamma is R1 on real images and R2 on fakes (Mescheder et al., 2018).

    Args:
        logits: [n], computed from ``images``.
        images: [n, ...], requiring gradients.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().flatten(1).sum(1)


def gradient_penalty(
    discriminate: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, fraction: Tensor
) -> Tensor:
    """Return the mean of (|d logit / d image| - 1)^2 between real and fake.

    This is what makes a critic 1-Lipschitz in WGAN-GP (Gulrajani et al., 2017).

    Args:
        discriminate: images -> logits [n].
        real: [n, ...].
        fake: as ``real``, without gradients.
        fraction: [n, 1, ..., 1], uniform in [0, 1]: where between the two each image lies.
    """
    between = torch.lerp(fake, real, fraction).requires_grad_()
    # A square root has no gradient at zero; the small number keeps a flat critic trainable.
    length = (squared_gradient(discriminate(between), between) + 1e-12).sqrt()
    return (length - 1).square().mean()
