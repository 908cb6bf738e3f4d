from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from gancli.pictures.terminal import ascii_rows, half_blocks, sparkline, terminal_tiles


def digits(count: int, side: int = 28, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (count, channels, side, side), np.uint8)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_picture_that_fits_is_drawn_pixel_for_pixel(mode: str) -> None:
    picture = Image.effect_noise((7, 6), 80).convert(mode)
    pixels = np.asarray(picture.convert("RGB"))
    cells = half_blocks(picture, columns=13, rows=5)
    assert (np.array([[cell[0] for cell in row] for row in cells]) == pixels[0::2]).all()
    assert (np.array([[cell[1] for cell in row] for row in cells]) == pixels[1::2]).all()


def test_an_odd_height_ends_in_black() -> None:
    assert half_blocks(Image.new("L", (1, 1), 255), 1, 1)[0][0][0] == (255, 255, 255)
    assert half_blocks(Image.new("L", (2, 3), 255), 2, 2)[-1] == [((255,) * 3, (0,) * 3)] * 2


def test_small_pictures_grow_by_a_whole_number() -> None:
    picture = Image.fromarray(np.array([[0, 200]], np.uint8))
    cells = half_blocks(picture, columns=7, rows=9)
    assert [[cell[0][0] for cell in row] for row in cells] == [[0, 0, 0, 200, 200, 200]] * 2
    assert [cell[1][0] for cell in cells[0]] == [0, 0, 0, 200, 200, 200]


def test_large_pictures_are_averaged() -> None:
    board = Image.fromarray(np.indices((40, 40)).sum(0).astype(np.uint8) % 2 * 200)
    cells = half_blocks(board, columns=10, rows=5)
    assert {value for row in cells for cell in row for half in cell for value in half} == {100}


@pytest.mark.parametrize("size", [(1, 1), (300, 2), (2, 300), (28, 28), (242, 242), (81, 29)])
@pytest.mark.parametrize("area", [(1, 1), (80, 14), (200, 60), (3, 50)])
def test_the_area_is_never_left(size: tuple[int, int], area: tuple[int, int]) -> None:
    picture = Image.new("L", size, 128)
    for rows in (half_blocks(picture, *area), ascii_rows(picture, *area)):
        assert 1 <= len(rows) <= area[1]
        assert {len(row) for row in rows} == {len(rows[0])}
        assert 1 <= len(rows[0]) <= area[0]


def test_letters_grow_denser_with_brightness() -> None:
    ramp = np.linspace(0, 255, 10).astype(np.uint8)
    assert ascii_rows(Image.fromarray(np.stack([ramp, ramp])), 10, 1) == [" .:-=+*#%@"]


def test_80_by_14_shows_two_rows_of_five_at_half_size() -> None:
    images = digits(64)
    tiles = terminal_tiles(images, columns=80, rows=14)
    assert tiles.size == (5 * 14 + 4, 28)
    pixels = np.asarray(tiles)
    halves = images[:, 0].reshape(64, 14, 2, 14, 2).mean((2, 4))
    for index in range(10):
        row, column = divmod(index, 5)
        tile = pixels[14 * row : 14 * row + 14, 15 * column : 15 * column + 14]
        assert np.abs(tile - halves[index]).max() <= 0.5
    assert not pixels[:, 14::15].any()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_large_terminal_shows_them_at_full_size(channels: int) -> None:
    images = digits(64, channels=channels)
    tiles = terminal_tiles(images, columns=200, rows=60)
    assert tiles.size == (6 * 29 - 1, 4 * 29 - 1)
    pixels = np.asarray(tiles).reshape(tiles.height, tiles.width, channels)
    assert (pixels[29:57, 29:57] == images[7].transpose(1, 2, 0)).all()


def test_a_single_digit_keeps_its_size_where_it_fits() -> None:
    assert terminal_tiles(digits(1), 80, 14).size == (28, 28)
    assert terminal_tiles(digits(1), 80, 7).size == (14, 14)


@pytest.mark.parametrize("count", [1, 2, 7, 64])
@pytest.mark.parametrize("side", [8, 27, 28])
@pytest.mark.parametrize("area", [(28, 14), (80, 14), (120, 30), (200, 60)])
def test_tiles_fit_the_area(count: int, side: int, area: tuple[int, int]) -> None:
    tiles = terminal_tiles(digits(count, side), *area)
    assert tiles.width <= area[0]
    assert tiles.height <= 2 * area[1]


def test_a_tile_too_large_for_the_area_is_drawn_all_the_same() -> None:
    tiles = terminal_tiles(digits(3, 128), 20, 4)
    assert tiles.size == (64, 64)
    assert len(half_blocks(tiles, 20, 4)) == 4


def test_a_sparkline_shows_where_values_lie() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 20, 0, 7) == "▁▂▃▄▅▆▇█"
    assert sparkline([-5, 0, 7, 99], 4, 0, 7) == "▁▁██"  # what is beyond the ends is at them
    assert sparkline([0, 0, 7, 7, 0, 7], 3, 0, 7) == "▁█▅"  # neighbours are averaged
    assert sparkline([3, 3], 9, 3, 3) == "▁▁"
    assert sparkline([], 9, 0, 1) == ""
    assert len(sparkline(range(1000), 37, 0, 999)) == 37
