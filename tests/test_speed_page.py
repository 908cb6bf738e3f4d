"""What bench/speed.py makes of its windows, with made-up figures."""

from __future__ import annotations

import sys
import time
from types import ModuleType

import pytest
from tiny import OfBench

from gancli import recipes


@pytest.fixture
def page(of_bench: OfBench) -> ModuleType:
    return of_bench("speed_page")


@pytest.fixture
def windows(of_bench: OfBench) -> ModuleType:
    return of_bench("windows")


@pytest.mark.parametrize(
    ("value", "least", "stretch", "expected"),
    [
        (2.99, 3, 5, "no"),
        (3, 3, 5, "yes"),
        (5, 3, 5, "stretch"),
        (4.01, 4, 2.5, "no"),
        (4, 4, 2.5, "yes"),
        (2.5, 4, 2.5, "stretch"),
        (None, 3, 5, "-"),
        (9, None, None, "-"),
        (57, 45, None, "yes"),
        (44, 45, None, "no"),
    ],
)
def test_a_verdict_knows_which_way_is_better(
    page: ModuleType, value: float, least: float, stretch: float | None, expected: str
) -> None:
    assert page.verdict(value, least, stretch) == expected


def rate(page: ModuleType, ours: list[float], plain: list[float], way: str = "fp32") -> object:
    work = next(work for work in page.WORKS if work.name == "dcgan")
    sides = [[page.Side(speed, 5e8, f"2 threads, {way}") for speed in one] for one in (ours, plain)]
    return page.Rate(work, *sides, operations=3e8)


def test_a_plain_loop_slower_than_elsewhere_does_not_count(page: ModuleType) -> None:
    fair, slow = rate(page, [600, 700, 650], [130, 121]), rate(page, [600], [120])
    assert (fair.counts, slow.counts) == (True, False)  # type: ignore[attr-defined]
    assert fair.ratio == pytest.approx(650 / 125.5)  # type: ignore[attr-defined]
    ceilings = {"convolution fp32": page.Spread(200, 200, 200), "convolution bf16": None}
    results = page.Results(ceilings, [fair, slow, rate(page, [], [130])], [], [])
    targets = page.text(results, 5, 3, 0.1).split("## Images")[0].splitlines()
    rows = [line for line in targets if line.startswith("| PyTorch-GAN dcgan")]
    assert "| 4.50x | 6.00x | 5.18x | yes |" in rows[0]
    assert "| 5.00x, but the plain loop is too slow to count | - |" in rows[1]
    assert rows[2].endswith("| not measured | - |")


def test_the_share_of_the_ceiling_is_that_of_the_precision_in_use(page: ModuleType) -> None:
    ceilings = {"convolution fp32": page.Spread(200, 190, 210), "convolution bf16": None}
    single, half = (rate(page, [500], [130], way) for way in ("fp32", "bf16"))
    assert single.of_ceiling(ceilings) == pytest.approx(0.75)  # type: ignore[attr-defined]
    assert half.of_ceiling(ceilings) is None  # type: ignore[attr-defined]
    ceilings["convolution bf16"] = page.Spread(400, 400, 400)
    assert half.of_ceiling(ceilings) == pytest.approx(0.375)  # type: ignore[attr-defined]


def test_figures_that_were_not_measured_are_said_to_be_so(page: ModuleType) -> None:
    jobs, parallel = (
        next(command for command in page.COMMANDS if command.name == name)
        for name in ("jobs", "data-parallel")
    )
    figures = [page.Figure(jobs, 1.5, "a against b"), page.Figure(parallel, None, "why")]
    memories = [page.Memory("digit", 3e8), page.Memory("r5-base", 1.2e9)]
    written = page.text(page.Results({}, [], figures, memories), 5, 3, 0.1)
    assert "| 1.30x | 1.70x | 1.50x | yes |" in written
    assert "| 1.70x | 1.90x | not measured | - |" in written
    assert f"{parallel.title}: why." in written
    slow = page.Figure(jobs, 1.8, counts=False)
    written_slow = page.text(page.Results({}, [], [slow], []), 5, 3, 0.1)
    assert "| 1.80x, but the plain loop is too slow to count | - |" in written_slow
    assert "not all under 1 GB" in written
    assert "| r5-base | 1,200 |" in written
    assert page.processor()


def test_an_accelerator_is_told_of_without_targets(page: ModuleType) -> None:
    both = [rate(page, [6000.0, 8000.0], [700.0]), rate(page, [], [700.0])]
    written = page.accelerated(both, "A GPU", 5, 0.1)
    assert written.startswith("# Speed on A GPU\n")
    rows = [line for line in written.splitlines() if line.startswith("| PyTorch-GAN dcgan")]
    assert "| 700 | 7,000 (6,000 to 8,000) | 10.00x | 2 threads, fp32 |" in rows[0]
    assert "| 700 | - | - |  |" in rows[1]


def test_every_work_has_a_recipe(page: ModuleType) -> None:
    assert {work.recipe for work in page.WORKS} <= set(recipes.names())
    names = [row.name for row in (*page.WORKS, *page.COMMANDS)]
    assert len(set(names)) == len(names)


def test_windows_under_foreign_load_are_dropped_and_made_up_for(
    windows: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = iter([0.0, 0.5, 0.05, 0.0, 9.0, 9.0, 9.0])

    class Load:
        def cores(self) -> float:
            return next(loads)

    monkeypatch.setattr(windows, "ForeignLoad", Load)
    order = iter(range(100))
    found = windows.in_turn({"a": lambda: next(order), "b": lambda: next(order)}, 2, 0.1)
    # a, b (dropped), a, b; then b alone, dropped until it was tried twice as often.
    assert found == {"a": [0, 2], "b": [3]}


def test_foreign_load_is_that_of_others_and_not_ones_own(windows: ModuleType) -> None:
    if not windows.can_watch():
        pytest.skip("the system does not say what its cores do")
    load = windows.ForeignLoad()
    began = time.perf_counter()
    before, busy = windows._own_seconds(), windows._busy_seconds()
    windows.run([sys.executable, "-c", "sum(range(10**7))"])
    spent = windows._own_seconds() - before
    assert 0.01 < spent < 60
    assert windows._busy_seconds() - busy > 0.5 * spent
    cores = len(windows.usable_cores())
    assert 0 <= load.cores() <= cores + 0.5
    assert time.perf_counter() - began < 60


def test_a_spread_tells_its_median_and_its_ends(windows: ModuleType) -> None:
    assert windows.Spread.of([]) is None
    assert windows.Spread.of([3.0, 1.0, 2000.0]).text() == "3 (1 to 2,000)"
    assert windows.Spread.of([2.0, 2.0]).text(".1f") == "2.0"
