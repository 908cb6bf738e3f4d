"""Every command through the real command line: what it makes, what it says and where."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import (
    Lab,
    call,
    environment,
    files_below,
    log_of,
    made,
    outcome,
    process,
    refused,
    states,
    status_of,
    write_idx,
)
from PIL import Image

import gancli.recipes

COMMANDS = [
    "train",
    "sample",
    "show",
    "animate",
    "evaluate",
    "plot",
    "compare",
    "doctor",
    "report",
    "recipes",
]
RUN = Path("checkpoints/a")

# Runs the command after all, but fails when anything asks for torch.
WITHOUT_TORCH = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "numpy", "PIL", "safetensors"):
            raise AssertionError(f"{name} was imported")

sys.meta_path.insert(0, Blocker())
from gancli.cli import main
for words in WORDS:
    sys.argv = ["gancli", *words]
    try:
        main()
    except SystemExit as end:
        assert end.code == 0, (words, end.code)
"""


def without_torch(words: list[list[str]], cwd: Path) -> str:
    program = WITHOUT_TORCH.replace("WORDS", repr(words))
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=cwd,
        env=environment(COLUMNS="100"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_help_and_version_need_no_torch(tmp_path: Path) -> None:
    said = without_torch([["--help"], ["--version"], ["recipes", "digit", "--quiet"]], tmp_path)
    assert f"gancli {gancli.__version__}\n" in said
    assert all(command in said for command in COMMANDS)
    for command in COMMANDS:
        said = without_torch([[command, "--help"]], tmp_path)
        assert f"gancli {command}" in said
        assert "--json" in said
        assert "--quiet" in said


def test_a_finished_run_and_a_wrong_option_need_no_torch(lab: Lab, tmp_path: Path) -> None:
    lab.copy(lab.finished, Path("checkpoints"))
    words = [str(word) for word in lab.tiny]
    assert without_torch([words, ["show"]], tmp_path).splitlines() == [str(RUN)] * 2


def test_the_installed_script_is_the_command(tmp_path: Path) -> None:
    script = shutil.which("gancli", path=str(Path(sys.executable).parent))
    assert script is not None
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"gancli {gancli.__version__}\n")


def test_the_first_five_minutes(lab: Lab, tmp_path: Path) -> None:
    """Train, sample, show, animate, evaluate; each names the next, which works as it stands."""
    words = ["train", "--digit", "7", "--steps", 30, "--set", "training.batch_size=32"]
    done = process(*words, "--threads", 1, "--device", "cpu", cwd=tmp_path)
    assert done.code == 0, done.stderr
    assert done.stdout == "checkpoints/digit-7\n"
    assert {"config.toml", "run.json", "log.jsonl", "frames", "snapshots"} <= {
        path.name for path in done.made.iterdir()
    }
    followed = []
    while done.next[1] not in followed:
        followed.append(done.next[1])
        few = ["-n", 1100] if done.next[1] == "evaluate" else []
        done = made(*done.next[1:], *few)
        assert done.made.exists()
        assert done.stderr.splitlines()[-1].startswith("next: gancli ")
    assert followed == ["animate", "sample", "evaluate"]
    assert made("show").next[1:] == ["show", "digit-7"]
    assert made("show", "digit-7").next[1:] == ["animate", "digit-7"]
    assert made("recipes").next[1:] == ["recipes", "digit"]
    assert made("recipes", "digit").next[1:] == ["train", "--digit", "7"]
    assert made("recipes", "digits").next[1:] == ["train", "--recipe", "digits"]


@pytest.mark.parametrize("command", ["show", "show a", "animate --out f.gif", "sample"])
def test_the_next_command_finds_the_run_wherever_it_lies(lab: Lab, command: str) -> None:
    name, *rest = command.split()
    lab.copy(lab.finished, Path("elsewhere"))
    done = made(name, *rest, "--runs-dir", "elsewhere")
    if done.next[1] != "evaluate":
        assert made(*done.next[1:]).made.exists()
    assert done.next[-2:] == ["--runs-dir", "elsewhere"]


JSON = {
    "train": ["path", "run", "status", "step", "total_steps"],
    "train --dry-run": ["config", "total_steps"],
    "show": ["runs"],
    "show a": ["config", "last_log", "path", "run", "status", "status_file", "step"],
    "doctor": ["run", "healthy", "findings", "steps", "epoch"],
    "doctor a": ["run", "healthy", "findings", "steps", "epoch"],
    "sample": ["count", "path", "run", "step"],
    "animate": ["films", "run"],
    "recipes": ["recipes"],
    "recipes digit": ["generator", "training"],
}
JSON_FAILURES = {
    "train --digit 10": ("ConfigError", 2),
    "train --steps many": ("UsageError", 2),
    "train --digit 1 --data nowhere": ("DataError", 3),
    "show nothing": ("CheckpointError", 4),
    "doctor nothing": ("CheckpointError", 4),
    "sample nothing": ("CheckpointError", 4),
    "sample a --out missing/x.png": ("StorageError", 7),
    "animate a --fps 0": ("ConfigError", 2),
    "evaluate nothing": ("CheckpointError", 4),
    "evaluate a -n 0": ("ConfigError", 2),
    "recipes digti": ("ConfigError", 2),
    "tarin": ("UsageError", 2),
}


