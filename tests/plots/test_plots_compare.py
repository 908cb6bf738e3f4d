from __future__ import annotations

import dataclasses
import json
import shutil
import statistics
from pathlib import Path

import pytest
from PIL import Image
from svg import texts
from tiny import TinyConfig, TrainRun

from gancli import config, plots
from gancli.errors import CheckpointError, ConfigError, StorageError
from gancli.networks import build_discriminator, build_generator, parameters
from gancli.runs import RunDirectory


@pytest.fixture(scope="module")
def seeds(
    tiny_config: TinyConfig, train_run: TrainRun, tmp_path_factory: pytest.TempPathFactory
) -> list[RunDirectory]:
    """Three seeds of one thing; the first is called after no seed."""
    folder = tmp_path_factory.mktemp("seeds")
    names = ["a", "a-seed-1", "a-seed-2"]
    return [
        train_run(tiny_config({"training.seed": seed, "data.digit": 1}), folder / name).run
        for seed, name in enumerate(names)
    ]


def with_scores(
    run: RunDirectory, step: int, value: float = 0.75, **protocol: str | int
) -> RunDirectory:
    copy = RunDirectory(Path(run.name))
    shutil.copytree(run.path, copy.path)
    figures = [{"name": "judge_share", "value": value, "real": 0.99}]
    copy.scores_path.write_text(json.dumps({"step": step, **protocol, "figures": figures}))
    return copy


def test_the_table_says_what_the_runs_are(tiny_run: RunDirectory, point_run: RunDirectory) -> None:
    made = plots.compare_runs([tiny_run, point_run], Path("both.svg"))
    assert made.groups == ()
    row, other = made.rows
    described = tiny_run.read_config()
    assert (row.run, row.recipe, row.digit, row.seed, row.epochs) == ("tiny", "tiny", None, 0, 2.0)
    assert row.g_parameters == parameters(build_generator(described))
    assert row.d_parameters == parameters(build_discriminator(described))
    assert (other.data, other.g_parameters, other.d_parameters) == ("point", 10, 9)
    last = tiny_run.read_log()[-1]
    for name in ("d_loss", "g_loss", "d_accuracy_real", "d_accuracy_fake"):
        assert row.figures[name] == last[name]
    assert row.figures["images_per_second"] > 0
    words = texts(Path("both.svg"))
    assert {"tiny", "one-point", "loss of D", "loss of G", "D on real", "D on fake"} <= set(words)
    assert words.count("Loss") == words.count("Accuracy of D") == 2


def test_seeds_of_one_thing_get_mean_and_deviation(
    seeds: list[RunDirectory], tiny_run: RunDirectory
) -> None:
    made = plots.compare_runs([seeds[0], tiny_run, *seeds[1:]], Path("seeds.png"))
    (group,) = made.groups
    assert (group.name, group.runs) == ("a", ("a", "a-seed-1", "a-seed-2"))
    losses = [run.read_log()[-1]["d_loss"] for run in seeds]
    assert len(set(losses)) == 3
    assert group.mean["d_loss"] == pytest.approx(statistics.fmean(losses))
    assert group.deviation["d_loss"] == pytest.approx(statistics.stdev(losses))


def test_a_copy_is_no_other_seed(seeds: list[RunDirectory]) -> None:
    copy = RunDirectory(Path("copy"))
    shutil.copytree(seeds[0].path, copy.path)
    (group,) = plots.compare_runs([seeds[0], copy, seeds[1]], Path("a.png")).groups
    assert group.runs == ("a", "a-seed-1")
    assert plots.compare_runs([seeds[0], copy], Path("a.png")).groups == ()


def test_losses_that_are_no_numbers_leave_the_limits_to_the_others(
    seeds: list[RunDirectory],
) -> None:
    copy = RunDirectory(Path("copy"))
    shutil.copytree(seeds[0].path, copy.path)
    lines = copy.log_path.read_text().splitlines()
    broken = json.dumps(json.loads(lines[-1]) | {"g_loss": float("nan")})
    copy.log_path.write_text("\n".join([*lines[:-1], broken, ""]))
    plots.compare_runs([copy, seeds[1]], Path("a.png"))
    assert Path("a.png").stat().st_size > 10_000


def test_runs_of_one_seed_or_of_other_settings_are_no_group(
    seeds: list[RunDirectory], tiny_digit_run: RunDirectory
) -> None:
    assert plots.compare_runs([seeds[0], tiny_digit_run], Path("a.png")).groups == ()
    described = seeds[1].read_config()
    other = dataclasses.replace(described, latent=config.LatentConfig(4, "uniform"))
    changed = RunDirectory(Path("changed"))
    shutil.copytree(seeds[1].path, changed.path)
    changed.config_path.write_text(other.to_toml())
    assert plots.compare_runs([seeds[0], changed], Path("b.png")).groups == ()


