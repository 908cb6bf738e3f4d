"""A disk that refuses, streams that close, memory that ends: nothing that was there is lost."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import (
    Done,
    Lab,
    call,
    ended,
    files_below,
    leftovers,
    log_of,
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

RUN = Path("checkpoints/a")
unix = pytest.mark.skipif(os.name != "posix", reason="Unix alone has it")


@contextlib.contextmanager
def no_file_above(most_bytes: int) -> Iterator[None]:
    """Let the disk be full for whatever would make a file larger than this."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@unix
@pytest.mark.parametrize(
    ("most_bytes", "settings", "named"),
    [
        (16_000, [], r"state-"),
        (5_000, ["record.checkpoint_every_seconds=3600", "record.log_every=0.25"], "log.jsonl"),
        (60_000, ["record.frame_rows=32", "record.frame_columns=64"], "epoch-00003.png"),
    ],
)
def test_a_full_disk_costs_nothing_that_was_there(
    lab: Lab, tmp_path: Path, most_bytes: int, settings: list[str], named: str
) -> None:
    words = [*lab.tiny, *(word for setting in settings for word in ("--set", setting))]
    reference = made(*words, "--runs-dir", "whole").made
    made(*words, "--max-seconds", 0.0001)
    (first,) = states(RUN)
    kept = first.read_bytes()
    with no_file_above(most_bytes):
        complaint = refused(7, *words)
        assert named in complaint
        assert "file size limit" in complaint
        if named != "log.jsonl":
            assert "bytes are needed" in complaint
    assert leftovers(RUN) == []
    step = made("sample", "a", "-n", 1, "--json").json["step"]
    if named == "epoch-00003.png":  # which is due after step 12, and before its checkpoint
        assert step == 11
    else:
        assert step == 1
        assert first.read_bytes() == kept
    assert made("show", "a", "--json").json["status"] == "interrupted"
    made(*words)
    assert outcome(RUN) == outcome(reference)


@unix
@pytest.mark.parametrize("words", [["sample"], ["animate"], ["sample", "--out", "old.npz"]])
def test_a_full_disk_leaves_no_part_of_a_result(lab: Lab, words: list[str]) -> None:
    run = lab.copy(lab.finished, Path("checkpoints"))
    Path("old.npz").write_bytes(b"old")
    with no_file_above(100):
        refused(7, *words)
    assert leftovers(Path()) == []
    assert Path("old.npz").read_bytes() == b"old"
    assert not list(run.glob("samples/*")) + list(run.glob("films/*"))


@pytest.mark.parametrize("place", ["file/runs", "file", "/proc/nowhere"])
def test_a_place_for_runs_that_cannot_be(lab: Lab, place: str) -> None:
    if place.startswith("/proc") and not Path("/proc/self").exists():
        pytest.skip("needs /proc")
    Path("file").write_text("mine")
    sentence = refused(7, *lab.tiny, "--runs-dir", place)
    assert place in sentence
    assert Path("file").read_text() == "mine"
    assert files_below(Path()).keys() == {"file"}


def test_a_file_or_other_things_where_the_run_would_go(lab: Lab) -> None:
    Path("checkpoints").mkdir()
    RUN.write_text("mine")
    assert "--name" in refused(7, *lab.tiny)
    assert RUN.read_text() == "mine"
    RUN.unlink()
    RUN.mkdir()
    (RUN / "thesis.doc").write_text("mine")
    assert "thesis.doc" in refused(6, *lab.tiny)
    assert "thesis.doc" in refused(6, *lab.tiny, "--force")
    assert files_below(RUN).keys() == {"thesis.doc"}


@pytest.mark.parametrize("words", [["sample"], ["animate"]])
@pytest.mark.parametrize("place", ["missing/x", "file/x", "folder"])
def test_a_place_for_results_that_cannot_be(lab: Lab, words: list[str], place: str) -> None:
    Path("file").write_text("mine")
    for suffix in (".npz", ".png", ".idx") if words == ["sample"] else (".gif", ".mp4", ".webp"):
        Path(f"folder{suffix}").mkdir()
        sentence = refused(7, *words, lab.finished, "--out", f"{place}{suffix}")
        assert f"{place}{suffix}" in sentence
    assert files_below(Path()).keys() == {"file"}
    assert leftovers(Path()) == []


@pytest.mark.parametrize("broken", ["safetensors.torch.save", "gancli.files.os.fsync"])
def test_a_bug_while_saving_keeps_its_traceback_and_the_old_checkpoint(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    made(*lab.tiny, "--max-seconds", 0.0001)
    before = {path: path.read_bytes() for path in states(RUN)}
    calls = 0
    module, _, name = broken.rpartition(".")
    import importlib

    owner = os if module.endswith("os") else importlib.import_module(module)
    whole = getattr(owner, name)

    def fails(*args: object) -> object:
        nonlocal calls
        calls += 1
        if calls > 12:
            raise RuntimeError("a bug")
        return whole(*args)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fails)
        with pytest.raises(RuntimeError, match="a bug"):
            call(*lab.tiny)
    assert leftovers(RUN) == []
    assert made("sample", "a", "-n", 1, "--json").json["step"] >= 1
    assert before
    made(*lab.tiny)
    assert outcome(RUN) == lab.reference(60)


