from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gancli.pictures.frames import Frame, frame_path, list_frames
from gancli.pictures.grid import make_grid, save_png

MakeFrames = Callable[..., list[Frame]]


@pytest.fixture
def make_frames(tmp_path: Path) -> MakeFrames:
    """Return a function that writes small frames of random tiles and lists them."""

    def make(count: int, *, channels: int = 1, side: int = 5, equal: bool = False) -> list[Frame]:
        folder = tmp_path / "frames"
        folder.mkdir(exist_ok=True)
        for epoch in range(count):
            random = np.random.default_rng(0 if equal else epoch)
            tiles = random.integers(0, 256, (4, channels, side, side), np.uint8)
            save_png(make_grid(tiles, 2), frame_path(folder, epoch), {})
        return list_frames(folder)

    return make
