from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from gancli.errors import ConfigError
from gancli.networks import layers
from gancli.networks.layers import (
    ConvToOne,
    DroppedLeakyReLU,
    ImageShape,
    Residual,
    Shape,
    TransposedConv2d,
    UpsampledConv2d,
    _SumOfShifted,
    build_layers,
    image_layout,
)

IMAGE = ImageShape(channels=3, size=28)


def build(*lines: str, shape: Shape = (2, 8, 8)) -> tuple[nn.Sequential, Shape]:
    return build_layers(lines, shape, IMAGE, "generator")


def shape_after(*lines: str, shape: Shape = (2, 8, 8)) -> Shape:
    """Return the shape that a list claims, once the network has been held to it."""
    module, claimed = build(*lines, shape=shape)
    assert tuple(module(torch.zeros(2, *shape)).shape) == (2, *claimed)
    return claimed


def refusal(*lines: str, shape: Shape = (2, 8, 8)) -> str:
    with pytest.raises(ConfigError) as caught:
        build(*lines, shape=shape)
    message = str(caught.value)
    assert message.startswith(f"generator.layers[{len(lines) - 1}] '{lines[-1]}' ")
    return message


sizes, kernels, strides = st.integers(1, 12), st.integers(1, 6), st.integers(1, 4)


