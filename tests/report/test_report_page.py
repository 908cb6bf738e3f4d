from __future__ import annotations

import base64
import hashlib
import io
import itertools
import json
import math
import re
import shutil
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pages import Page
from PIL import Image
from tiny import TinyConfig, TrainRun

import gancli
from gancli import report, sampling
from gancli.errors import CheckpointError, ConfigError, DataError, StorageError
from gancli.pictures.grid import make_grid, save_png
from gancli.report import comparison, gather
from gancli.report.words import NOTHING
from gancli.runs import RunDirectory

ADDRESSES = ("href", "src", "srcset", "action", "data", "poster", "formaction", "xlink:href")


def written(*runs: RunDirectory, out: str = "page.html") -> Page:
    report.write(runs, Path(out))
    return Page(Path(out))


def copied(run: RunDirectory, name: str = "copy") -> RunDirectory:
    return RunDirectory(Path(shutil.copytree(run.path, Path("runs") / name)))


def opened(address: str) -> Image.Image:
    kind, _, content = address.partition(",")
    assert kind == "data:image/png;base64"
    picture = Image.open(io.BytesIO(base64.b64decode(content)))
    picture.load()
    return picture


def figure(name: str = "judge_share", **changes: Any) -> dict[str, Any]:
    usual = {"value": 0.75, "low": 0.7, "high": 0.8, "real": 0.99, "real_low": 0.98, "real_high": 1}
    words = {"name": name, "protocol": "how it was done", "better": "higher", "unit": "share"}
    return {**words, **usual, **changes}


def scored(run: RunDirectory, *figures: dict[str, Any], step: int = 12) -> RunDirectory:
    card = {"step": step, "samples": 10_000, "judge": "a judge", "figures": figures}
    run.scores_path.write_text(json.dumps(card))
    return run


def test_a_page_shows_what_was_run_and_how_to_repeat_it(tiny_run: RunDirectory) -> None:
    page, status = written(tiny_run), tiny_run.read_status()
    for wanted in (
        *status["versions"].values(),
        status["data"]["fingerprint"],
        "gancli train --recipe config.toml --name tiny",
        "finished at step 12 of 12, epoch 2.",
        "48 images",
        " ".join(tiny_run.config_path.read_text().split()),
    ):
        assert wanted in page.text, wanted
    (link,) = page.all("a", download="config.toml")
    toml = base64.b64decode(link["href"].partition("base64,")[2])
    assert toml == tiny_run.config_path.read_bytes()


def test_headings_are_in_order_and_one_is_the_first(
    tiny_run: RunDirectory, tiny_digit_run: RunDirectory
) -> None:
    for page in (written(tiny_run), written(tiny_run, tiny_digit_run)):
        levels = [level for level, _ in page.headings]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
        assert all(words.strip() for _, words in page.headings)
    assert page.headings[0][1] == "2 runs side by side"
    assert [words for level, words in page.headings if level == 2] == [
        "Films",
        "What came of it",
        "Where they differ",
        "tiny",
        "tiny-digit-1",
    ]
    (html,) = page.all("html")
    assert html == {"lang": "en"}
    anchors = [about["href"] for about in page.all("a")]
    assert {"#run-1", "#run-2"} <= set(anchors)
    assert [about["id"] for about in page.all("article")] == ["run-1", "run-2"]
    names = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(names) == len(set(names))


def test_a_page_needs_nothing_beside_it(
    tiny_run: RunDirectory, tiny_digit_run: RunDirectory
) -> None:
    page = written(tiny_run, tiny_digit_run)
    for tag, attributes in page.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        assert "style" not in attributes
        assert not any(name.startswith("on") for name in attributes)
        for name in ADDRESSES:
            assert attributes.get(name, "#").startswith(("data:", "#"))
    (design,), script = page.styles, page.scripts[-1][1]
    assert "url(" not in design
    assert "@import" not in design
    assert not re.search(r"https?:|//\w", design + re.sub(r"^\s*//.*$", "", script, flags=re.M))
    (policy,) = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
    said = dict(part.strip().split(" ", 1) for part in policy["content"].split(";"))
    assert said["default-src"] == "'none'"
    assert said["img-src"] == "data:"
    for kind, words in (("style-src", design), ("script-src", script)):
        digest = base64.b64encode(hashlib.sha256(words.encode()).digest()).decode()
        assert said[kind] == f"'sha256-{digest}'"


