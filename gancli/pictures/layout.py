"""Where tiles, words and margins stand: one arithmetic for grids, films and posters.

A :class:`Table` says where things stand, :func:`type_for` how large words are, and a
:class:`Sheet` is what has been put together, to be drawn as pixels or as SVG.

All words in pictures are in the one face that comes with Pillow, Aileron. It has one weight and 113
letters and signs, no minus, accent or exponent among them: enough for names, epochs and figures,
and too little for plots and pages. So plots keep the face that comes with matplotlib, and a report
that of its reader's system, which has bold letters and every script there without a byte in the
file. A second face for all three would be 700 kB more to ship.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import html
import io
import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont

from gancli.palette import DARK_INK, DARK_PAPER

Size = tuple[int, int]
"""Width and height in pixels; of a place, from the left and from the top."""
Font = ImageFont.FreeTypeFont

SMALLEST = 11
"""Pixels of type below which words are hard to read; before, they are broken into lines."""
_TINIEST = 8
_ALIGNED = {"l": "start", "m": "middle", "r": "end"}


@dataclasses.dataclass(frozen=True)
class Table:
    """Equal boxes in rows and columns; all lengths are in pixels.

    Attributes:
        count: how many boxes; the last row may be shorter.
        columns: boxes in a row.
        box: width and height of each.
        gap: between neighbours.
        edge: around all of them.
        over: above each box, for a title.
        under: under each box, for what is said of it.
        top: above the table, for a heading.
        left: left of the table, for the names of rows.
    """

    count: int
    columns: int
    box: Size
    gap: int = 0
    edge: int = 0
    over: int = 0
    under: int = 0
    top: int = 0
    left: int = 0

    @property
    def rows(self) -> int:
        """Boxes in a column."""
        return math.ceil(self.count / self.columns)

    @property
    def size(self) -> Size:
        """Of all of it."""
        width, height = self.corner(self.rows * self.columns - 1)
        return width + self.box[0] + self.edge, height + self.box[1] + self.under + self.edge

    def corner(self, index: int) -> Size:
        """Return where a box begins, from the left and from the top."""
        row, column = divmod(index, self.columns)
        pitch = self.over + self.box[1] + self.under + self.gap
        return (
            self.left + self.edge + column * (self.box[0] + self.gap),
            self.top + self.edge + row * pitch + self.over,
        )


def balanced_columns(count: int, box: Size, aspect: float = 1.6) -> int:
    """Return the columns that bring a table of boxes closest to a screen's proportions."""

    def flaw(columns: int) -> float:
        rows = math.ceil(count / columns)
        shape = columns * box[0] / (rows * box[1])
        return abs(math.log(shape / aspect)) + 0.3 * (rows * columns - count)

    return min(range(1, count + 1), key=flaw)


@functools.cache
def font(size: int) -> Font:
    """Return the one type face of gancli's pictures, the one that comes with Pillow."""
    found = ImageFont.load_default(size)
    assert isinstance(found, ImageFont.FreeTypeFont)
    return found


def legible(text: str) -> str:
    """Return a text in letters that the type face has: bare ones for accented ones, else a ?."""
    bare = "".join(
        letter if _has(letter) else unicodedata.normalize("NFKD", letter)[0] for letter in text
    )
    return "".join(letter if _has(letter) else "?" for letter in bare)


@functools.cache
def _has(letter: str) -> bool:
    face, unknown = font(SMALLEST), "\uffff"
    return bytes(face.getmask(letter)) != bytes(face.getmask(unknown))


@dataclasses.dataclass(frozen=True)
class Type:
    """How words are set: in which size, and in how many lines of which room."""

    font: Font
    room: int
    lines: int

    @property
    def leading(self) -> int:
        """Pixels from line to line."""
        return round(1.3 * self.font.size)

    @property
    def height(self) -> int:
        """Pixels that all lines take, with some air around them."""
        return (self.lines - 1) * self.leading + round(1.7 * self.font.size) if self.lines else 0

    def set(self, words: Sequence[str]) -> list[str]:
        """Return words as lines; what does not fit a line even so is cut off."""
        return [_shortened(line, self.font, self.room) for line in _broken(words, self)]


