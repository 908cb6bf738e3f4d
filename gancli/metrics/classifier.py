"""Classifiers, trained and tested: report R3's dense network, and the CNN that judges generators.

Both learn from labelled uint8 images and hand themselves over after every epoch, to be tested.
Neither moves PyTorch's global random state.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from gancli.data import ImageSet
from gancli.metrics.judge import BLOCK, Judge, judged
from gancli.networks.layers import ImageShape, build_layers

# Called after every epoch with the network as it is.
OnEpoch = Callable[[nn.Module], None]
# Called after every step with the steps done and the steps in all.
OnStep = Callable[[int, int], None]

# Report R3 tells the length, the learning rate, sigmoids, weights from the standard normal and SGD
# with the batch's mean gradient. It leaves the width of the network, the batch and the cost open:
# 64, 16 and cross-entropy were fitted, on parts of the training images, so that the accuracies
# come out as reported. 30 neurons end two points lower and 100 a point higher; a batch of 10 or 32
# moves them by a quarter of a point; the mean squared error ends below 75 % at this length.
DENSE_LAYERS = ("flatten", "dense 64 normal=1", "sigmoid")
DENSE_EPOCHS = 5
DENSE_STEPS = 1_000
DENSE_BATCH = 16
DENSE_LEARNING_RATE = 0.1

JUDGE_EPOCHS = 3
JUDGE_BATCH = 128
# Few images are passed over several times an epoch, until it has as many steps.
JUDGE_LEAST_STEPS = 100
JUDGE_LEARNING_RATE = 2e-3
JUDGE_WEIGHT_DECAY = 1e-2
# The running average remembers 500 steps, or a seventh of a training: then its start is forgotten.
JUDGE_MEMORY = 500
# The accuracies of a curve are taken on this many images at most.
MOST_SHOWN = 12_000


@dataclasses.dataclass(frozen=True)
class Curve:
    """Shares of images called by their labels, 0 to 1, after each epoch.

    Attributes:
        train: of images that were learned from.
        test: of images that were not.
    """

    train: tuple[float, ...]
    test: tuple[float, ...]


def folds(images: int, parts: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the numbers of the images to learn from and to be tested on, int64, fold after fold.

    Every image is tested on once; the folds differ by one image at most.
    """
    order = torch.randperm(images, generator=torch.Generator().manual_seed(seed))
    tests = order.tensor_split(parts)
    for fold, test in enumerate(tests):
        yield torch.cat([*tests[:fold], *tests[fold + 1 :]]), test


def train_dense(
    train: ImageSet, classes: int, *, seed: int, epochs: int = DENSE_EPOCHS, on_epoch: OnEpoch
) -> nn.Module:
    """Train report R3's dense network: sigmoid outputs, cross-entropy, plain SGD.

    Args:
        train: labelled images.
        classes: how many there are.
        seed: of the weights and of the order of the images.
        epochs: of 1,000 steps.
        on_epoch: called after each.
    """
    assert train.labels is not None
    network = dense_network(tuple(train.images.shape[1:]), classes, seed)
    wanted = functional.one_hot(train.labels, classes).float()
    weights = list(network.parameters())
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for chosen in _batches(len(train), DENSE_BATCH, DENSE_STEPS, generator):
            logits = network(train.images[chosen].float() / 255)
            # A cost for each of the sigmoid outputs, added up; the mean over the batch.
            costs = functional.binary_cross_entropy_with_logits(
                logits, wanted[chosen], reduction="sum"
            )
            gradients = torch.autograd.grad(costs / len(chosen), weights)
            with torch.no_grad():
                for weight, gradient in zip(weights, gradients, strict=True):
                    weight.sub_(gradient, alpha=DENSE_LEARNING_RATE)
        on_epoch(network)
    return network


def dense_network(shape: tuple[int, ...], classes: int, seed: int) -> nn.Sequential:
    """Return report R3's dense network before its training; it yields logits."""
    channels, height, _ = shape
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        lines = (*DENSE_LAYERS, f"dense {classes} normal=1")
        return build_layers(lines, shape, ImageShape(channels, height), "r3-dense")[0]


