"""Train the judge of gancli.metrics on the MNIST training split (about four minutes of one core).

    python bench/train_judge.py --holdout 5000    # choose settings: scores the withheld images
    python bench/train_judge.py --write           # train on all 60,000, look at the test split once

The settings below were chosen with the first command; the second wrote the shipped weights.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import math
import time

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional

from gancli import data, files
from gancli.metrics import judge

SEED = 0
EPOCHS = 8
BATCH = 128
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 1e-2
AVERAGING = 0.998  # a memory of about 500 steps, one epoch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--holdout", type=int, default=0, help="training images to withhold")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--write", action="store_true", help="write the weights into the package")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    splits = data.load("mnist", holdout=options.holdout)
    averaged = train(splits, options.epochs)
    if options.write:
        # safetensors knows no channels_last.
        weights = {name: value.contiguous() for name, value in averaged.state_dict().items()}
        content = safetensors.torch.save(weights)
        files.write_bytes(judge.WEIGHTS, content)
        checksum = hashlib.sha256(content).hexdigest()
        files.write_text(judge.checksum_path(judge.WEIGHTS), f"{checksum}\n")
        print(f"wrote {len(content):,} bytes to {judge.WEIGHTS}")
    if splits.holdout is None and splits.test is not None:
        print(f"test accuracy {accuracy(averaged, splits.test):.4%}")


def train(splits: data.DataSplits, epochs: int) -> judge.Judge:
    """Return the running average of a judge trained with AdamW and a cosine schedule."""
    network = judge.Judge()
    averaged = copy.deepcopy(network)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, betas=(0.9, 0.99)
    )
    images, labels = splits.train.images, splits.train.labels
    assert labels is not None
    steps_an_epoch = len(images) // BATCH
    started = time.monotonic()
    for epoch in range(epochs):
        network.train()
        order = torch.randperm(len(images))[: steps_an_epoch * BATCH].view(-1, BATCH)
        total_loss = 0.0
        for step, chosen in enumerate(order):
            progress = (epoch + step / steps_an_epoch) / epochs
            optimiser.param_groups[0]["lr"] = LEARNING_RATE * learning_rate_factor(progress)
            pictures = augmented(images[chosen].float() / 255)
            _, logits = network(pictures.to(memory_format=torch.channels_last))
            loss = functional.cross_entropy(logits, labels[chosen])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            average(averaged, network)
            total_loss += loss.item()
        line = f"epoch {epoch + 1}/{epochs}: loss {total_loss / steps_an_epoch:.4f}"
        if splits.holdout is not None:
            line += f", holdout accuracy {accuracy(network, splits.holdout):.4%}"
            line += f", of the average {accuracy(averaged, splits.holdout):.4%}"
        print(f"{line}, {time.monotonic() - started:.0f} s", flush=True)
    return averaged.eval()


def learning_rate_factor(progress: float) -> float:
    """Return the factor at a progress of 0 to 1: a linear rise over 10 %, then half a cosine."""
    if progress < 0.1:
        return progress / 0.1
    return 0.5 + 0.5 * math.cos(math.pi * (progress - 0.1) / 0.9)


def augmented(images: Tensor) -> Tensor:
    """Turn, scale, shear and shift float images [n, 1, 28, 28], each a little and differently."""
    amounts = torch.rand(6, len(images)) * 2 - 1
    angle = amounts[0] * math.radians(12)
    shear = amounts[1] * 0.12
    scale_x, scale_y = 1 + 0.12 * amounts[2], 1 + 0.12 * amounts[3]
    shift = amounts[4:] * 2.5 / (judge.SIDE / 2)
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
def average(averaged: nn.Module, network: nn.Module) -> None:
    """Move the running average towards the network, BatchNorm's statistics included."""
    pairs = zip(averaged.state_dict().values(), network.state_dict().values(), strict=True)
    for old, new in pairs:
        if old.is_floating_point():
            old.lerp_(new, 1 - AVERAGING)
        else:
            old.copy_(new)


@torch.inference_mode()
def accuracy(network: judge.Judge, images: data.ImageSet) -> float:
    """Return the share of images that the network gives their own label."""
    network.eval()
    assert images.labels is not None
    guesses = [
        network(block.float() / 255)[1].argmax(1)
        for block in torch.split(images.images, judge.BLOCK)
    ]
    return float((torch.cat(guesses) == images.labels).double().mean())


if __name__ == "__main__":
    main()
