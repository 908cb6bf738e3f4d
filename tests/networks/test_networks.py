from __future__ import annotations

import math

import pytest
import torch
from tiny import TinyConfig
from torch import nn

from gancli import networks, preparing
from gancli.config import RunConfig
from gancli.errors import ConfigError
from gancli.networks import (
    build_discriminator,
    build_generator,
    has_batch_statistics,
    mixing_layer,
    parameters,
    place,
)

CLASSES = 3


def resolved(tiny_config: TinyConfig, **changes: object) -> RunConfig:
    """Return a tiny config, its keys changed (with __ for the dot), conditional on 3 classes."""
    wanted = tiny_config({key.replace("__", "."): value for key, value in changes.items()})
    return preparing.resolve(wanted, CLASSES)


def test_a_generator_makes_images_of_latents_and_labels(tiny_config: TinyConfig) -> None:
    torch.manual_seed(0)
    generator = build_generator(resolved(tiny_config))
    latents, labels = torch.randn(5, 4), torch.tensor([0, 1, 2, 0, 1])
    images = generator(latents, labels)
    assert images.shape == (5, 1, 8, 8)
    assert images.abs().max() <= 1
    assert not torch.allclose(images, generator(latents, labels.flip(0)), atol=1e-4)


def test_an_unconditional_generator_looks_at_no_labels(tiny_config: TinyConfig) -> None:
    generator = build_generator(resolved(tiny_config, data__conditional=False))
    assert generator.classes == 0
    assert generator(torch.randn(2, 4)).shape == (2, 1, 8, 8)


