"""What many runs at a time take from those that have begun."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny import TinyConfig, TrainRun

from gancli import idx, jobs
from gancli.placement import Placement
from gancli.runs import RunDirectory


def test_a_run_goes_on_with_the_threads_that_it_began_with(
    tiny_config: TinyConfig, train_run: TrainRun, tmp_path: Path
) -> None:
    run = train_run(tiny_config({"training.threads": 2}), tmp_path / "run", max_seconds=1e-4).run
    job = jobs.Job(tiny_config({"training.threads": "auto"}), Placement(run, "cpu"))
    assert jobs._threads_of(job) == 2
    afresh = dataclasses.replace(job, placement=Placement(run, "cpu", force=True))
    assert jobs._threads_of(afresh) == "auto"
    run.config_path.write_text("damaged")  # to be told when its turn comes
    assert jobs._threads_of(job) == "auto"


def test_what_a_signal_ended_has_not_failed() -> None:
    run = RunDirectory(Path("a"))
    assert jobs.Result(run, 130, "not begun").status == "not begun"
    assert jobs.Result(run, 143, "interrupted").status == "interrupted"
    assert jobs.Result(run, 7, "no room").status == "failed"
    assert jobs.Result(run, 130, outcome={"status": "paused"}).status == "paused"


@pytest.mark.parametrize(
    ("source", "loaded", "files"),
    [
        ("mnist", {}, 4),
        ("stacked-mnist", {}, 4),
        ("ring8", {}, 0),  # needs none of them
        ("mnist", {"torch": None}, 0),  # no wait to use
    ],
)
def test_the_embedded_data_are_unpacked_while_torch_loads(
    tiny_config: TinyConfig,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    loaded: dict[str, None],
    files: int,
) -> None:
    begun: list[Path] = []
    monkeypatch.setattr(idx, "read_ahead", begun.extend)
    monkeypatch.setattr(jobs, "sys", SimpleNamespace(modules=loaded))
    channels = 3 if source == "stacked-mnist" else 1
    config = tiny_config({"data.source": source, "data.channels": channels})
    jobs._unpack_while_torch_loads(config)
    assert len(begun) == files
    assert all(path.is_file() for path in begun)
