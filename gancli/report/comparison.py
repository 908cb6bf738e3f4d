"""Several runs in tables: what came of them, seeds of one thing together, and where they differ."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gancli import config, tables
from gancli.report.model import Row, Table
from gancli.report.words import NOTHING, spell, spell_name
from gancli.runs import RunDirectory, parse_json, reading

_SHARES = ("d_accuracy_real", "d_accuracy_fake")


def compare(runs: Sequence[RunDirectory]) -> tuple[Table, ...]:
    """Return tables of figures, of seeds where several are among the runs, and of settings.

    Raises:
        CheckpointError: a run is damaged.
    """
    rows = [tables.row(run) for run in runs]
    kinds = _kinds(runs)
    found = [_figures(rows, kinds)]
    if groups := tables.groups(runs, rows):
        found.append(_seeds(groups, kinds))
    found.append(_settings(runs))
    return tuple(table for table in found if table.rows)


def _kinds(runs: Sequence[RunDirectory]) -> dict[str, tuple[bool, str]]:
    """Return of each figure whether it is a share, and which way is better."""
    kinds = dict.fromkeys(_SHARES, (True, ""))
    for run in runs:
        if run.scores_path.exists():
            with reading(run.scores_path, run.command("evaluate", run.name)):
                for figure in parse_json(run.scores_path.read_bytes())["figures"]:
                    kinds[figure["name"]] = (figure["unit"] == "share", figure["better"])
    return kinds


def _settings(runs: Sequence[RunDirectory]) -> Table:
    """Tabulate the keys of the configs in which not all agree."""
    configs = [run.read_config() for run in runs]
    changes = [config.differences(configs[0], described) for described in configs]
    usual = {key: ours for change in changes for key, (ours, _) in change.items()}
    rows = [
        _row(key, [_said(change[key][1] if key in change else usual[key]) for change in changes])
        for key in config.known_keys()
        if key in usual
    ]
    return Table(
        "Where they differ", "keys of the config", tuple(run.name for run in runs), tuple(rows)
    )


def _said(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return NOTHING if value is None else str(value)


def _figures(rows: Sequence[tables.Row], kinds: Mapping[str, tuple[bool, str]]) -> Table:
    found = [
        _row("epochs", [spell(row.epochs) for row in rows]),
        _row("weights of G", [f"{row.g_parameters:,}" for row in rows]),
        _row("weights of D", [f"{row.d_parameters:,}" for row in rows]),
    ]
    comparable = tables.comparable(rows)
    for name in _names([row.figures for row in rows]):
        share, better = kinds.get(name, (False, ""))
        values = [row.figures.get(name, math.nan) for row in rows]
        reals = [row.real[name] for row in rows if name in row.real]
        real = "" if not reals else spell(reals[0], share)
        if len({spell(value, share) for value in reals}) > 1:
            real = f"{spell(min(reals), share)} to {spell(max(reals), share)}"
        cells = [spell(value, share) for value in values]
        own = [row.real.get(name, math.nan) for row in rows]
        best = _best(values, own, better) if comparable else ()
        found.append(_row(spell_name(name), cells, best, real))
    note = "bold: the best of a row" if any(any(row.best) for row in found) else ""
    if not comparable:
        note = "scores of different images do not compare, only how each stands to its real ones"
    if pairs := tables.unlike(rows):
        said = " and ".join(pairs[0])
        note = (
            f"{said} were scored by other judges, images or numbers of samples; evaluate both alike"
        )
    return Table("What came of it", note, tuple(row.run for row in rows), tuple(found))


def _names(figures: Sequence[Mapping[str, float]]) -> list[str]:
    """Return all names of figures in order; shares of classes, which are many, are left out."""
    names = dict.fromkeys(name for found in figures for name in found)
    return [name for name in names if not name.startswith("share_")]


def _best(values: Sequence[float], reals: Sequence[float], better: str) -> list[bool]:
    """Tell which values are the best; none where all are, or where only one is known."""
    ranks: dict[str, Callable[[float, float], float]] = {
        "higher": lambda value, _: -value,
        "lower": lambda value, _: value,
        "near": lambda value, real: abs(value - real),
    }
    if better not in ranks:
        return [False] * len(values)
    ranked = [ranks[better](*both) for both in zip(values, reals, strict=True)]
    known = {rank for rank in ranked if math.isfinite(rank)}
    return [len(known) > 1 and rank == min(known) for rank in ranked]


def _seeds(groups: Sequence[tables.Group], kinds: Mapping[str, tuple[bool, str]]) -> Table:
    rows = [_row("seeds", [str(len(group.runs)) for group in groups])]
    for name in _names([group.mean for group in groups]):
        share = kinds.get(name, (False, ""))[0]
        cells = [
            f"{spell(group.mean[name], share)} ± {spell(group.deviation[name], share)}"
            if name in group.mean
            else NOTHING
            for group in groups
        ]
        rows.append(_row(spell_name(name), cells))
    return Table(
        "Over seeds",
        "mean ± standard deviation of runs that differ in nothing but the seed",
        tuple(group.name for group in groups),
        tuple(rows),
    )


def _row(name: str, cells: Sequence[str], best: Sequence[bool] = (), real: str = "") -> Row:
    return Row(name, tuple(cells), tuple(best) or (False,) * len(cells), real)