def type_for(texts: Iterable[Sequence[str]], room: int, size: int) -> Type:
    """Choose type in which every text fits the room: smaller first, then in more lines.

    Args:
        texts: each of words that belong on a line, or on several where there is no room.
        room: width of a line.
        size: the largest size, and the one that is best.
    """
    wanted = font(max(SMALLEST, size))
    known = [words for words in texts if words]
    if not known:
        return Type(wanted, room, 0)
    longest = max(map(_line, known), key=wanted.getlength)
    while wanted.size > SMALLEST and wanted.getlength(longest) > room:
        wanted = font(round(wanted.size) - 1)
    word = max((word for words in known for word in words), key=wanted.getlength)
    while wanted.size > _TINIEST and wanted.getlength(word) > room:
        wanted = font(round(wanted.size) - 1)
    one = Type(wanted, room, 1)
    return dataclasses.replace(one, lines=max(len(_broken(words, one)) for words in known))


def _line(words: Sequence[str]) -> str:
    return "   ".join(words)


def _broken(words: Sequence[str], type_: Type) -> list[str]:
    lines: list[list[str]] = []
    for word in words:
        if lines and type_.font.getlength(_line([*lines[-1], word])) <= type_.room:
            lines[-1].append(word)
        else:
            lines.append([word])
    return [_line(line) for line in lines]


def _shortened(text: str, face: Font, room: int) -> str:
    if face.getlength(text) <= room:
        return text
    while text and face.getlength(text + "…") > room:
        text = text[:-1]
    return text + "…"


@dataclasses.dataclass(frozen=True)
class _Words:
    text: str
    place: Size
    font: Font
    ink: str
    anchor: str


class Sheet:
    """A picture that is being put together, of tiles and words.

    Args:
        size: of all of it.
        mode: L or RGB.
        paper: the colour where nothing else is.
        ink: the colour of words.
    """

    def __init__(
        self, size: Size, mode: str = "L", paper: str = DARK_PAPER, ink: str = DARK_INK
    ) -> None:
        self.size, self.mode, self.paper, self.ink = size, mode, paper, ink
        self._tiles: list[tuple[Image.Image, Size, int]] = []
        self._words: list[_Words] = []

    def place(self, picture: Image.Image, place: Size, scale: int = 1) -> None:
        """Put a picture down, every pixel a block of ``scale`` pixels a side."""
        self._tiles.append((picture, place, scale))

    def write(
        self, text: str, place: Size, face: Font, ink: str | None = None, anchor: str = "mm"
    ) -> None:
        """Write a line; ``anchor`` is l, m or r of its width, and m of its height."""
        if text:
            self._words.append(_Words(text, place, face, ink or self.ink, anchor))

    def set(self, words: Sequence[str], type_: Type, middle: int, top: int) -> None:
        """Write words in lines around a middle, from a top."""
        first = top + round(0.85 * type_.font.size)
        for number, line in enumerate(type_.set(words)):
            self.write(line, (middle, first + number * type_.leading), type_.font)

    def picture(self) -> Image.Image:
        """Return it as pixels, in its mode."""
        canvas = Image.new(self.mode, self.size, self.paper)
        for picture, place, scale in self._tiles:
            canvas.paste(enlarge(picture, scale), place)
        pen = ImageDraw.Draw(canvas)
        for words in self._words:
            pen.text(words.place, legible(words.text), words.ink, words.font, words.anchor)
        return canvas

    def svg(self, about: Mapping[str, str]) -> str:
        """Return it as SVG: tiles as hard-edged pixels, words as words.

        Args:
            about: what the picture says about itself.
        """
        width, height = self.size
        told = ", ".join(f"{key}: {word}" for key, word in about.items())
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}">',
            f"<desc>{html.escape(told, quote=False)}</desc>",
            f'<rect width="100%" height="100%" fill="{self.paper}"/>',
        ]
        for picture, (x, y), scale in self._tiles:
            buffer = io.BytesIO()
            picture.save(buffer, "PNG", optimize=True)
            lines.append(
                f'<image x="{x}" y="{y}" width="{picture.width * scale}" '
                f'height="{picture.height * scale}" style="image-rendering:pixelated" '
                f'href="data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"/>'
            )
        for words in self._words:
            (x, y), size = words.place, round(words.font.size)
            said = html.escape(words.text, quote=False)
            lines.append(
                f'<text x="{x}" y="{y}" fill="{words.ink}" font-size="{size}" '
                'font-family="Aileron, Helvetica, Arial, sans-serif" dominant-baseline="central" '
                f'text-anchor="{_ALIGNED[words.anchor[0]]}">{said}</text>'
            )
        return "\n".join([*lines, "</svg>\n"])


def enlarge(picture: Image.Image, scale: int) -> Image.Image:
    """Return the picture with every pixel drawn as a ``scale`` x ``scale`` block."""
    if scale == 1:
        return picture
    size = (picture.width * scale, picture.height * scale)
    return picture.resize(size, Image.Resampling.NEAREST)
