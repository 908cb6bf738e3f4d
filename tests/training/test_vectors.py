"""A network's weights as one vector are still the network's weights."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import TinyConfig
from torch import Tensor, nn

from gancli import checkpoints, preparing
from gancli.config import OptimizerConfig
from gancli.training import step as step_module
from gancli.training.optimizers import Optimizer
from gancli.training.state import STEP_FIGURES, create, restore, to_tensors
from gancli.training.step import train_step
from gancli.training.vectors import WeightVector

DENSE: dict[str, Any] = {
    "data.conditional": False,
    "generator.layers": ["dense 12", "batch_norm", "leaky_relu 0.2", "dense 64", "tanh"],
    "generator.ema_half_life": 2.0,
    "discriminator.layers": ["flatten", "dense 12", "relu", "dense 1"],
}


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(12, 5), nn.Linear(5, 1, bias=False)
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def test_weights_stay_what_they_are_in_one_piece_of_memory() -> None:
    ours, plain = network(), network()
    vector = WeightVector(ours)
    for weight, same in zip(ours.parameters(), plain.parameters(), strict=True):
        assert torch.equal(weight, same)
        assert weight.stride() == same.stride()
        assert weight.data_ptr() % 64 == 0
        assert weight.untyped_storage().data_ptr() == vector.values.data_ptr()
    count = sum(weight.numel() for weight in plain.parameters())
    assert int(vector.values.count_nonzero()) == count
    images = torch.randn(4, 2, 4, 4)
    vector.values.mul_(2)
    assert torch.equal(ours[0](images), 2 * plain[0](images))  # type: ignore[index]


@pytest.mark.parametrize("rule", ["sgd", "nesterov", "adagrad", "adadelta", "rmsprop", "adam"])
def test_a_vector_moves_as_its_weights_do_one_by_one(rule: str) -> None:
    ours, plain = network(), network()
    config = OptimizerConfig(rule, lr=0.05, weight_decay=0.1)
    whole, apart = Optimizer(ours, config, WeightVector(ours)), Optimizer(plain, config)
    for _ in range(4):
        images = torch.randn(4, 2, 4, 4)
        for one, optimizer in ((ours, whole), (plain, apart)):
            optimizer.forget_gradients()
            one(images).square().mean().backward()
            if optimizer.vector is not None:
                places = optimizer.vector.parts(optimizer.vector.gradient)
                for weight, place in zip(optimizer.weights, places, strict=True):
                    assert weight.grad is not None
                    place.copy_(weight.grad)
            optimizer.step()
    for weight, same in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(weight, same, rtol=1e-5, atol=1e-7)
    assert whole.moments().keys() == apart.moments().keys()
    for key, moments in apart.moments().items():
        for moment, same in zip(whole.moments()[key], moments, strict=True):
            torch.testing.assert_close(moment, same, rtol=1e-5, atol=1e-7)
            assert key != "step" or moment == 4


@pytest.mark.parametrize(
    ("rule", "precision"),
    [("adam", "fp32"), ("adam", "bf16"), ("nesterov", "fp32"), ("rmsprop", "fp32")],
)
def test_what_is_kept_of_a_vector_goes_on_with_it(
    tiny_config: TinyConfig, tmp_path: Path, rule: str, precision: str
) -> None:
    names = {f"{each}_optimizer.name": rule for each in ("generator", "discriminator")}
    keys = {**DENSE, **names, "training.precision": precision}
    config = preparing.resolve(tiny_config(keys), classes=3)
    shape = (config.training.batch_size, *config.data.sample_shape)
    random = torch.Generator().manual_seed(0)
    steps = [torch.rand(shape, generator=random) for _ in range(6)]
    state = create(config, torch.device("cpu"))
    for real in steps[:3]:
        train_step(state, [(real, None)], config, 0.0)
        state.step += 1
    kept = checkpoints.Checkpoint(
        tmp_path / "state.safetensors", "state", 3, 1.0, config, "", to_tensors(state)
    )
    checkpoints.save(kept)
    again = create(config, torch.device("cpu"))
    restore(again, checkpoints.load(kept.path))
    for real in steps[3:]:
        figures = [train_step(one, [(real, None)], config, 0.0) for one in (state, again)]
        assert torch.equal(*figures)
        state.step, again.step = state.step + 1, again.step + 1
    for name, tensor in to_tensors(state).items():
        assert torch.equal(tensor, to_tensors(again)[name]), name


def test_a_copy_of_a_network_has_weights_of_its_own() -> None:
    ours = network()
    vector = WeightVector(ours)
    other = copy.deepcopy(ours)
    before = [weight.clone() for weight in other.parameters()]
    vector.values.zero_()
    for weight, same in zip(other.parameters(), before, strict=True):
        assert torch.equal(weight, same)


@pytest.mark.parametrize("rule", ["adam", "momentum"])
@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_where_the_host_does_not_wait_a_bad_update_of_a_vector_is_skipped(
    tiny_config: TinyConfig, rule: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On an accelerator, that is; here its way is taken on a CPU."""
    monkeypatch.setattr(step_module, "_is_looked_at", lambda device: False)
    keys = {**DENSE, "discriminator_optimizer.name": rule}
    config = preparing.resolve(tiny_config(keys), classes=3)
    state = create(config, torch.device("cpu"))
    real = torch.rand(config.training.batch_size, *config.data.sample_shape)
    train_step(state, [(real, None)], config, 0.0)
    optimizer = state.discriminator_optimizer
    assert optimizer.vector is not None
    before = [part.clone() for parts in optimizer.moments().values() for part in parts]
    weights = optimizer.vector.values.clone()
    if what == "loss":
        figures = train_step(state, [(real * math.nan, None)], config, 0.0, look=False)
    else:
        assert state.chains is not None
        learn = state.chains.discriminator.backward

        def badly(*given: Any, **options: Any) -> Tensor:
            found = learn(*given, **options)
            optimizer.vector.gradient[3] = math.inf  # type: ignore[union-attr]
            return found

        monkeypatch.setattr(state.chains.discriminator, "backward", badly)
        figures = train_step(state, [(real, None)], config, 0.0, look=False)
    told = dict(zip(STEP_FIGURES, figures.tolist(), strict=True))
    assert math.isnan(told["d_gradient_norm"])
    assert math.isnan(told["d_loss"]) == (what == "loss")
    assert torch.equal(optimizer.vector.values, weights)
    after = [part for parts in optimizer.moments().values() for part in parts]
    assert all(map(torch.equal, before, after))
