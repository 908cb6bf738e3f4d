from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny import TinyConfig

from gancli import api, runs
from gancli.config import RunConfig
from gancli.errors import CheckpointError, ConfigError, ConflictError, StorageError
from gancli.runs import RunDirectory, Status

HOLD = """
import sys
from pathlib import Path
from gancli.runs import RunDirectory
with RunDirectory(Path("run")).hold():
    print("held", flush=True)
    sys.stdin.read()
"""
RECORD = {"epoch": 1.0, "d_loss": 0.1, "g_loss": 2.0, "d_accuracy_real": 1, "d_accuracy_fake": 0}


def test_commands_find_the_run_they_are_about(run: RunDirectory) -> None:
    assert RunDirectory(Path("checkpoints/a")).command("doctor", "a") == "gancli doctor a"
    apart = RunDirectory(Path("old runs/a"))
    assert apart.command("doctor", "a") == "gancli doctor a --runs-dir 'old runs'"
    remedies = {
        Status.PAUSED: "train it further: gancli train --resume run --runs-dir .",
        Status.FINISHED: "train it again: gancli train --resume run --force --runs-dir .",
        Status.FAILED: "see why it failed: gancli doctor run --runs-dir .",
    }
    for status, remedy in remedies.items():
        run.write_status({"status": status})
        assert run.remedy() == remedy
    run.write_status({"status": Status.TRAINING})
    assert run.remedy().startswith("train it further")  # whoever trained it is gone
    with run.hold():
        assert run.remedy() == "it is being trained now; wait a moment"


@pytest.fixture
def run(tiny_config: TinyConfig) -> RunDirectory:
    """A run that has its config and no more."""
    return begun(Path("run"), tiny_config())


def begun(path: Path, config: RunConfig) -> RunDirectory:
    path.mkdir(parents=True)
    run = RunDirectory(path)
    run.config_path.write_text(config.to_toml())
    return run


@pytest.fixture
def holder(run: RunDirectory) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the run."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


# Who may write.


def test_a_second_process_is_kept_out_and_told_by_whom(
    run: RunDirectory, holder: subprocess.Popen[str]
) -> None:
    assert run.is_held()
    with pytest.raises(ConflictError) as caught, run.hold():
        pass
    assert f"run is in use by process {holder.pid} on " in str(caught.value)
    assert "--name" in str(caught.value)
    assert run.is_held()


def test_a_killed_holder_keeps_nobody_out(run: RunDirectory, holder: subprocess.Popen[str]) -> None:
    run.write_status({"status": "training"})
    assert run.status() is Status.TRAINING
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert (run.path / ".lock").exists()
    assert (run.path / ".holder.json").exists()
    assert not run.is_held()
    assert run.status() is Status.INTERRUPTED
    with run.hold():
        assert json.loads((run.path / ".holder.json").read_text())["pid"] == os.getpid()


def test_the_same_process_cannot_enter_twice(run: RunDirectory) -> None:
    with run.hold():
        assert run.is_held()
        with pytest.raises(ConflictError, match=f"process {os.getpid()} on"), run.hold():
            pass
        assert run.is_held()
    assert not run.is_held()


def test_a_hold_ends_with_its_block_however_that_ends(run: RunDirectory) -> None:
    with pytest.raises(ZeroDivisionError), run.hold():
        raise ZeroDivisionError
    assert not run.is_held()
    assert not (run.path / ".holder.json").exists()
    with run.hold():
        pass


def test_a_run_cannot_be_held_under_a_file() -> None:
    Path("file").write_text("")
    with pytest.raises(StorageError, match="a part of the path is a file"):  # noqa: SIM117
        with RunDirectory(Path("file/run")).hold():
            pass


# Status and log.


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.TRAINING])
def test_a_status_is_what_was_written(run: RunDirectory, status: Status) -> None:
    run.write_status({"status": status, "step": 3})
    assert run.status() is status
    assert run.read_status() == {"status": str(status), "step": 3}


