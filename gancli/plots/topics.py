"""Report R3's teaching figures, drawn by gancli's own layers and losses on a digit of MNIST."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import matplotlib.colors as mcolors
import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from torch import Tensor, nn

from gancli import data, palette
from gancli.losses import LOSSES
from gancli.networks.layers import ImageShape, build_layers
from gancli.plots import style

# Prewitt's edges, a box blur, and the outline by Laplace's operator.
KERNELS: Mapping[str, list[list[float]]] = {
    "upright edges": [[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]],
    "level edges": [[-1, -1, -1], [0, 0, 0], [1, 1, 1]],
    "outline": [[0, 1, 0], [1, -4, 1], [0, 1, 0]],
    "blur": [[1 / 25] * 5] * 5,
}
ACTIVATIONS = ("sigmoid", "tanh", "relu", "leaky_relu 0.2")
Cost = Callable[[Tensor, Tensor], Tensor]
"""The generator's side of a loss: logits [n] twice -> scalar."""

BAD_START, RATE, STEPS = -2.5, 0.5, 200
_DIGIT = 4
_SIGNED = "PuOr_r"  # purple below zero, orange above, white at it


def draw(topic: str, target: Path) -> None:
    """Draw a topic of :data:`gancli.plots.TOPICS`."""
    {
        "convolution": _draw_convolution,
        "max-pooling": _draw_max_pooling,
        "padding": _draw_padding,
        "activations": _draw_activations,
        "costs": _draw_costs,
    }[topic](target)


def example_digit() -> Tensor:
    """Return the first four of MNIST's training images: float32 [1, 1, 28, 28], 0 to 1."""
    images = data.load("mnist").train.of_class(_DIGIT).images[:1]
    return images.float() / 255


def layer(line: str, image: Tensor) -> nn.Sequential:
    """Build a layer for images of the shape of ``image`` [1, c, h, w]."""
    _, channels, height, width = image.shape
    module, _ = build_layers([line], (channels, height, width), ImageShape(channels, height), line)
    return module


@torch.no_grad()
def convolve(image: Tensor, kernel: list[list[float]], padding: str) -> Tensor:
    """Convolve an image with a kernel by a ``conv`` layer.

    The layer slides its weights as they are, which is a correlation. As report R3 has it, the
    kernel is rotated by 180 degrees first, which makes it the convolution of the textbooks.

    Args:
        image: [1, 1, height, width].
        kernel: k rows of k numbers.
        padding: ``valid`` or ``full``.

    Returns:
        [1, 1, h - k + 1, w - k + 1] if valid, [1, 1, h + k - 1, w + k - 1] if full.
    """
    module = layer(f"conv 1 {len(kernel)} pad={padding}", image)
    (convolution,) = module
    assert isinstance(convolution, nn.Conv2d) and convolution.bias is not None
    convolution.weight.copy_(torch.tensor(kernel).rot90(2)[None, None])
    convolution.bias.zero_()
    result: Tensor = module(image)
    return result