def test_scores_stand_beside_those_of_real_images(seeds: list[RunDirectory]) -> None:
    fresh, stale = with_scores(seeds[0], step=12), with_scores(seeds[1], step=11)
    made = plots.compare_runs([fresh, stale], Path("a.png"))
    assert made.rows[0].figures["judge_share"] == 0.75
    assert made.rows[0].real == {"judge_share": 0.99}
    assert "judge_share" not in made.rows[1].figures  # it was trained further since
    assert "judge_share" not in made.groups[0].mean
    fresh.scores_path.write_text('{"step": 12, "figures": [{}]}')
    with pytest.raises(CheckpointError, match="gancli evaluate a"):
        plots.compare_runs([fresh, stale], Path("a.png"))


def test_scores_of_seeds_get_mean_and_deviation(seeds: list[RunDirectory]) -> None:
    scored = [
        with_scores(run, step=12, value=value)
        for run, value in zip(seeds, (0.7, 0.8, 0.95), strict=True)
    ]
    (group,) = plots.compare_runs(scored, Path("a.png")).groups
    assert len(group.runs) == 3
    assert group.mean["judge_share"] == pytest.approx(2.45 / 3)
    assert group.deviation["judge_share"] == pytest.approx(statistics.stdev((0.7, 0.8, 0.95)))


def test_scores_made_by_other_means_are_told_and_have_no_mean(seeds: list[RunDirectory]) -> None:
    means: list[dict[str, str | int]] = [{"samples": 1000}, {"samples": 1000}, {"samples": 500}]
    scored = [with_scores(run, step=12, **how) for run, how in zip(seeds, means, strict=True)]
    made = plots.compare_runs(scored, Path("a.png"))
    assert made.unlike == (("a", "a-seed-2"),)
    (group,) = made.groups
    assert "judge_share" not in group.mean
    assert "d_loss" in group.mean
    assert plots.compare_runs(scored[:2], Path("a.png")).unlike == ()
    fewer = json.loads(scored[0].scores_path.read_text()) | {"reference_images": 3}
    scored[2].scores_path.write_text(json.dumps(fewer))
    assert plots.compare_runs(scored[::2], Path("a.png")).unlike == (("a", "a-seed-2"),)
    other_judge = json.loads(scored[1].scores_path.read_text()) | {"judge_sha256": "0" * 64}
    scored[1].scores_path.write_text(json.dumps(other_judge))
    assert plots.compare_runs(scored[:2], Path("a.png")).unlike == (("a", "a-seed-1"),)


def test_a_seed_that_came_less_far_is_none_of_its_like(seeds: list[RunDirectory]) -> None:
    shorter = RunDirectory(Path("shorter"))
    shutil.copytree(seeds[1].path, shorter.path)
    shorter.cut_log(6)
    assert plots.compare_runs([seeds[0], shorter], Path("a.png")).groups == ()
    (group,) = plots.compare_runs([seeds[0], shorter, seeds[2]], Path("b.png")).groups
    assert group.runs == (seeds[0].name, seeds[2].name)


def test_the_picture_grows_with_the_runs(seeds: list[RunDirectory]) -> None:
    sizes = []
    for count in (2, 5):
        runs = []
        for index in range(count):
            runs.append(RunDirectory(Path(f"{count}-{index}")))
            shutil.copytree(seeds[0].path, runs[-1].path)
        plots.compare_runs(runs, Path("a.png"))
        with Image.open("a.png") as picture:
            sizes.append(picture.size)
    (narrow, low), (wide, high) = sizes
    assert wide == pytest.approx(narrow * 3 / 2, abs=2)  # 3 and 2 runs in two bands
    assert 1.9 < high / low < 2


def test_what_cannot_be_compared_is_refused(seeds: list[RunDirectory]) -> None:
    with pytest.raises(ConfigError, match="give 2 to 12 runs to compare, not 1"):
        plots.compare_runs(seeds[:1], Path("a.png"))
    with pytest.raises(ConfigError, match="not 13"):
        plots.compare_runs([RunDirectory(Path(str(index))) for index in range(13)], Path("a.png"))
    with pytest.raises(ConfigError, match="a is named twice"):
        plots.compare_runs([seeds[0], seeds[1], seeds[0]], Path("a.png"))
    with pytest.raises(ConfigError, match=r"a\.pdf: figures are written as \.png and \.svg"):
        plots.compare_runs(seeds, Path("a.pdf"))
    with pytest.raises(StorageError, match="its folder does not exist"):
        plots.compare_runs(seeds, Path("nowhere/a.png"))
    bare = RunDirectory(Path("bare"))
    shutil.copytree(seeds[0].path, bare.path)
    bare.log_path.unlink()
    with pytest.raises(CheckpointError, match="bare has no line in its log"):
        plots.compare_runs([seeds[0], bare], Path("a.png"))
    assert not Path("a.png").exists()
