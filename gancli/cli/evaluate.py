"""gancli evaluate."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from gancli import api, runs
from gancli.cli.options import (
    DeviceOption,
    JsonOption,
    QuietOption,
    RunArgument,
    RunsDirOption,
    data_words,
    runs_dir_words,
)
from gancli.cli.output import Output
from gancli.cli.progress import counting, fetch_data


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
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Judge a run: every figure beside the same figure for held-out real images.

    [bold]gancli evaluate[/bold] · [bold]gancli evaluate digit-7 --json[/bold]
    """
    output = Output(as_json, quiet)
    output.say("loading torch, the judge and the data ...")
    from gancli import scoring  # noqa: PLC0415 - imports torch

    trained = api.load(run, runs_dir=runs_dir, device=device)
    fetch_data(trained.config.data.source, output)
    with counting(output, "samples") as on_progress:
        card = scoring.evaluate(
            trained,
            samples=samples,
            seed=seed,
            judge=judge,
            quick=quick,
            on_progress=on_progress,
        )
    wide = max(len(figure.name) for figure in card.figures)
    output.say(f"{'':{wide}}  {'fakes':>28}  {'real':>28}  better")
    for figure in card.figures:
        fake = _shown(figure.value, figure.low, figure.high)
        real = _shown(figure.real, figure.real_low, figure.real_high)
        output.say(f"{figure.name:{wide}}  {fake:>28}  {real:>28}  {figure.better}")
    output.say(f"{trained.name} at step {trained.step:,}, {card.samples:,} samples, 95 % intervals")
    if card.judge is not None:
        output.say(f"judge {str(card.judge_sha256)[:12]}: {card.judge}")
        wanted = trained.config.data
        if wanted.classes and not card.judge_knows_classes:
            words = shlex.join(["gancli", "judge", *data_words(wanted), "--network", "cnn"])
            output.say(f"for figures of the classes, train a judge of these data: {words}")
    output.next("gancli", "sample", run or trained.name, *runs_dir_words(runs_dir))
    path = trained.run.scores_path if trained.run else None
    output.result(path, scoring.as_dict(trained, card))


def _shown(value: float, low: float, high: float) -> str:
    return f"{value:.4g} [{low:.4g}, {high:.4g}]"
