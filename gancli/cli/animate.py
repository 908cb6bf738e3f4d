"""gancli animate."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from gancli import api, runs
from gancli.cli.options import (
    DeviceOption,
    JsonOption,
    QuietOption,
    RunsDirOption,
    WeightsOption,
    parse_numbers,
    parse_pair,
)
from gancli.cli.output import Output
from gancli.cli.progress import counting
from gancli.errors import ConfigError
from gancli.runs import RunDirectory, runs_dir_words


def animate(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN]...",
            help="A run's name or folder, or several side by side; the newest run by default.",
        ),
    ] = None,
    walk: Annotated[
        bool, typer.Option("--walk", help="A walk through latents that ends where it began.")
    ] = False,
    truncation: Annotated[
        bool, typer.Option("--truncation", help="From all alike to all too wild, and back.")
    ] = False,
    morph: Annotated[
        bool, typer.Option("--morph", help="From class to class, of a conditional run.")
    ] = False,
    digits: Annotated[
        bool, typer.Option("--digits", help="RUN's recipe on all ten digits, a panel each.")
    ] = False,
    out: Annotated[
        list[Path] | None,
        typer.Option(
            help="Where to: .gif, .webp, .mp4, or a folder for PNGs; may be given more than once."
        ),
    ] = None,
    poster: Annotated[
        Path | None, typer.Option(help="Also a PNG of the first, middle, best and last frame.")
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(help="Frames per second; 10 by default, 20 of what is drawn now."),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="How long the film takes instead, before the hold.")
    ] = None,
    hold: Annotated[
        float | None,
        typer.Option(help="Seconds the last frame stays on; 1.5 by default, 0 of a loop."),
    ] = None,
    smooth: Annotated[
        int, typer.Option(metavar="N", help="Fade each frame into the next by N in between.")
    ] = 0,
    scale: Annotated[int | None, typer.Option(help="Film pixels per image pixel.")] = None,
    grid: Annotated[
        str | None, typer.Option(metavar="RxC", help="Rows and columns of images to show.")
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            help="Of --walk the places it visits; of --truncation and --morph the images drawn."
        ),
    ] = None,
    caption: Annotated[
        bool,
        typer.Option("--caption/--no-caption", help="Epoch, losses and score under each frame."),
    ] = True,
    losses: Annotated[
        bool, typer.Option("--losses", help="The course of both losses under each frame.")
    ] = False,
    runs_dir: RunsDirOption = runs.DEFAULT_RUNS_DIR,
    device: DeviceOption = "auto",
    weights: WeightsOption = "last",
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a film of a run: the same latents, from noise to digits; or a walk through what it drew.

    [bold]gancli animate[/bold] · [bold]gancli animate digit-7 --out seven.mp4 --seconds 6[/bold]
    · [bold]gancli animate --walk[/bold] · [bold]gancli animate digit-7 digit-8 --losses[/bold]
    """
    output = Output(as_json, quiet)
    chosen = [
        kind
        for kind, asked in (("walk", walk), ("truncation", truncation), ("morph", morph))
        if asked
    ]
    if len(chosen) > 1:
        raise ConfigError(f"--{chosen[0]} and --{chosen[1]} are two films; give one of them")
    kind = chosen[0] if chosen else "evolution"
    found = api.runs_named(names or [None], digits=digits, runs_dir=runs_dir)
    if kind == "evolution":
        _warn_of_gaps(found, output)
    with counting(output, "frames") as on_progress:
        films = api.animate(
            names,
            kind=kind,
            digits=digits,
            out=out or (),
            fps=fps,
            seconds=seconds,
            scale=scale,
            caption=caption,
            losses=losses,
            smooth=smooth,
            hold=hold,
            grid=None if grid is None else parse_pair(grid, "x", "--grid", "rows x columns: 4x4"),
            seeds=None if seeds is None else parse_numbers(seeds, "--seeds"),
            poster=poster,
            weights=weights,
            device=device,
            runs_dir=runs_dir,
            on_progress=on_progress,
        )
    if films[0].still:
        output.warn(f"all frames of {found[0].name} are alike, so its film stands still")
    for film in films:
        output.say(
            f"{film.path.name}: {film.frames} frames, {film.seconds:g} s, "
            f"{film.width}x{film.height}, {film.bytes / 1e6:.2f} MB"
        )
    named = names[0] if names and not digits else found[0].name
    place = found[0].path.parent if digits else runs_dir
    output.next("gancli", "sample", named, *runs_dir_words(place))
    made = [*([poster] if poster else []), *(film.path for film in films)]
    if not output.as_json:
        for path in made[:-1]:
            output.stdout(str(path))
    content = {
        "run": found[0].name,
        "runs": [run.name for run in found],
        "kind": kind,
        "films": [{**dataclasses.asdict(film), "path": str(film.path)} for film in films],
        **({"poster": str(poster)} if poster else {}),
    }
    output.result(made[-1], content)


def _warn_of_gaps(found: list[RunDirectory], output: Output) -> None:
    from gancli.pictures.frames import list_frames, missing_epochs  # noqa: PLC0415 - imports numpy

    for run in found:
        for gap in missing_epochs(list_frames(run.frames)):
            of = f" of {run.name}" if len(found) > 1 else ""
            output.warn(
                f"{gap.missing} frames{of} are missing between epoch {gap.after:g} and "
                f"{gap.before:g}; the film goes on without them"
            )