def test_a_bug_exits_1_with_its_traceback(lab: Lab, tmp_path: Path) -> None:
    program = "import gancli.api, gancli.cli; gancli.api.load = None; gancli.cli.main()"
    done = started_program(program, "sample", lab.finished)
    assert done.code == 1
    assert "TypeError" in done.stderr
    assert "Traceback" in done.stderr


def started_program(program: str, *words: object) -> Done:
    import subprocess

    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@unix
@pytest.mark.parametrize(
    ("streams", "reader"),
    [("2>&1", "| head -1"), ("<&- 2>&- >&-", ""), (">&-", "")],
)
def test_a_reader_that_leaves_ends_no_training(
    lab: Lab, tmp_path: Path, streams: str, reader: str
) -> None:
    words = " ".join(f"'{word}'" for word in lab.tiny)
    done = shell(f"(gancli {words} {streams}; echo $? >code) {reader}", tmp_path)
    assert Path("code").read_text() == "0\n"
    assert "Traceback" not in done.stderr
    assert "Errno" not in done.stderr
    assert outcome(RUN) == lab.reference(60)


@unix
def test_without_stdout_a_list_of_runs_is_no_fault(lab: Lab, tmp_path: Path) -> None:
    lab.copy(lab.finished, Path("checkpoints"))
    done = shell("gancli show >&-", tmp_path)
    assert (done.code, "Traceback" in done.stderr) == (0, False)


@unix
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux alone has it")
def test_streams_that_are_full(lab: Lab, tmp_path: Path) -> None:
    assert shell("gancli recipes 2>/dev/full", tmp_path).code == 0
    done = shell("gancli recipes >/dev/full", tmp_path)
    assert (done.code, "stdout" in done.stderr) == (7, True)
    assert "Traceback" not in done.stderr


@unix
def test_messages_never_land_in_a_file(lab: Lab, tmp_path: Path) -> None:
    """With stderr closed, the next file opened would take its number, and its words."""
    words = " ".join(f"'{word}'" for word in [*lab.tiny, "--steps", "1000000"])
    script = f"""
        gancli {words} 2>&- >/dev/null & job=$!
        while ! ls {RUN}/state-*.sha256 >/dev/null 2>&1; do sleep 0.05; done
        kill -TERM $job; wait $job; echo $?
    """
    assert shell(script, tmp_path).stdout == "143\n"
    assert status_of(RUN)["status"] == "interrupted"
    for path in RUN.rglob("*"):
        assert not path.is_file() or b"stopping after" not in path.read_bytes()
    assert made("sample", "a", "-n", 1, "--json").json["step"] == status_of(RUN)["step"]


@unix
@pytest.mark.parametrize("words", [["--help"], ["--version"], ["show"], ["recipes"]])
def test_short_answers_to_a_reader_that_left(lab: Lab, tmp_path: Path, words: list[str]) -> None:
    lab.copy(lab.finished, Path("checkpoints"))
    read, write = os.pipe()
    os.close(read)
    import subprocess

    from commands import COMMAND, environment

    done = subprocess.run(
        [*COMMAND, *words], stdout=write, stderr=subprocess.PIPE, env=environment(), check=False
    )
    os.close(write)
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
    assert b"Errno" not in done.stderr


@unix
def test_out_of_memory_says_what_to_lower(lab: Lab, tmp_path: Path) -> None:
    layers = '["dense 400000", "dense 4000", "dense channels size size", "tanh"]'

    def little_memory() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))

    done = process(
        *lab.tiny, "--set", f"generator.layers={layers}", cwd=tmp_path, before=little_memory
    )
    assert done.code == 7
    assert "out of memory" in done.stderr
    assert "layer lists" in done.stderr
    assert "Traceback" not in done.stderr
    assert states(RUN) == []


def test_a_loss_that_is_no_number_stops_before_the_step(lab: Lab) -> None:
    words = list(lab.tiny)
    for network in ("generator", "discriminator"):
        words += ["--set", f"{network}_optimizer.name=sgd"]
        words += ["--set", f"{network}_optimizer.lr=1000", "--set", "loss.name=least-squares"]
    complaint = refused(5, *words)
    status = status_of(RUN)
    assert status["status"] == "failed"
    assert 1 <= status["step"] < 60
    assert f"step {status['step'] + 1}" in complaint
    assert "learning rate" in complaint
    assert status["error"] in complaint
    assert states(RUN)[-1].name == f"state-{status['step']:09d}.safetensors"
    assert made("sample", "a", "-n", 1, "--json").json["step"] == status["step"]
    assert made("show", "a", "--json").json["status"] == "failed"
    assert all(record["step"] <= status["step"] for record in log_of(RUN))
    assert refused(5, *words) == complaint  # the same again, from the same checkpoint


@unix
def test_a_stop_while_sampling_leaves_no_part(lab: Lab, tmp_path: Path) -> None:
    Path("s.npz").write_bytes(b"old")
    words = ["sample", lab.finished, "-n", 10_000_000, "--out", "s.npz"]
    with started(*words, cwd=tmp_path) as running:
        wait_until(lambda: bool(leftovers(tmp_path)), running)
        running.send_signal(signal.SIGINT)
        done = ended(running)
    assert done.code == 130
    assert done.stderr == "error: interrupted\n"
    assert files_below(tmp_path).keys() == {"s.npz"}
    assert Path("s.npz").read_bytes() == b"old"
