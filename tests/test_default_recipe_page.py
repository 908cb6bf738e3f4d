"""bench/default_recipe_page.py: what is measured on one day stands beside what was before."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tiny import OfBench


@pytest.fixture
def page(of_bench: OfBench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    module = of_bench("default_recipe_page")
    monkeypatch.setattr(module, "DOCS", tmp_path)
    return module


def test_a_part_without_runs_stays_as_it_stands(page: ModuleType, tmp_path: Path) -> None:
    nothing = [(part_of(name), None) for name in page.SECTIONS]
    target = tmp_path / "default-recipe.md"
    page.write(nothing, tmp_path / "runs")
    empty = target.read_text()
    assert empty.count("\n## ") == len(page.SECTIONS) + 1
    assert empty.count("\nNot measured.\n") == len(page.SECTIONS) + len(page.search.SEARCHES)

    told = empty.replace("Not measured.", "Measured once.\n\n### A table\n\n| 1 |", 3)
    target.write_text(told)
    page.write(nothing, tmp_path / "runs")
    assert target.read_text() == told


def test_a_part_with_runs_is_told_anew(page: ModuleType, tmp_path: Path) -> None:
    figures = {"modes": (998.0, 1000.0), "reverse_kl": (0.0512, 0.0236)}
    found = {"steps": 41_220, "step_seconds": 3_590.0, "threads": 2, "precision": "fp32"}
    found |= {"judge": figures, "failure": None}
    measured = [
        (part_of(name, {"training.epochs": 44}), found if name == "stacked" else None)
        for name in page.SECTIONS
    ]
    for _ in range(2):
        page.write(measured, tmp_path / "runs")
    text = (tmp_path / "default-recipe.md").read_text()
    assert text.count("44 epochs of one seed (41,220 steps), 60 minutes of training on two") == 1
    assert "(2 threads, fp32), by 26,000 fakes. The recipe's own length is 20; what an" in text
    assert "is not measured. The doctor finds no failure in 1 of 1.\n" in text
    assert "| modes, at least | 1000 | 998 (1000), missed by 2 |" in text
    assert (
        "| reverse KL (on a GPU), at most | 0.08 | 0.0512 (0.0236), reached; 0.03 missed by 0.021 |"
        in text
    )
    assert text.count("\nNot measured.\n") == len(page.SECTIONS) - 1 + len(page.search.SEARCHES)


def test_a_run_that_did_not_end_is_not_left_out_in_silence(page: ModuleType) -> None:
    assert page._without([]) == ""
    assert page._without(["a-run"]) == "\nWithout figures, for they did not end: a-run.\n"


def test_a_part_that_is_unknown_is_not_lost(page: ModuleType, tmp_path: Path) -> None:
    target = tmp_path / "default-recipe.md"
    target.write_text("# A page\n\n## Of another name\n\n| 1 |\n")
    with pytest.raises(ValueError, match="Of another name"):
        page.write([(part_of(name), None) for name in page.SECTIONS], tmp_path / "runs")
    assert "| 1 |" in target.read_text()


def test_a_table_of_levers_stays_beside_a_new_one(
    page: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = [(part_of(name), None) for name in page.SECTIONS]
    target = tmp_path / "default-recipe.md"
    page.write(nothing, tmp_path / "runs")
    before, after = target.read_text().split("### `digits`")
    target.write_text(f"{before}### `digits`{after.replace('Not measured.', '| old |')}")

    def finished(planned: list[Any]) -> list[Any]:
        return planned if planned[0].search == "digit" else []

    monkeypatch.setattr(page.search, "finished", finished)
    monkeypatch.setattr(page.search, "told", lambda search, done: f"| new of {search} |\n")
    page.write(nothing, tmp_path / "runs")
    told = target.read_text().split("### `digit`")[1]
    assert told.index("| new of digit |") < told.index("### `digits`") < told.index("| old |")
    assert told.count("gancli 0.1.0.") == 1  # the machine of the new one


def test_a_lever_helps_that_does_in_every_run(page: ModuleType) -> None:
    names = list(page.search.variants_of("digit"))
    assert names[0] == "default"

    def said(**distances: list[float]) -> str:
        done = [
            (
                page.search.Job("digit", name, {}, 7, seed, Path()),
                {page.DISTANCE: (found, 7.7), "seconds": 100 if name == "default" else 125},
            )
            for name, each in distances.items()
            for seed, found in enumerate(each)
        ]
        told: str = page.search.verdict("digit", done)
        return told

    good, poor = names[1], names[2]
    found = said(default=[16.0, 15.0, 15.5], **{good: [14.9, 14.0, 9.0], poor: [15.1, 3.0, 3.0]})
    words = f"in any: `{good}` (in 1.25 times the seconds), of 2 variants with 3 runs; "
    assert found.endswith(f"{words}of variants that change nothing, one in twenty would be.")
    found = said(default=[16.0] * 3, **{good: [16.0] * 3, poor: [1.0] * 2})
    assert "in any: none, of 1 variants with 3 runs; " in found
    nothing = "Of the recipe itself there are fewer than 3 runs: nothing is claimed."
    assert said(default=[16.0] * 2, **{good: [1.0] * 3}) == nothing


def test_levers_are_told_of_each_digit_apart(page: ModuleType) -> None:
    figures = dict.fromkeys(page.search.FIGURES, (0.5, 1.0)) | {"seconds": 99, "steps": 3_000}
    done = [
        (page.search.Job("digit", "default", {}, digit, seed, Path()), figures)
        for digit, seeds in ((7, 2), (2, 1))
        for seed in range(seeds)
    ]
    first, second = page.search.told("digit", done).split("Digit 2:")
    assert first.startswith("Digit 7:\n\n| variant |")
    assert "| default | nothing | 2 | 3,000 | 99 |" in first
    assert "| default | nothing | 1 | 3,000 | 99 |" in second
    assert "fewer than 3 runs: nothing is claimed" in first


def test_few_images_are_held_to_both_coverages(page: ModuleType) -> None:
    def found(few: float, more: float, z: float) -> dict[str, Any]:
        def card(coverage: float, real: float) -> dict[str, tuple[float, float]]:
            names = ("precision_judge", "recall_judge", "coverage_judge")
            figures = dict.fromkeys(names, (coverage, real))
            return figures | {page.DISTANCE: (20.0, 10.0), "copying_z": (z, 0.0)}

        copying = {"copying_of_unshown": [1.0] * 5}
        return {"judge": card(few, 0.789), "whole": card(more, 0.94), "failure": None, **copying}

    runs = [(part_of("few"), found(0.74, 0.76, -2.9)), (part_of("few"), found(0.75, 0.73, -3.1))]
    told = page._few(runs)
    assert "By as many fakes as there are test images, 0 of 1 digits reach it; by 500, 0 of" in told
    assert "0 of 1 (missed: 7 by 0.005), where 500 real images" in told
    assert (
        "themselves reach 0.79 to 0.79. And no copying: the test of memorisation gives -3.1" in told
    )
    assert "-3.1 to -2.9, and less than -3, which it calls copies, in 1 of 2. The last" in told
    assert "only the difference of the two is copying: 3.9 to 4.1 here." in told
    assert "The doctor finds no failure in 2 of 2." in told
    told = page._few([(part_of("few"), found(0.74, 0.76, -2.9))])
    assert "1 of 1 digits reach it; by 500, 0 of 1" in told


def test_the_end_of_a_long_run_is_held_to_its_best_by_ten_draws(page: ModuleType) -> None:
    def found(best: float, last: float) -> dict[str, Any]:
        course = {"name": page.DISTANCE, "values": [900.0, 20.0, 28.0], "real": 20.0}
        history = {"steps": [0, 10, 20], "figures": [course]}
        ten = {page.DISTANCE: (last, 21.0), "copying_z": (1.0, 0.0)}
        best_of = {page.DISTANCE: (best, 21.0)}
        times = {"seconds": 10.0, "steps": 20, "failure": None}
        return {**times, "history": history, "judge": ten, "best": best_of}

    told = page._long([(part_of("long"), found(25.0, 28.0)), (part_of("long"), found(30.0, 27.0))])
    assert "| 7 | 20.0 | 28.0 | 1.40 | 25.0 | 28.0 (21.0) | 1.12 | 1.0 |" in told
    assert "| 7 | 20.0 | 28.0 | 1.40 | 30.0 | 27.0 (21.0) | 0.90 | 1.0 |" in told
    assert "At most 1.1 times the best was asked for: by ten draws 1 of 2 reach it, " in told
    assert "reach it, digit 7 misses it by 0.02. The doctor finds" in told
    usual = [(part_of("digit"), found(0.0, last)) for last in (20.0, 21.0)]
    beside = page._beside_usual([(part_of("long"), found(25.0, 28.0))], usual)
    assert beside == "\nAt the usual length, by ten draws, means of all seeds: 7 20.5.\n"
    assert page._beside_usual(usual, []) == ""


def part_of(name: str, settings: dict[str, Any] | None = None) -> object:
    import default_recipe

    return default_recipe.Job(name, "digit", 7, 0, settings or {})
