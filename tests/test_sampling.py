from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import TinyConfig, TrainRun

from gancli import checkpoints, sampling
from gancli.config import LARGEST_SEED
from gancli.errors import CheckpointError, ConfigError, StorageError
from gancli.files import checksum_path
from gancli.runs import RunDirectory
from gancli.sampling import BLOCK_IMAGES, Trained, from_pixels, to_pixels

seeds = st.integers(0, LARGEST_SEED)


@pytest.fixture(scope="module")
def trained(tiny_run: RunDirectory) -> Trained:
    return sampling.load(tiny_run.path)


@pytest.fixture(scope="module")
def of_digit(tiny_digit_run: RunDirectory) -> Trained:
    return sampling.load(tiny_digit_run.path)


@pytest.fixture
def copy(tiny_run: RunDirectory) -> RunDirectory:
    return RunDirectory(Path(shutil.copytree(tiny_run.path, "runs/tiny")))


@pytest.mark.parametrize("words", ["CUDA out of memory. Tried", "CUBLAS_STATUS_ALLOC_FAILED when"])
def test_a_device_without_memory_is_told(
    tiny_run: RunDirectory, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    def full(*_: object) -> None:
        raise RuntimeError(words)

    monkeypatch.setattr(sampling, "place", full)
    with pytest.raises(StorageError, match="out of memory; free some of the device's, or take --d"):
        sampling.load(tiny_run.path)


# A seed means an image.


@settings(max_examples=30)
@given(st.lists(seeds, min_size=1, max_size=150), st.integers(0, 150))
def test_a_seed_is_an_image_whatever_is_drawn_beside_it(
    trained: Trained, many: list[int], place: int
) -> None:
    together = trained.sample(many)
    assert (together.shape, together.dtype) == ((len(many), 1, 8, 8), torch.uint8)
    place %= len(many)
    assert torch.equal(trained.sample([many[place]])[0], together[place])
    assert torch.equal(trained.sample(many[place:]), together[place:])


def test_seeds_are_images_of_their_own(trained: Trained) -> None:
    drawn = trained.sample(range(60), digit=0)
    assert len(torch.unique(drawn, dim=0)) == 60


@pytest.mark.parametrize("count", [0, 1, BLOCK_IMAGES, BLOCK_IMAGES + 1, 2 * BLOCK_IMAGES])
def test_any_number_of_seeds(trained: Trained, count: int) -> None:
    assert trained.sample(range(count)).shape == (count, 1, 8, 8)


def test_a_stream_is_the_same_in_portions(trained: Trained) -> None:
    wanted = range(5, 2505)
    portions = list(trained.stream(wanted, digit=2, truncation=0.5))
    assert [seed for chosen, _ in portions for seed in chosen] == list(wanted)
    assert max(len(images) for _, images in portions) <= 1024 < len(wanted)
    drawn = torch.cat([images for _, images in portions])
    assert torch.equal(drawn, trained.sample(wanted, digit=2, truncation=0.5))


def test_drawing_leaves_the_generator_as_it_was(trained: Trained) -> None:
    generator = trained.generator
    generator.train()
    trained.sample([1])
    assert generator.training
    generator.eval()
    trained.sample([1])
    assert not generator.training


# Labels.


def test_without_a_digit_classes_come_in_turn(trained: Trained) -> None:
    labels = trained.labels([0, 1, 2, 3, LARGEST_SEED])
    assert labels is not None
    assert labels.tolist() == [0, 1, 2, 0, LARGEST_SEED % 3]
    mixed = trained.sample(range(6))
    for digit in range(3):
        alike = trained.sample(range(6), digit=digit) == mixed
        matches = alike.flatten(1).all(1).tolist()
        assert matches == [seed % 3 == digit for seed in range(6)]


@pytest.mark.parametrize("digit", [-1, 3, 10])
def test_a_digit_that_was_not_learned_is_refused(trained: Trained, digit: int) -> None:
    with pytest.raises(ConfigError, match="give --digit 0 to 2"):
        trained.sample([1], digit=digit)


def test_a_generator_of_one_digit_draws_that_digit(of_digit: Trained) -> None:
    assert of_digit.labels([0, 1]) is None
    assert torch.equal(of_digit.sample([4], digit=1), of_digit.sample([4]))
    for digit in (0, 2, -1):
        with pytest.raises(ConfigError, match="give no --digit: it draws the digit 1"):
            of_digit.sample([4], digit=digit)


# Truncation and interpolation.


def test_truncation_to_nothing_leaves_one_image(trained: Trained) -> None:
    assert len(torch.unique(trained.sample(range(20), digit=0, truncation=0.0), dim=0)) == 1
    whole = trained.sample(range(20), digit=0)
    assert torch.equal(trained.sample(range(20), digit=0, truncation=1.0), whole)


def test_truncation_brings_images_nearer_to_each_other(trained: Trained) -> None:
    spread = [
        trained.sample(range(300), digit=0, truncation=factor).float().var(0).mean().item()
        for factor in (0.0, 0.25, 0.5, 1.0)
    ]
    assert spread == sorted(spread)
    assert spread[0] == 0 < spread[1]


@pytest.mark.parametrize("law", ["normal", "uniform"])
@pytest.mark.parametrize("truncation", [1.0, 0.5])
def test_an_interpolation_begins_and_ends_with_the_images_of_its_seeds(
    trained: Trained, law: str, truncation: float
) -> None:
    latent = dataclasses.replace(trained.config.latent, law=law)
    config = dataclasses.replace(trained.config, latent=latent)
    other = dataclasses.replace(trained, config=config)
    path = other.interpolate(3, 9, 7, truncation=truncation)
    assert path.shape == (7, 1, 8, 8)
    first = other.sample([3], digit=0, truncation=truncation)
    last = other.sample([9], digit=0, truncation=truncation)
    assert torch.equal(path[:1], first)
    assert torch.equal(path[-1:], last)
    assert len(torch.unique(path, dim=0)) > 2


def test_an_interpolation_keeps_to_one_class(trained: Trained) -> None:
    path = trained.interpolate(1, 3, 4, digit=2)
    assert torch.equal(path[:1], trained.sample([1], digit=2))
    assert torch.equal(path[-1:], trained.sample([3], digit=2))
    assert torch.equal(trained.interpolate(1, 3, 4)[-1:], trained.sample([3], digit=1))


def test_an_interpolation_of_nothing_is_one_image(trained: Trained) -> None:
    path = trained.interpolate(3, 9, 5, truncation=0.0, digit=0)
    assert torch.equal(path, trained.sample([0] * 5, digit=0, truncation=0.0))


# Pixels.


@pytest.mark.parametrize(
    ("pixel_range", "low", "high"), [("signed", -1, 1), ("unit", 0, 1), ("raw", 0, 255)]
)
def test_pixels_go_to_the_networks_and_back(pixel_range: str, low: float, high: float) -> None:
    every = torch.arange(256, dtype=torch.uint8)
    seen = from_pixels(every, pixel_range)
    assert (seen[0].item(), seen[-1].item(), seen.dtype) == (low, high, torch.float32)
    assert (seen.diff() > 0).all()
    assert torch.equal(to_pixels(seen, pixel_range), every)
    beyond = torch.tensor([low - 1.0, high + 1.0])
    assert to_pixels(beyond, pixel_range).tolist() == [0, 255]


# Loading.


def test_a_run_is_loaded_by_name_by_path_and_as_the_newest(copy: RunDirectory) -> None:
    expected = sampling.load(copy.path).sample(range(3))
    for name in (None, "tiny", copy.path, checkpoints.states(copy.path)[0]):
        loaded = sampling.load(name, runs_dir="runs")
        assert (loaded.name, loaded.step, loaded.epoch) == ("tiny", 12, 2.0)
        assert torch.equal(loaded.sample(range(3)), expected)


def test_the_average_is_what_is_drawn_with(copy: RunDirectory) -> None:
    state = checkpoints.load(checkpoints.states(copy.path)[0])
    weights = sampling.load(copy.path).generator.state_dict()
    average = checkpoints.part(state.tensors, "average.")
    assert all(torch.equal(weights[name], average[name]) for name in average)
    assert weights.keys() == average.keys()


def test_without_an_average_the_generator_is_drawn_with(
    tiny_config: TinyConfig, train_run: TrainRun
) -> None:
    run = train_run(tiny_config({"generator.ema_half_life": 0}), Path("run")).run
    state = checkpoints.load(checkpoints.states(run.path)[0])
    weights = sampling.load(run.path).generator.state_dict()
    assert torch.equal(weights["body.3.weight"], state.tensors["generator.body.3.weight"])


def test_kept_generators_draw_what_they_drew_then(copy: RunDirectory) -> None:
    kept = [sampling.load(path) for path in checkpoints.snapshots(copy.path)]
    assert [trained.step for trained in kept] == [0, 6, 12]
    assert {trained.name for trained in kept} == {"tiny"}
    drawn = [trained.sample(range(8)) for trained in kept]
    assert torch.equal(drawn[-1], sampling.load(copy.path).sample(range(8)))
    assert not torch.equal(drawn[0], drawn[1])


def test_a_checkpoint_away_from_its_run_goes_by_its_own_name(copy: RunDirectory) -> None:
    snapshot = checkpoints.snapshots(copy.path)[-1]
    for path in (snapshot, checksum_path(snapshot)):
        shutil.copy(path, path.name)
    alone = sampling.load(snapshot.name)
    assert (alone.name, alone.run) == ("generator-000000012", None)
    assert torch.equal(alone.sample([5]), sampling.load(copy.path).sample([5]))


def test_a_damaged_newest_state_falls_back_to_the_one_before(
    tiny_config: TinyConfig, train_run: TrainRun
) -> None:
    run = train_run(tiny_config({"record.checkpoint_every_seconds": 0}), Path("run")).run
    newest, older = checkpoints.states(run.path)
    newest.write_bytes(newest.read_bytes()[:-1])
    assert sampling.load(run.path).step == 11
    older.write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"state-000000012\.safetensors is corrupt"):
        sampling.load(run.path)
    with pytest.raises(CheckpointError, match=r"state-000000012\.safetensors is corrupt"):
        sampling.load(newest)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_no_numbers_are_not_drawn_with(copy: RunDirectory, value: float) -> None:
    path = checkpoints.snapshots(copy.path)[-1]
    kept = checkpoints.load(path)
    kept.tensors["body.3.bias"][0] = value
    checkpoints.save(kept)
    with pytest.raises(CheckpointError, match=r"'body\.3\.bias' holds nan or inf"):
        sampling.load(path)


