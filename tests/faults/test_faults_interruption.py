"""Whatever ends a training, the disk is left whole, and the resumed run ends as one in a piece."""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import (
    PATIENCE,
    Lab,
    call,
    ended,
    environment,
    leftovers,
    made,
    outcome,
    process,
    refused,
    shell,
    started,
    states,
    status_of,
    wait_until,
)

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Unix signals")

KILLS = int(os.environ.get("GANCLI_KILLS", "6"))
ENDLESS = ["--steps", "1000000"]
RUN = Path("checkpoints/a")


@pytest.fixture(autouse=True)
def _hangups_are_heard() -> Iterator[None]:
    """Even where the tests run under `nohup`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def trains(run: Path, step: int = 0) -> bool:
    """Tell whether a run has a whole checkpoint of a step after this one."""
    return any(int(path.name[6:15]) > step for path in run.glob("state-*.sha256"))


@pytest.mark.parametrize("chain", range(max(2, math.ceil(KILLS / 3))))
def test_killed_at_random_moments_a_run_ends_as_if_it_never_was(
    lab: Lab, chain: int, tmp_path: Path
) -> None:
    moments = random.Random(chain)
    # Saved after every step, or so rarely that log and frames are ahead of the checkpoint.
    every = ["--set", f"record.checkpoint_every_seconds={chain % 2 / 10}"]
    words = [*lab.tiny, "--steps", 300, "--quiet", *every]
    survived = 0
    for _ in range(3):
        with started(*words, cwd=tmp_path) as running:
            if moments.random() < 0.8:  # the other moments are imports and the first writes
                wait_until((RUN / ".holder.json").exists, running)
                time.sleep(moments.uniform(0, 0.25))
            else:
                time.sleep(moments.uniform(0, 1.5))
            running.send_signal(signal.SIGKILL)
            if ended(running).code == 0:
                survived += 1
    assert survived <= 1, "the run is too short to be killed"
    assert made(*words).made == RUN
    assert outcome(RUN) == outcome(made(*words, "--runs-dir", "whole").made)
    assert leftovers(RUN) == []


def test_every_stop_signal_saves_and_the_run_goes_on(lab: Lab, tmp_path: Path) -> None:
    words = [*lab.tiny, "--steps", 300, "--set", "record.checkpoint_every_seconds=3300"]
    reference = made(*words, "--runs-dir", tmp_path / "whole").made
    step = 0
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with started(*words, cwd=tmp_path) as running:
            assert running.stderr is not None
            while "epoch" not in (line := running.stderr.readline()):
                assert line, "it ended before the signal"
            running.send_signal(number)
            asked = time.monotonic()
            while "stopping after this step" not in running.stderr.readline():
                assert running.poll() is None
            assert time.monotonic() - asked < 2  # 0.1 s where the cores are not shared
            done = ended(running)
        assert done.code == 128 + number
        assert done.made == RUN
        assert status_of(RUN)["status"] == "interrupted"
        assert step < status_of(RUN)["step"] < 300
        step = status_of(RUN)["step"]
        assert states(RUN)[-1].name == f"state-{step:09d}.safetensors"
    done = made(*words)
    assert f"resumed at step {step}" in done.stderr
    assert outcome(RUN) == outcome(reference)
    assert status_of(RUN)["status"] == "finished"
    assert [entry["last_step"] for entry in status_of(RUN)["sessions"]][-2:] == [step, 300]


def test_the_second_signal_leaves_at_once(lab: Lab, tmp_path: Path) -> None:
    made(*lab.tiny, *ENDLESS, "--max-seconds", 0.001)
    before = states(RUN)[-1].read_bytes()
    slow = ["train", "--digit", "7", "--set", "training.batch_size=2048", "--name", "slow"]
    with started(*slow, "--threads", 1, "--device", "cpu", cwd=tmp_path) as running:
        assert running.stderr is not None
        wait_until(lambda: any((RUN.parent / "slow" / "frames").glob("*.png")), running)
        running.send_signal(signal.SIGINT)
        while "stopping after this step" not in (line := running.stderr.readline()):
            assert line, "it ended before the second signal"
        running.send_signal(signal.SIGINT)
        done = ended(running)
    assert done.code == 130
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert states(RUN.parent / "slow") == []  # it did not wait for the step, let alone save
    assert made("show", "slow", "--json").json["status"] == "interrupted"

    # Two signals in one breath while every step is saved: one of the saves is cut off.
    with started(*lab.tiny, *ENDLESS, cwd=tmp_path) as running:
        wait_until(lambda: trains(RUN, 1), running)
        os.kill(running.pid, signal.SIGINT)
        os.kill(running.pid, signal.SIGTERM)
        done = ended(running)
    assert done.code in (130, 143)
    assert "Traceback" not in done.stderr
    assert leftovers(RUN) == []
    assert states(RUN)[-1].read_bytes() != before
    assert made("sample", "a", "-n", 2, "--json").json["step"] > 1


def test_a_background_job_of_a_script_hears_ctrl_c(lab: Lab, tmp_path: Path) -> None:
    command = " ".join(f"'{word}'" for word in [*lab.tiny, *ENDLESS])
    script = f"""
        gancli {command} & job=$!
        while ! ls {RUN}/state-*.sha256 >/dev/null 2>&1; do sleep 0.05; done
        kill -INT $job; wait $job; echo "code $?"
    """
    done = shell(script, tmp_path)
    assert done.stdout.splitlines() == [str(RUN), "code 130"]
    assert "stopping after this step" in done.stderr
    assert status_of(RUN)["status"] == "interrupted"


def test_a_training_under_nohup_outlives_its_terminal(lab: Lab, tmp_path: Path) -> None:
    command = " ".join(f"'{word}'" for word in [*lab.tiny, *ENDLESS])
    script = f"""
        nohup gancli {command} >/dev/null & job=$!
        while ! ls {RUN}/state-*.sha256 >/dev/null 2>&1; do sleep 0.05; done
        kill -HUP $job; sleep 0.3; kill -TERM $job; wait $job; echo "code $?"
    """
    assert shell(script, tmp_path).stdout == "code 143\n"
    assert status_of(RUN)["status"] == "interrupted"


def test_a_pause_and_a_resume_equal_one_run(lab: Lab, tmp_path: Path) -> None:
    words = [*lab.tiny, "--steps", 100]
    paused = made(*words, "--max-seconds", 0.1, "--json").json
    assert paused["status"] == "paused"
    assert 1 <= paused["step"] < 100
    assert made("show", "a", "--json").json["status"] == "paused"
    assert made("train", "--resume", "a", "--max-seconds", 0.1).next[:3] == [
        *("gancli", "train", "--resume")
    ]
    assert made("train", "--resume", "a", "--json").json["status"] == "finished"
    assert outcome(RUN) == outcome(made(*words, "--runs-dir", "whole").made)


RACES = """
import json, os, signal, sys
import gancli.cli.app, gancli.cli.live, gancli.session, torch
from gancli.cli import main

