"""What one command leaves for the next, whatever the order."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import COMMAND, Lab, call, environment, files_below, lab, made, refused

from gancli import checkpoints
from gancli.runs import RunDirectory

__all__ = ["lab"]


def copied(lab: Lab) -> RunDirectory:
    return RunDirectory(lab.copy(lab.finished, Path("checkpoints")))


def unnamed(lab: Lab) -> list[object]:
    at = lab.tiny.index("--name")
    return [*lab.tiny[:at], *lab.tiny[at + 2 :]]


def test_images_one_by_one_replace_those_of_another_time(lab: Lab) -> None:
    run = copied(lab)
    made("sample", run.path, "-n", 20, "--separate", "--out", "fakes")
    made("sample", run.path, "--seeds", "3,4", "--separate", "--out", "fakes")
    assert sorted(path.name for path in Path("fakes").iterdir()) == [
        "seed-000003.png",
        "seed-000004.png",
    ]
    Path("fakes/mine.png").write_text("")
    said = refused(7, "sample", run.path, "-n", 1, "--separate", "--out", "fakes")
    assert "mine.png lies in it" in said
    assert len(list(Path("fakes").iterdir())) == 3


def test_samples_of_another_state_of_a_run_have_a_name_of_their_own(lab: Lab) -> None:
    run = copied(lab)
    early = checkpoints.snapshots(run.path)[1]
    names = [made("sample", which, "-n", 4).made.name for which in (run.path, early)]
    step = int(early.stem.split("-")[1])
    assert names == ["seeds-0-3.png", f"seeds-0-3-step-{step}.png"]


def test_a_run_that_may_not_be_written_to_is_refused_before_it_is_scored(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = lab.copy(lab.held_out, Path("checkpoints"))
    before = files_below(run)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != run)
    said = refused(7, "evaluate", run, "--quick", "-n", 64)
    assert f"cannot write into {run}: permission denied" in said
    assert "images" not in said
    assert f"cannot write into {run}" in refused(7, "evaluate", run, "--history")
    assert files_below(run) == before


def test_scores_of_another_state_are_not_the_run_s(lab: Lab) -> None:
    run = RunDirectory(lab.copy(lab.held_out, Path("checkpoints")))
    made("evaluate", run.path, "--quick", "-n", 64)
    before = run.scores_path.read_bytes()
    early = checkpoints.snapshots(run.path)[1]
    found = made("evaluate", early, "--quick", "-n", 64, "--json").json
    assert found["step"] < json.loads(before)["step"]
    assert run.scores_path.read_bytes() == before


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="needs users")
def test_a_folder_of_somebody_else_hides_no_run(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    run = copied(lab)
    other = Path("checkpoints/other")
    other.mkdir()
    look = Path.is_file

    def is_file(path: Path) -> bool:
        if path.parent.name == "other":
            raise PermissionError(13, "Permission denied")
        return look(path)

    monkeypatch.setattr(Path, "is_file", is_file)
    assert [row["run"] for row in made("show", "--json").json["runs"]] == [run.name]
    assert refused(7, "doctor", "other").endswith(
        "cannot read checkpoints/other: Permission denied"
    )


def test_a_log_that_may_not_be_read_is_said(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    run = copied(lab)
    read = Path.read_bytes

    def read_bytes(path: Path) -> bytes:
        if path.name == "log.jsonl":
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    assert refused(7, "doctor", run.path).endswith("log.jsonl: Permission denied")


def test_a_number_given_twice_is_one_run(lab: Lab) -> None:
    words = [*unnamed(lab), "--seed", "0,0,0-1", "--steps", 4, "--json"]
    done = made(*words)
    assert [entry["status"] for entry in done.json["runs"]] == ["finished"] * 2


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--device", "cuda"], 2),
        (["--runs-dir", "file"], 7),
        (["--steps", 61], 6),
    ],
)
def test_a_dry_run_finds_what_the_run_would(lab: Lab, words: list[object], code: int) -> None:
    copied(lab)
    Path("file").write_text("")
    if words == ["--device", "cuda"]:
        import torch

        if torch.cuda.is_available():
            pytest.skip("there is a GPU")
    assert refused(code, *lab.tiny, *words, "--dry-run")


def test_a_dry_run_of_several_checks_each(lab: Lab) -> None:
    done = made(*unnamed(lab), "--seed", "5,6", "--dry-run", "--json")
    assert [run["config"]["training"]["seed"] for run in done.json["runs"]] == [5, 6]
    assert [run["run"].rpartition("-")[2] for run in done.json["runs"]] == ["5", "6"]
    assert not Path("checkpoints").exists()


def test_a_pause_is_no_lack_of_training(lab: Lab) -> None:
    done = made(*lab.tiny, "--steps", 100_000, "--max-seconds", 0.3)
    assert "training.steps" not in done.stderr
    run = RunDirectory(done.made)
    said = call("doctor", run.path).stderr
    if run.read_status()["step"] < 100:
        assert f"next: gancli train --resume {run.name}" in said


def test_names_beyond_the_encoding_of_stdout_are_escaped(lab: Lab, tmp_path: Path) -> None:
    run = copied(lab)
    run.path.rename(Path("checkpoints/sérénité"))
    told = environment(PYTHONIOENCODING="ascii")
    words = [*COMMAND, "sample", "sérénité", "-n", "1"]
    done = subprocess.run(words, env=told, capture_output=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert b"s\\xe9r\\xe9nit\\xe9" in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("words", "code"), [(["--help"], 7), (["--version"], 7), (["evaluate", "nope", "--json"], 4)]
)
def test_a_full_stdout_is_one_sentence(words: list[str], code: int) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, *words],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment(),
            text=True,
            check=False,
        )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")


def test_gancli_alone_says_no_empty_error() -> None:
    done = call()
    assert done.code == 2
    assert "error:" not in done.stderr
    assert "Usage" in done.stdout + done.stderr


def test_names_that_are_no_text_come_out_as_they_are(lab: Lab, tmp_path: Path) -> None:
    run = copied(lab)
    told = environment(PYTHONIOENCODING="utf-8:strict")
    words = [*COMMAND, "sample", run.name, "-n", "1", "--out", b"\xff.png"]
    done = subprocess.run(words, env=told, capture_output=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, b"\xff.png\n"), done.stderr


def test_a_signal_while_a_command_loads_is_no_bug(tmp_path: Path) -> None:
    program = """
