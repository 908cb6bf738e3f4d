"""A classifier on a data set: trained, tested, cross-validated, and kept where it can judge."""

from __future__ import annotations

import dataclasses
import functools
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from gancli import data, files
from gancli.config import DataConfig
from gancli.data import DataSplits, ImageSet
from gancli.errors import ConfigError, DataError, memory_advice
from gancli.metrics import classifier, judge
from gancli.metrics.classifier import Curve

SINGLE_PARTS = 5  # report R3: four parts to learn from, one to be tested on
_MOST_FOLDS = 1_000
_MOST_EPOCHS = 1_000
_LARGEST_SEED = 1_000_000

# Called after every epoch with the fold, from 1 up, and its curve so far.
OnEpoch = Callable[[int, Curve], None]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """How well a kind of classifier tells the classes of a data set apart; shares from 0 to 1.

    Attributes:
        network: ``r3-dense`` or ``cnn``.
        source: the data.
        classes: how many there are.
        images: how many labelled images were split into parts.
        seed: of the split, the weights and the order of the images.
        folds: how many parts were tested on in turn; None for one split of 4 to 1.
        curves: of each fold, or of the one split.
        official: share of the data's own test split called by their labels, of each fold;
            empty where the data have none.
        seconds: how long it all took.
        path: where the judge lies; None if none was kept.
        judge_sha256: of its weights.
    """

    network: str
    source: str
    classes: int
    images: int
    seed: int
    folds: int | None
    curves: tuple[Curve, ...]
    official: tuple[float, ...]
    seconds: float
    path: Path | None
    judge_sha256: str | None

    @property
    def train(self) -> tuple[float, ...]:
        """Shares of the images learned from, at the end of each fold."""
        return tuple(curve.train[-1] for curve in self.curves)

    @property
    def test(self) -> tuple[float, ...]:
        """Shares of the images not learned from, at the end of each fold."""
        return tuple(curve.test[-1] for curve in self.curves)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, fit for JSON."""
        figures = {"test": self.test, "train": self.train, "official_test": self.official}
        return {
            **{name: _summary(values) for name, values in figures.items()},
            **dataclasses.asdict(self),
            "path": None if self.path is None else str(self.path),
        }


def _summary(values: tuple[float, ...]) -> dict[str, float | None] | None:
    """Return mean and standard deviation; None of no values, no deviation of a single one."""
    if not values:
        return None
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.fmean(values), "sd": deviation}


def train(
    wanted: DataConfig,
    *,
    network: str,
    folds: int | None = None,
    seed: int = 0,
    epochs: int | None = None,
    out: Path | None = None,
    on_epoch: OnEpoch | None = None,
) -> Verdict:
    """Train a classifier on four fifths of the training images and test it on the last fifth.

    With folds, every image is tested on once, by a classifier that did not see it. Without them, a
    ``cnn`` is kept as the judge of these data.

    Args:
        wanted: the data.
        network: ``r3-dense``, of report R3, or ``cnn``.
        folds: of the cross-validation; None for the one split.
        seed: of the split and of the training.
        epochs: of 1,000 steps (``r3-dense``; 5 by default) or passes over the images (``cnn``; 3).
        out: where the judge is written; by default where ``evaluate`` looks for it.
        on_epoch: called after each epoch.

    Raises:
        ConfigError: a value is out of range, or contradicts another.
        DataError: the data cannot be read, have no labels, or are too few.
        StorageError: the judge cannot be written, or memory runs out.
    """
    _check_ranges(network, folds, seed, epochs, out)
    splits = data.load_for(dataclasses.replace(wanted, digit=None))
    parts = folds or SINGLE_PARTS
    _check_labels(splits, wanted.source, parts)
    keeps = network == "cnn" and folds is None
    path = (out or judge.trained_path(splits.train)) if keeps else None
    if path is not None and out is None:
        files.make_folder(path.parent)  # before the work, for it may be refused
    started = time.monotonic()
    curves, official = [], []
    with memory_advice("train on smaller images (--set data.image_size=N)"):
        for fold, (learned, tested) in enumerate(_folds(splits.train, parts, seed), start=1):
            classified, curve = classifier.teach(
                network,
                learned,
                tested,
                splits.classes,
                seed=seed * _MOST_FOLDS + fold,
                epochs=epochs,
                on_epoch=on_epoch and functools.partial(on_epoch, fold),
            )
            curves.append(curve)
            if splits.test is not None and splits.test.labels is not None:
                official.append(classifier.accuracy(classified, splits.test))
            if folds is None:
                break
    sha256 = None
    if path is not None:
        assert isinstance(classified, judge.Judge)
        sha256 = judge.write_judge(classified, path)
    return Verdict(
        network,
        wanted.source,
        splits.classes,
        len(splits.train),
        seed,
        folds,
        tuple(curves),
        tuple(official),
        time.monotonic() - started,
        path,
        sha256,
    )


def _check_ranges(
    network: str, folds: int | None, seed: int, epochs: int | None, out: Path | None
) -> None:
    if folds is not None and not 2 <= folds <= _MOST_FOLDS:
        raise ConfigError(f"--folds {folds} is out of range: it must be 2 to {_MOST_FOLDS:,}")
    if not 0 <= seed <= _LARGEST_SEED:
        raise ConfigError(f"--seed {seed} is out of range: it must be 0 to {_LARGEST_SEED:,}")
    if epochs is not None and not 1 <= epochs <= _MOST_EPOCHS:
        raise ConfigError(f"--epochs {epochs} is out of range: it must be 1 to {_MOST_EPOCHS:,}")
    if out is not None and (folds is not None or network != "cnn"):
        raise ConfigError("--out is for the judge that --network cnn trains without --folds")
    if out is not None:
        files.need_folder_of(out)
        if out.is_dir():
            raise ConfigError(f"--out {out} is a folder; give the name of a file in it")


def _check_labels(splits: DataSplits, source: str, parts: int) -> None:
    """Refuse data that no classifier can be tested on; each part needs two images."""
    if splits.classes < 2:
        raise DataError(
            f"{source} has no labels of two classes or more to tell apart; give pictures in a "
            "subfolder a class, or IDX images with their labels beside them"
        )
    if len(splits.train) < 2 * parts:
        raise DataError(
            f"{source} has {len(splits.train):,} images to learn from, and {parts} parts need "
            f"{2 * parts:,}; give more images or fewer --folds"
        )


def _folds(images: ImageSet, parts: int, seed: int) -> Iterator[tuple[ImageSet, ImageSet]]:
    for learned, tested in classifier.folds(len(images), parts, seed):
        yield _chosen(images, learned), _chosen(images, tested)


def _chosen(images: ImageSet, which: Tensor) -> ImageSet:
    assert images.labels is not None
    return ImageSet(images.images[which], images.labels[which])
