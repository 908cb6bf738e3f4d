"""The gradients of report R1's GAN by hand: one dense layer in each network, plain formulas.

With latents z, fakes X = relu(z W_G + B_G) and D's output Y = sigmoid(X W_D + B_D), G minimises
J = -ln Y and D minimises -ln Y on real images and -ln(1 - Y) on fakes. Nothing here asks autograd;
the tests hold the two against each other.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor
from torch.nn.functional import softplus


@dataclasses.dataclass(frozen=True)
class Layer:
    """A dense layer, or the gradient of one.

    Attributes:
        weight: [inputs, outputs], as the report multiplies: x W + B.
        bias: [outputs].
    """

    weight: Tensor
    bias: Tensor

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return x W + B: [n, outputs]."""
        return inputs @ self.weight + self.bias


@dataclasses.dataclass(frozen=True)
class Chain:
    """The factors of dJ/dW_G for each latent, in the order in which the chain rule takes them.

    Attributes:
        dj_dy: -1 / Y: [n, 1].
        dy_df: Y (1 - Y): [n, 1]. The report writes F (1 - F), which is wrong.
        dj_dx: -(1 - Y) W_D^T: [n, pixels].
        dx_dk: 1 where K = z W_G + B_G is above 0, else 0: [n, pixels].
    """

    dj_dy: Tensor
    dy_df: Tensor
    dj_dx: Tensor
    dx_dk: Tensor


def generate(latents: Tensor, generator: Layer) -> Tensor:
    """Return the fakes relu(z W_G + B_G): [n, pixels]."""
    return torch.relu(generator(latents))


def generator_loss(latents: Tensor, generator: Layer, discriminator: Layer) -> Tensor:
    """Return the batch's mean of J = -ln Y: a scalar."""
    return softplus(-discriminator(generate(latents, generator))).mean()


def discriminator_loss(real: Tensor, fake: Tensor, discriminator: Layer) -> Tensor:
    """Return the batch's mean of -ln Y(real) - ln(1 - Y(fake)): a scalar."""
    return softplus(-discriminator(real)).mean() + softplus(discriminator(fake)).mean()


def generator_chain(latents: Tensor, generator: Layer, discriminator: Layer) -> Chain:
    """Return the factors of the generator's gradient.

    Args:
        latents: z, [n, latent size].
        generator: W_G and B_G, [latent size, pixels] and [pixels].
        discriminator: W_D and B_D, [pixels, 1] and [1].
    """
    before = generator(latents)
    output = torch.sigmoid(discriminator(torch.relu(before)))
    return Chain(
        -1 / output,
        output * (1 - output),
        -(1 - output) * discriminator.weight.T,
        (before > 0).to(before.dtype),
    )


def generator_gradient(latents: Tensor, generator: Layer, discriminator: Layer) -> Layer:
    """Return dJ/dW_G = z^T (dJ/dX * [K > 0]) and dJ/dB_G, the batch's mean.

    Takes what :func:`generator_chain` does.
    """
    chain = generator_chain(latents, generator, discriminator)
    return _backwards(latents, chain.dj_dx * chain.dx_dk)


def discriminator_gradient(real: Tensor, fake: Tensor, discriminator: Layer) -> Layer:
    """Return the gradient of D's log loss by W_D and B_D, the batch's mean.

    By F it is -(1 - Y) on a real image and Y on a fake, of which X^T makes that by W_D.

    Args:
        real: [n, pixels].
        fake: [m, pixels].
        discriminator: W_D and B_D, [pixels, 1] and [1].
    """
    of_real = _backwards(real, torch.sigmoid(discriminator(real)) - 1)
    of_fake = _backwards(fake, torch.sigmoid(discriminator(fake)))
    return Layer(of_real.weight + of_fake.weight, of_real.bias + of_fake.bias)


def _backwards(inputs: Tensor, slopes: Tensor) -> Layer:
    """Return the mean gradient of a layer from its inputs and the slopes by its outputs."""
    return Layer(inputs.T @ slopes / len(inputs), slopes.mean(0))