def test_a_run_cut_off_before_its_first_word_was_interrupted(run: RunDirectory) -> None:
    assert run.read_status() == {}
    assert run.status() is Status.INTERRUPTED


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b"\xff",
        b"[" * 1_000_000,
        b'{"status": "dancing"}',
        b'{"status": []}',
        b'{"step": "1"}',
        b'{"sessions": {}}',
        b'{"data": [1]}',
        b'{"epoch": null}',
        b'{"command": 5}',
        b'{"sessions": ["x"]}',
        b'{"sessions": [{"seconds": "x"}]}',
    ],
    ids=lambda content: str(content[:20]),
)
def test_a_damaged_status_is_named(run: RunDirectory, content: bytes) -> None:
    run.status_path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"run/run\.json is damaged"):
        run.status()


def test_a_log_is_read_as_it_was_written(run: RunDirectory) -> None:
    assert run.read_log() == []
    records = [{"step": step, **RECORD, "x": 0.1 + 0.2, "y": 1e-320} for step in (1, 5, 9)]
    for record in records:
        run.append_log(record)
    assert run.read_log() == records
    assert run.log_path.read_text().count("\n") == 3


def test_a_log_is_cut_after_a_step_and_the_rest_stays_as_it_was(run: RunDirectory) -> None:
    for step in (1, 5, 9):
        run.append_log({"step": step, **RECORD, "x": step / 3})
    whole = run.log_path.read_bytes()
    for step, lines in ((100, 3), (9, 3), (8, 2), (5, 2), (1, 1), (0, 0)):
        run.cut_log(step)
        assert run.log_path.read_bytes() == b"".join(whole.splitlines(True)[:lines])


def test_a_last_line_cut_short_is_left_out(run: RunDirectory) -> None:
    run.append_log({"step": 1, **RECORD})
    with open(run.log_path, "ab") as file:
        file.write(b'{"step": 2, "d_lo')
    assert [record["step"] for record in run.read_log()] == [1]


@pytest.mark.parametrize(
    "line", [b"{", b"5", b"[]", b"\xff", b"{}", b'{"step": "1"}', b'{"step": 3}', b"[" * 10**6]
)
def test_a_damaged_line_is_named(run: RunDirectory, line: bytes) -> None:
    run.append_log({"step": 1, **RECORD})
    with open(run.log_path, "ab") as file:
        file.write(line + b"\n")
    with pytest.raises(CheckpointError, match=r"run/log\.jsonl, line 2: damaged"):
        run.read_log()


@pytest.mark.parametrize("content", ["", "x = ", "traning = 3", "[training]\nsteps = 0"])
def test_a_damaged_config_is_named(run: RunDirectory, content: str) -> None:
    run.config_path.write_text(content)
    with pytest.raises(CheckpointError, match=r"run/config\.toml"):
        run.read_config()


# Names.


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        ({"digit": 7}, "digit-7"),
        ({"digit": 3, "seed": 4}, "digit-3-seed-4"),
        ({}, "all-digits"),
        ({"seed": 2}, "all-digits-seed-2"),
        ({"settings": {"data.conditional": False}}, "all-digits-unconditional"),
        ({"recipe": "digits", "digit": 7}, "digits-digit-7"),
        ({"recipe": "digits-gpu"}, "digits-gpu"),
        (
            {"recipe": "digits-gpu", "settings": {"data.conditional": False}},
            "digits-gpu-unconditional",
        ),
        ({"data": "some/my pictures.idx.gz"}, "my-pictures"),
        ({"data": "pictures", "digit": 3}, "pictures-digit-3"),
        ({"data": "d" * 101}, "d" * 100),
        ({"data": "d" * 101, "digit": 3, "seed": 5}, f"{'d' * 85}-digit-3-seed-5"),
    ],
)
def test_the_default_name_leaves_out_what_is_default(request_: dict[str, Any], name: str) -> None:
    assert runs.default_name(api.describe(**request_)) == name
    assert runs.new_run(Path("runs"), name).path == Path("runs") / name


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "-a", ".a", "a b", "ä", "a" * 101])
def test_a_name_is_a_plain_folder_name(name: str) -> None:
    with pytest.raises(ConfigError, match="--name"):
        runs.new_run(Path("runs"), name)


