"""Runs as rows of a table, and several seeds of one thing as its mean and deviation."""

from __future__ import annotations

import dataclasses
import math
import re
import statistics
from collections.abc import Mapping, Sequence

import torch

from gancli import config
from gancli.config import RunConfig
from gancli.networks import build_discriminator, build_generator, parameters
from gancli.runs import RunDirectory, parse_json, reading

_LOGGED = ("d_loss", "g_loss", "d_accuracy_real", "d_accuracy_fake")
# Keys in which several seeds of one thing may differ.
_SEED_KEYS = {"training.seed", "training.threads"}
# What must be alike where scores are to be held to each other.
_PROTOCOL = ("judge_sha256", "samples", "drawn", "draws", "reference", "reference_images")


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


def row(run: RunDirectory) -> Row:
    """Tabulate a run by its config, its log and its scores; figures it has not are left out.

    Raises:
        CheckpointError: the run is damaged.
    """
    described = run.read_config()
    log = run.read_log()
    with torch.device("meta"):
        generator, discriminator = build_generator(described), build_discriminator(described)
    figures = {name: float(log[-1][name]) for name in _LOGGED} if log else {}
    speeds = [
        float(each.get("images_per_second", 0.0)) for each in run.read_status().get("sessions", [])
    ]
    if any(speeds):  # a session that found the run finished had none
        figures["images_per_second"] = [speed for speed in speeds if speed][-1]
    scores, protocol = _scores(run)
    return Row(
        run.name,
        described.recipe,
        described.data.source,
        described.data.digit,
        described.training.seed,
        float(log[-1]["epoch"]) if log else 0.0,
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
    if not run.scores_path.exists():
        return {}, {}
    with reading(run.scores_path, run.command("evaluate", run.name)):
        card = parse_json(run.scores_path.read_bytes())
        if card["step"] != run.read_status().get("step"):
            return {}, {}
        scores = {
            str(figure["name"]): (float(figure["value"]), float(figure["real"]))
            for figure in card["figures"]
        }
        return scores, {key: card[key] for key in _PROTOCOL if key in card}


def unlike(rows: Sequence[Row]) -> tuple[tuple[str, str], ...]:
    """Return pairs of runs of the same images whose scores, made by other means, do not compare."""
    first: dict[tuple[str, int | None], Row] = {}
    scored = [row for row in rows if row.real]
    for row in scored:
        first.setdefault((row.data, row.digit), row)
    pairs = [(first[row.data, row.digit], row) for row in scored]
    return tuple((one.run, other.run) for one, other in pairs if one.protocol != other.protocol)


def comparable(rows: Sequence[Row]) -> bool:
    """Tell whether scores are of the same images, and were made by the same means."""
    scored = [row for row in rows if row.real]
    return len({(row.data, row.digit) for row in scored}) < 2 and not unlike(scored)


def groups(runs: Sequence[RunDirectory], rows: Sequence[Row]) -> tuple[Group, ...]:
    """Put runs together whose configs differ in nothing but the seed, and that came as far."""
    alike: list[tuple[RunConfig, list[Row]]] = []
    for run, row in zip(runs, rows, strict=True):
        described = run.read_config()
        for first, members in alike:
            differing = set(config.differences(first, described))
            if differing <= _SEED_KEYS and row.epochs == members[0].epochs:
                if all(row.seed != member.seed for member in members):  # a copy is no other seed
                    members.append(row)
                break
        else:
            alike.append((described, [row]))
    return tuple(_group(members) for _, members in alike if len(members) > 1)


def _group(rows: Sequence[Row]) -> Group:
    alike = all(row.protocol == rows[0].protocol for row in rows)
    shared = [
        name
        for name in rows[0].figures
        if all(math.isfinite(row.figures.get(name, math.nan)) for row in rows)
        and (alike or name not in rows[0].real)
    ]
    columns = {name: [row.figures[name] for row in rows] for name in shared}
    return Group(
        re.sub(r"-seed-\d+$", "", rows[0].run),
        tuple(row.run for row in rows),
        {name: statistics.fmean(values) for name, values in columns.items()},
        {name: statistics.stdev(values) for name, values in columns.items()},
    )
