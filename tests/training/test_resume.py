"""A run ends bit for bit alike, however often it is stopped on the way."""

from __future__ import annotations

import dataclasses
import errno
import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import TinyConfig, TrainRun
from torch import Tensor

from gancli import checkpoints, recording, sampling, session
from gancli.config import RunConfig
from gancli.errors import (
    CheckpointError,
    ConfigError,
    ConflictError,
    StorageError,
    TrainingError,
)
from gancli.observing import Observer
from gancli.pictures.frames import list_frames, read_frame
from gancli.pictures.grid import make_grid
from gancli.runs import RunDirectory, Status
from gancli.training import loop
from gancli.training import step as step_module
from gancli.training.state import TrainState
from gancli.training.step import train_step

SGD = {"generator_optimizer.name": "sgd", "discriminator_optimizer.name": "sgd"}
WITH_DROPOUT = {
    "generator.layers": ["dense 64", "dropout 0.2", "reshape 1 8 8", "conv 1 3", "tanh"],
    "discriminator.layers": ["conv 4 3", "dropout 0.4", "flatten", "dense 1"],
}
WITH_BATCH_NORM = {
    "generator.layers": ["dense 4 8 8", "batch_norm", "relu", "conv 1 3", "tanh"],
    "discriminator.layers": ["flatten", "dense 8", "batch_norm", "leaky_relu 0.2", "dense 1"],
}
VARIANTS: dict[str, dict[str, Any]] = {
    "adam": {},
    "sgd": SGD,
    "one class": {"data.digit": 1, "training.batch_size": 4},
    "unconditional": {"data.conditional": False, "generator.ema_half_life": 0.0},
    "dropout": WITH_DROPOUT,
    "dense, without autograd": {
        "data.conditional": False,
        "generator.layers": ["dense 9", "dropout 0.2", "relu", "dense 64", "tanh"],
        "discriminator.layers": ["flatten", "dense 9", "dropout 0.4", "relu", "dense 1"],
    },
    "batch norm": WITH_BATCH_NORM,
    "batch norm and sgd": {**WITH_BATCH_NORM, **SGD},
    "r1 and r2": {
        "loss.name": "relativistic",
        "loss.r1": 1.0,
        "loss.r2": 0.5,
        "loss.penalty_final": 0.1,
        "generator_optimizer.lr_final": 1e-4,
    },
    "gradient penalty": {
        "loss.name": "wasserstein",
        "loss.gradient_penalty": 10.0,
        "training.d_steps": 2,
        "training.batch_size": 5,
        "training.reuse_fakes": False,
        "latent.law": "uniform",
    },
    "label smoothing and instance noise": {
        "loss.real_labels": [0.7, 1.2],
        "loss.fake_labels": [0.0, 0.3],
        "discriminator.input_noise": 0.3,
        "discriminator.shift": 0.2,
    },
    "elastic images": {"data.elastic": 0.1, "training.d_steps": 2},
    "unrolled": {"training.unrolled_steps": 2},
    "numbers of 16 bits": {"training.precision": "bf16", "loss.r1": 1.0},
    "a larger batch for G": {"training.generator_batch_size": 20, "data.conditional": False},
    **{
        rule: {
            "generator_optimizer.name": rule,
            "discriminator_optimizer.name": rule,
            "discriminator_optimizer.weight_decay": 0.01,
        }
        for rule in ("momentum", "nesterov", "adagrad", "adadelta", "rmsprop")
    },
    "short epochs": {
        "training.images_per_epoch": 20,
        "record.frame_every": 0.5,
        "record.log_every": 3.0,
        "record.keep_every": "auto",
        "training.steps": 13,
    },
}


class StopAfter(Observer):
    """Ends a session after some steps, by a signal or as a crash would."""

    def __init__(self, steps: int, *, crash: bool = False) -> None:
        self.steps, self.crash = steps, crash
        self.warnings: list[str] = []

    def stepped(self, step: int) -> None:
        self.steps -= 1
        if self.steps == 0:
            if self.crash:
                raise KeyboardInterrupt
            signal.raise_signal(signal.SIGTERM)

    def warned(self, message: str) -> None:
        self.warnings.append(message)


