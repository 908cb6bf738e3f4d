from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gancli.errors import DataError, StorageError
from gancli.pictures.grid import (
    BACKGROUND,
    default_columns,
    make_grid,
    read_metadata,
    save_png,
    split_grid,
)


def random_images(count: int, channels: int, height: int = 4, width: int = 6) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, channels, height, width), np.uint8)


def test_sixty_four_digits_make_242_pixels() -> None:
    assert make_grid(random_images(64, 1, 28, 28), columns=8).size == (242, 242)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_every_tile_stands_where_it_should_and_nothing_else_does(channels: int, mode: str) -> None:
    images = random_images(5, channels)
    grid = make_grid(images, columns=3, margin=2)
    assert grid.mode == mode
    pixels = np.array(grid).reshape(grid.height, grid.width, channels)
    for index, image in enumerate(images):
        row, column = divmod(index, 3)
        tile = pixels[2 + 6 * row : 6 + 6 * row, 2 + 8 * column : 8 + 8 * column]
        assert (tile == image.transpose(1, 2, 0)).all()
        tile[...] = BACKGROUND
    assert (pixels == BACKGROUND).all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("count", [1, 5, 6])
def test_splitting_a_grid_gives_the_images_back(channels: int, count: int) -> None:
    images = random_images(count, channels, 6, 6)
    for margin in (0, 1, 2):
        grid = make_grid(images, columns=3, margin=margin)
        assert (split_grid(grid, 6, margin)[:count] == images).all()
    columns = min(count, 3)
    assert len(split_grid(make_grid(images, columns), 6)) == count


def test_a_picture_that_is_no_grid_is_refused() -> None:
    with pytest.raises(DataError, match="30x31 is not a grid of tiles of 28x28"):
        split_grid(Image.new("L", (30, 31)), 28)


@pytest.mark.parametrize(
    "images",
    [
        random_images(0, 1),
        random_images(2, 2),
        random_images(2, 1)[0],
        random_images(2, 1).astype(np.float32),
    ],
)
def test_other_arrays_are_refused(images: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        make_grid(images, columns=1)


def test_a_grid_needs_a_column() -> None:
    with pytest.raises(ValueError, match="column"):
        make_grid(random_images(1, 1), columns=0)


@pytest.mark.parametrize("count", range(1, 70))
def test_default_columns_make_the_smallest_square_that_holds_all(count: int) -> None:
    columns = default_columns(count)
    assert columns**2 >= count > (columns - 1) ** 2


def test_metadata_come_back_whatever_the_alphabet(tmp_path: Path) -> None:
    metadata = {"seeds": "0-63", "name": "größe", "command": "数字 7 → film"}
    path = tmp_path / "grid.png"
    save_png(make_grid(random_images(4, 1), 2), path, metadata)
    assert read_metadata(path) == metadata


def test_a_file_name_that_is_not_utf8_does_not_spoil_the_picture(tmp_path: Path) -> None:
    save_png(make_grid(random_images(1, 1), 1), tmp_path / "a.png", {"command": "film \udcff.gif"})
    assert read_metadata(tmp_path / "a.png") == {"command": "film ?.gif"}


def test_scale_draws_every_pixel_as_a_block(tmp_path: Path) -> None:
    grid = make_grid(random_images(4, 3), 2)
    save_png(grid, tmp_path / "large.png", {}, scale=3)
    with Image.open(tmp_path / "large.png") as large:
        expected = np.asarray(grid).repeat(3, axis=0).repeat(3, axis=1)
        assert (np.asarray(large) == expected).all()


def test_equal_pictures_are_equal_files(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        save_png(make_grid(random_images(4, 1), 2), tmp_path / name, {"epoch": "1"})
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nowhere"):
        save_png(make_grid(random_images(1, 1), 1), tmp_path / "nowhere" / "a.png", {})


def test_metadata_of_no_png_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "page.png").write_text("<html>")
    with pytest.raises(DataError, match=r"page\.png"):
        read_metadata(tmp_path / "page.png")
