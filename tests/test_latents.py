from __future__ import annotations

import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from gancli.config import LARGEST_SEED, LatentConfig
from gancli.latents import draw_latents, latents_of_seeds, slerp

NORMAL, UNIFORM = LatentConfig(size=16), LatentConfig(size=16, law="uniform")
seeds = st.integers(0, LARGEST_SEED)


@given(st.lists(seeds, max_size=6), st.integers(0, 6), st.sampled_from([NORMAL, UNIFORM]))
def test_a_seed_has_one_latent_whatever_stands_beside_it(
    many: list[int], cut: int, latent: LatentConfig
) -> None:
    together = latents_of_seeds(many, latent)
    assert (together.shape, together.dtype) == ((len(many), 16), torch.float32)
    apart = [latents_of_seeds(many[:cut], latent), latents_of_seeds(many[cut:], latent)]
    assert torch.equal(together, torch.cat(apart))


def test_seeds_have_latents_of_their_own() -> None:
    latents = latents_of_seeds([*range(200), LARGEST_SEED], NORMAL)
    assert len(torch.unique(latents, dim=0)) == 201


def test_the_global_generator_has_no_say() -> None:
    torch.manual_seed(1)
    first = latents_of_seeds([5], NORMAL)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert torch.equal(latents_of_seeds([5], NORMAL), first)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("latent", "deviation", "most"), [(NORMAL, 1.0, math.inf), (UNIFORM, math.sqrt(1 / 3), 1.0)]
)
def test_latents_follow_their_law(latent: LatentConfig, deviation: float, most: float) -> None:
    for drawn in (
        latents_of_seeds(range(4_000), latent),
        draw_latents(4_000, latent, torch.Generator().manual_seed(0)),
    ):
        error = deviation / math.sqrt(drawn.numel())
        assert abs(drawn.mean()) < 5 * error
        assert 0.98 * deviation < drawn.std() < 1.02 * deviation
        assert drawn.abs().max() <= most
        # Standard normal numbers go beyond 3, and uniform ones come close to 1.
        assert drawn.abs().max() > (3 if most == math.inf else 0.999)


@given(seeds, seeds, st.sampled_from([0.0, 0.5, 1.0, 2.0]))
def test_a_path_starts_and_ends_exactly_at_its_ends(start: int, end: int, factor: float) -> None:
    first, last = latents_of_seeds([start, end], NORMAL) * factor
    path = slerp(first, last, torch.linspace(0, 1, 5))
    assert path.isfinite().all()
    assert torch.equal(path[0], first)
    assert torch.equal(path[-1], last)


@given(seeds, seeds)
def test_a_path_turns_evenly_and_keeps_to_the_lengths_of_its_ends(start: int, end: int) -> None:
    assume(start != end)
    first, last = latents_of_seeds([start, end], NORMAL)
    path = slerp(first, last, torch.linspace(0, 1, 5))
    lengths = torch.linspace(first.norm().item(), last.norm().item(), 5)
    torch.testing.assert_close(path.norm(dim=1), lengths)
    directions = path / path.norm(dim=1, keepdim=True)
    turns = (directions[1:] * directions[:-1]).sum(1).clamp(-1, 1).arccos()
    torch.testing.assert_close(turns, turns[:1].expand(4), atol=2e-3, rtol=2e-3)
    back = slerp(last, first, torch.linspace(0, 1, 5)).flip(0)
    torch.testing.assert_close(back, path, atol=1e-5, rtol=1e-5)


def test_a_quarter_turn_in_closed_form() -> None:
    middle = slerp(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 3.0]), torch.tensor([0.5]))
    torch.testing.assert_close(middle, torch.full((1, 2), math.sqrt(2)))  # 2 (cos 45, sin 45)


@pytest.mark.parametrize("other", [2.0, 1.0, 0.0, -1.0])
def test_latents_without_an_angle_are_joined_by_a_straight_line(other: float) -> None:
    start = torch.tensor([3.0, 4.0])
    path = slerp(start, other * start, torch.linspace(0, 1, 3))
    expected = torch.stack([start, (1 + other) / 2 * start, other * start])
    torch.testing.assert_close(path, expected)
