"""Layer lists: from a line such as ``conv 32 4 stride=2`` to a module and the shape it yields.

A line is a layer's name, its numbers in order, and options as ``key=value``. A number may be
``channels``, ``size`` or a fraction of it such as ``size/4``, which stand for the image's. Shapes
are inferred from line to line, so that a list which does not fit says which line, what it got and
what it needed. ``residual 3`` makes one block of the three lines after it.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d, dropout, fold, leaky_relu_, unfold

from gancli.errors import ConfigError, did_you_mean

Shape = tuple[int, ...]
_MOST_WEIGHTS = 2**31
_MOST_NUMBERS = 2**31


@dataclasses.dataclass(frozen=True)
class ImageShape:
    """What ``channels`` and ``size`` stand for in a layer list."""

    channels: int
    size: int


class _Layer:
    """One line of a layer list, taken apart, with its errors."""

    def __init__(self, line: str, where: str, image: ImageShape) -> None:
        self.line, self.where, self.image = line, where, image
        words = line.split()
        if not words:
            raise self.error("is empty; name a layer")
        self.name = words[0]
        self.numbers = [word for word in words[1:] if "=" not in word]
        self.options = dict(word.split("=", 1) for word in words[1:] if "=" in word)

    def error(self, complaint: str) -> ConfigError:
        return ConfigError(f"{self.where} '{self.line}' {complaint}")

    def whole(self, word: str) -> int:
        """Read a number that counts something: at least 1."""
        base, _, divisor = word.partition("/")
        try:
            known = {"channels": self.image.channels, "size": self.image.size}
            number, rest = divmod(known[base] if base in known else int(base), int(divisor or 1))
        except (ValueError, ZeroDivisionError):
            raise self.error(f"has '{word}' where a whole number is needed") from None
        if rest or not 1 <= number <= _MOST_WEIGHTS:
            raise self.error(f"has '{word}', which is not a whole number of at least 1 here")
        return number

    def real(self, word: str, low: float, high: float) -> float:
        try:
            number = float(word)
        except ValueError:
            number = math.nan
        if not low <= number <= high:
            raise self.error(f"has '{word}' where a number from {low:g} to {high:g} is needed")
        return number

    def counts(self, names: str, least: int, most: int | None = None) -> list[int]:
        """Read the line's numbers as counts; ``names`` says what they mean."""
        self._check_amount(names, least, least if most is None else most)
        return [self.whole(word) for word in self.numbers]

    def reals(self, names: str, low: float, high: float) -> list[float]:
        self._check_amount(names, 1, 1)
        return [self.real(word, low, high) for word in self.numbers]

    def _check_amount(self, names: str, least: int, most: int) -> None:
        if not least <= len(self.numbers) <= most:
            raise self.error(f"needs {names}, and has {len(self.numbers)} numbers")

    def option(self, name: str, default: str) -> str:
        return self.options.pop(name, default)

    def check_spent(self) -> None:
        for name in self.options:
            raise self.error(f"has an option '{name}' that '{self.name}' does not know")


# What needs its input alone to find gradients: what comes out of it may be written over. (A dense
# layer and a reshape are a Sequential.)
_FORGETS_ITS_OUTPUT = (
    nn.Linear,
    nn.Conv2d,
    nn.ConvTranspose2d,
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.GroupNorm,
    nn.Sequential,
)

_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
_RESIDUAL = "residual"

_Built = tuple[nn.Module, Shape]
_Maker = Callable[[_Layer, Shape], _Built]


def build_layers(
    lines: Sequence[str], shape: Shape, image: ImageShape, where: str
) -> tuple[nn.Sequential, Shape]:
    """Build a layer list.

    Args:
        lines: the layers in order.
        shape: what goes in, without the batch: (features,) or (channels, height, width).
        image: what ``channels`` and ``size`` stand for.
        where: the list's name, for error messages.

    Returns:
        The module, and the shape of what comes out, without the batch.

    Raises:
        ConfigError: an unknown layer (the nearest is named), or a line that does not fit.
    """
    return _build(lines, shape, image, where, 0)