def test_a_flat_end_is_folded_into_the_image(tiny_config: TinyConfig) -> None:
    torch.manual_seed(0)
    flat = build_generator(resolved(tiny_config, generator__layers=["dense 64"]))
    folded = build_generator(resolved(tiny_config, generator__layers=["dense 64", "reshape 1 8 8"]))
    folded.load_state_dict(flat.state_dict())
    latents, labels = torch.randn(3, 4), torch.tensor([0, 1, 2])
    assert torch.equal(flat(latents, labels), folded(latents, labels))


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["dense 60"], "generator.layers end in 60, and the image needs 1 x 8 x 8 (or 64)"),
        (["dense 1 8 4"], "generator.layers end in 1 x 8 x 4, and the image needs 1 x 8 x 8"),
        (["dens 64"], "generator.layers[0] 'dens 64' is no known layer; did you mean 'dense'?"),
    ],
)
def test_a_generator_of_something_else_is_refused(
    tiny_config: TinyConfig, lines: list[str], words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        build_generator(resolved(tiny_config, generator__layers=lines))
    assert words in str(caught.value)


@pytest.mark.parametrize("last", ["dense 2", "sigmoid", "dense 1 1 1"])
def test_a_discriminator_ends_in_one_logit(tiny_config: TinyConfig, last: str) -> None:
    with pytest.raises(ConfigError, match=r"discriminator\.layers end in .*must be 'dense 1'"):
        build_discriminator(resolved(tiny_config, discriminator__layers=["flatten", last]))


def test_a_conditional_discriminator_reads_the_logit_of_the_label(tiny_config: TinyConfig) -> None:
    torch.manual_seed(0)
    discriminator = build_discriminator(resolved(tiny_config))
    images, labels = torch.randn(4, 1, 8, 8), torch.tensor([2, 0, 1, 2])
    every = discriminator.body(images)
    assert every.shape == (4, CLASSES)
    assert torch.equal(discriminator(images, labels), every[range(4), labels])


def test_an_image_does_not_change_the_logit_of_another(tiny_config: TinyConfig) -> None:
    torch.manual_seed(0)
    discriminator = build_discriminator(resolved(tiny_config, data__conditional=False))
    images = torch.randn(6, 1, 8, 8)
    alone = torch.cat([discriminator(image[None]) for image in images])
    torch.testing.assert_close(discriminator(images), alone)


def test_parameters_are_counted(tiny_config: TinyConfig) -> None:
    generator = build_generator(resolved(tiny_config, generator__layers=["dense 64"]))
    embedding = CLASSES * 2
    assert parameters(generator) == embedding + (4 + 2) * 64 + 64
    discriminator = build_discriminator(
        resolved(tiny_config, discriminator__layers=["conv 5 3", "flatten", "dense 1"])
    )
    assert parameters(discriminator) == (5 * 9 + 5) + (5 * 64 + 1) * CLASSES


def test_the_normal_law_has_its_spread_and_no_bias(tiny_config: TinyConfig) -> None:
    torch.manual_seed(0)
    layers = ["dense 64 8 8", "conv 32 3", "conv_transpose 32 3", "conv 1 1"]
    generator = build_generator(
        resolved(tiny_config, generator__layers=layers, generator__init="normal 0.02")
    )
    weighty = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
    modules = [module for module in generator.modules() if isinstance(module, weighty)]
    weights = torch.cat([module.weight.flatten() for module in modules])
    assert weights.numel() > 30_000
    assert 0.0195 < weights.std() < 0.0205
    assert abs(weights.mean()) < 5 * 0.02 / math.sqrt(weights.numel())
    assert all(module.bias is not None and not module.bias.any() for module in modules)
    assert len(modules) == 4


def test_the_law_of_he_keeps_the_size_of_signals(tiny_config: TinyConfig) -> None:
    torch.manual_seed(0)
    layers = ["dense 64 8 8", "conv 64 3", "conv 1 1"]
    generator = build_generator(
        resolved(tiny_config, generator__layers=layers, generator__init="he")
    )
    dense, conv = generator.body[0][0], generator.body[1]
    for module, inputs in ((dense, 4 + 2), (conv, 64 * 9)):
        spread = math.sqrt(2 / (1 + 0.2**2) / inputs)  # for leaky rectifiers of slope 0.2
        assert 0.97 * spread < module.weight.std() < 1.03 * spread
        assert not module.bias.any()


def test_the_law_of_xavier_weighs_inputs_and_outputs_alike(tiny_config: TinyConfig) -> None:
    torch.manual_seed(0)
    layers = ["dense 64 8 8", "conv 96 3", "conv_transpose 32 3", "conv 1 1"]
    generator = build_generator(
        resolved(tiny_config, generator__layers=layers, generator__init="xavier")
    )
    dense, conv, transposed = generator.body[0][0], generator.body[1], generator.body[2]
    for module, ends in (
        (dense, 4 + 2 + 64 * 64),
        (conv, (64 + 96) * 9),
        (transposed, (96 + 32) * 9),
    ):
        spread = math.sqrt(2 / ends)
        assert 0.98 * spread < module.weight.std() < 1.02 * spread
        # Normal, not uniform: a twentieth lies beyond two spreads, and no end cuts it off.
        assert 0.04 < (module.weight.abs() > 2 * spread).float().mean() < 0.052
        assert not module.bias.any()


@pytest.mark.parametrize(
    "init", ["xavier 1", "he 1", "normal", "normal x", "normal 0", "normal nan", "uniform 1", ""]
)
def test_an_unknown_law_is_refused(tiny_config: TinyConfig, init: str) -> None:
    wanted = resolved(tiny_config, generator__init=init, discriminator__init=init)
    for build, name in ((build_generator, "generator"), (build_discriminator, "discriminator")):
        with pytest.raises(
            ConfigError, match=rf"{name}\.init = '{init}': write default, he, xavier, or normal"
        ):
            build(wanted)


def test_the_seed_of_torch_makes_the_weights(tiny_config: TinyConfig) -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return torch.nn.utils.parameters_to_vector(
            build_generator(resolved(tiny_config)).parameters()
        )

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_another_layout_in_memory_changes_nothing_but_rounding(tiny_config: TinyConfig) -> None:
    torch.manual_seed(0)
    discriminator = build_discriminator(resolved(tiny_config, data__conditional=False))
    images = torch.randn(4, 1, 8, 8)
    before = discriminator(images)
    place(discriminator, "cpu")
    torch.testing.assert_close(discriminator(images), before)


def test_weights_lie_as_the_device_reads_them(
    tiny_config: TinyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of one channel, a kernel lies in both ways at once.
    layers = ["conv 4 3", "conv 6 3", "flatten", "dense 1"]
    config = resolved(tiny_config, discriminator__layers=layers)
    kernels: dict[torch.memory_format, list[bool]] = {}
    for layout in (torch.channels_last, torch.contiguous_format):
        monkeypatch.setattr(networks, "image_layout", lambda device, layout=layout: layout)
        discriminator = build_discriminator(config)
        place(discriminator, "cpu")
        kernels[layout] = [
            weight.is_contiguous(memory_format=layout)
            for weight in discriminator.parameters()
            if weight.ndim == 4
        ]
    assert kernels == {layout: [True, True] for layout in kernels}


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        (["batch_norm", "flatten"], "batch_norm"),
        (["flatten", "batch_norm"], "batch_norm"),
        (["residual 2", "conv 1 3", "batch_norm", "flatten"], "batch_norm"),
        (["flatten", "minibatch_discrimination 3 2"], "minibatch_discrimination"),
    ],
)
def test_batch_statistics_are_noticed(tiny_config: TinyConfig, lines: list[str], name: str) -> None:
    with_norm = resolved(tiny_config, discriminator__layers=[*lines, "dense 1"])
    assert has_batch_statistics(build_discriminator(with_norm))
    assert mixing_layer(build_discriminator(with_norm)) == name
    assert not has_batch_statistics(build_discriminator(resolved(tiny_config)))


@pytest.mark.parametrize("key", ["batch_size", "generator_batch_size"])
@pytest.mark.parametrize("name", ["batch_norm", "minibatch_discrimination 3 2"])
def test_a_batch_of_one_has_nothing_to_compare(
    tiny_config: TinyConfig, name: str, key: str
) -> None:
    changes = {
        "data.conditional": False,
        "discriminator.layers": ["flatten", name, "dense 1"],
        f"training.{key}": 1,
    }
    message = f"training.{key} = 1: '{name.split(maxsplit=1)[0]}' needs two images or more"
    with pytest.raises(ConfigError, match=message):
        preparing.prepare(tiny_config(changes))
    preparing.prepare(tiny_config({**changes, f"training.{key}": 2}))


def test_labels_and_a_batch_of_g_s_own_do_not_go_together(tiny_config: TinyConfig) -> None:
    for conditional in (True, "auto"):
        changes = {"training.generator_batch_size": 8, "data.conditional": conditional}
        with pytest.raises(ConfigError, match=r"generator_batch_size does not go with labels"):
            preparing.resolve(tiny_config(changes), CLASSES)
    unlabelled = tiny_config({"training.generator_batch_size": 8})
    assert preparing.resolve(unlabelled, classes=1).data.conditional is False
