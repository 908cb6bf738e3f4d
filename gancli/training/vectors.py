"""All weights of a network as one vector, so that what is done to each of them takes one call."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Of numbers: what begins where a cache line does is read at full speed, in 16 bits as in 32.
_ALIGNMENT = 32


class WeightVector:
    """A network's weights in one piece of memory, and their gradients in another.

    The weights are views of it from here on; a network has one vector.

    Args:
        network: on its device and in its memory layout, with weights of one dtype.

    Attributes:
        weights: of the network, in order.
        values: [n], all of them; between them are zeros, that each may begin at a cache line.
        gradient: the same of their gradients, 0 at first.
    """

    def __init__(self, network: nn.Module) -> None:
        self.weights = list(network.parameters())
        self.starts, length = [], 0
        for weight in self.weights:
            self.starts.append(length)
            length += -(-weight.numel() // _ALIGNMENT) * _ALIGNMENT
        self.values = self.weights[0].detach().new_zeros(length)
        self.gradient = torch.zeros_like(self.values)
        self._gradients = self.parts(self.gradient)
        for weight, own in zip(self.weights, self.parts(self.values), strict=True):
            weight.data = own.copy_(weight.detach())

    def parts(self, vector: Tensor) -> list[Tensor]:
        """Return what belongs to each weight as views of a vector like :attr:`values`.

        Args:
            vector: [n], of any dtype.
        """
        return [
            vector.as_strided(weight.shape, weight.stride(), start)
            for weight, start in zip(self.weights, self.starts, strict=True)
        ]

    def hand_out(self) -> None:
        """Let each weight's ``grad`` be its part of :attr:`gradient`."""
        if self.weights[0].grad is not self._gradients[0]:
            for weight, gradient in zip(self.weights, self._gradients, strict=True):
                weight.grad = gradient

    def collect(self) -> Tensor:
        """Return :attr:`gradient`, with what autograd left at the weights, if it did.

        All weights have a gradient.
        """
        if self.weights[0].grad is not self._gradients[0]:
            for weight, gradient in zip(self.weights, self._gradients, strict=True):
                assert weight.grad is not None
                gradient.copy_(weight.grad)
        return self.gradient
