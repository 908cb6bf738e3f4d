"""Images above the ones they are to be compared with, band under band, with words."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gancli.pictures.grid import Images, make_grid
from gancli.pictures.layout import enlarge

_WIDE = 1100  # pixels that a full row comes close to
_MARGIN = 2
_INK, _PAPER = "#e1e1e1", "#141414"


@dataclasses.dataclass(frozen=True)
class Band:
    """A row of pairs.

    Attributes:
        title: what they are; a line.
        above: uint8 [n, c, h, w], n of 1 or more.
        below: what each is compared with, of the same shape.
        notes: a few letters under each pair.
    """

    title: str
    above: Images
    below: Images
    notes: Sequence[str]


def draw_bands(bands: Sequence[Band], columns: int) -> Image.Image:
    """Draw bands of pairs under each other.

    Args:
        bands: one or more, of images of one size and colour.
        columns: how many pairs a full band has; what a shorter one leaves stays empty.

    Returns:
        A picture in mode L (c = 1) or RGB (c = 3), enlarged to about 1100 pixels in width.
    """
    height, width = bands[0].above.shape[2:]
    pitch = width + _MARGIN
    scale = max(1, _WIDE // (columns * pitch + _MARGIN))
    row = scale * (2 * (height + _MARGIN) + _MARGIN)
    wide = scale * (columns * pitch + _MARGIN)
    size = max(11, wide // 60)
    font, line = ImageFont.load_default(size), round(1.9 * size)
    grids = [
        make_grid(np.concatenate([band.above, band.below]), len(band.above), _MARGIN)
        for band in bands
    ]
    canvas = Image.new(grids[0].mode, (wide, len(bands) * (row + 2 * line)), _PAPER)
    pen, middle = ImageDraw.Draw(canvas), line // 2
    for number, (band, grid) in enumerate(zip(bands, grids, strict=True)):
        top = number * (row + 2 * line)
        pen.text((scale * _MARGIN, top + middle), band.title, fill=_INK, font=font, anchor="lm")
        canvas.paste(enlarge(grid, scale), (0, top + line))
        for column, note in enumerate(band.notes):
            across = round(scale * (_MARGIN + column * pitch + width / 2))
            down = top + line + row + middle
            pen.text((across, down), note, fill=_INK, font=font, anchor="mm")
    return canvas