def test_runs_are_listed_the_last_written_first(tiny_config: TinyConfig) -> None:
    assert runs.list_runs(Path("runs")) == []
    for age, name in enumerate(["b", "c", "a"]):
        run = begun(Path("runs") / name, tiny_config())
        run.write_status({})
        os.utime(run.status_path, (1000 - age, 1000 - age))
    Path("runs/no-run").mkdir()
    Path("runs/file").write_text("")
    assert [run.name for run in runs.list_runs(Path("runs"))] == ["b", "c", "a"]
    assert runs.find_run(None, Path("runs")).name == "b"
    os.utime(Path("runs/a/run.json"), (2000, 2000))
    assert runs.find_run(None, Path("runs")).name == "a"


def test_a_run_is_found_by_name_or_path(run: RunDirectory) -> None:
    assert runs.find_run("run", Path()).path == Path("run")
    assert runs.find_run(str(run.path.resolve()), Path("elsewhere")).path == run.path.resolve()
    with contextlib.chdir(run.path):
        for words in (".", "../run/."):
            assert (found := runs.find_run(words, Path("checkpoints"))).exists()
            assert found.name == "run"
    with contextlib.chdir("/"), pytest.raises(CheckpointError, match="no run '~nobody-at-all'"):
        runs.find_run("~nobody-at-all", Path())
    with pytest.raises(CheckpointError, match=r"no run 'rum' in \.; did you mean 'run'\?"):
        runs.find_run("rum", Path())
    with pytest.raises(CheckpointError, match="no runs in elsewhere; make one: gancli train"):
        runs.find_run(None, Path("elsewhere"))


# What may be overwritten.


def test_a_folder_with_other_files_is_not_taken() -> None:
    run = RunDirectory(Path("mine"))
    runs.check_unclaimed(run)
    run.path.mkdir()
    (run.path / ".lock").write_text("")
    runs.check_unclaimed(run)
    (run.path / "novel.txt").write_text("")
    with pytest.raises(ConflictError, match=r"holds other files \(novel\.txt\)"):
        runs.check_unclaimed(run)
    with pytest.raises(StorageError, match="is a file"):
        runs.check_unclaimed(RunDirectory(run.path / "novel.txt"))


def test_clearing_spares_what_gancli_did_not_make(run: RunDirectory) -> None:
    mine = {"notes.txt", "samples", "state.txt", ".lock", "config.toml"}
    for name in (*mine, "log.jsonl", "state-000000001.safetensors", "scores.json", "run.json"):
        (run.path / name).write_text("")
    for name in ("closest-pairs.png", "mine.png"):
        run.plots.mkdir(exist_ok=True)
        (run.plots / name).write_text("")
    for folder in ("frames", "snapshots"):
        (run.path / folder).mkdir()
        (run.path / folder / "x").write_text("")
    run.clear()
    assert {path.name for path in run.path.iterdir()} == {*mine, "plots"}
    assert [path.name for path in run.plots.iterdir()] == ["mine.png"]


def test_an_equal_config_is_no_conflict(run: RunDirectory, tiny_config: TinyConfig) -> None:
    runs.check_identity(run, tiny_config({"training.threads": "auto", "summary": "other words"}))
    with pytest.raises(ConflictError, match=r"loss\.r1 is 0\.0 there and 1\.0 here; training"):
        runs.check_identity(
            run, tiny_config({"loss.r1": 1, "training.epochs": 1, "training.steps": None})
        )


def test_of_another_recipe_its_name_is_told_and_not_all_that_it_brings() -> None:
    kept = begun(Path("all-digits"), api.describe("digits-gpu"))
    with pytest.raises(ConflictError) as caught:
        runs.check_identity(kept, api.describe("digits", seed=1))
    said = str(caught.value)
    assert 'config: recipe is "digits-gpu" there and "digits" here; training.seed is 0 ' in said
    assert "here. Ask for what is there" in said
    assert "layers" not in said
    assert "gancli train --resume all-digits)" in said
