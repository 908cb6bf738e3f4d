from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from svg import lines, texts

from gancli import palette, plots
from gancli.errors import CheckpointError
from gancli.plots import quality
from gancli.runs import RunDirectory


@pytest.fixture
def course() -> dict[str, Any]:
    """The course of four figures over three epochs."""

    def figure(name: str, better: str, unit: str, real: float) -> dict[str, Any]:
        values = [real / 8, real / 4, real / 2]
        return {
            "name": name,
            "better": better,
            "unit": unit,
            "values": values,
            "lows": [value * 0.9 for value in values],
            "highs": [value * 1.1 for value in values],
            "real": real,
            "real_low": real * 0.9,
            "real_high": real,
        }

    figures = [
        figure("judge_share", "higher", "share", 1.0),
        figure("frechet_distance_judge", "lower", "features^2", 8_000.0),
        figure("density_judge", "near", "ratio", 1.0),
        figure("coverage_judge", "higher", "share", 0.9),
    ]
    return {"epochs": [0.0, 5.0, 10.0], "figures": figures}


@pytest.fixture
def run(course: dict[str, Any], tmp_path: Path) -> RunDirectory:
    found = RunDirectory(tmp_path / "run")
    found.path.mkdir()
    found.history_path.write_text(json.dumps(course))
    return found


def test_every_figure_has_a_panel_that_says_which_way_is_better(run: RunDirectory) -> None:
    quality.draw(run, Path("quality.svg"))
    words = texts(Path("quality.svg"))
    assert {
        "run: quality",
        "judge share, higher is better",
        "frechet distance judge, lower is better",
        "density judge, best near real",
        "coverage judge, higher is better",
        "1,000",
    } <= set(words)
    assert words.count("fakes") == words.count("real") == 1
    assert lines(Path("quality.svg"), palette.FAKE) >= 4
    assert lines(Path("quality.svg"), palette.REAL) >= 4


def test_it_is_drawn_with_the_others_once_it_is_there(
    tiny_digit_run: RunDirectory, course: dict[str, Any]
) -> None:
    def drawn() -> list[str]:
        return [path.stem for path in plots.plot_run(tiny_digit_run).paths]

    assert drawn() == ["curves", "network", "strip"]
    with pytest.raises(CheckpointError, match="gancli evaluate tiny-digit-1 --history"):
        plots.plot_run(tiny_digit_run, "quality")
    tiny_digit_run.history_path.write_text(json.dumps(course))
    try:
        assert drawn() == ["curves", "network", "strip", "quality"]
    finally:
        tiny_digit_run.history_path.unlink()


@pytest.mark.parametrize("damage", ["", "{}", '{"epochs": [], "figures": []}', '{"epochs": 3'])
def test_a_damaged_history_is_named(run: RunDirectory, damage: str) -> None:
    run.history_path.write_text(damage)
    with pytest.raises(CheckpointError, match=r"history\.json is damaged"):
        quality.draw(run, Path("quality.svg"))
    assert not Path("quality.svg").exists()
