from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor
from svg import cells, dots, pictures, texts

from gancli import checkpoints, palette, plots, sampling
from gancli.errors import CheckpointError, ConfigError
from gancli.plots import strip, style
from gancli.runs import RunDirectory


def test_a_strip_shows_the_same_seeds_of_each_kept_generator(tiny_digit_run: RunDirectory) -> None:
    strip.draw(tiny_digit_run, Path("strip.svg"))
    kept = [sampling.load(path) for path in checkpoints.snapshots(tiny_digit_run.path)]
    shown = pictures(Path("strip.svg"))
    assert len(shown) == len(kept) > 1
    titles = [words for words in texts(Path("strip.svg")) if words.startswith("epoch")]
    assert titles == [f"epoch {style.epoch_words(trained.epoch)}" for trained in kept]
    for sheet, trained in zip(shown, kept, strict=True):
        tiles = trained.sample(range(4)).numpy()[:, 0]
        seen = cells(sheet, 4 * 10 + 2, 8 + 4)  # tiles of 8 pixels, margins of 2
        for row, tile in enumerate(tiles):
            top = 2 + 10 * row
            assert np.abs(seen[top : top + 8, 2:10].astype(int) - tile).max() <= 1


def test_a_trajectory_goes_from_white_to_black_and_ends_green(point_run: RunDirectory) -> None:
    strip.draw_trajectory(point_run, Path("way.svg"))
    kept = len(checkpoints.snapshots(point_run.path))
    colours = dots(Path("way.svg"))[: 16 * kept]
    shades = [ImageColor.getrgb(colour) for colour in colours[: 16 * (kept - 1)]]
    assert all(red == green == blue for red, green, blue in shades)
    greys = [red for red, _, _ in shades]
    assert (greys[0], greys[-1]) == (255, 0)
    assert greys == sorted(greys, reverse=True)
    assert len(set(greys)) == kept - 1 == 20
    assert set(colours[16 * (kept - 1) :]) == {palette.GREEN.lower()}
    assert {"target", "epoch 0"} <= set(texts(Path("way.svg")))


def test_a_trajectory_has_a_red_cross_on_grey(point_run: RunDirectory) -> None:
    strip.draw_trajectory(point_run, Path("way.png"))
    with Image.open("way.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    for colour, least in ((palette.GREEN, 50), (palette.RED, 100), ("#9A9A9A", 100_000)):
        found = (pixels == ImageColor.getrgb(colour)).all(axis=1).sum()
        assert found >= least, colour


def test_clouds_of_points_are_drawn_beside_each_other(point_run: RunDirectory) -> None:
    strip.draw(point_run, Path("strip.svg"))
    assert len(pictures(Path("strip.svg"))) == 6
    assert {"epoch 0"} <= set(texts(Path("strip.svg")))


def test_only_points_have_a_trajectory(tiny_run: RunDirectory) -> None:
    with pytest.raises(ConfigError, match="tiny draws images, and a trajectory is of 2-D points"):
        plots.plot_run(tiny_run, "trajectory", Path("way.png"))


@pytest.mark.parametrize("what", ["strip", "trajectory"])
def test_a_run_without_kept_generators_has_no_way(point_run: RunDirectory, what: str) -> None:
    shutil.copytree(point_run.path, "copy")
    shutil.rmtree("copy/snapshots")
    run = RunDirectory(Path("copy"))
    with pytest.raises(CheckpointError, match=rf"no {what} yet; .*--resume copy"):
        plots.plot_run(run, what)
    assert len(plots.plot_run(run).left_out) == 2
    assert sorted(path.name for path in run.plots.iterdir()) == ["curves.png", "network.png"]
