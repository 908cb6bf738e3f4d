"""Gradients by the chain rule written out, where that is less work than autograd's records.

Autograd records every call of a step to replay it. For small networks the records cost more than
some of the products, and a stack of dense layers needs none of them: its gradients are two products
a layer and an elementwise slope between them. They are the same as autograd's to rounding.

Penalties of D's slopes at images (R1, R2) gain most. Autograd goes back a second time, through all
that it did on its first way back. But a network of weighted layers and rectifiers is linear around
each image, and what a logit's slope d is at every layer, found by one way back, serves loss and
penalty alike. Let c be the loss's gradient at an image's logit, and s the penalty's gradient at the
slope that the image itself was told. The gradient at a weight is the sum over images of d times
(c a + t), where a is what the layer was given, and t is s carried forward without biases. The two
are carried forward as one: penalties cost no more than one way forward.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear, pixel_shuffle

from gancli.config import RunConfig
from gancli.networks import BOUNDED, Discriminator, Generator
from gancli.networks.layers import (
    Dropout,
    DroppedLeakyReLU,
    LeakyReLUForConv,
    Reshape,
    image_layout,
)
from gancli.training.vectors import WeightVector

_aten = torch.ops.aten


def _rectified(layer: nn.LeakyReLU, gradient: Tensor, output: Tensor) -> Tensor:
    found: Tensor = _aten.leaky_relu_backward(gradient, output, layer.negative_slope, True)
    return found


# From the gradient at an activation's output, and that output, to the gradient at its input.
_SLOPES: dict[type[nn.Module], Callable[[Any, Tensor, Tensor], Tensor]] = {
    nn.ReLU: lambda layer, gradient, output: _aten.threshold_backward(gradient, output, 0),
    nn.LeakyReLU: _rectified,
    LeakyReLUForConv: _rectified,
    nn.Sigmoid: lambda layer, gradient, output: _aten.sigmoid_backward(gradient, output),
    nn.Tanh: lambda layer, gradient, output: _aten.tanh_backward(gradient, output),
}
# What learns.
_WEIGHTED = (nn.Linear, nn.Conv2d, nn.BatchNorm1d)
_RECTIFIERS = (nn.ReLU, nn.LeakyReLU, LeakyReLUForConv)
# What is here for its parts alone.
_GROUPS = (nn.Sequential, DroppedLeakyReLU)
# What only says how numbers are arranged, if that.
_VIEWS = (nn.Identity, nn.Flatten, Reshape)
# From the logits of fakes and of real images to the gradient of one image's loss at its fake.
_GENERATOR_SLOPES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "minimax": lambda fake, real: -fake.sigmoid(),
    "non-saturating": lambda fake, real: -(-fake).sigmoid(),
    "relativistic": lambda fake, real: -(real - fake).sigmoid(),
}


class _Parts(NamedTuple):
    """A layer's weight and bias, and the place of the gradient at each."""

    weight: Tensor
    bias: Tensor
    at_weight: Tensor
    at_bias: Tensor


class _Copy:
    """All weights of a chain, and the place of their gradients, in some precision.

    Args:
        vector: the weights.
        layers: whose they are.
        values: [n], in the order of the vector.
        gradient: the same.
    """

    def __init__(
        self, vector: WeightVector, layers: list[nn.Module], values: Tensor, gradient: Tensor
    ) -> None:
        self.values, self.gradient = values, gradient
        places = zip(vector.parts(values), vector.parts(gradient), strict=True)
        of_weight: dict[Tensor, tuple[Tensor, Tensor]]
        of_weight = dict(zip(vector.weights, places, strict=True))
        self.parts: dict[nn.Module, _Parts] = {}
        for layer in layers:
            if isinstance(layer, _WEIGHTED):
                assert layer.bias is not None
                weight, at_weight = of_weight[layer.weight]
                bias, at_bias = of_weight[layer.bias]
                self.parts[layer] = _Parts(weight, bias, at_weight, at_bias)