def _build(
    lines: Sequence[str], shape: Shape, image: ImageShape, where: str, start: int
) -> tuple[nn.Sequential, Shape]:
    """Build lines that begin somewhere in a list: at 0, or after that of the block they make."""
    modules: list[nn.Module] = []
    while len(modules) < len(lines):
        index = len(modules)
        layer = _Layer(lines[index], f"{where}.layers[{start + index}]", image)
        if layer.name == _RESIDUAL:
            if start:
                raise layer.error("lies within another; residual blocks do not nest")
            inner = _spanned(layer, lines[index + 1 :])
            block, made = _build(inner, shape, image, where, index + 1)
            module: nn.Module = Residual(block, _way_around(layer, shape, made))
            modules += [module, *(nn.Identity() for _ in inner)]
            shape = made
            continue
        if layer.name not in _MAKERS:
            known = [*_MAKERS, _RESIDUAL]
            raise layer.error(
                f"is no known layer{did_you_mean(layer.name, known)} "
                f"(known: {', '.join(sorted(known))})"
            )
        module, shape = _MAKERS[layer.name](layer, shape)
        layer.check_spent()
        if math.prod(shape) > _MOST_NUMBERS:
            raise layer.error(
                f"would make {_shown(shape)} numbers of one image; gancli stops at "
                f"{_MOST_NUMBERS:,}"
            )
        if modules and UpsampledConv2d.fits(module, modules[-1]):
            modules[-1], module = nn.Identity(), UpsampledConv2d.of(module)
        if modules and isinstance(module, Dropout) and len(shape) == 3 and _is_inplace(modules[-1]):
            modules[-1], module = nn.Identity(), DroppedLeakyReLU(modules[-1], module)
        if modules and isinstance(module, nn.ReLU | nn.LeakyReLU):
            module.inplace = isinstance(modules[-1], _FORGETS_ITS_OUTPUT)
        if modules and isinstance(module, _CONVOLUTIONS) and _is_inplace(modules[-1]):
            modules[-1] = LeakyReLUForConv(modules[-1].negative_slope, inplace=True)
        modules.append(module)
    return nn.Sequential(*modules), shape


class Residual(nn.Module):
    """Layers with a way around them: what goes in is added to what they make of it.

    He et al., 2016. Where that has another size or other channels, the way around resamples, by
    nearest neighbours or means, and mixes channels; both as residual GANs do (Gulrajani et al.,
    2017).
    """

    def __init__(self, block: nn.Sequential, way_around: nn.Module) -> None:
        super().__init__()
        self.block, self.way_around = block, way_around

    def forward(self, batch: Tensor) -> Tensor:
        """Return [n, ...], the sum of both ways."""
        added: Tensor = self.way_around(batch) + self.block(batch)
        return added


def _spanned(layer: _Layer, following: Sequence[str]) -> Sequence[str]:
    """Return the lines that make up a residual block."""
    (count,) = layer.counts("how many of the layers after it make up the block", 1)
    layer.check_spent()
    if count > len(following):
        raise layer.error(f"spans {count:,} layers, and {len(following)} come after it")
    return following[:count]


def _way_around(layer: _Layer, before: Shape, after: Shape) -> nn.Module:
    """Return what makes of a block's input something that its output can be added to."""
    if before == after:
        return nn.Identity()
    if before[0] != after[0]:
        _check_weights(layer, before[0] * after[0])
    if len(before) == len(after) == 1:
        return nn.Linear(before[0], after[0], bias=False)
    factor = _factor(before, after) if len(before) == len(after) == 3 else None
    if factor is None:
        raise layer.error(
            f"makes {_shown(after)} of {_shown(before)}; sizes of images may differ by a whole "
            "factor"
        )
    steps: list[nn.Module] = []
    if before[1] > after[1]:
        steps.append(nn.AvgPool2d(factor))
    if before[0] != after[0]:
        steps.append(nn.Conv2d(before[0], after[0], 1, bias=False))
    if before[1] < after[1]:
        steps.append(nn.Upsample(scale_factor=factor))
    return nn.Sequential(*steps)


