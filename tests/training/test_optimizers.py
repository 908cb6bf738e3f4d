"""Report R3's two tests of an optimiser, for every rule that a recipe can name."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from tiny import TinyConfig

from gancli import session
from gancli.config import OPTIMIZERS, RunConfig
from gancli.training.state import TrainState, create
from gancli.training.step import _Batch, _generator_step

CPU = torch.device("cpu")
# A rate for each rule that brings the small sigmoid networks here to their aim in STEPS steps.
RATES = {
    "sgd": 2.0,
    "momentum": 0.05,
    "nesterov": 0.05,
    "adagrad": 0.1,
    "adadelta": 5.0,
    "rmsprop": 0.01,
    "adam": 0.02,
}
STEPS = 300

every_rule = pytest.mark.parametrize("rule", OPTIMIZERS)


def sigmoid_game(tiny_config: TinyConfig, rule: str) -> tuple[TrainState, RunConfig]:
    """Return a GAN of R3's kind: dense layers with sigmoids, images of 8 x 8 in [0, 1]."""
    changes = {
        "data.conditional": False,
        "data.pixel_range": "unit",
        "generator.layers": ["dense 16", "sigmoid", "dense 64", "sigmoid"],
        "generator.ema_half_life": 0.0,
        "discriminator.layers": ["flatten", "dense 16", "sigmoid", "dense 1"],
        "generator_optimizer.name": rule,
        "generator_optimizer.lr": RATES[rule],
        "discriminator_optimizer.name": rule,
        "discriminator_optimizer.lr": RATES[rule],
    }
    config = session.resolve(tiny_config(changes), classes=1)
    return create(config, CPU), config


def falls(figures: list[float]) -> float:
    """Return the share of the whole fall that is lost again on the way: 0 if it never rises."""
    rises = sum(max(0.0, after - before) for before, after in pairwise(figures))
    return rises / (figures[0] - figures[-1])


@every_rule
@pytest.mark.parametrize("aim", [0.2, 0.9])
def test_a_network_is_fitted_to_one_input_and_one_target(
    tiny_config: TinyConfig, rule: str, aim: float
) -> None:
    state, _ = sigmoid_game(tiny_config, rule)
    network, optimizer = state.discriminator, state.discriminator_optimizer
    image = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    costs, outputs = [], []
    for _ in range(STEPS):
        output = network(image).sigmoid()
        cost = (output - aim).square().sum()
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()
        costs.append(cost.item())
        outputs.append(output.item())
    assert abs(outputs[0] - aim) > 0.2
    assert costs[-1] < 1e-3 * costs[0]
    assert outputs[-1] == pytest.approx(aim, abs=0.005)
    assert falls(costs) < 0.2


@every_rule
def test_a_generator_learns_from_a_discriminator_that_does_not(
    tiny_config: TinyConfig, rule: str
) -> None:
    state, config = sigmoid_game(tiny_config, rule)
    random = torch.Generator().manual_seed(1)
    latents, real = torch.randn(8, 4, generator=random), torch.zeros(8, 1, 8, 8)
    with torch.no_grad():  # a discriminator with an opinion, by which the first fakes are bad
        for weight in state.discriminator.parameters():
            weight.copy_(2 * torch.randn(weight.shape, generator=random))
        first = state.discriminator(state.generator(latents)).mean()
        state.discriminator.body[-1].bias.sub_(first + 2)
    before = {name: weight.clone() for name, weight in state.discriminator.state_dict().items()}
    outputs = []
    for _ in range(STEPS):
        fake = state.generator(latents)
        outputs.append(state.discriminator(fake).sigmoid().mean().item())
        _generator_step(state, _Batch(real, fake, None), config)
    assert 0.05 < outputs[0] < 0.2
    assert 0.9 < outputs[-1] < 1
    assert falls([-output for output in outputs]) < 0.05
    after = state.discriminator.state_dict()
    assert all(torch.equal(weight, before[name]) for name, weight in after.items())
    assert all(weight.grad is None for weight in state.discriminator.parameters())