@pytest.mark.parametrize("command", JSON)
def test_json_is_one_object(lab: Lab, command: str) -> None:
    lab.copy(lab.finished, Path("checkpoints"))
    name, *rest = command.split()
    words = [*lab.tiny, *rest] if name == "train" else [name, *rest]
    found = made(*words, "--json").json
    assert set(JSON[command]) <= set(found)
    for path in [found.get("path"), *(film["path"] for film in found.get("films", []))]:
        assert path is None or Path(path).exists()


@pytest.mark.parametrize("command", JSON_FAILURES)
def test_json_of_a_failure_is_one_object(lab: Lab, command: str) -> None:
    lab.copy(lab.finished, Path("checkpoints"))
    before = files_below(Path())
    done = call(*command.split(), "--json")
    kind, code = JSON_FAILURES[command]
    assert done.code == code
    error = done.json["error"]
    assert (error["kind"], error["exit_code"]) == (kind, code)
    assert done.stderr.splitlines()[-1] == f"error: {error['message']}"
    assert files_below(Path()) == before


@pytest.mark.parametrize("words", [["show"], ["show", "a"], ["sample"], ["animate"], ["train"]])
def test_quiet_leaves_the_result_alone(lab: Lab, words: list[str]) -> None:
    lab.copy(lab.finished, Path("checkpoints"))
    given = [*lab.tiny, "--force"] if words == ["train"] else words
    done = made(*given, "--quiet")
    assert done.stderr == ""
    assert done.made.exists()
    assert done.stdout == made(*given).stdout
    assert refused(4, *words, "nothing", "--quiet") if words == ["sample"] else True


