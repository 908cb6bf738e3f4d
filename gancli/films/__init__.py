"""Films of runs: what each kind shows, how long it takes, and which files it becomes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import gancli
from gancli import files
from gancli.errors import ConfigError
from gancli.films import evolution
from gancli.pictures.film import (
    MAX_FPS,
    MIN_FPS,
    Film,
    Scene,
    check_options,
    write_film,
    write_poster,
)
from gancli.pictures.layout import Size
from gancli.runs import RunDirectory

MOST_RUNS = 12
MOST_PICTURES = 100_000

Progress = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of film.

    Attributes:
        fps: pictures a second unless told otherwise.
        hold_seconds: how long the last picture is held unless told otherwise; a film that ends
            where it began is not held.
        drawn: whether generators draw it now, as many pictures as it takes; else it shows the
            frames that a training left.
    """

    fps: float
    hold_seconds: float
    drawn: bool = True


KINDS = {
    "evolution": Kind(10.0, 1.5, drawn=False),
    "walk": Kind(20.0, 0.0),
    "truncation": Kind(20.0, 0.0),
    "morph": Kind(20.0, 0.0),
}


@dataclasses.dataclass(frozen=True)
class Look:
    """How runs stand beside each other.

    Attributes:
        name: of the default files.
        heading: a line over all.
        titles: of the runs, where there are several; () for their names.
        columns: runs in a row; None for what suits a screen.
    """

    name: str
    heading: str = ""
    titles: tuple[str, ...] = ()
    columns: int | None = None


def make(
    runs: Sequence[RunDirectory],
    kind: str = "evolution",
    targets: Sequence[Path] = (),
    *,
    fps: float | None = None,
    seconds: float | None = None,
    scale: int | None = None,
    caption: bool = True,
    losses: bool = False,
    smooth: int = 0,
    hold_seconds: float | None = None,
    grid: tuple[int, int] | None = None,
    seeds: Sequence[int] | None = None,
    poster: Path | None = None,
    weights: str = "last",
    device: str = "cpu",
    look: Look | None = None,
    on_progress: Progress | None = None,
) -> list[Film]:
    """Make films of a run, or of several side by side.

    Args:
        runs: one or more.
        kind: one of :data:`KINDS`.
        targets: the files; by default a GIF and an MP4 called as ``look`` says, among the films of
            a run alone, and in the current folder of several.
        fps: pictures a second; what is usual for the kind unless ``seconds`` says otherwise.
        seconds: how long the pictures take in all, without the hold.
        scale: pixels per pixel; None brings the longer side to about 970, of several runs 1280.
        caption: write under each picture where it stands: epoch, losses and quality.
        losses: draw the course of both losses under each picture, of an evolution.
        smooth: how many pictures in between frames fade into each other by, of an evolution.
        hold_seconds: how long the last picture stays on.
        grid: rows and columns of images in each picture; None for what suits the kind.
        seeds: of a walk the places it visits; of other drawn films the images.
        poster: a PNG of the first, the middle, the best (where scores were logged) and the last
            picture; of a film that ends where it began, of its quarters.
        weights: ``last`` or ``best``, of the generators that draw.
        device: that they draw on.
        look: how several runs stand beside each other, and what default files are called.
        on_progress: called with (pictures done, pictures in all) of all the films.

    Raises:
        CheckpointError: a generator that is to draw, or a log that is to be shown, is not there.
        ConfigError: options that contradict each other, or are out of range, or of another kind.
        DataError: there are no frames, or one is damaged (it is named).
        StorageError: a film cannot be written.
        MissingPartError: ffmpeg is missing.
    """
    look = look or Look(kind)
    _check(runs, kind, fps, seconds, losses, smooth, seeds, poster, grid, weights)
    usual = KINDS[kind]
    hold = usual.hold_seconds if hold_seconds is None else hold_seconds
    rate = usual.fps if fps is None else fps
    shown = [] if usual.drawn else evolution.frames_of(runs)
    if shown and seconds is not None:
        rate = len(shown[0]) / seconds
    if not targets:
        folder = runs[0].films if len(runs) == 1 else Path()
        targets = [folder / f"{look.name}{suffix}" for suffix in (".gif", ".mp4")]
    for target in targets:
        most = MAX_FPS.get(target.suffix.lower(), math.inf)
        if shown and seconds is not None and not MIN_FPS <= rate <= most:
            raise ConfigError(
                f"--seconds {seconds:g} makes {rate:.4g} frames a second of {len(shown[0])}; "
                f"{target} can have {MIN_FPS} to {most:g}"
            )
        check_options(target, rate, hold, smooth)
    if usual.drawn:
        from gancli.films import drawn  # noqa: PLC0415 - imports torch

        shows = drawn.Shows(grid, seeds, caption, rate, seconds, weights, device)
        scenes = drawn.scenes(runs, kind, shows, MOST_PICTURES)
    else:
        scenes = evolution.scenes(runs, shown, caption=caption, losses=losses, grid=grid)
    if len(runs) > 1:
        names = look.titles or [run.name for run in runs]
        scenes = [
            dataclasses.replace(s, title=title) for s, title in zip(scenes, names, strict=True)
        ]
    if targets[0].parent == runs[0].films:
        files.make_folder(runs[0].films)
    films: list[Film] = []
    for target in targets:

        def progress(done: int, total: int, before: int = len(films)) -> None:
            if on_progress is not None:
                on_progress(before * total + done, len(targets) * total)

        films.append(
            write_film(
                scenes,
                target,
                fps=rate,
                scale=scale,
                hold_seconds=hold,
                smooth=smooth,
                columns=look.columns,
                heading=look.heading,
                on_progress=progress,
            )
        )
    if poster is not None:
        about = {
            "runs": ", ".join(run.name for run in runs),
            "film": kind,
            "version": gancli.__version__,
        }
        moments = _moments(runs, scenes, kind)
        heading = look.heading
        if len(runs) == 1:  # its name stands over all, and not under each
            heading = runs[0].name
            scenes = [dataclasses.replace(s, captions=[w[1:] for w in s.captions]) for s in scenes]
        write_poster(scenes, moments, poster, about, heading=heading)
    return films


