"""Images with words: blocks of tiles, named and numbered, side by side or one under another.

Without words a grid of samples is the plain picture of :func:`gancli.pictures.grid.make_grid`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from gancli.palette import DARK_INK, INK
from gancli.pictures.grid import BACKGROUND, TILE_GAP, Images, to_picture
from gancli.pictures.layout import SMALLEST, Sheet, Size, Table, Type, type_for

WIDE = 1100
"""Pixels that a sheet's width comes close to unless told otherwise."""

DARK = (f"#{BACKGROUND:02x}{BACKGROUND:02x}{BACKGROUND:02x}", DARK_INK)
LIGHT = ("#FFFFFF", INK)
"""Paper and ink."""


@dataclasses.dataclass(frozen=True)
class Block:
    """A grid of images with the words that belong to it.

    Attributes:
        images: uint8 [n, c, h, w], n of 1 or more.
        columns: images in a row.
        title: a line over them.
        notes: a few letters under each image; () for none.
        columns_named: a few letters over each column; () for none.
        rows_named: a few letters left of each row; () for none.
    """

    images: Images
    columns: int
    title: str = ""
    notes: Sequence[str] = ()
    columns_named: Sequence[str] = ()
    rows_named: Sequence[str] = ()


def pair(above: Images, below: Images, ground: int = BACKGROUND) -> Images:
    """Return images over the ones they are to be compared with, a line of ground between them."""
    line = np.full((*above.shape[:2], TILE_GAP, above.shape[3]), ground, np.uint8)
    return np.concatenate([above, line, below], axis=2)


def natural_width(blocks: Sequence[Block], *, beside: bool = False) -> int:
    """Return how many pixels wide blocks are without words and unenlarged."""
    widths = [block.columns * (block.images.shape[3] + TILE_GAP) + TILE_GAP for block in blocks]
    return sum(widths) if beside else max(widths)


def draw_blocks(
    blocks: Sequence[Block],
    *,
    scale: int | None = None,
    heading: str = "",
    beside: bool = False,
    paper: tuple[str, str] = DARK,
) -> Sheet:
    """Lay blocks out with their words.

    Args:
        blocks: one or more, of images of one colour.
        scale: draw every pixel as a block of this many pixels a side; None for about 1100 pixels
            in width.
        heading: a line over all.
        beside: put blocks side by side, else one under another.
        paper: the colours of the ground and of words.
    """
    scale = scale or max(1, round(WIDE / natural_width(blocks, beside=beside)))
    wide = scale * natural_width(blocks, beside=beside)
    size = max(SMALLEST, wide // 50)
    notes = type_for(
        ([note] for block in blocks for note in (*block.notes, *block.columns_named)),
        min(scale * block.images.shape[3] for block in blocks),
        size,
    )
    names = type_for(([name] for block in blocks for name in block.rows_named), wide, size)
    left = round(max((names.font.getlength(n) for b in blocks for n in b.rows_named), default=0))
    left += size if left else 0
    gap = scale * TILE_GAP
    edge = max(gap, size // 2) if notes.lines or names.lines or heading else gap
    tables = [_table(block, scale, gap, edge, notes.height, left) for block in blocks]
    titles = type_for(
        ([block.title] for block in blocks if block.title),
        min(table.size[0] for table in tables) - 2 * edge,
        size,
    )
    across, down = [table.size[0] for table in tables], [table.size[1] for table in tables]
    down = [height + titles.height for height in down]
    apart = size if beside else 0
    whole = (max(across), sum(down))
    if beside:
        whole = (sum(across) + apart * (len(blocks) - 1), max(down))
    heads = type_for([[heading]] if heading else [], whole[0] - 2 * edge, 5 * size // 4)
    mode = "L" if blocks[0].images.shape[1] == 1 else "RGB"
    sheet = Sheet((whole[0], whole[1] + heads.height), mode, *paper)
    if heading:
        sheet.set([heading], heads, whole[0] // 2, edge // 2)
    x, y = 0, heads.height
    for block, table in zip(blocks, tables, strict=True):
        if block.title:
            words = titles.set([block.title])[0]
            middle = (x + (table.left + table.size[0]) // 2, y + titles.height // 2)
            sheet.write(words, middle, titles.font)
        _place(sheet, block, table, scale, (x, y + titles.height), notes, names)
        if beside:
            x += table.size[0] + apart
        else:
            y += titles.height + table.size[1]
    return sheet


def _table(block: Block, scale: int, gap: int, edge: int, note: int, left: int) -> Table:
    return Table(
        len(block.images),
        block.columns,
        (scale * block.images.shape[3], scale * block.images.shape[2]),
        gap,
        edge,
        under=note if block.notes else 0,
        top=note if block.columns_named else 0,
        left=left,
    )


def _place(
    sheet: Sheet, block: Block, table: Table, scale: int, place: Size, notes: Type, names: Type
) -> None:
    """Put a block's tiles down from a place on, with the words at each."""
    width, height = table.box
    for index, image in enumerate(block.images):
        left, top = (a + b for a, b in zip(place, table.corner(index), strict=True))
        row, column = divmod(index, table.columns)
        sheet.place(to_picture(image.transpose(1, 2, 0)), (left, top), scale)
        if block.notes:
            sheet.set([block.notes[index]], notes, left + width // 2, top + height)
        if block.columns_named and not row:
            words = [block.columns_named[column]]
            sheet.set(words, notes, left + width // 2, top - notes.height)
        if block.rows_named and not column:
            name = block.rows_named[row]
            sheet.write(name, (left - table.edge, top + height // 2), names.font, anchor="rm")
