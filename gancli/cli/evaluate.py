"""gancli evaluate."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gancli import api, runs
from gancli.cli.options import (
    DeviceOption,
    JsonOption,
    QuietOption,
    RunArgument,
    RunsDirOption,
    WeightsOption,
    data_words,
)
from gancli.cli.output import Output
from gancli.cli.progress import counting, fetch_data
from gancli.errors import ConfigError, MissingPartError
from gancli.runs import runs_dir_words

if TYPE_CHECKING:
    from gancli.metrics import ScoreCard
    from gancli.scoring import History


def evaluate(
    run: RunArgument = None,
    samples: Annotated[
        int | None,
        typer.Option("-n", help="How many samples are judged: 10,000, or stacked-mnist's 26,000."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the samples and the bootstrap.")] = 0,
    runs_dir: RunsDirOption = runs.DEFAULT_RUNS_DIR,
    device: DeviceOption = "auto",
    judge: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A judge that `gancli judge --out FILE` wrote."),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Only the judge's view and its Frechet distance: seconds."),
    ] = False,
    history: Annotated[
        bool,
        typer.Option("--history", help="Score every kept generator, and draw the course of it."),
    ] = False,
    weights: WeightsOption = "last",
    cas: Annotated[
        bool,
        typer.Option("--cas", help="Also train a classifier on fakes, one on real: minutes."),
    ] = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Judge a run: every figure beside the same figure for real images.

    [bold]gancli evaluate[/bold] · [bold]gancli evaluate digit-7 --json[/bold]
    """
    output = Output(as_json, quiet)
    output.say("loading torch, the judge and the data ...")
    if history:
        others = {
            "-n": samples is not None,
            "--quick": quick,
            "--cas": cas,
            "--weights": weights != "last",
        }
        if any(others.values()):
            other = next(name for name, asked in others.items() if asked)
            raise ConfigError(f"--history scores all that was kept in one way; leave {other} out")
        _score_history(run, seed, runs_dir, device, judge, output)
        return
    from gancli import scoring  # noqa: PLC0415 - imports torch

    trained = api.load(run, runs_dir=runs_dir, device=device, weights=weights)
    fetch_data(trained.config.data.source, output)
    if cas:
        output.say("--cas trains two classifiers, which takes about a minute each")
    with counting(output, "samples, then classifiers" if cas else "samples") as on_progress:
        card = scoring.evaluate(
            trained,
            samples=samples,
            seed=seed,
            judge=judge,
            quick=quick,
            cas=cas,
            on_progress=on_progress,
        )
    if not as_json:
        for line in _table(card, output.width):
            output.stdout(line)
    output.say(f"{trained.name} at step {trained.step:,}, {card.samples:,} samples, 95 % intervals")
    if card.judge is not None:
        output.say(f"judge {str(card.judge_sha256)[:12]}: {card.judge}")
        wanted = trained.config.data
        if wanted.classes and not card.judge_knows_classes:
            words = shlex.join(["gancli", "judge", *data_words(wanted), "--network", "cnn"])
            output.say(f"for figures of the classes, train a judge of these data: {words}")
    picture = scoring.closest_path(trained, card)
    if picture is not None:
        output.say(f"the fakes closest to training images, beside them: {picture}")
    output.next("gancli", "sample", run or trained.name, *runs_dir_words(runs_dir))
    path = scoring.kept_at(trained, card)
    if path is None:
        reason = (
            "a run keeps the scores of its last weights alone"
            if scoring.scores_path(trained) is None
            else "the run has all figures of these weights, and keeps them"
        )
        output.say(f"not kept: {reason}; --json prints these")
    kept = None if path is None else str(path)
    output.result(path, {**scoring.as_dict(trained, card), "path": kept})


def _score_history(
    run: str | None, seed: int, runs_dir: Path, device: str, judge: Path | None, output: Output
) -> None:
    found = runs.find_run(run, runs_dir)
    fetch_data(found.read_config().data.source, output)
    with counting(output, "generators") as on_progress:
        course = api.history(
            found.path, seed=seed, device=device, judge=judge, on_progress=on_progress
        )
    if not output.as_json:
        for line in _course(course):
            output.stdout(line)
    try:
        drawn = api.plot(found.path, what="quality")
    except MissingPartError as error:
        output.warn(f"no picture of it: {error}")
        path = course.path
    else:
        path = drawn.paths[0]
    output.next("gancli", "plot", found.name, *runs_dir_words(found.path.parent))
    output.result(path, {**course.as_dict(), "path": str(path)})


def _table(card: ScoreCard, width: int | None) -> list[str]:
    """Return a line a figure; three of each on a terminal that is too narrow for that."""
    rows = [("", "fakes", "real", "better")]
    for each in card.figures:
        fake = _shown(each.value, each.low, each.high)
        rows.append(
            (each.name, fake, _shown(each.real, each.real_low, each.real_high), each.better)
        )
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if width is None or sum(wide) + 6 <= width:
        return [
            f"{name:{wide[0]}}  {fake:>{wide[1]}}  {real:>{wide[2]}}  {better}"
            for name, fake, real, better in rows
        ]
    parts = [
        (f"{name} ({better} is better)", f"  fakes {fake}", f"  real  {real}")
        for name, fake, real, better in rows[1:]
    ]
    return [line for part in parts for line in part]


def _course(course: History) -> list[str]:
    """Return a line a generator, and one of real images."""
    figures = course.cards[-1].figures
    names = [figure.name for figure in figures]
    values = [
        _row([epoch, *(figure.value for figure in card.figures)], names)
        for epoch, card in zip(course.epochs, course.cards, strict=True)
    ]
    real = _row(["real", *(figure.real for figure in figures)], names)
    return [_row(["epoch", *names], names), *values, real]


def _row(values: Sequence[float | str], names: Sequence[str]) -> str:
    """Lay numbers out under the names of their columns, the epoch's first."""
    cells = [value if isinstance(value, str) else f"{value:.4g}" for value in values]
    return "  ".join(
        f"{cell:>{max(len(name), 8)}}" for cell, name in zip(cells, ["epoch", *names], strict=True)
    )


def _shown(value: float, low: float, high: float) -> str:
    return f"{value:.4g} [{low:.4g}, {high:.4g}]"
