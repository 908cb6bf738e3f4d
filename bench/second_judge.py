"""A second judge of digits, of another architecture and seed than the one that ships.

Figures that hold in the features of both were not tuned to one network. It has convolutions of
5 x 5, pooling and dense layers in place of strides and batch normalisation, and learns from shifted
images alone: about four minutes of one core, once for a folder.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import nn
from torch.nn import functional

from gancli import data, files
from gancli.data import ImageSet
from gancli.metrics.judge import FEATURES, SIDE, Appointed, Judge, judged

SEED, EPOCHS, BATCH, RATE, REACH = 1, 8, 128, 2e-3, 2


class SecondJudge(Judge):
    """Digits of 28 x 28 to 64 features and ten logits."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 20, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(20, 40, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(40 * (SIDE // 4) ** 2, 256),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(256, FEATURES),
        )


def second_judge(folder: Path) -> Appointed:
    """Return the second judge, which is trained on the MNIST training split where it is not yet."""
    path, splits = folder / "second-judge.safetensors", data.load("mnist")
    network = SecondJudge()
    if not path.exists():
        files.write_bytes(path, save(_trained(splits.train).state_dict()))
    network.load_state_dict(load_file(path))
    network.eval().requires_grad_(False)
    assert splits.test is not None and splits.test.labels is not None
    hits = judged(splits.test.images, network).classes == splits.test.labels
    words = f"a second judge, right on {hits.double().mean():.2%} of the test split"
    return Appointed(network, hashlib.sha256(path.read_bytes()).hexdigest(), True, words)


def _trained(train: ImageSet) -> SecondJudge:
    assert train.labels is not None
    torch.manual_seed(SEED)
    network = SecondJudge().train()
    optimizer = torch.optim.AdamW(network.parameters(), RATE)
    steps = len(train) // BATCH
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS * steps)
    for _ in range(EPOCHS):
        order = torch.randperm(len(train))
        for chosen in order[: steps * BATCH].view(steps, BATCH):
            moves = torch.randint(-REACH, REACH + 1, (2,)).tolist()
            pictures = network.prepared(train.images[chosen]).roll(moves, (2, 3))
            loss = functional.cross_entropy(network(pictures)[1], train.labels[chosen])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return network
