"""How the same latents grew into images: scenes of the frames that trainings left."""

from __future__ import annotations

import bisect
import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

from PIL import Image

from gancli.errors import CheckpointError, ConfigError
from gancli.palette import DARK_GENERATOR, DISCRIMINATOR
from gancli.pictures.film import Scene, scene_of
from gancli.pictures.frames import Frame, list_frames, spell_epoch
from gancli.pictures.grid import BACKGROUND, TILE_GAP
from gancli.pictures.layout import Size, Table
from gancli.pictures.strip import Curve, Strip
from gancli.runs import RunDirectory

_FEW_RUNS = 4
_MOST_VALUES = 1_000  # more than a strip has pixels for
_ROUNDING = 5e-4  # of epochs in the names of frames


def frames_of(runs: Sequence[RunDirectory]) -> list[list[Frame]]:
    """Return equally many frames of each run, to be shown at the same time.

    Runs of different lengths are brought together by the share of their training that is done, so
    that all move from start to end: the run with the most frames sets the pace, and beside each of
    its frames stands the last of the others that is not ahead of it. Where all are equally long,
    that is the same epoch.

    Raises:
        DataError: a run has no frames.
    """
    listed = [list_frames(run.frames) for run in runs]
    leader = max(listed, key=len)
    return [_in_step(frames, leader) for frames in listed]


def _in_step(frames: Sequence[Frame], leader: Sequence[Frame]) -> list[Frame]:
    shares, pace = _shares(frames), _shares(leader)
    # As much is forgiven as rounding in the names of two runs amounts to.
    slack = sum(_ROUNDING / max(one[-1].epoch, _ROUNDING) for one in (frames, leader))
    return [frames[max(bisect.bisect_right(shares, at + slack) - 1, 0)] for at in pace]


def _shares(frames: Sequence[Frame]) -> list[float]:
    return [frame.epoch / (frames[-1].epoch or 1.0) for frame in frames]


def scenes(
    runs: Sequence[RunDirectory],
    shown: Sequence[Sequence[Frame]],
    *,
    caption: bool,
    losses: bool,
    grid: Size | None,
) -> list[Scene]:
    """Return a scene a run.

    Args:
        runs: one or more.
        shown: of each, the frames as :func:`frames_of` returns them.
        caption: write the epoch, the losses and the quality under each.
        losses: draw the course of both losses under each.
        grid: rows and columns that are shown of each frame; None for all, or for few where there
            are several runs.

    Raises:
        CheckpointError: a log is damaged, or has no line to draw losses from.
        ConfigError: a grid of points, or one that asks for more images than frames hold.
        DataError: a first frame is damaged.
    """
    if grid is not None:
        for run in runs:
            _check_grid(run, grid)
    shown_grid = grid or (_small_grid(runs) if len(runs) > 1 else None)
    return [
        scene_of(
            frames,
            _captions(run, frames, alone=len(runs) == 1, losses=losses) if caption else (),
            show=None if shown_grid is None else _part(run, shown_grid),
            strip=_strip(run, frames) if losses else None,
        )
        for run, frames in zip(runs, shown, strict=True)
    ]


def _check_grid(run: RunDirectory, grid: Size) -> None:
    config, (rows, columns) = run.read_config(), grid
    if config.data.is_points:
        raise ConfigError(f"--grid is of images, and {run.name} draws points; leave it out")
    high, wide = config.record.frame_rows, int(config.record.frame_columns)
    told = config.data.conditional is True
    if rows * columns > high * wide or (told and (rows > high or columns > wide)):
        raise ConfigError(
            f"--grid {rows}x{columns} asks for more than the {high}x{wide} images of the frames "
            f"of {run.name}; ask for less, or train it with --set record.frame_rows={rows} "
            f"--set record.frame_columns={columns}"
        )


def _small_grid(runs: Sequence[RunDirectory]) -> Size:
    """Return the rows and columns that several runs show: few images, and large ones."""
    rows, columns = (3, 3) if len(runs) > _FEW_RUNS else (4, 4)
    configs = [run.read_config() for run in runs]
    told = [int(c.record.frame_columns) for c in configs if c.data.conditional is True]
    return rows, max(told, default=columns)  # one a class where one is told the class