def test_every_picture_is_whole_and_described(tiny_run: RunDirectory) -> None:
    page = written(tiny_run)
    pictures = page.all("img")
    assert len(pictures) == 2 + 12  # film, samples, pairs
    for about in pictures:
        picture = opened(about["src"])
        scale = int(about["width"]) / picture.width
        assert scale == int(about["height"]) / picture.height == int(scale) >= 1
        assert len(about["alt"]) > 20
    assert all(about["aria-label"] for about in page.all("svg", role="img"))
    assert all(about.get("aria-hidden") or about.get("role") for about in page.all("svg"))


def test_the_same_run_gives_the_same_bytes(tiny_run: RunDirectory) -> None:
    run = copied(tiny_run)
    first = report.write([run])
    content = (run.path / "report.html").read_bytes()
    assert (first.path, first.bytes) == (run.path / "report.html", len(content))
    assert report.write([run]) == first
    assert (run.path / "report.html").read_bytes() == content
    report.write([run], Path("other.htm"))
    assert Path("other.htm").read_bytes() == content
    assert not list(run.path.glob(".gancli-*"))


HOSTILE = "'\"><img src=x onerror=alert(1)>{{ 7*7 }}&lt;"
TEXT = "</script><script>alert(1)</script><!--\"{% raw %}'"


def test_every_value_is_escaped(tiny_run: RunDirectory, tiny_digit_run: RunDirectory) -> None:
    usual = written(tiny_run, tiny_digit_run)
    runs = [copied(tiny_run, HOSTILE), copied(tiny_digit_run, f"b{HOSTILE}")]
    for run in runs:
        config = run.config_path.read_text()
        for key in ("recipe", "summary", "report"):
            config = re.sub(rf'^{key} = ".*"\n', "", config, flags=re.M)
        hostile = "".join(
            f"{key} = {json.dumps(TEXT)}\n" for key in ("recipe", "summary", "report")
        )
        run.config_path.write_text(hostile + config)
        status = run.read_status()
        status["error"] = status["versions"]["gancli"] = status["device"] = TEXT
        status["data"]["fingerprint"] = TEXT
        run.write_status({**status, "command": ["gancli", TEXT], "status": "failed"})
        scored(run, figure(TEXT, protocol=TEXT), figure(f"share_{TEXT}"))
    page = written(*runs)
    assert HOSTILE in page.text
    assert page.text.count(TEXT) > 15
    assert len(page.scripts) == len(usual.scripts)
    assert not page.all("img", src="x")
    assert {tag for tag, _ in page.elements} <= {tag for tag, _ in usual.elements} | {"b"}
    assert all("{{" not in words for words in page.styles)


def test_a_film_has_the_frames_as_they_are(tiny_run: RunDirectory) -> None:
    page, log = written(tiny_run), tiny_run.read_log()
    film = page.film()
    frames = sorted(tiny_run.frames.iterdir())
    assert [base64.b64decode(png) for png in film["pngs"]] == [f.read_bytes() for f in frames]
    assert film["epochs"] == [0, 1, 2]
    assert film["words"][0] == "epoch 0"
    assert film["words"][2] == (
        f"epoch 2 · loss of G {log[-1]['g_loss']:.4g} · of D {log[-1]['d_loss']:.4g}"
    )
    (shown,) = [about for about in page.all("img") if about["alt"].endswith("after epoch 2")]
    assert base64.b64decode(shown["src"].partition(",")[2]) == frames[-1].read_bytes()
    (slider,) = page.all("input", type="range")
    assert (slider["min"], slider["max"], slider["value"]) == ("0", "2", "2")
    assert slider["aria-label"] == "Frame of the film of tiny"
    assert all("hidden" in about for about in page.all("div", class_="controls"))


