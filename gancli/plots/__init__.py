"""Figures of a run, teaching figures of the layers, and several runs side by side.

This module says what can be drawn and imports nothing heavy; matplotlib, an optional part of
gancli, is looked for when something is drawn.
"""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gancli import files
from gancli.errors import CheckpointError, ConfigError, MissingPartError, did_you_mean
from gancli.runs import RunDirectory, check_distinct

if TYPE_CHECKING:
    from gancli.plots.compare import Comparison

FIGURES = {
    "curves": "losses, accuracies, D's mean output, gradient norms",
    "network": "both networks with shapes and parameter counts",
    "strip": "the same seeds over the training",
    "trajectory": "where 2-D points went",
    "quality": "the figures of `gancli evaluate --history` over the epochs",
}
"""What can be drawn of a run."""

TOPICS = {
    "convolution": "a digit under given kernels, valid and full",
    "max-pooling": "2 x 2 max pooling and its gradient",
    "padding": "zeros around an image, and between its pixels",
    "activations": "four activations and their derivatives",
    "costs": "cross-entropy against squared error from a bad start",
}
"""The teaching figures of report R3."""

SUFFIXES = (".png", ".svg")
MOST_RUNS = 12


@dataclasses.dataclass(frozen=True)
class Drawn:
    """What was drawn.

    Attributes:
        subject: the run's name, or the topic.
        paths: the files.
        left_out: a sentence for each figure that the run has nothing for yet.
    """

    subject: str
    paths: tuple[Path, ...]
    left_out: tuple[str, ...] = ()


def plot_topic(topic: str, out: Path | None = None, suffix: str = ".png") -> Drawn:
    """Draw a teaching figure.

    Args:
        topic: one of :data:`TOPICS`.
        out: the file; by default the topic's name in the current folder.
        suffix: of the default file.

    Raises:
        ConfigError: no such topic, or nothing writes the suffix.
        MissingPartError: matplotlib is not installed.
        StorageError: the file cannot be written.
    """
    if topic not in TOPICS:
        raise ConfigError(
            f"no topic '{topic}'{did_you_mean(topic, TOPICS)} (known: {', '.join(TOPICS)})"
        )
    target = _checked(out or Path(f"{topic}{suffix}"))
    _check_installed()
    from gancli.plots import topics  # noqa: PLC0415 - imports matplotlib

    topics.draw(topic, target)
    return Drawn(topic, (target,))


def plot_run(
    run: RunDirectory, what: str | None = None, out: Path | None = None, suffix: str = ".png"
) -> Drawn:
    """Draw the figures of a run into its ``plots`` folder, or one of them into a file.

    Args:
        run: a run.
        what: one of :data:`FIGURES`; None for all that the run has something for.
        out: the file, of one figure.
        suffix: of the default files.

    Raises:
        ConfigError: no such figure, not one of this run, or nothing writes the suffix.
        CheckpointError: the run has nothing to draw yet, or is damaged.
        MissingPartError: matplotlib is not installed.
        StorageError: a file cannot be written.
    """
    if what is not None and what not in FIGURES:
        raise ConfigError(
            f"--what {what}: no such figure{did_you_mean(what, FIGURES)} "
            f"(known: {', '.join(FIGURES)})"
        )
    if out is not None and what is None:
        raise ConfigError(
            f"--out {out} names one file, and a run has several figures; "
            f"choose one with --what {', '.join(FIGURES)}"
        )
    if out is not None or suffix not in SUFFIXES:
        _checked(out or run.plots / f"{what}{suffix}")
    points = run.read_config().data.is_points
    if what == "trajectory" and not points:
        raise ConfigError(
            f"{run.name} draws images, and a trajectory is of 2-D points: gancli train --data point"
        )
    _check_installed()
    there = {"trajectory": points, "quality": run.history_path.exists()}
    wanted = [what] if what else [name for name in FIGURES if there.get(name, True)]
    lacking = {name: sentence for name in wanted if (sentence := _lacking(run, name))}
    if what in lacking:
        raise CheckpointError(lacking[what])
    paths = []
    for name in wanted:
        if name not in lacking:
            target = out or files.make_folder(run.plots) / f"{name}{suffix}"
            _draw(run, name, target)
            paths.append(target)
    return Drawn(run.name, tuple(paths), tuple(lacking.values()))


def compare_runs(runs: Sequence[RunDirectory], out: Path) -> Comparison:
    """Draw samples and curves of several runs side by side, and tabulate their figures.

    Args:
        runs: 2 to 12 of them.
        out: the file.

    Raises:
        ConfigError: too few, too many or one of them twice, or nothing writes the suffix.
        CheckpointError: a run has no log or no checkpoint, or is damaged.
        MissingPartError: matplotlib is not installed.
        StorageError: the file cannot be written.
    """
    if not 2 <= len(runs) <= MOST_RUNS:
        raise ConfigError(f"give 2 to {MOST_RUNS} runs to compare, not {len(runs)}")
    check_distinct(runs)
    _checked(out)
    for run in runs:
        if sentence := _lacking(run, "curves"):
            raise CheckpointError(sentence)
    _check_installed()
    from gancli.plots import compare  # noqa: PLC0415 - imports matplotlib

    return compare.compare(runs, out)


def _draw(run: RunDirectory, name: str, target: Path) -> None:
    from gancli.plots import curves, network, quality, strip  # noqa: PLC0415 - imports matplotlib

    {
        "curves": curves.draw,
        "network": network.draw,
        "strip": strip.draw,
        "trajectory": strip.draw_trajectory,
        "quality": quality.draw,
    }[name](run, target)


def _lacking(run: RunDirectory, name: str) -> str | None:
    """Return a sentence that says what a run must have before a figure of it can be drawn."""
    if name == "curves" and not run.read_log():
        return f"{run.path} has no line in its log, so it has no curves yet; {run.remedy()}"
    if name == "quality" and not run.history_path.exists():
        evaluate = run.command("evaluate", run.name, "--history")
        return f"{run.path} has no history of its quality yet: {evaluate}"
    if name in ("strip", "trajectory"):
        from gancli import checkpoints  # noqa: PLC0415 - imports torch

        if not checkpoints.snapshots(run.path):
            return (
                f"{run.path} has kept no generators (snapshots), so it has no {name} yet; "
                f"{run.remedy()}"
            )
    return None


def _checked(target: Path) -> Path:
    if target.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{target}: figures are written as {' and '.join(SUFFIXES)}")
    files.need_folder_of(target)
    return target


def _check_installed() -> None:
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingPartError(
            "figures need matplotlib, which is not installed: pip install 'gancli[plots]'"
        )
