from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gancli import config
from gancli.losses import LOSSES, gradient_penalty, squared_gradient

LN2 = math.log(2)
REAL = torch.tensor([1.5, -0.5, 0.0], dtype=torch.float64)
FAKE = torch.tensor([-2.0, 0.25, 3.0], dtype=torch.float64)


def sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


# By the formula of each paper, logit by logit: discriminator of (r, f), generator of (f, r).
FORMULAS = {
    "minimax": (
        lambda r, f: -math.log(sigmoid(r)) - math.log(1 - sigmoid(f)),
        lambda f, r: math.log(1 - sigmoid(f)),
    ),
    "non-saturating": (
        lambda r, f: -math.log(sigmoid(r)) - math.log(1 - sigmoid(f)),
        lambda f, r: -math.log(sigmoid(f)),
    ),
    "least-squares": (lambda r, f: ((r - 1) ** 2 + f**2) / 2, lambda f, r: (f - 1) ** 2 / 2),
    "mean-squared-error": (
        lambda r, f: (sigmoid(r) - 1) ** 2 + sigmoid(f) ** 2,
        lambda f, r: (sigmoid(f) - 1) ** 2,
    ),
    "hinge": (lambda r, f: max(0, 1 - r) + max(0, 1 + f), lambda f, r: -f),
    "wasserstein": (lambda r, f: f - r, lambda f, r: -f),
    "relativistic": (
        lambda r, f: -math.log(sigmoid(r - f)),
        lambda f, r: -math.log(sigmoid(f - r)),
    ),
}
# Where D cannot tell real from fake: its best constant logit, and both losses there.
EQUILIBRIA = {
    "minimax": (0.0, 2 * LN2, -LN2),
    "non-saturating": (0.0, 2 * LN2, LN2),
    "least-squares": (0.5, 1 / 4, 1 / 8),
    "mean-squared-error": (0.0, 1 / 2, 1 / 4),
    "hinge": (0.0, 2.0, 0.0),
    "wasserstein": (0.0, 0.0, 0.0),
    "relativistic": (0.0, LN2, LN2),
}

every_loss = pytest.mark.parametrize("name", LOSSES)
logits = st.lists(st.integers(-240, 240), min_size=3, max_size=3).map(
    lambda eighths: torch.tensor(eighths, dtype=torch.float64) / 8
)


def test_every_loss_of_the_config_is_here() -> None:
    assert tuple(LOSSES) == config.LOSSES == tuple(FORMULAS) == tuple(EQUILIBRIA)


@every_loss
def test_a_loss_is_its_formula_averaged_over_the_batch(name: str) -> None:
    game, (of_d, of_g) = LOSSES[name], FORMULAS[name]
    pairs = list(zip(REAL.tolist(), FAKE.tolist(), strict=True))
    assert game.discriminator(REAL, FAKE).item() == pytest.approx(mean([of_d(*p) for p in pairs]))
    expected = mean([of_g(fake, real) for real, fake in pairs])
    assert game.generator(FAKE, REAL).item() == pytest.approx(expected)


@every_loss
def test_a_loss_at_its_equilibrium(name: str) -> None:
    logit, of_d, of_g = EQUILIBRIA[name]
    undecided = torch.full((5,), logit, dtype=torch.float64, requires_grad=True)
    game = LOSSES[name]
    loss = game.discriminator(undecided, undecided)
    assert loss.item() == pytest.approx(of_d, abs=1e-12)
    assert game.generator(undecided, undecided).item() == pytest.approx(of_g, abs=1e-12)
    # No other constant logit does better: the slopes for real and for fake cancel.
    (slope,) = torch.autograd.grad(loss, undecided)
    assert slope.abs().max() < 1e-12


@every_loss
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    real, fake = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    assert torch.autograd.gradcheck(LOSSES[name].discriminator, (real, fake))
    if LOSSES[name].pairs:
        assert torch.autograd.gradcheck(LOSSES[name].generator, (fake, real))
    else:
        assert torch.autograd.gradcheck(lambda f: LOSSES[name].generator(f, REAL), (fake,))


@every_loss
@given(logits, logits)
def test_the_players_pull_the_logits_apart_and_together(
    name: str, real: Tensor, fake: Tensor
) -> None:
    real, fake = real.requires_grad_(), fake.requires_grad_()
    game = LOSSES[name]
    real_slope, fake_slope = torch.autograd.grad(game.discriminator(real, fake), (real, fake))
    (slope,) = torch.autograd.grad(game.generator(fake, real), fake)
    if name == "least-squares":  # its aims are 1 and 0, and beyond them it pulls back
        assert torch.equal(real_slope.sign(), (real - 1).sign())
        assert torch.equal(fake_slope.sign(), fake.sign())
        assert torch.equal(slope.sign(), (fake - 1).sign())
    else:
        assert (real_slope <= 0).all()
        assert (fake_slope >= 0).all()
        assert (slope < 0).all()


@every_loss
@given(logits, logits)
def test_a_generator_that_does_not_pair_ignores_the_real_logits(
    name: str, fake: Tensor, other: Tensor
) -> None:
    game = LOSSES[name]
    alike = torch.equal(game.generator(fake, REAL), game.generator(fake, other))
    if not game.pairs:
        assert alike
    elif (other > REAL.max()).all():
        assert not alike