# Once for all the children: the first optimiser imports half of torch.
torch.set_num_threads(1)
torch.optim.Adam([torch.zeros(1, requires_grad=True)])
results = []
for race in range(10):
    ready, go = os.pipe()
    children = []
    for runner in range(2):
        child = os.fork()
        if not child:
            os.close(go)
            for number, name in ((1, "stdout"), (2, "stderr")):
                os.dup2(os.open(f"{name}-{os.getpid()}", os.O_WRONLY | os.O_CREAT), number)
            sys.argv += ["--name", f"race-{race}"]
            os.read(ready, 1)  # returns for both at once, when the pipe is closed
            try:
                main()
            except SystemExit as end:
                os._exit(end.code)  # an exit in good order would take torch a second
        children.append(child)
    os.close(ready)
    os.close(go)
    loser, status = os.wait()
    (winner,) = set(children) - {loser}
    alone = os.waitpid(winner, os.WNOHANG) == (0, 0)
    os.kill(winner, signal.SIGTERM)
    codes = [os.waitstatus_to_exitcode(found) for found in (status, os.waitpid(winner, 0)[1])]
    results.append([loser, winner, alone, *codes])
print(json.dumps(results))
"""


def test_of_two_processes_exactly_one_trains(lab: Lab, tmp_path: Path) -> None:
    words = [sys.executable, "-c", RACES, *map(str, lab.tiny[:-6]), *ENDLESS, "--device", "cpu"]
    words += ["--threads", "1"]
    done = subprocess.run(
        words, capture_output=True, text=True, env=environment(), timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    for race, (loser, winner, alone, *codes) in enumerate(json.loads(done.stdout)):
        assert alone
        assert codes == [6, 143]
        complaint = Path(f"stderr-{loser}").read_text()
        assert f"process {winner} on " in complaint
        assert "Traceback" not in complaint
        assert Path(f"stdout-{loser}").read_text() == ""
        (session,) = status_of(Path(f"checkpoints/race-{race}"))["sessions"]
        assert session["last_step"] > 0


def test_a_stale_lock_keeps_nobody_out(lab: Lab, tmp_path: Path) -> None:
    with started(*lab.tiny, *ENDLESS, cwd=tmp_path) as running:
        wait_until(lambda: trains(RUN), running)
        assert made("show", "a", "--json").json["status"] == "training"
        busy = refused(6, *lab.tiny, *ENDLESS, "--max-seconds", 0.1)
        assert str(running.pid) in busy
        assert "--name" in busy
        running.send_signal(signal.SIGKILL)
        ended(running)
    assert (RUN / ".lock").exists()
    assert json.loads((RUN / ".holder.json").read_text())["pid"] == running.pid
    assert made("show", "a", "--json").json["status"] == "interrupted"
    assert made(*lab.tiny, *ENDLESS, "--max-seconds", 0.1, "--json").json["status"] == "paused"


JOBS = ["--digit", "0,1,2", "--jobs", 2]


def jobs(lab: Lab) -> list[object]:
    words = ["train", "--recipe", lab.recipe, "--data", lab.classes, "--device", "cpu"]
    return [*words, *JOBS]


def test_jobs_equal_single_runs_and_a_failure_stays_alone(lab: Lab, tmp_path: Path) -> None:
    from_one = ["train", "--recipe", lab.recipe, "--data", lab.classes, "--threads", 1]
    single = made(*from_one, "--device", "cpu", "--digit", 1, "--runs-dir", "single").made
    Path("checkpoints").mkdir()
    Path("checkpoints/tiny-three-digit-2").write_text("in the way")
    done = process(*jobs(lab), "--json", cwd=tmp_path)
    assert done.code == 7
    runs = {entry["run"]: entry for entry in done.json["runs"]}
    assert {name: entry["exit_code"] for name, entry in runs.items()} == {
        "tiny-three-digit-0": 0,
        "tiny-three-digit-1": 0,
        "tiny-three-digit-2": 7,
    }
    assert all(entry["path"] == f"checkpoints/{name}" for name, entry in runs.items())
    assert outcome(Path("checkpoints") / single.name) == outcome(single)
    Path("checkpoints/tiny-three-digit-2").unlink()
    again = made(*jobs(lab))
    assert again.stdout.splitlines() == [f"checkpoints/tiny-three-digit-{n}" for n in range(3)]
    assert again.next == ["gancli", "show"]
    Path("checkpoints/tiny-three-digit-0/log.jsonl").write_text("damaged\n")
    damaged = made(*jobs(lab), "--json")  # of the others all is told
    assert [entry["status"] for entry in damaged.json["runs"]] == ["finished"] * 3
    assert "tiny-three-digit-0: doctor: checkpoints/tiny-three-digit-0/log.jsonl" in damaged.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_jobs_saves_every_run(lab: Lab, tmp_path: Path, number: int) -> None:
    names = [Path(f"checkpoints/tiny-three-digit-{digit}") for digit in range(3)]
    with started(*jobs(lab), *ENDLESS, "--json", cwd=tmp_path) as running:
        wait_until(lambda: all(map(trains, names[:2])), running)
        workers = _children(running.pid)
        running.send_signal(number)
        done = ended(running)
    assert done.code == 128 + number
    assert "Traceback" not in done.stderr
    wait_until(lambda: not any(map(_alive, workers)))
    assert [status_of(run)["status"] for run in names[:2]] == ["interrupted"] * 2
    assert not names[2].exists()
    assert "\ntiny-three-digit-2: not begun\n" in done.stderr
    assert "error:" not in done.stderr
    told = [(entry["status"], entry["exit_code"]) for entry in done.json["runs"]]
    assert told == [(word, 128 + number) for word in ("interrupted", "interrupted", "not begun")]


@pytest.mark.parametrize(("number", "seconds"), [(signal.SIGINT, 0.1), (signal.SIGTERM, 0.7)])
def test_a_signal_while_jobs_start_is_no_failure(
    lab: Lab, tmp_path: Path, number: int, seconds: float
) -> None:
    with started(*jobs(lab), *ENDLESS, cwd=tmp_path) as running:
        wait_until(lambda: len(_children(running.pid)) >= 3, running)
        time.sleep(seconds)
        running.send_signal(number)
        done = ended(running)
    assert done.code == 128 + number
    assert "Traceback" not in done.stderr


def test_two_signals_to_jobs_leave_at_once(lab: Lab, tmp_path: Path) -> None:
    names = [Path(f"checkpoints/tiny-three-digit-{digit}") for digit in range(2)]
    with started(*jobs(lab), *ENDLESS, cwd=tmp_path) as running:
        wait_until(lambda: all(map(trains, names)), running)
        os.kill(running.pid, signal.SIGINT)
        os.kill(running.pid, signal.SIGTERM)
        done = ended(running)
    assert done.code in (130, 143)
    assert "Traceback" not in done.stderr
    for run in names:
        assert made("sample", run, "-n", 1, "--out", "x.png").made == Path("x.png")
        assert leftovers(run) == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_a_killed_worker_takes_one_run_with_it(lab: Lab, tmp_path: Path) -> None:
    names = [Path(f"checkpoints/tiny-three-digit-{digit}") for digit in range(3)]
    words = [*jobs(lab), "--steps", 150]
    with started(*words, "--json", cwd=tmp_path) as running:
        wait_until(lambda: trains(names[0]), running)
        holder = json.loads((names[0] / ".holder.json").read_text())["pid"]
        os.kill(holder, signal.SIGKILL)
        done = ended(running)
    assert [entry["exit_code"] for entry in done.json["runs"]] == [1, 0, 0]
    assert done.code == 1
    assert "Traceback" not in done.stderr
    assert [status_of(run)["status"] for run in names] == ["training", "finished", "finished"]
    made(*words)
    assert status_of(names[0])["status"] == "finished"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_workers_do_not_outlive_their_parent(lab: Lab, tmp_path: Path) -> None:
    run = Path("checkpoints/tiny-three-digit-0")
    with started(*jobs(lab), *ENDLESS, cwd=tmp_path) as running:
        wait_until(lambda: trains(run), running)
        workers = _children(running.pid)
        assert len(workers) >= 3
        running.send_signal(signal.SIGKILL)
        running.wait(PATIENCE)
    wait_until(lambda: not any(map(_alive, workers)))
    assert status_of(run)["status"] == "interrupted"


def _alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def _children(parent: int) -> list[int]:
    """Return the processes that a process has started: its workers and Python's own helper."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(path.read_text().rpartition(") ")[2].split()[1]) == parent:
                found.append(int(path.parent.name))
    return found


def test_resume_of_a_run_that_is_not_there(lab: Lab) -> None:
    assert "gancli train --digit 7" in refused(4, "sample")
    lab.copy(lab.finished, Path("checkpoints"))
    assert "did you mean 'a'" in refused(4, "train", "--resume", "aa")
    assert call("train", "--resume", "a").code == 0
