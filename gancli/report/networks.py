"""The networks of a run as diagrams: boxes of layers, and every weight where there are few."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from gancli import checkpoints
from gancli.config import RunConfig
from gancli.errors import CheckpointError
from gancli.networks import (
    Discriminator,
    Generator,
    build_discriminator,
    build_generator,
    outline,
    parameters,
)
from gancli.report.model import Layer, Network, Neuron, Wire, Wiring
from gancli.runs import RunDirectory

_WIDE, _HIGH = 440, 240
_EDGE = 30
_THINNEST, _THICKEST = 0.8, 7.0


def diagrams(run: RunDirectory, config: RunConfig) -> tuple[Network, Network]:
    """Return generator and discriminator; neurons need a whole checkpoint to be drawn."""
    with torch.device("meta"):
        generator, discriminator = build_generator(config), build_discriminator(config)
    few = outline.has_few_neurons(generator) and outline.has_few_neurons(discriminator)
    tensors = _tensors(run) if few else {}
    averaged = checkpoints.part(tensors, "average.") or checkpoints.part(tensors, "generator.")
    return (
        Network(
            "Generator",
            "generator",
            f"{parameters(generator):,}",
            outline.latent_words(config, generator),
            _boxes(outline.generator_layers(config, generator)),
            _wiring(generator, averaged),
        ),
        Network(
            "Discriminator",
            "discriminator",
            f"{parameters(discriminator):,}",
            outline.sample_words(config, discriminator),
            _boxes(outline.discriminator_layers(config, discriminator)),
            _wiring(discriminator, checkpoints.part(tensors, "discriminator.")),
        ),
    )


def _boxes(layers: Sequence[outline.Layer]) -> tuple[Layer, ...]:
    return tuple(
        Layer(
            layer.name,
            ", ".join(layer.followers),
            outline.spelled(layer.shape),
            f"{layer.parameters:,}" if layer.parameters else "",
        )
        for layer in layers
    )


def _tensors(run: RunDirectory) -> Mapping[str, Tensor]:
    """Return the newest state's tensors; none where there is none, or it is damaged."""
    states = checkpoints.states(run.path)
    try:
        return checkpoints.load(states[0]).tensors if states else {}
    except CheckpointError:
        return {}  # which the page says where it has no samples


def _wiring(network: Generator | Discriminator, tensors: Mapping[str, Tensor]) -> Wiring | None:
    """Lay out a network's neurons from left to right, those of a layer under each other."""
    expected = network.state_dict()
    if set(expected) - set(tensors) or not all(t.isfinite().all() for t in tensors.values()):
        return None
    dense = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    weights = [tensors[f"{name}.weight"] for name in dense]
    sizes = [weights[0].shape[1], *(weight.shape[0] for weight in weights)]
    largest = max(float(weight.abs().max()) for weight in weights) or 1.0
    biases = [[""] * sizes[0]]
    biases += [[f"{bias:.2f}" for bias in tensors[f"{name}.bias"].tolist()] for name in dense]
    places = [
        [
            (_EDGE + (_WIDE - 2 * _EDGE) * column / len(dense), _HIGH * (row + 0.5) / size)
            for row in range(size)
        ]
        for column, size in enumerate(sizes)
    ]
    wires = [
        Wire(
            *places[column][start],
            *places[column + 1][end],
            width=round(_THINNEST + (_THICKEST - _THINNEST) * abs(value) / largest, 2),
            positive=value >= 0,
            words=f"{value:.3g}",
        )
        for column, weight in enumerate(weights)
        for end, row in enumerate(weight.tolist())
        for start, value in enumerate(row)
    ]
    neurons = [
        Neuron(x, y, bias)
        for column, said in zip(places, biases, strict=True)
        for (x, y), bias in zip(column, said, strict=True)
    ]
    return Wiring(_WIDE, _HIGH, tuple(wires), tuple(neurons))
