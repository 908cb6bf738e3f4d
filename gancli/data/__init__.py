"""Every source as the same thing: one tensor of images or points and, where known, labels."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from gancli import files
from gancli.config import NAMED_SOURCES, STACKED_SOURCE, DataConfig
from gancli.data import catalogue, stacked
from gancli.data.folder import list_folder, read_folder
from gancli.data.synthetic import Targets, targets
from gancli.errors import ConfigError, DataError, did_you_mean
from gancli.idx import EMBEDDED_MNIST, read_idx

_NO_CLASS = 255
_TEST_IMAGES = ("t10k-images", "test-images")  # how their files' names begin


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """Images with labels where they are known.

    Attributes:
        images: uint8 [n, channels, height, width], 0 to 255; of points float32 [n, 2].
        labels: int64 [n] from 0 up, or None.
    """

    images: Tensor
    labels: Tensor | None

    def __len__(self) -> int:
        return len(self.images)

    def at(self, indices: Tensor) -> ImageSet:
        """Return the images at indices, int64 [n], or those that a mask chooses, bool [n]."""
        return ImageSet(
            self.images[indices], self.labels if self.labels is None else self.labels[indices]
        )

    def has_class(self, label: int) -> bool:
        """Tell whether there are images that are known to be of one class."""
        return self.labels is not None and bool((self.labels == label).any())

    def of_class(self, label: int) -> ImageSet:
        """Return the images of one class.

        Raises:
            DataError: there are no labels, or none of this class.
        """
        if self.labels is None:
            raise DataError(f"class {label} was asked for, but this data set has no labels")
        if not self.has_class(label):
            present = ", ".join(str(int(known)) for known in torch.unique(self.labels))
            raise DataError(f"no image has the label {label}; the labels are {present}")
        return self.at(self.labels == label)

    def fingerprint(self) -> str:
        """Return a SHA-256 over shape, pixels and labels: equal data, equal fingerprint."""
        digest = hashlib.sha256(repr(tuple(self.images.shape)).encode())
        digest.update(self.images.contiguous().numpy().data)
        if self.labels is not None:
            digest.update(self.labels.numpy().data)
        return digest.hexdigest()


@dataclasses.dataclass(frozen=True)
class DataSplits:
    """A data set: what may be trained on, what is withheld from it, what judges in the end.

    Attributes:
        train: the training images, less the holdout.
        holdout: training images that are withheld to judge by; None for none.
        test: the test split, for ``evaluate`` alone; None where the source has none.
        classes: the number of classes; 0 without labels.
    """

    train: ImageSet
    holdout: ImageSet | None
    test: ImageSet | None
    classes: int

    @property
    def unseen(self) -> ImageSet | None:
        """Real images that were not trained on: the test split, or else the holdout."""
        return self.holdout if self.test is None else self.test

    def of_class(self, label: int) -> DataSplits:
        """Return the splits with the images of one class alone; a test split without any goes.

        Raises:
            DataError: there are no labels, or nothing of this class to learn from or withheld.
        """
        train, holdout, test = self.train.of_class(label), self.holdout, self.test
        if holdout is not None:
            if not holdout.has_class(label):
                raise DataError(
                    f"data.holdout = {len(holdout)} withholds no image of class {label}; "
                    "withhold more"
                )
            holdout = holdout.of_class(label)
        test = test.of_class(label) if test is not None and test.has_class(label) else None
        return DataSplits(train, holdout, test, self.classes)


def load(
    source: str = "mnist", *, image_size: int = 28, channels: int = 1, holdout: int = 0
) -> DataSplits:
    """Load a data set: a name of the catalogue, made data, IDX files, or a folder of pictures.

    Args:
        source: ``mnist``; ``emnist-digits``, ``fashion-mnist`` or ``kmnist``, which are downloaded
            once; ``point``, ``ring8``, ``grid25``, ``true-image`` or ``digits-10x10``, which are
            made on the spot; ``stacked-mnist``, MNIST's digits three to a colour image; an IDX
            file of images (labels are looked for beside it); a folder with the four official IDX
            files; or a folder of pictures, a subfolder a class.
        image_size: height and width that images are resized to.
        channels: 1 for grey, 3 for colour; ``stacked-mnist`` has 3 in any case.
        holdout: how many training images are withheld: the last ones, but where images lie class
            after class, as those of a folder do, as many of each class as are its share.

    Raises:
        DataError: the source is missing, damaged or contradicts itself, or cannot be downloaded.
        StorageError: what is downloaded cannot be kept.
    """
    train, test = _read(source, image_size, channels)
    if train.labels is not None and len(torch.unique(train.labels)) == 1:
        # One class is none to tell apart, whatever its number: samples of one digit, say.
        train, test = ImageSet(train.images, None), test and ImageSet(test.images, None)
    classes = _count_classes(train, test, source)
    if holdout >= len(train):
        raise DataError(
            f"data.holdout = {holdout} leaves nothing of the {len(train)} images of '{source}'"
        )
    withheld = None
    if holdout:
        chosen = _withheld(train, holdout)
        withheld, train = train.at(chosen), train.at(~chosen)
        if train.labels is not None and len(left := torch.unique(train.labels)) < classes:
            missing = min(set(range(classes)) - set(left.tolist()))
            raise DataError(
                f"data.holdout = {holdout} leaves no image of class {missing} of '{source}' to "
                "learn from; withhold fewer"
            )
    return DataSplits(train, withheld, test, classes)


def judges(config: DataConfig) -> bool:
    """Tell whether data have images to judge by; the catalogue's have, and what is withheld.

    Data that cannot be looked at have none.
    """
    if config.source in NAMED_SOURCES or config.holdout:
        return True
    folder = files.user_path(config.source)
    try:
        return folder.is_dir() and any(_find_idx(folder, start) for start in _TEST_IMAGES)
    except (OSError, DataError):
        return False


def load_for(config: DataConfig) -> DataSplits:
    """Load the data of a config, one class of it if it says so.

    Raises:
        ConfigError: it asks for a class that the data does not have.
        DataError: the data cannot be read.
    """
    splits = load(
        config.source,
        image_size=config.image_size,
        channels=config.channels,
        holdout=config.holdout,
    )
    if config.digit is None:
        return splits
    if splits.classes and config.digit >= splits.classes:
        raise ConfigError(
            f"--digit {config.digit} (data.digit) is out of range: {config.source} has "
            f"0 to {splits.classes - 1}"
        )
    return splits.of_class(config.digit)


def _read(source: str, image_size: int, channels: int) -> tuple[ImageSet, ImageSet | None]:
    """Return the training images of a source and, where it has them, the test images."""
    made = targets(source)
    if made is not None:
        return _make(made, image_size, channels)
    if source == STACKED_SOURCE:
        return _stack(image_size)
    fetched = EMBEDDED_MNIST if source == "mnist" else catalogue.folder_of(source)
    path = fetched or files.user_path(source)
    sideways = catalogue.is_transposed(source)
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    if is_folder:
        train_images = _find_idx(path, "train-images")
        if train_images is None:
            images, labels, _ = read_folder(path, image_size, channels)
            return ImageSet(
                torch.from_numpy(images), None if labels is None else torch.from_numpy(labels)
            ), None
        train = _read_pair(train_images, image_size, channels, sideways)
        for test_images in (_find_idx(path, start) for start in _TEST_IMAGES):
            if test_images is not None:
                return train, _read_pair(test_images, image_size, channels, sideways)
        return train, None
    if is_file:
        return _read_pair(path, image_size, channels), None
    raise DataError(
        f"no data at '{source}': give {', '.join(NAMED_SOURCES)}, an IDX file or a folder"
        f"{did_you_mean(path.name, NAMED_SOURCES)}"
    )


def _make(made: Targets, image_size: int, channels: int) -> tuple[ImageSet, ImageSet]:
    """Draw both splits of made data, the test split from a seed of its own."""
    splits = []
    for seed, count in enumerate((made.train, made.test)):
        samples, labels = made.draw(count, seed)
        drawn = samples if samples.ndim == 2 else _fit(samples, image_size, channels)
        splits.append(ImageSet(drawn, labels))
    return splits[0], splits[1]


def _stack(image_size: int) -> tuple[ImageSet, ImageSet]:
    """Stack MNIST's digits, those of its test split for the test split."""
    splits = []
    for seed, (digits, count) in enumerate(
        zip(
            _read("mnist", image_size, 1),
            (stacked.TRAIN_IMAGES, stacked.TEST_IMAGES),
            strict=True,
        )
    ):
        assert digits is not None
        assert digits.labels is not None
        splits.append(ImageSet(*stacked.stack(digits.images, digits.labels, count, seed)))
    return splits[0], splits[1]


