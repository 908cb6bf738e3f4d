from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from gancli.pictures.grid import BACKGROUND
from gancli.pictures.pairs import Band, draw_bands

COLUMNS = 5


def band(count: int, channels: int, seed: int, title: str = "a title", side: int = 10) -> Band:
    random = np.random.default_rng(seed)
    shape = (count, channels, side, side)
    above, below = (random.integers(0, 256, shape, np.uint8) for _ in range(2))
    return Band(title, above, below, [f"{number}.5" for number in range(count)])


def places_of(picture: Image.Image, image: np.ndarray, scale: int) -> tuple[int, int]:
    """Return where an enlarged image stands, from the left and from the top."""
    pixels = np.asarray(picture).reshape(picture.height, picture.width, -1)
    wanted = image.transpose(1, 2, 0).repeat(scale, 0).repeat(scale, 1)
    side = len(wanted)
    first, last = ((pixels == wanted[at, at]).all(axis=2) for at in (0, -1))
    corners = np.argwhere(first[: 1 - side, : 1 - side] & last[side - 1 :, side - 1 :])
    found = [
        (left, top)
        for top, left in corners.tolist()
        if np.array_equal(pixels[top : top + side, left : left + side], wanted)
    ]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_every_image_stands_over_the_one_it_is_compared_with(channels: int, mode: str) -> None:
    bands = [band(COLUMNS, channels, 1), band(3, channels, 2)]
    picture = draw_bands(bands, COLUMNS)
    assert picture.mode == mode
    scale = 1100 // 62
    assert picture.width == 62 * scale
    last = 0
    for shown in bands:
        places = [
            [places_of(picture, image, scale) for image in half]
            for half in (shown.above, shown.below)
        ]
        for number, ((left, top), (under, low)) in enumerate(zip(*places, strict=True)):
            assert left == under == scale * (2 + 12 * number)
            assert low - top == 12 * scale
        assert places[0][0][1] > last  # the bands stand under each other, with words between
        last = places[1][0][1] + 10 * scale


def test_titles_and_notes_are_written_in_light_ink() -> None:
    silent = draw_bands([Band("", *_halves(), ["", ""])], 2)
    words = draw_bands([Band("a title", *_halves(), ["", "0.5"])], 2)
    assert words.size == silent.size
    changed = np.argwhere(np.asarray(words) != np.asarray(silent))
    top, bottom = changed[:, 0].min(), changed[:, 0].max()
    height, width = np.asarray(words).shape
    assert 0 < top < 0.1 * height
    assert 0.9 * height < bottom < height
    notes = changed[changed[:, 0] > height / 2]
    assert notes[:, 1].mean() == pytest.approx(0.75 * width, rel=0.04)  # under the second pair
    assert np.asarray(words).max() > 200
    assert np.asarray(silent).max() <= max(BACKGROUND, 100)


def _halves() -> tuple[np.ndarray, np.ndarray]:
    return np.full((2, 1, 10, 10), 100, np.uint8), np.full((2, 1, 10, 10), 50, np.uint8)


def test_large_images_are_not_made_larger() -> None:
    picture = draw_bands([band(COLUMNS, 1, 1, side=256)], COLUMNS)
    assert picture.width == COLUMNS * 258 + 2
