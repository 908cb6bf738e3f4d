from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gancli import losses, theory
from gancli.theory import Layer

LATENT, PIXELS = 4, 6


def random_layer(inputs: int, outputs: int, random: torch.Generator) -> Layer:
    weight = torch.randn(inputs, outputs, generator=random, dtype=torch.float64)
    return Layer(weight, torch.randn(outputs, generator=random, dtype=torch.float64))


def players(seed: int, count: int = 5) -> tuple[Tensor, Layer, Layer, Tensor]:
    """Return latents, G, D and real images."""
    random = torch.Generator().manual_seed(seed)
    latents = torch.randn(count, LATENT, generator=random, dtype=torch.float64)
    generator = random_layer(LATENT, PIXELS, random)
    discriminator = random_layer(PIXELS, 1, random)
    return latents, generator, discriminator, torch.rand(3, PIXELS, generator=random).double()


def by_autograd(loss: Callable[[Layer], Tensor], layer: Layer) -> Layer:
    leaves = Layer(layer.weight.clone().requires_grad_(), layer.bias.clone().requires_grad_())
    return Layer(*torch.autograd.grad(loss(leaves), (leaves.weight, leaves.bias)))


def by_differences(loss: Callable[[Layer], Tensor], layer: Layer) -> Layer:
    """Move every number of a layer a little up and down."""
    step = 1e-5
    slopes = []
    for tensor in (layer.weight, layer.bias):
        slope = torch.empty_like(tensor)
        for index in range(tensor.numel()):
            ends = []
            for move in (step, -step):
                tensor.view(-1)[index] += move
                ends.append(loss(layer).item())
                tensor.view(-1)[index] -= move
            slope.view(-1)[index] = (ends[0] - ends[1]) / (2 * step)
        slopes.append(slope)
    return Layer(*slopes)


def assert_alike(one: Layer, other: Layer, tolerance: float) -> None:
    torch.testing.assert_close(one.weight, other.weight, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(one.bias, other.bias, rtol=tolerance, atol=tolerance)
    assert one.weight.abs().max() > 1e-3


seeds = pytest.mark.parametrize("seed", range(5))


@seeds
@pytest.mark.parametrize("count", [1, 5])
def test_the_generator_follows_the_report(seed: int, count: int) -> None:
    latents, generator, discriminator, _ = players(seed, count)

    def loss(layer: Layer) -> Tensor:
        output = torch.sigmoid(discriminator(torch.relu(layer(latents))))
        return -output.log().mean()

    found = theory.generator_gradient(latents, generator, discriminator)
    assert found.weight.shape == (LATENT, PIXELS)
    assert found.bias.shape == (PIXELS,)
    assert_alike(found, by_autograd(loss, generator), 1e-12)
    assert_alike(found, by_differences(loss, generator), 1e-6)
    written = theory.generator_loss(latents, generator, discriminator)
    torch.testing.assert_close(written, loss(generator))


@seeds
def test_the_discriminator_follows_its_log_loss(seed: int) -> None:
    latents, generator, discriminator, real = players(seed)
    fake = theory.generate(latents, generator)
    assert fake.min() == 0 < fake.max()

    def loss(layer: Layer) -> Tensor:
        real_output, fake_output = torch.sigmoid(layer(real)), torch.sigmoid(layer(fake))
        return -real_output.log().mean() - (1 - fake_output).log().mean()

    found = theory.discriminator_gradient(real, fake, discriminator)
    assert found.weight.shape == (PIXELS, 1)
    assert found.bias.shape == (1,)
    assert_alike(found, by_autograd(loss, discriminator), 1e-12)
    assert_alike(found, by_differences(loss, discriminator), 1e-6)
    written = theory.discriminator_loss(real, fake, discriminator)
    torch.testing.assert_close(written, loss(discriminator))


@seeds
def test_each_factor_of_the_chain_is_the_derivative_it_names(seed: int) -> None:
    latents, generator, discriminator, _ = players(seed)
    chain = theory.generator_chain(latents, generator, discriminator)
    before = generator(latents).requires_grad_()
    fakes = torch.relu(before)
    logits = discriminator(fakes)
    outputs = torch.sigmoid(logits)
    losses_each = -outputs.log()
    for found, (top, bottom) in (
        (chain.dj_dy, (losses_each, outputs)),
        (chain.dy_df, (outputs, logits)),
        (chain.dj_dx, (losses_each, fakes)),
        (chain.dx_dk, (fakes, before)),
    ):
        (expected,) = torch.autograd.grad(top.sum(), bottom, retain_graph=True)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    # The short form of dJ/dX is the product of those before it.
    product = chain.dj_dy * chain.dy_df * discriminator.weight.T
    torch.testing.assert_close(chain.dj_dx, product, rtol=1e-12, atol=1e-12)


@given(st.floats(-8, 8))
def test_the_slope_of_a_sigmoid_is_of_its_output_and_not_of_its_input(logit: float) -> None:
    """The report writes F (1 - F) for Y (1 - Y); they agree at two points at most."""
    nothing = Layer(torch.zeros(1, 1).double(), torch.zeros(1).double())
    d = Layer(torch.zeros(1, 1).double(), torch.tensor([logit], dtype=torch.float64))
    slope = theory.generator_chain(torch.ones(1, 1).double(), nothing, d).dy_df.item()
    ends = torch.sigmoid(torch.tensor([logit - 1e-5, logit + 1e-5], dtype=torch.float64))
    assert slope == pytest.approx((ends[1] - ends[0]).item() / 2e-5, abs=1e-6)
    assert 0 < slope <= 0.25
    if logit < 0 or logit > 1:  # there the report's is negative, and no sigmoid falls
        assert logit * (1 - logit) <= 0 < slope


def test_the_report_s_own_slope_gives_another_gradient() -> None:
    latents, generator, discriminator, _ = players(0)
    chain = theory.generator_chain(latents, generator, discriminator)
    logits = discriminator(theory.generate(latents, generator))
    wrong = chain.dj_dy * logits * (1 - logits) * discriminator.weight.T * chain.dx_dk
    right = chain.dj_dx * chain.dx_dk
    assert (wrong - right).abs().max() > 0.1 * right.abs().max()


@seeds
def test_the_losses_are_those_that_gancli_trains_with(seed: int) -> None:
    latents, generator, discriminator, real = players(seed)
    fake = theory.generate(latents, generator)
    real_logits, fake_logits = (discriminator(images)[:, 0] for images in (real, fake))
    game = losses.LOSSES["non-saturating"]
    torch.testing.assert_close(
        theory.generator_loss(latents, generator, discriminator),
        game.generator(fake_logits, real_logits),
    )
    torch.testing.assert_close(
        theory.discriminator_loss(real, fake, discriminator),
        game.discriminator(real_logits, fake_logits),
    )


def test_a_pixel_that_is_off_teaches_nothing() -> None:
    latents, generator, discriminator, _ = players(0)
    dark = Layer(generator.weight, torch.full_like(generator.bias, -100.0))
    found = theory.generator_gradient(latents, dark, discriminator)
    assert not found.weight.any()
    assert not found.bias.any()


def test_a_sure_discriminator_gives_finite_gradients() -> None:
    latents, generator, discriminator, real = players(0)
    for bias in (-1e3, 1e3):
        sure = Layer(discriminator.weight, torch.full_like(discriminator.bias, bias))
        fake = theory.generate(latents, generator)
        for layer in (
            theory.generator_gradient(latents, generator, sure),
            theory.discriminator_gradient(real, fake, sure),
        ):
            assert layer.weight.isfinite().all()
            assert layer.bias.isfinite().all()
