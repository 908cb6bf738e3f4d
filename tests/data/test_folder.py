from __future__ import annotations

import io
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from gancli import data
from gancli.data.folder import read_folder
from gancli.errors import DataError

PICTURES = Path("pictures")


def picture(name: str, array: Any, mode: str | None = None) -> Path:
    path = PICTURES / name
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(array))
    (image.convert(mode) if mode else image).save(path)
    return path


def only(channels: int = 1, size: int = 2) -> Any:
    images, _, _ = read_folder(PICTURES, size, channels)
    assert images.dtype == np.uint8
    assert images.shape == (1, channels, size, size)
    return images[0]


def square(value: int, dtype: type = np.uint8, size: int = 2) -> Any:
    return np.full((size, size), value, dtype)


def refusal() -> str:
    with pytest.raises(DataError) as caught:
        read_folder(PICTURES, 2, 1)
    return str(caught.value)


@pytest.mark.parametrize("suffix", ["png", "bmp", "gif", "tif", "pgm", "PNG"])
def test_grey_pixels_are_kept(suffix: str) -> None:
    picture(f"a.{suffix}", np.uint8([[0, 50], [100, 255]]))
    np.testing.assert_array_equal(only()[0], [[0, 50], [100, 255]])


def test_colour_pixels_are_kept_or_weighted_to_grey() -> None:
    colours = np.zeros((1, 1, 3), np.uint8)
    colours[..., 0] = 255
    picture("red.png", colours)
    np.testing.assert_array_equal(only(3, 1).ravel(), [255, 0, 0])
    assert only(1, 1).item() == 76  # 0.299 * 255


def test_a_folder_in_colour_has_a_fingerprint() -> None:
    for number in range(3):
        picture(f"{number}.png", np.full((2, 2, 3), 80 * number, np.uint8))
    images = data.load("pictures", image_size=2, channels=3).train
    copy = data.ImageSet(images.images.clone(memory_format=torch.channels_last), None)
    assert images.images.is_contiguous()
    assert not copy.images.is_contiguous()
    assert (
        images.fingerprint()
        == copy.fingerprint()
        != images.at(torch.tensor([2, 1, 0])).fingerprint()
    )


def test_grey_becomes_three_equal_channels() -> None:
    picture("a.png", square(9))
    np.testing.assert_array_equal(only(3), np.full((3, 2, 2), 9))


@pytest.mark.parametrize(("value", "grey"), [(0, 0), (257 * 100, 100), (65535, 255)])
def test_sixteen_bits_are_scaled_not_cut(value: int, grey: int) -> None:
    picture("a.png", square(value, np.uint16))
    assert (only() == grey).all()


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_sixteen_bits_of_every_kind_of_file_are_scaled(suffix: str) -> None:
    picture(f"a.{suffix}", square(257 * 100, np.uint16))
    assert (only() == 100).all()


@pytest.mark.parametrize(("value", "dtype"), [(0.5, np.float32), (200, np.int32)])
def test_numbers_of_unknown_range_are_refused(value: int, dtype: type) -> None:
    picture("a.tif", square(value, dtype))
    sentence = refusal()
    assert sentence.startswith("cannot read the picture pictures/a.tif: nothing says which of its")
    assert sentence.endswith("save it with 8 or 16 bits")


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_a_picture_that_a_camera_turned_stands_upright(suffix: str) -> None:
    notes = Image.Exif()
    notes[ExifTags.Base.Orientation] = 6  # its right side lies at the top
    PICTURES.mkdir()
    sideways = Image.fromarray(np.repeat(np.uint8([[0] * 8, [255] * 8]), 8, axis=0))
    sideways.resize((16, 16)).save(PICTURES / f"a.{suffix}", exif=notes)
    left, right = only(size=16)[0, :, 2].mean(), only(size=16)[0, :, -3].mean()
    assert left > 250
    assert right < 5


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_clear_is_black(mode: str) -> None:
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[..., :3] = 200
    pixels[0, :, 3] = 255
    picture("a.png", pixels, mode)
    np.testing.assert_array_equal(only()[0], [[200, 200], [0, 0]])


