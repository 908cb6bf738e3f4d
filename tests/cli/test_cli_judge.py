from __future__ import annotations

import json
import os
import re
import shlex
import signal
import struct
from pathlib import Path

import numpy as np
import pytest
from commands import Lab, call, leftovers, made, refused, started, wait_until

import gancli
from gancli.metrics import judge_sha256

CACHE = Path("cache")  # tests/conftest.py points GANCLI_CACHE at it


def write_pair(path: Path, images: np.ndarray, labels: np.ndarray) -> Path:
    """Write IDX images with their labels beside them."""
    for where, array in ((path, images), (path.with_suffix(".labels.idx"), labels)):
        header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
        where.write_bytes(header + array.astype(np.uint8).tobytes())
    return path


@pytest.fixture
def stripes(tmp_path: Path) -> Path:
    """600 noisy pictures of 12 x 12: lying, standing and slanting stripes."""
    random = np.random.default_rng(0)
    labels = np.arange(600) % 3
    rows, columns = np.mgrid[:12, :12]
    angles = np.stack([rows, columns, rows + columns])[labels]
    waves = 100 + 90 * np.sin(angles + random.uniform(0, 6, (600, 1, 1)))
    return write_pair(
        tmp_path / "stripes.idx", waves + random.uniform(0, 60, (600, 12, 12)), labels
    )


def test_the_dense_network_of_report_r3(stripes: Path) -> None:
    done = made("judge", "--data", stripes, "--set", "data.image_size=12")
    line = done.stdout.splitlines()
    assert len(line) == 1
    assert re.fullmatch(rf"r3-dense on {stripes}: test \d+\.\d\d%, train \d+\.\d\d%", line[0])
    assert [f"epoch {epoch}: train" in done.stderr for epoch in (1, 5, 6)] == [True, True, False]
    assert done.next[:2] == ["gancli", "judge"]
    assert done.next[-2:] == ["--folds", "10"]
    assert not CACHE.exists()


def test_cross_validation_shows_a_curve_for_each_fold(lab: Lab) -> None:
    words = ["judge", "--data", lab.classes, "--set", "data.image_size=8", "--epochs", 2]
    done = made(*words, "--folds", 3)
    curves = re.findall(r"^fold +(\d), test after each epoch:(.*)$", done.stderr, re.MULTILINE)
    assert [fold for fold, _ in curves] == ["1", "2", "3"]
    assert all(len(shares.split()) == 2 for _, shares in curves)
    assert re.search(r"test \d+\.\d\d% \+- \d+\.\d\d%, train", done.stdout)

    found = made(*words, "--folds", 3, "--json").json
    assert (found["folds"], found["classes"], found["images"]) == (3, 3, 64)
    ends = [curve["test"][-1] for curve in found["curves"]]
    assert found["test"]["mean"] == pytest.approx(sum(ends) / 3)
    assert found["test"]["sd"] == pytest.approx(np.std(ends, ddof=1))
    assert f"test {found['test']['mean']:.2%}" in done.stdout  # the same seed, the same figures
    assert found["official_test"] is None
    other = made(*words, "--folds", 3, "--json", "--seed", 1).json
    assert other["curves"] != found["curves"]


def test_mnist_is_the_default_and_its_test_split_is_reported_too() -> None:
    found = made("judge", "--epochs", 1, "--json").json
    assert (found["source"], found["images"], found["classes"]) == ("mnist", 60_000, 10)
    assert found["path"] is None
    for split in ("train", "test", "official_test"):
        assert 0.7 < found[split]["mean"] < 0.9
        assert found[split]["sd"] is None


@pytest.fixture
def run(stripes: Path, lab: Lab) -> Path:
    """A tiny run on the stripes, with images held out to judge by."""
    words = ["train", "--recipe", lab.recipe, "--data", stripes, "--name", "striped"]
    words += ["--set", "data.image_size=12", "--set", "data.holdout=90"]
    return made(*words, "--threads", "1", "--device", "cpu").made


