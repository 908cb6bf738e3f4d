"""gancli sample."""

from __future__ import annotations

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
    WeightsOption,
    parse_numbers,
    parse_pair,
    runs_dir_words,
)
from gancli.cli.output import Output


def sample(
    run: RunArgument = None,
    count: Annotated[int | None, typer.Option("-n", help="How many; 64 by default.")] = None,
    seeds: Annotated[
        str | None, typer.Option(help="Which: 0,3-9. A seed always gives the same image.")
    ] = None,
    grid: Annotated[str | None, typer.Option(metavar="RxC", help="Rows and columns.")] = None,
    separate: Annotated[
        bool, typer.Option("--separate", help="One PNG a seed, in a folder.")
    ] = False,
    digit: Annotated[
        int | None, typer.Option(help="The class to draw, of a conditional run.")
    ] = None,
    truncation: Annotated[
        float, typer.Option(help="Below 1: safer and more alike; above: wilder.")
    ] = 1.0,
    interpolate: Annotated[
        str | None, typer.Option(metavar="A,B", help="The way from seed A to seed B.")
    ] = None,
    real: Annotated[
        bool, typer.Option("--real", help="Real images that were not trained on instead.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Where to: .png, .npz or .idx.")] = None,
    runs_dir: RunsDirOption = runs.DEFAULT_RUNS_DIR,
    device: DeviceOption = "auto",
    weights: WeightsOption = "last",
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Draw samples of a run: a grid, single files, NPZ or IDX.

    [bold]gancli sample[/bold] · [bold]gancli sample digit-7 -n 1000 --separate[/bold]
    """
    output = Output(as_json, quiet)
    made = api.sample(
        run,
        n=count,
        seeds=None if seeds is None else parse_numbers(seeds, "--seeds"),
        grid=None if grid is None else parse_pair(grid, "x", "--grid", "rows x columns: 8x10"),
        separate=separate,
        digit=digit,
        truncation=truncation,
        interpolate=None
        if interpolate is None
        else parse_pair(interpolate, ",", "--interpolate", "two seeds: 3,8"),
        real=real,
        out=out,
        runs_dir=runs_dir,
        device=device,
        weights=weights,
    )
    if real:
        output.say(f"wrote {made.count:,} real images that {made.run} was not trained on")
    else:
        output.say(f"drew {made.count:,} samples of {made.run} (step {made.step:,})")
    output.next("gancli", "evaluate", *([run] if run else []), *runs_dir_words(runs_dir))
    output.result(
        made.path,
        {"path": str(made.path), "count": made.count, "run": made.run, "step": made.step},
    )
