from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tiny import TINY

import gancli
from gancli import api, config, devices, preparing, recipes
from gancli.errors import ConfigError, DataError, GancliError
from gancli.networks import build_discriminator, build_generator
from gancli.runs import RunDirectory, Status, default_name


def test_recipes_are_listed_in_order() -> None:
    listed = gancli.list_recipes()
    assert [recipe.name for recipe in listed] == sorted(recipes.names())
    assert all(recipe.summary for recipe in listed)


def test_a_request_becomes_a_config() -> None:
    wanted = api.describe(digit=7, seed=3, settings={"training.steps": 5, "training.seed": 9})
    assert (wanted.recipe, wanted.data.digit) == (recipes.ONE_CLASS, 7)
    assert (wanted.training.seed, wanted.training.steps, wanted.training.epochs) == (3, 5, None)
    assert api.describe().recipe == recipes.MANY_CLASSES
    assert api.describe(settings={"data.digit": 3}).recipe == recipes.ONE_CLASS


def test_many_classes_are_learned_by_wider_networks_on_a_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    for driver, expected in ((True, recipes.MANY_CLASSES_GPU), (False, recipes.MANY_CLASSES)):
        monkeypatch.setattr(api, "has_nvidia_driver", lambda driver=driver: driver)
        for device in ("auto", "cuda"):
            assert api.describe(device=device).recipe == expected
            assert api.describe("digits", device=device).recipe == recipes.MANY_CLASSES
            assert api.describe(digit=7, device=device).recipe == recipes.ONE_CLASS
            assert api.describe(data="kmnist", device=device).recipe == expected
            # Own data may be few, and its images fewer than a batch of that recipe.
            assert api.describe(data="some/idx", device=device).recipe == recipes.MANY_CLASSES
        assert api.describe(device="cpu").recipe == recipes.MANY_CLASSES
    monkeypatch.setattr(api, "has_nvidia_driver", lambda: True)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert api.describe(device="auto").recipe == recipes.MANY_CLASSES
    with pytest.raises(ConfigError, match="--device cuda: not on this machine"):
        api.describe(device="cuda")


def test_the_recipe_for_a_gpu_is_the_one_for_a_cpu_made_larger() -> None:
    small, large = api.describe("digits"), api.describe(recipes.MANY_CLASSES_GPU)
    changed = config.differences(*(preparing.resolve(wanted, 10) for wanted in (small, large)))
    names = {key.partition(".")[2] for key in changed}
    assert names == {"", "layers", "lr", "batch_size", "steps"}
    assert (small.training.precision, large.training.precision) == ("fp32", "auto")
    shapes = [
        [re.sub(r"\d+", "N", layer, count=1) for layer in wanted.generator.layers]
        for wanted in (small, large)
    ]
    assert shapes[0] == shapes[1]
    with torch.device("meta"):
        sizes = [
            sum(weight.numel() for weight in network.parameters())
            for wanted in (small, large)
            for resolved in [preparing.resolve(wanted, 10)]
            for network in (build_generator(resolved), build_discriminator(resolved))
        ]
    assert all(3 < wide / narrow < 9 for narrow, wide in zip(sizes[:2], sizes[2:], strict=True))


def test_a_path_of_data_means_the_same_from_anywhere(tmp_path: Path) -> None:
    assert api.describe(data="some/pictures").data.source == str(tmp_path / "some" / "pictures")
    assert api.describe(data="mnist").data.source == "mnist"


def test_a_folder_without_classes_is_learned_as_one_class() -> None:
    for place in ("plain", "classes/a", "classes/b"):
        Path(place).mkdir(parents=True)
        Image.new("L", (28, 28)).save(Path(place, "0.png"))
    plain, classes = api.describe(data="plain"), api.describe(data="classes")
    assert (plain.recipe, classes.recipe) == (recipes.ONE_CLASS, recipes.MANY_CLASSES)
    assert (default_name(plain), default_name(classes)) == ("plain", "classes")
    assert api.describe("digits", data="plain").recipe == recipes.MANY_CLASSES
    assert default_name(api.describe("r4-base", data="plain")) == "r4-base-plain"


