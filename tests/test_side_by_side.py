"""bench/side_by_side.py: nothing is measured of a run that was stopped before its end."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import ModuleType

import pytest
from tiny import OfBench, TinyConfig

from gancli.config import RunConfig
from gancli.observing import Observer
from gancli.placement import Outcome, Placement


@pytest.fixture
def bench(of_bench: OfBench) -> ModuleType:
    return of_bench("side_by_side")


def test_a_run_is_trained_afresh_and_found_by_its_config(
    bench: ModuleType, tiny_config: TinyConfig
) -> None:
    run = Path("run")
    for _ in range(2):
        directory, seconds = bench.train_afresh(tiny_config(), run)
        assert directory.read_status()["step"] == 12
        assert 0 < seconds < 60
        assert bench.found(run, tiny_config()) is None
        bench.keep(run, {"seconds": 1.5})
        assert bench.found(run, tiny_config()) == {"seconds": 1.5}
        assert bench.found(run, tiny_config({"training.seed": 1})) is None


def test_a_run_that_was_stopped_is_not_measured(
    bench: ModuleType, tiny_config: TinyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = bench.train

    def stopped(config: RunConfig, placement: Placement, observer: Observer) -> Outcome:
        outcome: Outcome = whole(config, dataclasses.replace(placement, max_seconds=0), observer)
        return outcome

    monkeypatch.setattr(bench, "train", stopped)
    with pytest.raises(SystemExit, match=r"run: paused at step 1$"):
        bench.train_afresh(tiny_config(), Path("run"))
