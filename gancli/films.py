"""Films of a run: which frames, which words under them, which files."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from gancli import files
from gancli.errors import ConfigError
from gancli.pictures.film import Film, check_options, write_film
from gancli.pictures.frames import Frame, list_frames
from gancli.runs import RunDirectory

DEFAULT_FPS = 10.0


def evolution(
    run: RunDirectory,
    targets: Sequence[Path] = (),
    *,
    fps: float | None = None,
    seconds: float | None = None,
    scale: int | None = None,
    caption: bool = True,
    hold_seconds: float = 1.5,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Film]:
    """Make films of how a run's fixed latents grew into images.

    Args:
        run: with frames.
        targets: the files; by default ``evolution.gif`` and ``evolution.mp4`` among its films.
        fps: frames per second; 10 unless ``seconds`` says otherwise.
        seconds: how long the frames take in all, without the hold.
        scale: pixels per pixel; None brings the longer side to about 970.
        caption: write epoch and losses under each frame.
        hold_seconds: how long the last frame stays on.
        on_progress: called with (frames done, frames in all) of all the films.

    Raises:
        ConfigError: both or neither of fps and seconds make sense, or nothing writes a suffix.
        DataError: there are no frames, or one is damaged (it is named).
        StorageError: a film cannot be written.
        MissingPartError: ffmpeg is missing.
    """
    frames = list_frames(run.frames)
    if fps is not None and seconds is not None:
        raise ConfigError("--fps and --seconds contradict each other; give one of them")
    if seconds is not None:
        if not (math.isfinite(seconds) and seconds > 0):
            raise ConfigError(f"--seconds {seconds} is out of range: it must be above 0")
        fps = len(frames) / seconds
    if not targets:
        folder = files.make_folder(run.films)
        targets = [folder / "evolution.gif", folder / "evolution.mp4"]
    for target in targets:
        check_options(target, fps or DEFAULT_FPS, hold_seconds)
    captions = evolution_captions(run, frames) if caption else None
    total = len(frames) * len(targets)
    films: list[Film] = []
    for target in targets:
        done = len(frames) * len(films)

        def progress(frame: int, _: int, done: int = done) -> None:
            if on_progress is not None:
                on_progress(done + frame, total)

        films.append(
            write_film(
                frames,
                target,
                fps=DEFAULT_FPS if fps is None else fps,
                scale=scale,
                captions=captions,
                hold_seconds=hold_seconds,
                on_progress=progress,
            )
        )
    return films


def evolution_captions(run: RunDirectory, frames: Sequence[Frame]) -> list[str]:
    """Return the words under each frame: run, epoch, and the losses logged last before it."""
    records = run.read_log()
    captions, position = [], 0
    for frame in frames:
        while position < len(records) and records[position]["epoch"] <= frame.epoch + 5e-4:
            position += 1
        words = f"{run.name}   epoch {frame.epoch:g}"
        if position:
            record = records[position - 1]
            words += f"   loss of G {record['g_loss']:.2f}   of D {record['d_loss']:.2f}"
        captions.append(words)
    return captions
