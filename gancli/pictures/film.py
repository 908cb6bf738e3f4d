"""A film of the frames: GIF, WebP or MP4, written while the frames are read.

Never more than a few frames are in memory, so ten thousand need no more of it than ten.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from gancli.errors import ConfigError, DataError
from gancli.files import atomic_path
from gancli.pictures.encoders import TimedPictures, find_ffmpeg, write_gif, write_mp4, write_webp
from gancli.pictures.frames import Frame, read_frame
from gancli.pictures.grid import enlarge

MAX_FPS = {".gif": 50, ".webp": 50, ".mp4": 120}
"""The formats; browsers slow down delays of 10 ms or less in the first two."""
MIN_FPS = 0.01
MAX_HOLD_SECONDS = 60
MAX_SIDE = 8192
AUTOMATIC_SIDE = 970

_CAPTION_INK = 225
_CAPTION_PAPER = 20

ProgressHook = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True)
class Film:
    """A film on disk.

    Attributes:
        path: the file.
        frames: how many frames went into it.
        seconds: how long it plays, exactly, with the last frame held.
        width: pixels.
        height: pixels, caption included.
        bytes: size of the file.
        still: whether all frames show the same picture, so that nothing moves.
    """

    path: Path
    frames: int
    seconds: float
    width: int
    height: int
    bytes: int
    still: bool


def write_film(
    frames: Sequence[Frame],
    target: Path,
    *,
    fps: float = 12.0,
    scale: int | None = None,
    captions: Sequence[str] | None = None,
    hold_seconds: float = 2.0,
    on_progress: ProgressHook | None = None,
) -> Film:
    """Write the frames as a film; a file that was at the target stays until the film is whole.

    Args:
        frames: at least one, in order, all of one size and of one kind (grey or colour).
        target: a name that ends in .gif, .webp or .mp4.
        fps: frames a second, 0.01 to 50 (120 for .mp4).
        scale: draw every pixel as a block of this many pixels a side; None picks the largest
            scale at which the longer side stays within 970 pixels.
        captions: one a frame, drawn in a strip under it; None for no strip.
        hold_seconds: how much longer than the others the last frame stays, 0 to 60. In an MP4 it
            is rounded up to whole frames.
        on_progress: called after each frame with the frames done and the frames in all.

    Raises:
        ConfigError: a format, fps, scale or hold that does not work.
        DataError: no frames, an unreadable one, or one that differs from the first in size or kind.
        MissingPartError: there is no ffmpeg for an MP4.
        StorageError: the target cannot be written, or ffmpeg failed.
        ValueError: the captions are not as many as the frames.
    """
    suffix = check_options(target, fps, hold_seconds)
    if not frames:
        raise DataError("a film needs at least one frame; `gancli train` writes them as it goes")
    if captions is not None and len(captions) != len(frames):
        raise ValueError(f"{len(captions)} captions for {len(frames)} frames")
    layout = _plan(read_frame(frames[0].path), scale, captions, even=suffix == ".mp4")
    rate = Fraction(fps).limit_denominator(1001)
    ticks_a_second = {".gif": Fraction(100), ".webp": Fraction(1000), ".mp4": rate}[suffix]
    delays = _delays(len(frames), rate, hold_seconds, ticks_a_second)
    reel = _Reel(frames, captions, layout, on_progress)
    with atomic_path(target) as temporary:
        temporary.touch()  # so is a place that cannot be written
        _encode(temporary, zip(reel, delays, strict=True), layout, rate)
        size = temporary.stat().st_size
    seconds = float(sum(delays) / ticks_a_second)
    return Film(target, len(frames), seconds, *layout.size, size, reel.still)


def _encode(path: Path, pictures: TimedPictures, layout: _Layout, fps: Fraction) -> None:
    suffix = path.suffix.lower()
    if suffix == ".mp4":
        write_mp4(path, pictures, layout.size, layout.mode, fps)
        return
    with path.open("wb") as file:
        write = write_gif if suffix == ".gif" else write_webp
        write(file, pictures, layout.size)


def check_options(target: Path, fps: float, hold_seconds: float) -> str:
    """Check what can be known before any frame is read, and return the target's suffix.

    Raises:
        ConfigError: a format, fps or hold that does not work.
        MissingPartError: there is no ffmpeg for an MP4.
    """
    suffix = target.suffix.lower()
    if suffix not in MAX_FPS:
        raise ConfigError(
            f"{target}: films are written as {', '.join(MAX_FPS)}; give a name with such an ending"
        )
    if not MIN_FPS <= fps <= MAX_FPS[suffix]:  # nan compares false
        raise ConfigError(
            f"--fps {fps:g}: a {suffix} film has {MIN_FPS} to {MAX_FPS[suffix]} frames a second"
        )
    if not 0 <= hold_seconds <= MAX_HOLD_SECONDS:
        raise ConfigError(
            f"--hold {hold_seconds:g}: the last frame is held for 0 to {MAX_HOLD_SECONDS} seconds"
        )
    if suffix == ".mp4":
        find_ffmpeg()
    return suffix


@dataclasses.dataclass(frozen=True)
class _Layout:
    """Where things stand on the canvas of the film; sizes are (width, height) in pixels."""

    mode: str
    frame_size: tuple[int, int]
    scale: int
    size: tuple[int, int]
    font: ImageFont.FreeTypeFont | None

    def canvas(self, picture: Image.Image, caption: str) -> Image.Image:
        """Return a frame enlarged, with its caption under it, in the size of the film."""
        large = enlarge(picture, self.scale)
        if large.size == self.size:
            return large
        canvas = Image.new(self.mode, self.size)
        canvas.paste(large, (0, 0))
        if self.font is not None:
            draw = ImageDraw.Draw(canvas)
            width, height = self.size
            draw.rectangle((0, large.height, width, height), fill=self._grey(_CAPTION_PAPER))
            middle = (width // 2, (large.height + height) // 2)
            text = _shorten(caption, self.font, width)
            draw.text(middle, text, fill=self._grey(_CAPTION_INK), font=self.font, anchor="mm")
        return canvas

    def _grey(self, value: int) -> int | tuple[int, int, int]:
        return value if self.mode == "L" else (value, value, value)


def _plan(
    first: Image.Image, scale: int | None, captions: Sequence[str] | None, *, even: bool
) -> _Layout:
    longer = max(first.size)
    if scale is None:
        scale = max(1, AUTOMATIC_SIDE // longer)
    largest = MAX_SIDE // longer
    if largest < 1:
        raise DataError(
            f"the frames are {first.width}x{first.height}; a film takes up to {MAX_SIDE} a side"
        )
    if not 1 <= scale <= largest:
        raise ConfigError(
            f"--scale {scale}: frames of {first.width}x{first.height} can be enlarged "
            f"1 to {largest} times"
        )
    width, height = first.width * scale, first.height * scale
    font = None
    if captions is not None:
        font = _font(captions, width)
        height += round(1.7 * font.size)
    if even:  # H.264 stores colour at half resolution
        width, height = width + width % 2, height + height % 2
    return _Layout(first.mode, first.size, scale, (width, height), font)


def _font(captions: Iterable[str], width: int) -> ImageFont.FreeTypeFont:
    """Return Pillow's own font in a size that suits the width and lets every caption fit it."""
    size = max(11, width // 34)
    font = _load_font(size)
    longest = max(captions, key=font.getlength)
    while size > 8 and font.getlength(longest) > _room(width):
        size -= 1
        font = _load_font(size)
    return font


def _load_font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def _room(width: int) -> int:
    return width - max(4, width // 50)


def _shorten(caption: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Cut off what would not fit even in the smallest readable size."""
    if font.getlength(caption) <= _room(width):
        return caption
    while caption and font.getlength(caption + "…") > _room(width):
        caption = caption[:-1]
    return caption + "…"


class _Reel:
    """The canvases of a film, one after the other; each frame is checked as it is read."""

    def __init__(
        self,
        frames: Sequence[Frame],
        captions: Sequence[str] | None,
        layout: _Layout,
        on_progress: ProgressHook | None,
    ) -> None:
        self._frames = frames
        self._captions = captions
        self._layout = layout
        self._on_progress = on_progress
        self.still = True

    def __iter__(self) -> Iterator[Image.Image]:
        first: bytes | None = None
        for index, frame in enumerate(self._frames):
            picture = read_frame(frame.path)
            self._check(picture, frame.path)
            pixels = picture.tobytes()
            first = first or pixels
            self.still = self.still and pixels == first
            yield self._layout.canvas(picture, self._captions[index] if self._captions else "")
            if self._on_progress is not None:
                self._on_progress(index + 1, len(self._frames))

    def _check(self, picture: Image.Image, path: Path) -> None:
        expected = (self._layout.mode, self._layout.frame_size)
        if (picture.mode, picture.size) != expected:
            raise DataError(
                f"{path} is {_describe(picture.mode, picture.size)}, but the first frame "
                f"({self._frames[0].path.name}) is {_describe(*expected)}; "
                "a film needs frames of one run"
            )


def _describe(mode: str, size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]} in {'grey' if mode == 'L' else 'colour'}"


def _delays(count: int, fps: Fraction, hold_seconds: float, ticks_a_second: Fraction) -> list[int]:
    """Return how many ticks each frame stays; rounding errors do not add up."""
    starts = [round(index * ticks_a_second / fps) for index in range(count + 1)]
    delays = [end - start for start, end in itertools.pairwise(starts)]
    # The inner rounding keeps 0.1 s at 10 a second from becoming 2 ticks.
    delays[-1] += math.ceil(round(hold_seconds * float(ticks_a_second), 6))
    return delays