def content(run: RunDirectory) -> dict[str, bytes]:
    """Return what a run has to end with: every file but those that tell of clocks and sessions."""
    files = [path for path in run.path.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(run.path)): path.read_bytes()
        for path in files
        if path not in (run.status_path, run.path / ".lock")
        and not (path.name.startswith("state-") and int(path.name[6:15]) != newest_step(run))
    }


def newest_step(run: RunDirectory) -> int:
    return checkpoints.step_of(checkpoints.states(run.path)[0])


@pytest.mark.parametrize("variant", VARIANTS)
def test_stopping_after_every_step_changes_nothing(
    tiny_config: TinyConfig, train_run: TrainRun, variant: str
) -> None:
    wanted = tiny_config(VARIANTS[variant])
    whole = train_run(wanted, Path("whole/run"))
    assert whole.status is Status.FINISHED
    for step in range(1, whole.total_steps):
        outcome = train_run(wanted, Path("parts/run"), observer=StopAfter(1))
        assert (outcome.step, outcome.status) == (step, Status.INTERRUPTED)
        assert outcome.signal_number == signal.SIGTERM
        torch.rand(step)  # what else goes on in the process has no say
    last = train_run(wanted, Path("parts/run"))
    assert last.status is Status.FINISHED
    expected = content(whole.run)
    assert {"config.toml", "log.jsonl", "frames/epoch-00000.png"} < set(expected)
    assert content(last.run) == expected


@pytest.mark.parametrize("k", range(1, 12))
def test_k_and_the_rest_is_the_whole(
    tiny_config: TinyConfig, train_run: TrainRun, k: int, tiny_run: RunDirectory
) -> None:
    train_run(tiny_config(), Path("parts/tiny"), observer=StopAfter(k))
    assert newest_step(RunDirectory(Path("parts/tiny"))) == k
    assert content(train_run(tiny_config(), Path("parts/tiny")).run) == content(tiny_run)


@pytest.mark.parametrize("k", [1, 2, 7, 12])
@pytest.mark.parametrize("every_seconds", [0.0, 86400.0])
def test_a_crash_loses_no_more_than_what_was_not_saved(
    tiny_config: TinyConfig, train_run: TrainRun, k: int, every_seconds: float
) -> None:
    wanted = tiny_config({"record.checkpoint_every_seconds": every_seconds})
    whole = train_run(wanted, Path("whole/run")).run
    run = RunDirectory(Path("parts/run"))
    with pytest.raises(KeyboardInterrupt):
        train_run(wanted, run.path, observer=StopAfter(k, crash=True))
    assert run.status() is Status.INTERRUPTED
    saved = k - 1 if every_seconds == 0 else 0
    assert len(checkpoints.states(run.path)) == min(saved, 2)
    assert saved == 0 or newest_step(run) == saved
    train_run(wanted, run.path)
    assert content(run) == content(whole)


def test_seeds_and_configs_make_runs_of_their_own(
    tiny_config: TinyConfig, train_run: TrainRun, tiny_run: RunDirectory
) -> None:
    again = train_run(tiny_config(), Path("a/tiny")).run
    other = train_run(tiny_config({"training.seed": 1}), Path("b/tiny")).run
    assert content(again) == content(tiny_run)
    assert other.log_path.read_bytes() != tiny_run.log_path.read_bytes()
    assert (other.frames / "epoch-00002.png").read_bytes() != (
        tiny_run.frames / "epoch-00002.png"
    ).read_bytes()


def test_only_the_last_two_states_are_kept(tiny_config: TinyConfig, train_run: TrainRun) -> None:
    run = train_run(tiny_config({"record.checkpoint_every_seconds": 0}), Path("run")).run
    assert [checkpoints.step_of(path) for path in checkpoints.states(run.path)] == [12, 11]
    assert [checkpoints.step_of(path) for path in checkpoints.snapshots(run.path)] == [0, 6, 12]
    assert len(list(run.path.glob("state-*"))) == 4
    assert sorted(path.name for path in run.frames.iterdir()) == [
        f"epoch-0000{epoch}.png" for epoch in range(3)
    ]


