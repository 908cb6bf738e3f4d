"""Pictures as terminal cells: half blocks in colour, letters of growing density without.

Nothing is printed here; the caller turns cells into escape codes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from gancli.pictures.grid import Images, check_images, to_picture
from gancli.pictures.layout import enlarge

RGB = tuple[int, int, int]
Cell = tuple[RGB, RGB]
"""The colours, 0 to 255 each, of the upper and the lower half of one character cell."""

_RAMP = " .:-=+*#%@"
_BARS = "▁▂▃▄▅▆▇█"
_ENOUGH_TILES = 10
"""With this many at full size nothing is gained by making them smaller."""


def half_blocks(image: Image.Image, columns: int, rows: int) -> list[list[Cell]]:
    """Draw a picture with two pixels a cell.

    The picture is averaged down, or drawn larger by a whole number, to fit the area with its
    proportions kept; so the result may be smaller than the area.

    Args:
        image: a picture in mode L or RGB.
        columns: width of the area in cells, at least 1.
        rows: height of the area in cells, at least 1.

    Returns:
        At most ``rows`` rows of at most ``columns`` cells, all rows of the same length.
    """
    pixels = np.asarray(_fit(image, columns, 2 * rows).convert("RGB"))
    if len(pixels) % 2:
        pixels = np.pad(pixels, ((0, 1), (0, 0), (0, 0)))
    return [
        [(_rgb(top), _rgb(bottom)) for top, bottom in zip(upper, lower, strict=True)]
        for upper, lower in zip(pixels[0::2].tolist(), pixels[1::2].tolist(), strict=True)
    ]


def ascii_rows(image: Image.Image, columns: int, rows: int) -> list[str]:
    """Draw a picture with letters, the denser the brighter; for terminals without colour.

    The arguments and the size of the result are those of :func:`half_blocks`.
    """
    pixels = np.asarray(_fit(image, columns, 2 * rows).convert("L"), np.float64)
    if len(pixels) % 2:
        pixels = np.pad(pixels, ((0, 1), (0, 0)))
    brightness = (pixels[0::2] + pixels[1::2]) / 2
    steps = np.round(brightness / 255 * (len(_RAMP) - 1)).astype(int)
    return ["".join(_RAMP[step] for step in row) for row in steps.tolist()]


def terminal_tiles(images: Images, columns: int, rows: int) -> Image.Image:
    """Lay out as many images as a terminal area shows well, the first ones first.

    They keep their size where all of them, or ten, fit; else they are drawn at half size, at
    which a 28-pixel digit still reads well. There is 1 pixel between neighbours, except between
    rows where that pixel would cost a row.

    Args:
        images: uint8 [n, c, h, w] with n >= 1 and c 1 or 3.
        columns: width of the area in cells, at least 1.
        rows: height of the area in cells, at least 1; a cell is two pixels high.

    Returns:
        A picture in mode L or RGB. It fits the area, unless a single image is already too large.

    Raises:
        ValueError: the array is not of that shape and type.
    """
    check_images(images)
    count, channels, height, width = images.shape
    reduction = 1
    across, down = _capacity(width, height, columns, 2 * rows)
    if across * down < min(count, _ENOUGH_TILES):
        reduction = 2
        width, height = math.ceil(width / 2), math.ceil(height / 2)
        across, down = _capacity(width, height, columns, 2 * rows)
    across, down = max(1, across), max(1, down)
    shown = min(count, across * down)
    across = min(shown, across)
    down = math.ceil(shown / across)
    gap = 1 if down * (height + 1) - 1 <= 2 * rows else 0
    sheet = np.zeros((down * (height + gap) - gap, across * (width + 1) - 1, channels), np.uint8)
    for index in range(shown):
        row, column = divmod(index, across)
        top, left = row * (height + gap), column * (width + 1)
        tile = to_picture(images[index].transpose(1, 2, 0)).reduce(reduction)
        pixels = np.asarray(tile).reshape(height, width, channels)
        sheet[top : top + height, left : left + width] = pixels
    return to_picture(sheet)


def sparkline(values: Sequence[float], width: int, low: float, high: float) -> str:
    """Draw a curve as bars of one character each.

    Args:
        values: finite, in order; where there are more than characters, neighbours are averaged.
        width: the most characters, at least 1.
        low: what the lowest bar stands for; all below is drawn as that.
        high: what the highest stands for.

    Returns:
        At most ``width`` characters: one a value where they fit.
    """
    count = min(width, len(values))
    if not count:
        return ""
    means = [float(part.mean()) for part in np.array_split(np.asarray(values, np.float64), count)]
    height = max(high - low, 1e-12)
    shares = (min(1.0, max(0.0, (mean - low) / height)) for mean in means)
    return "".join(_BARS[round(share * (len(_BARS) - 1))] for share in shares)


def _capacity(width: int, height: int, columns: int, lines: int) -> tuple[int, int]:
    """Return how many tiles of that size stand side by side, and how many on top of each other."""
    return (columns + 1) // (width + 1), lines // height


def _fit(image: Image.Image, columns: int, lines: int) -> Image.Image:
    """Scale a picture to fit an area of ``columns`` x ``lines`` pixels."""
    factor = min(columns / image.width, lines / image.height)
    if factor >= 1:
        return enlarge(image, int(factor))
    size = (max(1, int(image.width * factor)), max(1, int(image.height * factor)))
    return image.resize(size, Image.Resampling.BOX)


def _rgb(pixel: list[int]) -> RGB:
    red, green, blue = pixel
    return red, green, blue
