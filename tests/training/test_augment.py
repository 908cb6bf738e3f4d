"""Images that are changed a little whenever they are shown, and stay what they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import TinyConfig, TrainRun
from torch import Tensor

from gancli.config import PIXEL_RANGES
from gancli.training import step
from gancli.training.augment import PULLED, bent
from gancli.training.state import TrainState

SIGNED = (-1.0, 1.0)


def pictures(count: int, channels: int = 1, size: int = 28) -> Tensor:
    """Return smooth pictures of random numbers from -0.9 to 0.9."""
    rough = torch.randn(count, channels, 5, 5, generator=torch.Generator().manual_seed(0))
    return 0.9 * torch.nn.functional.interpolate(rough, (size, size), mode="bilinear").tanh()


def pulls(count: int) -> Tensor:
    return torch.zeros(count, 2, PULLED, PULLED)


@pytest.mark.parametrize("size", [8, 28, 33])
def test_images_that_nothing_pulls_stay_as_they_are(size: int) -> None:
    images = pictures(3, 3, size)
    assert (bent(images, pulls(3), SIGNED) - images).abs().max() < 1e-4


@pytest.mark.parametrize(("right", "down"), [(2, 0), (0, -3), (-1, 4)])
def test_images_whose_points_are_all_pulled_alike_are_moved(right: int, down: int) -> None:
    images, all_alike = pictures(2, 3), pulls(2)
    all_alike[1, 0], all_alike[1, 1] = right / 28, down / 28
    still, moved = bent(images, all_alike, SIGNED)
    assert torch.allclose(still, images[0], atol=1e-4)
    inside = slice(6, -6)
    expected = images[1].roll((down, right), (1, 2))
    assert torch.allclose(moved[:, inside, inside], expected[:, inside, inside], atol=1e-4)
    # Beyond an edge, the edge goes on.
    if down < 0:
        for row in range(28 + down, 28):
            assert torch.allclose(moved[:, row, inside], moved[:, -1, inside], atol=0.05)


def test_a_point_pulls_what_is_near_it() -> None:
    images, one = pictures(1), pulls(1)
    one[0, :, 0, 0] = 0.1
    changed = (bent(images, one, SIGNED) - images).abs()[0, 0]
    assert changed[:10, :10].mean() > 0.02
    assert changed[14:, 14:].mean() < 0.1 * changed[:10, :10].mean()


def test_no_pixel_leaves_the_range() -> None:
    board = (torch.arange(28)[:, None] // 3 + torch.arange(28) // 3) % 2 * 2.0 - 1
    amounts = 0.03 * torch.randn(50, 2, PULLED, PULLED, generator=torch.Generator().manual_seed(1))
    found = bent(board.expand(50, 1, 28, 28), amounts, SIGNED)
    assert found.min() == -1 and found.max() == 1
    # How blurred it is: by a linear way between pixels this is 0.70, and of whole pixels 1.
    assert 0.73 < found.abs().mean() < 0.9


@pytest.mark.parametrize("pixel_range", PIXEL_RANGES)
@pytest.mark.parametrize("elastic", [0.0, 0.04])
def test_training_shows_images_bent_anew_each_time(
    elastic: float,
    pixel_range: str,
    tiny_config: TinyConfig,
    train_run: TrainRun,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[Tensor] = []
    learn = step._discriminator_step

    def watched(state: TrainState, batch: Any, *rest: Any) -> Any:
        shown.append(batch.real)
        return learn(state, batch, *rest)

    monkeypatch.setattr(step, "_discriminator_step", watched)
    settings = {"data.elastic": elastic, "data.pixel_range": pixel_range, "training.steps": 12}
    run = train_run(tiny_config(settings), Path("run")).run
    low, high = PIXEL_RANGES[pixel_range]
    images = torch.cat(shown)
    assert low <= images.min() < images.max() <= high
    known = {image.numpy().tobytes() for image in images}
    assert (len(known) == len(images)) is bool(elastic)
    # The log tells how the data are, however they are shown: twice the same picture is no variety.
    plain = train_run(tiny_config({**settings, "data.elastic": 0.0}), Path("plain")).run
    for line, expected in zip(run.read_log(), plain.read_log(), strict=True):
        assert line["diversity_real"] == expected["diversity_real"] > 0