def test_another_architecture_is_named_by_its_first_tensor(
    copy: RunDirectory, tiny_config: TinyConfig
) -> None:
    path = checkpoints.snapshots(copy.path)[-1]
    other = tiny_config({"latent.size": 9, "data.conditional": True, "data.classes": 3})
    checkpoints.save(dataclasses.replace(checkpoints.load(path), config=other))
    with pytest.raises(CheckpointError, match=r"'body\.0\.0\.weight' is float32 \[16, 6\]"):
        sampling.load(path)
    broken = tiny_config({"generator.layers": ["dens 3"]})
    checkpoints.save(dataclasses.replace(checkpoints.load(path), config=broken))
    with pytest.raises(CheckpointError, match="'dens 3' is no known layer"):
        sampling.load(path)


def test_what_is_not_there_is_said(copy: RunDirectory, tiny_config: TinyConfig) -> None:
    with pytest.raises(CheckpointError, match="did you mean 'tiny'"):
        sampling.load("tniy", runs_dir="runs")
    with pytest.raises(CheckpointError, match=r"cannot read gone\.safetensors: No such file"):
        sampling.load("gone.safetensors")
    checkpoints.remove(checkpoints.states(copy.path))
    with pytest.raises(
        CheckpointError,
        match=r"its checkpoints; train it again: gancli .* --resume tiny --force --runs-dir runs",
    ):
        sampling.load("tiny", runs_dir="runs")


def test_a_state_without_its_checksum_is_not_given_up(copy: RunDirectory) -> None:
    for path in checkpoints.states(copy.path):
        checksum_path(path).unlink()
    with pytest.raises(CheckpointError, match=r"has no readable .*\.sha256 beside it") as caught:
        sampling.load("tiny", runs_dir="runs")
    assert "--force" not in str(caught.value)
