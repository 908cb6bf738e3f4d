"""gancli compare."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gancli import api, runs
from gancli.cli.options import JsonOption, QuietOption, RunsDirOption
from gancli.cli.output import Output
from gancli.runs import runs_dir_words

if TYPE_CHECKING:
    from gancli.plots.compare import Comparison

_LOGGED = {
    "d_loss": ("loss D", ".3f"),
    "g_loss": ("loss G", ".3f"),
    "d_accuracy_real": ("D right on real", ".0%"),
    "d_accuracy_fake": ("D right on fake", ".0%"),
    "images_per_second": ("images/s", ",.0f"),
}


def compare(
    names: Annotated[
        list[str], typer.Argument(metavar="RUN RUN ...", help="2 to 12 runs, by name or folder.")
    ],
    out: Annotated[Path, typer.Option(help="The picture: .png or .svg.")] = Path("compare.png"),
    runs_dir: RunsDirOption = runs.DEFAULT_RUNS_DIR,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Put runs side by side: samples and curves in one picture, figures in one table.

    Runs that differ in nothing but the seed also get their mean and standard deviation.

    [bold]gancli compare digit-7 r1-fc-digit-7[/bold] ·
    [bold]gancli compare digit-3 digit-3-seed-1 digit-3-seed-2 --out seeds.svg[/bold]
    """
    output = Output(as_json, quiet)
    made = api.compare(names, out=out, runs_dir=runs_dir)
    for one, other in made.unlike:
        output.warn(
            f"{one} and {other} were scored by other judges, images or numbers of samples: their "
            "scores do not compare; evaluate both alike"
        )
    if not as_json:
        for line in _fitted(_table(made), output.width):
            output.stdout(line)
    output.next("gancli", "plot", names[0], *runs_dir_words(runs_dir))
    output.result(
        made.path,
        {
            "path": str(made.path),
            "runs": [dataclasses.asdict(row) for row in made.rows],
            "seeds": [dataclasses.asdict(group) for group in made.groups],
            "unlike": made.unlike,
        },
    )


def _table(made: Comparison) -> list[list[str]]:
    """Return the table's cells, its head first; scores stand with those of real images."""
    scores = list(
        dict.fromkeys(
            name
            for row in made.rows
            for name in row.real
            if not name.startswith("share_")  # ten of them, and in the JSON
        )
    )
    shown = _LOGGED | {name: (name, ".4g") for name in scores}
    head = ["run", "recipe", "data", "seed", "epochs", "weights G", "weights D"]
    table = [head + [title for title, _ in shown.values()]]
    for row in made.rows:
        data = Path(row.data).name + ("" if row.digit is None else f" {row.digit}")
        about = [row.run, row.recipe, data, str(row.seed), f"{row.epochs:.4g}"]
        sizes = [f"{row.g_parameters:,}", f"{row.d_parameters:,}"]
        table.append(about + sizes + _cells(row.figures, shown, row.real))
    for group in made.groups:
        for word, figures in (("mean", group.mean), ("deviation", group.deviation)):
            about = [f"{group.name}: {word}", "", "", f"{len(group.runs)} seeds", "", "", ""]
            table.append(about + _cells(figures, shown, {}))
    return table


def _cells(
    figures: Mapping[str, float],
    shown: Mapping[str, tuple[str, str]],
    real: Mapping[str, float],
) -> list[str]:
    cells = []
    for name, (_, spelling) in shown.items():
        cell = format(figures[name], spelling) if name in figures else "-"
        cells.append(f"{cell} (real {real[name]:{spelling}})" if name in real else cell)
    return cells


def _fitted(table: Sequence[Sequence[str]], width: int | None) -> list[str]:
    """Return lines, a run each; where that is too wide, a figure each, and a column for a run."""
    lines = _aligned(table)
    if width is None or max(map(len, lines)) <= width:
        return lines
    lines, (head, *rows) = [], table
    names = max(map(len, head))
    while rows:
        ends = itertools.accumulate((2 + max(map(len, row)) for row in rows), initial=names)
        count = max(1, sum(end <= width for end in ends) - 1)
        lines += _aligned(list(zip(head, *rows[:count], strict=True)), flush_left=1)
        rows = rows[count:]
        lines += [""] if rows else []
    return lines


def _aligned(table: Sequence[Sequence[str]], flush_left: int = 3) -> list[str]:
    """Return lines in which every column but the first ones ends at the same place."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if index < flush_left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
