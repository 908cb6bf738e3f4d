"""Several runs side by side: one picture of samples and curves, one table of figures."""

from __future__ import annotations

import dataclasses
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from gancli import sampling, tables
from gancli.pictures.sheet import draw_sheet
from gancli.plots import curves, style
from gancli.runs import RunDirectory

_MOST_COLUMNS, _TILES, _POINTS = 4, 6, 1000


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What :func:`compare` made.

    Attributes:
        path: the picture.
        rows: a row a run, in the order given.
        groups: of runs that differ in nothing but the seed.
        unlike: pairs of runs of the same images whose scores do not compare, as they were scored by
            other means.
    """

    path: Path
    rows: tuple[tables.Row, ...]
    groups: tuple[tables.Group, ...]
    unlike: tuple[tuple[str, str], ...]


def compare(runs: Sequence[RunDirectory], target: Path) -> Comparison:
    """Draw and tabulate runs that have a log and a checkpoint.

    Raises:
        CheckpointError: a run is damaged, or has no checkpoint.
        StorageError: the picture cannot be written.
    """
    rows = tuple(map(tables.row, runs))
    _draw(runs, target)
    return Comparison(target, rows, tables.groups(runs, rows), tables.unlike(rows))


def _draw(runs: Sequence[RunDirectory], target: Path) -> None:
    """Draw a panel a run: name, samples of the same seeds, losses, accuracies."""
    bands = math.ceil(len(runs) / _MOST_COLUMNS)
    columns = math.ceil(len(runs) / bands)
    logs = [run.read_log() for run in runs]
    kinds = {run.read_config().loss.name for run in runs}
    limits = _common_limits(logs) if len(kinds) == 1 else None
    x = curves.x_of(logs)
    with style.sheet(target, 3.9 * columns, 8.4 * bands + 0.5) as figure:
        grid = figure.subplots(
            3 * bands, columns, squeeze=False, height_ratios=[3.6, 2.4, 2.0] * bands
        )
        for axes in grid.flat:
            axes.set_visible(False)
        for index, (run, log) in enumerate(zip(runs, logs, strict=True)):
            band, column = divmod(index, columns)
            samples, losses, accuracies = grid[3 * band : 3 * band + 3, column]
            for axes in (samples, losses, accuracies):
                axes.set_visible(True)
            _draw_samples(samples, run)
            losses.set_title("Loss")
            curves.draw_lines(losses, log, curves.LOSSES, x)
            if limits is not None:
                losses.set_ylim(*limits)
            accuracies.set_title("Accuracy of D")
            curves.draw_shares(accuracies, log, curves.ACCURACIES, x)
            accuracies.set_xlabel(x)
        handles = [line for axes in grid[1:3, 0] for line in axes.get_legend_handles_labels()[0]]
        words = ["loss of D", "loss of G", "D on real", "D on fake"]
        figure.legend(handles, words, loc="outside upper left", ncols=len(words))
        if any(map(curves.window_of, logs)):
            style.explain(figure, "thin: as logged; bold: mean over a fiftieth of the log")


def _draw_samples(axes: Axes, run: RunDirectory) -> None:
    trained = sampling.load(run.path)
    data, classes = trained.config.data, trained.generator.classes
    columns, seeds = _TILES, list(range(_TILES**2))
    if data.is_points:
        seeds = list(range(_POINTS))
    elif classes:  # every class has its column, as a seed's remainder is its class
        columns = min(classes, 10)
        seeds = [row * classes + column for row in range(_TILES) for column in range(columns)]
    style.show_pixels(axes, np.asarray(draw_sheet(trained.sample(seeds), data.source, columns)))
    axes.set_title(textwrap.fill(run.name, 30), loc="center", fontweight="bold")


def _common_limits(logs: Sequence[curves.Log]) -> tuple[float, float]:
    """Return limits for the losses of all runs, of one kind; rare leaps go out of sight."""
    values = np.array([record[name] for log in logs for record in log for name in curves.LOSSES])
    values = values[np.isfinite(values)]
    low, high = np.quantile(values, [0.005, 0.995]) if len(values) else (0.0, 0.0)
    margin = 0.06 * float(high - low) or 1.0
    return float(low) - margin, float(high) + margin