def _factor(one: Shape, other: Shape) -> int | None:
    """Return by how much the larger of two images is higher and wider, if that is a number."""
    small, large = sorted([one[1:], other[1:]])
    factor = large[0] // small[0]
    return factor if tuple(factor * length for length in small) == large else None


def _is_inplace(module: nn.Module) -> TypeGuard[nn.LeakyReLU]:
    """Tell whether a layer is a leaky rectifier that writes over what it gets."""
    return isinstance(module, nn.LeakyReLU) and module.inplace


def drawn(*shape: int) -> Tensor:
    """Return numbers of a standard normal law; none on the meta device.

    There, to draw would take a third of a second and 27 MB of torch's compiler.
    """
    numbers = torch.empty(shape)
    return numbers if numbers.is_meta else numbers.normal_()


def _dense(layer: _Layer, shape: Shape) -> _Built:
    outputs = tuple(layer.counts("1 to 3 numbers, the shape of its output", 1, 3))
    if len(shape) != 1:
        raise layer.error(f"gets {_shown(shape)}; put 'flatten' before it")
    _check_weights(layer, shape[0] * math.prod(outputs))
    linear = nn.Linear(shape[0], math.prod(outputs))
    spread = layer.option("normal", "")
    if spread:
        deviation = layer.real(spread, 1e-6, 10)
        if not linear.weight.is_meta:
            nn.init.normal_(linear.weight, 0.0, deviation)
            nn.init.zeros_(linear.bias)
    if len(outputs) == 1:
        return linear, outputs
    return nn.Sequential(linear, Reshape(outputs)), outputs


