"""StackedMNIST goes through the same commands as digits do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from gancli import api, data, preparing, recipes, scoring
from gancli.errors import ConfigError
from gancli.metrics import intervals, stacked
from gancli.networks import build_discriminator, build_generator
from gancli.pictures.grid import open_png
from gancli.placement import Outcome
from gancli.runs import Status, default_name

SHORT = {
    "training.steps": 4,
    "training.batch_size": 4,
    "training.images_per_epoch": 8,
    "training.threads": 1,
    "generator.layers": ["dense channels size size", "tanh"],
    "discriminator.layers": ["flatten", "dense 1"],
    "record.frame_rows": 2,
    "record.frame_every": 1,
    "record.log_every": 1,
}


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Outcome:
    """A run on fewer images, which still have all modes."""
    monkeypatch.setattr(data.stacked, "TRAIN_IMAGES", 20_000)
    monkeypatch.setattr(data.stacked, "TEST_IMAGES", 300)
    monkeypatch.setattr(intervals, "DISTANCE_RESAMPLES", 20)
    return api.train(data="stacked-mnist", settings=SHORT, device="cpu")


def test_colours_are_trained_sampled_filmed_and_judged(
    trained: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trained.status is Status.FINISHED
    assert trained.run.name == "stacked-mnist"
    config = trained.run.read_config()
    assert (config.data.classes, config.data.conditional) == (1_000, False)
    frames = sorted(trained.run.frames.iterdir())
    assert len(frames) == 3
    for path in (*frames, api.sample("stacked-mnist").path):
        picture = open_png(path)
        assert picture.mode == "RGB"
        red, green, blue = np.asarray(picture).transpose(2, 0, 1)
        assert (red != green).any()
        assert (green != blue).any()
    assert api.load("stacked-mnist").sample(range(5)).shape == (5, 3, 28, 28)
    (film,) = api.animate("stacked-mnist", out=[tmp_path / "film.gif"])
    assert film.frames == 3
    with pytest.raises(ConfigError, match="take 26,000 or more") as caught:
        api.evaluate("stacked-mnist", samples=100)
    assert caught.value.exit_code == 2
    with pytest.raises(ConfigError, match="--judge: stacked-mnist is judged by"):
        api.evaluate("stacked-mnist", judge="mine.safetensors")
    with pytest.raises(ConfigError, match="--cas: the modes of stacked-mnist"):
        api.evaluate("stacked-mnist", cas=True)
    for module in (stacked, scoring):
        monkeypatch.setattr(module, "STACKED_SAMPLES", 300)
    monkeypatch.setattr(
        stacked, "_perfect", lambda train, samples, generator: train.labels[:samples]
    )
    card = api.evaluate("stacked-mnist")
    assert card.samples == 300
    assert 1 <= card["modes"].value <= 300
    assert 200 < card["modes"].real <= 300
    assert trained.run.scores_path.exists()
    assert open_png(trained.run.plots / "closest-pairs.png").mode == "RGB"
    course = api.history("stacked-mnist")
    assert {card.samples for card in course.cards} == {300}
    assert course.cards[0].figures[0].name == "modes"


@pytest.mark.parametrize(
    ("recipe", "settings", "name"),
    [
        (None, {}, "stacked-mnist"),
        ("stacked-mnist", {}, "stacked-mnist"),
        (None, {"training.seed": 2}, "stacked-mnist-seed-2"),
        ("digits", {"data.channels": 3}, "digits-stacked-mnist"),
    ],
)
def test_a_run_is_named_by_what_its_recipe_does_not_say(
    recipe: str | None, settings: dict[str, object], name: str
) -> None:
    wanted = api.describe(recipe, data="stacked-mnist", settings=settings)
    assert default_name(wanted) == name


def test_the_recipe_is_the_default_of_its_data() -> None:
    wanted = api.describe(data="stacked-mnist")
    assert wanted.recipe == recipes.STACKED
    assert wanted == recipes.default(recipes.STACKED)
    assert wanted.minutes is not None


@pytest.mark.parametrize("size", [28, 32, 64])
def test_the_recipe_makes_networks_for_every_size(size: int) -> None:
    settings = {"data.image_size": size}
    wanted = preparing.resolve(api.describe(data="stacked-mnist", settings=settings), 1_000)
    with torch.device("meta"):
        images = build_generator(wanted)(torch.zeros(2, wanted.latent.size), None)
        assert images.shape == (2, 3, size, size)
        assert build_discriminator(wanted)(images, None).shape == (2,)


@pytest.mark.parametrize(("conditional", "told"), [("auto", False), (True, True)])
def test_labels_are_given_only_when_asked_for(conditional: str | bool, told: bool) -> None:
    settings = {"data.channels": 3, "data.conditional": conditional}
    wanted = api.describe("digits", data="stacked-mnist", settings=settings)
    assert preparing.resolve(wanted, 1_000).data.conditional is told


def test_one_digit_of_a_stack_is_refused() -> None:
    with pytest.raises(ConfigError, match="leave it out"):
        api.describe(data="stacked-mnist", digit=7)


def test_samples_are_colourful(trained: Outcome) -> None:
    images = api.load(trained.run.path).sample(range(4))
    assert images.dtype == torch.uint8
    assert not torch.equal(images[:, 0], images[:, 1])
