from __future__ import annotations

from pathlib import Path

import pytest
import torch
from svg import lines, texts
from tiny import TinyConfig, TrainRun

from gancli import checkpoints, palette, preparing, recipes
from gancli.networks import build_discriminator, build_generator, outline, parameters
from gancli.plots import network
from gancli.runs import RunDirectory


@pytest.mark.parametrize("name", recipes.names())
def test_the_layers_of_every_recipe_add_up(name: str) -> None:
    config = preparing.resolve(recipes.build(recipes.read(name), {}, name), classes=10)
    with torch.device("meta"):
        generator, discriminator = build_generator(config), build_discriminator(config)
    drawing = outline.generator_layers(config, generator)
    judging = outline.discriminator_layers(config, discriminator)
    embedding = 0 if generator.embedding is None else parameters(generator.embedding)
    assert sum(layer.parameters for layer in drawing) + embedding == parameters(generator)
    assert sum(layer.parameters for layer in judging) == parameters(discriminator)
    lines_of = [line for layer in drawing for line in (layer.name, *layer.followers)]
    assert lines_of == list(config.generator.layers)
    assert torch.Size(drawing[-1].shape).numel() == torch.Size(config.data.sample_shape).numel()
    assert judging[-1].shape == (10 if discriminator.conditional else 1,)


def test_shapes_and_counts_of_a_small_network(tiny_config: TinyConfig) -> None:
    config = preparing.resolve(tiny_config({"data.conditional": False}), classes=3)
    with torch.device("meta"):
        discriminator = build_discriminator(config)
    assert outline.discriminator_layers(config, discriminator) == [
        outline.Layer("conv 4 4 stride=2", ("leaky_relu 0.2",), (4, 4, 4), 4 * 16 + 4),
        outline.Layer("flatten", (), (64,), 0),
        outline.Layer("dense 8", ("leaky_relu 0.2",), (8,), 8 * 64 + 8),
        outline.Layer("dense 1", (), (1,), 9),
    ]


def test_doubling_is_named_where_it_is_asked_for(tiny_config: TinyConfig) -> None:
    config = preparing.resolve(tiny_config({"data.conditional": False}), classes=3)
    with torch.device("meta"):
        generator = build_generator(config)
    assert outline.generator_layers(config, generator) == [
        outline.Layer("dense 4 size/4 size/4", ("leaky_relu 0.2",), (4, 2, 2), 5 * 16),
        outline.Layer("upsample 2", (), (4, 4, 4), 0),
        outline.Layer("conv 4 3", ("leaky_relu 0.2",), (4, 4, 4), 4 * 36 + 4),
        outline.Layer("upsample 2", (), (4, 8, 8), 0),
        outline.Layer("conv channels 3", ("tanh",), (1, 8, 8), 36 + 1),
    ]


def test_a_residual_block_is_one_layer(tiny_config: TinyConfig) -> None:
    lines = ["residual 3", "upsample 2", "conv 3 3", "leaky_relu 0.2", "conv channels 1", "tanh"]
    layers = ["dense 2 size/2 size/2", *lines]
    changes = {"data.conditional": False, "generator.layers": layers}
    config = preparing.resolve(tiny_config(changes), classes=3)
    with torch.device("meta"):
        generator = build_generator(config)
    assert outline.generator_layers(config, generator) == [
        outline.Layer("dense 2 size/2 size/2", (), (2, 4, 4), 5 * 32),
        outline.Layer("residual 3", tuple(lines[1:4]), (3, 8, 8), 3 * 18 + 3 + 3 * 2),
        outline.Layer("conv channels 1", ("tanh",), (1, 8, 8), 3 + 1),
    ]


def test_a_diagram_names_layers_shapes_and_totals(tiny_run: RunDirectory) -> None:
    network.draw(tiny_run, Path("network.svg"))
    words = texts(Path("network.svg"))
    config = tiny_run.read_config()
    for wanted in (
        f"Generator: {parameters(build_generator(config)):,} parameters",
        f"Discriminator: {parameters(build_discriminator(config)):,} parameters",
        "latent 4, normal; class as 2 (6 parameters)",
        "image 1 x 8 x 8; class picks its logit",
        "dense 4 size/4 size/4",
        "4 x 2 x 2",
        "112 parameters",
        "dense 3",
    ):
        assert wanted in words, wanted


def test_few_neurons_with_a_way_around_them_are_boxes(
    tiny_config: TinyConfig, train_run: TrainRun
) -> None:
    changes = {
        "data.source": "point",
        "latent.size": 1,
        "generator.layers": ["dense 4", "residual 2", "dense 3", "sigmoid", "dense 2"],
        "discriminator.layers": ["dense 2", "sigmoid", "dense 1"],
        "training.steps": 2,
    }
    run = train_run(tiny_config(changes), Path("runs/around")).run
    network.draw(run, Path("network.svg"))
    words = texts(Path("network.svg"))
    assert "residual 2" in words
    assert "dense 3, sigmoid" in words


def test_few_neurons_are_drawn_one_by_one(point_run: RunDirectory) -> None:
    network.draw(point_run, Path("network.svg"))
    tensors = checkpoints.load(checkpoints.states(point_run.path)[0]).tensors
    drawn = [
        tensor
        for part in ("generator.", "discriminator.")
        for name, tensor in checkpoints.part(tensors, part).items()
        if name.endswith("weight")
    ]
    weights = torch.cat([tensor.flatten() for tensor in drawn])
    assert len(weights) == 2 + 4 + 4 + 2
    assert lines(Path("network.svg"), palette.BLUE) == int((weights >= 0).sum())
    assert lines(Path("network.svg"), palette.RED) == int((weights < 0).sum())
    biases = [t for n, t in tensors.items() if n.endswith("bias") and n.startswith("generator.")]
    words = texts(Path("network.svg"))
    assert all(f"{bias:.2f}" in words for bias in torch.cat(biases).tolist())
    assert "one-point: the two networks after 40 steps" in words
    assert {"Generator: 10 parameters", "Discriminator: 9 parameters"} <= set(words)
