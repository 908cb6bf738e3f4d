"""What bench/closed_form.py times is two ways to the same weights."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from tiny import OfBench
from torch import Tensor

from gancli.training.state import create


@pytest.fixture
def timed(of_bench: OfBench) -> ModuleType:
    return of_bench("closed_form")


@pytest.mark.parametrize("recipe", ["digit", "r1-fc", "r2-6-final"])
def test_both_ways_train_the_recipe_alike(timed: ModuleType, recipe: str) -> None:
    config = timed.described(recipe, "fp32")
    found: list[list[Tensor]] = []
    for by_hand in (True, False):
        state = create(config, torch.device("cpu"), autograd=not by_hand)
        step = timed.step_of(state, config)
        assert (state.chains is not None) == by_hand
        assert (state.discriminator_optimizer.vector is not None) == by_hand
        found.append([step() for _ in range(3)])
    for ours, theirs in zip(*found, strict=True):  # losses, answers and gradients' norms
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert not torch.equal(found[0][0], found[0][2])
    assert timed.rate(step, 0.01) > 0.1
