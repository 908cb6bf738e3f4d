"""gancli plot."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gancli import api, plots, runs
from gancli.cli.options import JsonOption, QuietOption, RunsDirOption
from gancli.cli.output import Output
from gancli.runs import runs_dir_words


def plot(
    subject: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN|TOPIC]",
            help="A run, or a topic; the newest run by default. "
            f"Topics: {', '.join(plots.TOPICS)}. A run of such a name is ./NAME.",
        ),
    ] = None,
    what: Annotated[
        str | None,
        typer.Option(help=f"One figure of a run: {', '.join(plots.FIGURES)}; all by default."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where to: .png or .svg.")] = None,
    kind: Annotated[str | None, typer.Option("--format", help="png, the default, or svg.")] = None,
    runs_dir: RunsDirOption = runs.DEFAULT_RUNS_DIR,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Draw the figures of a run, or a teaching figure from the real layers.

    [bold]gancli plot digit-7[/bold] · [bold]gancli plot convolution[/bold] ·
    [bold]gancli plot digit-7 --what curves --out curves.svg[/bold]
    """
    output = Output(as_json, quiet)
    drawn = api.plot(subject, what=what, out=out, kind=kind, runs_dir=runs_dir)
    for sentence in drawn.left_out:
        output.warn(sentence)
    if drawn.subject in plots.TOPICS and subject == drawn.subject:
        topics = list(plots.TOPICS)
        output.say(plots.TOPICS[subject])
        following = topics[(topics.index(subject) + 1) % len(topics)]
        output.next("gancli", "plot", following)
    else:
        output.say(f"{drawn.subject}: {', '.join(path.stem for path in drawn.paths)}")
        from gancli import data  # noqa: PLC0415 - imports torch

        name = subject or drawn.subject
        judged = data.judges(runs.find_run(name, runs_dir).read_config().data)
        following = "evaluate" if judged else "animate"
        output.next("gancli", following, name, *runs_dir_words(runs_dir))
    if not as_json:
        for path in drawn.paths[:-1]:
            output.stdout(str(path))
    output.result(
        drawn.paths[-1],
        {
            "subject": drawn.subject,
            "paths": [str(path) for path in drawn.paths],
            "left_out": list(drawn.left_out),
        },
    )