def test_the_log_tells_every_interval_once(tiny_run: RunDirectory) -> None:
    log = tiny_run.read_log()
    assert [record["step"] for record in log] == [3, 6, 9, 12]
    assert [record["epoch"] for record in log] == [0.5, 1, 1.5, 2]
    assert [record["images"] for record in log] == [24, 48, 72, 96]
    for record in log:
        assert 0 <= record["d_accuracy_real"] <= 1
        assert 0 <= record["d_accuracy_fake"] <= 1
        assert record["d_gradient_norm"] > 0
        assert record["g_gradient_norm"] > 0
        assert record["g_output_gradient_norm"] > 0
        assert 0 < record["diversity_real"] < 16 > record["diversity_fake"] > 0
        assert 0 <= record["saturation_real"] <= 1
        assert 0 <= record["saturation_fake"] <= 1
        assert record["average_distance"] > 0


def test_schedules_keep_their_full_length(
    tiny_config: TinyConfig, train_run: TrainRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress: list[float] = []

    def noting(*arguments: Any, look: bool) -> torch.Tensor:
        progress.append(arguments[-1])
        return train_step(*arguments, look=look)

    monkeypatch.setattr(loop, "train_step", noting)
    train_run(tiny_config(), Path("run"), observer=StopAfter(5))
    train_run(tiny_config(), Path("run"))
    assert progress == [step / 12 for step in range(12)]


# What a rerun does.


@pytest.fixture
def paused(tiny_config: TinyConfig, train_run: TrainRun) -> tuple[RunConfig, RunDirectory]:
    """A run stopped after 7 of 12 steps, with states 6 and 7."""
    wanted = tiny_config({"record.checkpoint_every_seconds": 0})
    return wanted, train_run(wanted, Path("run"), observer=StopAfter(7)).run


def flip_a_bit(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[-1] ^= 1
    path.write_bytes(whole)


def test_where_no_state_is_whole_what_was_kept_is_named(
    paused: tuple[RunConfig, RunDirectory],
) -> None:
    _, run = paused
    for state in checkpoints.states(run.path):
        flip_a_bit(state)
    *_, kept = checkpoints.snapshots(run.path)
    with pytest.raises(CheckpointError, match=f"is corrupt: .*; take {kept}, which was kept"):
        sampling.load(run.path)
    assert sampling.load(kept).step == 6  # by its name, as it was told
    shutil.rmtree(run.path / "snapshots")
    with pytest.raises(CheckpointError, match=r"is corrupt: .*; train it further: gancli train"):
        sampling.load(run.path)


def test_a_damaged_state_falls_back_to_the_one_before(
    paused: tuple[RunConfig, RunDirectory], train_run: TrainRun
) -> None:
    wanted, run = paused
    expected = content(train_run(wanted, Path("whole/run")).run)
    flip_a_bit(checkpoints.states(run.path)[0])
    watching = StopAfter(0)
    outcome = train_run(wanted, run.path, observer=watching)
    assert len(watching.warnings) == 1
    assert "state-000000007.safetensors is corrupt" in watching.warnings[0]
    assert "falling back to the checkpoint before it" in watching.warnings[0]
    assert run.read_status()["sessions"][-1]["first_step"] == 6
    assert content(outcome.run) == expected


def test_a_damaged_state_does_not_outlive_the_fallback(
    tiny_config: TinyConfig, train_run: TrainRun
) -> None:
    run = RunDirectory(Path("run"))
    for steps in (4, 3):
        train_run(tiny_config(), run.path, observer=StopAfter(steps))
    flip_a_bit(checkpoints.states(run.path)[0])
    train_run(tiny_config(), run.path, observer=StopAfter(1))
    assert [checkpoints.step_of(path) for path in checkpoints.states(run.path)] == [5, 4]
    assert sampling.load(run.path).step == 5


def test_a_state_that_cannot_be_read_now_is_not_given_up(
    paused: tuple[RunConfig, RunDirectory], train_run: TrainRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, run = paused
    before = content(run)
    newest, read = checkpoints.states(run.path)[0], Path.read_bytes

    def stale(path: Path) -> bytes:
        if path == newest:
            raise OSError(errno.ESTALE, "Stale file handle")
        return read(path)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", stale)
        with pytest.raises(CheckpointError, match="Stale file handle"):
            train_run(wanted, run.path)
    assert content(run) == before


def test_what_a_kept_config_leaves_open_is_settled_by_the_data(
    paused: tuple[RunConfig, RunDirectory], train_run: TrainRun
) -> None:
    wanted, run = paused
    kept = run.config_path.read_text()
    for key in ("shift", "elastic"):
        assert f"{key} = 0.0" in kept
        kept = kept.replace(f"{key} = 0.0", f'{key} = "auto"')
    run.config_path.write_text(kept)
    assert train_run(wanted, run.path).status is Status.FINISHED
    found = run.read_config()
    assert (found.discriminator.shift, found.data.elastic) == (0.0, 0.0)  # shown twice


def test_a_run_that_another_process_began_meanwhile_keeps_its_way(
    tiny_config: TinyConfig, train_run: TrainRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = tiny_config({"training.threads": "auto"})
    prepared = session.prepare

    def slowly(*of: Any) -> Any:
        found = prepared(*of)
        monkeypatch.setattr(session, "prepare", prepared)
        monkeypatch.setattr(session, "with_way", lambda config, *_: way(config, 3))
        train_run(wanted, Path("run"), observer=StopAfter(5))
        monkeypatch.setattr(session, "with_way", lambda config, *_: way(config, 4))
        return found

    def way(config: RunConfig, threads: int) -> RunConfig:
        if config.training.threads != "auto":
            return config
        training = dataclasses.replace(config.training, threads=threads)
        return dataclasses.replace(config, training=training)

    monkeypatch.setattr(session, "prepare", slowly)
    outcome = train_run(wanted, Path("run"))
    assert outcome.status is Status.FINISHED
    assert outcome.run.read_status()["sessions"][-1]["first_step"] == 5
    assert outcome.run.read_config().training.threads == 3


def test_memory_that_ends_in_training_is_told_in_the_run(
    tiny_config: TinyConfig, train_run: TrainRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def greedy(*_: Any, **__: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")

    run = train_run(tiny_config(), Path("run"), observer=StopAfter(3)).run
    with monkeypatch.context() as patched:
        patched.setattr(loop, "train_step", greedy)
        with pytest.raises(StorageError, match=r"out of memory; lower training\.batch_size"):
            train_run(tiny_config(), run.path)
    assert run.status() is Status.INTERRUPTED
    assert "out of memory" in run.read_status()["error"]
    assert train_run(tiny_config(), run.path).status is Status.FINISHED
    assert "error" not in run.read_status()


def test_without_a_whole_state_nothing_is_lost_or_trained(
    paused: tuple[RunConfig, RunDirectory], train_run: TrainRun
) -> None:
    wanted, run = paused
    for path in checkpoints.states(run.path):
        flip_a_bit(path)
    before = content(run)
    with pytest.raises(CheckpointError, match=r"no checkpoint of run is whole .*--force"):
        train_run(wanted, run.path)
    assert content(run) == before
    assert train_run(wanted, run.path, force=True).status is Status.FINISHED


def test_force_starts_afresh_and_spares_what_gancli_did_not_make(
    paused: tuple[RunConfig, RunDirectory], train_run: TrainRun, tiny_config: TinyConfig
) -> None:
    _, run = paused
    run.samples.mkdir()
    (run.samples / "mine.txt").write_text("mine")
    other = tiny_config({"training.seed": 3, "training.steps": 2})
    train_run(other, run.path, force=True)
    assert (run.samples / "mine.txt").read_text() == "mine"
    assert newest_step(run) == 2
    assert run.read_config().training.seed == 3
    (run.samples / "mine.txt").unlink()
    assert content(run) == content(train_run(other, Path("fresh/run")).run)


def test_a_config_that_was_changed_by_hand_is_not_gone_on_with(
    paused: tuple[RunConfig, RunDirectory], train_run: TrainRun, tiny_config: TinyConfig
) -> None:
    _, run = paused
    changed = tiny_config({"record.checkpoint_every_seconds": 0, "training.batch_size": 4})
    run.config_path.write_text(changed.to_toml())
    before = {path: path.read_bytes() for path in checkpoints.states(run.path)}
    words = r"was changed after state-000000007.safetensors was written: training.batch_size was 8"
    with pytest.raises(ConflictError, match=words):
        train_run(changed, run.path)
    assert {path: path.read_bytes() for path in checkpoints.states(run.path)} == before
    assert train_run(changed, run.path, force=True).step == 12


def test_what_does_not_fit_into_memory_leaves_the_run_it_was_to_replace(
    paused: tuple[RunConfig, RunDirectory], train_run: TrainRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, run = paused
    before = content(run)

    def no_room(*_: Any) -> TrainState:
        raise MemoryError

    monkeypatch.setattr(session, "create", no_room)
    with pytest.raises(StorageError, match=r"lower training.batch_size"):
        train_run(wanted, run.path, force=True)
    assert content(run) == before


def test_a_folder_elsewhere_is_spared_by_force(
    paused: tuple[RunConfig, RunDirectory], train_run: TrainRun
) -> None:
    wanted, run = paused
    elsewhere = Path(shutil.move(run.frames, "elsewhere"))
    kept = sorted(path.name for path in elsewhere.iterdir())
    run.frames.symlink_to(elsewhere.resolve())
    train_run(wanted, run.path, force=True)
    assert sorted(path.name for path in elsewhere.iterdir()) == kept
    assert not run.frames.is_symlink()
    assert len(list_frames(run.frames)) > len(kept)


def test_a_finished_run_stays_as_it_is(
    tiny_config: TinyConfig, train_run: TrainRun, tiny_run: RunDirectory
) -> None:
    run = RunDirectory(Path(shutil.copytree(tiny_run.path, "tiny")))
    before = content(run)
    outcome = train_run(tiny_config(), run.path)
    assert (outcome.status, outcome.step) == (Status.FINISHED, 12)
    assert content(run) == before
    assert len(run.read_status()["sessions"]) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"training.batch_size": 4}, "training.batch_size is 8 there and 4 here"),
        ({"latent.size": 5}, "latent.size is 4 there and 5 here"),
        (
            {"training.seed": 1, "loss.name": "hinge"},
            'loss.name is "non-saturating" there and "hinge" here; training.seed is 0 there',
        ),
    ],
)
def test_another_config_is_refused_and_its_keys_are_listed(
    tiny_config: TinyConfig,
    train_run: TrainRun,
    tiny_run: RunDirectory,
    changes: dict[str, Any],
    words: str,
) -> None:
    before = content(tiny_run)
    with pytest.raises(ConflictError) as caught:
        train_run(tiny_config(changes), tiny_run.path)
    assert words in str(caught.value)
    assert "--name" in str(caught.value)
    assert "--force" in str(caught.value)
    assert content(tiny_run) == before


def test_other_data_are_refused(
    tiny_config: TinyConfig, train_run: TrainRun, tiny_data: Path
) -> None:
    folder = Path(shutil.copytree(tiny_data.parent, "data")).resolve()
    wanted = tiny_config({"data.source": str(folder / tiny_data.name)})
    train_run(wanted, Path("run"), observer=StopAfter(3))
    flip_a_bit(folder / tiny_data.name)
    with pytest.raises(ConflictError, match=r"other data than .* holds now"):
        train_run(wanted, Path("run"))
    flip_a_bit(folder / tiny_data.name)
    assert train_run(wanted, Path("run")).status is Status.FINISHED


def test_what_was_decided_at_the_start_stays(tiny_config: TinyConfig, train_run: TrainRun) -> None:
    wanted = tiny_config({"training.threads": "auto"})
    train_run(wanted, Path("run"), observer=StopAfter(3), threads_if_auto=1)
    train_run(wanted, Path("run"), threads_if_auto=7)
    kept = RunDirectory(Path("run")).read_config()
    assert (kept.training.threads, torch.get_num_threads()) == (1, 1)
    assert (kept.data.conditional, kept.data.classes, kept.record.frame_columns) == (True, 3, 3)


def test_a_time_limit_pauses(tiny_config: TinyConfig, train_run: TrainRun) -> None:
    outcome = train_run(tiny_config(), Path("run"), max_seconds=0.0)
    assert (outcome.status, outcome.step, outcome.signal_number) == (Status.PAUSED, 1, None)
    assert outcome.run.status() is Status.PAUSED
    assert newest_step(outcome.run) == 1


def test_run_json_tells_of_every_session(tiny_config: TinyConfig, train_run: TrainRun) -> None:
    run = RunDirectory(Path("run"))
    for _ in range(2):
        train_run(tiny_config(), run.path, observer=StopAfter(5))
    train_run(tiny_config(), run.path, command=["gancli", "train"])
    status = run.read_status()
    sessions = [(entry["first_step"], entry["last_step"]) for entry in status["sessions"]]
    assert sessions == [(0, 5), (5, 10), (10, 12)]
    assert all(entry["step_seconds"] <= entry["seconds"] for entry in status["sessions"])
    assert (status["status"], status["step"], status["total_steps"]) == ("finished", 12, 12)
    assert (status["command"], status["data"]["images"]) == (["gancli", "train"], 48)
    assert status["versions"]["torch"] == torch.__version__
    assert "gpu" not in status["versions"]


def test_a_run_names_its_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")
    assert recording.versions(torch.device("cuda", 1))["gpu"] == "GPU 1"


@pytest.mark.parametrize(
    ("key", "value"), [("data", 5), ("sessions", "x"), ("versions", []), ("step", "1")]
)
def test_a_damaged_run_json_is_named_before_anything_is_trained(
    paused: tuple[RunConfig, RunDirectory], train_run: TrainRun, key: str, value: Any
) -> None:
    wanted, run = paused
    run.write_status({**run.read_status(), key: value})
    before = content(run)
    with pytest.raises(CheckpointError, match=rf"run\.json is damaged: '{key}' is not a "):
        train_run(wanted, run.path)
    assert content(run) == before


def test_leftovers_of_a_killed_process_go(
    paused: tuple[RunConfig, RunDirectory], train_run: TrainRun
) -> None:
    wanted, run = paused
    for folder in (run.path, run.frames, run.path / "snapshots"):
        (folder / ".gancli-0123456789ab.png").write_bytes(b"half")
    (run.path / "state-000000011.safetensors").write_bytes(b"half, without its checksum")
    train_run(wanted, run.path)
    assert content(run) == content(train_run(wanted, Path("whole/run")).run)
    assert not (run.path / ".holder.json").exists()


DIVERGING = {
    **SGD,
    "loss.name": "least-squares",
    "discriminator_optimizer.lr": 30.0,
    "training.steps": 500,
}


def test_a_loss_that_is_no_number_fails_the_run_and_keeps_the_last_good_state(
    tiny_config: TinyConfig, train_run: TrainRun
) -> None:
    run = RunDirectory(Path("run"))
    with pytest.raises(TrainingError, match="training diverged") as caught:
        train_run(tiny_config({**DIVERGING, "record.checkpoint_every_seconds": 0}), run.path)
    status = run.read_status()
    assert (run.status(), status["error"]) == (Status.FAILED, str(caught.value))
    newest = checkpoints.load(checkpoints.states(run.path)[0])
    assert newest.step == status["step"] < 500
    checkpoints.check_finite(newest.tensors, newest.path)
    assert all(json.dumps(record, allow_nan=False) for record in run.read_log())


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "weights or figures are no longer finite"), (1000, "d_gradient_norm since the line")],
)
def test_where_the_host_does_not_wait_for_losses_it_learns_at_a_save_or_log_line(
    tiny_config: TinyConfig,
    train_run: TrainRun,
    seconds: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(step_module, "_is_looked_at", lambda device: False)
    run = RunDirectory(Path("run"))
    with pytest.raises(TrainingError, match=f"{words}.*training diverged"):
        train_run(tiny_config({**DIVERGING, "record.checkpoint_every_seconds": seconds}), run.path)
    assert run.status() is Status.FAILED
    assert 0 < run.read_status()["step"] <= 500
    for path in checkpoints.states(run.path):
        checkpoints.check_finite(checkpoints.load(path).tensors, path)
    assert all(json.dumps(record, allow_nan=False) for record in run.read_log())


@pytest.mark.parametrize("due", ["keep_every", "score_every"])
def test_nothing_is_kept_of_a_network_that_is_no_longer_finite(
    tiny_config: TinyConfig, train_run: TrainRun, due: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A skipped step on an accelerator leaves what a batch norm has seen, which may be nan."""

    def step(state: TrainState, *arguments: Any, **options: Any) -> Tensor:
        if state.step == 3:
            next(state.generator.buffers()).fill_(torch.nan)
        return train_step(state, *arguments, **options)

    monkeypatch.setattr(loop, "train_step", step)
    every = {"record.keep_every": 100, "record.log_every": 100, f"record.{due}": 0.5}
    with pytest.raises(TrainingError, match="no longer finite at step"):
        train_run(tiny_config({**WITH_BATCH_NORM, **every}), Path("run"))
    kept = [*checkpoints.snapshots(Path("run")), *Path("run").rglob("best*.safetensors")]
    assert kept
    for path in kept:
        checkpoints.check_finite(checkpoints.load(path).tensors, path)


def test_a_batch_of_one_and_batch_norm_do_not_go_together(
    tiny_config: TinyConfig, train_run: TrainRun
) -> None:
    wanted = tiny_config({**WITH_BATCH_NORM, "training.batch_size": 1})
    with pytest.raises(ConfigError, match="batch_norm"):
        train_run(wanted, Path("run"))
    assert not Path("run").exists()


def test_every_frame_shows_the_same_seeds(tiny_run: RunDirectory) -> None:
    kept = checkpoints.snapshots(tiny_run.path)
    frames = list_frames(tiny_run.frames)
    assert [frame.epoch for frame in frames] == [0, 1, 2]
    for frame, snapshot in zip(frames, kept, strict=True):
        images = sampling.load(snapshot).sample(range(6))
        assert read_frame(frame.path).tobytes() == make_grid(images.numpy(), 3).tobytes()


def test_what_refuses_a_fresh_start_leaves_the_run_that_is_there(
    tiny_config: TinyConfig, train_run: TrainRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train_run(tiny_config(), tmp_path / "run").run
    before = content(run)

    def too_large(*_: Any) -> RunConfig:
        raise StorageError("memory ran out")

    monkeypatch.setattr(session, "with_way", too_large)
    with pytest.raises(StorageError):
        train_run(tiny_config({"training.batch_size": 10}), run.path, force=True)
    assert content(run) == before
    assert run.status() is Status.FINISHED


def test_a_run_tells_its_last_checkpoints_step_while_it_trains(
    tiny_config: TinyConfig, train_run: TrainRun
) -> None:
    run = RunDirectory(Path("run"))
    told: list[tuple[int, str]] = []

    class Reader(Observer):
        def stepped(self, step: int) -> None:
            status = run.read_status()
            told.append((status["step"], status["status"]))

    train_run(tiny_config({"record.checkpoint_every_seconds": 0.0}), run.path, observer=Reader())
    assert told == [(step, "training") for step in range(12)]


@pytest.mark.parametrize("reached", ["with_way", "Recorder"])
def test_a_fresh_start_that_is_cut_off_early_can_be_made_again(
    tiny_config: TinyConfig,
    train_run: TrainRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    reached: str,
) -> None:
    run = train_run(tiny_config(), tmp_path / "run").run
    log = run.log_path.read_bytes()
    (run.path / "samples").mkdir()
    (run.path / "samples" / "mine.png").write_text("")

    def cut_off(*_: Any) -> RunConfig:
        raise KeyboardInterrupt

    for again in ({"force": True}, {}):
        with monkeypatch.context() as patch:
            patch.setattr(session, reached, cut_off)
            with pytest.raises(KeyboardInterrupt):
                train_run(tiny_config(), run.path, force=True)
        assert train_run(tiny_config(), run.path, **again).status is Status.FINISHED
        assert run.log_path.read_bytes() == log
