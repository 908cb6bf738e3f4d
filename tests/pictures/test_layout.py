from __future__ import annotations

import base64
import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gancli.pictures.layout import SMALLEST, Sheet, Table, balanced_columns, font, type_for

lengths = st.integers(0, 9)


@given(st.integers(1, 30), st.integers(1, 8), lengths, lengths, lengths, lengths, lengths)
def test_boxes_with_their_words_stand_apart_and_fill_the_table(
    count: int, columns: int, gap: int, edge: int, over: int, under: int, top: int
) -> None:
    table = Table(count, columns, (5, 7), gap, edge, over, under, top)
    covered = np.zeros(table.size[::-1], int)
    for index in range(table.rows * columns):
        left, above = table.corner(index)
        covered[above - over : above + 7 + under, left : left + 5] += 1
    assert covered.max() == 1
    inked = np.argwhere(covered)
    assert inked.min(0).tolist() == [edge + top, edge]
    assert (table.size[1] - 1 - inked[:, 0].max(), table.size[0] - 1 - inked[:, 1].max()) == (
        edge,
        edge,
    )
    assert covered.sum() == table.rows * columns * 5 * (7 + over + under)


@pytest.mark.parametrize(
    ("count", "box", "columns"),
    [(1, (10, 10), 1), (2, (10, 10), 2), (6, (10, 10), 3), (3, (30, 10), 1), (2, (10, 30), 2)],
)
def test_columns_suit_a_screen(count: int, box: tuple[int, int], columns: int) -> None:
    assert balanced_columns(count, box) == columns


def test_type_shrinks_then_breaks_then_is_cut() -> None:
    words = ["epoch 12", "loss of G 0.69", "of D 1.39"]
    wide = type_for([words], 900, 28)
    assert (wide.font.size, wide.lines, wide.set(words)) == (28, 1, ["   ".join(words)])
    less = type_for([words], 250, 28)
    assert SMALLEST <= less.font.size < 28
    assert less.lines == 1
    narrow = type_for([words], 90, 28)
    assert (narrow.font.size, narrow.lines) == (SMALLEST, 3)
    assert narrow.height > 2 * less.font.size
    assert narrow.set(words) == words
    tiny = type_for([words], 20, 28)
    assert tiny.font.size == 8
    for type_ in (wide, less, narrow, tiny):
        assert all(type_.font.getlength(line) <= type_.room for line in type_.set(words))
    assert all(line.endswith("…") for line in tiny.set(words))


def test_no_words_take_no_room() -> None:
    assert type_for([], 100, 20).height == type_for([[]], 100, 20).height == 0


@pytest.fixture
def sheet() -> Sheet:
    sheet = Sheet((80, 60), paper="#102030")
    pixels = np.arange(4, dtype=np.uint8).reshape(2, 2) * 80
    sheet.place(Image.fromarray(pixels), (10, 20), scale=5)
    sheet.write("a < b & c", (40, 50), font(12), "#ffffff")
    return sheet


def test_a_sheet_becomes_pixels(sheet: Sheet) -> None:
    pixels = np.asarray(sheet.picture())
    assert pixels.shape == (60, 80)
    tile = np.arange(4).reshape(2, 2) * 80
    assert (pixels[20:30, 10:20] == tile.repeat(5, 0).repeat(5, 1)).all()
    inked = np.argwhere(pixels > 150)
    words = inked[inked[:, 0] > 35]
    assert abs(words[:, 1].mean() - 40) < 8
    assert abs(words[:, 0].mean() - 50) < 4


def test_a_sheet_becomes_svg_with_the_same_pixels_and_real_words(sheet: Sheet) -> None:
    root = ElementTree.fromstring(sheet.svg({"run": "a & b"}))
    space = "{http://www.w3.org/2000/svg}"
    assert root.attrib["viewBox"] == "0 0 80 60"
    assert root.findtext(f"{space}desc") == "run: a & b"
    image, words = root.find(f"{space}image"), root.find(f"{space}text")
    assert image is not None
    assert words is not None
    assert [image.attrib[key] for key in ("x", "y", "width", "height")] == ["10", "20", "10", "10"]
    assert "pixelated" in image.attrib["style"]
    data = re.fullmatch(r"data:image/png;base64,(.+)", image.attrib["href"])
    assert data is not None
    tile = np.asarray(Image.open(io.BytesIO(base64.b64decode(data[1]))))
    assert tile.tolist() == [[0, 80], [160, 240]]
    assert (words.text, words.attrib["text-anchor"]) == ("a < b & c", "middle")


@pytest.mark.parametrize(
    ("text", "drawn"), [("Tromsø é", "Troms? e"), ("naïve ñandú", "naive nandu"), ("数字7", "??7")]
)
def test_letters_that_the_face_lacks_are_bare_ones_or_question_marks(text: str, drawn: str) -> None:
    pictures = []
    for words in (text, drawn):
        sheet = Sheet((200, 40))
        sheet.write(words, (100, 20), font(20))
        pictures.append(sheet.picture())
    assert pictures[0].tobytes() == pictures[1].tobytes()
    assert np.ptp(np.asarray(pictures[0])) > 100
