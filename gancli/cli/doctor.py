"""gancli doctor."""

from __future__ import annotations

from typing import Annotated

import typer

from gancli import api, runs
from gancli.cli.options import JsonOption, QuietOption, RunsDirOption
from gancli.cli.output import Output
from gancli.doctor import Diagnosis
from gancli.runs import RunDirectory, Status, runs_dir_words


def doctor(
    run: Annotated[
        str | None,
        typer.Argument(metavar="[RUN]", help="A run's name or folder; the newest by default."),
    ] = None,
    runs_dir: RunsDirOption = runs.DEFAULT_RUNS_DIR,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say in plain words how a run went: what happened, when, on what evidence, what to change.

    [bold]gancli doctor[/bold] · [bold]gancli doctor digit-7[/bold]
    """
    output = Output(as_json, quiet)
    found = runs.find_run(run, runs_dir)
    diagnosis = api.diagnose(str(found.path))
    output.say(f"{found.name}: {diagnosis.steps:,} steps, {diagnosis.epoch:g} epochs")
    lines = [finding.sentence() for finding in diagnosis.findings] or [diagnosis.line()]
    output.next(*_next_words(found, diagnosis))
    output.result("\n".join(lines), {"run": found.name, **diagnosis.as_dict()})


def _next_words(run: RunDirectory, diagnosis: Diagnosis) -> list[str]:
    """Return the command that tries the first remedy, on a run of its own, or draws the film."""
    where = runs_dir_words(run.path.parent)
    remedy = next((found.remedy for found in diagnosis.findings if found.remedy), None)
    if remedy is None and run.status() in (Status.PAUSED, Status.INTERRUPTED):
        return ["gancli", "train", "--resume", run.name, *where]
    if remedy is None:
        return ["gancli", "animate", run.name, *where]
    again = ["gancli", "train", "--recipe", str(run.config_path)]
    again += [word for change in remedy for word in ("--set", change)]
    return [*again, "--name", f"{run.name[:93]}-again", *where]