def _part(run: RunDirectory, grid: Size) -> Callable[[Image.Image], Image.Image] | None:
    """Return what shows so many rows and columns of a frame; None where all of it is shown.

    They are those in its upper left corner. Where it has fewer rows or columns, and what stands in
    one has nothing in common, its first tiles go into rows of that length, as in the panels beside.
    """
    config = run.read_config()
    data, record = config.data, config.record
    if data.is_points:
        return None
    rows, columns = grid
    has, box = int(record.frame_columns), (data.image_size, data.image_size)
    there = Table(rows * columns, columns, box, gap=TILE_GAP, edge=TILE_GAP)

    def corner(picture: Image.Image) -> Image.Image:
        width, height = (min(*sides) for sides in zip(there.size, picture.size, strict=True))
        return picture.crop((0, 0, width, height))

    def retiled(picture: Image.Image) -> Image.Image:
        here = dataclasses.replace(there, count=record.frame_rows * has, columns=has)
        few = dataclasses.replace(there, count=min(there.count, here.count))
        sheet = Image.new("L", few.size, BACKGROUND).convert(picture.mode)
        for index in range(few.count):
            left, top = here.corner(index)
            tile = picture.crop((left, top, left + box[0], top + box[1]))
            sheet.paste(tile, few.corner(index))
        return sheet

    inside = has >= columns and record.frame_rows >= rows
    return corner if inside or data.conditional is True else retiled


def _captions(
    run: RunDirectory, frames: Sequence[Frame], *, alone: bool, losses: bool
) -> list[list[str]]:
    """Return the words under each frame: run, epoch, and what was logged last before it."""
    log, scores = run.read_log(), run.read_quality()
    log_epochs = [record["epoch"] for record in log]
    score_epochs = [record["epoch"] for record in scores]
    captions, before, last = [], -1.0, -1.0
    for frame in frames:
        if frame.epoch != last:  # a frame may be shown again, beside a longer film
            before, last = last, frame.epoch
        words = [run.name] if alone else []
        words.append(f"epoch {spell_epoch(frame.epoch)}")
        logged = bisect.bisect_right(log_epochs, frame.epoch + _ROUNDING)
        if logged and not losses:
            record = log[logged - 1]
            g_words, d_words = ("loss of G", "of D") if alone else ("G", "D")
            words += [f"{g_words} {record['g_loss']:.2f}", f"{d_words} {record['d_loss']:.2f}"]
        scored = bisect.bisect_right(score_epochs, frame.epoch + _ROUNDING)
        if scored:
            words.append(_score_words(scores[scored - 1], before, frame.epoch))
        captions.append(words)
    return captions


def _score_words(record: dict[str, Any], since: float, epoch: float) -> str:
    """Spell a score; one from before the frame before this one says of which epoch it is."""
    value = record["score"]
    words = f"score {value:,.0f}" if value >= 100 else f"score {value:.3g}"
    fresh = since < record["epoch"] <= epoch + _ROUNDING
    return words if fresh else f"{words} (epoch {spell_epoch(record['epoch'])})"


def _strip(run: RunDirectory, frames: Sequence[Frame]) -> Strip:
    log = run.read_log()
    if not log:
        raise CheckpointError(
            f"{run.path} has no line in its log, so it has no losses to draw yet; {run.remedy()}"
        )
    every = math.ceil(len(log) / _MOST_VALUES)
    kept = [*log[:-1:every], log[-1]]
    end = max(frames[-1].epoch, log[-1]["epoch"]) or 1.0
    return Strip(
        [record["epoch"] / end for record in kept],
        (
            Curve("G", DARK_GENERATOR, [record["g_loss"] for record in kept]),
            Curve("D", DISCRIMINATOR, [record["d_loss"] for record in kept]),
        ),
        [min(frame.epoch + _ROUNDING, end) / end for frame in frames],
    )


def best_frame(run: RunDirectory) -> int | None:
    """Return the number of the frame nearest to a run's best score; None without scores."""
    scores = run.read_quality()
    if not scores:
        return None
    epoch = min(scores, key=lambda record: record["score"])["epoch"]
    frames = list_frames(run.frames)
    return min(range(len(frames)), key=lambda index: abs(frames[index].epoch - epoch))
