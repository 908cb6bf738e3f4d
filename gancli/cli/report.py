"""gancli report."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import Annotated

import typer

from gancli import api, runs
from gancli.cli.options import JsonOption, QuietOption, RunsDirOption
from gancli.cli.output import Output


def report(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN ...]", help="1 to 12 runs, by name or folder; the newest by default."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Where to: .html; report.html in the run's folder, or here for several."),
    ] = None,
    runs_dir: RunsDirOption = runs.DEFAULT_RUNS_DIR,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show a run, or several side by side, in one HTML file that needs nothing beside it.

    Film, curves, scores, the doctor's verdict, samples, networks, and how to repeat it.

    [bold]gancli report[/bold] · [bold]gancli report digit-7 all-digits --out both.html[/bold]
    """
    output = Output(as_json, quiet)
    output.say("loading torch and the runs ...")
    made = api.write_report(names or None, out=out, runs_dir=runs_dir)
    for shown in made.runs:
        if shown.frames < shown.of_frames:
            output.say(f"{shown.run}: {shown.frames} of {shown.of_frames} frames are in the film")
        for sentence in shown.missing:
            output.say(f"{shown.run}: {sentence}")
    output.say(f"{made.path} has {made.bytes / 1e6:.2f} MB, and opens in any browser")
    number = next((n for n, shown in enumerate(made.runs) if shown.commands), 0)
    found = runs.find_run(names[number] if names else None, runs_dir)
    command = found.command("animate", found.name)
    if made.runs[number].commands:
        command = made.runs[number].commands[0]
    output.next(*shlex.split(command))
    output.result(
        made.path,
        {
            "path": str(made.path),
            "bytes": made.bytes,
            "runs": [dataclasses.asdict(shown) for shown in made.runs],
        },
    )