def _batches(images: int, batch: int, steps: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield the numbers of the images of each step; all are shuffled whenever they run out."""
    batch = min(batch, images)
    for step in range(steps):
        place = step % (images // batch) * batch
        if place == 0:
            order = torch.randperm(images, generator=generator)
        yield order[place : place + batch]


def train_judge(
    train: ImageSet,
    classes: int,
    *,
    seed: int,
    epochs: int = JUDGE_EPOCHS,
    on_epoch: OnEpoch | None = None,
    on_step: OnStep | None = None,
) -> Judge:
    """Return the running average of a judge trained with AdamW and a cosine schedule.

    After the first epoch of a short training the average still remembers its start and knows less.

    Args:
        train: labelled images, two or more.
        classes: how many there are.
        seed: of everything random.
        epochs: passes over the images; of few, several passes that make 100 steps.
        on_epoch: called after each.
        on_step: called after every step with the steps done and the steps in all.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _train_judge(train, classes, epochs, on_epoch, on_step)


def _train_judge(
    train: ImageSet,
    classes: int,
    epochs: int,
    on_epoch: OnEpoch | None,
    on_step: OnStep | None,
) -> Judge:
    assert train.labels is not None
    network = Judge.of(train, classes)
    averaged = copy.deepcopy(network).eval()
    optimiser = torch.optim.AdamW(
        network.parameters(),
        lr=JUDGE_LEARNING_RATE,
        weight_decay=JUDGE_WEIGHT_DECAY,
        betas=(0.9, 0.99),
    )
    batch = min(JUDGE_BATCH, len(train))
    whole = len(train) // batch * batch
    passes = math.ceil(JUDGE_LEAST_STEPS * batch / whole)
    steps = passes * whole // batch
    memory = max(min(JUDGE_MEMORY, epochs * steps / 7), 1)
    for epoch in range(epochs):
        order = torch.cat([torch.randperm(len(train))[:whole] for _ in range(passes)])
        for step, chosen in enumerate(order.view(-1, batch)):
            progress = (epoch + step / steps) / epochs
            optimiser.param_groups[0]["lr"] = JUDGE_LEARNING_RATE * _rate_factor(progress)
            pictures = _augmented(network.prepared(train.images[chosen]))
            _, logits = network(pictures.to(memory_format=torch.channels_last))
            loss = functional.cross_entropy(logits, train.labels[chosen])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            _average(averaged, network, 1 / memory)
            if on_step is not None:
                on_step(epoch * steps + step + 1, epochs * steps)
        if on_epoch is not None:
            on_epoch(averaged)
    return averaged.requires_grad_(False)


def _rate_factor(progress: float) -> float:
    """Return the factor at a progress of 0 to 1: a linear rise over 10 %, then half a cosine."""
    if progress < 0.1:
        return progress / 0.1
    return 0.5 + 0.5 * math.cos(math.pi * (progress - 0.1) / 0.9)


def _augmented(images: Tensor) -> Tensor:
    """Turn, scale, shear and shift float images, each a little and differently."""
    amounts = torch.rand(6, len(images)) * 2 - 1
    angle = amounts[0] * math.radians(12)
    shear = amounts[1] * 0.12
    scale_x, scale_y = 1 + 0.12 * amounts[2], 1 + 0.12 * amounts[3]
    shift = amounts[4:] * 2.5 / 14  # 2.5 pixels of 28
    transform = torch.stack(
        [
            torch.stack([angle.cos() * scale_x, shear - angle.sin() * scale_y, shift[0]], dim=1),
            torch.stack([angle.sin() * scale_x, angle.cos() * scale_y, shift[1]], dim=1),
        ],
        dim=1,
    )
    grid = functional.affine_grid(transform, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


@torch.no_grad()
def _average(averaged: nn.Module, network: nn.Module, amount: float) -> None:
    """Move the average by an amount towards the network, BatchNorm's statistics included."""
    pairs = zip(averaged.state_dict().values(), network.state_dict().values(), strict=True)
    for old, new in pairs:
        if old.is_floating_point():
            old.lerp_(new, amount)
        else:
            old.copy_(new)


@torch.inference_mode()
def classes_of(network: nn.Module, images: Tensor) -> Tensor:
    """Return the class that a network gives each image, int64 [n].

    Args:
        network: a judge, or any other from pixels of 0 to 1 to logits.
        images: uint8 [n, channels, height, width].
    """
    if isinstance(network, Judge):
        return judged(images, network).classes
    return torch.cat(
        [network(block.float() / 255).argmax(1) for block in torch.split(images, BLOCK)]
    )


def accuracy(network: nn.Module, images: ImageSet) -> float:
    """Return the share of images that are called by their labels."""
    assert images.labels is not None
    return float((classes_of(network, images.images) == images.labels).double().mean())


_TRAINERS: dict[str, tuple[Callable[..., nn.Module], int]] = {
    "r3-dense": (train_dense, DENSE_EPOCHS),
    "cnn": (train_judge, JUDGE_EPOCHS),
}


def teach(
    kind: str,
    learned: ImageSet,
    tested: ImageSet,
    classes: int,
    *,
    seed: int,
    epochs: int | None = None,
    on_epoch: Callable[[Curve], None] | None = None,
) -> tuple[nn.Module, Curve]:
    """Train a classifier and test it after every epoch.

    Args:
        kind: ``r3-dense`` or ``cnn``.
        learned: labelled images to learn from, in random order: of both, the first 12,000 tell
            how far it is.
        tested: labelled images to be tested on, in random order.
        classes: how many there are.
        seed: of everything random.
        epochs: as many as usual for its kind by default.
        on_epoch: called after each with the curve so far.
    """
    train, usual_epochs = _TRAINERS[kind]
    curve = Curve((), ())
    shown = [each.at(torch.arange(min(len(each), MOST_SHOWN))) for each in (learned, tested)]

    def test(network: nn.Module) -> None:
        nonlocal curve
        train_share, test_share = (accuracy(network, each) for each in shown)
        curve = Curve((*curve.train, train_share), (*curve.test, test_share))
        if on_epoch is not None:
            on_epoch(curve)

    network = train(learned, classes, seed=seed, epochs=epochs or usual_epochs, on_epoch=test)
    return network, curve