@pytest.mark.parametrize("size", [1, 3, 8])
def test_a_plain_picture_stays_plain_at_any_size(size: int) -> None:
    picture("a.png", np.full((5, 7), 131, np.uint8))
    assert (only(size=size) == 131).all()


def test_halving_averages() -> None:
    picture("a.png", np.uint8([[0, 40], [80, 120]]))
    assert only(size=1).item() == 60


def test_subfolders_are_classes_in_order_of_name() -> None:
    for name, value in {"b/2.png": 2, "a/1.png": 1, "b/1.png": 3, "notes/readme.txt": 0}.items():
        if name.endswith("png"):
            picture(name, square(value))
        else:
            (PICTURES / "notes").mkdir()
            (PICTURES / name).write_text("no picture")
    images, labels, classes = read_folder(PICTURES, 2, 1)
    assert images[:, 0, 0, 0].tolist() == [1, 3, 2]
    assert labels is not None
    assert (labels.tolist(), classes) == ([0, 1, 1], ["a", "b"])
    splits = data.load(str(PICTURES), image_size=2)
    assert (splits.classes, len(splits.train), splits.test) == (2, 3, None)


def test_subfolders_that_are_numbers_are_classes_in_order_of_number() -> None:
    for number in range(12):
        picture(f"{number}/1.png", square(number))
    images, _, classes = read_folder(PICTURES, 2, 1)
    assert classes == [str(number) for number in range(12)]
    assert images[:, 0, 0, 0].tolist() == list(range(12))
    picture("b/1.png", square(99))
    assert read_folder(PICTURES, 2, 1)[2][:4] == ["0", "1", "10", "11"]


def test_a_folder_of_pictures_alone_has_no_labels() -> None:
    picture("1.png", square(1))
    images, labels, classes = read_folder(PICTURES, 2, 1)
    assert (len(images), labels, classes) == (1, None, [])
    assert data.load(str(PICTURES), image_size=2).classes == 0


def test_pictures_beside_and_inside_subfolders_are_refused() -> None:
    picture("1.png", square(1))
    picture("a/1.png", square(1))
    assert "both beside and inside subfolders" in refusal()


def test_a_folder_without_pictures_is_refused() -> None:
    PICTURES.mkdir()
    (PICTURES / "a.txt").write_text("x")
    assert "pictures holds no pictures (.bmp, .gif" in refusal()


def test_a_folder_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> NoReturn:
        raise PermissionError(13, "Permission denied")

    PICTURES.mkdir()
    monkeypatch.setattr(Path, "iterdir", refuse)
    assert refusal() == "cannot read pictures: Permission denied"
    with pytest.raises(DataError, match="cannot read pictures"):
        data.load(str(PICTURES))


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x89PNG\r\n\x1a\n"])
def test_a_picture_that_is_none_is_named(content: bytes) -> None:
    picture("1.png", square(1))
    (PICTURES / "2.png").write_bytes(content)
    assert "cannot read the picture pictures/2.png" in refusal()


def test_a_picture_of_too_many_pixels_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3)
    picture("1.png", square(1))
    assert "cannot read the picture pictures/1.png" in refusal()


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (6, 6, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def test_whatever_a_decoder_raises_is_an_unreadable_picture() -> None:
    """A strip offset of a wrong type, which Pillow itself trips over."""
    content = bytearray(encoded("TIFF"))
    content[72], content[3], content[12] = 2, 0, 3
    PICTURES.mkdir()
    (PICTURES / "1.tif").write_bytes(content[:140])
    assert "cannot read the picture pictures/1.tif" in refusal()


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF", "WEBP", "JPEG", "PPM"])
@given(data=st.data())
def test_a_damaged_picture_is_read_or_named(kind: str, data: st.DataObject) -> None:
    content = bytearray(encoded(kind))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(1, 2 * len(content))) :]
    PICTURES.mkdir(exist_ok=True)
    (PICTURES / "1.png").write_bytes(content)
    try:
        images, _, _ = read_folder(PICTURES, 4, 1)
    except DataError as error:
        assert "pictures/1.png" in str(error)
    else:
        assert images.shape == (1, 1, 4, 4)