def _withheld(images: ImageSet, count: int) -> Tensor:
    """Return which images a holdout takes, bool [n]."""
    number = len(images)
    places = torch.arange(number - count, number)
    if images.labels is not None and not (images.labels.diff() < 0).any():
        # Class after class: the last ones would be of the last class alone. At equal distances,
        # each class gives its share.
        places = torch.arange(1, count + 1) * number // count - 1
    withheld = torch.zeros(number, dtype=torch.bool)
    withheld[places] = True
    return withheld


def _find_idx(folder: Path, start: str) -> Path | None:
    found = [path for path in list_folder(folder) if path.name.startswith(start)]
    return found[0] if found else None


def _read_pair(path: Path, image_size: int, channels: int, sideways: bool = False) -> ImageSet:
    """Read IDX images and, where they lie beside, the labels of the same name.

    Images that lie ``sideways``, rows and columns exchanged, are turned upright.
    """
    images = read_idx(path)
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[3] not in (1, 3) or not all(images.shape):
        raise DataError(
            f"{path} has the shape {list(images.shape)}; images need [n, height, width], or a "
            "fourth dimension of 3 for colour"
        )
    labels_name = labels_file_name(path.name)
    labels: Tensor | None = None
    for name in (labels_name, labels_name.removesuffix(".gz"), f"{labels_name}.gz"):
        labels_path = path.with_name(name)
        if labels_name != path.name and labels_path.is_file():
            labels = torch.from_numpy(_read_labels(labels_path, len(images), path))
            break
    pixels = torch.from_numpy(images).permute((0, 3, 2, 1) if sideways else (0, 3, 1, 2))
    return ImageSet(_fit(pixels, image_size, channels), labels)


