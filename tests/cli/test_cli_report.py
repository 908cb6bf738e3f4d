from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import Lab, call, environment, files_below, leftovers, made, refused

import gancli


@pytest.fixture
def run(lab: Lab) -> Path:
    """A run called ``a`` of the default folder."""
    return lab.copy(lab.held_out, Path("checkpoints"))


def test_help_wants_neither_torch_nor_jinja(tmp_path: Path) -> None:
    program = (
        "import sys; from gancli.cli import main; sys.argv = ['gancli', 'report', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "assert not {'jinja2', 'torch', 'numpy'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(COLUMNS="200"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "1 to 12 runs" in done.stdout


def test_the_newest_run_gets_its_report_and_nothing_else(run: Path) -> None:
    before = files_below(run)
    done = made("report")
    assert done.made == Path("checkpoints/a/report.html")
    assert done.next == ["gancli", "evaluate", "a", "--history"]
    assert "a: This run was not evaluated." in done.stderr
    content = done.made.read_text()
    after = files_below(run)
    assert {path for path in after if path not in before} == {"report.html"}
    assert all(after[path] == before[path] for path in before)
    assert leftovers(run) == []
    found = made("report", "a", "--json").json
    size = len(content.encode())
    assert (found["path"], found["bytes"]) == ("checkpoints/a/report.html", size)
    (about,) = found["runs"]
    assert about["run"] == "a"
    assert about["frames"] == about["of_frames"] == len(list((run / "frames").iterdir()))
    assert len(about["missing"]) == 2
    assert done.made.read_text() == content


def test_several_runs_lie_side_by_side_where_one_wants_them(lab: Lab, run: Path) -> None:
    lab.copy(lab.conditional, Path("elsewhere"))
    words = ["report", "a", "elsewhere/a"]
    assert made(*words, "--quiet").made == Path("report.html")
    done = made(*words, "--out", "both.htm", "--runs-dir", "checkpoints")
    assert done.made.read_text() == Path("report.html").read_text()
    assert done.made.read_text().count("<article") == 2


def test_what_is_missing_is_made_where_the_run_lies(lab: Lab, run: Path) -> None:
    lab.copy(lab.held_out, Path("elsewhere"))
    words = ["evaluate", "a", "--history", "--runs-dir", "elsewhere"]
    assert made("report", "elsewhere/a").next[1:] == words
    shutil.rmtree("elsewhere/a/frames")
    again = made("report", "elsewhere/a").next[1:]
    assert again[:3] == ["train", "--recipe", "elsewhere/a/config.toml"]
    assert again[-2:] == ["--runs-dir", "elsewhere"]


def test_python_writes_the_same(run: Path) -> None:
    content = made("report", "a").made.read_bytes()
    assert gancli.write_report("a", out="same.html").bytes == len(content)
    assert Path("same.html").read_bytes() == content
    assert gancli.write_report(["a"]).path == Path("checkpoints/a/report.html")


def test_without_jinja_its_name_is_said(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert "pip install jinja2" in refused(8, "report", "a")
    assert not (run / "report.html").exists()


@pytest.mark.parametrize(
    ("code", "words", "sentence"),
    [
        (2, ["a", "--out", "a.pdf"], "reports are written as .html or .htm"),
        (2, ["a", "a"], "a is named twice"),
        (2, ["a"] * 13, "give 1 to 12 runs"),
        (4, ["b"], "no run 'b' in checkpoints"),
        (7, ["a", "--out", "nowhere/a.html"], "its folder does not exist"),
        (7, ["a", "--out", "folder.html"], "not a regular file"),
    ],
)
def test_bad_requests_end_in_a_sentence(
    run: Path, code: int, words: list[str], sentence: str
) -> None:
    Path("folder.html").mkdir()
    assert sentence in refused(code, "report", *words)
    failed = call("report", *words, "--json")
    assert failed.json["error"]["exit_code"] == code
    assert not list(Path().rglob("*.htm"))
    assert [path.name for path in Path().rglob("*.html")] == ["folder.html"]


def test_a_damaged_run_is_named(run: Path) -> None:
    frame = min((run / "frames").iterdir())
    frame.write_bytes(frame.read_bytes()[:50])
    assert frame.name in refused(3, "report", "a")
    shutil.rmtree(run / "frames")
    (run / "log.jsonl").write_text("{}\n")
    assert "log.jsonl, line 1: damaged" in refused(4, "report", "a")
    assert not (run / "report.html").exists()
