"""Features of a network that was never trained.

A classifier looks away from what does not tell classes apart: slant, weight of the stroke, noise.
Random filters look at everything alike, so a distance in their features sees the style that the
judge's misses. The weights come from a fixed seed.
"""

from __future__ import annotations

import functools
import itertools
import math

import torch
from torch import Tensor, nn

from gancli.metrics.judge import BLOCK, load_judge

FEATURES = 64
_SEED = 20_140_610


class RandomFeatures(nn.Module):
    """Three random convolutions of stride 2, then a random projection to 64 features."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(_SEED)
        channels = (1, 16, 32, 64)
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(channels):
            convolution = nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False)
            _draw(convolution.weight, inputs * 9, generator)
            layers += [convolution, nn.LeakyReLU(0.2)]
        projection = nn.Linear(64 * 4 * 4, FEATURES, bias=False)
        _draw(projection.weight, 64 * 4 * 4, generator)
        self.body = nn.Sequential(*layers, nn.Flatten(), projection)

    def forward(self, images: Tensor) -> Tensor:
        """Return float32 [n, 64] of float32 images [n, 1, 28, 28] from 0 to 1."""
        features: Tensor = self.body(images)
        return features


def random_features(images: Tensor) -> Tensor:
    """Return the features of images, float64 [n, 64 a channel], in no physical unit.

    Args:
        images: uint8 [n, 1 or 3, height, width]; other sizes are brought to 28x28. Red, green and
            blue are looked at one by one, so that a distance sees colour.
    """
    network, prepared = _network(), load_judge().prepared
    with torch.inference_mode():
        channels = torch.split(images.flatten(0, 1)[:, None], BLOCK)
        rows = torch.cat([network(prepared(block)).double() for block in channels])
        return rows.reshape(len(images), images.shape[1] * FEATURES)


@functools.lru_cache(maxsize=1)
def _network() -> RandomFeatures:
    # The layers' own first weights, drawn and thrown away, must not move a run's random state.
    with torch.random.fork_rng(devices=[]):
        return RandomFeatures().eval().requires_grad_(False)


def _draw(weight: Tensor, inputs: int, generator: torch.Generator) -> None:
    """Fill weights so that a signal keeps its size through leaky rectifiers (He et al., 2015)."""
    with torch.no_grad():
        weight.copy_(torch.randn(weight.shape, generator=generator) * math.sqrt(2 / inputs))