class TestTrain:
    def test_a_rerun_of_a_finished_run_changes_no_file(self, lab: Lab) -> None:
        run = lab.copy(lab.finished, Path("checkpoints"))
        before = files_below(run)
        done = made(*lab.tiny)
        assert "finished already" in done.stderr
        assert done.made == run
        assert made("train", "--resume", "a").made == run
        assert made(*lab.tiny, "--max-seconds", 1, "--device", "cpu").made == run
        assert files_below(run) == before

    def test_its_config_repeats_it(self, lab: Lab) -> None:
        config = lab.finished / "config.toml"
        run = made("train", "--recipe", config, "--name", "a", "--device", "cpu").made
        assert outcome(run) == outcome(lab.finished)
        said = made("train", "--recipe", config, "--dry-run").stdout
        assert said == config.read_text()

    def test_another_identity_is_refused_and_listed(self, lab: Lab) -> None:
        run = lab.copy(lab.finished, Path("checkpoints"))
        before = files_below(run)
        changes = ["--seed", 3, "--set", "training.batch_size=8", "--set", "latent.size=5"]
        sentence = refused(6, *lab.tiny, *changes)
        for word in ("training.seed", "training.batch_size is 16 there and 8 here", "latent.size"):
            assert word in sentence
        assert "--name" in sentence
        assert "--force" in sentence
        assert "training.steps" not in sentence
        assert "data.source" in refused(6, *lab.tiny, "--data", lab.classes)
        assert "training.steps" in refused(6, "train", "--resume", "a", "--steps", 61)
        assert files_below(run) == before

    def test_other_data_in_the_same_place_are_refused(self, lab: Lab) -> None:
        data = shutil.copy(lab.data, "moving.idx")
        words = [*lab.tiny, "--data", data]
        made(*words, "--max-seconds", 0.0001)
        content = bytearray(Path(data).read_bytes())
        content[-1] ^= 1
        Path(data).write_bytes(content)
        before = files_below(RUN)
        assert "fingerprint" in refused(6, *words)
        after = files_below(RUN)
        assert {p: k for p, (k, _) in after.items()} == {p: k for p, (k, _) in before.items()}

    def test_a_run_goes_on_whatever_its_folder_is_called(self, lab: Lab) -> None:
        run = made(*lab.tiny, "--max-seconds", 0.0001).made
        renamed = run.rename(run.with_name("digit 7 (copy)"))
        assert made("train", "--resume", renamed.name).made == renamed
        assert status_of(renamed)["status"] == "finished"
        assert states(renamed)[-1].read_bytes() == states(lab.finished)[-1].read_bytes()

    def test_resume_is_of_one_run(self, lab: Lab) -> None:
        run = lab.copy(lab.finished, Path("checkpoints"))
        before = files_below(run)
        sentence = refused(2, "train", "--resume", "a", "--seed", "0,1")
        assert "--resume goes on with one run" in sentence
        assert "--name" not in sentence
        assert files_below(run) == before

    def test_force_starts_afresh_and_leaves_other_files(self, lab: Lab) -> None:
        run = lab.copy(lab.finished, Path("checkpoints"))
        (run / "notes.txt").write_text("mine")
        made(*lab.tiny, "--force", "--steps", 10)
        assert status_of(run)["step"] == 10
        assert [path.name[6:15] for path in states(run)] == ["000000009", "000000010"]
        assert max(record["step"] for record in log_of(run)) == 10
        assert len(list((run / "frames").iterdir())) == 2
        assert (run / "notes.txt").read_text() == "mine"
        made(*lab.tiny, "--force")
        assert outcome(run) == lab.reference(60)

    def test_a_dry_run_writes_nothing(self, lab: Lab) -> None:
        done = made(*lab.tiny, "--dry-run")
        assert files_below(Path()) == {}
        Path("dry.toml").write_text(done.stdout)
        made("train", "--recipe", "dry.toml", "--name", "a", "--device", "cpu")
        assert outcome(RUN) == lab.reference(60)

    def test_frames_closer_than_their_names_are_not_drawn(self, lab: Lab) -> None:
        data = write_idx(Path("many.idx"), (2500, 8, 8), bytes(2500 * 64))
        words = ["--set", "training.batch_size=2", "--frame-every", 0.001, "--steps", 13]
        run = made(*lab.tiny, "--data", data, *words).made
        steps = [int(Image.open(path).text["step"]) for path in run.glob("frames/*")]
        assert sorted(steps) == [0, 2, 4, 6, 8, 10, 13]

    def test_a_frame_every_epoch_and_the_first_before_any(self, lab: Lab) -> None:
        made(*lab.tiny, "--frame-every", 1, "--epochs", 5)
        names = [path.name for path in sorted((RUN / "frames").iterdir())]
        assert names == [f"epoch-{epoch:05d}.png" for epoch in range(6)]
        with Image.open(RUN / "frames" / "epoch-00003.png") as frame:
            assert frame.text["epoch"] == "3"
            assert frame.text["run"] == "a"
        assert [record["epoch"] for record in log_of(RUN)] == [1, 2, 3, 4, 5]
        assert [record["images"] for record in log_of(RUN)] == [64, 128, 192, 256, 320]

    def test_a_run_per_digit_and_seed(self, lab: Lab) -> None:
        words = ["train", "--recipe", lab.recipe, "--data", lab.classes, "--steps", 4]
        words += ["--threads", 1, "--device", "cpu"]
        done = made(*words, "--digit", "0,2", "--seed", "0-1")
        names = [Path(line).name for line in done.stdout.splitlines()]
        assert names == [
            "tiny-three-digit-0",
            "tiny-three-digit-0-seed-1",
            "tiny-three-digit-2",
            "tiny-three-digit-2-seed-1",
        ]
        weights = {states(Path(line))[-1].read_bytes() for line in done.stdout.splitlines()}
        assert len(weights) == 4
        listed = made("show", "--json").json["runs"]
        assert sorted(entry["run"] for entry in listed) == sorted(names)
        assert all(entry["status"] == "finished" for entry in listed)
        assert "--name" in refused(2, *words, "--digit", "0,1", "--name", "b")

    def test_labels_condition_unless_left_out(self, lab: Lab) -> None:
        words = ["train", "--recipe", lab.recipe, "--steps", 2, "--threads", 1, "--device", "cpu"]
        labelled = made(*words, "--data", lab.classes, "--name", "b", "--json").json["run"]
        assert made("show", labelled, "--json").json["config"]["data"]["conditional"] is True
        bare = made(*words, "--data", lab.classes, "--name", "c", "--unconditional").made
        assert made("show", bare, "--json").json["config"]["data"]["conditional"] is False

    def test_a_folder_of_pictures(self, lab: Lab) -> None:
        for label in ("cat", "dog"):
            (Path("pets") / label).mkdir(parents=True)
            for number in range(8):
                shade = 255 if label == "cat" else number
                Image.new("L", (20, 30), shade).save(f"pets/{label}/{number}.png")
        words = ["train", "--recipe", lab.recipe, "--data", "pets", "--steps", 2, "--threads", 1]
        run = made(*words, "--device", "cpu").made
        assert run == Path("checkpoints/tiny-pets")
        config = made("show", run, "--json").json["config"]["data"]
        assert (config["classes"], config["conditional"]) == (2, True)
        assert config["source"] == str(Path("pets").resolve())


