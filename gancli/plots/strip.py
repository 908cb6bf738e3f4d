"""Intermediate estimates: the same seeds drawn by the generators that a run kept on its way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize

from gancli import checkpoints, palette, sampling
from gancli.data.synthetic import targets
from gancli.pictures.scatter import window
from gancli.pictures.sheet import draw_sheet
from gancli.plots import style
from gancli.runs import RunDirectory

_MOST_IMAGES, _ROWS, _IMAGE_INCHES = 10, 4, 1.3
_MOST_CLOUDS, _POINTS, _CLOUD_INCHES = 6, 512, 2.4
_MOST_SEEDS = 128
_AGES = LinearSegmentedColormap.from_list("ages", ["white", "black"])
_GROUND = "#9A9A9A"  # neither the white of old estimates nor the black of new ones


def draw(run: RunDirectory, target: Path) -> None:
    """Draw a few seeds, a row each, as the generators kept over the run draw them.

    Raises:
        CheckpointError: a kept generator is damaged.
    """
    data = run.read_config().data
    most, count, inches = _MOST_IMAGES, _ROWS, _IMAGE_INCHES
    if data.is_points:
        most, count, inches = _MOST_CLOUDS, _POINTS, _CLOUD_INCHES
    paths = checkpoints.snapshots(run.path)
    chosen = np.unique(np.linspace(0, len(paths) - 1, most).round().astype(int))
    kept = [sampling.load(paths[index]) for index in chosen]
    seeds = range(count)
    sheets = [np.asarray(draw_sheet(k.sample(seeds), data.source, columns=1)) for k in kept]
    wide = max(5.0, inches * len(sheets) + 0.3)
    high = (inches - 0.17) * sheets[0].shape[0] / sheets[0].shape[1] + 0.85
    with style.sheet(target, wide, high, f"{run.name}: the same seeds, epoch by epoch") as figure:
        row = figure.subplots(1, len(sheets), squeeze=False)[0]
        for axes, pixels, trained in zip(row, sheets, kept, strict=True):
            style.show_pixels(axes, pixels)
            axes.set_title(_epoch(trained.epoch), loc="center", fontsize=11)


def draw_trajectory(run: RunDirectory, target: Path) -> None:
    """Draw report R3's figure of 2-D points: estimates from white to black, the final ones green.

    The target, or each of several, is a red crosshair.

    Raises:
        CheckpointError: a kept generator is damaged.
    """
    kept = [sampling.load(path) for path in checkpoints.snapshots(run.path)]
    made = targets(kept[0].config.data.source)
    assert made is not None  # points are made data
    modes = made.modes.numpy()
    alone = len(modes) == 1
    seeds = range(min(16 * len(modes), _MOST_SEEDS))
    *before, final = torch.stack([trained.sample(seeds) for trained in kept]).numpy()
    with style.sheet(target, 9, 7.6, f"{run.name}: where {len(seeds)} seeds went") as figure:
        axes = figure.subplots()
        axes.set_facecolor(_GROUND)
        axes.grid(visible=False)
        for points, age in zip(before, np.linspace(0, 1, len(before)), strict=True):
            axes.scatter(points[:, 0], points[:, 1], s=28 if alone else 14, color=[_AGES(age)])
        axes.scatter(
            final[:, 0],
            final[:, 1],
            s=40 if alone else 20,
            color=palette.GREEN,
            label=f"last, {_epoch(kept[-1].epoch)}",
        )
        axes.scatter(
            modes[:, 0],
            modes[:, 1],
            marker="+",
            s=500 if alone else 160,
            color=palette.RED,
            linewidths=2.5 if alone else 2,
            label="target",
        )
        left, bottom, side = _view(modes, np.concatenate([*before, final]))
        axes.set(xlim=(left, left + side), ylim=(bottom, bottom + side), aspect="equal", xlabel="x")
        axes.set_ylabel("y", rotation=0)
        figure.legend(loc="outside lower left", ncols=2)
        if before:
            bar = figure.colorbar(ScalarMappable(Normalize(0, 1), _AGES), ax=axes, shrink=0.5)
            bar.set_ticks([0, 1], labels=[_epoch(kept[0].epoch), _epoch(kept[-2].epoch)])
            bar.outline.set_edgecolor(palette.MUTED)


def _epoch(epoch: float) -> str:
    return f"epoch {style.epoch_words(epoch)}"


def _view(
    modes: npt.NDArray[np.float32], points: npt.NDArray[np.float32]
) -> tuple[float, float, float]:
    """Return left, bottom and side of a square around all points; far strays are left outside."""
    left, bottom, side = window(modes)
    middle = np.array([left + side / 2, bottom + side / 2])
    reach = np.abs(points[np.isfinite(points).all(axis=1)] - middle).max(initial=0)
    half = min(max(side / 2, 1.05 * float(reach)), 2 * side)
    return float(middle[0]) - half, float(middle[1]) - half, 2 * half
