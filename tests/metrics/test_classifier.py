from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from gancli import data
from gancli.data import ImageSet
from gancli.metrics import classifier
from gancli.metrics.classifier import (
    accuracy,
    classes_of,
    dense_network,
    folds,
    teach,
    train_dense,
    train_judge,
)
from gancli.metrics.judge import Judge


@pytest.fixture(scope="module")
def shades() -> ImageSet:
    """240 noisy pictures of 8 x 8 in 3 classes, told apart by their brightness."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(240) % 3
    noise = torch.randint(60, (240, 1, 8, 8), generator=generator)
    return ImageSet((noise + 90 * labels[:, None, None, None]).byte(), labels)


def chosen(images: ImageSet, which: Tensor) -> ImageSet:
    assert images.labels is not None
    return ImageSet(images.images[which], images.labels[which])


@pytest.mark.parametrize(("images", "parts"), [(60, 5), (103, 10), (4, 2)])
def test_folds_test_every_image_once(images: int, parts: int) -> None:
    found = list(folds(images, parts, seed=3))
    assert len(found) == parts
    assert torch.cat([test for _, test in found]).sort().values.tolist() == list(range(images))
    for learned, test in found:
        assert torch.cat([learned, test]).sort().values.tolist() == list(range(images))
        assert images // parts <= len(test) <= images // parts + 1


def test_folds_are_in_random_order_that_the_seed_decides() -> None:
    first, again, other = (next(iter(folds(100, 5, seed)))[1] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert set(first.tolist()) != set(other.tolist())
    assert first.tolist() != sorted(first.tolist())


def test_the_dense_network_starts_as_the_report_says() -> None:
    network = dense_network((1, 28, 28), 10, seed=0)
    linears = [module for module in network.modules() if isinstance(module, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linears] == [(784, 64), (64, 10)]
    for layer in linears:
        weight = layer.weight.detach()
        assert abs(float(weight.mean())) < 0.2
        assert 0.9 < float(weight.std()) < 1.1  # the standard normal
        assert not layer.bias.any()
    assert sum(isinstance(module, nn.Sigmoid) for module in network.modules()) == 1


def test_a_step_is_the_one_worked_out_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier, "DENSE_STEPS", 1)
    images = torch.randint(256, (6, 1, 4, 4), dtype=torch.uint8)
    train = ImageSet(images, torch.tensor([0, 1, 2, 2, 1, 0]))
    first, hidden, last, bias = (
        value.detach().double()
        for value in (
            dense_network((1, 4, 4), 3, seed=5).get_parameter(name)
            for name in ("1.weight", "1.bias", "3.weight", "3.bias")
        )
    )
    x = images.flatten(1).double() / 255
    h = 1 / (1 + torch.exp(-(x @ first.T + hidden)))
    guess = 1 / (1 + torch.exp(-(h @ last.T + bias)))
    assert train.labels is not None
    # Of cross-entropy after a sigmoid, and back through the other one; the mean over the batch.
    at_last = (guess - torch.eye(3).double()[train.labels]) / 6
    at_hidden = (at_last @ last) * h * (1 - h)
    trained = train_dense(train, 3, seed=5, epochs=1, on_epoch=lambda _: None)
    for name, before, gradient in (
        ("1.weight", first, at_hidden.T @ x),
        ("1.bias", hidden, at_hidden.sum(0)),
        ("3.weight", last, at_last.T @ h),
        ("3.bias", bias, at_last.sum(0)),
    ):
        after = trained.get_parameter(name).detach().double()
        torch.testing.assert_close(after, before - 0.1 * gradient, rtol=1e-5, atol=1e-6)


def test_a_single_split_of_mnist_gets_the_accuracies_of_report_r3(mnist: data.DataSplits) -> None:
    learned, tested = next(folds(60_000, 5, seed=0))
    _, curve = teach(
        "r3-dense", chosen(mnist.train, learned), chosen(mnist.train, tested), 10, seed=0
    )
    assert len(curve.train) == len(curve.test) == 5
    assert abs(curve.test[-1] - 0.8860) < 0.02
    assert abs(curve.train[-1] - 0.8739) < 0.02
    assert curve.test[0] < curve.test[2] < curve.test[4]


def test_folds_of_mnist_get_the_accuracies_of_report_r3(mnist: data.DataSplits) -> None:
    curves = [
        teach("r3-dense", chosen(mnist.train, learned), chosen(mnist.train, tested), 10, seed=fold)[
            1
        ]
        for fold, (learned, tested) in enumerate(itertools.islice(folds(60_000, 10, 0), 3))
    ]
    assert abs(sum(curve.test[-1] for curve in curves) / 3 - 0.8761) < 0.02
    assert abs(sum(curve.train[-1] for curve in curves) / 3 - 0.8788) < 0.02


def test_the_ten_small_digits_are_all_told_apart() -> None:
    splits = data.load("digits-10x10", image_size=10)
    assert splits.test is not None
    _, curve = teach("r3-dense", splits.train, splits.test, splits.classes, seed=0)
    assert (curve.train[-1], curve.test[-1]) == (1, 1)
    assert curve.test[0] > 0.5


@pytest.mark.parametrize("kind", ["r3-dense", "cnn"])
def test_both_learn_what_there_is_to_learn_and_nothing_else(kind: str, shades: ImageSet) -> None:
    learned, tested = (chosen(shades, which) for which in next(folds(240, 5, seed=0)))
    _, curve = teach(kind, learned, tested, 3, seed=0, epochs=1)
    assert curve.test[-1] > 0.95
    assert learned.labels is not None
    order = torch.randperm(len(learned), generator=torch.Generator().manual_seed(0))
    nonsense = ImageSet(learned.images, learned.labels[order])
    _, curve = teach(kind, nonsense, tested, 3, seed=0, epochs=1)
    assert curve.test[-1] < 0.7


@pytest.mark.parametrize("train", [train_dense, train_judge])
def test_the_seed_decides_and_the_random_state_stays(
    train, shades: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier, "DENSE_STEPS", 20)
    monkeypatch.setattr(classifier, "JUDGE_LEAST_STEPS", 5)
    before = torch.get_rng_state()
    heard: list[nn.Module] = []
    first, again, other = (
        train(shades, 3, seed=seed, epochs=2, on_epoch=heard.append).state_dict()
        for seed in (0, 0, 1)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert len(heard) == 6
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("count", [2, 3, 20])
def test_few_images_are_enough_to_train_on(count: int, shades: ImageSet) -> None:
    few = chosen(shades, torch.arange(count))
    for kind in ("r3-dense", "cnn"):
        network, curve = teach(kind, few, few, 3, seed=0, epochs=1)
        assert 0 <= curve.test[0] <= 1
        assert all(bool(value.isfinite().all()) for value in network.state_dict().values())


def test_the_judge_that_comes_back_is_ready_to_judge(shades: ImageSet) -> None:
    judge = train_judge(shades, 3, seed=0, epochs=1, on_epoch=lambda _: None)
    assert isinstance(judge, Judge)
    assert not judge.training
    assert not any(parameter.requires_grad for parameter in judge.parameters())


def test_accuracy_counts_the_hits_of_all_images() -> None:
    images = torch.zeros(26_000, 1, 1, 1, dtype=torch.uint8)
    images[-6_500:] = 255  # class 1 by the network below
    network = nn.Sequential(nn.Flatten(), nn.Linear(1, 2))
    with torch.no_grad():
        network[1].weight.copy_(torch.tensor([[0.0], [2.0]]))
        network[1].bias.copy_(torch.tensor([1.0, 0.0]))
    assert classes_of(network, images).bincount().tolist() == [19_500, 6_500]
    assert accuracy(network, ImageSet(images, torch.zeros(26_000, dtype=torch.int64))) == 0.75
    assert accuracy(network, ImageSet(images, classes_of(network, images))) == 1
