"""Films: scenes that change side by side, written picture after picture; and stills of them.

Never more than a few pictures are in memory, so ten thousand need no more of it than ten.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path

from PIL import Image

from gancli.errors import ConfigError, DataError
from gancli.files import atomic_folder, atomic_path
from gancli.pictures.encoders import (
    TimedPictures,
    find_ffmpeg,
    write_folder,
    write_gif,
    write_mp4,
    write_webp,
)
from gancli.pictures.frames import Frame, read_frame
from gancli.pictures.grid import save_png
from gancli.pictures.layout import Sheet, Size, Table, Type, balanced_columns, type_for
from gancli.pictures.strip import Strip

MAX_FPS = {".gif": 50, ".webp": 50, ".mp4": 120, "": 120}
"""The formats, a folder of PNGs last; browsers slow down delays of 10 ms or less in the first two.
"""
MIN_FPS = 0.01
MAX_HOLD_SECONDS = 60
MAX_SMOOTH = 60
MAX_SIDE = 8192
AUTOMATIC_SIDE, WIDE_SIDE = 970, 1280
"""What the longer side of one scene, and of several side by side, comes close to in pixels."""
POSTER_SIDE = 2000

_KINDS = ".gif, .webp, .mp4, or into a folder of PNGs (a name without ending)"
_OWN_NAME = re.compile(r"film-[0-9]{5,}\.png")

ProgressHook = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True)
class Scene:
    """A picture that changes: all of a film, or a panel of it.

    Attributes:
        size: width and height of every picture.
        mode: L or RGB.
        count: how many pictures.
        picture: returns one by its number, from 0.
        title: a line over it.
        captions: words under each picture; () for none.
        strip: curves under each picture.
    """

    size: Size
    mode: str
    count: int
    picture: Callable[[int], Image.Image]
    title: str = ""
    captions: Sequence[Sequence[str]] = ()
    strip: Strip | None = None

    def still(self, index: int, title: str) -> Scene:
        """Return the scene as it stands at one of its pictures."""
        return Scene(
            self.size,
            self.mode,
            1,
            lambda _: self.picture(index),
            title,
            self.captions and [self.captions[index]],
            self.strip and dataclasses.replace(self.strip, now=[self.strip.now[index]]),
        )


def scene_of(
    frames: Sequence[Frame],
    captions: Sequence[Sequence[str]] = (),
    *,
    show: Callable[[Image.Image], Image.Image] | None = None,
    title: str = "",
    strip: Strip | None = None,
) -> Scene:
    """Return the scene that frames are, each checked as it is read.

    Args:
        frames: at least one, in order, all of one size and of one kind (grey or colour).
        captions: words under each.
        show: returns what is shown of each, always of one size; None for all.
        title: a line over them.
        strip: curves under them.

    Raises:
        DataError: no frames, or the first cannot be read.
    """
    if not frames:
        raise DataError("a film needs at least one frame; `gancli train` writes them as it goes")
    first = read_frame(frames[0].path)
    size = first.size if show is None else show(first).size

    def picture(index: int) -> Image.Image:
        path = frames[index].path
        found = read_frame(path)
        if (found.mode, found.size) != (first.mode, first.size):
            raise DataError(
                f"{path} is {_describe(found)}, but the first frame ({frames[0].path.name}) is "
                f"{_describe(first)}; a film needs frames of one run"
            )
        return found if show is None else show(found)

    return Scene(size, first.mode, len(frames), picture, title, captions, strip)


def _describe(picture: Image.Image) -> str:
    return f"{picture.width}x{picture.height} in {'grey' if picture.mode == 'L' else 'colour'}"


@dataclasses.dataclass(frozen=True)
class Film:
    """A film on disk.

    Attributes:
        path: the file, or the folder.
        frames: how many pictures it has, those between two others included.
        seconds: how long it plays, exactly, with the last one held; of a folder, which cannot
            hold one, how long its pictures take at the film's rate.
        width: pixels.
        height: pixels, captions included.
        bytes: size of the file, or of all in the folder.
        still: whether all pictures are the same, so that nothing moves.
    """

    path: Path
    frames: int
    seconds: float
    width: int
    height: int
    bytes: int
    still: bool


def write_film(
    scenes: Sequence[Scene],
    target: Path,
    *,
    fps: float = 12.0,
    scale: int | None = None,
    hold_seconds: float = 2.0,
    smooth: int = 0,
    columns: int | None = None,
    heading: str = "",
    on_progress: ProgressHook | None = None,
) -> Film:
    """Write a film; what was at the target stays until the film is whole.

    Args:
        scenes: one or more of equally many pictures, shown side by side.
        target: a name that ends in .gif, .webp or .mp4, or one without ending for a folder.
        fps: pictures of a scene a second; those in between included, 0.01 to 50 (120 for .mp4).
        scale: draw every pixel as a block of this many pixels a side; None picks the largest
            scale at which the longer side stays near 970 pixels (1280 for several scenes).
        hold_seconds: how much longer than the others the last picture stays, 0 to 60. In an MP4 it
            is rounded up to whole frames.
        smooth: how many pictures in between each picture fades into the next by, 0 to 60.
        columns: scenes in a row; None for what suits a screen.
        heading: a line over all.
        on_progress: called after each picture with the pictures done and the pictures in all.

    Raises:
        ConfigError: a format, fps, scale, hold or smoothness that does not work.
        DataError: a picture is unreadable, or differs from the first in size or kind.
        MissingPartError: there is no ffmpeg for an MP4.
        StorageError: the target cannot be written, or ffmpeg failed.
        ValueError: scenes or their captions are not equally many.
    """
    suffix = check_options(target, fps, hold_seconds, smooth)
    stage = _plan(scenes, scale, columns, heading, even=suffix == ".mp4")
    rate = Fraction(fps).limit_denominator(1001)
    finer = rate * (smooth + 1)
    ticks_a_second = {".gif": Fraction(100), ".webp": Fraction(1000)}.get(suffix, finer)
    reel = _Reel(stage, smooth, on_progress)
    shown = round(scenes[0].count * ticks_a_second / rate)
    # The inner rounding keeps 0.1 s at 10 a second from becoming 2 ticks.
    end = shown + math.ceil(round(hold_seconds * float(ticks_a_second), 6))
    pictures = zip(reel, _delays(reel.frames, ticks_a_second / finer, end), strict=True)
    place: AbstractContextManager[Path] = (
        atomic_path(target)
        if suffix
        else atomic_folder(target, lambda name: _OWN_NAME.fullmatch(name) is not None)
    )
    with place as temporary:
        if suffix:
            temporary.touch()  # so is a place that cannot be written
        _encode(temporary, pictures, stage, finer)
        made = [temporary] if suffix else list(temporary.iterdir())
        size = sum(path.stat().st_size for path in made)
    seconds = float(end / ticks_a_second if suffix else reel.frames / finer)
    return Film(target, reel.frames, seconds, *stage.size, size, reel.still)


def write_poster(
    scenes: Sequence[Scene],
    moments: Mapping[str, int],
    target: Path,
    metadata: Mapping[str, str],
    *,
    heading: str = "",
) -> None:
    """Write stills of scenes as one picture: moments in columns, or scenes where they are many.

    Args:
        scenes: one or more of equally many pictures.
        moments: what is said of each moment, and the number of its picture.
        target: a ``.png`` file.
        metadata: what the picture says about itself.
        heading: a line over all.

    Raises:
        DataError: a picture is unreadable.
        StorageError: it cannot be written.
    """

    def still(scene: Scene, word: str) -> Scene:
        return scene.still(moments[word], f"{scene.title} · {word}" if scene.title else word)

    if len(scenes) > len(moments):
        columns = len(scenes)
        stills = [still(scene, word) for word in moments for scene in scenes]
    else:
        columns = len(moments)
        stills = [still(scene, word) for scene in scenes for word in moments]
    stage = _plan(stills, None, columns, heading, even=False, room=POSTER_SIDE)
    save_png(stage.canvas([scene.picture(0) for scene in stills], 0, 0.0), target, metadata)


def check_options(target: Path, fps: float, hold_seconds: float, smooth: int = 0) -> str:
    """Check what can be known before any frame is read, and return the target's suffix.

    Raises:
        ConfigError: a format, fps, hold or smoothness that does not work.
        MissingPartError: there is no ffmpeg for an MP4.
    """
    suffix = target.suffix.lower()
    if suffix not in MAX_FPS:
        raise ConfigError(f"{target}: films are written as {_KINDS}")
    kind = suffix or "PNG"
    if not MIN_FPS <= fps <= MAX_FPS[suffix]:  # nan compares false
        raise ConfigError(
            f"--fps {fps:g}: a {kind} film has {MIN_FPS} to {MAX_FPS[suffix]} frames a second"
        )
    if not 0 <= smooth <= MAX_SMOOTH:
        raise ConfigError(f"--smooth {smooth} is out of range: it must be 0 to {MAX_SMOOTH}")
    if fps * (smooth + 1) > MAX_FPS[suffix]:
        raise ConfigError(
            f"--smooth {smooth} at {fps:g} frames a second makes {fps * (smooth + 1):g}, and a "
            f"{kind} film has up to {MAX_FPS[suffix]}; lower one of them"
        )
    if not 0 <= hold_seconds <= MAX_HOLD_SECONDS:
        raise ConfigError(
            f"--hold {hold_seconds:g}: the last frame is held for 0 to {MAX_HOLD_SECONDS} seconds"
        )
    if suffix == ".mp4":
        find_ffmpeg()
    return suffix


def _encode(path: Path, pictures: TimedPictures, stage: _Stage, fps: Fraction) -> None:
    suffix = path.suffix.lower()
    if suffix == ".mp4":
        write_mp4(path, pictures, stage.size, stage.mode, fps)
    elif not suffix:
        write_folder(path, pictures)
    else:
        with path.open("wb") as file:
            if suffix == ".gif":
                write_gif(file, pictures, stage.size, stage.inks, coloured=stage.coloured)
            else:
                write_webp(file, pictures, stage.size)


@dataclasses.dataclass(frozen=True)
class _Stage:
    """Where things stand on the canvas of a film."""

    scenes: Sequence[Scene]
    mode: str
    table: Table
    size: Size
    heading: str
    heads: Type
    titles: Type
    captions: Type
    strip: int

    @property
    def coloured(self) -> bool:
        """Whether scenes have colours of their own."""
        return any(scene.mode != "L" for scene in self.scenes)

    @property
    def inks(self) -> list[str]:
        """The colours of curves."""
        strips = [scene.strip for scene in self.scenes if scene.strip]
        return list(dict.fromkeys(curve.ink for strip in strips for curve in strip.curves))

    def canvas(self, pictures: Sequence[Image.Image], index: int, share: float) -> Image.Image:
        """Return all scenes at a picture, or that share of the way from it to the next."""
        sheet = Sheet(self.size, self.mode)
        width, height = self.table.box
        if self.heading:
            sheet.set([self.heading], self.heads, self.size[0] // 2, self.table.edge // 2)
        for number, (scene, picture) in enumerate(zip(self.scenes, pictures, strict=True)):
            left, top = self.table.corner(number)
            middle = left + width // 2
            if scene.title:
                sheet.set([scene.title], self.titles, middle, top - self.titles.height)
            scale = min(width // picture.width, height // picture.height)
            inner = (width - picture.width * scale, height - picture.height * scale)
            sheet.place(picture, (left + inner[0] // 2, top + inner[1] // 2), scale)
            under = top + height
            if scene.captions:
                sheet.set(scene.captions[index], self.captions, middle, under)
            if scene.strip is not None:
                now = scene.strip.now[index]
                if share:
                    now += share * (scene.strip.now[index + 1] - now)
                curves = scene.strip.draw(now, (width, self.strip))
                sheet.place(curves, (left, under + self.captions.height))
        return sheet.picture()


def _plan(
    scenes: Sequence[Scene],
    scale: int | None,
    columns: int | None,
    heading: str,
    *,
    even: bool,
    room: int | None = None,
) -> _Stage:
    count = len(scenes)
    for scene in scenes:
        if scene.count != scenes[0].count:
            raise ValueError(f"a scene of {scene.count} pictures beside one of {scenes[0].count}")
        if scene.captions and len(scene.captions) != scene.count:
            raise ValueError(f"{len(scene.captions)} captions for {scene.count} frames")
    box = (max(scene.size[0] for scene in scenes), max(scene.size[1] for scene in scenes))
    columns = columns or balanced_columns(count, box)
    longer = max(columns * box[0], math.ceil(count / columns) * box[1])
    largest = MAX_SIDE // longer
    if largest < 1:
        raise DataError(f"the frames are {box[0]}x{box[1]}; a film takes up to {MAX_SIDE} a side")
    if scale is None:
        room = room or (AUTOMATIC_SIDE if count == 1 else WIDE_SIDE)
        scale = max(1, room // longer)
    if not 1 <= scale <= largest:
        raise ConfigError(
            f"--scale {scale}: frames of {box[0]}x{box[1]} can be enlarged 1 to {largest} times"
        )
    width, height = box[0] * scale, box[1] * scale
    size = columns * width // 34
    line = width - max(4, width // 50)
    said = (words for scene in scenes for words in scene.captions)
    captions = type_for(said, line, min(size, width // 15))
    titled = [[scene.title] for scene in scenes if scene.title]
    titles = type_for(titled, line, min(size, 2 * round(captions.font.size)))
    heads = type_for([[heading]] if heading else [], columns * width, 5 * size // 4)
    strip = max(36, width // 8) if any(scene.strip for scene in scenes) else 0
    gap = max(6, size // 2) if count > 1 else 0
    table = Table(
        count,
        columns,
        (width, height),
        gap,
        gap,
        over=titles.height,
        under=captions.height + strip,
        top=heads.height,
    )
    whole = table.size
    if even:  # H.264 stores colour at half resolution
        whole = (whole[0] + whole[0] % 2, whole[1] + whole[1] % 2)
    coloured = strip > 0 or any(scene.mode != "L" for scene in scenes)
    mode = "RGB" if coloured else "L"
    return _Stage(scenes, mode, table, whole, heading, heads, titles, captions, strip)


class _Reel:
    """The canvases of a film, one after the other."""

    def __init__(self, stage: _Stage, smooth: int, on_progress: ProgressHook | None) -> None:
        self._stage, self._smooth, self._on_progress = stage, smooth, on_progress
        self._count = stage.scenes[0].count
        self.frames = (self._count - 1) * (smooth + 1) + 1
        self.still = True

    def __iter__(self) -> Iterator[Image.Image]:
        # Each picture is the end of one fade and the start of the next.
        readers = [functools.lru_cache(2)(scene.picture) for scene in self._stage.scenes]
        first = [read(0).tobytes() for read in readers]
        for done in range(self.frames):
            index, step = divmod(done, self._smooth + 1)
            pictures = [read(index) for read in readers]
            share = step / (self._smooth + 1)
            if step:
                after = [read(index + 1) for read in readers]
                fades = zip(pictures, after, strict=True)
                pictures = [Image.blend(before, later, share) for before, later in fades]
            elif self.still:
                self.still = [picture.tobytes() for picture in pictures] == first
            yield self._stage.canvas(pictures, index, share)
            if self._on_progress is not None:
                self._on_progress(done + 1, self.frames)


def _delays(count: int, each: Fraction, end: int) -> Iterator[int]:
    """Yield how many ticks each picture stays until an end; rounding errors do not add up."""
    starts = (round(index * each) for index in range(count))
    yield from (
        after - before for before, after in itertools.pairwise(itertools.chain(starts, [end]))
    )