@given(logits, logits, st.floats(-20, 20))
def test_relativistic_losses_know_differences_alone(
    real: Tensor, fake: Tensor, shift: float
) -> None:
    game = LOSSES["relativistic"]
    for player, pair in ((game.discriminator, (real, fake)), (game.generator, (fake, real))):
        moved = player(pair[0] + shift, pair[1] + shift)
        torch.testing.assert_close(moved, player(*pair))
    torch.testing.assert_close(game.generator(fake, real), game.discriminator(fake, real))


@every_loss
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_huge_logits_make_finite_losses_and_gradients(name: str, size: float) -> None:
    real = torch.full((2,), size, requires_grad=True)
    fake = torch.full((2,), -size, requires_grad=True)
    for loss in (
        LOSSES[name].discriminator(real, fake),
        LOSSES[name].generator(fake, real),
    ):
        grads = torch.autograd.grad(loss, (real, fake), allow_unused=True, retain_graph=True)
        assert math.isfinite(loss.item())
        assert all(grad is None or grad.isfinite().all() for grad in grads)


def test_only_the_non_saturating_generator_learns_where_d_is_sure() -> None:
    fake = torch.full((1,), -20.0, dtype=torch.float64, requires_grad=True)
    slopes = {
        name: torch.autograd.grad(LOSSES[name].generator(fake, fake.detach()), fake)[0].item()
        for name in ("minimax", "non-saturating", "mean-squared-error")
    }
    assert -1e-8 < slopes["minimax"] < 0
    assert -1e-8 < slopes["mean-squared-error"] < 0
    assert slopes["non-saturating"] == pytest.approx(-1)


# Penalties against discriminators whose gradient is known.


def images(count: int = 3) -> Tensor:
    random = torch.Generator().manual_seed(count)
    return torch.randn(count, 2, 4, 4, generator=random, dtype=torch.float64)


def linear(weight: Tensor, batch: Tensor) -> Tensor:
    return (batch * weight).flatten(1).sum(1)


def test_the_squared_gradient_of_a_linear_d_is_that_of_its_weights() -> None:
    weight, batch = images(1)[0].requires_grad_(), images().requires_grad_()
    squared = squared_gradient(linear(weight, batch), batch)
    assert squared.shape == (3,)
    torch.testing.assert_close(squared, weight.square().sum().expand(3), rtol=1e-12, atol=0)
    # It can be learned from: d |w|^2 / d w = 2 w.
    (slope,) = torch.autograd.grad(squared.mean(), weight)
    torch.testing.assert_close(slope, 2 * weight.detach(), rtol=1e-12, atol=0)


def test_the_squared_gradient_belongs_to_each_image() -> None:
    batch = images().requires_grad_()
    squared = squared_gradient(batch.square().flatten(1).sum(1) / 2, batch)  # gradient: the image
    torch.testing.assert_close(squared, batch.detach().square().flatten(1).sum(1))


def test_the_gradient_penalty_of_a_linear_d_is_how_far_its_slope_is_from_one() -> None:
    direction = images(1)[0] / images(1)[0].norm()
    for length in (0.0, 0.5, 1.0, 3.0):
        penalty = gradient_penalty(
            lambda batch, length=length: linear(length * direction, batch),
            images(),
            images().flip(0),
            torch.rand(3, 1, 1, 1, dtype=torch.float64),
        )
        assert penalty.item() == pytest.approx((length - 1) ** 2, abs=1e-5)


@pytest.mark.parametrize("fraction", [0.0, 0.25, 1.0])
def test_the_gradient_penalty_looks_between_real_and_fake(fraction: float) -> None:
    """Of D = |x|^2 / 2 the gradient is x itself, so the penalty tells where it looked."""
    real, fake = images(), -2 * images().flip(0)
    penalty = gradient_penalty(
        lambda batch: batch.square().flatten(1).sum(1) / 2,
        real,
        fake,
        torch.full((3, 1, 1, 1), fraction, dtype=torch.float64),
    )
    between = fraction * real + (1 - fraction) * fake
    expected = (between.flatten(1).norm(dim=1) - 1).square().mean()
    assert penalty.item() == pytest.approx(expected.item())


def test_penalties_know_points_of_the_plane_too() -> None:
    weight = torch.tensor([3.0, -4.0], dtype=torch.float64)
    points = images().flatten(1)[:, :2].requires_grad_()
    squared = squared_gradient(points @ weight, points)
    torch.testing.assert_close(squared, torch.full((3,), 25.0, dtype=torch.float64))
    penalty = gradient_penalty(
        lambda batch: batch @ weight,
        points.detach(),
        -points.detach(),
        torch.rand(3, 1, dtype=torch.float64),
    )
    assert penalty.item() == pytest.approx(16)


def test_a_flat_d_still_gets_a_finite_gradient_from_the_penalty() -> None:
    weight = torch.zeros(2, 4, 4, dtype=torch.float64, requires_grad=True)
    fraction = torch.full((3, 1, 1, 1), 0.5, dtype=torch.float64)
    penalty = gradient_penalty(lambda batch: linear(weight, batch), images(), images(), fraction)
    (slope,) = torch.autograd.grad(penalty, weight)
    assert penalty.item() == pytest.approx(1, abs=1e-5)
    assert slope.isfinite().all()
