"""The verdicts of docs/reports.md are functions; here they meet made-up figures."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from tiny import OfBench

from gancli import recipes


@pytest.fixture
def claims(of_bench: OfBench) -> ModuleType:
    return of_bench("report_claims")


def test_every_claim_is_about_recipes_that_exist(claims: ModuleType) -> None:
    for claim in claims.CLAIMS:
        assert claim.shows
        assert {name for name, _ in claim.shows} <= set(recipes.names())
        assert {name[:2].upper() for name, _ in claim.shows} == {claim.report}
        assert claim.words
        assert claim.test
    assert {claim.report for claim in claims.CLAIMS} == set(claims.TITLES)


def test_every_claim_reads_only_what_it_shows_or_coverage(claims: ModuleType) -> None:
    for claim in claims.CLAIMS:
        read = set()

        def at(name: str, figure: str, read: set[tuple[str, str]] = read) -> float:
            read.add((name, figure))
            return 0.5 + len(read)

        claim.holds(at)
        shown = {name for name, _ in claim.shows}
        assert {name for name, _ in read} <= shown
        if claim.needs is not None:
            claim.needs(at)
        assert {name for name, _ in read} <= shown


def test_a_verdict_needs_three_seeds_and_all_of_them(claims: ModuleType) -> None:
    claim = claims.better("R4", "a is better", "a", "b", epochs=30)

    def seed(a: float, b: float, coverage: float = 0.5) -> object:
        figures = {
            ("a", claims.FRECHET): a,
            ("b", claims.FRECHET): b,
            ("a", claims.COVERAGE): coverage,
            ("b", claims.COVERAGE): 0.0,
        }
        return lambda name, figure: figures[name, figure]

    def verdict(seeds: list[object], epochs: float = 30, shortened: bool = False) -> str:
        return str(claims.judge(claim, seeds, epochs, shortened)[0])

    good, bad, blind = seed(1, 2), seed(2, 1), seed(1, 2, coverage=0.01)
    assert verdict([good] * 3) == "held"
    assert verdict([good] * 2) == "undecided"
    assert verdict([good, good, bad]) == "did not hold"
    assert verdict([bad] * 3) == "did not hold"
    assert verdict([bad] * 3, epochs=10, shortened=True) == "not reached in the preview"
    assert verdict([good] * 3, epochs=10, shortened=True) == "not reached in the preview"
    assert verdict([blind] * 3, shortened=True) == "not reached in the preview"
    assert verdict([blind] * 3) == "undecided"


def test_minutes_stand_last_before_the_tables(of_bench: OfBench) -> None:
    with_minutes = of_bench("reports").with_minutes

    text = '# Why.\nsummary = "s"\n\n[training]\nepochs = 3\n'
    once = with_minutes(text, 12.345)
    assert once == '# Why.\nsummary = "s"\nminutes = 12\n\n[training]\nepochs = 3\n'
    assert with_minutes(once, 0.0123) == once.replace("12", "0.012")
    assert with_minutes('extends = "digit"\n', 1000) == 'extends = "digit"\nminutes = 1000\n'


def test_the_built_in_files_keep_minutes_of_their_own() -> None:
    for name in recipes.names():
        assert recipes.read(name).table["minutes"] > 0
    Path("mine.toml").write_text('extends = "digit"\n')
    assert "minutes" not in recipes.read("./mine.toml").table


def test_a_report_that_was_not_measured_stays_as_it_is_told(
    of_bench: OfBench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = of_bench("report_page")
    monkeypatch.setattr(page, "PAGE", tmp_path / "reports.md")
    title = page.TITLES["R2"][0]
    rows = [
        "| it works | figure above 1 | **held**, in 3 of 3 seeds | 2 |",
        "| it flies | figure above 3 | **did not hold**, held in 1 of 3 seeds | 2 |",
    ]
    told = ["Of old.", "", "| the report says | measured by | verdict | figures |", *rows]
    section = "\n".join([f"## R2. {title}", "", *told, "", "A machine; torch 2."])
    page.PAGE.write_text(f"# Before\n\n| held | 7 |\n\n{section}\n")
    page.write({}, False)
    once = page.PAGE.read_text()
    assert section in once
    assert "# Before" not in once
    assert "| held | 1 |\n| did not hold | 1 |\n| not reached in the preview | 0 |" in once
    assert "- Did **not hold**: R2, it flies (held in 1 of 3 seeds)." in once
    page.write({}, False)
    assert page.PAGE.read_text() == once
    page.PAGE.unlink()
    page.write({}, False)
    assert "## R" not in page.PAGE.read_text()