def _conv(layer: _Layer, shape: Shape) -> _Built:
    channels, height, width = _image(layer, shape)
    filters, kernel = layer.counts("filters and kernel", 2)
    stride = layer.whole(layer.option("stride", "1"))
    padding = _padding(layer, kernel, stride)
    groups = layer.whole(layer.option("groups", "1"))
    if channels % groups or filters % groups:
        raise layer.error(
            f"makes {filters} channels of {channels}, which groups={groups} does not divide"
        )
    if kernel > min(height, width) + 2 * padding:
        raise layer.error(f"gets {_shown(shape)}, smaller than its kernel of {kernel}")
    _check_weights(layer, channels // groups * filters * kernel * kernel)
    made = filters, *((n + 2 * padding - kernel) // stride + 1 for n in (height, width))
    if groups == 1 and ConvToOne.pays(channels, filters, kernel, stride, padding):
        return ConvToOne(channels, filters, kernel, stride, padding), made
    return nn.Conv2d(channels, filters, kernel, stride, padding, groups=groups), made


def _conv_transpose(layer: _Layer, shape: Shape) -> _Built:
    channels, height, width = _image(layer, shape)
    filters, kernel = layer.counts("filters and kernel", 2)
    stride = layer.whole(layer.option("stride", "1"))
    same = layer.options.get("pad", "same") == "same"
    padding = _padding(layer, kernel, stride)
    # 'same' makes an image exactly `stride` times as large, as Keras does.
    extra = stride + 2 * padding - kernel if same else 0
    _check_weights(layer, channels * filters * kernel * kernel)
    out_height, out_width = (
        (n - 1) * stride - 2 * padding + kernel + extra for n in (height, width)
    )
    if min(out_height, out_width) < 1:
        raise layer.error(f"gets {_shown(shape)} and would leave no pixel")
    module = TransposedConv2d(channels, filters, kernel, stride, padding, extra)
    return module, (filters, out_height, out_width)


def _padding(layer: _Layer, kernel: int, stride: int) -> int:
    """Read ``pad``: same (the default), valid, full, or pixels on each side."""
    word = layer.option("pad", "same")
    if word == "valid":
        return 0
    if word == "full":
        return kernel - 1
    if word != "same":
        try:
            pixels = 0 if word == "0" else layer.whole(word)
        except ConfigError:
            pixels = kernel
        if pixels >= kernel:
            raise layer.error(
                f"has pad={word}; it is same, valid, full or a whole number below its kernel"
            )
        return pixels
    if (kernel - stride) % 2 and stride == 1:
        raise layer.error(f"cannot keep the size with a kernel of {kernel}; use an odd one or pad=")
    if kernel < stride:
        raise layer.error(f"has a kernel of {kernel}, smaller than its stride of {stride}")
    return (kernel - stride + 1) // 2


def _upsample(layer: _Layer, shape: Shape) -> _Built:
    channels, height, width = _image(layer, shape)
    (factor,) = layer.counts("a factor", 1)
    mode = layer.option("mode", "nearest")
    if mode not in ("nearest", "bilinear"):
        raise layer.error(f"has mode={mode}; it is nearest or bilinear")
    module = nn.Upsample(scale_factor=factor, mode=mode)
    return module, (channels, height * factor, width * factor)


def image_layout(device: torch.device) -> torch.memory_format:
    """Return the memory layout in which convolutions are fastest on a device, and right.

    Channels last is the faster one, on CPUs and tensor cores alike. On MPS, a convolution takes
    weights in any order for those in the usual one
    (https://github.com/pytorch/pytorch/issues/192212).
    """
    return torch.contiguous_format if device.type == "mps" else torch.channels_last


class UpsampledConv2d(nn.Conv2d):
    """Doubling by nearest neighbours and the 3 x 3 convolution after it, in one.

    That is the same as a transposed convolution of 4 x 4 and stride 2, whose weights are sums of
    the 3 x 3 ones: 16 products a pixel that comes in, in place of 36. The weights are learned and
    saved as those of the plain convolution.
    """

    @staticmethod
    def fits(conv: nn.Module, before: nn.Module) -> TypeGuard[nn.Conv2d]:
        """Tell whether a layer and the one before it can be one."""
        return (
            isinstance(before, nn.Upsample)
            and (before.mode, before.scale_factor) == ("nearest", 2)
            and isinstance(conv, nn.Conv2d)
            and (conv.kernel_size, conv.stride, conv.padding) == ((3, 3), (1, 1), (1, 1))
            and conv.groups == 1
        )

    @classmethod
    def of(cls, conv: nn.Conv2d) -> UpsampledConv2d:
        """Return the same with the weights of a convolution."""
        with torch.device("meta"):  # draws no first weights of its own
            fused = cls(conv.in_channels, conv.out_channels, 3, padding=1)
        fused.weight, fused.bias = conv.weight, conv.bias
        return fused

    def forward(self, images: Tensor) -> Tensor:
        """Return images twice as high and wide."""
        weight = _overlaid(_overlaid(self.weight, 2), 3).transpose(0, 1)
        if image_layout(images.device) == torch.contiguous_format:
            weight = weight.contiguous()
        return _biased(conv_transpose2d(images, weight, stride=2, padding=1), self.bias)


class TransposedConv2d(nn.ConvTranspose2d):
    """A transposed convolution with its bias apart."""

    def forward(self, images: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Return images as large as the layer makes them."""
        assert output_size is None and not isinstance(self.padding, str)
        stride, extra = self.stride, self.output_padding
        made = conv_transpose2d(images, self.weight, None, stride, self.padding, extra)
        return _biased(made, self.bias)


def _biased(images: Tensor, bias: Tensor | None) -> Tensor:
    """Add a bias in place.

    A bias of the transposed convolution's own makes its way back on a CPU twice as long.
    """
    assert bias is not None
    return images.add_(bias.view(-1, 1, 1).to(images.dtype))


class ConvToOne(nn.Conv2d):
    """A convolution of many channels to one, as the end of a generator.

    A CPU computes few channels badly. In place of a convolution, one product of matrices gives the
    k x k shares that a pixel has in those around it, which are shifted and added up.
    """

    @staticmethod
    def pays(channels: int, filters: int, kernel: int, stride: int, padding: int) -> bool:
        """Tell whether a convolution is of that kind, and so large that it is quicker so."""
        keeps_size = stride == 1 and 2 * padding + 1 == kernel
        return keeps_size and filters == 1 and kernel >= 3 and channels >= 16

    def forward(self, images: Tensor) -> Tensor:
        """Return images [n, 1, height, width]."""
        if images.device.type != "cpu":
            return super().forward(images)
        weight = self.weight
        if torch.is_autocast_enabled("cpu"):
            rough = torch.get_autocast_dtype("cpu")
            images, weight = images.to(rough), weight.to(rough)
        with torch.autocast("cpu", enabled=False):
            summed: Tensor = _SumOfShifted.apply(images, weight)  # type: ignore[no-untyped-call]
        return _biased(summed, self.bias)


class _SumOfShifted(torch.autograd.Function):
    """From images [n, channels, ...] and a weight [1, channels, k, k] to images [n, 1, ...]."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(images, weight)
        kernel = weight.shape[-1]
        shares = _products(weight).expand(len(images), -1, -1) @ _pixels(images).transpose(1, 2)
        # Sums are taken of at least 32 bits, as the products of a convolution are.
        shares = shares.to(torch.promote_types(shares.dtype, torch.float32))
        return fold(shares, images.shape[2:], kernel, padding=kernel // 2).to(images.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        images, weight = ctx.saved_tensors
        kernel = weight.shape[-1]
        shares = unfold(gradient, kernel, padding=kernel // 2)
        at_images = at_weight = None
        if ctx.needs_input_grad[0]:
            at_pixels = shares.transpose(1, 2) @ _products(weight).expand(len(images), -1, -1)
            at_images = at_pixels.transpose(1, 2).view(images.shape)
        if ctx.needs_input_grad[1]:
            at_products = (shares @ _pixels(images)).sum(0)
            at_weight = at_products.t().reshape(weight.shape).flip((2, 3))
        return at_images, at_weight


def _pixels(images: Tensor) -> Tensor:
    """Return [n, pixels, channels]; of images with their channels last it is a view."""
    return images.flatten(2).transpose(1, 2)


def _products(weight: Tensor) -> Tensor:
    """Return [k x k, channels] of a weight [1, channels, k, k].

    From a pixel, a product goes to where its place in the kernel, turned round, points.
    """
    return weight[0].flip((1, 2)).flatten(1).t().contiguous()


def _overlaid(weight: Tensor, dim: int) -> Tensor:
    """Return the four weights with which a pixel reaches four, of three that reach doubled pixels.

    In a doubled row, a pixel that comes out sees two copies of one that goes in, and one of its
    neighbour.
    """
    first, middle, last = weight.unbind(dim)
    return torch.stack([last, middle + last, first + middle, first], dim)


def _pool(make: Callable[[int], nn.Module]) -> _Maker:
    def maker(layer: _Layer, shape: Shape) -> _Built:
        channels, height, width = _image(layer, shape)
        (size,) = layer.counts("the size of its window", 1)
        if size > min(height, width):
            raise layer.error(f"gets {_shown(shape)}, smaller than its window of {size}")
        return make(size), (channels, height // size, width // size)

    return maker


def _zero_pad(layer: _Layer, shape: Shape) -> _Built:
    channels, height, width = _image(layer, shape)
    (pixels,) = layer.counts("the pixels to add on each side", 1)
    return nn.ZeroPad2d(pixels), (channels, height + 2 * pixels, width + 2 * pixels)


def _dilate(layer: _Layer, shape: Shape) -> _Built:
    channels, height, width = _image(layer, shape)
    (gap,) = layer.counts("the zeros to put between neighbours", 1)
    return _Dilate(gap), (channels, height + (height - 1) * gap, width + (width - 1) * gap)


class _Dilate(nn.Module):
    """Move pixels apart, with ``gap`` zeros between neighbours (report R3's pixel padding)."""

    def __init__(self, gap: int) -> None:
        super().__init__()
        self.gap = gap

    def forward(self, images: Tensor) -> Tensor:
        height, width = (n + (n - 1) * self.gap for n in images.shape[2:])
        apart = images.new_zeros(*images.shape[:2], height, width)
        apart[:, :, :: self.gap + 1, :: self.gap + 1] = images
        return apart


def _flatten(layer: _Layer, shape: Shape) -> _Built:
    layer.counts("nothing", 0)
    return nn.Flatten(), (math.prod(shape),)


def _reshape(layer: _Layer, shape: Shape) -> _Built:
    target = tuple(layer.counts("1 to 3 numbers, the new shape", 1, 3))
    if math.prod(target) != math.prod(shape):
        raise layer.error(
            f"gets {_shown(shape)}, which is {math.prod(shape)} numbers, not {math.prod(target)}"
        )
    return Reshape(target), target


class Reshape(nn.Module):
    """Give every image of a batch another shape.

    Images are laid out as convolutions are fastest: what follows keeps a layout, and a convolution
    that meets another way back than forward takes half as long again.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, batch: Tensor) -> Tensor:
        """Return [n, *shape]."""
        shaped = batch.reshape(len(batch), *self.shape)
        if len(self.shape) < 3:
            return shaped
        return shaped.contiguous(memory_format=image_layout(shaped.device))


def _batch_norm(layer: _Layer, shape: Shape) -> _Built:
    layer.counts("nothing", 0)
    make = BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
    return make(shape[0], layer.real(layer.option("eps", "1e-5"), 1e-12, 10)), shape


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation of images (Ioffe and Szegedy, 2015).

    Torch's own has wrong gradients on MPS of images that are laid out pixel by pixel, or fails
    (https://github.com/pytorch/pytorch/issues/175189).
    """

    def forward(self, batch: Tensor) -> Tensor:
        """Return the batch, each channel by its own mean and spread."""
        if batch.device.type == "mps":
            batch = batch.contiguous()
        normalised: Tensor = super().forward(batch)
        return normalised


def _group_norm(layer: _Layer, shape: Shape) -> _Built:
    (groups,) = layer.counts("groups", 1)
    if shape[0] % groups:
        raise layer.error(f"gets {shape[0]} channels, which do not make {groups} groups of a size")
    if math.prod(shape) == groups:
        raise layer.error(f"gets {_shown(shape)}, of which each group has a single number")
    return GroupNorm(groups, shape[0], layer.real(layer.option("eps", "1e-5"), 1e-12, 10)), shape


class GroupNorm(nn.GroupNorm):
    """Group normalisation of whatever it is given (Wu and He, 2018).

    Torch's own ends the process on its way back from images that are laid out pixel by pixel and
    need no gradient themselves.
    """

    def forward(self, batch: Tensor) -> Tensor:
        """Return the batch, each group of each image by its own mean and spread."""
        if torch.is_grad_enabled() and not batch.requires_grad:
            batch = batch.contiguous()
        normalised: Tensor = super().forward(batch)
        return normalised


def _minibatch_discrimination(layer: _Layer, shape: Shape) -> _Built:
    kernels, size = layer.counts("kernels and their size", 2)
    if len(shape) != 1:
        raise layer.error(f"gets {_shown(shape)}; put 'flatten' before it")
    _check_weights(layer, shape[0] * kernels * size)
    return MinibatchDiscrimination(shape[0], kernels, size), (shape[0] + kernels,)


class MinibatchDiscrimination(nn.Module):
    """Tell each image how near the rest of its batch is (Salimans et al., 2016).

    Features [n, features] are projected to ``kernels`` vectors of ``size`` each; every image gets
    the sum of exp(-L1 distance) to the others, a number a kernel, beside its features.
    """

    def __init__(self, features: int, kernels: int, size: int) -> None:
        super().__init__()
        self.projection = nn.Parameter(drawn(features, kernels, size).mul_(0.05))

    def forward(self, features: Tensor) -> Tensor:
        """Return [n, features + kernels]."""
        vectors = torch.einsum("nf,fks->nks", features, self.projection)
        distances = (vectors[:, None] - vectors[None]).abs().sum(3)
        near = torch.exp(-distances).sum(1) - 1  # less the image itself
        return torch.cat([features, near], dim=1)


class Rows(NamedTuple):
    """Which rows of a whole batch are at hand, where several processes have a share of it each.

    The whole is so many ``groups`` one after the other, as real images and fakes may be; of each,
    the share ``rank`` of so many equal ``shares`` is here.
    """

    rank: int = 0
    shares: int = 1
    groups: int = 1

    def of(self, whole: Tensor) -> Tensor:
        """Return from numbers [n] that were drawn row after row those of the rows at hand."""
        return whole.view(self.groups, self.shares, -1)[:, self.rank].flatten()


_ALL = Rows()
_ROWS = contextvars.ContextVar("rows", default=_ALL)


@contextlib.contextmanager
def at_hand(rows: Rows) -> Iterator[None]:
    """Let networks draw masks for a whole batch, and take those of the rows at hand."""
    before = _ROWS.set(rows)
    try:
        yield
    finally:
        _ROWS.reset(before)


def _dropout(layer: _Layer, shape: Shape) -> _Built:
    (rate,) = layer.reals("the share to drop", 0, 0.99)
    return Dropout(rate), shape


class Dropout(nn.Dropout):
    """Dropout that makes four decisions of one random number on a CPU, where these cost most.

    Each decision takes 16 of the 64 bits, so that a rate is met to 8 in a million; what is left is
    scaled by the rate as it is met.
    """

    def forward(self, batch: Tensor) -> Tensor:
        """Return the batch, in training with a share of it set to 0 and the rest scaled up."""
        return batch * self.mask(batch) if self.training else batch

    @property
    def scale(self) -> float:
        """What is left is multiplied by: 1 / (1 - rate)."""
        return 2**16 / (2**16 - round(self.p * 2**16))

    def mask(self, batch: Tensor) -> Tensor:
        """Draw what a batch is multiplied by, in its layout: 0, or :attr:`scale`."""
        if batch.device.type != "cpu":
            rows = _ROWS.get()
            whole = dropout(batch.new_ones(batch.numel() * rows.shares), self.p)
            return rows.of(whole).as_strided(batch.shape, batch.stride())
        return self.kept(batch).to(batch.dtype).mul_(self.scale)

    def kept(self, batch: Tensor) -> Tensor:
        """Draw what is kept of a batch on a CPU: bool, in its layout."""
        rows = _ROWS.get()
        count = batch.numel() * rows.shares
        random = torch.empty((count + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        kept = random.view(torch.int16)[:count] >= round(self.p * 2**16) - 2**15
        return rows.of(kept).as_strided(batch.shape, batch.stride())


class ChannelDropout(nn.Dropout2d):
    """Dropout of whole channels of images, [n, channels, height, width]."""

    def forward(self, images: Tensor) -> Tensor:
        """Return the images, in training with a share of their channels 0, the rest scaled up."""
        rows = _ROWS.get()
        if rows.shares == 1 or not self.training:
            return super().forward(images)
        channels = images.shape[:2]
        whole = images.new_empty(channels.numel() * rows.shares).bernoulli_(1 - self.p)
        return images * rows.of(whole.div_(1 - self.p)).view(*channels, 1, 1)


class DroppedLeakyReLU(nn.Module):
    """A leaky rectifier of images and the dropout after it, in one.

    The slope where a number was dropped multiplies nothing, and elsewhere the sign of what comes
    out tells it: for its gradients the pair remembers what comes out, which the next layer does
    anyhow, and a byte a number. One after the other they remember twelve bytes a number: too much
    where many steps of D are remembered at once, as unrolled ones are.
    """

    def __init__(self, rectifier: nn.LeakyReLU, dropout: Dropout) -> None:
        super().__init__()
        self.rectifier, self.dropout = rectifier, dropout

    def forward(self, images: Tensor) -> Tensor:
        """Return images rectified, in training with a share of them set to 0."""
        on_cpu = images.device.type == "cpu"
        if not (self.dropout.training and self.rectifier.inplace and on_cpu):
            plain: Tensor = self.dropout(self.rectifier(images))
            return plain
        kept = self.dropout.kept(images)
        numbers = self.rectifier.negative_slope, self.dropout.scale
        dropped: Tensor = _RectifyAndDrop.apply(images, kept, *numbers)  # type: ignore[no-untyped-call]
        return dropped


class _RectifyAndDrop(torch.autograd.Function):
    """From images, which it writes over, to images; ``kept`` is bool in their shape."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, kept: Tensor, slope: float, scale: float) -> Tensor:
        mask = kept.to(images.dtype).mul_(scale)
        out = leaky_relu_(images, slope).mul_(mask)
        ctx.mark_dirty(out)
        ctx.save_for_backward(out, kept)
        ctx.numbers = slope, scale
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        given = gradient, *ctx.saved_tensors, *ctx.numbers
        return _SlopesOfBoth.apply(*given), None, None, None  # type: ignore[no-untyped-call]


class _SlopesOfBoth(torch.autograd.Function):
    """From the gradient at what came out to that at what went in.

    That multiplies each number by one of its own, and so does the way back.
    """

    @staticmethod
    def forward(
        ctx: Any, gradient: Tensor, out: Tensor, kept: Tensor, slope: float, scale: float
    ) -> Tensor:
        ctx.save_for_backward(out, kept)
        ctx.numbers = slope, scale
        found = kept.to(gradient.dtype).mul_(scale).mul_(gradient)
        torch.ops.aten.leaky_relu_backward(found, out, slope, True, grad_input=found)
        return found

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        given = gradient, *ctx.saved_tensors, *ctx.numbers
        return _SlopesOfBoth.apply(*given), None, None, None, None  # type: ignore[no-untyped-call]


def _channel_dropout(layer: _Layer, shape: Shape) -> _Built:
    """Drop whole channels, as neighbouring pixels tell the same (Tompson et al., 2015)."""
    _image(layer, shape)
    (rate,) = layer.reals("the share to drop", 0, 0.99)
    return ChannelDropout(rate), shape


def _leaky_relu(layer: _Layer, shape: Shape) -> _Built:
    (slope,) = layer.reals("a slope", 0, 1)
    return nn.LeakyReLU(slope), shape


class LeakyReLUForConv(nn.LeakyReLU):
    """A leaky rectifier before a convolution, which writes over the gradient it is given, too.

    That is the convolution's alone to give, fresh, and as large as the largest tensors of a step;
    a gradient that is to be differentiated again is left alone.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Return the images rectified, in their place."""
        if not (self.training and self.inplace):
            return super().forward(images)
        slope = self.negative_slope
        rectified: Tensor = _RectifyForConv.apply(images, slope)  # type: ignore[no-untyped-call]
        return rectified


class _RectifyForConv(torch.autograd.Function):
    """From images, which it writes over, to images."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, slope: float) -> Tensor:
        ctx.mark_dirty(leaky_relu_(images, slope))
        ctx.save_for_backward(images)
        ctx.slope = slope
        return images

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (out,) = ctx.saved_tensors
        backward = torch.ops.aten.leaky_relu_backward
        if torch.is_grad_enabled():
            return backward(gradient, out, ctx.slope, True), None
        backward(gradient, out, ctx.slope, True, grad_input=gradient)
        return gradient, None


def _plain(make: Callable[[], nn.Module]) -> _Maker:
    def maker(layer: _Layer, shape: Shape) -> _Built:
        layer.counts("nothing", 0)
        return make(), shape

    return maker


_MAKERS: dict[str, _Maker] = {
    "dense": _dense,
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "max_pool": _pool(nn.MaxPool2d),
    "avg_pool": _pool(nn.AvgPool2d),
    "upsample": _upsample,
    "zero_pad": _zero_pad,  # report R3's edge padding
    "dilate": _dilate,
    "flatten": _flatten,
    "reshape": _reshape,
    "batch_norm": _batch_norm,
    "group_norm": _group_norm,
    "minibatch_discrimination": _minibatch_discrimination,
    "dropout": _dropout,
    "channel_dropout": _channel_dropout,
    "leaky_relu": _leaky_relu,
    "relu": _plain(nn.ReLU),
    "sigmoid": _plain(nn.Sigmoid),
    "tanh": _plain(nn.Tanh),
}


def _image(layer: _Layer, shape: Shape) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise layer.error(f"gets {_shown(shape)} and needs an image; put 'reshape' before it")
    channels, height, width = shape
    return channels, height, width


def _check_weights(layer: _Layer, weights: int) -> None:
    if weights > _MOST_WEIGHTS:
        raise layer.error(f"would have {weights:,} weights; gancli stops at {_MOST_WEIGHTS:,}")


def _shown(shape: Shape) -> str:
    return " x ".join(str(number) for number in shape)
