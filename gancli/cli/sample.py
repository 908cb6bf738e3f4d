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
)
from gancli.cli.output import Output
from gancli.runs import runs_dir_words


def sample(
    run: RunArgument = None,
    count: Annotated[int | None, typer.Option("-n", help="How many; 64, or 8 a class.")] = None,
    seeds: Annotated[
        str | None, typer.Option(help="Which: 0,3-9. A seed always gives the same image.")
    ] = None,
    grid: Annotated[str | None, typer.Option(metavar="RxC", help="Rows and columns.")] = None,
    separate: Annotated[
        bool,
        typer.Option("--separate", help="One PNG a seed, in a folder that then has no others."),
    ] = False,
    digit: Annotated[
        int | None, typer.Option(help="The class to draw, of a conditional run.")
    ] = None,
    truncation: Annotated[
        float, typer.Option(help="Below 1: safer and more alike; above: wilder.")
    ] = 1.0,
    interpolate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="A,B", help="The way from seed A to seed B; a row each time it is given."
        ),
    ] = None,
    real: Annotated[
        bool, typer.Option("--real", help="Real images that were not trained on instead.")
    ] = False,
    numbers: Annotated[bool, typer.Option("--numbers", help="The seed under each.")] = False,
    labels: Annotated[
        bool, typer.Option("--labels", help="Run, epoch, classes and ways in words.")
    ] = False,
    with_real: Annotated[
        bool, typer.Option("--with-real", help="Real images beside, not trained on.")
    ] = False,
    with_nearest: Annotated[
        bool, typer.Option("--with-nearest", help="The nearest training image under each.")
    ] = False,
    light: Annotated[bool, typer.Option("--light", help="Dark words on white paper.")] = False,
    scale: Annotated[int | None, typer.Option(help="Picture pixels per image pixel.")] = None,
    dpi: Annotated[
        int | None, typer.Option(help="For print instead: dots per inch at 16 cm of width.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where to: .png, .svg, .npz or .idx.")] = None,
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
        interpolate=[
            parse_pair(way, ",", "--interpolate", "two seeds: 3,8") for way in interpolate or ()
        ],
        real=real,
        numbers=numbers,
        labels=labels,
        with_real=with_real,
        with_nearest=with_nearest,
        light=light,
        scale=scale,
        dpi=dpi,
        out=out,
        runs_dir=runs_dir,
        device=device,
        weights=weights,
    )
    if real:
        output.say(f"wrote {made.count:,} real images that {made.run} was not trained on")
    else:
        output.say(f"drew {made.count:,} samples of {made.run} (step {made.step:,})")
    following, named = "evaluate" if made.judged else "animate", [run] if run else []
    if following == "animate" and run and run.endswith(".safetensors"):  # films are of runs
        following, named = ("animate", [str(made.folder)]) if made.folder else ("show", [])
    output.next("gancli", following, *named, *runs_dir_words(runs_dir))
    output.result(
        made.path,
        {"path": str(made.path), "count": made.count, "run": made.run, "step": made.step},
    )
