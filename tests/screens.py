"""What a terminal shows of a command: its screen, recorded on a pseudo-terminal, and as a picture.

The picture is drawn in DejaVu Sans Mono, which comes with matplotlib; blocks are drawn as the
rectangles that they stand for, as terminals do.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pexpect
import pyte
from PIL import Image, ImageDraw, ImageFont

CELL = (10, 20)
_FONT_SIZE = 16
_EIGHTHS = "▁▂▃▄▅▆▇█"
_NAMES = ("black", "red", "green", "brown", "blue", "magenta", "cyan", "white")

# The sixteen colours of xterm, and those of a theme for white paper (Tango), after paper and ink.
DARK = ("141414", "e1e1e1", "000000 cd0000 00cd00 cdcd00 0000ee cd00cd 00cdcd e5e5e5 "
        "7f7f7f ff0000 00ff00 ffff00 5c5cff ff00ff 00ffff ffffff")  # fmt: skip
LIGHT = ("ffffff", "222222", "2e3436 cc0000 4e9a06 c4a000 3465a4 75507b 06989a d3d7cf "
         "555753 ef2929 8ae234 fce94f 729fcf ad7fa8 34e2e2 eeeeec")  # fmt: skip
Theme = tuple[str, str, str]


def record(
    command: Sequence[str],
    cwd: Path,
    environment: Mapping[str, str],
    size: tuple[int, int] = (80, 24),
    patience: float = 600.0,
) -> Iterator[tuple[float, str]]:
    """Give a command on a terminal; yield what it writes, and after how many seconds.

    Raises:
        AssertionError: it fails.
    """
    columns, rows = size
    terminal = pexpect.spawn(
        command[0],
        list(command[1:]),
        cwd=str(cwd),
        env=dict(environment),  # type: ignore[arg-type]
        dimensions=(rows, columns),
        encoding="utf-8",
        timeout=patience,
    )
    began = time.monotonic()
    while True:
        try:
            said = terminal.read_nonblocking(1 << 16, patience)
        except pexpect.EOF:
            break
        yield time.monotonic() - began, said
    terminal.close()
    assert terminal.exitstatus == 0, command


def screens(
    recorded: Sequence[tuple[float, str]], size: tuple[int, int] = (80, 24)
) -> Iterator[tuple[float, pyte.Screen]]:
    """Yield the screen after each part of a recording, always the same one."""
    screen = pyte.Screen(*size)
    stream = pyte.Stream(screen)
    for seconds, said in recorded:
        stream.feed(said)
        yield seconds, screen


def last_screen(
    recorded: Sequence[tuple[float, str]], size: tuple[int, int] = (80, 24)
) -> pyte.Screen:
    """Return the screen as a command leaves it."""
    *_, (_, screen) = screens(recorded, size)
    return screen


def draw(screen: pyte.Screen, theme: Theme = DARK) -> Image.Image:
    """Return a screen as a picture."""
    paper, ink, sixteen = theme
    named = dict(zip(_NAMES, sixteen.split()[:8], strict=True))
    named |= {f"bright{n}": c for n, c in zip(_NAMES, sixteen.split()[8:], strict=True)}
    wide, high = CELL
    canvas = Image.new("RGB", (screen.columns * wide, screen.lines * high), f"#{paper}")
    pen = ImageDraw.Draw(canvas)
    for row in range(screen.lines):
        for column in range(screen.columns):
            cell = screen.buffer[row][column]
            fore, back = (
                f"#{named.get(colour, colour).replace('default', usual)}"
                for colour, usual in ((cell.fg, ink), (cell.bg, paper))
            )
            if cell.reverse:
                fore, back = back, fore
            left, top = column * wide, row * high
            right, bottom = left + wide - 1, top + high - 1
            if back != f"#{paper}":
                pen.rectangle((left, top, right, bottom), back)
            if cell.data == "▀":
                pen.rectangle((left, top, right, top + high // 2 - 1), fore)
            elif cell.data in _EIGHTHS:
                lines = round(high * (_EIGHTHS.index(cell.data) + 1) / 8)
                pen.rectangle((left, bottom - lines + 1, right, bottom), fore)
            elif cell.data.strip():
                face = _face(cell.bold)
                pen.text((left, top + high * 0.76), cell.data, fore, face, "ls")
    return canvas


@functools.cache
def _face(bold: bool) -> ImageFont.FreeTypeFont:
    import matplotlib as mpl

    name = f"DejaVuSansMono{'-Bold' if bold else ''}.ttf"
    return ImageFont.truetype(Path(mpl.get_data_path(), "fonts", "ttf", name), _FONT_SIZE)