def derivative(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return d(sum of outputs) / dx by autograd, of the shape of ``x``."""
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(function(x).sum(), x)
    return gradient


def descend(cost: Cost, start: float, rate: float, steps: int) -> tuple[list[float], list[float]]:
    """Teach one sigmoid neuron to answer 1 to the input 1, by plain gradient descent.

    Args:
        cost: of logits.
        start: the first weight and bias; below zero is a bad start, as the output is near 0.
        rate: learning rate.
        steps: how many.

    Returns:
        The output and the cost before each step and after the last: steps + 1 numbers of each.
    """
    neuron, _ = build_layers(["dense 1"], (1,), ImageShape(1, 1), "neuron")
    for parameter in neuron.parameters():
        nn.init.constant_(parameter, start)
    optimizer = torch.optim.SGD(neuron.parameters(), rate)
    outputs, costs = [], []
    for _ in range(steps + 1):
        logits = neuron(torch.ones(1, 1))[:, 0]
        loss = cost(logits, logits)
        outputs.append(logits.sigmoid().item())
        costs.append(loss.item())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return outputs, costs


def _draw_convolution(target: Path) -> None:
    image = example_digit()
    words = "Convolution: a digit under four kernels, valid and full"
    with style.sheet(target, 11, 11.8, words) as figure:
        for row, (name, kernel) in zip(figure.subplots(4, 4), KERNELS.items(), strict=True):
            valid, full = (convolve(image, kernel, padding) for padding in ("valid", "full"))
            room = full.shape[3]
            _show(row[0], image, "image", room)
            numbers = np.array(kernel)
            bright = 3 * float(np.abs(numbers).max())  # pale enough to write on
            style.show_pixels(row[1], numbers, low=-bright, high=bright, colours=_SIGNED)
            row[1].set_title(name, loc="center")
            _write(row[1], numbers, _spelled)
            scale = float(full.abs().max())
            for axes, result, padding in ((row[2], valid, "valid"), (row[3], full, "full")):
                style.show_pixels(
                    axes, _pixels(result), low=-scale, high=scale, colours=_SIGNED, room=room
                )
                axes.set_title(f"{padding}: {_size(result)}", loc="center")
        style.explain(
            figure,
            "Feature maps are orange above zero and purple below. "
            "Each kernel is rotated by 180 degrees before it slides.",
        )


def _draw_max_pooling(target: Path) -> None:
    image = example_digit()
    top, left, side = 10, 12, 6
    part = image[..., top : top + side, left : left + side]
    words = "Max pooling: the largest of every 2 x 2, and where its gradient goes"
    with style.sheet(target, 11, 8.4, words) as figure:
        above, below = figure.subplots(2, 3)
        for row, source, name in ((above, image, "image"), (below, part, "marked part")):
            pool = layer("max_pool 2", source)
            pooled, mask = pool(source), derivative(pool, source)
            _show(row[0], source, name)
            _show(row[1], pooled, "after max_pool 2")
            _show(row[2], mask, "gradient mask")
            if source is part:
                for axes, numbers in zip(row, (source, pooled, mask), strict=True):
                    _write(axes, _pixels(numbers), "{:.2g}".format, 0.5)
                for axes in (row[0], row[2]):
                    axes.vlines([-1, 1], -side / 2, side / 2, color=palette.ORANGE)
                    axes.hlines([-1, 1], -side / 2, side / 2, color=palette.ORANGE)
        style.explain(
            figure,
            "The gradient of the sum of all maxima is 1 at each of them; "
            "where all four are alike, the first is taken.",
        )
        middle = image.shape[3] / 2
        above[0].add_patch(
            Rectangle(
                (left - middle, top - middle),
                side,
                side,
                fill=False,
                edgecolor=palette.ORANGE,
                linewidth=2.5,
            )
        )


def _draw_padding(target: Path) -> None:
    image = example_digit()
    recipes: tuple[tuple[str, list[str]], ...] = (
        ("image", []),
        ("edge padding", ["zero_pad 6"]),
        ("pixel padding", ["dilate 1"]),
        ("pixel, then edge", ["dilate 1", "zero_pad 2"]),
    )
    words = "Padding with zeros: around an image, and between its pixels"
    with style.sheet(target, 14, 5, words) as figure:
        for axes, (name, lines) in zip(figure.subplots(1, len(recipes)), recipes, strict=True):
            padded, own = image, torch.ones_like(image)
            for line in lines:
                module = layer(line, padded)
                padded, own = module(padded), module(own)
            grey = np.repeat(_pixels(padded)[..., None], 3, axis=2)
            tinted = np.where(_pixels(own)[..., None] > 0, grey, mcolors.to_rgb(palette.SKY))
            style.show_pixels(axes, (255 * tinted).round().astype(np.uint8), room=59)
            axes.set_title(
                f"{name}: {_size(padded)}\n{', '.join(lines) or 'as it is'}", loc="center"
            )
        style.explain(figure, "Blue: zeros that were put in, tinted here to be seen.")


def _draw_activations(target: Path) -> None:
    x = torch.linspace(-5, 5, 1001)
    words = "Activations and their derivatives"
    with style.sheet(target, 11, 8, words) as figure:
        for axes, line in zip(figure.subplots(2, 2).flat, ACTIVATIONS, strict=True):
            module, _ = build_layers([line], (1,), ImageShape(1, 1), line)
            axes.set_title(line)
            axes.axhline(0, color=palette.MUTED, linewidth=1)
            axes.axvline(0, color=palette.MUTED, linewidth=1)
            axes.plot(x, module(x), color=palette.BLUE, label="activation")
            slope = derivative(module, x)
            axes.plot(x, slope, color=palette.VERMILLION, linestyle="--", label="derivative")
            axes.margins(x=0)
            axes.set_ylim(*((-1.15, 1.15) if line == "tanh" else (None, None)))
            axes.legend(loc="upper left")


def _draw_costs(target: Path) -> None:
    costs = (
        ("cross-entropy", LOSSES["non-saturating"].generator, palette.BLUE, "-"),
        ("squared error", LOSSES["mean-squared-error"].generator, palette.VERMILLION, "--"),
    )
    words = "Cross-entropy against squared error, from a bad start"
    with style.sheet(target, 14, 5, words) as figure:
        outputs, falling, slopes = figure.subplots(1, 3)
        logits = torch.linspace(-8, 8, 1001)
        for name, cost, colour, dash in costs:
            look = {"color": colour, "linestyle": dash, "label": name}
            output, value = descend(cost, BAD_START, RATE, STEPS)
            outputs.plot(output, **look)
            falling.plot(value, **look)
            slopes.plot(logits.sigmoid(), -derivative(partial(_total, cost), logits), **look)
        outputs.set(title="Output; it should be 1", xlabel="step of gradient descent")
        falling.set(title="Cost", xlabel="step of gradient descent")
        slopes.set(title="Pull on the neuron, -d cost / d input", xlabel="output")
        outputs.set_ylim(-0.03, 1.03)
        for axes in (outputs, falling, slopes):
            axes.legend()
        style.explain(
            figure,
            f"One sigmoid neuron, weight and bias {BAD_START:g} at the start, learning rate "
            f"{RATE:g}: where it is surely wrong, squared error hardly pulls.",
        )


def _total(cost: Cost, logits: Tensor) -> Tensor:
    """Undo the mean that a cost takes over its logits."""
    return len(logits) * cost(logits, logits)


def _show(axes: Axes, image: Tensor, name: str, room: int | None = None) -> None:
    style.show_pixels(axes, _pixels(image), high=1, room=room)
    axes.set_title(f"{name}: {_size(image)}", loc="center")


def _write(
    axes: Axes,
    numbers: npt.NDArray[np.floating],
    spell: Callable[[float], str],
    dark: float = -np.inf,
) -> None:
    """Write each number on its square; those below ``dark`` in white, as their squares are dark."""
    height, width = numbers.shape
    for row, line in enumerate(numbers.tolist()):
        for column, number in enumerate(line):
            axes.text(
                column - (width - 1) / 2,
                row - (height - 1) / 2,
                spell(number),
                color="white" if number < dark else palette.INK,
                ha="center",
                va="center",
            )


def _spelled(number: float) -> str:
    return "1/25" if number == 1 / 25 else f"{number:g}"


def _pixels(image: Tensor) -> npt.NDArray[np.float32]:
    pixels: npt.NDArray[np.float32] = image.detach()[0, 0].numpy()
    return pixels


def _size(image: Tensor) -> str:
    return f"{image.shape[2]} x {image.shape[3]}"