WRONG_SAMPLES = [
    ("-n 0", "-n 0"),
    ("-n 99999999", "-n 99999999"),
    ("--truncation nan", "0 to 2"),
    ("--truncation -1", "0 to 2"),
    ("--seeds 3-1", "backwards"),
    ("--seeds 0-99999999999999999999", "--seeds"),
    ("--seeds 1,18446744073709551616,2", "18446744073709551616"),
    ("--seeds x", "0,3-9"),
    ("--seeds 1,2 -n 3", "--seeds"),
    ("--grid 2x2 -n 5", "2x2"),
    ("--grid 0x4", "0x4"),
    ("--grid 4", "8x10"),
    ("-n 4 --grid 1x1000000000", "too large"),
    ("-n 4 --grid 1x99999999999999999999999", "too large"),
    ("--interpolate 3", "3,8"),
    ("--interpolate 1,2 --seeds 3", "--seeds"),
    ("--interpolate 1,2 --separate", "--separate"),
    ("--out x.jpg", ".png"),
    ("-n 20000", "--separate"),
]


class TestSample:
    def test_a_seed_is_an_image_however_it_is_asked(self, lab: Lab) -> None:
        for number, words in enumerate([["--seeds", "3,5-6"], ["-n", "70"], ["--seeds", "6,5,3"]]):
            made("sample", lab.finished, *words, "--out", f"{number}.npz")
        some, many, back = (np.load(f"{number}.npz") for number in range(3))
        assert some["images"].shape == (3, 8, 8)
        assert some["images"].dtype == np.uint8
        assert some["seeds"].tolist() == [3, 5, 6]
        assert "labels" not in some
        assert np.array_equal(many["images"][[3, 5, 6]], some["images"])
        assert np.array_equal(back["images"], some["images"][::-1])
        assert len(np.unique(many["images"], axis=0)) == 70
        assert made("sample", lab.finished, "-n", 70, "--out", "again.npz").code == 0
        assert Path("again.npz").read_bytes() == Path("1.npz").read_bytes()

    def test_every_format_holds_the_same_images(self, lab: Lab) -> None:
        made("sample", lab.finished, "-n", 6, "--out", "s.npz")
        images = np.load("s.npz")["images"]
        assert made("sample", lab.finished, "-n", 6, "--out", "s.idx").made == Path("s.idx")
        header = struct.pack(">HBB3I", 0, 8, 3, 6, 8, 8)
        assert Path("s.idx").read_bytes() == header + images.tobytes()
        folder = made("sample", lab.finished, "-n", 6, "--separate", "--out", "s").made
        for seed, path in enumerate(sorted(folder.iterdir())):
            with Image.open(path) as picture:
                assert np.array_equal(np.asarray(picture), images[seed])
                assert picture.text["seed"] == str(seed)
        made("sample", lab.finished, "--grid", "2x3", "--out", "s.png")
        with Image.open("s.png") as picture:
            assert picture.size == (3 * 10 + 2, 2 * 10 + 2)
            assert np.array_equal(np.asarray(picture)[12:20, 12:20], images[4])
            about = dict(picture.text)
        assert about["run"] == "a"
        assert about["recipe"] == "tiny"
        assert about["seeds"] == "0-5"
        assert about["version"] == gancli.__version__

    def test_idx_and_labels_train_a_run(self, lab: Lab) -> None:
        made("sample", lab.conditional, "-n", 30, "--out", "mine.idx")
        labels = Path("mine.labels.idx").read_bytes()[8:]
        assert list(labels) == [seed % 3 for seed in range(30)]
        words = [*lab.tiny, "--data", "mine.idx", "--steps", 2]
        assert status_of(made(*words).made)["data"]["images"] == 30

    def test_a_class_on_request(self, lab: Lab) -> None:
        made("sample", lab.conditional, "-n", 6, "--out", "turns.npz")
        made("sample", lab.conditional, "-n", 6, "--digit", 1, "--out", "ones.npz")
        turns, ones = np.load("turns.npz"), np.load("ones.npz")
        assert turns["labels"].tolist() == [0, 1, 2, 0, 1, 2]
        assert ones["labels"].tolist() == [1] * 6
        same = (turns["images"] == ones["images"]).all((1, 2))
        assert same.tolist() == [False, True, False, False, True, False]
        assert "0 to 2" in refused(2, "sample", lab.conditional, "--digit", 3)
        assert "no --digit" in refused(2, "sample", lab.finished, "--digit", 1)

    def test_interpolation_ends_at_its_seeds(self, lab: Lab) -> None:
        made("sample", lab.finished, "--interpolate", "3,8", "-n", 5, "--out", "way.npz")
        made("sample", lab.finished, "--seeds", "3,8", "--out", "ends.npz")
        way, ends = np.load("way.npz")["images"], np.load("ends.npz")["images"]
        assert way.shape == (5, 8, 8)
        # Half a grey level more or less: the ends are reached by way of sine and cosine.
        assert abs(way[[0, -1]].astype(int) - ends).max() <= 1
        assert len(np.unique(way, axis=0)) == 5

    def test_truncation_brings_samples_together(self, lab: Lab) -> None:
        spread = []
        for truncation in (0, 0.5, 1):
            made("sample", lab.finished, "--truncation", truncation, "--out", "t.npz")
            spread.append(np.load("t.npz")["images"].std(0).mean())
        assert spread[0] == 0
        assert spread[0] < spread[1] < spread[2]

    def test_real_images_in_place_of_fakes(self, lab: Lab) -> None:
        run = lab.held_out
        content = (lab.root / "shades/t10k-images-idx3-ubyte").read_bytes()[16:]
        images = np.frombuffer(content, np.uint8).reshape(48, 8, 8)
        done = made("sample", run, "--real", "--out", "all.npz", "--json")
        assert done.json["count"] == 48  # as many as there are, up to the usual 64
        assert "wrote 48 real images that a was not trained on" in done.stderr
        found = np.load("all.npz")
        assert np.array_equal(found["images"], images)
        assert found["labels"].tolist() == [number % 3 for number in range(48)]
        assert "seeds" not in found
        made("sample", run, "--real", "--seeds", "5,2", "--digit", 1, "--out", "ones.idx")
        ones = images[1::3]
        assert Path("ones.idx").read_bytes()[16:] == ones[[5, 2]].tobytes()
        folder = made("sample", run, "--real", "-n", 3, "--separate", "--out", "reals").made
        for number, path in enumerate(sorted(folder.iterdir())):
            assert path.name == f"real-{number:06d}.png"
            with Image.open(path) as picture:
                assert np.array_equal(np.asarray(picture), images[number])
                assert "step" not in picture.text
                assert "shades, not trained on" in picture.text["real"]

    def test_real_images_that_are_not_there(self, lab: Lab) -> None:
        run = lab.copy(lab.held_out, Path("checkpoints"))
        before = files_below(run)
        assert "give -n 48 or fewer" in refused(2, "sample", run, "--real", "-n", 49)
        assert "give -n 16 or fewer" in refused(2, "sample", run, "--real", "--digit", 0, "-n", 17)
        assert "leave --interpolate" in refused(2, "sample", run, "--real", "--interpolate", "1,2")
        assert "labels are 0, 1, 2" in refused(3, "sample", run, "--real", "--digit", 7)
        assert "data.holdout=N" in refused(3, "sample", lab.finished, "--real")
        assert files_below(run) == before

    def test_default_files_tell_requests_apart(self, lab: Lab) -> None:
        lab.copy(lab.finished, Path("checkpoints"))
        words = [[], ["-n", 4], ["--truncation", 0.5], ["--interpolate", "1,2"], ["--separate"]]
        paths = [made("sample", *rest).made for rest in words]
        assert len(set(paths)) == len(words)
        assert all(path.parent == RUN / "samples" for path in paths)

    def test_a_checkpoint_file_and_a_snapshot(self, lab: Lab) -> None:
        first, *_, last = sorted((lab.finished / "snapshots").glob("*.safetensors"))
        made("sample", first, "-n", 9, "--out", "first.npz")
        made("sample", last, "-n", 9, "--out", "last.npz")
        made("sample", lab.finished, "-n", 9, "--out", "run.npz")
        run = np.load("run.npz")["images"]
        assert np.array_equal(np.load("last.npz")["images"], run)
        assert not np.array_equal(np.load("first.npz")["images"], run)

    @pytest.mark.parametrize(("words", "fix"), WRONG_SAMPLES)
    def test_a_wrong_request_is_named(self, lab: Lab, words: str, fix: str) -> None:
        run = lab.copy(lab.finished, Path("checkpoints"))
        before = files_below(run)
        assert fix in refused(2, "sample", *words.split())
        assert files_below(Path("checkpoints")).keys() == {f"a/{name}" for name in before}


