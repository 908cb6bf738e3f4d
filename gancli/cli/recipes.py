"""gancli recipes."""

from __future__ import annotations

from typing import Annotated

import tomli_w
import typer

from gancli import api, recipes
from gancli.cli.options import JsonOption, QuietOption
from gancli.cli.output import Output


def recipes_command(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A recipe to show whole.")
    ] = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """List the recipes, or show one whole, as TOML to build on.

    [bold]gancli recipes[/bold] · [bold]gancli recipes digit > mine.toml[/bold]
    """
    output = Output(as_json, quiet)
    if name is not None:
        recipe = recipes.read(name)
        output.say(f"{recipe.name}: {recipe.summary}")
        output.next("gancli", "train", "--recipe", name)
        output.result(tomli_w.dumps(recipe.table).rstrip(), recipe.table)
        return
    found = api.list_recipes()
    wide = max(len(recipe.name) for recipe in found)
    output.next("gancli", "recipes", found[0].name)
    if output.as_json:
        listed = [{"name": recipe.name, "summary": recipe.summary} for recipe in found]
        output.result(None, {"recipes": listed})
    else:
        for recipe in found:
            output.stdout(f"{recipe.name:{wide}}  {recipe.summary}")