import os, signal, sys
from gancli import cli

class Impatient:
    def find_spec(self, name, path=None, target=None):
        if name == "gancli.cli.app":
            os.kill(os.getpid(), signal.SIGTERM)

sys.meta_path.insert(0, Impatient())
sys.argv = ["gancli", "show", "--json"]
cli.main()
"""
    words = [sys.executable, "-c", program]
    done = subprocess.run(
        words, env=environment(), capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stderr) == (143, "error: interrupted\n")
    assert json.loads(done.stdout)["error"]["kind"] == "Interrupted"


def test_what_cannot_be_judged_is_not_sent_to_be(lab: Lab) -> None:
    runs = [lab.copy(run, Path(to)) for run, to in ((lab.finished, "no"), (lab.held_out, "yes"))]
    for run, following in zip(runs, ("animate", "evaluate"), strict=True):
        words = [run.name, "--runs-dir", run.parent]
        for command in ("sample", "plot"):
            assert made(command, *words).next[:2] == ["gancli", following]
    report = made("report", runs[0], "--out", "report.html", "--json").json["runs"][0]
    assert not [command for command in report["commands"] if "evaluate" in command]
    assert all("no/a/config.toml" in command for command in report["commands"])


def test_a_report_without_a_place_is_refused_before_the_work(lab: Lab) -> None:
    assert "its folder does not exist" in refused(7, "report", lab.finished, "--out", "no/r.html")


def test_links_in_a_circle_are_refused(lab: Lab) -> None:
    Path("loop").symlink_to("loop")
    for code, words in (
        (7, ["train", "--data", "loop", "--steps", 5]),
        (7, ["sample", lab.finished, "--separate", "--out", "loop"]),
        (7, ["animate", lab.finished, "--out", "loop"]),
        (7, ["show", "--runs-dir", "loop"]),
    ):
        assert refused(code, *words)


def test_runs_lie_in_a_folder() -> None:
    Path("file").write_text("")
    assert "cannot read file: Not a directory" in refused(7, "show", "--runs-dir", "file")
    assert made("show", "--runs-dir", "none").next[-1] == "none"


def test_the_ten_digits_lie_where_the_one_named_does(lab: Lab) -> None:
    for digit in range(10):
        lab.copy(lab.finished, Path("ten")).rename(f"ten/digit-{digit}")
    done = made("animate", Path("ten/digit-3"), "--digits", "--out", "ten.gif")
    assert done.made.stat().st_size > 0
    assert done.next == ["gancli", "sample", "digit-0", "--runs-dir", "ten"]
    sentence = refused(4, "animate", "other/digit-3", "--digits")
    assert "has no digit-0 and 9 more" in sentence
    assert "gancli train --digit 0-9 --runs-dir other, with the same" in sentence


def test_a_run_that_is_not_there_is_looked_for_where_it_was_asked(lab: Lab) -> None:
    sentence = refused(4, "sample", "x", "--runs-dir", lab.finished.parent)
    assert f"(`gancli show --runs-dir {lab.finished.parent}` lists the runs)" in sentence


def test_a_recipe_of_ones_own_is_shown_once_it_is_one() -> None:
    Path("r.toml").write_text("made = 2024-05-01\n")
    assert "made" in refused(2, "recipes", "./r.toml")
    assert call("recipes", "./r.toml", "--json").json["error"]["exit_code"] == 2
    Path("r.toml").write_text('extends = "digit"\n[latent]\nsize = 8\n')
    assert made("recipes", "./r.toml", "--json").json["latent"] == {"size": 8}


def test_weights_alone_lead_to_the_film_of_their_run(lab: Lab) -> None:
    run = lab.copy(lab.finished, Path("checkpoints"))
    first = min((run / "snapshots").glob("*.safetensors"))
    assert made("sample", first, "--out", "s.png").next == ["gancli", "animate", str(run)]
