"""Several runs side by side: one picture of samples and curves, one table of figures."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import statistics
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes

from gancli import config, sampling
from gancli.config import RunConfig
from gancli.errors import CheckpointError
from gancli.networks import build_discriminator, build_generator, parameters
from gancli.pictures.sheet import draw_sheet
from gancli.plots import curves, style
from gancli.runs import RunDirectory

_MOST_COLUMNS, _TILES, _POINTS = 4, 6, 1000
_LOGGED = ("d_loss", "g_loss", "d_accuracy_real", "d_accuracy_fake")
# Keys in which several seeds of one thing may differ.
_SEED_KEYS = {"training.seed", "training.threads"}
# What must be alike where scores are to be held to each other.
_PROTOCOL = ("judge_sha256", "samples", "reference")


@dataclasses.dataclass(frozen=True)
class Row:
    """What the table says of a run.

    Attributes:
        run: its name.
        recipe: its recipe.
        data: what it learned.
        digit: the one class it was trained on; None for all.
        seed: of its training.
        epochs: how many it was trained.
        g_parameters: how many numbers the generator learns.
        d_parameters: the same for the discriminator.
        figures: losses and accuracies of the last log line, ``images_per_second``, and what
            ``gancli evaluate`` found, by name.
        real: of the latter, the same figures for real images.
        protocol: how it was scored: by which judge, from how many samples, beside which images.
    """

    run: str
    recipe: str
    data: str
    digit: int | None
    seed: int
    epochs: float
    g_parameters: int
    d_parameters: int
    figures: Mapping[str, float]
    real: Mapping[str, float]
    protocol: Mapping[str, str | int]


@dataclasses.dataclass(frozen=True)
class Group:
    """Several seeds of one thing.

    Attributes:
        name: what the runs are called without their seeds.
        runs: their names.
        mean: of each figure that all of them have.
        deviation: standard deviation of the same between seeds (n - 1).
    """

    name: str
    runs: tuple[str, ...]
    mean: Mapping[str, float]
    deviation: Mapping[str, float]


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
    rows: tuple[Row, ...]
    groups: tuple[Group, ...]
    unlike: tuple[tuple[str, str], ...]


def compare(runs: Sequence[RunDirectory], target: Path) -> Comparison:
    """Draw and tabulate runs that have a log and a checkpoint.

    Raises:
        CheckpointError: a run is damaged, or has no checkpoint.
        StorageError: the picture cannot be written.
    """
    rows = tuple(map(_row, runs))
    _draw(runs, target)
    return Comparison(target, rows, _groups(runs, rows), tuple(_unlike(rows)))


def _unlike(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    first: dict[tuple[str, int | None], Row] = {}
    for row in rows:
        if row.real:
            known = first.setdefault((row.data, row.digit), row)
            if known.protocol != row.protocol:
                yield known.run, row.run


def _draw(runs: Sequence[RunDirectory], target: Path) -> None:
    """Draw a panel a run: name, samples of the same seeds, losses, accuracies."""
    bands = math.ceil(len(runs) / _MOST_COLUMNS)
    columns = math.ceil(len(runs) / bands)
    logs = [run.read_log() for run in runs]
    kinds = {run.read_config().loss.name for run in runs}
    limits = _common_limits(logs) if len(kinds) == 1 else None
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
            curves.draw_lines(losses, log, curves.LOSSES)
            if limits is not None:
                losses.set_ylim(*limits)
            accuracies.set_title("Accuracy of D")
            curves.draw_shares(accuracies, log, curves.ACCURACIES)
            accuracies.set_xlabel(curves.x_words(log))
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
    values = [record[name] for log in logs for record in log for name in curves.LOSSES]
    low, high = np.quantile(values, [0.005, 0.995])
    margin = 0.06 * float(high - low) or 1.0
    return float(low) - margin, float(high) + margin


def _row(run: RunDirectory) -> Row:
    described = run.read_config()
    last = run.read_log()[-1]
    with torch.device("meta"):
        generator, discriminator = build_generator(described), build_discriminator(described)
    figures = {name: float(last[name]) for name in _LOGGED}
    sessions = run.read_status().get("sessions")
    if sessions:
        figures["images_per_second"] = float(sessions[-1]["images_per_second"])
    scores, protocol = _scores(run)
    return Row(
        run.name,
        described.recipe,
        described.data.source,
        described.data.digit,
        described.training.seed,
        float(last["epoch"]),
        parameters(generator),
        parameters(discriminator),
        figures | {name: value for name, (value, _) in scores.items()},
        {name: real for name, (_, real) in scores.items()},
        protocol,
    )


def _scores(
    run: RunDirectory,
) -> tuple[dict[str, tuple[float, float]], dict[str, str | int]]:
    """Return what ``gancli evaluate`` found, with the same of real images; and how.

    Nothing where it was not asked, or was asked before the run was trained further.
    """
    try:
        card = json.loads(run.scores_path.read_bytes())
        if card["step"] != run.read_status().get("step"):
            return {}, {}
        scores = {
            str(figure["name"]): (float(figure["value"]), float(figure["real"]))
            for figure in card["figures"]
        }
        return scores, {key: card[key] for key in _PROTOCOL if key in card}
    except FileNotFoundError:
        return {}, {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"{run.scores_path} is damaged; write it anew: gancli evaluate {run.name}"
        ) from error


def _groups(runs: Sequence[RunDirectory], rows: Sequence[Row]) -> tuple[Group, ...]:
    """Put runs together whose configs differ in nothing but the seed."""
    alike: list[tuple[RunConfig, list[Row]]] = []
    for run, row in zip(runs, rows, strict=True):
        described = run.read_config()
        for first, members in alike:
            if set(config.differences(first, described)) <= _SEED_KEYS:
                members.append(row)
                break
        else:
            alike.append((described, [row]))
    return tuple(_group(members) for _, members in alike if len({m.seed for m in members}) > 1)


def _group(rows: Sequence[Row]) -> Group:
    alike = all(row.protocol == rows[0].protocol for row in rows)
    shared = [
        name
        for name in rows[0].figures
        if all(name in row.figures for row in rows) and (alike or name not in rows[0].real)
    ]
    columns = {name: [row.figures[name] for row in rows] for name in shared}
    return Group(
        re.sub(r"-seed-\d+$", "", rows[0].run),
        tuple(row.run for row in rows),
        {name: statistics.fmean(values) for name, values in columns.items()},
        {name: statistics.stdev(values) for name, values in columns.items()},
    )
