"""What a run's networks are made of: their layers with shapes and parameter counts, and words.

For those who draw networks, as a figure or on a page.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import nn

from gancli.config import RunConfig
from gancli.networks import Discriminator, Generator, parameters
from gancli.networks.layers import Residual, Shape, UpsampledConv2d

MOST_NEURONS = 12
"""In networks of layers no wider than this, every weight can be drawn."""


@dataclasses.dataclass(frozen=True)
class Layer:
    """A line of a layer list, with the lines after it that only bend its numbers.

    Attributes:
        name: the line.
        followers: lines without weights that keep the shape, such as activations and dropout.
        shape: what comes out, without the batch.
        parameters: how many numbers it learns.
    """

    name: str
    followers: tuple[str, ...]
    shape: Shape
    parameters: int


def generator_layers(config: RunConfig, generator: Generator) -> list[Layer]:
    """Return the layers of a generator with the shapes they yield."""
    assert isinstance(generator.body, nn.Sequential)
    embedding = 0 if generator.embedding is None else generator.embedding.embedding_dim
    return _layers(config.generator.layers, generator.body, (config.latent.size + embedding,))


def discriminator_layers(config: RunConfig, discriminator: Discriminator) -> list[Layer]:
    """Return the layers of a discriminator with the shapes they yield."""
    assert isinstance(discriminator.body, nn.Sequential)
    lines = list(config.discriminator.layers)
    if discriminator.conditional:
        lines[-1] = f"dense {config.data.classes}"  # a logit for each class
    return _layers(lines, discriminator.body, config.data.sample_shape)


@torch.no_grad()
def _layers(lines: Sequence[str], body: nn.Sequential, shape: Shape) -> list[Layer]:
    """Send a batch without numbers through, and see what shape each layer gives it."""
    body = body.eval()
    batch = torch.empty(2, *shape, device="meta")
    layers: list[Layer] = []
    for line, module, after in zip(lines, body, [*list(body)[1:], None], strict=True):
        if isinstance(after, UpsampledConv2d):  # it doubles what this line says to double
            layers.append(Layer(line, (), (batch.shape[1], *(2 * n for n in batch.shape[2:])), 0))
            continue
        before, batch = batch.shape, module(batch)
        shape = tuple(batch.shape[1:])
        weights = parameters(module)
        if layers and not weights and batch.shape == before:
            last = layers[-1]
            layers[-1] = dataclasses.replace(last, followers=(*last.followers, line))
        else:
            layers.append(Layer(line, (), shape, weights))
    return layers


def latent_words(config: RunConfig, generator: Generator) -> str:
    """Say what goes into a generator."""
    words = f"latent {config.latent.size}, {config.latent.law}"
    if generator.embedding is not None:
        words += f"; class as {generator.embedding.embedding_dim}"
        words += f" ({parameters(generator.embedding):,} parameters)"
    return words


def sample_words(config: RunConfig, discriminator: Discriminator) -> str:
    """Say what goes into a discriminator."""
    kind = "point" if config.data.is_points else "image"
    words = f"{kind} {spelled(config.data.sample_shape)}"
    return f"{words}; class picks its logit" if discriminator.conditional else words


def spelled(shape: Shape) -> str:
    """Spell a shape: ``1 x 28 x 28``."""
    return " x ".join(map(str, shape))


def has_few_neurons(network: Generator | Discriminator) -> bool:
    """Tell whether a network is so small, and so plainly dense, that each weight can be drawn."""
    if any(isinstance(module, Residual) for module in network.modules()):
        return False
    leaves = [module for module in network.modules() if not list(module.children())]
    dense = [module for module in leaves if isinstance(module, nn.Linear)]
    return (
        bool(dense)
        and all(isinstance(module, nn.Linear) or not parameters(module) for module in leaves)
        and all(max(m.in_features, m.out_features) <= MOST_NEURONS for m in dense)
    )