def test_many_frames_are_thinned_evenly(tiny_run: RunDirectory) -> None:
    run = copied(tiny_run)
    frame = (run.frames / "epoch-00000.png").read_bytes()
    for epoch in range(231):
        (run.frames / f"epoch-{epoch:05d}.png").write_bytes(frame)
    made = report.write([run])
    assert (made.runs[0].frames, made.runs[0].of_frames) == (100, 231)
    page = Page(made.path)
    epochs = page.film()["epochs"]
    assert (epochs[0], epochs[-1], len(epochs)) == (0, 230, 100)
    assert {b - a for a, b in itertools.pairwise(epochs)} == {2, 3}
    assert "100 of 231 frames, evenly chosen" in page.text


def test_a_page_stays_within_its_size_however_large_the_frames(tiny_run: RunDirectory) -> None:
    run = copied(tiny_run)
    random = np.random.default_rng(0)
    for epoch in range(120):
        noise = random.integers(0, 256, (300, 320, 3), np.uint8)  # 290 kB as a PNG
        Image.fromarray(noise).save(run.frames / f"epoch-{epoch:05d}.png")
    made = report.write([run])
    assert 0.6 * gather.MOST_BYTES < made.bytes <= gather.MOST_BYTES == 3_000_000
    assert 4 <= made.runs[0].frames < 10
    epochs = Page(made.path).film()["epochs"]
    assert (epochs[0], epochs[-1]) == (0, 119)


def test_frames_of_many_tiles_are_cut_to_what_a_phone_can_show(tiny_run: RunDirectory) -> None:
    run = copied(tiny_run)
    shutil.rmtree(run.frames)
    run.frames.mkdir()
    rows, columns = 40, 50
    numbers = np.arange(rows * columns).reshape(-1, 1, 1, 1)
    tiles = np.broadcast_to(1 + numbers % 200, (rows * columns, 1, 8, 8)).astype(np.uint8)
    grid = make_grid(tiles, columns)
    grid.save(run.frames / "epoch-00000.png")
    page = written(run)
    (png,) = page.film()["pngs"]
    shown = np.asarray(opened(f"data:image/png;base64,{png}"))
    assert shown.shape == (322, 322)
    assert (shown == np.asarray(grid)[:322, :322]).all()
    assert "the first 32 x 32 of 40 x 50 samples" in page.text


def test_a_damaged_or_odd_frame_is_named(tiny_run: RunDirectory) -> None:
    run = copied(tiny_run)
    frame = run.frames / "epoch-00001.png"
    whole = frame.read_bytes()
    frame.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"epoch-00001\.png cannot be read"):
        report.write([run])
    Image.new("L", (9, 9)).save(frame)
    with pytest.raises(DataError, match=r"epoch-00001\.png is 9x9, but the first frame is"):
        report.write([run])
    assert not (run.path / "report.html").exists()


def test_what_is_missing_is_said_with_the_command_that_makes_it(tiny_run: RunDirectory) -> None:
    run = copied(tiny_run, "bare")
    for folder in (run.frames, run.path / "snapshots"):
        shutil.rmtree(folder)
    for path in (run.log_path, *run.path.glob("state-*")):
        path.unlink()
    made = report.write([run])
    page = Page(made.path)
    sentences = (
        "This run has no frames",
        "The log has no line",
        "The quality of this run was not followed",
        "There are no images to judge this run by",
        "There is no generator to draw samples with",
    )
    assert all(sentence in page.text for sentence in sentences)
    assert len(made.runs[0].missing) == len(sentences)
    train = "gancli train --recipe config.toml"
    commands = {
        f"{train} --name bare-again --runs-dir runs",
        f"{train} --score-every 1 --name bare-scored --runs-dir runs",
        f"{train} --set data.holdout=30 --name bare-judged --runs-dir runs",
    }
    assert all(command in page.text for command in commands)
    # Elsewhere than on the page, the config is where the run lies.
    there = {command.replace("config.toml", str(run.config_path)) for command in commands}
    assert set(made.runs[0].commands) == there
    assert "has lost its checkpoints" in page.text
    assert "verdict: not trained long enough" in page.text
    assert page.all("img") == []
    assert "Generator" in page.text
    run.write_status({**run.read_status(), "status": "paused"})
    assert "gancli train --resume bare" in written(run).text
    run.status_path.unlink()
    assert "was interrupted at step 0 of 0" in written(run).text