def test_evaluate_names_the_command_that_trains_a_judge_and_then_asks_that_judge(
    run: Path,
) -> None:
    before = made("evaluate", "striped", "-n", 90)
    scores = json.loads(before.made.read_text())
    names = {figure["name"] for figure in scores["figures"]}
    assert "frechet_distance_judge" in names
    assert not names & {"label_accuracy", "class_balance_kl", "share_0"}
    assert scores["judge_sha256"] == judge_sha256()
    assert not scores["judge_knows_classes"]
    named = re.search(r"train a judge of these data: (gancli judge .*)", before.stderr)
    assert named

    trained = made(*shlex.split(named[1])[1:], "--json").json
    path = Path(trained["path"])
    assert path.parent == CACHE.absolute() / "judges"
    assert trained["images"] == 510  # what is held out for evaluate is not learned from
    assert trained["test"]["mean"] > 0.9

    after = made("evaluate", "striped", "-n", 90)
    assert "train a judge" not in after.stderr
    assert re.search(rf"judge {trained['judge_sha256'][:12]}: .* right on \d+\.\d%", after.stderr)
    scores = json.loads(after.made.read_text())
    figures = {figure["name"]: figure for figure in scores["figures"]}
    assert {"label_accuracy", "class_balance_kl", "share_0", "share_2"} <= set(figures)
    assert "share_3" not in figures
    assert figures["label_accuracy"]["real"] > 0.9
    assert scores["judge_sha256"] == trained["judge_sha256"] == judge_sha256(path)


def test_a_judge_in_a_file_of_its_own(run: Path, stripes: Path) -> None:
    words = ["judge", "--data", stripes, "--set", "data.image_size=12", "--network", "cnn"]
    done = made(*words, "--epochs", 2, "--out", "mine.safetensors")
    assert done.made == Path("mine.safetensors")
    assert done.next == ["gancli", "evaluate", "--judge", "mine.safetensors"]
    assert not CACHE.exists()
    scores = made("evaluate", "striped", "-n", 90, "--judge", "mine.safetensors", "--json").json
    assert scores["judge_sha256"] == judge_sha256(Path("mine.safetensors"))
    assert scores["judge_knows_classes"]
    card = gancli.evaluate(run, samples=90, judge="mine.safetensors")
    assert card.as_dict()["figures"] == scores["figures"]

    Path("mine.safetensors.sha256").unlink()
    assert "gancli judge" in refused(
        4, "evaluate", "striped", "-n", 90, "--judge", "mine.safetensors"
    )


def test_a_judge_of_other_classes_is_refused(run: Path, lab: Lab, stripes: Path) -> None:
    two = write_pair(Path("two.idx"), np.zeros((40, 12, 12)), np.arange(40) % 2)
    words = ["judge", "--data", two, "--network", "cnn", "--epochs", 1]
    made(*words, "--out", "two.safetensors")
    words = ["evaluate", "striped", "-n", 90, "--judge", "two.safetensors"]
    assert "tells 2 classes apart, and the data have 3" in refused(4, *words)


def test_ctrl_c_leaves_nothing_half_written(lab: Lab, tmp_path: Path) -> None:
    words = ["judge", "--data", lab.classes, "--set", "data.image_size=8"]
    words += ["--network", "cnn", "--epochs", 1000]
    with started(*words, cwd=tmp_path, GANCLI_CACHE=str(tmp_path / "kept")) as running:
        assert running.stderr is not None
        assert wait_until(lambda: "epoch 1:" in running.stderr.readline(), running)
        os.kill(running.pid, signal.SIGINT)
        assert running.wait(timeout=60) == 130
    assert list((tmp_path / "kept" / "judges").iterdir()) == []
    assert leftovers(tmp_path) == []


def test_what_cannot_be_judged_is_refused_in_one_sentence(
    lab: Lab, stripes: Path, tmp_path: Path
) -> None:
    assert "no labels" in refused(3, "judge", "--data", lab.data)
    one = write_pair(tmp_path / "one.idx", np.zeros((40, 12, 12)), np.full(40, 3))
    assert "no labels of two classes" in refused(3, "judge", "--data", one)
    assert "64 images" in refused(3, "judge", "--data", lab.classes, "--folds", 33)
    assert "no data at" in refused(3, "judge", "--data", "nowhere")
    assert "did you mean 'cnn'" in refused(2, "judge", "--network", "cnnn")
    assert "--folds 1 " in refused(2, "judge", "--folds", 1)
    assert "--epochs 0" in refused(2, "judge", "--epochs", 0)
    assert "--seed -1" in refused(2, "judge", "--seed", -1)
    assert "--out" in refused(2, "judge", "--out", "x.safetensors")
    assert "is a folder" in refused(2, "judge", "--network", "cnn", "--out", tmp_path)
    assert "data.channels" in refused(2, "judge", "--set", "data.channels=2")
    assert "--set training.seed" in refused(2, "judge", "--set", "training.seed=3")
    where = ["--out", "nowhere/x.safetensors"]
    assert "does not exist" in refused(7, "judge", "--network", "cnn", *where)
    assert not Path("nowhere").exists()
    Path("file").write_text("")
    where = ["--out", "file/x.safetensors"]
    assert "cannot write" in refused(7, "judge", "--data", lab.classes, "--network", "cnn", *where)
    done = call("judge", "--data", lab.data, "--json")
    assert done.json["error"]["exit_code"] == done.code == 3
