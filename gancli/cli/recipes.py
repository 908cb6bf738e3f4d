"""gancli recipes."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import tomli_w
import typer

from gancli import api, recipes
from gancli.cli.options import JsonOption, QuietOption
from gancli.cli.output import Output
from gancli.recipes import Recipe


def recipes_command(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A recipe to show whole.")
    ] = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """List the recipes, or show one whole, as TOML to build on.

    The list has each recipe's report, its idea, the parameters of both networks together, and
    about how many minutes its own length takes on two cores, in 32 bits.

    [bold]gancli recipes[/bold] · [bold]gancli recipes digit > mine.toml[/bold]
    """
    output = Output(as_json, quiet)
    if name is not None:
        recipe = recipes.read(name)
        api.describe(name)  # a file may hold what no config can
        output.say(f"{recipe.name}: {recipe.summary}")
        # By its name alone it would train whatever classes there are.
        which = ["--digit", "7"] if name == recipes.ONE_CLASS else ["--recipe", name]
        output.next("gancli", "train", *which)
        output.result(tomli_w.dumps(recipe.table).rstrip(), recipe.table)
        return
    rows = [_row(recipe) for recipe in api.list_recipes()]
    output.next("gancli", "recipes", rows[0]["name"])
    if output.as_json:
        output.result(None, {"recipes": rows})
    elif sys.stdout is not None and sys.stdout.isatty():
        _print_table(rows)
    else:
        _print_columns(rows, output)


def _row(recipe: Recipe) -> dict[str, Any]:
    import torch  # noqa: PLC0415 - keeps --help fast

    from gancli import networks, preparing  # noqa: PLC0415 - imports torch

    digit = 7 if recipe.name == recipes.ONE_CLASS else None
    config = preparing.resolve(api.describe(recipe.name, digit=digit), len(api.DIGITS))
    with torch.device("meta"):
        pair = networks.build_generator(config), networks.build_discriminator(config)
    return {
        "name": recipe.name,
        "report": config.report or None,
        "summary": recipe.summary,
        "parameters": sum(map(networks.parameters, pair)),
        "minutes": config.minutes,
        "preview": config.preview_epochs is not None,
    }


def _print_table(rows: list[dict[str, Any]]) -> None:
    """Print a table for 80 columns, sizes and headings short, so that the ideas find room."""
    from rich.console import Console  # noqa: PLC0415 - keeps --help fast
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("recipe", no_wrap=True)
    table.add_column("from", no_wrap=True)
    table.add_column("idea")
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("min.", justify="right", no_wrap=True)
    for row in rows:
        name, report, idea, _, minutes = _cells(row)
        count = row["parameters"]
        size = f"{count / 1e6:.1f} M" if count >= 1e6 else f"{count / 1e3:.0f} k"
        table.add_row(name, report, idea, size, minutes)
    Console(highlight=False, markup=False).print(table)


def _print_columns(rows: list[dict[str, Any]], output: Output) -> None:
    lines = [_cells(row) for row in rows]
    wide = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for name, report, idea, parameters, minutes in lines:
        output.stdout(
            f"{name:{wide[0]}}  {report:{wide[1]}}  {idea:{wide[2]}}  "
            f"{parameters:>{wide[3]}}  {minutes:>{wide[4]}}"
        )


def _cells(row: dict[str, Any]) -> tuple[str, str, str, str, str]:
    minutes, parameters = row["minutes"], f"{row['parameters']:,}"
    length = "-" if minutes is None else "<1" if minutes < 1 else f"{minutes:,.0f}"
    return row["name"], row["report"] or "-", row["summary"], parameters, length
