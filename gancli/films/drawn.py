"""Films that generators draw: walks through latents, sweeps of truncation, classes that morph.

All of them end where they began, so that a player that loops shows no seam.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import torch
from PIL import Image
from torch import Tensor

from gancli import sampling
from gancli.errors import ConfigError, memory_advice
from gancli.latents import latents_between, latents_of_seeds
from gancli.pictures.film import Scene
from gancli.pictures.sheet import draw_sheet
from gancli.runs import RunDirectory
from gancli.sampling import Trained

WIDEST = 1.5
"""Truncation at the middle of a sweep: beyond 1, where samples become wild."""

_STOPS = 4
_WALK_SECONDS, _SWEEP_SECONDS, _MORPH_SECONDS = 2.0, 6.0, 1.5
_ROWS, _COLUMNS, _POINTS = 4, 4, 256
_MOST_TILES = 1_000
_MOST_COLUMNS = 16


@dataclasses.dataclass(frozen=True)
class Shows:
    """What is asked of drawn films; see :func:`gancli.films.make`."""

    grid: tuple[int, int] | None
    seeds: Sequence[int] | None
    caption: bool
    fps: float
    seconds: float | None
    weights: str
    device: str


@dataclasses.dataclass(frozen=True)
class _Plan:
    """Where a film stands at each share of its length, from 0 to 1 less one picture.

    Attributes:
        seconds: how long it takes unless told otherwise.
        columns: images in a row.
        latents: of a share, float32 [n, size].
        labels: of a share, as a generator takes them.
        words: of a share.
    """

    seconds: float
    columns: int
    latents: Callable[[float], Tensor]
    labels: Callable[[float], Tensor | None]
    words: Callable[[float], str]


def scenes(runs: Sequence[RunDirectory], kind: str, shows: Shows, most: int) -> list[Scene]:
    """Return a scene a run, all of equally many pictures and of the same seeds.

    Raises:
        CheckpointError: a run has no whole checkpoint.
        ConfigError: a generator cannot draw this kind, or the film would be too long or too large.
    """
    plan_of = {"walk": _walk, "truncation": _sweep, "morph": _morph}[kind]
    trained = [sampling.load(run.path, device=shows.device, weights=shows.weights) for run in runs]
    plans = [plan_of(one, shows) for one in trained]
    seconds = shows.seconds or max(plan.seconds for plan in plans)
    count = max(1, round(seconds * shows.fps)) if seconds * shows.fps <= most else 0
    if not count:
        raise ConfigError(
            f"{seconds:g} seconds at {shows.fps:g} frames a second are more than {most:,} frames; "
            "lower --seconds or --fps"
        )
    alone = len(runs) == 1
    return [
        _scene(one, plan, count, shows.caption, alone)
        for one, plan in zip(trained, plans, strict=True)
    ]


def _scene(trained: Trained, plan: _Plan, count: int, caption: bool, alone: bool) -> Scene:
    def picture(index: int) -> Image.Image:
        share = index / count
        with memory_advice("draw fewer images (--grid)"):
            latents, labels = plan.latents(share), plan.labels(share)
            samples = sampling.draw(trained.generator, latents, labels, trained.config)
        return draw_sheet(samples, trained.config.data.source, plan.columns)

    first = picture(0)
    name = [trained.name] if alone else []
    words = [[*name, plan.words(index / count)] for index in range(count)] if caption else []
    captions = [[word for word in line if word] for line in words]
    return Scene(first.size, first.mode, count, picture, captions=captions)


def _walk(trained: Trained, shows: Shows) -> _Plan:
    """Each tile goes through seeds of its own and back to the first, resting a moment at each."""
    labels = _labels_of_columns(trained)
    if shows.seeds is None:
        rows, columns = _grid(trained, shows)
        tiles = rows * columns
        stops = torch.arange(_STOPS * tiles).reshape(_STOPS, tiles)
        labels = trained.labels(range(tiles))
    else:
        if not 2 <= len(shows.seeds) <= _MOST_TILES:
            raise ConfigError(f"--seeds: a walk goes through 2 to {_MOST_TILES:,} seeds")
        if shows.grid is not None:
            raise ConfigError("--grid: a walk with --seeds is one image, or one a class; leave it")
        columns = 1 if labels is None else len(labels)
        stops = torch.tensor([[seed] * columns for seed in shows.seeds])
    latents = [latents_of_seeds(row, trained.config.latent) for row in stops.tolist()]

    def at(share: float) -> Tensor:
        stop, way = divmod(share * len(latents), 1)
        start, end = latents[int(stop)], latents[(int(stop) + 1) % len(latents)]
        fraction = torch.tensor([_eased(way)])
        ways = zip(start, end, strict=True)
        return torch.cat([latents_between(a, b, fraction, trained.config.latent) for a, b in ways])

    def words(share: float) -> str:
        if shows.seeds is None:
            return "a walk through latents"
        stop, way = divmod(share * len(latents), 1)
        return f"seed {shows.seeds[(int(stop) + round(way)) % len(latents)]}"

    return _Plan(_WALK_SECONDS * len(latents), columns, at, lambda _: labels, words)


def _sweep(trained: Trained, shows: Shows) -> _Plan:
    """Latents grow from the middle, where all are alike, to beyond their law, and shrink again."""
    seeds, columns = _seeds(trained, shows)
    latents, labels = latents_of_seeds(seeds, trained.config.latent), trained.labels(seeds)

    def truncation(share: float) -> float:
        return WIDEST * _eased(1 - abs(1 - 2 * share))

    return _Plan(
        _SWEEP_SECONDS,
        columns,
        lambda share: latents * truncation(share),
        lambda _: labels,
        lambda share: f"truncation {truncation(share):.2f}",
    )


def _morph(trained: Trained, shows: Shows) -> _Plan:
    """The same latents are drawn as one class after the other, and between them as mixtures."""
    classes = trained.generator.classes
    if not classes:
        raise ConfigError(
            f"--morph needs a generator that is told which class to draw, and {trained.name} is "
            "not; train one without --digit: gancli train"
        )
    seeds, columns = _seeds(trained, shows, by_class=False)
    latents = latents_of_seeds(seeds, trained.config.latent)

    def labels(share: float) -> Tensor:
        start, way = divmod(share * classes, 1)
        mixture = torch.zeros(classes)
        mixture[int(start)] += 1 - _eased(way)
        mixture[(int(start) + 1) % classes] += _eased(way)
        return mixture.repeat(len(seeds), 1)

    def words(share: float) -> str:
        start = share * classes
        return f"{int(start)} to {(int(start) + 1) % classes}"

    return _Plan(_MORPH_SECONDS * classes, columns, lambda _: latents, labels, words)


def _labels_of_columns(trained: Trained) -> Tensor | None:
    classes = trained.generator.classes
    return torch.arange(min(classes, _MOST_COLUMNS)) if classes else None


def _grid(trained: Trained, shows: Shows, *, by_class: bool = True) -> tuple[int, int]:
    if trained.config.data.is_points:
        if shows.grid is not None:
            raise ConfigError(f"--grid is of images, and {trained.name} draws points; leave it out")
        return _POINTS, 1
    classes = trained.generator.classes if by_class else 0
    rows, columns = shows.grid or (_ROWS, min(classes, _MOST_COLUMNS) or _COLUMNS)
    if rows * columns > _MOST_TILES:
        raise ConfigError(f"--grid {rows}x{columns}: a film shows up to {_MOST_TILES:,} images")
    return rows, columns


def _seeds(trained: Trained, shows: Shows, *, by_class: bool = True) -> tuple[Sequence[int], int]:
    """Return the seeds of a film's images, and how many stand in a row."""
    if shows.seeds is None:
        rows, columns = _grid(trained, shows, by_class=by_class)
        return range(rows * columns), columns
    if len(shows.seeds) > _MOST_TILES:
        raise ConfigError(f"--seeds: a film shows up to {_MOST_TILES:,} images")
    if shows.grid is None:
        return shows.seeds, math.ceil(math.sqrt(len(shows.seeds)))
    rows, columns = _grid(trained, shows, by_class=by_class)
    if rows * columns < len(shows.seeds):
        raise ConfigError(f"--grid {rows}x{columns} has no room for {len(shows.seeds)} --seeds")
    return shows.seeds, min(columns, len(shows.seeds))


def _eased(share: float) -> float:
    """Return how far a way is gone that begins and ends at rest (a cubic)."""
    return share * share * (3 - 2 * share)