def test_what_is_left_to_do_is_named_as_it_can_be_done(
    tiny_config: TinyConfig, train_run: TrainRun, tmp_path: Path
) -> None:
    judged = train_run(tiny_config({"data.holdout": 4}), tmp_path / "elsewhere" / "tiny").run
    (made,) = report.write([judged], Path("a.html")).runs
    assert made.missing == (
        "The quality of this run was not followed over its epochs.",
        "This run was not evaluated.",
    )
    beside = f"--runs-dir {judged.path.parent}"
    assert made.commands[0] == f"gancli evaluate tiny --history {beside}"
    assert made.commands[-1] == f"gancli evaluate tiny {beside}"


def test_a_failed_run_says_what_failed(tiny_run: RunDirectory) -> None:
    run = copied(tiny_run)
    error = "the loss of G is no finite number at step 7"
    run.write_status({**run.read_status(), "status": "failed", "error": error})
    record = {**run.read_log()[-1], "g_loss": float("nan"), "d_loss": float("inf")}
    run.append_log(record)
    page = written(run)
    assert f"failed at step 12 of 12, epoch 2: {error}" in page.text
    assert "verdict: divergence" in page.text
    (verdict,) = page.all("div", class_="verdict failure")
    assert verdict
    for about in page.all("figure", class_="chart"):
        assert "NaN" not in about["data-chart"]


def test_the_score_card_stands_beside_real_images(tiny_run: RunDirectory) -> None:
    near = figure("density_judge", better="near", unit="ratio", protocol="<as a ratio>")
    run = scored(copied(tiny_run), figure(), near, figure("share_0", value=0.1234))
    page = written(run)
    for wanted in (
        "judge share higher is better 75 % 70 % to 80 % 99 % 98 % to 100 %",
        "density (judge) best near real 0.75 0.7 to 0.8 0.99 0.98 to 1",
        "10,000 samples at step 12, with 95 % intervals; judge: a judge.",
        "Shares of the classes",
        "12.3 %",
        "<as a ratio>",
    ):
        assert wanted in page.text, wanted
    assert "further since" not in page.text
    assert "The run was trained further since, to step 12: gancli evaluate copy" in (
        written(scored(run, figure(), step=11)).text
    )
    run.scores_path.write_text('{"figures": [{}]}')
    with pytest.raises(CheckpointError, match=r"scores\.json is damaged; .*: gancli evaluate copy"):
        report.write([run])


def test_quality_is_drawn_from_quick_scores_and_from_the_history(tiny_run: RunDirectory) -> None:
    run = copied(tiny_run)
    for epoch, score in ((1.0, 8.0), (2.0, 2.5), (3.0, 4.0)):
        run.append_quality({"step": 6, "epoch": epoch, "score": score, "figure": "fd_judge"})
    about = {key: figure()[key] for key in ("real", "real_low", "real_high")}
    course = {"values": [0.1, 0.6], "lows": [0, 0.5], "highs": [0.2, 0.7], "unit": "share"}
    figures = [
        {"name": name, "better": "higher", **about, **course} for name in ("recall", "share_3")
    ]
    run.history_path.write_text(json.dumps({"epochs": [0, 2], "figures": figures}))
    page = written(run)
    assert "Quick score: fd (judge)" in page.text
    assert "Best at epoch 2: 2.5; lower is better." in page.text
    assert "Recall" in page.text
    assert "real 99 %" in page.text
    assert "fakes 60 %" in page.text
    assert "share 3" not in page.text
    assert "not followed" not in page.text
    charts = [json.loads(about["data-chart"]) for about in page.all("figure", class_="chart")]
    assert len(charts) == 4
    assert charts[3]["values"] == [["99 %", "99 %"], ["10 %", "60 %"]]
    run.history_path.write_text("{}")
    with pytest.raises(CheckpointError, match="gancli evaluate copy --history"):
        report.write([run])


