from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import TinyConfig

from gancli.errors import ConfigError
from gancli.pictures.frames import frame_path
from gancli.training.plan import Plan


def plan(tiny_config: TinyConfig, images: int = 48, **changes: object) -> Plan:
    keys = {key.replace("__", "."): value for key, value in changes.items()}
    return Plan.of(tiny_config(keys), images)


@given(st.integers(1, 60), st.integers(1, 10), st.integers(1, 3), st.integers(0, 5))
def test_an_epoch_shows_no_image_twice_and_leaves_out_less_than_a_step(
    tiny_config: TinyConfig, images: int, batch: int, d_steps: int, epoch: int
) -> None:
    if batch * d_steps > images:
        with pytest.raises(ConfigError, match=r"training\.batch_size"):
            plan(tiny_config, images, training__batch_size=batch, training__d_steps=d_steps)
        return
    made = plan(tiny_config, images, training__batch_size=batch, training__d_steps=d_steps)
    steps = range(epoch * made.steps_per_epoch, (epoch + 1) * made.steps_per_epoch)
    shown = torch.cat([made.batch(step) for step in steps])
    assert made.images_per_step == batch * d_steps
    assert len(shown) == len(steps) * made.images_per_step
    assert images - made.images_per_step < len(shown) <= images
    assert len(torch.unique(shown)) == len(shown)
    assert 0 <= shown.min() <= shown.max() < images


def test_every_epoch_and_every_seed_has_an_order_of_its_own(tiny_config: TinyConfig) -> None:
    def order(epoch: int, seed: int) -> tuple[int, ...]:
        made = plan(tiny_config, training__seed=seed)
        return tuple(torch.cat([made.batch(epoch * 6 + step) for step in range(6)]).tolist())

    orders = {order(epoch, seed) for epoch in range(4) for seed in range(4)}
    assert len(orders) == 16
    assert order(2, 3) in orders


def test_a_batch_needs_no_memory_of_those_before(tiny_config: TinyConfig) -> None:
    made = plan(tiny_config)
    forward = [made.batch(step) for step in range(30)]
    backward = [made.batch(step) for step in reversed(range(30))][::-1]
    assert all(torch.equal(one, two) for one, two in zip(forward, backward, strict=True))


@pytest.mark.parametrize(
    ("steps", "images", "each"),
    [(60, 48, 6), (480, 48, 6), (3000, 48, 48), (3000, 6000, 750), (3000, 120, 45)],
)
def test_frames_of_their_own_accord_are_an_epoch_apart_or_about_sixty(
    tiny_config: TinyConfig, steps: int, images: int, each: int
) -> None:
    changes = {"training__steps": steps, "record__frame_every": "auto", "record__log_every": "auto"}
    made = plan(tiny_config, images, **changes)
    assert (made.frame_steps, made.log_steps) == (each, each)
    assert each % made.steps_per_epoch == 0


@given(st.integers(8, 1_000_000), st.floats(1e-3, 2.0), st.integers(0, 10_000))
def test_no_two_frames_have_one_name(
    tiny_config: TinyConfig, images: int, frame_every: float, start: int
) -> None:
    made = plan(tiny_config, images, record__frame_every=frame_every)
    epochs = [made.epoch((start + number) * made.frame_steps) for number in range(50)]
    assert len({frame_path(Path(), epoch) for epoch in epochs}) == 50


@pytest.mark.parametrize(
    ("per_epoch", "frame_every", "steps"),
    [(1253, 0.001, 2), (468, 1.0, 468), (468, 0.05, 23), (500, 0.05, 25), (2000, 0.001, 2)],
)
def test_frames_are_as_far_apart_as_asked_or_as_names_can_tell(
    tiny_config: TinyConfig, per_epoch: int, frame_every: float, steps: int
) -> None:
    assert plan(tiny_config, 8 * per_epoch, record__frame_every=frame_every).frame_steps == steps


def test_part_of_the_images_make_an_epoch_if_asked(tiny_config: TinyConfig) -> None:
    made = plan(tiny_config, training__images_per_epoch=16)
    assert made.steps_per_epoch == 2
    # Three such epochs take all images in one order, the next three in another.
    first, second = (torch.cat([made.batch(n + step) for step in range(6)]) for n in (0, 6))
    assert len(torch.unique(first)) == len(torch.unique(second)) == 48
    assert not torch.equal(first, second)
    uneven = plan(tiny_config, training__images_per_epoch=32)
    epochs = [torch.cat([uneven.batch(4 * n + step) for step in range(4)]) for n in range(10)]
    assert all(len(torch.unique(epoch)) == 32 for epoch in epochs)
    assert len(torch.unique(torch.cat(epochs))) == 48
    assert plan(tiny_config, training__images_per_epoch=1000).steps_per_epoch == 6


@pytest.mark.parametrize(
    ("length", "steps"),
    [
        ({"training__epochs": 3}, 18),
        ({"training__epochs": 0.5}, 3),
        ({"training__epochs": 1e-6}, 1),
        ({"training__steps": 7, "training__epochs": None}, 7),
    ],
)
def test_the_length_in_steps(tiny_config: TinyConfig, length: dict[str, float], steps: int) -> None:
    made = plan(tiny_config, **{"training__steps": None, **length})
    assert made.total_steps == steps
    assert made.epoch(steps) == steps / 6


def test_what_falls_due_and_when(tiny_config: TinyConfig) -> None:
    made = plan(tiny_config, record__frame_every=0.5, record__log_every=1e-6, training__steps=14)
    assert (made.frame_steps, made.log_steps, made.keep_steps) == (3, 1, 6)
    due = [step for step in range(1, 15) if made.due(step, made.frame_steps)]
    assert due == [3, 6, 9, 12, 14]


@given(st.integers(1, 5000))
def test_about_twenty_generators_are_kept_by_default(tiny_config: TinyConfig, steps: int) -> None:
    made = plan(tiny_config, training__steps=steps, record__keep_every="auto")
    kept = sum(made.due(step, made.keep_steps) for step in range(1, steps + 1))
    assert min(steps, 13) <= kept <= 31


def test_a_batch_of_more_than_there_is_names_one_that_fits(tiny_config: TinyConfig) -> None:
    wanted = {"training__batch_size": 25, "training__d_steps": 2}
    with pytest.raises(ConfigError) as caught:
        plan(tiny_config, **wanted)
    assert "is more than the 48 images of an epoch" in str(caught.value)
    assert str(caught.value).endswith("--set training.batch_size=24")
    assert plan(tiny_config, **{**wanted, "training__batch_size": 24}).steps_per_epoch == 1
