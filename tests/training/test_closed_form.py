"""Gradients written out are autograd's, and are taken where they are and nowhere else."""

from __future__ import annotations

import copy
import dataclasses
import math
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tiny import TinyConfig
from torch import Tensor, nn

from gancli import api, preparing, recipes
from gancli.config import RunConfig
from gancli.errors import TrainingError
from gancli.losses import LOSSES, cross_entropy
from gancli.networks import Discriminator, Generator
from gancli.networks.layers import ImageShape, build_layers
from gancli.training.closed_form import (
    Chain,
    _at_input,
    _strides_over_few_channels,
    discriminator_slopes,
    generator_slopes,
)
from gancli.training.state import TrainState, create
from gancli.training.step import train_step

CPU = torch.device("cpu")
SHAPE = (2, 3, 2)
ACTIVATIONS = ["relu", "leaky_relu 0.2", "leaky_relu 0", "sigmoid", "tanh", "dropout 0.4"]
DENSE_D = ["flatten", "dense 12", "relu", "dense 1"]
DENSE: dict[str, Any] = {
    "data.conditional": False,
    "generator.layers": ["dense 12", "leaky_relu 0.2", "dropout 0.2", "dense 64", "tanh"],
    "discriminator.layers": ["flatten", "dense 12", "relu", "dropout 0.4", "dense 1"],
}

layers_of_a_chain = st.lists(
    st.one_of(
        st.sampled_from(ACTIVATIONS),
        st.integers(1, 5).map("dense {}".format),
        st.sampled_from(["dense 2 3", "dense 2 1 2"]),
    ),
    max_size=7,
)


def lines_of(middle: list[str], end: str) -> list[str]:
    """Put a flatten before every dense layer, as shapes may have changed before it."""
    return [part for line in [*middle, end] for part in line_with_view(line)]


def line_with_view(line: str) -> list[str]:
    return ["flatten", line] if line.startswith("dense") else [line]


def generator(middle: list[str], end: str = "dense 12") -> Generator:
    lines = lines_of(middle, end) if end else middle
    body, _ = build_layers(lines, (4,), ImageShape(2, 4), "generator")
    return Generator(body, 0, 0, SHAPE)


def discriminator(middle: list[str]) -> Discriminator:
    lines = lines_of(middle, "dense 1")
    return Discriminator(build_layers(lines, SHAPE, ImageShape(2, 4), "discriminator")[0], False)


def gradients(network: Generator | Discriminator) -> list[Tensor]:
    found = [weight.grad for weight in network.parameters()]
    assert all(gradient is not None for gradient in found)
    return [gradient for gradient in found if gradient is not None]


def autograd_and_chain(
    network: Generator | Discriminator, batch: Tensor, seed: int
) -> tuple[list[Tensor], list[Tensor]]:
    """Return output, gradient at the input and at all weights: by autograd, and by a chain."""
    chain = Chain(network)
    batch = batch.clone().requires_grad_()
    torch.manual_seed(seed)
    output = network(batch)
    slopes = torch.randn(output.shape, generator=torch.Generator().manual_seed(seed)).to(output)
    output.backward(slopes)
    assert batch.grad is not None
    theirs = [output.detach(), batch.grad, *gradients(network)]
    torch.manual_seed(seed)
    found = chain(batch.detach())
    assert not found.requires_grad
    at_input = chain.backward(slopes, frozen=True)
    assert not chain.vector.gradient.any()
    chain.backward(slopes)
    return theirs, [found, at_input, *learned(chain)]


def learned(chain: Chain) -> list[Tensor]:
    """Return the gradients at all weights that a chain has found."""
    return [gradient.clone() for gradient in chain.vector.parts(chain.vector.gradient)]


