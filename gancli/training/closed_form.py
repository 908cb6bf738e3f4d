"""Gradients of dense networks by the chain rule written out, where that is all a step needs.

Autograd records every call of a step to replay it. For small networks the records cost more than
some of the products, and a stack of dense layers needs none of them: its gradients are two products
a layer and an elementwise slope between them. They are the same as autograd's to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gancli.config import RunConfig
from gancli.networks import Discriminator, Generator
from gancli.networks.layers import Dropout, Reshape

_aten = torch.ops.aten
# From the gradient at an activation's output, and that output, to the gradient at its input.
_SLOPES: dict[type[nn.Module], Callable[[Any, Tensor, Tensor], Tensor]] = {
    nn.ReLU: lambda layer, gradient, output: _aten.threshold_backward(gradient, output, 0),
    nn.LeakyReLU: lambda layer, gradient, output: _aten.leaky_relu_backward(
        gradient, output, layer.negative_slope, True
    ),
    nn.Sigmoid: lambda layer, gradient, output: _aten.sigmoid_backward(gradient, output),
    nn.Tanh: lambda layer, gradient, output: _aten.tanh_backward(gradient, output),
}
# What only says how numbers are arranged; inside a chain they are always [n, features].
_VIEWS = (nn.Flatten, nn.Unflatten, Reshape)
_GENERATOR_SLOPES: dict[str, Callable[[Tensor], Tensor]] = {
    "minimax": lambda logits: -logits.sigmoid(),
    "non-saturating": lambda logits: -(-logits).sigmoid(),
}


class Chain:
    """A network of dense layers that finds its own gradients.

    It shares the network's weights, computes in 16 bits where the network would, and drops what the
    network would have dropped next.

    Args:
        network: one that :func:`fits`.
    """

    def __init__(self, network: Generator | Discriminator) -> None:
        self.network = network
        self.layers = [layer for layer in _leaves(network) if not isinstance(layer, _VIEWS)]
        self.first = next(layer for layer in self.layers if isinstance(layer, nn.Linear))
        self.shape = network.sample_shape if isinstance(network, Generator) else ()
        self.passed: list[tuple[nn.Module, Tensor, Tensor | None]] = []

    @torch.no_grad()
    def __call__(self, batch: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return what the network does, without a graph; remembers the way for :meth:`backward`."""
        values, self.passed = batch.flatten(1), []
        if self.network.half_precision:
            values = values.bfloat16()
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                weight = layer.weight.to(values.dtype)
                self.passed.append((layer, values, weight))
                values = torch.addmm(layer.bias.to(values.dtype), values, weight.t())
            elif isinstance(layer, Dropout):
                mask = layer.mask(values)
                self.passed.append((layer, mask, None))
                values = values * mask
            else:
                values = layer.forward(values)
                self.passed.append((layer, values, None))
        return values.to(batch.dtype).reshape(len(batch), *self.shape)

    @torch.no_grad()
    def backward(self, gradient: Tensor, *, frozen: bool = False) -> Tensor:
        """Carry the gradient at what the last call returned back to where it came from.

        Args:
            gradient: of the loss, as many numbers as that output and in their order.
            frozen: spare the weights; otherwise the gradients at them replace their ``grad``.

        Returns:
            Of a frozen network the gradient at its input, [n, features].
        """
        gradient = gradient.reshape(-1, math.prod(self.shape))
        if self.network.half_precision:
            gradient = gradient.bfloat16()
        for layer, values, weight in reversed(self.passed):
            if isinstance(layer, nn.Linear):
                if not frozen:
                    layer.weight.grad = (gradient.t() @ values).to(layer.weight.dtype)
                    layer.bias.grad = gradient.sum(0).to(layer.bias.dtype)
                    if layer is self.first:
                        break
                assert weight is not None
                gradient = gradient @ weight
            elif isinstance(layer, Dropout):
                gradient = gradient * values
            else:
                gradient = _SLOPES[type(layer)](layer, gradient, values)
        return gradient.to(self.first.weight.dtype)


class Chains(NamedTuple):
    """Both networks of a game."""

    generator: Chain
    discriminator: Chain


def chains(config: RunConfig, generator: Generator, discriminator: Discriminator) -> Chains | None:
    """Return both networks as chains, or None where a step needs autograd."""
    if not fits(config, generator, discriminator):
        return None
    return Chains(Chain(generator), Chain(discriminator))


def fits(config: RunConfig, generator: Generator, discriminator: Discriminator) -> bool:
    """Tell whether all that a run differentiates is cross-entropy of dense networks, once."""
    loss = config.loss
    return (
        loss.name in _GENERATOR_SLOPES
        and not (loss.r1 or loss.r2 or loss.gradient_penalty)
        and not config.training.unrolled_steps
        and not discriminator.conditional
        and _is_dense(generator)
        and _is_dense(discriminator)
    )


def discriminator_slopes(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the gradient of the discriminator's loss at its logits.

    Args:
        logits: [2, n], of real images and of fakes.
        labels: [2, n].
    """
    # Not sigmoid(x) - t, which rounds to nothing where D is sure and right.
    slopes = (1 - labels) * logits.sigmoid() - labels * (-logits).sigmoid()
    return slopes / logits.shape[1]


def generator_slopes(loss: str, logits: Tensor) -> Tensor:
    """Return the gradient of the generator's loss at the fakes' logits [n]."""
    return _GENERATOR_SLOPES[loss](logits) / len(logits)


def _is_dense(network: Generator | Discriminator) -> bool:
    known = (nn.Linear, Dropout, *_VIEWS, *_SLOPES)
    layers = _leaves(network)
    return all(type(layer) in known for layer in layers) and any(
        isinstance(layer, nn.Linear) for layer in layers
    )


def _leaves(network: Generator | Discriminator) -> list[nn.Module]:
    """Return the layers of a network in order."""
    return [layer for layer in network.body.modules() if not isinstance(layer, nn.Sequential)]