@given(sizes, kernels, strides)
def test_conv_same_divides_the_size_by_the_stride(size: int, kernel: int, stride: int) -> None:
    assume(kernel >= stride and (stride > 1 or kernel % 2))
    size *= stride
    assume(kernel <= size)
    line = f"conv 3 {kernel} stride={stride}"
    assert shape_after(line, shape=(1, size, size)) == (3, size // stride, size // stride)


@given(sizes, sizes, kernels, strides)
def test_conv_valid_and_full_follow_their_formulas(
    height: int, width: int, kernel: int, stride: int
) -> None:
    shape = (1, height, width)
    full = tuple((n + kernel - 2) // stride + 1 for n in (height, width))
    assert shape_after(f"conv 2 {kernel} stride={stride} pad=full", shape=shape) == (2, *full)
    assume(kernel <= min(height, width))
    valid = tuple((n - kernel) // stride + 1 for n in (height, width))
    line = f"conv 2 {kernel} stride={stride} pad=valid"
    assert shape_after(line, shape=shape) == (2, *valid)
    assert shape_after(line.replace("valid", "0"), shape=shape) == (2, *valid)


@given(sizes, sizes, kernels, strides)
def test_conv_transpose_follows_its_formulas(
    height: int, width: int, kernel: int, stride: int
) -> None:
    shape = (1, height, width)
    line = f"conv_transpose 2 {kernel} stride={stride}"
    valid = [(n - 1) * stride + kernel for n in (height, width)]
    assert shape_after(f"{line} pad=valid", shape=shape) == (2, *valid)
    if kernel >= stride and (stride > 1 or kernel % 2):
        assert shape_after(line, shape=shape) == (2, height * stride, width * stride)
    full = [n - 2 * (kernel - 1) for n in valid]
    if min(full) >= 1:
        assert shape_after(f"{line} pad=full", shape=shape) == (2, *full)
    else:
        assert "would leave no pixel" in refusal(f"{line} pad=full", shape=shape)


@given(kernels, st.integers(0, 5), st.integers(6, 12))
def test_pad_counts_pixels_on_each_side(kernel: int, pad: int, size: int) -> None:
    assume(pad < kernel)
    out = size + 2 * pad - kernel + 1
    assert shape_after(f"conv 1 {kernel} pad={pad}", shape=(1, size, size)) == (1, out, out)


@pytest.mark.parametrize(
    ("lines", "shape", "claimed"),
    [
        (["dense 5"], (7,), (5,)),
        (["dense 4 size/4 size/2"], (7,), (4, 7, 14)),
        (["dense 4 6"], (7,), (4, 6)),
        (["flatten", "dense 1"], (2, 8, 8), (1,)),
        (["upsample 3"], (2, 8, 8), (2, 24, 24)),
        (["upsample 3 mode=bilinear"], (2, 8, 5), (2, 24, 15)),
        (["max_pool 2"], (2, 8, 7), (2, 4, 3)),
        (["avg_pool 3"], (2, 8, 3), (2, 2, 1)),
        (["max_pool size/14", "avg_pool 1"], (2, 8, 8), (2, 4, 4)),
        (["zero_pad 2"], (2, 8, 5), (2, 12, 9)),
        (["dilate 3"], (2, 8, 1), (2, 29, 1)),
        (["reshape 8 4 4", "flatten", "reshape 2 8 8"], (2, 8, 8), (2, 8, 8)),
        (["conv channels 1"], (2, 8, 8), (3, 8, 8)),
        (["conv 4 3 stride=size/14"], (2, 8, 8), (4, 4, 4)),
        (["batch_norm", "leaky_relu 0.2", "relu", "tanh", "sigmoid"], (2, 8, 8), (2, 8, 8)),
        (["batch_norm", "dropout 0.5"], (9,), (9,)),
        (["dense 4 6", "batch_norm", "flatten"], (7,), (24,)),
        (["batch_norm eps=0.8", "channel_dropout 0.5"], (2, 8, 7), (2, 8, 7)),
        (["group_norm 3", "group_norm 1 eps=0.8"], (9,), (9,)),
        (["group_norm 8", "flatten", "group_norm 8"], (8, 8, 7), (448,)),
        (["conv 6 3 groups=2"], (2, 8, 8), (6, 8, 8)),
        (["residual 2", "conv 2 3", "relu"], (2, 8, 8), (2, 8, 8)),
        (["residual 2", "upsample 3", "conv 5 3"], (2, 8, 5), (5, 24, 15)),
        (["residual 1", "conv 3 4 stride=2", "residual 1", "max_pool 2"], (2, 8, 12), (3, 2, 3)),
        (["flatten", "residual 2", "relu", "dense 7", "tanh"], (2, 8, 8), (7,)),
        ([], (9,), (9,)),
    ],
)
def test_the_shape_that_is_claimed_comes_out(
    lines: list[str], shape: Shape, claimed: Shape
) -> None:
    assert shape_after(*lines, shape=shape) == claimed


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("relu", [0.0, 0.0, 2.0]),
        ("leaky_relu 0.25", [-0.25, 0.0, 2.0]),
        ("tanh", [-0.7616, 0.0, 0.9640]),
        ("sigmoid", [0.2689, 0.5, 0.8808]),
        ("dropout 0", [-1.0, 0.0, 2.0]),
    ],
)
def test_activations_are_what_their_names_say(line: str, expected: list[float]) -> None:
    module, _ = build(line, shape=(3,))
    found = module(torch.tensor([[-1.0, 0.0, 2.0]]))
    torch.testing.assert_close(found, torch.tensor([expected]), atol=1e-4, rtol=0)


def test_dropout_drops_its_share_in_training_alone() -> None:
    module, _ = build("dropout 0.3", shape=(100_000,))
    torch.manual_seed(0)
    ones = torch.ones(1, 100_000)
    dropped = float((module(ones) == 0).float().mean())
    assert 0.29 < dropped < 0.31
    assert torch.equal(module.eval()(ones), ones)


@pytest.mark.parametrize("rate", [0.01, 0.4, 0.99])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_dropout_decides_of_every_number_anew(rate: float, layout: torch.memory_format) -> None:
    module, _ = build(f"dropout {rate}", shape=(5, 30, 31))
    torch.manual_seed(0)
    batch = torch.full((101, 5, 30, 31), 3.0).contiguous(memory_format=layout)
    found = module(batch)
    assert found.is_contiguous(memory_format=layout)
    values, counts = found.unique(return_counts=True)
    assert values.tolist() == pytest.approx([0, 3 / (1 - rate)], rel=1e-3)
    deviation = math.sqrt(rate * (1 - rate) / found.numel())
    assert float(counts[0]) / found.numel() == pytest.approx(rate, abs=5 * deviation)
    deviation = math.sqrt(rate**2 * (1 - rate) * (1 + 3 * rate) / found.numel())  # of neighbours
    dropped = (found == 0).float().as_strided((found.numel(),), (1,))  # in order of memory
    for apart in (1, 2, 3, 4, 5):
        both = float((dropped[apart:] * dropped[:-apart]).mean())
        assert both == pytest.approx(rate**2, abs=5 * deviation)
    again = module(batch)
    assert float(((again == 0) & (found == 0)).float().mean()) == pytest.approx(
        rate**2, abs=5 * deviation
    )


def test_channel_dropout_drops_its_share_of_whole_channels() -> None:
    module, _ = build("channel_dropout 0.25", shape=(1_000, 2, 3))
    torch.manual_seed(0)
    ones = torch.ones(20, 1_000, 2, 3)
    sums = module(ones).flatten(2).sum(2)
    assert torch.allclose(sums[sums > 0], torch.tensor(6 / 0.75))  # none is dropped in part
    assert 0.24 < float((sums == 0).float().mean()) < 0.26
    assert torch.equal(module.eval()(ones), ones)


@pytest.mark.parametrize(("line", "eps"), [("batch_norm", 1e-5), ("batch_norm eps=0.8", 0.8)])
@pytest.mark.parametrize("shape", [(3,), (3, 2, 2)])
def test_batch_norm_divides_by_a_spread_that_its_eps_enlarges(
    line: str, eps: float, shape: Shape
) -> None:
    module, _ = build(line, shape=shape)
    batch = torch.randn(64, *shape, generator=torch.Generator().manual_seed(0)) * 0.3 + 5
    others = [dim for dim in range(batch.ndim) if dim != 1]
    centred = batch - batch.mean(others, keepdim=True)
    spread = (centred.square().mean(others, keepdim=True) + eps).sqrt()
    torch.testing.assert_close(module(batch), centred / spread, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("line", "eps"), [("group_norm 2", 1e-5), ("group_norm 2 eps=9", 9.0)])
@pytest.mark.parametrize("shape", [(6,), (6, 2, 5)])
def test_group_norm_divides_every_group_of_every_image_by_its_own_spread(
    line: str, eps: float, shape: Shape
) -> None:
    module, _ = build(line, shape=shape)
    batch = torch.randn(4, *shape, generator=torch.Generator().manual_seed(0)) * 3 + 5
    groups = batch.reshape(4, 2, -1)
    centred = groups - groups.mean(2, keepdim=True)
    found = (centred / (centred.square().mean(2, keepdim=True) + eps).sqrt()).reshape(batch.shape)
    torch.testing.assert_close(module(batch), found, atol=1e-5, rtol=1e-4)
    assert torch.equal(module.eval()(batch[:1]), module.train()(batch)[:1])


@pytest.mark.parametrize("lines", [["group_norm 2"], ["residual 1", "group_norm 2"]])
def test_group_norm_learns_from_images_that_need_no_gradient(lines: list[str]) -> None:
    """Laid out pixel by pixel, they ended the process: a reshape of latents is so."""
    torch.manual_seed(0)
    body, _ = build("reshape 4 4 4", *lines, shape=(64,))
    numbers = torch.randn(3, 64)
    norms = [one for one in body.modules() if isinstance(one, nn.GroupNorm)]
    slopes = []
    for entering in (numbers, numbers.clone().requires_grad_()):
        body.zero_grad()
        body(entering).square().sum().backward()
        slopes.append(norms[0].weight.grad.clone())
    torch.testing.assert_close(*slopes)
    assert float(slopes[0].abs().sum()) > 1


def test_upsample_repeats_pixels() -> None:
    module, _ = build("upsample 2", shape=(1, 1, 2))
    assert module(torch.tensor([[[[1.0, 2.0]]]])).tolist() == [[[[1, 1, 2, 2], [1, 1, 2, 2]]]]


IMAGES = torch.tensor([[[[1.0, 2, 5], [4, 3, 6], [7, 7, 7]]]])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("max_pool 2", [[4]]),
        ("avg_pool 2", [[2.5]]),
        ("max_pool 3", [[7]]),
        ("max_pool 1", [[1, 2, 5], [4, 3, 6], [7, 7, 7]]),
        (
            "zero_pad 1",
            [[0, 0, 0, 0, 0], [0, 1, 2, 5, 0], [0, 4, 3, 6, 0], [0, 7, 7, 7, 0], [0, 0, 0, 0, 0]],
        ),
        (
            "dilate 1",
            [[1, 0, 2, 0, 5], [0, 0, 0, 0, 0], [4, 0, 3, 0, 6], [0, 0, 0, 0, 0], [7, 0, 7, 0, 7]],
        ),
    ],
)
def test_pools_and_paddings_make_these_pixels(line: str, expected: list[list[float]]) -> None:
    module, _ = build(line, shape=(1, 3, 3))
    assert module(IMAGES).tolist() == [[expected]]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("max_pool 2", [[0, 0, 0], [1, 0, 0], [0, 0, 0]]),
        ("avg_pool 2", [[0.25, 0.25, 0], [0.25, 0.25, 0], [0, 0, 0]]),
        ("zero_pad 2", [[1, 1, 1], [1, 1, 1], [1, 1, 1]]),
        ("dilate 2", [[1, 1, 1], [1, 1, 1], [1, 1, 1]]),
    ],
)
def test_the_derivative_of_a_pool_or_padding(line: str, expected: list[list[float]]) -> None:
    module, _ = build(line, shape=(1, 3, 3))
    images = IMAGES.clone().requires_grad_()
    (slope,) = torch.autograd.grad(module(images).sum(), images)
    assert slope.tolist() == [[expected]]


