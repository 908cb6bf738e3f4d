from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
import torch
from tiny import TinyConfig
from torch import Tensor

from gancli import checkpoints, preparing
from gancli.checkpoints import Checkpoint
from gancli.errors import CheckpointError
from gancli.runs import RunDirectory
from gancli.training.state import create, derived_seed, restore, to_tensors

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def kept(tiny_run: RunDirectory) -> Checkpoint:
    return checkpoints.load(checkpoints.states(tiny_run.path)[0])


def with_tensors(kept: Checkpoint, tensors: dict[str, Tensor]) -> Checkpoint:
    return dataclasses.replace(kept, tensors=tensors)


def refusal(checkpoint: Checkpoint) -> str:
    with pytest.raises(CheckpointError) as caught:
        restore(create(checkpoint.config, CPU), checkpoint)
    assert str(checkpoint.path) in str(caught.value)
    return str(caught.value)


def test_what_is_restored_is_what_was_kept(kept: Checkpoint) -> None:
    state = create(kept.config, CPU)
    fresh = {name: tensor.clone() for name, tensor in to_tensors(state).items()}
    restore(state, kept)
    tensors = to_tensors(state)
    assert state.step == kept.step == 12
    assert tensors.keys() == kept.tensors.keys()
    assert all(torch.equal(tensor, kept.tensors[name]) for name, tensor in tensors.items())
    networks = [name for name in fresh if name.startswith(("generator.", "average."))]
    assert not any(torch.equal(fresh[name], tensors[name]) for name in networks)


def test_the_config_alone_makes_the_first_state(tiny_config: TinyConfig) -> None:
    def first(seed: int) -> dict[str, Tensor]:
        torch.rand(seed + 3)
        return to_tensors(create(preparing.resolve(tiny_config({"training.seed": seed}), 3), CPU))

    one, again, other = first(1), first(1), first(2)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["random.latents"], other["random.latents"])
    assert not torch.equal(one["random.dropout"], other["random.dropout"])
    name = "generator.body.0.0.weight"
    assert not torch.equal(one[name], other[name])
    assert torch.equal(one[name], one[name.replace("generator", "average")])


def test_every_purpose_and_every_seed_has_a_seed_of_its_own() -> None:
    purposes = ["weights", "latents", "dropout", "order 1", "order 11"]
    seeds = {derived_seed(seed, purpose) for seed in (0, 1, 2**63 - 1) for purpose in purposes}
    assert len(seeds) == 15
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derived_seed(1, "order 1") != derived_seed(11, "order ")


def test_a_tensor_that_is_missing_extra_or_different_is_named(kept: Checkpoint) -> None:
    name = {
        "weight": "generator.body.0.0.weight",
        "average": "average.body.3.bias",
        "moment": "discriminator_optimizer.body.0.weight:exp_avg",
        "random": "random.latents",
        "sums": "log.sums",
    }
    for missing in name.values():
        tensors = {key: value for key, value in kept.tensors.items() if key != missing}
        assert f"has no tensor '{missing.split('.', 1)[1]}'" in refusal(with_tensors(kept, tensors))
    for prefix in ("generator.", "generator_optimizer.", "random.", "log.", "", "unknown."):
        tensors = {**kept.tensors, f"{prefix}new": torch.zeros(1)}
        assert "new' that its config does not ask for" in refusal(with_tensors(kept, tensors))
    for changed in (name["weight"], name["moment"], name["sums"]):
        for other, words in (
            (torch.zeros(5, 1), "is float32 [5, 1], and its config asks for float32"),
            (kept.tensors[changed].half(), "is float16"),
        ):
            message = refusal(with_tensors(kept, {**kept.tensors, changed: other}))
            assert f"'{changed.split('.', 1)[1]}' {words}" in message


@pytest.mark.parametrize("kind", ["exp_avg", "exp_avg_sq", "step", ""])
def test_moments_that_are_all_missing_are_missed(kept: Checkpoint, kind: str) -> None:
    tensors = {
        key: value
        for key, value in kept.tensors.items()
        if not (key.startswith("generator_optimizer.") and key.endswith(f":{kind}" if kind else ""))
    }
    assert len(tensors) < len(kept.tensors)
    assert "has no tensor" in refusal(with_tensors(kept, tensors))


@pytest.mark.parametrize("name", ["generator.body.0.0.bias", "log.sums", "average.body.3.weight"])
def test_a_state_with_nan_is_refused(kept: Checkpoint, name: str) -> None:
    bad = kept.tensors[name].clone()
    bad.view(-1)[0] = torch.nan
    message = refusal(with_tensors(kept, {**kept.tensors, name: bad}))
    assert f"'{name}' holds nan or inf" in message


@pytest.mark.parametrize("name", ["random.latents", "random.dropout"])
def test_a_state_of_no_random_generator_is_refused(kept: Checkpoint, name: str) -> None:
    tensors = {**kept.tensors, name: torch.zeros_like(kept.tensors[name])}
    assert "no state of a random generator" in refusal(with_tensors(kept, tensors))


def test_a_state_of_another_architecture_is_refused(
    kept: Checkpoint, tiny_config: TinyConfig
) -> None:
    other = preparing.resolve(tiny_config({"latent.size": 5}), 3)
    with pytest.raises(CheckpointError, match=r"'body\.0\.0\.weight' is float32 \[16, 6\]"):
        restore(create(other, CPU), kept)
    without = preparing.resolve(tiny_config({"generator.ema_half_life": 0.0}), 3)
    with pytest.raises(CheckpointError, match="that its config does not ask for"):
        restore(create(without, CPU), kept)


def test_dropout_goes_on_where_it_was(kept: Checkpoint) -> None:
    restore(create(kept.config, CPU), kept)
    first = torch.rand(5)
    torch.rand(17)
    restore(create(kept.config, CPU), kept)
    assert torch.equal(torch.rand(5), first)


def test_a_checkpoint_on_disk_goes_to_another_place_unchanged(
    tiny_run: RunDirectory, kept: Checkpoint
) -> None:
    moved = Path(shutil.copytree(tiny_run.path, "moved"))
    found = checkpoints.load(checkpoints.states(moved)[0])
    assert all(torch.equal(found.tensors[name], kept.tensors[name]) for name in kept.tensors)


@pytest.mark.parametrize(
    ("precision", "exact", "rough"),
    [
        ("fp32", False, (False, False)),
        ("bf16", False, (True, True)),
        ("bf16", True, (False, True)),
    ],
)
def test_a_generator_can_stay_exact_where_16_bits_are_asked_for(
    tiny_config: TinyConfig, precision: str, exact: bool, rough: tuple[bool, bool]
) -> None:
    changes = {"training.precision": precision, "generator.exact": exact}
    config = preparing.resolve(tiny_config(changes), 3)
    state = create(config, CPU)
    labels = torch.zeros(2, dtype=torch.int64)
    found = []
    for network, batch in [
        (state.generator, torch.randn(2, config.latent.size)),
        (state.discriminator, torch.randn(2, 1, 8, 8)),
    ]:
        network.train()
        given = network(batch, labels)
        network.half_precision = False
        found.append(not torch.equal(given, network(batch, labels)))
    assert tuple(found) == rough
