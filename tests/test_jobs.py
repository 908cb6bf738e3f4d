"""What many runs at a time take from those that have begun."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny import TinyConfig, TrainRun

from gancli import cores, idx, jobs
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


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system cannot pin")
@pytest.mark.parametrize("more_threads", [False, True])
def test_each_process_keeps_to_cores_of_its_own_where_they_are_enough(
    tiny_config: TinyConfig, monkeypatch: pytest.MonkeyPatch, more_threads: bool
) -> None:
    usable = cores.usable_cores()
    if len(usable) < 2:
        pytest.skip("there is but one core")
    workers, seen = [], {}

    class Recorded(jobs._Worker):
        def __init__(self, own: list[int]) -> None:
            super().__init__(own)
            workers.append(self)

    def listen(*_: object) -> None:
        for worker in workers:
            if worker.process.pid is not None and worker.process.is_alive():
                seen[worker.process.pid] = os.sched_getaffinity(worker.process.pid)

    monkeypatch.setattr(jobs, "_Worker", Recorded)
    threads = len(usable) if more_threads else 1
    waiting = [
        jobs.Job(
            tiny_config({"training.seed": seed, "training.threads": threads}),
            Placement(RunDirectory(Path(f"seed-{seed}")), "cpu"),
        )
        for seed in range(2)
    ]
    results = jobs.train_many(waiting, 2, listen)
    assert [result.exit_code for result in results] == [0, 0]
    expected = [set(usable)] * 2 if more_threads else list(map(set, cores.shares(2)))
    assert sorted(map(sorted, seen.values())) == sorted(map(sorted, expected))


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
