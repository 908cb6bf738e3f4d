"""Points in the plane go through the same four commands as images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from gancli import api
from gancli.errors import ConfigError
from gancli.pictures.grid import open_png
from gancli.placement import Outcome
from gancli.runs import Status, default_name

SHORT = {"training.steps": 8, "training.batch_size": 16, "training.threads": 1}


@pytest.fixture
def trained() -> Outcome:
    settings = {**SHORT, "training.images_per_epoch": 64, "record.frame_rows": 2}
    return api.train(data="ring8", settings=settings, device="cpu")


def test_points_are_trained_sampled_filmed_and_judged(trained: Outcome, tmp_path: Path) -> None:
    assert trained.status is Status.FINISHED
    assert trained.run.name == "ring8"
    frames = sorted(trained.run.frames.iterdir())
    assert len(frames) == 3
    assert {open_png(frame).size for frame in frames} == {(480, 480)}
    points = api.load("ring8").sample(range(100))
    assert points.shape == (100, 2)
    assert points.dtype == torch.float32
    assert torch.equal(api.load("ring8").sample([42])[0], points[42])
    made = api.sample("ring8", n=70, out=tmp_path / "points.npz")
    with np.load(made.path, allow_pickle=False) as archive:
        assert torch.equal(torch.from_numpy(archive["points"]), points[:70])
        assert archive["seeds"].tolist() == list(range(70))
    assert open_png(api.sample("ring8").path).size == (480, 480)
    (film,) = api.animate("ring8", out=[tmp_path / "film.gif"])
    assert film.frames == 3
    card = api.evaluate("ring8", samples=500)
    assert 0 <= card["modes"].value <= 8
    assert card["modes"].real == 8


def test_what_holds_images_alone_is_refused_in_a_sentence(trained: Outcome, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"IDX holds images.*\.npz"):
        api.sample("ring8", out=tmp_path / "points.idx")
    with pytest.raises(ConfigError, match=r"--separate.*points"):
        api.sample("ring8", separate=True)
    with pytest.raises(ConfigError, match="a point of 'ring8' needs 2"):
        api.train("r4-narrow", data="ring8", settings=SHORT)
    with pytest.raises(ConfigError, match="the image needs 1 x 28 x 28"):
        api.train("points", data="mnist", settings=SHORT)


@pytest.mark.parametrize(
    ("recipe", "data", "name"),
    [
        (None, "ring8", "ring8"),
        (None, "grid25", "grid25"),
        ("r3-point-a", None, "r3-point-a"),
        ("r3-point-c", None, "r3-point-c"),
        ("r3-point-a", "ring8", "r3-point-a-ring8"),
        ("r3-digits-adam", None, "r3-digits-adam"),
        (None, "digits-10x10", "digits-10x10"),
        ("r4-base", "digits-10x10", "r4-base-digits-10x10"),
    ],
)
def test_a_run_is_named_by_what_its_recipe_does_not_say(
    recipe: str | None, data: str | None, name: str
) -> None:
    assert default_name(api.describe(recipe, data=data)) == name
