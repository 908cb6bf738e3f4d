from __future__ import annotations

import gzip
import hashlib
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiny import WriteIdx

from gancli import data
from gancli.config import DataConfig
from gancli.data import DataSplits, ImageSet, labels_file_name
from gancli.errors import ConfigError, DataError
from gancli.metrics.scores import real_images

# Of the digits 0 to 9.
IN_TRAIN = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
IN_TEST = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.fixture(scope="module")
def mnist() -> DataSplits:
    return data.load()


def pixels(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.uint32).astype(np.uint8).reshape(shape)


def refusal(source: str, **wanted: int) -> str:
    with pytest.raises(DataError) as caught:
        data.load(source, **wanted)
    return str(caught.value)


def test_mnist_is_all_there(mnist: DataSplits) -> None:
    assert mnist.test is not None
    assert mnist.test.labels is not None
    assert mnist.train.labels is not None
    assert mnist.train.images.shape == (60_000, 1, 28, 28)
    assert mnist.test.images.shape == (10_000, 1, 28, 28)
    assert mnist.train.images.dtype == torch.uint8
    assert torch.bincount(mnist.train.labels).tolist() == IN_TRAIN
    assert torch.bincount(mnist.test.labels).tolist() == IN_TEST
    assert (mnist.classes, mnist.holdout) == (10, None)


def test_mnist_loads_fast() -> None:
    began = time.perf_counter()
    data.load()
    assert time.perf_counter() - began < 5  # 0.4 s when nothing else runs


def test_the_holdout_is_the_end_of_the_training_images(mnist: DataSplits) -> None:
    held = data.load(holdout=10_000)
    assert held.holdout is not None
    assert (len(held.train), len(held.holdout)) == (50_000, 10_000)
    assert torch.equal(torch.cat([held.train.images, held.holdout.images]), mnist.train.images)
    assert held.holdout.labels is not None
    assert mnist.train.labels is not None
    assert torch.equal(held.holdout.labels, mnist.train.labels[-10_000:])


def test_a_class_is_its_images_in_order(mnist: DataSplits) -> None:
    seven = mnist.of_class(7)
    assert mnist.train.labels is not None
    assert seven.train.labels is not None
    assert seven.test is not None
    assert (len(seven.train), len(seven.test)) == (IN_TRAIN[7], IN_TEST[7])
    assert set(seven.train.labels.tolist()) == {7}
    first = int((mnist.train.labels == 7).nonzero()[0])
    assert torch.equal(seven.train.images[0], mnist.train.images[first])


def test_a_class_that_is_not_there_is_refused() -> None:
    images = torch.zeros(2, 1, 2, 2, dtype=torch.uint8)
    with pytest.raises(DataError, match="no image has the label 3; the labels are 0, 2"):
        ImageSet(images, torch.tensor([0, 2])).of_class(3)
    with pytest.raises(DataError, match="has no labels"):
        ImageSet(images, None).of_class(3)


@pytest.mark.parametrize("labels", [None, [0, 1, 1]])
def test_a_test_split_without_the_class_is_none(labels: list[int] | None) -> None:
    images = torch.zeros(3, 1, 2, 2, dtype=torch.uint8)
    train = ImageSet(images, torch.tensor([0, 1, 2]))
    test = ImageSet(images, None if labels is None else torch.tensor(labels))
    splits = DataSplits(train, None, test, 3)
    assert splits.of_class(2).test is None
    assert splits.of_class(2).train.labels.tolist() == [2]
    with pytest.raises(DataError, match="scores need two or more real images"):
        real_images(splits, 2)


def test_a_holdout_without_the_class_is_named() -> None:
    with pytest.raises(DataError) as caught:
        data.load_for(DataConfig(digit=7, holdout=3))
    assert str(caught.value) == "data.holdout = 3 withholds no image of class 7; withhold more"
    held = data.load_for(DataConfig(digit=8, holdout=3))
    assert held.holdout is not None
    assert held.test is not None
    assert (len(held.holdout), len(held.test)) == (1, IN_TEST[8])


