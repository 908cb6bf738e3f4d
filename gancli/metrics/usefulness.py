"""Of what use are the fakes: does who learned from them know real images, and the other way round?

The classification accuracy score of Ravuri and Vinyals, "Classification Accuracy Score for
Conditional Generative Models" (2019), with a small classifier in place of their ResNet-50: the CNN
of `gancli judge`, always trained for the same length. A generator that leaves out what makes a
class various, or draws what it was not asked for, teaches less than real images do.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gancli.data import DataSplits, ImageSet
from gancli.errors import DataError
from gancli.metrics.classifier import classes_of, train_judge
from gancli.metrics.scores import (
    Draw,
    Figure,
    Progress,
    drawn,
    real_images,
    share_figure,
)

MOST_IMAGES = 60_000
EPOCHS = 2


def score_usefulness(
    draw: Draw, splits: DataSplits, *, seed: int = 0, on_progress: Progress | None = None
) -> tuple[Figure, Figure]:
    """Train a classifier on fakes and one on as many real images, and test both: two minutes.

    Each learns from 60,000 images, or from as many as there are real ones to learn from where
    these are fewer, so that both sides have the same number of images and steps.

    Args:
        draw: makes fakes with labels; called with ranges of at most 1,000 image seeds.
        splits: the data that the generator was trained on, all classes of it.
        seed: of the fakes, of the choice of real images and of both trainings.
        on_progress: called with (done, in all): of the fakes, then of either training's steps.

    Returns:
        ``cas`` and ``reverse_cas``.

    Raises:
        DataError: nothing was held out, or real images have no labels.
    """
    train, real, reference = real_images(splits, None)
    if train.labels is None or real.labels is None:
        raise DataError(
            f"--cas needs labels of the training images and of the {reference} split, and there "
            "are none; give the data their labels, or leave --cas out"
        )
    count = min(MOST_IMAGES, len(train))
    fakes = _labelled(draw, seed, count, on_progress)
    chosen = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))[:count]
    learned = train.at(chosen)
    of_fakes, of_real = (
        train_judge(images, splits.classes, seed=seed, epochs=EPOCHS, on_step=on_progress)
        for images in (fakes, learned)
    )

    def hits(network: torch.nn.Module, tested: ImageSet) -> Tensor:
        assert tested.labels is not None
        return classes_of(network, tested.images) == tested.labels

    held_out = f"the {len(real):,} images of the {reference} split"
    how = (
        f"a small CNN, {EPOCHS} epochs; interval: bootstrap of the images tested, not of the "
        "trainings"
    )
    known = hits(of_real, real)
    return (
        share_figure(
            "cas",
            hits(of_fakes, real),
            known,
            f"share of {held_out} that a classifier trained on {count:,} fakes calls by their "
            f"label; real: the same trained on {count:,} random training images; {how}",
            better="higher",
            seed=seed,
        ),
        share_figure(
            "reverse_cas",
            hits(of_real, fakes),
            known,
            f"share of {count:,} fakes that a classifier trained on {count:,} random training "
            f"images calls what was asked for; real: of {held_out}, by their label; {how}",
            better="higher",
            seed=seed,
        ),
    )


def _labelled(draw: Draw, seed: int, count: int, on_progress: Progress | None) -> ImageSet:
    """Draw labelled fakes, portion by portion."""
    portions, labels = [], []
    for images, asked in drawn(draw, seed, count, on_progress):
        assert asked is not None, "only a conditional generator can be of this use"
        portions.append(images)
        labels.append(asked)
    return ImageSet(torch.cat(portions), torch.cat(labels))