def test_a_path_in_a_recipe_means_the_same_from_anywhere() -> None:
    Path("mine.toml").write_text('extends = "digit"\n[data]\nsource = "pictures"\n')
    assert api.describe("mine.toml").data.source == str(Path("pictures").resolve())
    assert api.describe("mine.toml", data="mnist").data.source == "mnist"


@pytest.mark.parametrize("key", ["epochs", "steps"])
def test_a_preview_has_its_own_length(key: str) -> None:
    assert api.describe("r5-smooth", preview=True).training.epochs == 0.15
    with pytest.raises(ConfigError, match=f"--preview and --{key} both give the length"):
        api.describe("r5-smooth", preview=True, settings={f"training.{key}": 3})


@pytest.mark.parametrize(
    ("images", "steps", "expected"),
    [
        (2_559, 3_000, (0.1, 0.0)),
        (2_560, 3_000, (0.0, 0.0)),
        (6_000, 7_031, (0.0, 0.0)),
        (6_000, 7_032, (0.1, 0.0)),
        (2_001, 3_000, (0.1, 0.0)),
        (2_000, 3_000, (0.05, 0.021)),
        (500, 2_300, (0.05, 0.03)),
        (200, 2_300, (0.05, 0.041)),
        (2_000, 2_300, (0.05, 0.019)),
        (200, 156, (0.0, 0.0)),
        (200, 157, (0.05, 0.017)),
        (64, 2_300, (0.05, 0.05)),
    ],
)
def test_images_that_are_shown_often_are_moved_and_a_few_are_bent(
    images: int, steps: int, expected: tuple[float, float]
) -> None:
    def found(recipe: str, **own: float) -> tuple[float, float]:
        changes = {key.replace("__", "."): value for key, value in own.items()}
        wanted = api.describe(recipe, settings={"training.steps": steps, **changes})
        resolved = preparing.resolve(wanted, 10, images=images)
        shift, elastic = resolved.discriminator.shift, resolved.data.elastic
        assert isinstance(shift, float) and isinstance(elastic, float)
        return shift, elastic

    for recipe in (recipes.ONE_CLASS, recipes.MANY_CLASSES):
        wanted = api.describe(recipe)
        assert wanted.discriminator.shift == wanted.data.elastic == "auto"
        assert found(recipe) == expected
        assert found(recipe, discriminator__shift=0.3) == (0.3, expected[1])
        assert found(recipe, data__elastic=0.2)[1] == 0.2
        assert found(recipe, data__elastic=0.0) == (0.1 if expected[0] else 0.0, 0.0)
    assert found("r4-base") == (0.0, 0.0)


def test_what_is_trained_depends_on_how_many_images_there_are() -> None:
    Path("few").mkdir()
    for number in range(64):
        Image.new("L", (28, 28), number).save(Path("few", f"{number}.png"))
    for steps, elastic in ((50, 0.0), (51, 0.017)):
        wanted = api.describe(data="few", settings={"training.steps": steps})
        found, splits, _ = preparing.prepare(wanted)
        assert (len(splits.train), found.data.elastic) == (64, elastic)


