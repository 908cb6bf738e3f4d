from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from gancli import data
from gancli.errors import CheckpointError
from gancli.metrics import Gaussian, frechet_distance, judge_sha256, judged, load_judge
from gancli.metrics import judge as judge_module


def test_it_knows_the_test_digits(mnist: data.DataSplits) -> None:
    assert mnist.test is not None
    assert mnist.test.labels is not None
    seen = judged(mnist.test.images)
    accuracy = float((seen.digits == mnist.test.labels).double().mean())
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
    written = judge_module.checksum_path(judge_module.WEIGHTS).read_text().strip()
    assert judge_sha256() == written
    assert len(written) == 64


def test_a_flipped_bit_is_refused(tmp_path: Path) -> None:
    copy = tmp_path / "judge.safetensors"
    shutil.copy(judge_module.WEIGHTS, copy)
    shutil.copy(judge_module.checksum_path(judge_module.WEIGHTS), tmp_path)
    load_judge.__wrapped__(copy)
    content = bytearray(copy.read_bytes())
    content[len(content) // 2] ^= 1
    copy.write_bytes(content)
    with pytest.raises(CheckpointError, match="does not match its checksum; install gancli again"):
        load_judge.__wrapped__(copy)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"No such file.*judge\.safetensors.*install"):
        load_judge.__wrapped__(tmp_path / "judge.safetensors")


def test_shapes_and_kinds(mnist: data.DataSplits) -> None:
    seen = judged(mnist.train.images[:3])
    assert seen.features.shape == (3, 64)
    assert seen.probabilities.shape == (3, 10)
    assert seen.digits.shape == (3,)
    assert seen.features.dtype == seen.probabilities.dtype == torch.float64
    assert seen.digits.dtype == torch.int64
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
    assert 0.97 <= float((judged(resized).digits == labels[:200]).double().mean()) <= 1


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
