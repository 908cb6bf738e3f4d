"""Which fakes are judged."""

from __future__ import annotations

import torch

from gancli import sampling, scoring
from gancli.data import DataSplits, ImageSet
from gancli.runs import RunDirectory


def test_classes_come_as_often_as_among_the_training_images(tiny_run: RunDirectory) -> None:
    trained = sampling.load(tiny_run.path)
    labels = torch.tensor([0] * 90 + [2] * 10)
    splits = DataSplits(
        ImageSet(torch.zeros(100, 1, 8, 8, dtype=torch.uint8), labels), None, None, 3
    )
    draw = scoring.draw_of(trained, splits)
    images, asked = draw(range(50, 150))
    assert asked is not None
    assert asked.bincount(minlength=3).tolist() == [90, 0, 10]
    assert torch.equal(asked[:50], draw(range(50, 100))[1])
    assert torch.equal(images, trained.sample(range(50, 150), labels=asked))
    one = trained.sample([51], digit=int(asked[1]))
    assert torch.equal(images[1], one[0])


def test_a_generator_without_labels_is_told_none(tiny_digit_run: RunDirectory) -> None:
    trained = sampling.load(tiny_digit_run.path)
    images, asked = scoring.draw_of(trained, trained.splits())(range(3))
    assert asked is None
    assert torch.equal(images, trained.sample(range(3)))