def labels_file_name(images_name: str) -> str:
    """Return the name of the labels that belong to IDX images: MNIST's way, or ``X.labels.idx``."""
    official = re.sub(r"images([-.]idx)3", r"labels\g<1>1", images_name)
    if official != images_name:
        return official
    return re.sub(r"\.idx(\.gz)?$", r".labels.idx\g<1>", images_name, flags=re.IGNORECASE)


def _read_labels(path: Path, images: int, images_path: Path) -> npt.NDArray[np.int64]:
    labels = read_idx(path)
    if labels.ndim != 1:
        raise DataError(f"{path} has the shape {list(labels.shape)}; labels need [n]")
    if len(labels) != images:
        raise DataError(
            f"{path} holds {len(labels)} labels for the {images} images of {images_path.name}"
        )
    if (labels == _NO_CLASS).all():
        raise DataError(
            f"{path} holds nothing but the label {_NO_CLASS}, which is no class; move it away to "
            "train without labels"
        )
    return labels.astype(np.int64)


def _fit(images: Tensor, image_size: int, channels: int) -> Tensor:
    """Bring uint8 images [n, 1 or 3, height, width] to the size and channels a recipe asks."""
    if tuple(images.shape[2:]) != (image_size, image_size):
        images = functional.interpolate(
            images, (image_size, image_size), mode="bilinear", antialias=True
        )
    if images.shape[1] > channels:
        # The luma weights of ITU-R BT.601, as Pillow's.
        weights = torch.tensor([0.299, 0.587, 0.114]).reshape(1, 3, 1, 1)
        images = (images * weights).sum(1, keepdim=True).round().to(torch.uint8)
    return images.expand(-1, channels, -1, -1).contiguous()


def _count_classes(train: ImageSet, test: ImageSet | None, source: str) -> int:
    if train.labels is None:
        return 0
    present = torch.unique(train.labels)
    classes = int(present[-1]) + 1
    if len(present) != classes or (
        test and test.labels is not None and int(test.labels.max()) >= classes
    ):
        missing = sorted(set(range(classes)) - {int(label) for label in present})
        raise DataError(
            f"the labels of '{source}' are not 0 to {classes - 1} without a gap"
            f"{f' (first missing: {missing[0]})' if missing else ' in both splits'}; "
            "number the classes so"
        )
    return classes
