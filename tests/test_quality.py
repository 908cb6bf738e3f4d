"""Quick scores while a run trains: what they cost, what they keep, and when they end it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import TinyConfig, TrainRun

from gancli import api, checkpoints, quality, sampling, scoring
from gancli.data import load_for
from gancli.errors import CheckpointError, ConfigError
from gancli.metrics.tracking import Tracker
from gancli.quality import QualityLog
from gancli.runs import RunDirectory, Status

EVERY_EPOCH = {"record.score_every": 1.0}
PATIENT = {**EVERY_EPOCH, "record.patience": 3, "training.steps": 48}
Scripted = list[float]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    """Scores to be given in turn, in place of measured ones; the last stays."""
    scores: Scripted = []

    def of(*_: Any) -> Tracker:
        return Tracker("scripted", 4, lambda _: scores.pop(0) if len(scores) > 1 else scores[0])

    monkeypatch.setattr(quality.Tracker, "of", of)
    return scores


def steps_of(run: RunDirectory) -> list[int]:
    return [record["step"] for record in run.read_quality()]


def test_scores_move_nothing_else(
    tiny_config: TinyConfig, train_run: TrainRun, tmp_path: Path
) -> None:
    with_scores = train_run(tiny_config(EVERY_EPOCH), tmp_path / "with").run
    without = train_run(tiny_config(), tmp_path / "without").run
    states = [checkpoints.load(checkpoints.states(run.path)[0]) for run in (with_scores, without)]
    assert states[0].tensors.keys() == states[1].tensors.keys()
    for name, tensor in states[0].tensors.items():
        assert torch.equal(tensor, states[1].tensors[name])
    assert with_scores.log_path.read_bytes() == without.log_path.read_bytes()
    assert steps_of(with_scores)[0] == 6
    assert not without.quality_path.exists()


def test_a_score_is_the_trackers_of_the_generator_then(
    tiny_config: TinyConfig, train_run: TrainRun, tmp_path: Path
) -> None:
    wanted = tiny_config({**EVERY_EPOCH, "data.holdout": 12})
    run = train_run(wanted, tmp_path / "run").run
    record = run.read_quality()[0]
    trained = sampling.load(run.path / "snapshots" / "generator-000000004.safetensors")
    splits = load_for(wanted.data)
    assert splits.holdout is not None
    tracker = Tracker.of(splits.holdout, None)
    assert record["epoch"] == trained.epoch
    # Each class as often as it is learned, as evaluate draws them: not in turn.
    images, _ = scoring.draw_of(trained, splits)(range(tracker.samples))
    assert record["score"] == tracker.distance(images)


def test_the_best_weights_are_those_with_the_lowest_score(
    tiny_config: TinyConfig, train_run: TrainRun, tmp_path: Path, scripted: Scripted
) -> None:
    scripted += [5.0, 2.0, 3.0, 2.0]
    wanted = tiny_config({**PATIENT, "record.patience": 9, "training.steps": 24})
    run = train_run(wanted, tmp_path / "run").run
    best = sampling.load(run.path, weights="best")
    kept = sampling.load(run.path / "snapshots" / "generator-000000012.safetensors")
    assert steps_of(run) == [6, 12, 18, 24]
    assert (best.step, best.epoch) == (12, 2.0)
    assert torch.equal(best.sample(range(3)), kept.sample(range(3)))
    assert not torch.equal(best.sample(range(3)), sampling.load(run.path).sample(range(3)))
    drawn = api.sample(run.path, n=2, weights="best")
    assert drawn.step == 12


def test_training_ends_when_nothing_better_comes(
    tiny_config: TinyConfig, train_run: TrainRun, tmp_path: Path, scripted: Scripted
) -> None:
    scripted += [5.0, 4.0, 4.5, 4.0, 7.0]
    outcome = train_run(tiny_config(PATIENT), tmp_path / "run")
    assert (outcome.status, outcome.step, outcome.total_steps) == (Status.FINISHED, 30, 48)
    assert sampling.load(outcome.run.path).step == 30
    again = train_run(tiny_config(PATIENT), tmp_path / "run")
    assert (again.status, again.step) == (Status.FINISHED, 30)


def test_a_run_cut_off_on_the_way_scores_each_step_once_and_ends_alike(
    tiny_config: TinyConfig, train_run: TrainRun, tmp_path: Path
) -> None:
    wanted = tiny_config({**PATIENT, "record.patience": 100})
    whole = train_run(wanted, tmp_path / "whole").run
    pieces = RunDirectory(tmp_path / "pieces")
    for _ in range(100):
        if train_run(wanted, pieces.path, max_seconds=1e-9).status is Status.FINISHED:
            break
    with open(pieces.quality_path, "ab") as file:
        file.write(b'{"step": 1')  # as a crash leaves it
    train_run(wanted, pieces.path)
    assert pieces.read_quality() == whole.read_quality()
    assert steps_of(whole) == list(range(6, 49, 6))
    best = [checkpoints.load(checkpoints.best_path(run.path)).step for run in (whole, pieces)]
    scores = {record["step"]: record["score"] for record in whole.read_quality()}
    assert best == [min(scores, key=lambda step: scores[step])] * 2


def test_scores_stay_within_a_twentieth_of_the_time(
    tiny_run: RunDirectory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scripted: Scripted
) -> None:
    scripted += [1.0]
    clock = [0.0]
    monkeypatch.setattr(quality.time, "perf_counter", lambda: clock[0])
    trained = sampling.load(tiny_run.path)
    run = RunDirectory(tmp_path)

    def tracker_of(*_: Any) -> Tracker:
        def distance(_: torch.Tensor) -> float:
            clock[0] += 1.0  # a score takes a second
            return 1.0

        return Tracker("slow", 4, distance)

    monkeypatch.setattr(quality.Tracker, "of", tracker_of)
    log = QualityLog(run, trained.config, load_for(trained.config.data))
    taken = [
        step
        for step in range(1, 101)
        if log.score(dataclasses.replace(trained, step=step), step_seconds=float(step))
    ]
    assert taken == [1, 40, 60, 80, 100]
    # Weights that were never scored could be the best.
    end = dataclasses.replace(trained, step=101)
    assert log.score(end, step_seconds=101.0) is None
    assert log.score(end, step_seconds=101.0, last=True) == log.records[-1]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"record.patience": 2}, "record.score_every"),
        ({"record.score_every": 0.0}, "record.score_every"),
        ({**EVERY_EPOCH, "record.patience": 0}, "record.patience"),
    ],
)
def test_nonsense_is_refused(
    tiny_config: TinyConfig, changes: dict[str, float], named: str
) -> None:
    with pytest.raises(ConfigError, match=named):
        tiny_config(changes)


def test_a_run_without_scores_has_no_best_weights(tiny_run: RunDirectory) -> None:
    with pytest.raises(CheckpointError, match="--score-every"):
        api.load(tiny_run.path, weights="best")
    with pytest.raises(ConfigError, match="did you mean 'best'"):
        api.load(tiny_run.path, weights="bets")
    with pytest.raises(ConfigError, match="is of a run"):
        api.load(checkpoints.states(tiny_run.path)[0], weights="best")


def test_force_starts_the_scores_anew(
    tiny_config: TinyConfig, train_run: TrainRun, tmp_path: Path
) -> None:
    first = train_run(tiny_config(EVERY_EPOCH), tmp_path / "run").run
    assert first.quality_path.exists()
    again = train_run(tiny_config({"training.seed": 1}), tmp_path / "run", force=True).run
    assert not again.quality_path.exists()
    assert not checkpoints.best_path(again.path).exists()


def test_the_history_scores_every_kept_generator(
    tiny_config: TinyConfig, train_run: TrainRun, tmp_path: Path
) -> None:
    run = train_run(tiny_config({"data.holdout": 12}), tmp_path / "run").run
    done: list[tuple[int, int]] = []
    course = api.history(run.path, on_progress=lambda *counts: done.append(counts))
    steps = [checkpoints.step_of(path) for path in checkpoints.snapshots(run.path)]
    written = json.loads(run.history_path.read_text())
    assert list(course.steps) == steps == written["steps"]
    assert done == [(n, len(steps)) for n in range(1, len(steps) + 1)]
    by_name = {figure["name"]: figure for figure in written["figures"]}
    assert by_name["frechet_distance_judge"]["values"] == [
        card["frechet_distance_judge"].value for card in course.cards
    ]
    for figure in written["figures"]:
        assert len(figure["values"]) == len(steps)
        assert all(low <= v <= high for low, v, high in zip(*ends(figure), strict=True))
        assert figure["real_low"] <= figure["real"] <= figure["real_high"]


def ends(figure: dict[str, Any]) -> Sequence[list[float]]:
    return figure["lows"], figure["values"], figure["highs"]


def test_a_run_that_kept_nothing_has_no_history(tiny_config: TinyConfig, tmp_path: Path) -> None:
    begun = RunDirectory(tmp_path / "begun")
    begun.path.mkdir()
    begun.config_path.write_text(tiny_config().to_toml())
    with pytest.raises(CheckpointError, match="no history yet"):
        api.history(begun.path)
