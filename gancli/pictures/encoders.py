"""How a film becomes a file: GIF, WebP, MP4 or a folder of PNGs, each a function that streams.

The GIF and WebP files are put together here from pictures that Pillow encodes one by one, because
Pillow itself would hold all of them in memory; MP4 goes through the ffmpeg of imageio-ffmpeg.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageColor

from gancli.errors import MissingPartError, StorageError
from gancli.palette import DARK_PAPER

TimedPictures = Iterable[tuple[Image.Image, int]]
"""Pictures of one size and mode (L or RGB), each with how many ticks of the format it stays."""

GREY_LEVELS = 16
"""Of a GIF: a digit looks the same as with 256, and the file is much smaller."""
COLOURS = 128
"""Of each frame of a GIF in colour, beside the greys and the inks."""
SHADES = 8
"""Between the ground and each ink of a GIF that is grey but for some inks."""


def write_gif(
    file: BinaryIO,
    pictures: TimedPictures,
    size: tuple[int, int],
    inks: Sequence[str] = (),
    *,
    coloured: bool = False,
) -> None:
    """Write a GIF that loops, a tick being 1/100 s; pixels that stay are left transparent.

    Args:
        file: where to.
        pictures: of mode L or RGB.
        size: width and height of the pictures.
        inks: colours that pictures in RGB show exactly, beside greys.
        coloured: whether they have other colours too; each then gets some of its own.
    """
    known = _palette_of(inks)
    file.write(b"GIF89a" + struct.pack("<HHBBB", *size, 0x70, 0, 0))
    file.write(b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00")
    before: npt.NDArray[np.uint8] | None = None
    palette_before = b""
    for picture, delay in pictures:
        pixels, palette = _index_colours(picture, known, coloured)
        clear = len(palette) // 3
        same = before is not None and palette == palette_before
        drawn = np.where(pixels == before, np.uint8(clear), pixels) if same else pixels
        bits = clear.bit_length()  # of a table that holds the colours and the transparent entry
        table = palette.ljust(3 * 2**bits, b"\0")
        # Disposal 1, leave in place; then the picture with a colour table of its own.
        file.write(struct.pack("<BBBBHBB", 0x21, 0xF9, 4, 0b101, delay, clear, 0))
        file.write(b"\x2c" + struct.pack("<HHHHB", 0, 0, *size, 0x80 | (bits - 1)) + table)
        file.write(_gif_pixels(drawn))
        before, palette_before = pixels, palette
    file.write(b"\x3b")


def _palette_of(inks: Sequence[str]) -> bytes:
    """Return greys, and shades from the ground to each ink (red, green, blue bytes)."""
    greys = np.linspace(0, 255, GREY_LEVELS)[:, None].repeat(3, axis=1)
    ground = np.array(ImageColor.getrgb(DARK_PAPER))
    shares = np.linspace(0, 1, SHADES + 1)[1:, None]
    ramps = [ground + shares * (np.array(ImageColor.getrgb(ink)) - ground) for ink in inks]
    return np.concatenate([greys, *ramps]).round().astype(np.uint8).tobytes()


def _index_colours(
    picture: Image.Image, known: bytes, coloured: bool
) -> tuple[npt.NDArray[np.uint8], bytes]:
    """Return uint8 [h, w] indices into a palette, and the palette (red, green, blue bytes)."""
    if picture.mode == "L":
        levels = np.linspace(0, 255, GREY_LEVELS)
        nearest = np.round(np.arange(256) / 255 * (GREY_LEVELS - 1)).astype(np.uint8)
        return nearest[np.asarray(picture)], np.repeat(levels.round().astype(np.uint8), 3).tobytes()
    if coloured:  # words and curves are few pixels, which no choice of colours by area would keep
        own = picture.quantize(COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        known += bytes(own.getpalette() or ())
    palette = Image.new("P", (1, 1))
    palette.putpalette(known)
    return np.asarray(picture.quantize(palette=palette, dither=Image.Dither.NONE)), known


def _gif_pixels(indices: npt.NDArray[np.uint8]) -> bytes:
    """Return the compressed pixels as they stand in a GIF, taken out of a GIF by Pillow."""
    picture = Image.fromarray(indices).convert("P")
    picture.putpalette(bytes(768))
    buffer = io.BytesIO()
    picture.save(buffer, "GIF", optimize=False, interlace=0)
    content = buffer.getvalue()
    colour_table = 3 * 2 ** ((content[10] & 7) + 1)
    picture_descriptor = 13 + colour_table
    assert content[picture_descriptor] == 0x2C
    return content[picture_descriptor + 10 : -1]


def write_webp(file: BinaryIO, pictures: TimedPictures, size: tuple[int, int]) -> None:
    """Write a lossless WebP that loops, a tick being 1/1000 s."""
    sides = b"".join(struct.pack("<I", side - 1)[:3] for side in size)
    animated = 0x02
    file.write(b"RIFF\0\0\0\0WEBP" + _chunk(b"VP8X", struct.pack("<I", animated) + sides))
    file.write(_chunk(b"ANIM", b"\0\0\0\xff\0\0"))  # on black, for ever
    for picture, delay in pictures:
        buffer = io.BytesIO()
        # These settings are the fastest of those that make small files of large flat blocks.
        picture.save(buffer, "WEBP", lossless=True, quality=50, method=1)
        do_not_blend = b"\x02"
        header = bytes(6) + sides + struct.pack("<I", delay)[:3] + do_not_blend
        file.write(_chunk(b"ANMF", header + buffer.getvalue()[12:]))
    length = file.tell()
    file.seek(4)
    file.write(struct.pack("<I", length - 8))


def write_folder(folder: Path, pictures: TimedPictures) -> None:
    """Write each picture once, as ``film-00000.png`` and so on, into a folder that is there."""
    for number, (picture, _) in enumerate(pictures):
        picture.save(folder / f"film-{number:05d}.png")


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def find_ffmpeg() -> str:
    """Return the path of the ffmpeg program.

    Raises:
        MissingPartError: there is none.
    """
    program = None
    with contextlib.suppress(ImportError, RuntimeError):
        import imageio_ffmpeg  # noqa: PLC0415 - where it is absent, GIF and WebP still work

        program = shutil.which(str(imageio_ffmpeg.get_ffmpeg_exe()))
    if program is None:
        raise MissingPartError(
            "an .mp4 film needs ffmpeg, which is not installed: `pip install imageio-ffmpeg` "
            "(and unset IMAGEIO_FFMPEG_EXE if it names a missing file), or write a .gif or .webp"
        )
    return program


def write_mp4(
    path: Path, pictures: TimedPictures, size: tuple[int, int], mode: str, fps: Fraction
) -> None:
    """Write H.264 that every player knows, a tick being one frame at ``fps``.

    Args:
        path: the file to write.
        pictures: of even sides.
        size: width and height of the pictures.
        mode: L or RGB, that of the pictures.
        fps: frames a second.

    Raises:
        MissingPartError: there is no ffmpeg.
        StorageError: ffmpeg stopped before the film was whole.
    """
    command = [
        *(find_ffmpeg(), "-y", "-loglevel", "error"),
        *("-f", "rawvideo", "-pix_fmt", "gray" if mode == "L" else "rgb24"),
        *("-s", f"{size[0]}x{size[1]}", "-r", str(fps), "-i", "-"),
        *("-vf", "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p"),
        *("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"),
        # Enlarged pixels are flat blocks with hard edges, and x264 is tuned for photographs:
        # without adaptive quantisation, psychovisual tuning and the deblocking filter, and with
        # more frames between two others, the film is both smaller and sharper.
        *("-c:v", "libx264", "-preset", "medium", "-crf", "30"),
        *("-x264-params", "aq-mode=0:psy=0:no-deblock=1:bframes=8:b-adapt=2"),
        *("-movflags", "+faststart", str(path.absolute())),  # 2024-05-01T10:30/ is no protocol
    ]
    with tempfile.TemporaryFile() as complaints:
        # A session of its own, so that Ctrl-C reaches gancli alone, which then ends it.
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stderr=complaints, start_new_session=True
            )
        except OSError as error:
            raise MissingPartError(
                f"ffmpeg ({command[0]}) cannot be started: {error.strerror}; "
                "`pip install imageio-ffmpeg` brings one, or write a .gif or .webp"
            ) from error
        try:
            whole = _feed(process, pictures)
            status = process.wait()
        finally:
            process.kill()
            process.wait()
        if status != 0 or not whole:
            complaints.seek(0)
            lines = complaints.read().decode(errors="replace").strip().splitlines()
            reason = lines[-1] if lines else f"exit status {status}"
            raise StorageError(
                f"ffmpeg stopped before the film was whole ({reason}), so no film was written; "
                "check the free disk space and try again, or write a .gif or .webp"
            )


def _feed(process: subprocess.Popen[bytes], pictures: TimedPictures) -> bool:
    """Pipe the pictures to ffmpeg and return whether it took all of them."""
    pipe = process.stdin
    assert pipe is not None
    try:
        for picture, ticks in pictures:
            pixels = picture.tobytes()
            for _ in range(ticks):
                try:
                    pipe.write(pixels)
                except OSError:  # it is gone; its status and its last words say why
                    return False
    finally:
        with contextlib.suppress(OSError):
            pipe.close()
    return True
