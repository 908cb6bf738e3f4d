"""The commands under one name."""

from __future__ import annotations

from typing import Annotated

import typer

import gancli
from gancli.cli.animate import animate
from gancli.cli.compare import compare
from gancli.cli.doctor import doctor
from gancli.cli.evaluate import evaluate
from gancli.cli.judge import judge
from gancli.cli.plot import plot
from gancli.cli.recipes import recipes_command
from gancli.cli.report import report
from gancli.cli.sample import sample
from gancli.cli.show import show
from gancli.cli.train import train

app = typer.Typer(
    name="gancli",
    help="The command-line lab for GANs on small images: watch a digit grow out of noise.",
    epilog="Start with: gancli train --digit 7",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"gancli {gancli.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


app.command("train")(train)
app.command("sample")(sample)
app.command("show")(show)
app.command("animate")(animate)
app.command("evaluate")(evaluate)
app.command("doctor")(doctor)
app.command("judge")(judge)
app.command("plot")(plot)
app.command("compare")(compare)
app.command("report")(report)
app.command("recipes")(recipes_command)
