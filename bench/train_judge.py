"""Train the judge of gancli.metrics on the MNIST training split (about four minutes of one core).

    python bench/train_judge.py --holdout 5000    # choose settings: scores the withheld images
    python bench/train_judge.py --write           # train on all 60,000, look at the test split once

The settings of gancli.metrics.classifier were chosen with the first command; the second wrote the
shipped weights. It is what `gancli judge --network cnn --epochs 8` does, on all training images.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import nn

from gancli import data
from gancli.metrics import classifier, judge

SEED = 0
EPOCHS = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--holdout", type=int, default=0, help="training images to withhold")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--write", action="store_true", help="write the weights into the package")
    options = parser.parse_args()
    torch.set_num_threads(1)
    splits = data.load("mnist", holdout=options.holdout)
    started = time.monotonic()

    def on_epoch(network: nn.Module) -> None:
        line = f"{time.monotonic() - started:.0f} s"
        if splits.holdout is not None:
            line += f", holdout accuracy {classifier.accuracy(network, splits.holdout):.4%}"
        print(line, flush=True)

    trained = classifier.train_judge(
        splits.train, splits.classes, seed=SEED, epochs=options.epochs, on_epoch=on_epoch
    )
    if options.write:
        print(f"wrote {judge.WEIGHTS}: {judge.write_judge(trained, judge.WEIGHTS)}")
    if splits.holdout is None and splits.test is not None:
        print(f"test accuracy {classifier.accuracy(trained, splits.test):.4%}")


if __name__ == "__main__":
    main()
