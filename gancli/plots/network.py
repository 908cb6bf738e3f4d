"""Both networks of a run as a diagram: boxes of layers, or neurons where there are few."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch
from torch import Tensor, nn

from gancli import checkpoints, palette
from gancli.checkpoints import Checkpoint
from gancli.config import RunConfig
from gancli.networks import (
    Discriminator,
    Generator,
    build_discriminator,
    build_generator,
    outline,
    parameters,
)
from gancli.plots import style
from gancli.runs import RunDirectory

_ENTRY, _BOX, _GAP, _WIDE = 0.4, 0.62, 0.26, 6.2
"""Inches: heights of the line of words on top, of a layer's box, of the space above it; width."""


def draw(run: RunDirectory, target: Path) -> None:
    """Draw the networks of a run; where every layer has few neurons, with its trained weights.

    Raises:
        CheckpointError: the run's newest checkpoint is damaged.
    """
    config = run.read_config()
    with torch.device("meta"):
        networks = build_generator(config), build_discriminator(config)
    states = checkpoints.states(run.path)
    if states and all(outline.has_few_neurons(network) for network in networks):
        _draw_neurons(run, config, *networks, checkpoints.load(states[0]), target)
    else:
        _draw_boxes(run, config, *networks, target)


def _draw_boxes(
    run: RunDirectory,
    config: RunConfig,
    generator: Generator,
    discriminator: Discriminator,
    target: Path,
) -> None:
    columns = (
        (
            f"Generator: {parameters(generator):,} parameters",
            outline.latent_words(config, generator),
            outline.generator_layers(config, generator),
            palette.GENERATOR,
        ),
        (
            f"Discriminator: {parameters(discriminator):,} parameters",
            outline.sample_words(config, discriminator),
            outline.discriminator_layers(config, discriminator),
            palette.DISCRIMINATOR,
        ),
    )
    title = f"{run.name}: the two networks"
    most = max(len(layers) for _, _, layers, _ in columns)
    height = _ENTRY + most * (_BOX + _GAP) + 0.05
    with style.sheet(target, 2 * _WIDE + 0.6, height + 1.2, title) as figure:
        for axes, (words, entry, layers, colour) in zip(
            figure.subplots(1, 2), columns, strict=True
        ):
            axes.set_title(words, color=colour, fontweight="bold")
            axes.set(xlim=(0, _WIDE), ylim=(height, 0))
            axes.axis("off")
            axes.text(0.2, _ENTRY / 2, entry, va="center")
            for index, layer in enumerate(layers):
                _draw_box(axes, layer, _ENTRY + index * (_BOX + _GAP) + _GAP, colour)


def _draw_box(axes: Axes, layer: outline.Layer, top: float, colour: str) -> None:
    axes.annotate(
        "",
        (0.5, top),
        (0.5, top - _GAP),
        arrowprops={"arrowstyle": "-|>", "color": palette.MUTED, "shrinkA": 0, "shrinkB": 0},
    )
    axes.add_patch(
        FancyBboxPatch(
            (0.05, top),
            _WIDE - 0.1,
            _BOX,
            boxstyle="round,pad=0,rounding_size=0.08",
            facecolor=colour + ("22" if layer.parameters else "08"),
            edgecolor=colour,
            linewidth=1.2,
        )
    )
    upper, lower, middle = top + 0.21, top + 0.44, top + _BOX / 2
    alone = not layer.followers
    axes.text(0.2, middle if alone else upper, layer.name, va="center", fontweight="bold")
    axes.text(0.2, lower, ", ".join(layer.followers), va="center", fontsize=10, color=palette.MUTED)
    right: dict[str, Any] = {"ha": "right", "va": "center"}
    axes.text(
        _WIDE - 0.2, upper if layer.parameters else middle, outline.spelled(layer.shape), **right
    )
    if layer.parameters:
        count = f"{layer.parameters:,} parameters"
        axes.text(_WIDE - 0.2, lower, count, fontsize=10, color=palette.MUTED, **right)


def _draw_neurons(
    run: RunDirectory,
    config: RunConfig,
    generator: Generator,
    discriminator: Discriminator,
    state: Checkpoint,
    target: Path,
) -> None:
    """Draw report R3's diagram: weights blue where positive, red where negative."""
    part = checkpoints.part
    averaged = part(state.tensors, "average.") or part(state.tensors, "generator.")
    columns = (
        (
            "Generator",
            generator,
            averaged,
            outline.generator_layers(config, generator),
            palette.GENERATOR,
        ),
        (
            "Discriminator",
            discriminator,
            part(state.tensors, "discriminator."),
            outline.discriminator_layers(config, discriminator),
            palette.DISCRIMINATOR,
        ),
    )
    title = f"{run.name}: the two networks after {state.step:,} steps"
    with style.sheet(target, 2 * _WIDE + 0.6, 6, title) as figure:
        for axes, (name, network, tensors, layers, colour) in zip(
            figure.subplots(1, 2), columns, strict=True
        ):
            checkpoints.check_tensors(network.state_dict(), tensors, state.path)
            checkpoints.check_finite(tensors, state.path)
            count = f"{name}: {parameters(network):,} parameters"
            axes.set_title(count, color=colour, fontweight="bold")
            dense = [n for n, module in network.named_modules() if isinstance(module, nn.Linear)]
            _draw_weights(axes, [(tensors[f"{n}.weight"], tensors[f"{n}.bias"]) for n in dense])
            words = [
                "\n".join((layer.name, *layer.followers)) for layer in layers if layer.parameters
            ]
            for x, label in enumerate(["input", *words]):
                axes.text(x, -1.3, label, ha="center", va="top", fontsize=11)
        style.explain(
            figure,
            "a line is a weight: blue above zero, red and dashed below; the wider, the larger. "
            "In a neuron stands its bias.",
        )


def _draw_weights(axes: Axes, layers: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Draw neurons from left to right, and every weight as a line between two of them.

    Args:
        axes: where to; the inputs stand at x = 0, layer k at x = k, all within y = -1 to 1.
        layers: weight [out, in] and bias [out] of each.
    """
    sizes = [layers[0][0].shape[1], *(weight.shape[0] for weight, _ in layers)]
    most = max(2, *sizes)
    largest = max(float(weight.abs().max()) for weight, _ in layers) or 1.0
    places = [((size - 1) / 2 - np.arange(size)) * 2 / (most - 1) for size in sizes]
    for x, (weight, _) in enumerate(layers):
        for end, row in enumerate(weight.tolist()):
            for start, value in enumerate(row):
                axes.plot(
                    [x, x + 1],
                    [places[x][start], places[x + 1][end]],
                    color=palette.BLUE if value >= 0 else palette.RED,
                    linestyle="-" if value >= 0 else (0, (3, 1.5)),
                    linewidth=0.5 + 5 * abs(value) / largest,
                    zorder=1,
                )
    for x, place in enumerate(places):
        axes.scatter(
            np.full(len(place), x),
            place,
            s=1600 / math.sqrt(most),
            color="white",
            edgecolors=palette.INK,
            zorder=2,
        )
        if x:
            for y, bias in zip(place, layers[x - 1][1].tolist(), strict=True):
                axes.text(x, y, f"{bias:.2f}", ha="center", va="center", fontsize=9)
    axes.set(xlim=(-0.4, len(sizes) - 0.6), ylim=(-1.9, 1.2))
    axes.axis("off")
