from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from gancli.pictures.blocks import DARK, LIGHT, WIDE, Block, draw_blocks, natural_width, pair
from gancli.pictures.grid import BACKGROUND


def images(count: int, channels: int = 1, seed: int = 0, side: int = 10) -> np.ndarray:
    shape = (count, channels, side, side)
    return np.random.default_rng(seed).integers(60, 256, shape, np.uint8)


def place_of(picture: Image.Image, image: np.ndarray, scale: int) -> tuple[int, int]:
    """Return where an enlarged image stands, from the left and from the top."""
    pixels = np.asarray(picture).reshape(picture.height, picture.width, -1)
    wanted = image.transpose(1, 2, 0).repeat(scale, 0).repeat(scale, 1)
    high, wide = wanted.shape[:2]
    found = (pixels[: 1 - high, : 1 - wide] == wanted[0, 0]).all(axis=2)
    found &= (pixels[high - 1 :, wide - 1 :] == wanted[-1, -1]).all(axis=2)
    places = [
        (left, top)
        for top, left in np.argwhere(found).tolist()
        if np.array_equal(pixels[top : top + high, left : left + wide], wanted)
    ]
    assert len(places) == 1
    return places[0]


def inked(block: Block, silent: Block, **options: object) -> np.ndarray:
    """Return rows and columns of the pixels that words change."""
    with_words = np.asarray(draw_blocks([block], scale=6, **options).picture()).astype(int)
    without = np.asarray(draw_blocks([silent], scale=6, **options).picture())
    assert with_words.shape == without.shape
    return np.argwhere(with_words != without)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_blocks_stand_under_each_other_and_tiles_in_rows(channels: int, mode: str) -> None:
    first, second = images(5, channels), images(3, channels, seed=1)
    blocks = [Block(first, 5, "one"), Block(second, 5, "two")]
    picture = draw_blocks(blocks).picture()
    scale = round(WIDE / natural_width(blocks))
    assert (picture.mode, picture.width) == (mode, 62 * scale)
    places = [[place_of(picture, image, scale) for image in each] for each in (first, second)]
    for row in places:
        assert len({top for _, top in row}) == 1
        assert [left for left, _ in row] == [scale * (2 + 12 * n) for n in range(len(row))]
    assert places[1][0][1] > places[0][0][1] + 10 * scale


def test_blocks_stand_side_by_side() -> None:
    first, second = images(4), images(4, seed=1)
    picture = draw_blocks([Block(first, 2), Block(second, 2)], scale=5, beside=True).picture()
    for a, b in zip(first, second, strict=True):
        (left, top), (right, same) = place_of(picture, a, 5), place_of(picture, b, 5)
        assert top == same
        assert right > left + 2 * 12 * 5


@pytest.mark.parametrize("ground", [BACKGROUND, 255])
def test_a_pair_is_one_image_over_another(ground: int) -> None:
    above, below = images(3), images(3, seed=1)
    tiles = pair(above, below, ground)
    assert tiles.shape == (3, 1, 22, 10)
    assert (tiles[:, :, :10] == above).all()
    assert (tiles[:, :, 12:] == below).all()
    assert (tiles[:, :, 10:12] == ground).all()


def test_notes_stand_under_their_tiles() -> None:
    tiles = images(6)
    places = inked(
        Block(tiles, 3, notes=["", "", "", "", "7", ""]), Block(tiles, 3, notes=[" "] * 6)
    )
    picture = draw_blocks([Block(tiles, 3, notes=[" "] * 6)], scale=6).picture()
    left, top = place_of(picture, tiles[4], 6)
    assert abs(places[:, 1].mean() - (left + 30)) < 3
    assert top + 60 < places[:, 0].min()
    assert places[:, 0].max() < picture.height


def test_columns_and_rows_have_their_names() -> None:
    tiles = images(6)
    silent = Block(tiles, 3, columns_named=[" "] * 3, rows_named=["mm", "mm"])
    named = Block(tiles, 3, columns_named=[" ", "5", " "], rows_named=["mm", "mm"])
    places = inked(named, silent)
    picture = draw_blocks([silent], scale=6).picture()
    left, top = place_of(picture, tiles[1], 6)
    assert abs(places[:, 1].mean() - (left + 30)) < 3
    assert places[:, 0].max() < top
    rows = inked(silent, Block(tiles, 3, columns_named=[" "] * 3, rows_named=["mm", ""]))
    left, top = place_of(picture, tiles[3], 6)
    assert rows[:, 1].max() < left
    assert abs(rows[:, 0].mean() - (top + 30)) < 8


@pytest.mark.parametrize("paper", [DARK, LIGHT])
def test_words_are_read_on_either_paper(paper: tuple[str, str]) -> None:
    block = Block(np.full((1, 1, 10, 10), 128, np.uint8), 1)
    sheet = draw_blocks([block], heading="a heading", scale=20, paper=paper)
    pixels = np.asarray(sheet.picture()).astype(int)
    corner = pixels[0, 0]
    ink = pixels[np.abs(pixels - corner) > 150]
    assert (ink > 128).all() if paper is DARK else (ink < 128).all()
    assert len(ink) > 100


def test_large_images_are_not_made_larger() -> None:
    assert draw_blocks([Block(images(5, side=256), 5)]).picture().width == 5 * 258 + 2
