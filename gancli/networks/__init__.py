"""Generators and discriminators built from a config. They know nothing of losses or disk."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gancli.config import RunConfig
from gancli.errors import ConfigError
from gancli.networks.layers import (
    ImageShape,
    MinibatchDiscrimination,
    build_layers,
    drawn,
    image_layout,
)

__all__ = [
    "BOUNDED",
    "Discriminator",
    "Generator",
    "build_discriminator",
    "build_generator",
    "has_batch_statistics",
    "mixing_layer",
    "parameters",
    "place",
]


_WEIGHTED = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
# In 16 bits these reach their bounds at 4, their slope is 0 there, and what G paints black or white
# stays so for good.
BOUNDED = (nn.Tanh, nn.Sigmoid)


class _Network(nn.Module):
    """A body that computes in 16 bits while it learns, if ``half_precision`` is set.

    Its weights, what goes in and what comes out are float32, and so is a bounded layer at its end.
    """

    def __init__(self, body: nn.Sequential) -> None:
        super().__init__()
        self.body = body
        self.half_precision = False

    def through_body(self, batch: Tensor) -> Tensor:
        """Return what the body makes of a batch."""
        if not (self.half_precision and self.training):
            exact: Tensor = self.body(batch)
            return exact
        end = self.body[-1]
        bounded = isinstance(end, BOUNDED)
        with torch.autocast(batch.device.type, torch.bfloat16):
            rough = batch
            for layer in list(self.body)[: -1 if bounded else None]:
                rough = layer(rough)
        found: Tensor = end(rough.float()) if bounded else rough.float()
        return found


class Generator(_Network):
    """Latents, and labels when conditional, to images.

    Args:
        body: takes [n, latent (+ embedding)] and yields as many numbers as a sample has.
        classes: 0, or how many labels there are.
        embedding: numbers a class adds to the latent.
        sample_shape: of what comes out, without the batch.
    """

    def __init__(
        self, body: nn.Sequential, classes: int, embedding: int, sample_shape: tuple[int, ...]
    ) -> None:
        super().__init__(body)
        self.classes = classes
        # As nn.Embedding draws its own.
        vectors = drawn(classes, embedding)
        self.embedding = nn.Embedding(classes, embedding, _weight=vectors) if classes else None
        self.sample_shape = sample_shape

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return float images [n, channels, size, size] in the data's range, or points [n, 2].

        Args:
            latents: [n, size].
            labels: int64 [n]; or float32 [n, classes], the share of each class in a mixture.
        """
        if self.embedding is not None:
            assert labels is not None
            mixed = labels.is_floating_point()
            vectors = labels @ self.embedding.weight if mixed else self.embedding(labels)
            latents = torch.cat([latents, vectors], dim=1)
        images = self.through_body(latents)
        return images.reshape(len(images), *self.sample_shape)


class Discriminator(_Network):
    """Images, and labels when conditional, to one logit each.

    When conditional, the body ends in one logit a class, of which the label's own is read
    (a projection discriminator with free class vectors; Miyato and Koyama, 2018).
    """

    def __init__(self, body: nn.Sequential, conditional: bool) -> None:
        super().__init__(body)
        self.conditional = conditional
        self.mixes_images = has_batch_statistics(body)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return logits [n]; above 0 means real."""
        logits = self.through_body(images)
        if not self.conditional:
            return logits[:, 0]
        assert labels is not None
        return logits.gather(1, labels[:, None])[:, 0]


def build_generator(config: RunConfig) -> Generator:
    """Build the generator that a resolved config describes.

    Raises:
        ConfigError: the layers do not fit, or yield something else than the image.
    """
    image = ImageShape(config.data.channels, config.data.image_size)
    classes = label_count(config)
    embedding = config.generator.class_embedding if classes else 0
    body, shape = build_layers(
        config.generator.layers, (config.latent.size + embedding,), image, "generator"
    )
    wanted = config.data.sample_shape
    if shape not in (wanted, (math.prod(wanted),)):
        ends = f"generator.layers end in {' x '.join(map(str, shape))}, and"
        if config.data.is_points:
            raise ConfigError(f"{ends} a point of '{config.data.source}' needs 2")
        raise ConfigError(
            f"{ends} the image needs {' x '.join(map(str, wanted))} (or {math.prod(wanted)})"
        )
    _initialise(body, config.generator.init, "generator.init")
    return Generator(body, classes, embedding, wanted)


def build_discriminator(config: RunConfig) -> Discriminator:
    """Build the discriminator that a resolved config describes.

    Raises:
        ConfigError: the layers do not fit, or do not end in ``dense 1``.
    """
    data = config.data
    lines = list(config.discriminator.layers)
    if lines[-1].split() != ["dense", "1"]:
        raise ConfigError(
            f"discriminator.layers end in '{lines[-1]}'; the last must be 'dense 1', the logit"
        )
    classes = label_count(config)
    if classes:
        lines[-1] = f"dense {classes}"
    body, _ = build_layers(
        lines,
        data.sample_shape,
        ImageShape(data.channels, data.image_size),
        "discriminator",
    )
    _initialise(body, config.discriminator.init, "discriminator.init")
    return Discriminator(body, classes > 0)


def label_count(config: RunConfig) -> int:
    """Return how many labels the networks are told apart by: 0 unless conditional."""
    return config.data.classes if config.data.conditional is True else 0  # type: ignore[return-value]


def parameters(network: nn.Module) -> int:
    """Return how many numbers a network learns."""
    return sum(parameter.numel() for parameter in network.parameters())


def place(network: nn.Module, device: torch.device | str) -> None:
    """Move a network to a device, in the memory layout that is fastest for it there."""
    convolves = any(
        isinstance(module, nn.Conv2d | nn.ConvTranspose2d) for module in network.modules()
    )
    layout = image_layout(torch.device(device)) if convolves else torch.contiguous_format
    network.to(device=device, memory_format=layout)  # type: ignore[call-overload]


def has_batch_statistics(network: nn.Module) -> bool:
    """Tell whether an image's output depends on the rest of its batch."""
    return mixing_layer(network) is not None


def mixing_layer(network: nn.Module) -> str | None:
    """Return the name of the first layer that compares the images of a batch, if there is one."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            return "batch_norm"
        if isinstance(module, MinibatchDiscrimination):
            return "minibatch_discrimination"
    return None


def _initialise(body: nn.Module, init: str, where: str) -> None:
    """Draw the first weights by a named law; all but PyTorch's own leave biases at zero.

    Weights on torch's meta device are left alone: there it would take a second of imports.
    """
    if init == "default":
        return
    law, _, spread = init.partition(" ")
    deviation = _deviation(spread)
    if not (init in ("he", "xavier") or (law == "normal" and 0 < deviation <= 10)):
        raise ConfigError(
            f"{where} = '{init}': write default, he, xavier, or normal and a spread: normal 0.02"
        )
    for module in body.modules():
        if isinstance(module, _WEIGHTED) and not module.weight.is_meta:
            if law == "he":  # He et al., 2015, for leaky rectifiers of slope 0.2
                nn.init.kaiming_normal_(module.weight, 0.2)
            elif law == "xavier":  # Glorot and Bengio, 2010
                nn.init.xavier_normal_(module.weight)
            else:
                nn.init.normal_(module.weight, 0.0, deviation)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _deviation(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
