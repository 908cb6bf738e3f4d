from __future__ import annotations

import dataclasses
import hashlib
import re
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor
from torch.nn import functional

from gancli import data, files
from gancli.errors import CheckpointError
from gancli.metrics import Gaussian, frechet_distance, judge_sha256, judged, load_judge
from gancli.metrics import judge as judge_module
from gancli.metrics.judge import Judge, appoint, read_judge


def test_it_knows_the_test_digits(mnist: data.DataSplits) -> None:
    assert mnist.test is not None
    assert mnist.test.labels is not None
    seen = judged(mnist.test.images)
    accuracy = float((seen.classes == mnist.test.labels).double().mean())
    assert 0.993 <= accuracy < 1


def test_its_file_is_small_and_its_network_too() -> None:
    assert 100_000 < judge_module.WEIGHTS.stat().st_size <= 1_000_000
    assert 100_000 < sum(p.numel() for p in load_judge().parameters()) <= 240_000


def test_it_is_frozen() -> None:
    judge = load_judge()
    assert not judge.training
    assert not any(parameter.requires_grad for parameter in judge.parameters())


def test_loading_it_leaves_the_random_state_alone() -> None:
    before = torch.get_rng_state()
    load_judge.__wrapped__()
    assert torch.equal(torch.get_rng_state(), before)


def test_its_checksum_is_the_one_beside_it() -> None:
    written = files.checksum_path(judge_module.WEIGHTS).read_text().strip()
    assert judge_sha256() == written
    assert len(written) == 64


def test_a_flipped_bit_is_refused(tmp_path: Path) -> None:
    copy = tmp_path / "judge.safetensors"
    shutil.copy(judge_module.WEIGHTS, copy)
    shutil.copy(files.checksum_path(judge_module.WEIGHTS), tmp_path)
    read_judge(copy)
    content = bytearray(copy.read_bytes())
    content[len(content) // 2] ^= 1
    copy.write_bytes(content)
    with pytest.raises(
        CheckpointError, match="does not match its checksum; train one: gancli judge"
    ):
        read_judge(copy)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"No such file.*judge\.safetensors.*gancli judge"):
        read_judge(tmp_path / "judge.safetensors")


def test_missing_weights_of_the_shipped_judge_ask_for_an_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge_module, "WEIGHTS", tmp_path / "judge.safetensors")
    with pytest.raises(CheckpointError, match="install gancli again"):
        load_judge.__wrapped__()


