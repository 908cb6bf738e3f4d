from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from svg import cells, pictures, texts

from gancli import plots
from gancli.errors import ConfigError
from gancli.losses import LOSSES
from gancli.networks.layers import ImageShape, build_layers
from gancli.plots import topics

WORDS = {
    "convolution": {"image: 28 x 28", "valid: 26 x 26", "full: 30 x 30", "full: 32 x 32", "blur"},
    "max-pooling": {"after max_pool 2: 14 x 14", "gradient mask: 28 x 28", "marked part: 6 x 6"},
    "padding": {"image: 28 x 28", "edge padding: 40 x 40", "pixel padding: 55 x 55", "zero_pad 6"},
    "activations": {"sigmoid", "tanh", "relu", "leaky_relu 0.2", "derivative"},
    "costs": {"cross-entropy", "squared error", "step of gradient descent"},
}


@pytest.mark.parametrize("topic", plots.TOPICS)
def test_every_topic_is_drawn_in_words_and_pixels(topic: str) -> None:
    drawn = plots.plot_topic(topic)
    assert drawn.paths == (Path(f"{topic}.png"),)
    with Image.open(drawn.paths[0]) as picture:
        assert picture.width >= 1300
        assert 600 <= picture.height <= 1600
        assert np.asarray(picture.convert("L")).std() > 20
    plots.plot_topic(topic, suffix=".svg")
    words = {line for text in texts(Path(f"{topic}.svg")) for line in text.split("\n")}
    assert all(any(wanted in word for word in words) for wanted in WORDS[topic])


def test_an_unknown_topic_is_named_with_its_neighbour() -> None:
    with pytest.raises(ConfigError, match=r"no topic 'paddin'; did you mean 'padding'\?"):
        plots.plot_topic("paddin")


def test_a_full_convolution_is_the_textbook_sum() -> None:
    random = torch.Generator().manual_seed(0)
    image = torch.rand(1, 1, 5, 5, generator=random)
    kernel = torch.rand(3, 3, generator=random)
    wanted = torch.zeros(7, 7)
    for row in range(5):  # every pixel leaves the kernel, times itself, where it stands
        for column in range(5):
            wanted[row : row + 3, column : column + 3] += image[0, 0, row, column] * kernel
    full = topics.convolve(image, kernel.tolist(), "full")
    valid = topics.convolve(image, kernel.tolist(), "valid")
    assert torch.allclose(full[0, 0], wanted, atol=1e-6)
    assert torch.allclose(valid[0, 0], wanted[2:5, 2:5], atol=1e-6)


def test_edges_are_found_where_they_are() -> None:
    image = torch.zeros(1, 1, 8, 8)
    image[..., 4:] = 1  # dark on the left, bright on the right: one upright edge
    upright = topics.convolve(image, topics.KERNELS["upright edges"], "valid")[0, 0]
    assert upright.abs().sum(0).nonzero().flatten().tolist() == [2, 3]
    assert topics.convolve(image, topics.KERNELS["level edges"], "valid").abs().max() == 0
    flat = torch.ones(1, 1, 8, 8)
    assert torch.allclose(
        topics.convolve(flat, topics.KERNELS["blur"], "valid"), torch.ones(1, 1, 4, 4)
    )
    assert topics.convolve(flat, topics.KERNELS["outline"], "valid").abs().max() == 0


def test_the_mask_in_the_picture_is_the_gradient_of_max_pooling() -> None:
    plots.plot_topic("max-pooling", Path("pool.svg"))
    image, pooled, mask, *_ = pictures(Path("pool.svg"))
    digit = (topics.example_digit()[0, 0] * 255).numpy()
    assert np.abs(cells(image, 28, 28).astype(int) - digit).max() <= 1
    blocks = digit.reshape(14, 2, 14, 2).transpose(0, 2, 1, 3).reshape(14, 14, 4)
    assert np.abs(cells(pooled, 14, 14).astype(int) - blocks.max(axis=2)).max() <= 1
    wanted = np.eye(4)[blocks.argmax(axis=2)].reshape(14, 14, 2, 2)
    wanted = wanted.transpose(0, 2, 1, 3).reshape(28, 28)
    assert (cells(mask, 28, 28) == 255 * wanted).all()


@pytest.mark.parametrize(
    ("line", "closed"),
    [
        ("sigmoid", lambda x: math.exp(-x) / (1 + math.exp(-x)) ** 2),
        ("tanh", lambda x: 1 - math.tanh(x) ** 2),
        ("relu", lambda x: float(x > 0)),
        ("leaky_relu 0.2", lambda x: 1.0 if x > 0 else 0.2),
    ],
)
def test_derivatives_are_the_closed_forms(line: str, closed) -> None:
    assert line in topics.ACTIVATIONS
    module, _ = build_layers([line], (1,), ImageShape(1, 1), line)
    x = torch.linspace(-4, 4, 40)  # an even number, so that 0 is left out
    wanted = torch.tensor([closed(value) for value in x.tolist()])
    assert torch.allclose(topics.derivative(module, x), wanted, atol=1e-6)


def test_squared_error_sticks_where_cross_entropy_does_not() -> None:
    rate, start = topics.RATE, topics.BAD_START
    found = {}
    for name in ("non-saturating", "mean-squared-error"):
        outputs, costs = topics.descend(LOSSES[name].generator, start, rate, topics.STEPS)
        assert len(outputs) == len(costs) == topics.STEPS + 1
        assert costs == sorted(costs, reverse=True)
        assert outputs == sorted(outputs)
        found[name] = outputs
    first = 1 / (1 + math.exp(-2 * start))
    # Weight and bias see the same gradient, so the logit moves by twice as much.
    for name, pull in (
        ("non-saturating", 1 - first),
        ("mean-squared-error", 2 * (1 - first) ** 2 * first),
    ):
        second = 1 / (1 + math.exp(-(2 * start + 2 * rate * pull)))
        assert found[name][0] == pytest.approx(first, rel=1e-5)
        assert found[name][1] == pytest.approx(second, rel=1e-5)
    reached = {
        name: next(step for step, output in enumerate(outputs) if output > 0.5)
        for name, outputs in found.items()
    }
    assert reached["mean-squared-error"] > 8 * reached["non-saturating"] > 0
