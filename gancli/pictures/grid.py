"""Many small images on one sheet, and PNG files that carry their own description."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, PngImagePlugin

from gancli.errors import DataError
from gancli.files import write_bytes
from gancli.pictures.layout import Table, enlarge

Images = npt.NDArray[np.uint8]
"""uint8 [n, c, h, w], 0 to 255; c is 1 (grey) or 3 (red, green, blue)."""

BACKGROUND = 40
"""The grey between the tiles: dark, yet apart from the black that digits stand on."""


TILE_GAP = 2
"""Pixels around and between tiles unless told otherwise, as in every frame."""


def make_grid(images: Images, columns: int, margin: int = TILE_GAP) -> Image.Image:
    """Lay images out row by row, with a margin around and between them.

    Args:
        images: uint8 [n, c, h, w] with n >= 1 and c 1 or 3.
        columns: tiles in a row, at least 1; the last row may be shorter.
        margin: pixels around and between the tiles.

    Returns:
        A picture in mode L (c = 1) or RGB (c = 3).

    Raises:
        ValueError: the array is not of that shape and type, or there are no columns.
    """
    check_images(images)
    if columns < 1:
        raise ValueError(f"a grid needs at least 1 column, not {columns}")
    count, channels, height, width = images.shape
    table = Table(count, columns, (width, height), gap=margin, edge=margin)
    sheet = np.full((*table.size[::-1], channels), BACKGROUND, np.uint8)
    for index, tile in enumerate(images):
        left, top = table.corner(index)
        sheet[top : top + height, left : left + width] = tile.transpose(1, 2, 0)
    return to_picture(sheet)


def split_grid(picture: Image.Image, side: int, margin: int = TILE_GAP) -> Images:
    """Return the square tiles of a grid: the inverse of :func:`make_grid`.

    Args:
        picture: a grid in mode L or RGB.
        side: height and width of a tile.
        margin: pixels around and between the tiles.

    Returns:
        uint8 [n, c, side, side]; the places left empty in the last row are left out.

    Raises:
        DataError: the picture is not a grid of such tiles.
    """
    pixels = np.asarray(picture).reshape(picture.height, picture.width, -1)
    pitch = side + margin
    (rows, high), (columns, wide) = (divmod(length - margin, pitch) for length in pixels.shape[:2])
    if high or wide or rows < 1 or columns < 1:
        raise DataError(
            f"a picture of {picture.width}x{picture.height} is not a grid of tiles of "
            f"{side}x{side}; give a frame of this run"
        )
    cells = pixels[margin:, margin:].reshape(rows, pitch, columns, pitch, -1)[:, :side, :, :side]
    tiles = cells.transpose(0, 2, 4, 1, 3).reshape(rows * columns, -1, side, side)
    drawn = np.flatnonzero((tiles != BACKGROUND).any(axis=(1, 2, 3)))
    return np.ascontiguousarray(tiles[: drawn[-1] + 1 if drawn.size else 1])


def default_columns(count: int) -> int:
    """Return the number of columns that makes a grid of ``count`` tiles as square as can be."""
    return max(1, math.ceil(math.sqrt(count)))


def save_png(
    image: Image.Image,
    path: Path,
    metadata: Mapping[str, str],
    *,
    scale: int = 1,
    dpi: float | None = None,
) -> None:
    """Write a PNG atomically, with the metadata as text chunks.

    Args:
        image: the picture.
        path: the file to write or replace.
        metadata: keys of 1 to 79 Latin characters to any text.
        scale: draw every pixel as a block of this many pixels a side.
        dpi: how many pixels are an inch where it is printed; None for no word on it.

    Raises:
        StorageError: the file cannot be written.
    """
    chunks = PngImagePlugin.PngInfo()
    for key, value in metadata.items():
        # File names that are not UTF-8 hold lone surrogates, which no PNG can.
        chunks.add_text(key, value.encode("utf-8", "replace").decode())
    buffer = io.BytesIO()
    printed = {} if dpi is None else {"dpi": (dpi, dpi)}
    enlarge(image, scale).save(buffer, "PNG", pnginfo=chunks, **printed)
    write_bytes(path, buffer.getbuffer())


def read_metadata(path: Path) -> dict[str, str]:
    """Return the text chunks of a PNG file.

    Raises:
        DataError: the file is missing or not a whole PNG.
    """
    return {key: str(value) for key, value in open_png(path).text.items()}


def open_png(path: Path) -> PngImagePlugin.PngImageFile:
    """Read and decode a PNG; whatever goes wrong names the file.

    Raises:
        DataError: the file is missing, empty, truncated or not a PNG.
    """
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            picture.load()
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; check the path") from error
    except Exception as error:  # a decoder fed with garbage may raise anything
        if path.is_file() and path.stat().st_size == 0:
            raise DataError(f"{path} is empty; delete it or write it anew") from error
        raise DataError(
            f"{path} cannot be read as a PNG, it is truncated, damaged or of another kind "
            f"({error}); delete it or write it anew"
        ) from error
    assert isinstance(picture, PngImagePlugin.PngImageFile)
    return picture


def check_images(images: Images) -> None:
    """Hold an array to uint8 [n, c, h, w] with something in it; a ValueError says what it is."""
    shape_is_right = images.ndim == 4 and images.shape[1] in (1, 3) and images.size > 0
    if images.dtype != np.uint8 or not shape_is_right:
        raise ValueError(
            f"images must be uint8 [n, 1 or 3, h, w], not {images.dtype} {list(images.shape)}"
        )


def to_picture(pixels: Images) -> Image.Image:
    """Turn uint8 [h, w, 1 or 3] into a picture in mode L or RGB."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