def test_where_a_device_is_picked_convolutions_and_products_become_exact(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.backends.cudnn.deterministic", False)
    monkeypatch.setattr("torch.backends.cudnn.allow_tf32", True)
    torch.backends.cuda.matmul.allow_tf32 = True
    assert devices.pick_device("cpu") == torch.device("cpu")
    assert torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize(
    ("device", "found", "wanted"),
    [("cpu", False, True), ("cuda", True, True), ("cuda", False, False), ("mps", True, False)],
)
def test_16_bits_are_tried_where_a_device_multiplies_them(
    device: str, found: bool, wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda **_: found)
    assert devices.multiplies_16_bits(torch.device(device)) == wanted


@pytest.mark.parametrize("present", [True, False])
def test_a_gpu_is_looked_for_where_its_driver_is(
    present: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(name: str) -> None:
        assert "cuda" in name
        if not present:
            raise OSError(name)

    monkeypatch.setattr("ctypes.CDLL", load)
    assert devices.has_nvidia_driver() is present


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"digit": 10}, "--digit 10 is out of range: MNIST has digits 0 to 9"),
        ({"digit": -1}, "data.digit = -1 is out of range"),
        ({"seed": 2**64}, "training.seed = 18446744073709551616 is out of range"),
        ({"recipe": "digts"}, "did you mean 'digits'?"),
        ({"settings": {"training.stpes": 3}}, "did you mean 'steps'?"),
        ({"settings": {"data": 5, "data.digit": 3}}, "'data'"),
    ],
)
def test_a_wrong_request_is_refused(request_: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        api.describe(**request_)
    assert words in str(caught.value)


def test_from_training_to_samples(tiny_data: Path) -> None:
    settings = {key: value for key, value in TINY.items() if key != "recipe"}
    outcome = gancli.train(
        data=str(tiny_data), settings=settings, name="mine", runs_dir="runs", device="cpu"
    )
    assert (outcome.status, outcome.run.path) == (Status.FINISHED, Path("runs/mine"))
    trained = gancli.load("mine", runs_dir="runs", device="cpu")
    assert trained.sample(range(3)).shape == (3, 1, 8, 8)
    made = gancli.sample(runs_dir="runs", n=2, out="two.npz", device="cpu")
    assert (made.run, made.count) == ("mine", 2)
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"training.batch_size": 49}, "training.batch_size = 49"),
        ({"data.digit": 3}, "has 0 to 2"),
        ({"data.holdout": 48}, "leaves nothing of the 48 images"),
        ({"discriminator.layers": ["dense 1"]}, "put 'flatten' before it"),
        ({"generator.layers": ["dense 1 8 9"]}, "and the image needs 1 x 8 x 8"),
    ],
)
def test_what_does_not_fit_the_data_is_refused_before_anything_is_written(
    tiny_data: Path, settings: dict[str, Any], words: str
) -> None:
    tiny = {key: value for key, value in TINY.items() if key != "recipe"}
    with pytest.raises((ConfigError, DataError)) as caught:
        gancli.train(data=str(tiny_data), settings={**tiny, **settings}, device="cpu")
    assert words in str(caught.value)
    assert list(Path().iterdir()) == []


def test_labels_that_are_not_there_cannot_be_asked_for(tiny_data: Path) -> None:
    alone = Path("alone.bin")
    alone.write_bytes(tiny_data.read_bytes())
    tiny = {key: value for key, value in TINY.items() if key != "recipe"}
    with pytest.raises(ConfigError, match=r"data\.conditional = true needs labels"):
        gancli.train(data="alone.bin", settings={**tiny, "data.conditional": True}, device="cpu")
    outcome = gancli.train(data="alone.bin", settings=tiny, device="cpu", name="alone")
    assert outcome.run.read_config().data.conditional is False


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is the device that must be missing")
def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(GancliError, match=r"--device cuda: not on this machine; it has .*cpu"):
        gancli.train(digit=7, device="cuda")


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), 0.0, -1.0])
def test_a_limit_is_a_time(seconds: float) -> None:
    with pytest.raises(ConfigError, match="is out of range: it must be above 0"):
        api.train("digit", digit=7, max_seconds=seconds)
    assert not Path("checkpoints").exists()


def test_a_film_has_one_place_or_several(tiny_run: RunDirectory) -> None:
    for out in ("seven.gif", Path("eight.gif"), ["nine.gif", Path("ten.gif")]):
        films = api.animate(tiny_run.path, out=out)
        wanted = out if isinstance(out, list) else [out]
        assert [film.path for film in films] == list(map(Path, wanted))
    assert sorted(path.name for path in Path().iterdir()) == [
        *("eight.gif", "nine.gif", "seven.gif", "ten.gif"),
    ]
