from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import Lab, call, environment, files_below, leftovers, made, refused
from PIL import Image

from gancli import plots
from gancli.cli.compare import _fitted
from gancli.errors import MissingPartError


@pytest.fixture
def run(lab: Lab) -> Path:
    """A run called ``a`` of the default folder."""
    return lab.copy(lab.finished, Path("checkpoints"))


def test_help_names_topics_and_figures_and_wants_no_matplotlib(tmp_path: Path) -> None:
    program = (
        "import sys; from gancli.cli import main; sys.argv = ['gancli', WORD, '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "assert not {'matplotlib', 'torch', 'numpy'} & set(sys.modules)"
    )
    said = {}
    for command in ("plot", "compare"):
        done = subprocess.run(
            [sys.executable, "-c", program.replace("WORD", repr(command))],
            env=environment(COLUMNS="200"),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        said[command] = done.stdout
    assert all(name in said["plot"] for name in (*plots.TOPICS, *plots.FIGURES, ".svg"))
    assert "2 to 12 runs" in said["compare"]


def test_the_newest_run_is_drawn_into_its_folder(run: Path) -> None:
    before = files_below(run)
    done = made("plot")
    names = ["curves.png", "network.png", "strip.png"]
    assert done.stdout.splitlines() == [f"checkpoints/a/plots/{name}" for name in names]
    assert done.next == ["gancli", "animate", "a"]
    for name in names:
        with Image.open(run / "plots" / name) as picture:
            assert picture.format == "PNG"
            assert min(picture.size) > 250
    after = files_below(run)
    assert {path for path in after if path not in before} == {f"plots/{name}" for name in names}
    assert leftovers(run) == []
    again = made("plot", "a", "--what", "curves", "--json").json
    assert again == {"subject": "a", "paths": ["checkpoints/a/plots/curves.png"], "left_out": []}
    assert files_below(run)["plots/curves.png"][0] == after["plots/curves.png"][0]


def test_one_figure_goes_where_it_is_told(run: Path) -> None:
    assert made("plot", "a", "--what", "network", "--out", "n.SVG").made == Path("n.SVG")
    assert Path("n.SVG").read_bytes().startswith(b"<?xml")
    done = made("plot", "a", "--what", "curves", "--format", "svg", "--quiet")
    assert (done.stdout, done.stderr) == ("checkpoints/a/plots/curves.svg\n", "")


def test_what_is_not_there_yet_is_left_out_and_said(run: Path) -> None:
    shutil.rmtree(run / "snapshots")
    done = made("plot", "a", "--json")
    assert [Path(path).name for path in done.json["paths"]] == ["curves.png", "network.png"]
    assert "warning: checkpoints/a has kept no generators" in done.stderr
    assert done.json["left_out"] == [done.stderr.split("warning: ")[1].splitlines()[0]]


def test_topics_lead_from_one_to_the_next() -> None:
    topics = list(plots.TOPICS)
    for topic, following in (topics[-2:], (topics[-1], topics[0])):
        done = made("plot", topic)
        assert done.stdout == f"{topic}.png\n"
        assert done.next == ["gancli", "plot", following]
    assert made("plot", "padding", "--out", "p.svg", "--json").json["paths"] == ["p.svg"]


def test_a_topic_wins_over_a_run_of_its_name(run: Path) -> None:
    run.rename("checkpoints/costs")
    assert made("plot", "costs").made == Path("costs.png")
    done = made("plot", "./costs", "--what", "network")
    assert done.made == Path("checkpoints/costs/plots/network.png")


@pytest.mark.parametrize(
    ("code", "words", "sentence"),
    [
        (4, ["aa"], "did you mean 'a'?"),
        (4, ["convolutoin"], "did you mean 'convolution'?"),
        (4, ["nothing"], "neither a run in checkpoints nor a topic (convolution, max-pooling"),
        (2, ["a", "--what", "curvs"], "did you mean 'curves'?"),
        (2, ["a", "--what", "trajectory"], "a trajectory is of 2-D points"),
        (2, ["a", "--out", "x.png"], "choose one with --what curves, network, strip"),
        (2, ["a", "--what", "curves", "--out", "x.pdf"], "written as .png and .svg"),
        (2, ["a", "--format", "gif"], "--format gif: figures are written as png and svg"),
        (2, ["costs", "--out", "x.jpg"], "x.jpg: figures are written as .png and .svg"),
        (2, ["costs", "--out", "x.png", "--format", "svg"], "contradicts --out x.png"),
        (2, ["costs", "--what", "curves"], "costs is a topic"),
        (7, ["costs", "--out", "no/x.png"], "cannot write no/x.png: its folder does not exist"),
        (7, ["a", "--what", "strip", "--out", "no/x.png"], "its folder does not exist"),
    ],
)
def test_a_wrong_request_gets_one_sentence(
    run: Path, code: int, words: list[str], sentence: str
) -> None:
    assert sentence in refused(code, "plot", *words)
    assert not (run / "plots").exists()
    assert sorted(path.name for path in Path().iterdir()) == ["checkpoints"]


def test_no_run_at_all_is_said(tmp_path: Path) -> None:
    assert "no runs in checkpoints; make one" in refused(4, "plot")


@pytest.mark.parametrize("words", [["plot", "costs"], ["plot", "a"], ["compare", "a", "b"]])
def test_without_matplotlib_its_extra_is_named(
    lab: Lab, run: Path, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(run, "checkpoints/b")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "pip install 'gancli[plots]'" in refused(MissingPartError.exit_code, *words)


def test_runs_are_compared_in_a_picture_and_a_table(lab: Lab, run: Path) -> None:
    lab.copy(lab.conditional, Path("elsewhere"))
    scores = {"step": 60, "figures": [{"name": "judge_share", "value": 0.5, "real": 0.9951}]}
    (run / "scores.json").write_text(json.dumps(scores))
    done = made("compare", "a", "elsewhere/a")
    assert done.made == Path("compare.png")
    head, first, second, _ = done.stdout.splitlines()
    assert head.split("  ")[0] == "run"
    assert head.rstrip().endswith("judge_share")
    assert first.endswith("0.5 (real 0.9951)")
    assert second.endswith("-")
    assert "noise" in first
    assert "three" in second
    assert len(head) == len(first) == len(second)
    assert done.next == ["gancli", "plot", "a"]
    found = made("compare", "a", "elsewhere/a", "--out", "b.svg", "--json").json
    assert found["path"] == "b.svg"
    assert [row["run"] for row in found["runs"]] == ["a", "a"]
    assert found["runs"][0]["real"] == {"judge_share": 0.9951}
    assert found["seeds"] == []


def test_a_table_that_is_too_wide_has_a_column_a_run() -> None:
    head = ["run", "recipe", "data", "loss of the discriminator", "judge_share"]
    rows = [[f"run-{n}", "digit", "mnist", f"{n}.5", f"0.{n} (real 0.99)"] for n in range(3)]
    wide = _fitted([head, *rows], None)
    assert len(wide) == 4
    assert _fitted([head, *rows], max(map(len, wide))) == wide
    narrow = _fitted([head, *rows], 60)
    assert max(map(len, narrow)) <= 60
    assert narrow[0].split() == ["run", "run-0", "run-1"]
    assert narrow[4].split("  ")[-2:] == ["0.0 (real 0.99)", "0.1 (real 0.99)"]
    assert narrow[5:7] == ["", f"run{'run-2':>39}"]
    assert len(_fitted([head, *rows], 1)) == 3 * 5 + 2  # a run at a time, at least


def test_seeds_get_two_rows_more(lab: Lab, run: Path) -> None:
    other = made(*lab.tiny, "--seed", 1, "--name", "a-seed-1").made
    for path, value in ((run, 0.5), (other, 0.7)):
        scores = {"step": 60, "figures": [{"name": "judge_share", "value": value, "real": 0.99}]}
        (path / "scores.json").write_text(json.dumps(scores))
    done = made("compare", "a", "a-seed-1")
    mean, deviation = done.stdout.splitlines()[3:5]
    assert (mean.split()[-1], deviation.split()[-1]) == ("0.6", "0.1414")
    assert mean.startswith("a: mean")
    assert deviation.startswith("a: deviation")
    assert "2 seeds" in mean
    (group,) = made("compare", "a", "a-seed-1", "--quiet", "--json").json["seeds"]
    assert f"{group['mean']['d_loss']:.3f}" in mean
    assert group["runs"] == ["a", "a-seed-1"]


@pytest.mark.parametrize(
    ("code", "words", "sentence"),
    [
        (2, ["a"], "give 2 to 12 runs to compare, not 1"),
        (2, ["a", "checkpoints/a"], "a is named twice"),
        (4, ["a", "c"], "no run 'c' in checkpoints"),
        (2, ["a", "b", "--out", "x.gif"], "written as .png and .svg"),
        (7, ["a", "b", "--out", "no/x.png"], "its folder does not exist"),
        (4, ["a", "bare"], "checkpoints/bare has no line in its log"),
    ],
)
def test_what_cannot_be_compared_gets_one_sentence(
    run: Path, code: int, words: list[str], sentence: str
) -> None:
    shutil.copytree(run, "checkpoints/b")
    shutil.copytree(run, "checkpoints/bare")
    Path("checkpoints/bare/log.jsonl").unlink()
    assert sentence in refused(code, "compare", *words)
    failed = call("compare", *words, "--json")
    assert failed.json["error"]["exit_code"] == failed.code == code
    assert [path.name for path in Path().iterdir()] == ["checkpoints"]
