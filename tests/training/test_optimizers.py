"""Report R3's two tests of an optimiser, for every rule that a recipe can name."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from tiny import TinyConfig
from torch import nn

from gancli import preparing
from gancli.config import OPTIMIZERS, OptimizerConfig, RunConfig
from gancli.training.optimizers import Optimizer
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
    config = preparing.resolve(tiny_config(changes), classes=1)
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
    state, config = sigmoid_game(tiny_config, rule)
    network = state.discriminator
    optimizer = Optimizer(network, config.discriminator_optimizer)
    image = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    costs, outputs = [], []
    for _ in range(STEPS):
        output = network(image).sigmoid()
        cost = (output - aim).square().sum()
        optimizer.forget_gradients()
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
    assert state.chains is not None
    for _ in range(STEPS):
        fake = state.chains.generator(latents)
        outputs.append(state.discriminator(fake).sigmoid().mean().item())
        _generator_step(state, _Batch(real, fake, None), config)
    assert 0.05 < outputs[0] < 0.2
    assert 0.9 < outputs[-1] < 1
    assert falls([-output for output in outputs]) < 0.05
    after = state.discriminator.state_dict()
    assert all(torch.equal(weight, before[name]) for name, weight in after.items())
    assert all(weight.grad is None for weight in state.discriminator.parameters())
    assert state.discriminator_optimizer.vector is not None
    assert not state.discriminator_optimizer.vector.gradient.any()


TORCHS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "momentum": partial(torch.optim.SGD, momentum=0.8),
    "nesterov": partial(torch.optim.SGD, momentum=0.8, nesterov=True),
    "adagrad": torch.optim.Adagrad,
    "adadelta": torch.optim.Adadelta,
    "rmsprop": torch.optim.RMSprop,
    "adam": partial(torch.optim.Adam, betas=(0.3, 0.95)),
}


@every_rule
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_each_rule_is_torchs_own(rule: str, decay: float) -> None:
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Flatten(), nn.Linear(12, 2), nn.Linear(2, 1))
    theirs = copy.deepcopy(ours)
    settings = OptimizerConfig(
        rule, lr=0.02, beta1=0.3, beta2=0.95, momentum=0.8, weight_decay=decay
    )
    optimizer = Optimizer(ours, settings)
    reference = TORCHS[rule](theirs.parameters(), lr=0.02, weight_decay=decay)
    for step in range(5):
        images = torch.randn(4, 1, 4, 4)
        for network, rival in ((ours, optimizer), (theirs, reference)):
            network.zero_grad()
            network[:-1](images).square().sum().backward()  # the last layer gets no gradient
            rival.step()
        optimizer.lr = reference.param_groups[0]["lr"] = 0.02 / (step + 1)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(one, other, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("rule", "place"), [("adam", "meta"), ("adagrad", "cpu")])
def test_steps_lie_where_they_are_read(rule: str, place: str) -> None:
    """A fused kernel counts on the device; other rules read each count on the host."""
    network = nn.Linear(3, 2, device="meta")
    steps = Optimizer(network, OptimizerConfig(name=rule)).moments()["step"]
    assert [step.device.type for step in steps] == [place] * 2


def test_training_does_not_load_torchs_compiler(tiny_config: TinyConfig, tmp_path: Path) -> None:
    """It takes most of a second, and a run on digits takes thirty."""
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(tiny_config().to_toml())
    script = (
        "import sys; from gancli import api; "
        f"api.train({str(recipe)!r}, name='run', runs_dir={str(tmp_path)!r}, device='cpu'); "
        "heavy = ('torch._dynamo', 'torch._inductor', 'sympy'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