def test_curves_say_the_log(tiny_run: RunDirectory) -> None:
    page, log = written(tiny_run), tiny_run.read_log()
    losses, accuracies = (
        json.loads(about["data-chart"]) for about in page.all("figure", class_="chart")
    )
    assert [float(value) for value in losses["values"][0]] == pytest.approx(
        [record["d_loss"] for record in log], rel=1e-3
    )
    assert [float(value) for value in losses["values"][1]] == pytest.approx(
        [record["g_loss"] for record in log], rel=1e-3
    )
    assert losses["epochs"] == [f"{record['epoch']:g}" for record in log]
    assert [float(value.rstrip(" %")) for value in accuracies["values"][1]] == pytest.approx(
        [100 * record["d_accuracy_fake"] for record in log], abs=0.1
    )


def test_neighbours_are_the_nearest_there_are(tiny_digit_run: RunDirectory) -> None:
    page = written(tiny_digit_run)
    trained = sampling.load(tiny_digit_run.path)
    train = trained.splits().train.of_class(1).images.numpy()
    pairs = [opened(about["src"]) for about in page.all("img") if "nearest" in about["alt"]]
    assert len(pairs) == 12
    for sample, pair in zip(trained.sample(range(12)).numpy(), pairs, strict=True):
        apart = np.sqrt((((train - sample.astype(float)) / 255) ** 2).sum(axis=(1, 2, 3)))
        shown = np.asarray(pair)
        assert (shown[2:10, 2:10] == sample[0]).all()
        assert (shown[12:20, 2:10] == train[apart.argmin(), 0]).all()
        assert f"{apart.min():.2f}" in page.text
    assert f"the nearest of {len(train)} training images" in page.text


def test_training_images_that_are_gone_are_no_reason_to_fail(
    tiny_config: TinyConfig, train_run: TrainRun, tiny_data: Path
) -> None:
    own = Path("own-images-idx3-ubyte")
    shutil.copy(tiny_data, own)
    wanted = tiny_config({"data.source": str(own.resolve()), "data.conditional": False})
    run = train_run(wanted, Path("runs/a")).run
    assert "There are no training images" not in written(run).text
    own.unlink()
    assert "There are no training images to compare with: no data at" in written(run).text


def test_data_of_the_catalogue_are_not_fetched_for_a_page(tiny_run: RunDirectory) -> None:
    config = tiny_run.read_config()
    run = copied(tiny_run)
    text = run.config_path.read_text().replace(config.data.source, "kmnist")
    run.config_path.write_text(text)
    page = written(run)
    assert "The training images (kmnist) are not on this machine" in page.text


def test_the_picture_of_closest_pairs_is_of_the_same_generator(tiny_run: RunDirectory) -> None:
    run = copied(tiny_run)
    run.plots.mkdir()
    for step, there in ((12, 1), (11, 0)):
        picture = Image.new("L", (30, 20))
        save_png(picture, run.plots / "closest-pairs.png", {"step": str(step)})
        assert len(written(run).all("img", class_="wide")) == there


def test_points_have_a_scatter_and_every_weight_but_no_neighbours(point_run: RunDirectory) -> None:
    page = written(point_run)
    assert "Nearest" not in page.text
    assert "the points of seeds 0 to 999" in page.text.lower()
    config = point_run.read_config()
    assert config.generator.layers[0] == "dense 2"
    weights = (1 * 2 + 2 * 2) + (2 * 2 + 2 * 1)
    neurons = (1 + 2 + 2) + (2 + 2 + 1)
    positive, negative = (page.all("line", class_=name) for name in ("positive", "negative"))
    assert len(positive) + len(negative) == weights
    circles = [about for about in page.all("circle") if float(about["r"]) > 5]
    assert len(circles) == neurons


