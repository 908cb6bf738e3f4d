"""The rules by which weights move, with all that they remember as plain tensors.

The arithmetic is torch's own, by the functions that its optimiser classes call. The classes
themselves import torch's compiler at their first step, which takes most of a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adadelta import adadelta
from torch.optim.adagrad import adagrad
from torch.optim.adam import adam
from torch.optim.rmsprop import rmsprop
from torch.optim.sgd import sgd

from gancli.config import OptimizerConfig
from gancli.training.vectors import WeightVector

# What each rule remembers of every weight; a step counts from 0.
MOMENTS = {
    "sgd": (),
    "momentum": ("momentum_buffer",),
    "nesterov": ("momentum_buffer",),
    "adagrad": ("sum", "step"),
    "adadelta": ("square_avg", "acc_delta", "step"),
    "rmsprop": ("square_avg", "step"),
    "adam": ("exp_avg", "exp_avg_sq", "step"),
}
# Of these, torch's fused kernels look themselves at what says that a step is to be skipped.
_SKIPPING = ("sgd", "momentum", "nesterov", "adam")
_EPSILON = {"adagrad": 1e-10, "adadelta": 1e-6, "rmsprop": 1e-8, "adam": 1e-8}
_FORGETTING = {"adadelta": 0.9, "rmsprop": 0.99}


class Optimizer:
    """Moves a network's weights along their gradients by one of torch's rules.

    Args:
        network: whose weights are moved, in place.
        config: the rule and its numbers.
        vector: of the network, where its weights are one; their gradients are the vector's then.

    Attributes:
        lr: the learning rate of the next step.
        names: of the weights, in order.
        weights: the same.
        parts: what is moved: the weights, or all of them as one.
        can_skip: whether :meth:`step` takes ``skip``.
    """

    def __init__(
        self, network: nn.Module, config: OptimizerConfig, vector: WeightVector | None = None
    ) -> None:
        self.config, self.lr, self.vector = config, config.lr, vector
        self.can_skip = config.name in _SKIPPING
        self.names = [name for name, _ in network.named_parameters()]
        self.weights: list[Tensor] = list(network.parameters())
        self.parts = self.weights if vector is None else [vector.values]
        self._moments = {
            key: [_fresh(part, key, self.can_skip) for part in self.parts]
            for key in MOMENTS[config.name]
        }

    def moments(self) -> dict[str, list[Tensor]]:
        """Return what is remembered, for each of :data:`MOMENTS` a tensor a weight.

        They are float32, as the weight or, of ``step``, []; a step that the host reads lies in its
        memory. To write to them is to remember it; of a vector's steps, the first counts.
        """
        if self.vector is None:
            return self._moments
        found = {}
        for key, (whole,) in self._moments.items():
            if key == "step":
                found[key] = [whole, *(whole.clone() for _ in self.weights[1:])]
            else:
                found[key] = self.vector.parts(whole)
        return found

    def gradients(self) -> list[Tensor | None]:
        """Return the gradient at each of :attr:`parts`."""
        if self.vector is None:
            return [weight.grad for weight in self.weights]
        return [self.vector.gradient]

    def forget_gradients(self) -> None:
        """Drop the gradients of the step before."""
        for weight in self.weights:
            weight.grad = None

    @torch.no_grad()
    def step(self, skip: Tensor | None = None) -> None:
        """Move every weight that has a gradient by one step.

        Args:
            skip: float32 [] where the weights are: all stays as it is where it is 1, and the host
                need not know.
        """
        found = self.gradients()
        having = [n for n, gradient in enumerate(found) if gradient is not None]
        gradients = [gradient for gradient in found if gradient is not None]
        moments = {key: [row[n] for n in having] for key, row in self._moments.items()}
        self._move([self.parts[n] for n in having], gradients, moments, skip)

    def _move(
        self,
        weights: list[Tensor],
        gradients: list[Tensor],
        moments: dict[str, list[Tensor]],
        skip: Tensor | None,
    ) -> None:
        config = self.config
        rule, decay = config.name, config.weight_decay
        common: dict[str, Any] = {"lr": self.lr, "weight_decay": decay, "maximize": False}
        if rule == "adam":
            adam(
                weights,
                gradients,
                moments["exp_avg"],
                moments["exp_avg_sq"],
                [],
                moments["step"],
                fused=True,
                found_inf=skip,
                amsgrad=False,
                beta1=config.beta1,
                beta2=config.beta2,
                eps=_EPSILON[rule],
                **common,
            )
        elif rule == "adagrad":
            adagrad(
                weights,
                gradients,
                moments["sum"],
                moments["step"],
                fused=weights[0].device.type == "cpu",
                foreach=weights[0].device.type != "cpu",
                lr_decay=0.0,
                eps=_EPSILON[rule],
                **common,
            )
        elif rule == "adadelta":
            adadelta(
                weights,
                gradients,
                moments["square_avg"],
                moments["acc_delta"],
                moments["step"],
                foreach=True,
                rho=_FORGETTING[rule],
                eps=_EPSILON[rule],
                **common,
            )
        elif rule == "rmsprop":
            rmsprop(
                weights,
                gradients,
                moments["square_avg"],
                [],
                [],
                moments["step"],
                foreach=True,
                alpha=_FORGETTING[rule],
                eps=_EPSILON[rule],
                momentum=0.0,
                centered=False,
                **common,
            )
        else:
            buffers: Sequence[Tensor | None] = moments.get("momentum_buffer", [None] * len(weights))
            sgd(
                weights,
                gradients,
                list(buffers),
                fused=True,
                found_inf=skip,
                momentum=0.0 if rule == "sgd" else config.momentum,
                dampening=0.0,
                nesterov=rule == "nesterov",
                **common,
            )


def _fresh(part: Tensor, key: str, fused: bool) -> Tensor:
    if key == "step":
        return torch.zeros((), device=part.device if fused else "cpu")
    return torch.zeros_like(part, memory_format=torch.preserve_format, requires_grad=False)