WRONG_FILMS = [
    ("--fps 0", "--fps"),
    ("--fps -1", "--fps"),
    ("--fps nan", "--fps"),
    ("--fps 1000", "--fps"),
    ("--seconds 0", "--seconds"),
    ("--seconds inf", "--seconds"),
    ("--fps 5 --seconds 5", "--seconds"),
    ("--scale 0", "--scale"),
    ("--scale 100000", "--scale"),
    ("--hold -1", "--hold"),
    ("--hold nan", "--hold"),
    ("--out film.avi", ".mp4"),
    ("--out good.gif --out film.avi", ".mp4"),
]


class TestAnimate:
    def test_default_films(self, lab: Lab) -> None:
        lab.copy(lab.finished, Path("checkpoints"))
        done = made("animate", "--json")
        films = {Path(film["path"]).name: film for film in done.json["films"]}
        assert set(films) == {"evolution.gif", "evolution.mp4"}
        for name, film in films.items():
            path = RUN / "films" / name
            assert film["frames"] == 6
            assert film["seconds"] == pytest.approx(6 / 10 + 1.5, abs=0.1)
            assert film["bytes"] == path.stat().st_size
            assert film["width"] % 2 == film["height"] % 2 == 0 or name.endswith("gif")
        with Image.open(RUN / "films" / "evolution.gif") as film:
            assert film.n_frames == 6
            assert film.size == (films["evolution.gif"]["width"], films["evolution.gif"]["height"])
        assert (RUN / "films" / "evolution.mp4").read_bytes()[4:8] == b"ftyp"

    def test_options_show_in_the_films(self, lab: Lab) -> None:
        def film(*words: object) -> dict:
            return made("animate", lab.finished, *words, "--json").json["films"][0]

        plain = film("--out", "a.gif", "--scale", 3, "--no-caption", "--hold", 0)
        assert (plain["width"], plain["height"]) == (42 * 3, 22 * 3)
        assert plain["seconds"] == pytest.approx(0.6)
        with Image.open("a.gif") as gif, Image.open(lab.finished / "frames/epoch-00000.png") as png:
            small = np.asarray(gif.convert("L"))[1::3, 1::3].astype(int)
            assert abs(small - np.asarray(png)).max() <= 9  # 16 levels of grey
        captioned = film("--out", "b.gif", "--scale", 3, "--hold", 0)
        assert captioned["height"] > plain["height"]
        assert captioned["width"] == plain["width"]
        assert film("--out", "c.gif", "--fps", 20, "--hold", 0)["seconds"] == pytest.approx(0.3)
        assert film("--out", "d.webp", "--seconds", 3, "--hold", 1)["seconds"] == pytest.approx(4)
        done = made("animate", lab.finished, "--out", "e.webp", "--out", "f.gif", "--scale", 1)
        assert done.stdout == "e.webp\nf.gif\n"
        assert all(Path(line).exists() for line in done.stdout.splitlines())

    @pytest.mark.parametrize(("words", "fix"), WRONG_FILMS)
    def test_a_wrong_request_is_named(self, lab: Lab, words: str, fix: str) -> None:
        run = lab.copy(lab.finished, Path("checkpoints"))
        before = files_below(run)
        assert fix in refused(2, "animate", *words.split())
        assert files_below(Path()).keys() == {str(run / name) for name in before}

    def test_frames_that_are_not_as_they_should_be(self, lab: Lab) -> None:
        frames = lab.copy(lab.finished, Path("checkpoints")) / "frames"
        (frames / "epoch-00006.png").unlink()
        done = made("animate", "--out", "x.gif", "--json")
        assert "between epoch 3 and 9" in done.stderr
        assert done.json["films"][0]["frames"] == 5

        kept = Path("x.gif").read_bytes()
        path = frames / "epoch-00009.png"
        whole = path.read_bytes()
        for content in (whole[:300], b"", b"<html>"):
            path.write_bytes(content)
            assert path.name in call("animate", "--out", "x.gif").stderr
            assert call("animate", "--out", "x.gif").code == 3
        Image.new("L", (9, 9)).save(path)
        assert path.name in call("animate", "--out", "x.gif").stderr
        assert Path("x.gif").read_bytes() == kept

        for other in frames.iterdir():
            shutil.copy(frames / "epoch-00000.png", other) if other.stem[-1] != "0" else None
        assert "stands still" in made("animate", "--out", "x.gif").stderr
        for other in frames.iterdir():
            if other.name != "epoch-00000.png":
                other.unlink()
        assert made("animate", "--out", "x.gif", "--json").json["films"][0]["frames"] == 1
        (frames / "epoch-00000.png").unlink()
        assert "frames" in refused(3, "animate", "--out", "x.gif")

    def test_films_of_other_kinds(self, lab: Lab) -> None:
        run = lab.copy(lab.conditional, Path("checkpoints"))
        short = ["--seconds", 0.3, "--scale", 1]
        for kind in ("walk", "truncation", "morph"):
            done = made("animate", "a", f"--{kind}", *short, "--json")
            assert done.json["kind"] == kind
            assert [film["frames"] for film in done.json["films"]] == [6, 6]
            assert (run / "films" / f"{kind}.gif").exists()
            assert done.next[1:] == ["sample", "a"]
        words = ["animate", "a", "--out", "film", "--out", "x.gif", "--poster", "p.png", "--losses"]
        done = made(*words, "--smooth", 1)
        assert done.stdout == "p.png\nfilm\nx.gif\n"
        assert len(list(Path("film").iterdir())) == 2 * 6 - 1
        assert all(path.stat().st_size for path in (Path("p.png"), Path("x.gif")))

    def test_runs_side_by_side(self, lab: Lab) -> None:
        for number, source in enumerate((lab.finished, lab.conditional)):
            lab.copy(source, Path("checkpoints")).rename(f"checkpoints/run-{number}")
        (Path("checkpoints/run-1/frames") / "epoch-00006.png").unlink()
        done = made("animate", "run-0", "run-1", "--out", "x.webp", "--json")
        assert done.json["runs"] == ["run-0", "run-1"]
        assert "1 frames of run-1 are missing" in done.stderr
        assert done.json["films"][0]["frames"] == 6

    def test_ten_digits(self, lab: Lab) -> None:
        assert "train --digit 0-9" in refused(4, "animate", "a", "--digits")
        for digit in range(10):
            shutil.copytree(lab.finished, f"checkpoints/a-digit-{digit}")
        done = made("animate", "a", "--digits", "--out", "x.webp", "--json")
        assert done.json["runs"] == [f"a-digit-{digit}" for digit in range(10)]
        assert refused(2, "animate", "a", "b", "--digits")

    @pytest.mark.parametrize(
        ("words", "code", "fix"),
        [
            ("--walk --morph", 2, "--walk and --morph are two films"),
            ("--morph", 2, "train one without --digit"),
            ("--grid 3", 2, "rows x columns"),
            ("--poster p.gif", 2, ".png"),
            ("--poster no/p.png", 7, "no/p.png"),
            ("--out no/film", 7, "no/film"),
            ("--smooth 40", 2, "--smooth"),
            ("--walk --smooth 2", 2, "leave it out with --walk"),
            ("--walk --out fifo.gif", 7, "not a regular file"),
        ],
    )
    def test_what_cannot_be_leaves_nothing(self, lab: Lab, words: str, code: int, fix: str) -> None:
        run = lab.copy(lab.finished, Path("checkpoints"))
        if "fifo" in words:
            os.mkfifo("fifo.gif")
        before = files_below(run)
        assert fix in refused(code, "animate", *words.split())
        assert files_below(Path()).keys() == {str(run / name) for name in before}