@pytest.mark.parametrize(("dtype", "error"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
@settings(max_examples=60)
@given(middle=layers_of_a_chain, seed=st.integers(0, 999), draws=st.booleans())
def test_a_chain_has_the_gradients_of_autograd(
    dtype: torch.dtype, error: float, middle: list[str], seed: int, draws: bool
) -> None:
    torch.manual_seed(seed)
    network = (generator(middle) if draws else discriminator(middle)).to(dtype)
    batch = torch.randn((6, 4) if draws else (6, *SHAPE), dtype=dtype)
    for ours, theirs in zip(*autograd_and_chain(network, batch, seed), strict=True):
        assert ours.shape == theirs.shape
        assert ours.dtype == dtype
        assert float((ours - theirs).norm()) <= error * float(theirs.norm())


@pytest.mark.parametrize(("dtype", "error"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("first", [[], ["batch_norm"]])
def test_a_chain_normalises_batches_as_autograd_does(
    dtype: torch.dtype, error: float, first: list[str]
) -> None:
    torch.manual_seed(2)
    middle = ["dense 9", "batch_norm eps=0.8", "leaky_relu 0.2", "dense 8", "batch_norm", "tanh"]
    network = generator(first + middle).to(dtype)
    once = copy.deepcopy(network)
    batch = torch.randn(6, 4, dtype=dtype)
    for ours, theirs in zip(*autograd_and_chain(network, batch, 3), strict=True):
        assert float((ours - theirs).norm()) <= error * float(theirs.norm())
    noted = copy.deepcopy(once)
    once(batch)
    Chain(noted)(batch)
    for ours, theirs in zip(noted.buffers(), once.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)
    counted = [int(one) for one in noted.buffers() if not one.is_floating_point()]
    assert counted == [1] * (2 + len(first))


@pytest.mark.parametrize(
    ("channels", "kernel", "stride", "padding", "size", "taken"),
    [
        (1, 4, 2, 1, 28, True),
        (3, 6, 3, 2, 29, True),
        (2, 2, 2, 0, 8, True),
        (1, 4, 4, 0, 12, True),
        (1, 4, 4, 0, 13, False),  # a row that no window sees
        (1, 3, 2, 1, 8, False),
        (1, 3, 1, 1, 8, False),
        (8, 4, 2, 1, 8, False),
    ],
)
def test_the_gradient_at_images_by_subpixels(
    channels: int, kernel: int, stride: int, padding: int, size: int, taken: bool
) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(channels, 5, kernel, stride, padding).double()
    images = torch.randn(3, channels, size, size, dtype=torch.float64, requires_grad=True)
    assert _strides_over_few_channels(layer, images) == taken
    out = layer(images)
    gradient = torch.randn_like(out)
    (expected,) = torch.autograd.grad(out, images, gradient)
    found = _at_input(layer, gradient, images.detach(), layer.weight.detach())
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("line", ACTIVATIONS)
def test_every_layer_counts_in_a_chain(line: str) -> None:
    """The comparison above would notice a layer that a chain forgets."""
    torch.manual_seed(3)
    network = generator(["dense 30", line])
    chain = Chain(network)
    del chain.layers[2]
    batch = torch.randn(6, 4)
    assert not torch.allclose(chain(batch), network(batch), rtol=1e-2)


@pytest.mark.parametrize(
    "middle", [["dense 9", "leaky_relu 0.2", "dropout 0.4"], ["relu"]], ids=str
)
def test_in_16_bits_a_chain_computes_what_its_network_does(middle: list[str]) -> None:
    torch.manual_seed(5)
    for network, batch in [
        (generator(middle), torch.randn(6, 4)),
        (generator([*middle, "dense 12", "tanh"], end=""), torch.randn(6, 4)),
        (discriminator(middle), torch.randn(6, *SHAPE)),
    ]:
        network.half_precision = True
        exact, rough = copy.deepcopy(network), autograd_and_chain(network, batch, 7)
        exact.half_precision = False
        in_full = autograd_and_chain(exact, batch, 7)[0]
        for ours, theirs, full in zip(rough[1], rough[0], in_full, strict=True):
            assert ours.dtype == torch.float32
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
            assert not torch.equal(ours, full)
            assert float((ours - full).norm()) < 0.05 * float(full.norm())


@pytest.mark.parametrize("line", ["leaky_relu 0.2", "relu", "batch_norm", "dropout 0.4"])
@pytest.mark.parametrize("end", ["dense 12", "tanh"])
def test_gradients_alone_can_be_in_16_bits(line: str, end: str) -> None:
    """What is drawn stays as it is; the gradients keep to within the rounding of 16 bits."""
    torch.manual_seed(4)
    layers = ["dense 40", line, "dense 40", "leaky_relu 0.2", "dense 12"]
    network = generator(layers, end="") if end == "dense 12" else generator([*layers, end], end="")
    batch, slopes = torch.randn(32, 4), torch.randn(32, *SHAPE)
    drawn, found = [], []
    for rough in (False, True):
        chain = Chain(network, rough_gradients=rough)
        torch.manual_seed(6)
        drawn.append(chain(batch))
        chain.backward(slopes)
        found.append(learned(chain))
    assert torch.equal(*drawn)
    length = math.hypot(*(float(exact.norm()) for exact in found[0]))
    for exact, rounded in zip(*found, strict=True):
        assert rounded.dtype == torch.float32
        assert not torch.equal(rounded, exact)
        assert float((rounded - exact).norm()) < 0.01 * length


def test_a_generator_that_draws_in_32_bits_may_have_gradients_in_16() -> None:
    for precision, expected in (("fp32", False), ("bf16", True)):
        config = api.describe("r4-base", settings={"training.precision": precision})
        state = create(config, CPU)
        assert config.generator.exact
        assert not state.generator.half_precision
        assert state.chains is not None
        assert state.chains.generator is not None
        assert state.chains.generator.rough_gradients is expected


@pytest.mark.parametrize("end", ["tanh", "sigmoid"])
def test_in_16_bits_what_is_black_or_white_can_still_change(end: str) -> None:
    """Of 6, a bounded layer in 16 bits makes 1, with a slope of 0."""
    network = generator(["dense 12", end], end="")
    with torch.no_grad():
        network.body[0].weight.zero_()  # type: ignore[union-attr, operator]
        network.body[0].bias.fill_(6.0)  # type: ignore[union-attr, operator]
    network.half_precision = True
    batch = torch.randn(6, 4)
    for drawn in (network(batch), Chain(network)(batch)):
        assert drawn.dtype == torch.float32
        assert 1e-6 < 1 - drawn.max().item() < 3e-3
    for found in autograd_and_chain(network, batch, 1):
        assert all(float(gradient.abs().max()) > 1e-6 for gradient in found[2:])


@pytest.mark.parametrize("name", ["minimax", "non-saturating", "relativistic"])
def test_slopes_are_those_of_the_losses(name: str) -> None:
    # Beyond 20, torch rounds softplus to a straight line.
    reach = 9.9 if name == "relativistic" else 19.9
    line = torch.linspace(-reach, reach, 20, dtype=torch.float64)
    logits = torch.stack([line, line.flip(0)]).requires_grad_()
    real, fake = logits
    game = LOSSES[name]
    (expected,) = torch.autograd.grad(game.discriminator(real, fake), logits)
    labels = torch.tensor([[1.0], [0.0]]).expand(2, 20)
    found = discriminator_slopes(name, logits.detach(), labels)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    (expected,) = torch.autograd.grad(game.generator(fake, real), fake)
    found = generator_slopes(name, fake.detach(), real.detach())
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


@given(st.lists(st.tuples(st.floats(-15, 15), st.floats(0, 2)), min_size=2, max_size=12))
def test_slopes_are_those_of_smoothed_labels(images: list[tuple[float, float]]) -> None:
    values = torch.tensor([images, images[::-1]], dtype=torch.float64)
    logits, labels = values[..., 0].clone().requires_grad_(), values[..., 1]
    loss = cross_entropy(logits[0], labels[0]) + cross_entropy(logits[1], labels[1])
    (expected,) = torch.autograd.grad(loss, logits)
    found = discriminator_slopes("non-saturating", logits.detach(), labels)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-15)


LINEAR = ["relu", "leaky_relu 0.2", "dropout 0.4"]


def fits(lines: list[str]) -> bool:
    """Tell whether images of 8 pixels a side are large enough for all kernels."""
    side = 8
    for line in lines:
        side = side // 2 if "stride=2" in line else side - ("valid" in line)
    return side > 0


layers_around_which_it_is_linear = st.tuples(
    st.lists(
        st.one_of(
            st.sampled_from(LINEAR),
            st.sampled_from(["conv 3 3", "conv 2 4 stride=2", "conv 4 1", "conv 2 2 pad=valid"]),
        ),
        max_size=5,
    ).filter(fits),
    st.lists(
        st.one_of(st.sampled_from(LINEAR), st.integers(1, 5).map("dense {}".format)), max_size=4
    ),
)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@settings(max_examples=60)
@given(
    parts=layers_around_which_it_is_linear,
    seed=st.integers(0, 999),
    classes=st.sampled_from([0, 3]),
    height=st.sampled_from([9, 10]),
)
@example(
    parts=(["conv 4 4 stride=2 groups=2", "leaky_relu 0.2", "conv 8 3 groups=4"], ["dense 5"]),
    seed=1,
    classes=0,
    height=10,
)
def test_penalties_have_the_gradients_of_autograd(
    layout: torch.memory_format,
    parts: tuple[list[str], list[str]],
    seed: int,
    classes: int,
    height: int,
) -> None:
    """Any function of logits and slopes: here a sum of both, weighted, and its square."""
    torch.manual_seed(seed)
    lines = [*parts[0], "flatten", *parts[1], f"dense {classes or 1}"]
    body, _ = build_layers(lines, (2, height, 8), ImageShape(2, 8), "discriminator")
    network = Discriminator(body, classes > 0).double().to(memory_format=layout)
    chain, count = Chain(network), 5
    images = torch.randn(count, 2, height, 8, dtype=torch.float64).requires_grad_()
    labels = torch.randint(classes, (count,)) if classes else None
    pulls = torch.randn(count, dtype=torch.float64)
    weights = torch.rand(count, 1, 1, 1, dtype=torch.float64)
    torch.manual_seed(seed)
    logits = network(images, labels)
    (slopes,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    (logits @ pulls + (weights * slopes**2).sum()).backward()
    theirs = gradients(network)
    torch.manual_seed(seed)
    torch.testing.assert_close(chain(images.detach(), labels), logits.detach())
    found = chain.slopes()
    torch.testing.assert_close(found, slopes.detach())
    chain.learn(pulls, 2 * weights * found)
    for ours, expected in zip(learned(chain), theirs, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-12)


def both_ways(config: RunConfig) -> tuple[TrainState, TrainState]:
    """Return the same state twice: the first finds its gradients itself, the other by autograd."""
    by_hand, by_autograd = create(config, CPU), create(config, CPU, autograd=True)
    assert by_hand.chains is not None
    if by_hand.chains.generator is not None:  # autograd has no gradients in 16 bits alone
        by_hand.chains.generator.rough_gradients = False
    return by_hand, by_autograd


def train_twenty_steps(state: TrainState, config: RunConfig) -> list[Tensor]:
    random = torch.Generator().manual_seed(0)
    labels = None
    if config.data.conditional:
        labels = torch.arange(config.training.batch_size) % state.generator.classes
    shape = (config.training.batch_size, *config.data.sample_shape)
    torch.manual_seed(1)
    figures = []
    for step in range(20):
        batches = [
            (torch.rand(shape, generator=random) * 2 - 1, labels)
            for _ in range(config.training.d_steps)
        ]
        figures.append(train_step(state, batches, config, step / 20))
        state.step += 1
    return figures


def assert_trained_alike(config: RunConfig) -> None:
    ours, theirs = both_ways(config)
    for found, expected in zip(
        train_twenty_steps(ours, config), train_twenty_steps(theirs, config), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    for network in ("generator", "discriminator"):
        weights, same = getattr(ours, network).parameters(), getattr(theirs, network).parameters()
        for weight, expected in zip(weights, same, strict=True):
            torch.testing.assert_close(weight, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("recipe", ["r1-fc", "r1-adam", "r2-1-baseline", "r2-6-final", "r4-base"])
def test_twenty_steps_of_a_recipe_are_those_of_autograd(recipe: str, precision: str) -> None:
    config = api.describe(recipe, digit=7 if recipe.startswith("r1") else None)
    training = dataclasses.replace(config.training, batch_size=8, precision=precision)
    assert_trained_alike(dataclasses.replace(config, training=training))


@pytest.mark.filterwarnings("ignore:TF32 acceleration on top of oneDNN")  # by its switch
@pytest.mark.parametrize(("recipe", "rate"), [("digit", 1e-4), ("digits", 3e-4)])
def test_steps_do_not_depend_on_how_a_convolution_lays_out_its_gradient(
    recipe: str, rate: float
) -> None:
    settings = {"training.batch_size": 8}
    for side in ("generator_optimizer", "discriminator_optimizer"):
        settings |= {f"{side}.lr": rate, f"{side}.lr_final": rate, f"{side}.warmup_steps": 0}
    config = preparing.resolve(api.describe(recipe, settings=settings), 10)
    with torch.backends.mkldnn.flags(enabled=False):  # whose gradients lie as weights do
        assert_trained_alike(config)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"loss.name": "minimax"},
        {"loss.real_labels": [0.7, 1.2], "loss.fake_labels": [0.0, 0.3]},
        {"training.d_steps": 3},
        {"training.reuse_fakes": False},
        {"training.generator_batch_size": 11},
        {"discriminator.input_noise": 0.5},
        {"discriminator.shift": 0.25, "loss.r1": 0.1, "discriminator.layers": DENSE_D},
        {"discriminator_optimizer.name": "sgd", "discriminator_optimizer.weight_decay": 0.1},
        {"generator.layers": ["relu", "dense 64"], "discriminator.layers": ["flatten", "dense 1"]},
        {"training.simultaneous": True},
        {"training.simultaneous": True, "loss.real_labels": [0.7, 1.2]},
        {"training.simultaneous": True, "loss.r1": 0.3, "discriminator.layers": DENSE_D},
    ],
    ids=str,
)
def test_twenty_steps_of_any_config_are_those_of_autograd(
    tiny_config: TinyConfig, changes: dict[str, Any]
) -> None:
    assert_trained_alike(preparing.resolve(tiny_config({**DENSE, **changes}), classes=3))


CONVOLUTIONAL: dict[str, Any] = {
    "generator.layers": ["dense 4 4 4", "leaky_relu 0.2", "upsample 2", "conv 1 3", "tanh"],
    "discriminator.layers": [
        "conv 4 4 stride=2",
        "leaky_relu 0.2",
        "conv 6 3",
        "leaky_relu 0.2",
        "flatten",
        "dense 5",
        "relu",
        "dense 1",
    ],
    "loss.r1": 0.7,
    "loss.r2": 0.4,
    "loss.penalty_final": 0.1,
    # Adam's first steps follow signs alone, so that rounding would decide them.
    "generator_optimizer.name": "sgd",
    "discriminator_optimizer.name": "sgd",
    "generator_optimizer.lr": 0.02,
    "discriminator_optimizer.lr": 0.02,
}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    "changes",
    [
        {"loss.name": "relativistic"},
        {"data.conditional": False},
        {"data.conditional": False, "loss.r2": 0.0, "loss.name": "minimax"},
        {"loss.r1": 0.0, "training.d_steps": 2, "training.reuse_fakes": False},
        {"loss.name": "relativistic", "discriminator.input_noise": 0.5},
        {"loss.name": "relativistic", "discriminator.shift": 0.25},
        {"training.simultaneous": True},
        {"training.simultaneous": True, "loss.name": "relativistic", "discriminator.shift": 0.25},
    ],
    ids=str,
)
def test_twenty_penalised_steps_are_those_of_autograd(
    tiny_config: TinyConfig, changes: dict[str, Any], precision: str
) -> None:
    changes = {**CONVOLUTIONAL, **changes, "training.precision": precision}
    config = preparing.resolve(tiny_config(changes), classes=3)
    ours, theirs = both_ways(config)
    found, expected = (train_twenty_steps(state, config) for state in (ours, theirs))
    tolerance = {"fp32": 1e-4, "bf16": 0.2}[precision]
    torch.testing.assert_close(
        torch.stack(found), torch.stack(expected), rtol=tolerance, atol=tolerance / 10
    )


def test_weights_are_cast_once_until_they_move(tiny_config: TinyConfig) -> None:
    keys = {"training.precision": "bf16", "generator_optimizer.lr": 0.1, "training.d_steps": 2}
    config = preparing.resolve(tiny_config({**DENSE, **keys}), classes=3)
    state, _ = both_ways(config)
    train_twenty_steps(state, config)
    assert state.chains is not None
    assert state.chains.generator is not None
    latents, images = torch.randn(5, config.latent.size), torch.rand(5, *config.data.sample_shape)
    for chain, batch in ((state.chains.generator, latents), (state.chains.discriminator, images)):
        found = []
        for each in (chain, chain, Chain(copy.deepcopy(chain.network))):
            torch.manual_seed(0)
            found.append(each(batch))
        assert torch.equal(found[0], found[1])
        assert torch.equal(found[0], found[2])  # by the weights of now
        assert chain.rough is not None
        chain.rough.values.zero_()
        chain(batch)
        assert not chain.rough.values.any()


def test_a_loss_that_is_no_number_leaves_all_weights(tiny_config: TinyConfig) -> None:
    config = preparing.resolve(tiny_config(DENSE), classes=3)
    state, _ = both_ways(config)
    before = copy.deepcopy(
        [state.generator.state_dict(), state.discriminator.state_dict()],
    )
    images = torch.full((8, 1, 8, 8), torch.inf)
    with pytest.raises(TrainingError, match="the loss of the discriminator is"):
        train_step(state, [(images, None)], config, 0.0)
    after = [state.generator.state_dict(), state.discriminator.state_dict()]
    for old, new in zip(before, after, strict=True):
        assert all(torch.equal(old[name], new[name]) for name in old)


@pytest.mark.parametrize(
    "changes",
    [
        {"loss.name": "hinge"},
        {"loss.gradient_penalty": 1.0},
        {"loss.r1": 1.0, "loss.gradient_penalty": 1.0},
        {"loss.r1": 1.0, "discriminator.layers": ["flatten", "dense 9", "tanh", "dense 1"]},
        {
            "loss.r2": 1.0,
            "discriminator.layers": ["conv 2 3", "batch_norm", "flatten", "dense 1"],
        },
        {"training.unrolled_steps": 1},
        {"data.conditional": True},
        {"generator.layers": ["dense 1 8 8", "batch_norm"]},
        {"generator.layers": ["dense 1 8 8", "conv 1 3"]},
        {
            "discriminator.layers": [
                "flatten",
                "dense 9",
                "minibatch_discrimination 2 2",
                "dense 1",
            ]
        },
        {"discriminator.layers": ["channel_dropout 0.5", "flatten", "dense 1"]},
        {"discriminator.layers": ["flatten", "residual 1", "dense 64", "dense 1"]},
        {"generator.layers": ["residual 1", "dense 64", "dense 64", "tanh"]},
    ],
    ids=str,
)
def test_what_needs_autograd_keeps_it(tiny_config: TinyConfig, changes: dict[str, Any]) -> None:
    plain = preparing.resolve(tiny_config(DENSE), classes=3)
    assert create(plain, CPU).chains is not None
    config = preparing.resolve(tiny_config({**DENSE, **changes}), classes=3)
    state = create(config, CPU)
    assert state.chains is None
    assert state.generator_optimizer.vector is None
    storages = {weight.untyped_storage().data_ptr() for weight in state.generator.parameters()}
    assert len(storages) == len(list(state.generator.parameters()))  # left where they are


def test_one_path_serves_the_dense_recipes_of_r1_r2_and_r4() -> None:
    taken = set()
    for name in recipes.names():
        if name[:3] in ("r1-", "r2-", "r4-"):
            config = api.describe(name, digit=7 if name.startswith("r1") else None)
            state = create(config, CPU)
            if state.chains is not None and state.chains.generator is not None:
                taken.add(name)
    r2 = {name for name in recipes.names() if name.startswith("r2-")}
    r4 = {
        f"r4-{idea}"
        for idea in ("base", "narrow", "sgd-d", "uniform", "unscaled", "batchnorm", "g-dropout")
    }
    assert taken == {"r1-fc", "r1-adam", "r1-mlp", "r1-damped"} | r2 | r4 | {
        f"r4-d-dropout-{share}" for share in (30, 40, 50)
    }
