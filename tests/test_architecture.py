"""Imports go downwards only, and what must be cheap to import stays cheap."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gancli

ROOT = Path(gancli.__file__).parent
MODULES = {
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts): path
    for path in sorted(ROOT.rglob("*.py"))
}

# From the ground up. A part may import the parts of the layers under its own, and itself.
LAYERS = (
    {"errors", "ranks", "palette"},
    {"files", "stopping", "cores", "memory"},
    {"config", "idx"},
    {"recipes"},
    {"latents", "losses", "theory", "networks", "data", "devices", "checkpoints", "runs"},
    {"sampling", "doctor", "tables"},
    {"training"},
    {"metrics", "pictures", "observing"},
    {"quality"},
    {"placement"},
    {"preparing", "recording"},
    {"session", "scoring", "judging", "films", "export", "plots", "report"},
    {"jobs"},
    {"api"},
    {"cli"},
)
RANK = {part: rank for rank, layer in enumerate(LAYERS) for part in layer}
WITHOUT_TORCH = (
    "gancli",
    "gancli.errors",
    "gancli.files",
    "gancli.cores",
    "gancli.config",
    "gancli.recipes",
    "gancli.runs",
    "gancli.observing",
    "gancli.doctor",
    "gancli.jobs",
    "gancli.api",
    "gancli.cli.app",
)
UNPICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield each import of a file as line and dotted name, wherever in the file it stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def part_of(dotted: str) -> str | None:
    """Return the part of gancli that a dotted name belongs to; None for the package itself."""
    words = dotted.split(".")
    return words[1] if len(words) > 1 and words[1] in RANK else None


def test_every_module_has_its_place_in_the_layers() -> None:
    parts = {path.stem for path in ROOT.glob("*.py")} - {"__init__", "__main__"}
    parts |= {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert parts == set(RANK)


def test_imports_go_downwards_only() -> None:
    upwards = [
        f"{name}:{line} imports {imported}"
        for name, path in MODULES.items()
        for line, imported in imports(path)
        if imported.split(".")[0] == "gancli"
        and (ours := part_of(name)) is not None
        and (theirs := part_of(imported)) is not None
        and theirs != ours
        and RANK[theirs] >= RANK[ours]
    ]
    assert upwards == []


def test_the_package_itself_gives_its_parts_nothing_but_the_version() -> None:
    taken = {
        imported
        for path in MODULES.values()
        for _, imported in imports(path)
        if imported.startswith("gancli.") and part_of(imported) is None
    }
    used = {
        node.attr
        for name, path in MODULES.items()
        if part_of(name) is not None
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "gancli"
    }
    assert taken == set()
    assert used == {"__version__"}


def test_only_the_command_line_knows_typer_and_rich() -> None:
    users = {
        part_of(name)
        for name, path in MODULES.items()
        for _, imported in imports(path)
        if imported.split(".")[0] in {"typer", "rich", "click"}
    }
    assert users == {"cli"}


def test_nothing_unpickles() -> None:
    found = [
        f"{name}:{line} imports {imported}"
        for name, path in MODULES.items()
        for line, imported in imports(path)
        if set(imported.split(".")) & UNPICKLERS or imported in {"torch.load", "numpy.load"}
    ]
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            if ast.unparse(node.func) in {"torch.load", "np.load", "numpy.load"}:
                found.append(f"{name}:{node.lineno} calls {ast.unparse(node.func)}")
            found += [
                f"{name}:{node.lineno} allows pickles"
                for word in node.keywords
                if word.arg == "allow_pickle" and ast.unparse(word.value) != "False"
            ]
    assert found == []


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_cheap_modules_import_neither_torch_nor_numpy(module: str) -> None:
    code = f"import sys, {module}; print(*sorted({{'torch', 'numpy', 'PIL'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_public_names_exist() -> None:
    assert sorted(gancli.__all__) == gancli.__all__
    assert all(callable(getattr(gancli, name)) for name in gancli.__all__)
    with pytest.raises(AttributeError, match="trian"):
        _ = gancli.trian