class Chain:
    """A network of weighted layers in a row that finds its own gradients.

    It brings the network's weights into a vector and shares them, computes in 16 bits where the
    network would, and drops what the network would have dropped next. Whoever moves the weights
    says so (:meth:`moved`). Gradients at weights are the vector's; what autograd leaves at them is
    none of this. A network has one chain: another makes it void.

    Args:
        network: one whose layers are all known here; a generator without classes.
        rough_gradients: the way back is in 16 bits, though the network computes in 32.
    """

    def __init__(
        self, network: Generator | Discriminator, *, rough_gradients: bool = False
    ) -> None:
        self.network = network
        self.rough_gradients = rough_gradients
        self.layers = _leaves(network)
        self.first = next(each for each in self.layers if isinstance(each, _WEIGHTED))
        self.vector = WeightVector(network)
        self.exact = _Copy(self.vector, self.layers, self.vector.values, self.vector.gradient)
        self.rough: _Copy | None = None
        self.rough_is_current = False
        self.batch = self.end = torch.empty(0)
        self.labels: Tensor | None = None
        self.passed: list[tuple[Any, Tensor, _Parts | None]] = []
        self.norms: dict[nn.Module, list[Tensor]] = {}
        self.told: list[Tensor] = []

    def moved(self) -> None:
        """Take note that weights are no longer what they were at the last call."""
        self.rough_is_current = False

    @torch.no_grad()
    def __call__(self, batch: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return what the network does, without a graph; remembers the way.

        Args:
            batch: as the network takes it.
            labels: int64 [n], of a conditional discriminator.
        """
        self.batch = values = batch.bfloat16() if self.network.half_precision else batch
        self.labels, self.passed = labels, []
        for layer in self.layers:
            if isinstance(layer, nn.Linear | nn.Conv2d):
                own = self._parts(layer, values.dtype)
                self.passed.append((layer, values, own))
                values = _weighted(layer, values, own.weight, own.bias)
            elif isinstance(layer, Dropout):
                mask = layer.mask(values)
                self.passed.append((layer, mask, None))
                values = values * mask
            elif isinstance(layer, _VIEWS):
                self.passed.append((layer, values, None))
                values = layer.forward(values)
            elif isinstance(layer, nn.BatchNorm1d):
                self.passed.append((layer, values, None))
                values, *self.norms[layer] = _normalised(layer, values)
            else:
                if self._is_bounded_end(layer):
                    values = values.to(batch.dtype)
                values = layer.forward(values)
                self.passed.append((layer, values, None))
        self.end = values
        found = values.to(batch.dtype)
        if isinstance(self.network, Generator):
            return found.reshape(len(batch), *self.network.sample_shape)
        return found[:, 0] if labels is None else found.gather(1, labels[:, None])[:, 0]

    @torch.no_grad()
    def backward(
        self, gradient: Tensor, *, frozen: bool = False, told: list[Tensor] | None = None
    ) -> Tensor:
        """Carry the gradient at what the last call returned back to where it came from.

        Args:
            gradient: of the loss, as many numbers as that output and in their order.
            frozen: spare the weights; otherwise the gradients at them replace those in the vector.
            told: gets the gradient at what each weighted layer returned, the last layer's first.

        Returns:
            Of a frozen network the gradient at its input, in its shape.
        """
        gradient = self._at_end(gradient)
        precision = torch.bfloat16 if self.rough_gradients else self.batch.dtype
        at_norms: list[tuple[nn.Module, list[Tensor]]] = []
        for layer, passed, weighted in reversed(self.passed):
            values = passed
            if not self._is_bounded_end(layer):
                gradient, values = gradient.to(precision), passed.to(precision)
            if weighted is not None:
                if told is not None:
                    told.append(gradient)
                own = self._parts(layer, precision)
                if not frozen:
                    _learn(layer, gradient, values, own)
                    torch.sum(_over_pixels(gradient), 0, out=own.at_bias)
                    if layer is self.first:
                        break
                gradient = _at_input(layer, gradient, values, own.weight)
            elif isinstance(layer, nn.BatchNorm1d):
                gradient, *at = _norm_back(layer, gradient, values, self.norms[layer], frozen)
                at_norms.append((layer, at))
            else:
                gradient = _through(layer, gradient, values, back=True)
        if not frozen:
            self._collect(precision, at_norms)
        return gradient.to(self.vector.values.dtype)

    def slopes(self) -> Tensor:
        """Return the gradient of each image's logit of the last call at that image.

        It is remembered what the gradient is at every layer, for :meth:`learn`, which is of
        networks of weighted layers and rectifiers alone.

        Returns:
            In the shape of the images.
        """
        self.told = []
        return self.backward(self.end.new_ones(len(self.end)), frozen=True, told=self.told)

    @torch.no_grad()
    def learn(self, at_logits: Tensor, at_slopes: Tensor) -> None:
        """Replace the vector's gradients by those of what is a function of logits and slopes.

        Args:
            at_logits: its gradient at the logits, [n].
            at_slopes: its gradient at what :meth:`slopes` returned, in that shape.
        """
        pulls = at_logits.to(self.batch.dtype)
        values = for_each(pulls, self.batch) * self.batch + at_slopes.to(self.batch.dtype)
        for layer, passed, own in self.passed:
            if own is None:
                values = _through(layer, values, passed)
                continue
            gradient = self.told.pop()
            _learn(layer, gradient, values, own)
            torch.mv(_over_pixels(gradient).t(), pulls, out=own.at_bias)
            if not self.told:
                break
            carried = _weighted(layer, values, own.weight, None)
            bias = own.bias.view(-1, *(1,) * (carried.ndim - 2))
            values = torch.addcmul(carried, for_each(pulls, carried), bias)
        self._collect(self.batch.dtype)

    def _parts(self, layer: nn.Module, precision: torch.dtype) -> _Parts:
        """Return a layer's weights in full precision or 16 bits.

        All are cast by one call, and not again until they move.
        """
        if precision == self.exact.values.dtype:
            return self.exact.parts[layer]
        if self.rough is None:
            places = (torch.zeros_like(self.exact.values, dtype=precision) for _ in range(2))
            self.rough = _Copy(self.vector, self.layers, *places)
        if not self.rough_is_current:
            self.rough.values.copy_(self.exact.values)
            self.rough_is_current = True
        return self.rough.parts[layer]

    def _collect(
        self, precision: torch.dtype, at_norms: Sequence[tuple[nn.Module, list[Tensor]]] = ()
    ) -> None:
        """Bring the gradients found to the vector; those of norms are in full precision."""
        if self.rough is not None and precision == self.rough.values.dtype:
            self.exact.gradient.copy_(self.rough.gradient)
        for layer, (at_weight, at_bias) in at_norms:
            self.exact.parts[layer].at_weight.copy_(at_weight)
            self.exact.parts[layer].at_bias.copy_(at_bias)

    def _is_bounded_end(self, layer: nn.Module) -> bool:
        """Tell whether a layer is one that computes in 32 bits whatever the others do."""
        return layer is self.layers[-1] and isinstance(layer, BOUNDED)

    def _at_end(self, gradient: Tensor) -> Tensor:
        """Bring a gradient at what a call returned to the end of the layers."""
        gradient = gradient.to(self.end.dtype)
        if self.labels is None:
            return gradient.reshape(self.end.shape)
        return torch.zeros_like(self.end).scatter_(1, self.labels[:, None], gradient[:, None])


class Chains(NamedTuple):
    """The networks of a game; a generator that is no chain needs autograd."""

    generator: Chain | None
    discriminator: Chain


def chains(config: RunConfig, generator: Generator, discriminator: Discriminator) -> Chains | None:
    """Return the networks as chains, or None where a step needs autograd, or is quicker by it."""
    loss, layers = config.loss, _leaves(discriminator)
    if (
        loss.name not in _GENERATOR_SLOPES
        or loss.gradient_penalty
        or config.training.unrolled_steps
        or not any(isinstance(layer, nn.Linear | nn.Conv2d) for layer in layers)
    ):
        return None
    dense = _consists_of(generator, nn.Linear, nn.BatchNorm1d, Dropout, *_VIEWS, *_SLOPES)
    # Fakes that are moved before D sees them, have no way back to G here.
    dense = dense and not config.discriminator.shift and generator.embedding is None
    if loss.r1 or loss.r2:
        known = _consists_of(discriminator, nn.Linear, nn.Conv2d, Dropout, *_VIEWS, *_RECTIFIERS)
    else:
        known = dense and _consists_of(discriminator, nn.Linear, Dropout, *_VIEWS, *_SLOPES)
    if not known:
        return None
    rough = config.training.precision == "bf16"
    own = Chain(generator, rough_gradients=rough) if dense else None
    return Chains(own, Chain(discriminator))


def discriminator_slopes(loss: str, logits: Tensor, labels: Tensor) -> Tensor:
    """Return the gradient of the discriminator's loss at its logits.

    Args:
        loss: minimax, non-saturating or relativistic.
        logits: [2, n], of real images and of fakes.
        labels: [2, n]; a relativistic loss has none.
    """
    if loss == "relativistic":
        pull = (logits[1] - logits[0]).sigmoid()
        slopes = torch.stack([-pull, pull])
    else:
        # Not sigmoid(x) - t, which rounds to nothing where D is sure and right.
        slopes = (1 - labels) * logits.sigmoid() - labels * (-logits).sigmoid()
    return slopes / logits.shape[1]


def generator_slopes(loss: str, fake: Tensor, real: Tensor) -> Tensor:
    """Return the gradient of the generator's loss at the fakes' logits [n].

    Args:
        loss: minimax, non-saturating or relativistic.
        fake: logits [n].
        real: logits [n], which a relativistic loss alone looks at.
    """
    return _GENERATOR_SLOPES[loss](fake, real) / len(fake)


def _weighted(layer: Any, values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if isinstance(layer, nn.Linear):
        return linear(values, weight, bias)
    return conv2d(values, weight, bias, layer.stride, layer.padding, groups=layer.groups)


def _at_input(layer: Any, gradient: Tensor, values: Tensor, weight: Tensor) -> Tensor:
    if isinstance(layer, nn.Linear):
        return gradient @ weight
    if _strides_over_few_channels(layer, values):
        return _by_subpixels(layer, gradient, values, weight)
    return _convolved_back(layer, gradient, values, weight, 0)


# A CPU computes a transposed convolution to fewer channels than this at a fraction of its speed.
_MANY_CHANNELS = 8


def _strides_over_few_channels(layer: nn.Conv2d, images: Tensor) -> bool:
    """Tell whether a convolution looks at images, not features, by windows that overlap evenly."""
    kernel, stride, padding = layer.kernel_size[0], layer.stride[0], _padding(layer)[0]
    even = [
        length % stride == 0 for length in (kernel, *(n + 2 * padding for n in images.shape[2:]))
    ]
    whole = layer.groups == 1
    return whole and layer.in_channels < _MANY_CHANNELS and stride > 1 and all(even)


def _by_subpixels(layer: nn.Conv2d, gradient: Tensor, values: Tensor, weight: Tensor) -> Tensor:
    """Return the gradient at a convolution's input as a convolution to more channels.

    Pixels that lie alike between two strides get their sums by the same weights: they are channels
    of a small image, which are then laid out as one large image (Shi et al., 2016).
    """
    stride, padding, (height, width) = layer.stride[0], _padding(layer)[0], values.shape[2:]
    filters, channels, kernel, _ = weight.shape
    reach = kernel // stride
    apart = weight.view(filters, channels, reach, stride, reach, stride).flip((2, 4))
    turned = apart.permute(1, 3, 5, 0, 2, 4).reshape(-1, filters, reach, reach)
    turned = turned.contiguous(memory_format=image_layout(turned.device))
    small = conv2d(gradient, turned, padding=reach - 1)
    return pixel_shuffle(small.contiguous(), stride)[..., padding:, padding:][..., :height, :width]


def _convolved_back(
    layer: nn.Conv2d, gradient: Tensor, images: Tensor, weight: Tensor, which: int
) -> Tensor:
    """Return the gradient at what a convolution was given (0), or at its weight (1).

    Args:
        layer: the convolution.
        gradient: at what it returned.
        images: what it was given.
        weight: its own, in the precision of the step; for the gradient there, of its shape.
        which: of the two.
    """
    wanted = [which == 0, which == 1, False]
    back = _aten.convolution_backward
    layout = list(layer.stride), list(_padding(layer)), [1, 1], False, [0, 0], layer.groups
    found: Tensor = back(gradient, images, weight, None, *layout, wanted)[which]
    return found


def _padding(layer: nn.Conv2d) -> Sequence[int]:
    assert not isinstance(layer.padding, str)
    return layer.padding


def _learn(layer: Any, gradient: Tensor, values: Tensor, own: _Parts) -> None:
    """Give a weight the sum over images of the gradient there times what the layer was given."""
    if isinstance(layer, nn.Linear):
        torch.mm(gradient.t(), values, out=own.at_weight)
    else:
        own.at_weight.copy_(_convolved_back(layer, gradient, values, own.weight, 1))


def _through(layer: Any, values: Tensor, passed: Tensor, *, back: bool = False) -> Tensor:
    """Carry a gradient back through a layer without weights, or a small change forward."""
    if isinstance(layer, Dropout):
        return values * passed
    if isinstance(layer, _VIEWS):
        return _as(values, passed) if back else layer.forward(values)
    return _SLOPES[type(layer)](layer, values, passed)


def _normalised(layer: nn.BatchNorm1d, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return values by the mean and spread of their batch, and those; the layer notes them."""
    assert layer.num_batches_tracked is not None and layer.momentum is not None
    layer.num_batches_tracked += 1
    seen = layer.running_mean, layer.running_var
    found: tuple[Tensor, Tensor, Tensor] = _aten.native_batch_norm(
        values, layer.weight, layer.bias, *seen, True, layer.momentum, layer.eps
    )
    return found


def _norm_back(
    layer: nn.BatchNorm1d, gradient: Tensor, values: Tensor, batch: list[Tensor], frozen: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients at what a batch normalisation was given, and at its weight and bias."""
    seen = layer.running_mean, layer.running_var
    found: tuple[Tensor, Tensor, Tensor] = _aten.native_batch_norm_backward(
        gradient,
        values,
        layer.weight,
        *seen,
        *batch,
        True,
        layer.eps,
        [True, not frozen, not frozen],
    )
    return found


def _as(values: Tensor, like: Tensor) -> Tensor:
    """Return values in the shape and memory layout of others: mixed layouts make slow kernels."""
    values = values.reshape(like.shape)
    return values if values.stride() == like.stride() else torch.empty_like(like).copy_(values)


def _over_pixels(gradient: Tensor) -> Tensor:
    """Return [n, channels] of [n, channels] or [n, channels, height, width]."""
    return gradient if gradient.ndim == 2 else gradient.sum((2, 3))


def for_each(numbers: Tensor, batch: Tensor) -> Tensor:
    """Return a number an image, [n], so that it multiplies a batch."""
    return numbers.view(-1, *(1,) * (batch.ndim - 1))


def _consists_of(network: Generator | Discriminator, *kinds: type[nn.Module]) -> bool:
    return all(type(layer) in kinds for layer in _leaves(network))


def _leaves(network: Generator | Discriminator) -> list[nn.Module]:
    """Return the layers of a network in order."""
    return [layer for layer in network.body.modules() if not isinstance(layer, _GROUPS)]
