"""Every experiment is data: TOML files, one building on another by ``extends``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gancli import config, files
from gancli.config import POINT_SOURCES, STACKED_SOURCE, RunConfig, Table
from gancli.errors import ConfigError, did_you_mean

FOLDER = Path(__file__).parent
ONE_CLASS = "digit"
MANY_CLASSES = "digits"
MANY_CLASSES_GPU = "digits-gpu"
POINTS = "points"
STACKED = "stacked-mnist"
AUGMENTING_IF_SHOWN_OFTEN = (ONE_CLASS, MANY_CLASSES, MANY_CLASSES_GPU)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A recipe's name, its idea, and its plain data with every ``extends`` followed."""

    name: str
    summary: str
    table: Table


def names() -> list[str]:
    """Return the names of the built-in recipes in order."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def read(name_or_path: str) -> Recipe:
    """Read a built-in recipe by name, or a TOML file by path.

    A file ends in ``.toml`` or has a slash in its name; a run's ``config.toml`` is one.

    Raises:
        ConfigError: no such recipe, not valid TOML, or ``extends`` goes in a circle.
    """
    if name_or_path.endswith(".toml") or "/" in name_or_path or "\\" in name_or_path:
        path = files.user_path(name_or_path)
    else:
        path = _built_in(name_or_path)
    table = _extended(path, ())
    name = table.setdefault("recipe", path.stem)
    return Recipe(str(name), str(table.get("summary", "")), table)


def usual(source: Any, one_class: bool) -> str:
    """Return the name of the recipe that data are learned by unless another is asked for."""
    if source in POINT_SOURCES:
        return POINTS
    if source == STACKED_SOURCE:
        return STACKED
    return ONE_CLASS if one_class else MANY_CLASSES


def default(name: str) -> RunConfig:
    """Return the config of a built-in recipe as it is; all defaults for one of a user's own."""
    return build(read(name), {}, name) if name in names() else RunConfig()


def build(recipe: Recipe, settings: Mapping[str, Any], where: str) -> RunConfig:
    """Return a recipe with dotted keys set on top, checked; ``None`` takes a key out.

    Raises:
        ConfigError: a key or value is wrong; ``where`` says which recipe it was for.
    """
    changes: Table = {}
    for key, value in settings.items():
        config.set_key(changes, key, value)
    for key in changes.keys() & recipe.table.keys():
        if isinstance(changes[key], dict) and not isinstance(recipe.table[key], dict):
            raise ConfigError(f"{where}: '{key}' is a table, not {recipe.table[key]!r}")
    return config.from_table(config.without_none(_merged(recipe.table, changes)), where)


def _built_in(name: str, where: str = "") -> Path:
    path = FOLDER / f"{name}.toml"
    if name not in names():
        raise ConfigError(
            f"{where}no recipe is called '{name}'{did_you_mean(name, names())} "
            "(`gancli recipes` lists them; a file needs its .toml)"
        )
    return path


def _extended(path: Path, seen: tuple[Path, ...]) -> Table:
    table = config.read_toml(path)
    base = table.pop("extends", None)
    if base is None:
        return table
    path = path.resolve()  # a file has many names, and a circle must end under any
    if path in seen:
        circle = " -> ".join(entry.name for entry in (*seen, path))
        raise ConfigError(f"{path}: 'extends' goes in a circle: {circle}")
    if not isinstance(base, str):
        raise ConfigError(f"{path}: 'extends' names one recipe, not {base!r}")
    base_path = path.parent / base if base.endswith(".toml") else _built_in(base, f"{path}: ")
    inherited = _extended(base_path, (*seen, path))
    inherited["recipe"] = path.stem
    # Measured on other networks: how long they take, and that 16 bits do them no harm.
    inherited.pop("minutes", None)
    if isinstance(training := inherited.get("training"), dict):
        training.pop("precision", None)
    return _merged(inherited, table)


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Table:
    """Lay tables over tables; anything else, lists too, replaces what was there."""
    merged = {
        key: _merged(value, {}) if isinstance(value, Mapping) else value
        for key, value in base.items()
    }
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), dict):
            merged[key] = _merged(merged[key], value)
        else:
            merged[key] = value
    for length, other in (("epochs", "steps"), ("steps", "epochs")):
        if changes.get(length) is not None and other not in changes:
            merged.pop(other, None)  # a run has one length, and the later word counts
    return merged