class TestEvaluate:
    def test_every_figure_stands_beside_that_of_real_images(self, lab: Lab) -> None:
        run = lab.copy(lab.digit, Path("checkpoints"))
        done = made("evaluate", "-n", 1100, "--json")
        found = done.json
        path = run / "scores.json"
        assert found == {**json.loads(path.read_text()), "path": str(path)}
        assert found["step"] == 30
        assert len(found["judge_sha256"]) == 64
        for figure in found["figures"]:
            assert figure["low"] <= figure["value"] <= figure["high"]
            assert figure["real_low"] <= figure["real"] <= figure["real_high"]
        figures = {figure["name"]: figure for figure in found["figures"]}
        assert figures["judge_share"]["real"] > 0.98
        assert figures["judge_share"]["value"] <= 1
        (listed,) = made("show", "--json").json["runs"]
        assert listed["judge_share"] == figures["judge_share"]["value"]
        assert listed["judge_share_real"] == figures["judge_share"]["real"]

        before = files_below(run)
        for words, fix in [("-n 5", "too few"), ("-n 0", "-n 0"), ("--seed -1", "--seed")]:
            assert fix in call("evaluate", *words.split()).stderr
        assert files_below(run) == before

    def test_the_closest_pairs_are_drawn_into_the_folder_of_the_run(self, lab: Lab) -> None:
        run = lab.copy(lab.held_out, Path("checkpoints"))
        done = made("evaluate", "-n", 60, "--quick", "--json")
        assert done.json["closest_pairs"] is None
        assert not (run / "plots").exists()
        done = made("evaluate", "-n", 60)
        path = run / "plots/closest-pairs.png"
        assert str(path) in done.stderr
        assert json.loads((run / "scores.json").read_text())["closest_pairs"] == str(path)

        made("sample", "-n", 48, "--out", "fakes.npz")
        fakes = np.load("fakes.npz")["images"].astype(float)
        content = (lab.root / "shades/train-images-idx3-ubyte").read_bytes()[16:]
        train = np.frombuffer(content, np.uint8).reshape(-1, 8, 8).astype(float)
        squares = ((fakes[:, None] - train) ** 2).sum((2, 3))
        fake, learned = np.unravel_index(squares.argmin(), squares.shape)
        with Image.open(path) as picture:
            pixels, about = np.asarray(picture), dict(picture.text)
        scale = picture.width // 122
        wanted = fakes[fake].repeat(scale, 0).repeat(scale, 1)
        here = slice(2 * scale, 10 * scale)
        top = next(
            row
            for row in range(len(pixels))
            if np.array_equal(pixels[row : row + 8 * scale, here], wanted)
        )
        first = pixels[top::scale, 2 * scale :: scale]
        assert np.array_equal(first[:8, :8], fakes[fake])
        assert np.array_equal(first[10:18, :8], train[learned])
        assert (about["run"], about["step"]) == ("a", "60")

    def test_usefulness_is_told_when_it_is_asked_for(
        self, lab: Lab, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gancli.metrics.classifier.JUDGE_LEAST_STEPS", 20)
        run = lab.copy(lab.held_out, Path("checkpoints"))
        before = made("evaluate", "-n", 60, "--quick", "--json").json["figures"]
        done = made("evaluate", "-n", 60, "--quick", "--cas", "--json")
        figures = json.loads((run / "scores.json").read_text())["figures"]
        assert done.json["figures"] == figures
        assert figures[:-2] == before
        cas, reverse = figures[-2:]
        assert (cas["name"], reverse["name"]) == ("cas", "reverse_cas")
        assert cas["real"] == reverse["real"]
        assert "64 fakes" in cas["protocol"]
        assert "about a minute each" in done.stderr

    @pytest.mark.parametrize(
        ("words", "reason"),
        [
            (["--digit", 1], "a draws the digit 1 alone; train one without --digit"),
            (["--unconditional"], "without labels; train one without --unconditional"),
            (["--data", "NOISE"], "the data of a have no labels; train on data that have"),
        ],
        ids=lambda value: str(value[0]) if isinstance(value, list) else "",
    )
    def test_usefulness_needs_a_generator_that_is_told_what_to_draw(
        self, lab: Lab, words: list[object], reason: str
    ) -> None:
        data = ["--data", lab.root / "shades"]
        assert lab.held_out.exists()
        given = [lab.data if word == "NOISE" else word for word in words]
        made(*lab.tiny, *data, "--steps", 2, *given)
        error = refused(2, "evaluate", "--cas")
        assert error.startswith("error: --cas needs a generator that is told which class to draw")
        assert reason in error

    def test_usefulness_is_not_asked_of_made_data(self) -> None:
        made("train", "--data", "ring8", "--steps", 2, "--threads", 1, "--device", "cpu")
        assert "the modes of ring8 are known" in refused(2, "evaluate", "--cas")

    def test_data_that_have_changed_or_gone_are_refused(self, lab: Lab) -> None:
        data = Path(shutil.copy(lab.data, "moving.idx"))
        run = made(*lab.tiny, "--data", data, "--steps", 2).made
        content = bytearray(data.read_bytes())
        content[-1] ^= 1
        data.write_bytes(content)
        assert "fingerprint" in call("evaluate", run).stderr
        data.unlink()
        done = call("evaluate", run)
        assert (done.code, "moving.idx" in done.stderr) == (3, True)
        assert not (run / "scores.json").exists()


def test_show_draws_a_run_without_a_terminal(lab: Lab) -> None:
    done = made("show", lab.finished)
    assert done.stdout == f"{lab.finished}\n"
    assert "batch_size = 16" in done.stderr
    assert "loss D" in done.stderr
    assert "\x1b" not in done.stderr
    drawn = [line for line in done.stderr.splitlines() if len(line) > 30 and "=" not in line]
    assert len(drawn) >= 2
    assert "no runs" in made("show").stderr
    assert made("show", "--json").json == {"runs": []}


def test_recipes_print_toml_to_build_on(lab: Lab) -> None:
    for line in made("recipes").stdout.splitlines():
        name = line.split()[0]
        Path("mine.toml").write_text(made("recipes", name, "--quiet").stdout)
        mine, its = (
            made("train", "--recipe", recipe, "--dry-run", "--threads", 1).stdout.splitlines()
            for recipe in ("mine.toml", name)
        )
        assert mine == its


def test_recipes_tell_their_size_and_how_long_they_take(lab: Lab) -> None:
    listed = made("recipes", "--json").json["recipes"]
    by_name = {row["name"]: row for row in listed}
    assert list(by_name) == gancli.recipes.names()
    base = by_name["r5-base"]
    assert (base["report"], base["parameters"]) == ("R5", 1_164_289 + 40_705)
    # At its own length on two cores it takes hours, and its preview minutes.
    assert 60 < base["minutes"] < 3_000
    assert base["preview"]
    assert by_name["digit"]["report"] is None
    assert not by_name["digit"]["preview"]
    assert all(0 < row["minutes"] < 10_000 for row in listed)
    lines = made("recipes").stdout.splitlines()
    assert len({len(line) for line in lines}) == 1  # numbers stand under each other
    for line, row in zip(lines, listed, strict=True):
        assert line.split()[:2] == [row["name"], row["report"] or "-"]
        assert line.split()[-2] == f"{row['parameters']:,}"


@pytest.mark.skipif(os.name != "posix", reason="the loop of a shell")
def test_the_loop_over_digits_reports_each_failure(lab: Lab, tmp_path: Path) -> None:
    from commands import shell

    Path("checkpoints").mkdir()
    Path("checkpoints/tiny-three-digit-1").write_text("in the way")
    words = f"train --recipe '{lab.recipe}' --data '{lab.classes}' --threads 1 --device cpu"
    script = (
        f'for d in 0 1; do gancli {words} --steps 2 --digit $d --quiet || echo "digit $d: $?"; done'
    )
    assert shell(script, tmp_path).stdout == "checkpoints/tiny-three-digit-0\ndigit 1: 7\n"


def test_long_work_says_how_far_it_is_where_nobody_watches(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["animate", lab.finished, "--out", "film", "--scale", 1]
    line = re.compile(r"^[\d,]+ of [\d,]+ frames$", re.MULTILINE)
    assert not line.findall(made(*words).stderr)  # not after a moment
    monkeypatch.setattr("gancli.cli.progress._LINE_SECONDS", 0)
    said = line.findall(made(*words).stderr)
    assert said == [f"{n + 1} of {len(said)} frames" for n in range(len(said))]
    assert len(said) > 2
    assert not line.findall(made(*words, "--quiet").stderr)