def test_bilinear_upsampling_draws_straight_lines_between_pixels() -> None:
    module, _ = build("upsample 2 mode=bilinear", shape=(1, 1, 2))
    expected = [[[[1, 1.25, 1.75, 2], [1, 1.25, 1.75, 2]]]]
    assert module(torch.tensor([[[[1.0, 2.0]]]])).tolist() == expected
    nearest, _ = build("upsample 2 mode=nearest", shape=(1, 1, 2))
    assert nearest(torch.tensor([[[[1.0, 2.0]]]])).tolist() == [[[[1, 1, 2, 2]] * 2]]


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), sizes, sizes, st.integers(0, 99))
def test_a_transposed_convolution_is_a_convolution_of_a_dilated_padded_image(
    stride: int, kernel: int, filters: int, height: int, width: int, seed: int
) -> None:
    """Report R3 makes it of these parts: its kernel turned by 180 degrees, ends exchanged."""
    torch.manual_seed(seed)
    shape = (2, height, width)
    line = f"conv_transpose {filters} {kernel} stride={stride} pad=valid"
    whole, claimed = build(line, shape=shape)
    parts, shape_of_parts = build(
        *([f"dilate {stride - 1}"] if stride > 1 else []),
        *([f"zero_pad {kernel - 1}"] if kernel > 1 else []),
        f"conv {filters} {kernel} pad=valid",
        shape=shape,
    )
    assert shape_of_parts == claimed
    transposed, conv = whole[-1].double(), parts[-1].double()
    conv.weight.data = transposed.weight.data.transpose(0, 1).flip(2, 3)
    conv.bias.data = transposed.bias.data
    images = torch.randn(3, *shape, dtype=torch.float64)
    torch.testing.assert_close(parts(images), whole(images), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("line", "kind", "shape"),
    [
        ("conv_transpose 3 4 stride=2", TransposedConv2d, (5, 7, 7)),
        ("conv 1 7", ConvToOne, (32, 9, 8)),
        ("conv 1 5", ConvToOne, (40, 6, 6)),
        ("conv 1 3", ConvToOne, (16, 5, 7)),
    ],
)
def test_what_is_quicker_otherwise_does_the_same(
    line: str, kind: type[nn.Module], shape: Shape, precision: torch.dtype
) -> None:
    torch.manual_seed(0)
    body, _ = build(line, shape=shape)
    (ours,) = body
    assert isinstance(ours, kind)
    plain = (nn.ConvTranspose2d if kind is TransposedConv2d else nn.Conv2d)(
        ours.in_channels, ours.out_channels, ours.kernel_size, ours.stride, ours.padding
    )
    plain.load_state_dict(ours.state_dict())
    images, found = torch.randn(3, *shape), []
    for layer in (ours, plain):
        given = images.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
            out = layer(given)
        assert out.dtype == precision
        out.float().backward(torch.randn(out.shape, generator=torch.manual_seed(1)))
        found.append([out.detach().float(), given.grad, layer.weight.grad, layer.bias.grad])
    error = 1e-5 if precision == torch.float32 else 0.02
    for one, other in zip(*found, strict=True):
        assert float((one - other).norm()) <= error * float(other.norm())