@pytest.mark.parametrize("change", ["pixel", "label", "order", "shape", "labels"])
def test_the_fingerprint_tells_data_apart(change: str) -> None:
    def made() -> ImageSet:
        return ImageSet(torch.from_numpy(pixels(4, 1, 2, 3)), torch.tensor([0, 1, 0, 1]))

    changed = made()
    assert changed.labels is not None
    assert changed.fingerprint() == made().fingerprint()
    if change == "pixel":
        changed.images[3, 0, 1, 2] += 1
    elif change == "label":
        changed.labels[3] = 0
    elif change == "order":
        changed = ImageSet(changed.images.flip(0), changed.labels)
    elif change == "shape":
        changed = ImageSet(changed.images.reshape(4, 1, 3, 2), changed.labels)
    else:
        changed = ImageSet(changed.images, None)
    assert changed.fingerprint() != made().fingerprint()
    assert len(bytes.fromhex(changed.fingerprint())) == hashlib.sha256().digest_size


# IDX files of one's own.


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
        ("my-images.idx3-ubyte", "my-labels.idx1-ubyte"),
        ("mine.idx", "mine.labels.idx"),
    ],
)
def test_idx_files_bring_the_labels_beside_them(
    write_idx: WriteIdx, images: str, labels: str, zipped: bool
) -> None:
    assert labels_file_name(images) == labels
    path = write_idx(Path(images), pixels(3, 4, 4))
    write_idx(Path(labels), np.uint8([1, 0, 1]))
    if zipped:
        for name in (images, labels):
            Path(f"{name}.gz").write_bytes(gzip.compress(Path(name).read_bytes()))
            Path(name).unlink()
        path = Path(f"{images}.gz")
    splits = data.load(str(path), image_size=4)
    assert splits.train.labels is not None
    assert (splits.train.labels.tolist(), splits.classes) == ([1, 0, 1], 2)
    np.testing.assert_array_equal(splits.train.images[:, 0], pixels(3, 4, 4))


def test_idx_files_without_labels_have_no_classes(write_idx: WriteIdx) -> None:
    splits = data.load(str(write_idx(Path("some.bin"), pixels(3, 4, 4))), image_size=4)
    assert (splits.train.labels, splits.classes, splits.test) == (None, 0, None)


