from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gancli.errors import DataError, GancliError
from gancli.pictures.frames import (
    Frame,
    Gap,
    frame_path,
    list_frames,
    missing_epochs,
    read_frame,
    spell_epoch,
)


def frames_at(*epochs: float) -> list[Frame]:
    return [Frame(Path(), epoch) for epoch in epochs]


def png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("epoch", "name"),
    [
        (0, "epoch-00000.png"),
        (7, "epoch-00007.png"),
        (7.25, "epoch-00007.250.png"),
        (0.9999, "epoch-00001.png"),
        (123456, "epoch-123456.png"),
    ],
)
def test_names(epoch: float, name: str) -> None:
    assert frame_path(Path("f"), epoch) == Path("f") / name


@pytest.mark.parametrize(
    ("epoch", "words"),
    [(0, "0"), (0.125, "0.125"), (2.0, "2"), (30.9278, "30.93"), (12345.5, "12,345.5")],
)
def test_epochs_are_spelled_as_finely_as_people_care(epoch: float, words: str) -> None:
    assert spell_epoch(epoch) == words


@pytest.mark.parametrize("epoch", [-1, float("nan"), float("inf")])
def test_an_impossible_epoch_has_no_name(epoch: float) -> None:
    with pytest.raises(ValueError, match="epoch"):
        frame_path(Path(), epoch)


def test_order_is_that_of_numbers_not_of_letters(tmp_path: Path) -> None:
    for name in ("10", "2", "00001.500", "00001.25", "100000", "00000"):
        (tmp_path / f"epoch-{name}.png").touch()
    assert [f.epoch for f in list_frames(tmp_path)] == [0, 1.25, 1.5, 2, 10, 100000]


def test_foreign_files_are_ignored(tmp_path: Path) -> None:
    frame_path(tmp_path, 3).touch()
    (tmp_path / "epoch-00004.png").mkdir()
    for name in (
        *("epoch-5.jpg", "epoch-x.png", "epoch--1.png", "epoch-1.2345.png", "my epoch-6.png"),
        *(".gancli-00ff.png", "epoch-7.png~", "epoch-٣.png", "notes.txt", "epoch-.5.png"),
    ):
        (tmp_path / name).touch()
    assert list_frames(tmp_path) == [Frame(tmp_path / "epoch-00003.png", 3)]


@pytest.mark.parametrize("name", ["empty", "missing", "file"])
def test_no_frames_name_the_folder_and_the_command(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=rf"{name}.*gancli train"):
        list_frames(tmp_path / name)


@pytest.mark.parametrize(
    ("epochs", "gaps"),
    [
        ((), []),
        ((0,), []),
        ((0, 5), []),
        ((0, 1, 2, 3), []),
        ((0, 1, 4, 5), [Gap(1, 4, 2)]),
        ((0, 1, 3), [Gap(1, 3, 1)]),
        ((0, 5, 10, 12), []),
        ((0, 5, 15, 17), [Gap(5, 15, 1)]),
        ((0, 0.333, 0.667, 1, 1.333, 2), [Gap(1.333, 2, 1)]),
        ((0, 0.25, 0.5, 1), [Gap(0.5, 1, 1)]),
    ],
)
def test_gaps(epochs: tuple[float, ...], gaps: list[Gap]) -> None:
    assert missing_epochs(frames_at(*epochs)) == gaps


@given(st.integers(2, 40), st.sets(st.integers(1, 38)))
def test_as_many_are_missing_as_were_taken_away(last: int, taken: set[int]) -> None:
    # 0, 1, 2 stay so that the regular step is known.
    left = [epoch for epoch in range(last + 1) if epoch <= 2 or epoch == last or epoch not in taken]
    gaps = missing_epochs(frames_at(*left))
    assert sum(gap.missing for gap in gaps) == last + 1 - len(left)


def test_16_bits_are_scaled_not_cut(tmp_path: Path) -> None:
    values = np.array([[0, 257, 128 * 257, 65535]], np.uint16)
    path = tmp_path / "deep.png"
    path.write_bytes(png(Image.fromarray(values)))
    frame = read_frame(path)
    assert frame.mode == "L"
    assert np.asarray(frame).tolist() == [[0, 1, 128, 255]]


@pytest.mark.parametrize(
    ("stored", "mode"),
    [("1", "L"), ("L", "L"), ("LA", "L"), ("P", "RGB"), ("RGB", "RGB"), ("RGBA", "RGB")],
)
def test_every_kind_of_png_becomes_grey_or_colour(tmp_path: Path, stored: str, mode: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(Image.new("L", (3, 2), 255).convert(stored)))
    frame = read_frame(path)
    assert (frame.mode, frame.size) == (mode, (3, 2))
    assert np.asarray(frame).min() == 255


def damaged() -> dict[str, bytes]:
    whole = png(Image.effect_noise((40, 40), 50))
    return {
        "empty": b"",
        "truncated": whole[: len(whole) // 2],
        "header": whole[:20],
        "page": b"<html>404</html>",
        "jpeg": b"\xff\xd8\xff\xe0" + bytes(100),
        "zeros": bytes(len(whole)),
    }


@pytest.mark.parametrize("kind", damaged())
def test_damage_names_the_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "epoch-00003.png"
    path.write_bytes(damaged()[kind])
    with pytest.raises(DataError, match=r"epoch-00003\.png") as caught:
        read_frame(path)
    assert ("empty" in str(caught.value)) == (kind == "empty")
    assert "\n" not in str(caught.value)


def test_a_missing_frame_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.png", tmp_path):
        with pytest.raises(DataError, match=str(path)):
            read_frame(path)


@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=8), st.booleans())
def test_whatever_the_damage_only_own_errors_escape(
    tmp_path_factory: pytest.TempPathFactory, place: int, bytes_: bytes, cut: bool
) -> None:
    content = bytearray(png(Image.linear_gradient("L").resize((9, 9))))
    place %= len(content)
    content[place : len(content) if cut else place + len(bytes_)] = bytes_
    path = tmp_path_factory.getbasetemp() / "fuzzed.png"
    path.write_bytes(content)
    try:
        read_frame(path)
    except GancliError as error:
        assert "fuzzed.png" in str(error)