@pytest.mark.parametrize(
    ("shape", "classes", "side"),
    [((1, 28, 28), 10, 28), ((3, 32, 32), 4, 32), ((1, 8, 8), 3, 12), ((1, 30, 29), 2, 32)],
)
def test_a_judge_of_other_data_comes_back_as_it_was_written(
    tmp_path: Path, shape: tuple[int, int, int], classes: int, side: int
) -> None:
    images = torch.randint(256, (5, *shape), dtype=torch.uint8)
    judge = Judge.of(data.ImageSet(images, None), classes).eval()
    assert (judge.classes, judge.channels, judge.side) == (classes, shape[0], side)
    checksum = judge_module.write_judge(judge, tmp_path / "mine.safetensors")
    again = read_judge(tmp_path / "mine.safetensors")
    assert judge_sha256(tmp_path / "mine.safetensors") == checksum
    for one, other in zip(judge.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    seen = judged(images, again)
    assert seen.probabilities.shape == (5, classes)
    assert torch.equal(seen.features, judged(images, judge).features)


def write_with_checksum(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    files.checksum_path(path).write_text(hashlib.sha256(content).hexdigest())
    return path


def test_what_is_no_judge_is_refused(tmp_path: Path) -> None:
    tensors = safetensors.torch.load(judge_module.WEIGHTS.read_bytes())
    without = {name: value for name, value in tensors.items() if name != "head.1.bias"}
    for content in (b"", b"<html>", safetensors.torch.save({"a": torch.zeros(1)})):
        with pytest.raises(CheckpointError, match="holds no judge; train one"):
            read_judge(write_with_checksum(tmp_path / "x.safetensors", content))
    for other in (without, {**tensors, "extra": torch.zeros(1)}):
        with pytest.raises(CheckpointError, match="holds no judge"):
            read_judge(write_with_checksum(tmp_path / "x", safetensors.torch.save(other)))
    tensors["head.1.bias"][3] = torch.nan
    with pytest.raises(CheckpointError, match=r"'head\.1\.bias' holds nan"):
        read_judge(write_with_checksum(tmp_path / "x", safetensors.torch.save(tensors)))


def few(mnist: data.DataSplits, permuted: bool = False) -> data.DataSplits:
    """Two thousand digits, by their own labels or by others."""
    assert mnist.test is not None
    parts = []
    for images in (mnist.train, mnist.test):
        assert images.labels is not None
        labels = (images.labels[:1_000] + int(permuted)) % 10
        parts.append(data.ImageSet(images.images[:1_000], labels))
    return data.DataSplits(parts[0], None, parts[1], 10)


def test_digits_are_judged_by_the_judge_that_ships(mnist: data.DataSplits) -> None:
    found = appoint(few(mnist))
    assert found.judge is load_judge()
    assert found.sha256 == judge_sha256()
    assert found.knows_classes
    assert re.search(r"digit judge that ships, right on 9\d\.\d% of real images", found.words)


def test_ten_classes_of_other_things_are_not_called_digits(mnist: data.DataSplits) -> None:
    found = appoint(few(mnist, permuted=True))
    assert found.judge is load_judge()
    assert not found.knows_classes
    assert "does not know" in found.words


def test_a_judge_trained_on_the_data_judges_them(mnist: data.DataSplits) -> None:
    other = few(mnist, permuted=True)
    path = judge_module.trained_path(other.train)
    path.parent.mkdir(parents=True)
    trained = Judge.of(other.train, 10)
    checksum = judge_module.write_judge(trained, path)
    found = appoint(other)
    assert (found.sha256, found.knows_classes) == (checksum, True)
    assert str(path) in found.words
    # Digits keep the judge that all digits share; other images or labels have no use for this one.
    assert appoint(few(mnist)).sha256 == judge_sha256()
    fewer = data.ImageSet(other.train.images[1:], other.train.labels[1:])  # type: ignore[index]
    assert appoint(dataclasses.replace(other, train=fewer)).sha256 == judge_sha256()


def test_a_judge_that_is_asked_for_must_know_the_classes(
    mnist: data.DataSplits, tmp_path: Path
) -> None:
    splits = few(mnist)
    for classes in (10, 3):
        judge = Judge.of(splits.train, classes)
        judge_module.write_judge(judge, tmp_path / f"{classes}.safetensors")
    found = appoint(splits, tmp_path / "10.safetensors")
    assert found.knows_classes
    assert found.sha256 != judge_sha256()
    with pytest.raises(CheckpointError, match="tells 3 classes apart, and the data have 10"):
        appoint(splits, tmp_path / "3.safetensors")


def test_data_without_labels_have_features_alone(mnist: data.DataSplits) -> None:
    unlabelled = data.DataSplits(data.ImageSet(mnist.train.images[:9], None), None, None, 0)
    found = appoint(unlabelled)
    assert found.judge is load_judge()
    assert not found.knows_classes


def test_shapes_and_kinds(mnist: data.DataSplits) -> None:
    seen = judged(mnist.train.images[:3])
    assert seen.features.shape == (3, 64)
    assert seen.probabilities.shape == (3, 10)
    assert seen.classes.shape == (3,)
    assert seen.features.dtype == seen.probabilities.dtype == torch.float64
    assert seen.classes.dtype == torch.int64
    torch.testing.assert_close(seen.probabilities.sum(dim=1), torch.ones(3).double())


def test_neither_block_size_nor_order_matters(
    mnist: data.DataSplits, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = mnist.train.images[:600]
    plain = judged(images)
    backwards = judged(images.flip(0))
    torch.testing.assert_close(backwards.features.flip(0), plain.features, rtol=0, atol=1e-4)
    monkeypatch.setattr(judge_module, "BLOCK", 7)
    small = judged(images)
    torch.testing.assert_close(small.features, plain.features, rtol=0, atol=1e-4)
    torch.testing.assert_close(small.probabilities, plain.probabilities, rtol=0, atol=1e-4)


def test_grey_written_as_colour_is_the_same(mnist: data.DataSplits) -> None:
    images = mnist.train.images[:50]
    colour = judged(images.repeat(1, 3, 1, 1))
    torch.testing.assert_close(colour.features, judged(images).features, rtol=0, atol=1e-4)


@pytest.mark.parametrize("side", [20, 32, 64])
def test_other_sizes_keep_their_digit(mnist: data.DataSplits, side: int) -> None:
    images, labels = mnist.train.images[:200], mnist.train.labels
    assert labels is not None
    resized = functional.interpolate(images, (side, side), mode="bilinear", antialias=True)
    assert 0.97 <= float((judged(resized).classes == labels[:200]).double().mean()) <= 1


@pytest.mark.parametrize("digit", range(10))
def test_the_features_of_one_digit_span_all_directions(mnist: data.DataSplits, digit: int) -> None:
    assert mnist.test is not None
    moments = Gaussian.of(judged(mnist.test.of_class(digit).images).features)
    spread = torch.linalg.eigvalsh(moments.covariance)
    assert float(spread[0]) > 1e-5 * float(spread[-1])


def distance_from_real(mnist: data.DataSplits, images: Tensor) -> float:
    assert mnist.test is not None
    real = Gaussian.of(judged(mnist.test.of_class(7).images).features)
    return frechet_distance(Gaussian.of(judged(images).features), real)


def test_more_noise_is_further_away(mnist: data.DataSplits) -> None:
    sevens = mnist.train.of_class(7).images[:1_000]
    noise = torch.randn(sevens.shape, generator=torch.Generator().manual_seed(0))
    distances = [
        distance_from_real(mnist, (sevens + noise * amount).clamp(0, 255).to(torch.uint8))
        for amount in (0, 10, 30, 60, 100)
    ]
    assert distances == sorted(distances)
    assert 5 * distances[0] < distances[-1]


def test_more_blur_is_further_away(mnist: data.DataSplits) -> None:
    sevens = mnist.train.of_class(7).images[:1_000]
    distances = [
        distance_from_real(
            mnist,
            functional.avg_pool2d(sevens.float(), width, 1, width // 2).to(torch.uint8),
        )
        for width in (1, 3, 5, 7)
    ]
    assert distances == sorted(distances)
    assert 5 * distances[0] < distances[-1]


def test_collapse_is_far_away(mnist: data.DataSplits) -> None:
    sevens = mnist.train.of_class(7).images[:1_000]
    collapsed = sevens[:1].expand_as(sevens)
    assert distance_from_real(mnist, collapsed) > 10 * distance_from_real(mnist, sevens)