def test_images_are_not_taken_for_their_own_labels(write_idx: WriteIdx) -> None:
    path = write_idx(Path("some.bin"), pixels(3, 4, 4))
    Path("some.bin.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert data.load("some.bin", image_size=4).classes == 0


def test_a_folder_of_idx_files_has_a_test_split(write_idx: WriteIdx) -> None:
    folder = Path("set")
    folder.mkdir()
    for split, count in (("train", 6), ("t10k", 4)):
        write_idx(folder / f"{split}-images-idx3-ubyte", pixels(count, 4, 4))
        write_idx(folder / f"{split}-labels-idx1-ubyte", np.arange(count, dtype=np.uint8) % 2)
    splits = data.load("set", image_size=4, holdout=2)
    assert splits.test is not None
    assert splits.holdout is not None
    assert (len(splits.train), len(splits.holdout), len(splits.test)) == (4, 2, 4)
    assert splits.classes == 2


@given(
    st.integers(0, 255),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(4, 12),
    st.sampled_from([1, 3]),
    st.sampled_from([1, 3]),
)
def test_a_plain_image_stays_plain_at_any_size(
    write_idx: WriteIdx, grey: int, height: int, width: int, size: int, given: int, wanted: int
) -> None:
    array = np.full((2, height, width, given), grey, np.uint8)
    splits = data.load(str(write_idx(Path("plain.bin"), array)), image_size=size, channels=wanted)
    assert splits.train.images.shape == (2, wanted, size, size)
    assert (splits.train.images == grey).all()


def test_colours_become_the_luma_that_eyes_see(write_idx: WriteIdx) -> None:
    colours = 255 * np.eye(3, dtype=np.uint8).reshape(3, 1, 1, 3).repeat(4, 1).repeat(4, 2)
    path = str(write_idx(Path("colours.bin"), colours))
    assert data.load(path, image_size=4).train.images[:, 0, 0, 0].tolist() == [76, 150, 29]
    kept = data.load(path, image_size=4, channels=3).train.images
    assert torch.equal(kept[:, :, 0, 0], 255 * torch.eye(3, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([0, 1], "holds 2 labels for the 3 images of x.idx"),
        ([[0, 1, 0]], "x.labels.idx has the shape [1, 3]; labels need [n]"),
        ([255, 255, 255], "holds nothing but the label 255, which is no class; move it away to"),
        ([0, 1, 255], "not 0 to 255 without a gap (first missing: 2)"),
        ([1, 1, 2], "not 0 to 2 without a gap (first missing: 0)"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    write_idx: WriteIdx, labels: list[int], words: str
) -> None:
    write_idx(Path("x.idx"), pixels(3, 4, 4))
    write_idx(Path("x.labels.idx"), np.uint8(labels))
    assert words in refusal("x.idx")


@pytest.mark.parametrize("shape", [(3,), (3, 4), (3, 4, 4, 2), (0, 4, 4), (3, 0, 4)])
def test_an_array_that_is_no_images_is_refused(write_idx: WriteIdx, shape: tuple[int, ...]) -> None:
    write_idx(Path("x.bin"), pixels(*shape))
    message = refusal("x.bin")
    assert f"x.bin has the shape [{', '.join(map(str, shape))}" in message
    assert "images need [n, height, width]" in message


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("mnits", "no data at 'mnits': give mnist, stacked-mnist, emnist-digits, fashion-mnist, "),
        ("mnits", ", an IDX file or a folder; did you mean 'mnist'?"),
        ("gone/away", "no data at 'gone/away'"),
    ],
)
def test_a_source_that_is_not_there_is_refused(source: str, words: str) -> None:
    assert words in refusal(source)


def test_a_holdout_of_everything_is_refused(tiny_data: Path, write_idx: WriteIdx) -> None:
    assert len(data.load(str(tiny_data), image_size=8, holdout=45).train) == 3
    words = "holdout = 46 leaves no image of class 2 of"
    assert words in refusal(str(tiny_data), image_size=8, holdout=46)
    assert "holdout = 48 leaves nothing of the 48 images" in refusal(str(tiny_data), holdout=48)
    unlabelled = str(write_idx(Path("plain.bin"), pixels(3, 4, 4)))
    assert len(data.load(unlabelled, image_size=4, holdout=2).train) == 1


@pytest.mark.parametrize(("count", "shares"), [(1, [0, 0, 1]), (4, [2, 1, 1]), (9, [4, 3, 2])])
def test_a_holdout_takes_its_share_of_each_class_of_a_folder(count: int, shares: list[int]) -> None:
    for name, number in (("a", 6), ("b", 4), ("c", 3)):
        Path("set", name).mkdir(parents=True)
        for grey in range(number):
            Image.new("L", (4, 4), 30 * grey + ord(name)).save(Path("set", name, f"{grey}.png"))
    every = data.load("set", image_size=4)
    held = data.load("set", image_size=4, holdout=count)
    assert held.holdout is not None
    assert held.holdout.labels is not None
    assert torch.bincount(held.holdout.labels, minlength=3).tolist() == shares
    assert held.classes == every.classes == 3
    greys = [set(one.images[:, 0, 0, 0].tolist()) for one in (held.train, held.holdout)]
    assert not greys[0] & greys[1]
    assert greys[0] | greys[1] == set(every.train.images[:, 0, 0, 0].tolist())
    assert len(held.train) + len(held.holdout) == 13


def test_a_config_loads_one_class_or_all(tiny_data: Path) -> None:
    wanted = DataConfig(source=str(tiny_data), image_size=8, digit=2)
    assert len(data.load_for(wanted).train) == 16
    assert len(data.load_for(DataConfig(source=str(tiny_data), image_size=8)).train) == 48
    with pytest.raises(ConfigError, match=r"--digit 3 .* has 0 to 2"):
        data.load_for(DataConfig(source=str(tiny_data), image_size=8, digit=3))