def _check(
    runs: Sequence[RunDirectory],
    kind: str,
    fps: float | None,
    seconds: float | None,
    losses: bool,
    smooth: int,
    seeds: Sequence[int] | None,
    poster: Path | None,
    grid: Size | None,
    weights: str,
) -> None:
    drawn = KINDS[kind].drawn
    if not 1 <= len(runs) <= MOST_RUNS:
        raise ConfigError(f"a film shows 1 to {MOST_RUNS} runs, not {len(runs)}")
    if fps is not None and seconds is not None and not drawn:
        raise ConfigError("--fps and --seconds contradict each other; give one of them")
    if seconds is not None and not (math.isfinite(seconds) and seconds > 0):
        raise ConfigError(f"--seconds {seconds} is out of range: it must be above 0")
    if grid is not None and min(grid) < 1:
        raise ConfigError(f"--grid {grid[0]}x{grid[1]} is out of range: give 1x1 or more")
    if drawn and (losses or smooth):
        option = "--losses" if losses else "--smooth"
        raise ConfigError(f"{option} is for the frames of a training; leave it out with --{kind}")
    if not drawn and (seeds is not None or weights != "last"):
        option = "--weights" if seeds is None else "--seeds"
        raise ConfigError(f"{option} is for --walk, --truncation and --morph; leave it out")
    if poster is not None:
        if poster.suffix.lower() != ".png":
            raise ConfigError(f"--poster {poster}: posters are written as .png")
        files.need_folder_of(poster)


def _moments(runs: Sequence[RunDirectory], scenes: Sequence[Scene], kind: str) -> dict[str, int]:
    """Return the moments of a poster: each a word and the number of a picture."""
    count = scenes[0].count
    if KINDS[kind].drawn:  # its end is its beginning
        words = ("start", "a quarter", "half", "three quarters")
        return {word: number * count // 4 for number, word in enumerate(words)}
    moments = {"first": 0, "middle": (count - 1) // 2}
    best = evolution.best_frame(runs[0]) if len(runs) == 1 else None
    if best is not None:
        moments["best"] = best
    return {**moments, "last": count - 1}