def test_a_convolution_to_one_channel_can_be_differentiated_twice() -> None:
    torch.manual_seed(0)
    layer = ConvToOne(2, 1, 3, 1, 1).double()
    images = torch.randn(2, 2, 4, 3, dtype=torch.float64, requires_grad=True)
    for check in (torch.autograd.gradcheck, torch.autograd.gradgradcheck):
        assert check(_SumOfShifted.apply, (images, layer.weight))


@pytest.mark.parametrize(
    "line", ["conv 1 1", "conv 2 7", "conv 1 7 stride=2", "conv 1 5 pad=valid"]
)
def test_other_convolutions_are_plain(line: str) -> None:
    body, _ = build(line, shape=(32, 9, 9))
    assert type(body[0]) is nn.Conv2d
    few, _ = build("conv 1 3", shape=(15, 9, 9))
    assert type(few[0]) is nn.Conv2d


@pytest.mark.parametrize("lines", [["dense 4 6 6"], ["dense 144", "reshape 4 6 6"]])
def test_images_made_of_numbers_are_laid_out_pixel_by_pixel(lines: list[str]) -> None:
    body, _ = build(*lines, shape=(5,))
    images = body(torch.randn(3, 5))
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert not images.is_contiguous()


def test_reshape_and_flatten_keep_the_order() -> None:
    def through(line: str, batch: Tensor) -> Tensor:
        out: Tensor = build(line, shape=tuple(batch.shape[1:]))[0](batch)
        return out

    batch = torch.arange(24.0).reshape(2, 3, 2, 2)
    assert torch.equal(through("reshape 3 2 2", through("flatten", batch)), batch)
    assert torch.equal(through("flatten", batch)[1], torch.arange(12.0, 24.0))


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["relu", "convv 3 3"], "is no known layer; did you mean 'conv'? (known: avg_pool, batch_"),
        (["relu", "xyzzy"], "is no known layer (known: "),
        (["relu", " "], "is empty; name a layer"),
        (["dense 5"], "gets 2 x 8 x 8; put 'flatten' before it"),
        (["flatten", "conv 3 3"], "gets 128 and needs an image; put 'reshape' before it"),
        (["flatten", "upsample 2"], "needs an image"),
        (["flatten", "max_pool 2"], "gets 128 and needs an image; put 'reshape' before it"),
        (["flatten", "zero_pad 2"], "gets 128 and needs an image; put 'reshape' before it"),
        (["flatten", "dilate 2"], "gets 128 and needs an image; put 'reshape' before it"),
        (["max_pool 9"], "gets 2 x 8 x 8, smaller than its window of 9"),
        (["avg_pool 9"], "gets 2 x 8 x 8, smaller than its window of 9"),
        (["max_pool"], "needs the size of its window, and has 0 numbers"),
        (["avg_pool 0"], "not a whole number of at least 1"),
        (["zero_pad"], "needs the pixels to add on each side, and has 0 numbers"),
        (["dilate 1 2"], "needs the zeros to put between neighbours, and has 2 numbers"),
        (["dilate 2 stride=2"], "has an option 'stride' that 'dilate' does not know"),
        (["upsample 2 mode=cubic"], "has mode=cubic; it is nearest or bilinear"),
        (["upsample 99999"], "would make 2 x 799992 x 799992 numbers of one image; gancli stops"),
        (["zero_pad 99999"], "would make 2 x 200006 x 200006 numbers of one image"),
        (["dilate 99999"], "would make 2 x 700001 x 700001 numbers of one image"),
        (["dense"], "needs 1 to 3 numbers, the shape of its output, and has 0 numbers"),
        (["conv 3"], "needs filters and kernel, and has 1 numbers"),
        (["conv 3 3 1"], "needs filters and kernel, and has 3 numbers"),
        (["conv_transpose"], "needs filters and kernel, and has 0 numbers"),
        (["upsample"], "needs a factor"),
        (["leaky_relu"], "needs a slope"),
        (["leaky_relu steep"], "has 'steep' where a number from 0 to 1 is needed"),
        (["leaky_relu nan"], "has 'nan' where a number"),
        (["dropout 1"], "has '1' where a number from 0 to 0.99 is needed"),
        (["dropout -0.1"], "from 0 to 0.99"),
        (["channel_dropout 1"], "has '1' where a number from 0 to 0.99 is needed"),
        (["flatten", "channel_dropout 0.5"], "gets 128 and needs an image"),
        (["batch_norm eps=0"], "has '0' where a number from 1e-12 to 10 is needed"),
        (["batch_norm epsilon=1"], "has an option 'epsilon' that 'batch_norm' does not know"),
        (["group_norm"], "needs groups, and has 0 numbers"),
        (["group_norm 3"], "gets 2 channels, which do not make 3 groups of a size"),
        (["group_norm 1 eps=0"], "has '0' where a number from 1e-12 to 10 is needed"),
        (["flatten", "group_norm 128"], "gets 128, of which each group has a single number"),
        (["tanh 2"], "needs nothing, and has 1 numbers"),
        (["flatten 2"], "needs nothing"),
        (["batch_norm 2"], "needs nothing"),
        (["conv three 3"], "has 'three' where a whole number is needed"),
        (["conv 0 3"], "not a whole number of at least 1"),
        (["conv -4 3"], "not a whole number of at least 1"),
        (["conv size/3 3"], "has 'size/3', which is not a whole number"),
        (["conv size/0 3"], "has 'size/0' where a whole number is needed"),
        (["conv 1.5 3"], "has '1.5' where a whole number is needed"),
        (["conv 3 9 pad=valid"], "gets 2 x 8 x 8, smaller than its kernel of 9"),
        (["conv 3 4"], "cannot keep the size with a kernel of 4; use an odd one or pad="),
        (["conv 3 2 stride=3"], "has a kernel of 2, smaller than its stride of 3"),
        (["conv 3 3 pad=some"], "has pad=some; it is same, valid, full or a whole number"),
        (["conv 3 3 pad=3"], "has pad=3; it is"),
        (["conv 3 3 pad=1.5"], "has pad=1.5; it is"),
        (["conv 3 3 pad=-1"], "has pad=-1; it is"),
        (["conv 3 3 stride="], "has '' where a whole number is needed"),
        (["conv 3 3 strid=2"], "has an option 'strid' that 'conv' does not know"),
        (["tanh stride=2"], "has an option 'stride' that 'tanh' does not know"),
        (["conv 3 3 groups=2"], "makes 3 channels of 2, which groups=2 does not divide"),
        (["conv 4 3 groups=4"], "makes 4 channels of 2, which groups=4 does not divide"),
        (["conv 4 3 groups=0"], "not a whole number of at least 1"),
        (["residual 1"], "spans 1 layers, and 0 come after it"),
        (["residual"], "needs how many of the layers after it make up the block, and has 0"),
        (["residual 1", "residual 1"], "lies within another; residual blocks do not nest"),
        (["residual 2", "relu", "convv 3 3"], "is no known layer; did you mean 'conv'?"),
        (["residual 2", "conv 2 3", "dense 3"], "gets 2 x 8 x 8; put 'flatten' before it"),
        (["reshape 3 3"], "gets 2 x 8 x 8, which is 128 numbers, not 9"),
        (["flatten", "dense 99999999999"], "not a whole number of at least 1"),
        (["flatten", "dense 2000000000"], "would have 256,000,000,000 weights; gancli stops at"),
        (["conv 2000000000 3"], "weights; gancli stops at"),
        (["conv_transpose 2000000000 3"], "weights; gancli stops at"),
        (["upsample 1" + "0" * 400], "not a whole number of at least 1"),
        (["upsample " + "1" * 5000], "where a whole number is needed"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_line_that_does_not_fit_is_named(lines: list[str], words: str) -> None:
    assert words in refusal(*lines)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["residual 3", "relu", "tanh"], "spans 3 layers, and 2 come after it"),
        (["residual 1 groups=2", "relu"], "has an option 'groups' that 'residual' does not know"),
        (["residual 1", "flatten"], "makes 128 of 2 x 8 x 8; sizes of images may differ by a"),
        (["residual 1", "conv 2 2 pad=valid"], "makes 2 x 7 x 7 of 2 x 8 x 8; sizes"),
        (["residual 1", "reshape 4 4 8"], "makes 4 x 4 x 8 of 2 x 8 x 8; sizes"),
    ],
)
def test_a_block_that_its_input_does_not_fit_is_named(lines: list[str], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build("tanh", *lines)
    assert str(caught.value).startswith(f"generator.layers[1] '{lines[0]}' {words}")


@pytest.mark.parametrize(
    ("inner", "resampled"),
    [
        (["conv 2 3", "leaky_relu 0.2", "conv 2 3"], lambda images: images),
        (
            ["upsample 2", "conv 2 3"],
            lambda images: images.repeat_interleave(2, 2).repeat_interleave(2, 3),
        ),
        (
            ["conv 2 4 stride=2"],
            lambda images: images.unflatten(3, (4, 2)).unflatten(2, (4, 2)).mean((3, 5)),
        ),
    ],
)
def test_a_residual_block_adds_what_goes_in(
    inner: list[str], resampled: Callable[[Tensor], Tensor]
) -> None:
    torch.manual_seed(4)
    body, _ = build("tanh", f"residual {len(inner)}", *inner, "sigmoid")
    assert isinstance(body[1], Residual)
    images = torch.randn(3, 2, 8, 8)
    entering = images.tanh()
    expected = (resampled(entering) + body[1].block(entering)).sigmoid()
    torch.testing.assert_close(body(images), expected)
    assert not torch.allclose(body(images), body[1].block(entering).sigmoid())


def test_a_residual_block_mixes_channels_where_it_has_others() -> None:
    body, _ = build("residual 1", "conv 5 3")
    images = torch.randn(3, 2, 8, 8)
    (mix,) = body[0].way_around  # type: ignore[union-attr, misc]
    mixed = torch.einsum("fc,nchw->nfhw", mix.weight[:, :, 0, 0], images)
    torch.testing.assert_close(body(images), mixed + body[0].block(images))  # type: ignore[operator]


def test_the_channels_of_a_group_come_from_a_group() -> None:
    body, _ = build("conv 4 3 groups=2")
    images = torch.randn(1, 2, 8, 8)
    changed = images.clone()
    changed[:, 1] += 1
    differs = (body(images) != body(changed)).flatten(2).any(2)[0]
    assert differs.tolist() == [False, False, True, True]


def test_a_list_of_too_many_weights_costs_no_memory() -> None:
    assert "gancli stops at" in refusal("flatten", "dense 10000 10000", shape=(3, 28, 28))


WORDS = [
    *("3", "1", "0", "8", "99999", "1e9", "0.5", "nan", "size", "channels/3", "size/2", "\u00e9"),
    *("pad=same", "pad=full", "pad=valid", "pad=2", "stride=2", "stride=9", "=", "a=", "\x00"),
    *("mode=bilinear", "mode=nearest", "mode="),
    *("eps=0.8", "eps=nan"),
    *("groups=2", "groups=3"),
]
NAMES = [
    *("dense", "conv", "conv_transpose", "upsample", "flatten", "reshape", "batch_norm"),
    *("dropout", "leaky_relu", "relu", "sigmoid", "tanh", "con"),
    *("max_pool", "avg_pool", "zero_pad", "dilate", "minibatch_discrimination"),
    *("channel_dropout", "group_norm", "residual"),
]
lines = st.lists(st.sampled_from(WORDS), max_size=4).flatmap(
    lambda words: st.sampled_from(NAMES).map(lambda name: " ".join([name, *words]))
)


@settings(max_examples=400)
@given(st.lists(lines | st.text(max_size=10), max_size=4), st.sampled_from([(5,), (2, 8, 8)]))
def test_any_lines_make_a_network_or_a_config_error(layer_lines: list[str], shape: Shape) -> None:
    try:
        with torch.device("meta"):
            module, claimed = build(*layer_lines, shape=shape)
    except ConfigError as error:
        assert str(error).startswith("generator.layers[")
    else:
        assert module(torch.zeros(2, *shape, device="meta")).shape == (2, *claimed)


def test_on_mps_weights_and_images_lie_in_the_usual_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its convolutions read weights in any other order wrong."""
    assert image_layout(torch.device("mps")) == torch.contiguous_format
    assert image_layout(torch.device("cuda")) == torch.channels_last
    monkeypatch.setattr(layers, "image_layout", lambda device: torch.contiguous_format)
    seen = []
    transposed = layers.conv_transpose2d

    def watched(images: Tensor, weight: Tensor, **options: Any) -> Tensor:
        seen.extend([images, weight])
        return transposed(images, weight, **options)

    monkeypatch.setattr(layers, "conv_transpose2d", watched)
    lines = ["dense 3 4 4", "upsample 2", "conv 5 3"]
    body, _ = build_layers(lines, (2,), ImageShape(1, 8), "generator")
    body(torch.randn(6, 2))
    assert [tuple(each.shape) for each in seen] == [(6, 3, 4, 4), (3, 5, 4, 4)]
    assert all(each.is_contiguous() for each in seen)


@pytest.mark.parametrize(("channels", "filters", "size"), [(1, 3, 4), (5, 2, 7), (16, 8, 14)])
def test_doubling_and_the_convolution_after_it_are_one_layer_that_does_the_same(
    channels: int, filters: int, size: int
) -> None:
    torch.manual_seed(0)
    lines = ["upsample 2", f"conv {filters} 3", "leaky_relu 0.2"]
    fused, shape = build_layers(lines, (channels, size, size), ImageShape(1, 28), "generator")
    plain = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(channels, filters, 3, padding=1))
    assert plain.state_dict().keys() == fused.state_dict().keys()  # saved as the plain layers are
    plain.load_state_dict(fused.state_dict())
    plain.append(nn.LeakyReLU(0.2))
    assert shape == (filters, 2 * size, 2 * size)
    ours = torch.randn(3, channels, size, size, requires_grad=True)
    theirs = ours.detach().clone().requires_grad_()
    drawn, wanted = fused(ours), plain(theirs)
    assert drawn.shape == wanted.shape
    assert torch.allclose(drawn, wanted, rtol=0, atol=2e-6)
    direction = torch.randn_like(drawn)
    drawn.backward(direction)
    wanted.backward(direction)
    for one, other in zip([ours, *fused.parameters()], [theirs, *plain.parameters()], strict=True):
        assert one.grad is not None
        assert torch.allclose(one.grad, other.grad, rtol=1e-4, atol=1e-4)
    assert any(isinstance(module, UpsampledConv2d) for module in fused)


@pytest.mark.parametrize(
    ("lines", "written_over"),
    [
        (["conv 4 3", "leaky_relu 0.2", "conv 2 3", "relu"], 2),
        (["conv_transpose 3 4 stride=2", "leaky_relu 0", "flatten", "dense 3 4 4", "relu"], 2),
        (["conv 4 3", "batch_norm", "relu", "flatten", "dense 9", "leaky_relu 0.3"], 2),
        (["relu", "conv 4 3", "tanh", "leaky_relu 0.2", "sigmoid", "relu"], 0),
        (["upsample 2", "conv 4 3", "relu", "relu", "max_pool 2", "leaky_relu 0.1"], 1),
        (["conv 4 3", "batch_norm", "leaky_relu 0.2", "conv_transpose 2 4 stride=2", "tanh"], 1),
        (["conv 4 3 stride=2", "leaky_relu 0.2", "dropout 0.4", "conv 2 3", "leaky_relu 0.1"], 2),
        (["conv 4 3", "leaky_relu 0.25", "dropout 0.5", "flatten", "dense 1"], 1),
        (["conv 4 3", "group_norm 2", "leaky_relu 0.2", "conv 2 3"], 1),
        (["flatten", "dense 3 4 4", "leaky_relu 0.2", "dropout 0.1", "conv 2 3"], 1),
        (["tanh", "leaky_relu 0.2", "dropout 0.4", "leaky_relu 0.2", "conv 2 3"], 0),
        (["conv 4 3", "relu", "residual 3", "conv 4 3", "leaky_relu 0.2", "conv 4 3", "relu"], 2),
        (["conv 4 3", "relu", "residual 2", "leaky_relu 0.2", "conv 6 3", "leaky_relu 0.1"], 1),
    ],
)
def test_writing_over_what_nobody_needs_changes_no_gradient(
    lines: list[str], written_over: int
) -> None:
    torch.manual_seed(1)
    body, _ = build_layers(lines, (2, 6, 6), ImageShape(1, 28), "generator")
    plain = copy.deepcopy(body)
    slopes = [one for one in body.modules() if isinstance(one, nn.ReLU | nn.LeakyReLU)]
    assert sum(one.inplace for one in slopes) == written_over
    for one in plain.modules():
        if isinstance(one, nn.ReLU | nn.LeakyReLU):
            one.inplace = False
    found = []
    for network in (body, plain):
        # The same seed for what is dropped.
        images = torch.randn(5, 2, 6, 6, generator=torch.manual_seed(2), requires_grad=True)
        out = network(images)
        # Twice, as gradient penalties do.
        (slope,) = torch.autograd.grad(out.square().sum(), images, create_graph=True)
        (out.sum() + slope.square().sum()).backward()
        found.append([out, slope, images.grad, *(one.grad for one in network.parameters())])
    dropped = any(isinstance(one, DroppedLeakyReLU) for one in body.modules())
    for number, (one, other) in enumerate(zip(*found, strict=True)):
        # A gradient's gradient goes through slopes and masks in the other order.
        close = dropped and number > 1
        assert (
            torch.allclose(one, other, rtol=1e-5, atol=1e-6) if close else torch.equal(one, other)
        )


@pytest.mark.parametrize("rate", [0.1, 0.4, 0.75])
def test_a_rectifier_and_dropout_remember_five_bytes_a_number(rate: float) -> None:
    lines = ["conv 4 3", "leaky_relu 0.2", f"dropout {rate}", "conv 2 3"]
    body, _ = build(*lines, shape=(1, 8, 8))
    images = torch.randn(10, 1, 8, 8, generator=torch.manual_seed(2))
    remembered: dict[int, int] = {}

    def look(tensor: Tensor) -> Tensor:
        remembered[tensor.data_ptr()] = tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(look, lambda tensor: tensor):
        out = body[2](body[1](body[0](images)))
        seen = body[3](out)
    numbers = out.numel()
    others = sum(one.nbytes for one in (images, *body.parameters()))
    assert 5 * numbers <= sum(remembered.values()) <= 5 * numbers + others
    seen.sum().backward()
    share = (out == 0).double().mean()
    assert abs(float(share) - rate) < 5 * math.sqrt(rate * (1 - rate) / numbers)


def test_a_rectifier_writes_over_the_gradient_that_a_convolution_gives_it() -> None:
    body, _ = build("conv 4 3", "leaky_relu 0.2", "conv 2 3", "leaky_relu 0.2", shape=(1, 8, 8))
    places: list[int] = []
    middle = body[1](body[0](torch.randn(2, 1, 8, 8)))
    middle.grad_fn.register_prehook(lambda given: places.append(given[0].data_ptr()))
    middle.grad_fn.register_hook(lambda found, _: places.append(found[0].data_ptr()))
    direction = torch.randn(2, 2, 8, 8)
    given = direction.clone()
    body[3](body[2](middle)).backward(direction)
    assert places[0] == places[1]
    assert torch.equal(direction, given)  # nobody's but the user's


@pytest.mark.parametrize(
    "lines",
    [
        ["upsample 2 mode=bilinear", "conv 2 3"],
        ["upsample 3", "conv 2 3"],
        ["upsample 2", "conv 2 5"],
        ["upsample 2", "conv 2 3 pad=valid"],
        ["upsample 2", "conv 2 3 stride=3"],
        ["upsample 2", "relu", "conv 2 3"],
        ["conv 2 3", "upsample 2"],
        ["upsample 2", "conv 2 3 groups=2"],
        ["upsample 2", "residual 1", "conv 2 3"],
    ],
)
def test_other_layers_stay_apart(lines: list[str]) -> None:
    body, _ = build_layers(lines, (2, 6, 6), ImageShape(1, 28), "generator")
    assert not any(isinstance(module, UpsampledConv2d) for module in body)


def test_the_one_layer_starts_from_the_weights_of_the_plain_one() -> None:
    torch.manual_seed(3)
    body, _ = build_layers(["upsample 2", "conv 4 3"], (2, 6, 6), ImageShape(1, 28), "generator")
    drawn_after = torch.rand(3)
    torch.manual_seed(3)
    plain = nn.Conv2d(2, 4, 3, padding=1)
    assert torch.equal(body[1].weight, plain.weight)  # type: ignore[arg-type]
    assert torch.equal(drawn_after, torch.rand(3))
