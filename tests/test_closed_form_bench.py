"""What bench/closed_form.py times is two ways to the same weights."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from tiny import OfBench


@pytest.fixture
def timed(of_bench: OfBench) -> ModuleType:
    return of_bench("closed_form")


@pytest.mark.parametrize("recipe", ["digit", "r1-fc", "r2-6-final"])
def test_both_ways_train_the_recipe_alike(timed: ModuleType, recipe: str) -> None:
    config = timed.described(recipe, "fp32")
    found = []
    for by_hand in (True, False):
        state = timed.state_of(config, by_hand)
        step = timed.step_of(state, config)
        assert (state.chains is not None) == by_hand
        assert (state.discriminator_optimizer.vector is not None) == by_hand
        for _ in range(2):
            step()
        found.append([weight.detach().clone() for weight in state.discriminator.parameters()])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)
    assert timed.rate(step, 0.01) > 0.1