def seeds_of(tiny_config: TinyConfig, train_run: TrainRun) -> Sequence[RunDirectory]:
    return [
        train_run(
            tiny_config({"training.seed": seed, "data.digit": 1}),
            Path("runs") / ("a" if not seed else f"a-seed-{seed}"),
        ).run
        for seed in (0, 1)
    ]


def test_several_runs_are_compared(
    tiny_config: TinyConfig, train_run: TrainRun, tiny_run: RunDirectory
) -> None:
    first, second = seeds_of(tiny_config, train_run)
    lower = {"name": "frechet_distance_judge", "better": "lower", "unit": "features^2"}
    scored(first, figure(value=0.5), figure(**lower, value=9.0))
    scored(second, figure(value=0.8), figure(**lower, value=4.0))
    page = written(first, second, tiny_run)
    assert "training.seed 0 1 0" in page.text
    assert f"data.digit 1 1 {NOTHING}" in page.text
    assert f"judge share 50 % 80 % {NOTHING} 99 %" in page.text
    assert "latent.size" not in page.text
    assert re.findall(r"<b>([^<]*)</b>", page.source.partition("<article")[0]) == ["80 %", "4"]
    assert "Over seeds" in page.text
    deviation = 100 * statistics.stdev((0.5, 0.8))
    assert f"judge share 65 % ± {deviation:.3g} %" in page.text
    labels = {about["data-label"] for about in page.all("td") if "data-label" in about}
    assert {"a", "a-seed-1", "tiny", "real images", "fakes"} == labels
    screens = [about["data-film"] for _, about in page.elements if "data-film" in about]
    assert sorted(screens) == sorted(2 * ["film-1", "film-2", "film-3"])
    frames = page.film(3)["pngs"]
    assert page.source.count(frames[0]) == 1  # the films side by side play the same data
    assert page.source.count(frames[-1]) == 3


def test_scores_of_other_images_have_no_best(
    tiny_config: TinyConfig, train_run: TrainRun, tiny_run: RunDirectory
) -> None:
    one, other = seeds_of(tiny_config, train_run)[0], copied(tiny_run)
    scored(one, figure(value=0.5))
    scored(other, figure(value=0.8))
    page = written(one, other)
    assert "<b>" not in page.source.partition("<article")[0]
    assert "Scores of different images do not compare" in page.text


def test_requests_that_make_no_page_are_refused(tiny_run: RunDirectory) -> None:
    with pytest.raises(ConfigError, match="give 1 to 12 runs to report on, not 0"):
        report.write([])
    with pytest.raises(ConfigError, match="not 13"):
        report.write([RunDirectory(Path(str(index))) for index in range(13)])
    with pytest.raises(ConfigError, match="tiny is named twice"):
        report.write([tiny_run, tiny_run])
    with pytest.raises(ConfigError, match=r"reports are written as \.html or \.htm"):
        report.write([tiny_run], Path("page.pdf"))
    with pytest.raises(StorageError, match="its folder does not exist"):
        report.write([tiny_run], Path("nowhere/page.html"))
    Path("page.html").mkdir()
    with pytest.raises(StorageError, match="not a regular file"):
        report.write([tiny_run], Path("page.html"))
    with pytest.raises(CheckpointError, match="is not a run"):
        report.write([tiny_run, RunDirectory(Path("nothing"))], Path("a.html"))
    assert [path.name for path in Path().iterdir()] == ["page.html"]


def test_the_version_is_the_packages_own(tiny_run: RunDirectory) -> None:
    page = written(tiny_run)
    (about,) = page.all("meta", name="generator")
    assert about["content"] == f"gancli {gancli.__version__}"


def test_near_is_near_to_a_run_s_own_real_images() -> None:
    best = comparison._best
    assert best([0.1, 0.5], [0.1, 0.5], "near") == [False, False]
    assert best([0.1, 0.5], [0.2, 0.5], "near") == [False, True]
    assert best([0.1, 0.5, math.nan], [1.0, 1.0, 1.0], "lower") == [True, False, False]
    assert best([0.1, 0.5, math.inf], [1.0, 1.0, 1.0], "higher") == [False, True, False]
