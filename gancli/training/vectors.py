"""All weights of a network as one vector, so that what is done to each of them takes one call."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn

# Of numbers: what begins where a cache line does is read at full speed, in 16 bits as in 32.
_ALIGNMENT = 32


class WeightVector:
    """A network's weights in one piece of memory, and the place of their gradients in another.

    The network's weights are views of it from here on: an earlier vector of the network is void,
    and what is to be copied is the network.

    Args:
        network: on its device and in its memory layout, with weights of one dtype.

    Attributes:
        weights: of the network, in order.
        values: [n], all of them. Each begins at a cache line, and what lies between them is 0; with
            a gradient of 0, no rule ever moves it.
    """

    def __init__(self, network: nn.Module) -> None:
        self.weights = list(network.parameters())
        self.starts, length = [], 0
        for weight in self.weights:
            self.starts.append(length)
            length += -(-weight.numel() // _ALIGNMENT) * _ALIGNMENT
        self.values = self.weights[0].detach().new_zeros(length)
        for weight, own in zip(self.weights, self.parts(self.values), strict=True):
            weight.data = own.copy_(weight.detach())

    @functools.cached_property
    def gradient(self) -> Tensor:
        """The gradients, [n] in the order of :attr:`values`; 0 at first."""
        return torch.zeros_like(self.values)

    def parts(self, vector: Tensor) -> list[Tensor]:
        """Return what belongs to each weight as views of a vector like :attr:`values`.

        Args:
            vector: [n], of any dtype.
        """
        return [
            vector.as_strided(weight.shape, weight.stride(), start)
            for weight, start in zip(self.weights, self.starts, strict=True)
        ]
