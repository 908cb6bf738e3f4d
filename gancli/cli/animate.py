"""gancli animate."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from gancli import api, runs
from gancli.cli.options import (
    JsonOption,
    QuietOption,
    RunArgument,
    RunsDirOption,
    runs_dir_words,
)
from gancli.cli.output import Output
from gancli.cli.progress import counting


def animate(
    run: RunArgument = None,
    out: Annotated[
        list[Path] | None,
        typer.Option(help="Where to: .gif, .webp or .mp4; may be given more than once."),
    ] = None,
    fps: Annotated[float | None, typer.Option(help="Frames per second; 10 by default.")] = None,
    seconds: Annotated[float | None, typer.Option(help="How long the film takes instead.")] = None,
    scale: Annotated[int | None, typer.Option(help="Film pixels per image pixel.")] = None,
    caption: Annotated[
        bool, typer.Option("--caption/--no-caption", help="Epoch and losses under each frame.")
    ] = True,
    hold: Annotated[float, typer.Option(help="Seconds the last frame stays on.")] = 1.5,
    runs_dir: RunsDirOption = runs.DEFAULT_RUNS_DIR,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a film of a run: the same latents, from noise to digits.

    [bold]gancli animate[/bold] · [bold]gancli animate digit-7 --out seven.mp4 --seconds 6[/bold]
    """
    from gancli.pictures.frames import list_frames, missing_epochs  # noqa: PLC0415 - imports numpy

    output = Output(as_json, quiet)
    found = runs.find_run(run, runs_dir)
    for gap in missing_epochs(list_frames(found.frames)):
        output.warn(
            f"{gap.missing} frames are missing between epoch {gap.after:g} and {gap.before:g}; "
            "the film goes on without them"
        )
    with counting(output, "frames") as on_progress:
        films = api.animate(
            str(found.path),
            out=out or (),
            fps=fps,
            seconds=seconds,
            scale=scale,
            caption=caption,
            hold=hold,
            on_progress=on_progress,
        )
    if films[0].still:
        output.warn(f"all frames of {found.name} are alike, so its film stands still")
    for film in films:
        output.say(
            f"{film.path.name}: {film.frames} frames, {film.seconds:g} s, "
            f"{film.width}x{film.height}, {film.bytes / 1e6:.2f} MB"
        )
    output.next("gancli", "sample", run or found.name, *runs_dir_words(runs_dir))
    if not output.as_json:
        for film in films[:-1]:
            output.stdout(str(film.path))
    content = [{**dataclasses.asdict(film), "path": str(film.path)} for film in films]
    output.result(films[-1].path, {"run": found.name, "films": content})
