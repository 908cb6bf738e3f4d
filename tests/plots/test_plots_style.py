from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image
from svg import texts

from gancli.errors import StorageError
from gancli.plots import style


def draw(target: Path, title: str = "a title") -> bytes:
    with style.sheet(target, 3, 2, title) as figure:
        axes = figure.subplots()
        axes.plot([0, 1], [1, 0])
        axes.set_title("a panel")
    return target.read_bytes()


@pytest.mark.parametrize("name", ["a.png", "a.svg"])
def test_the_same_figure_is_the_same_bytes(name: str) -> None:
    first = draw(Path(name))
    with mpl.rc_context({"font.size": 40, "axes.facecolor": "red", "svg.fonttype": "path"}):
        again = draw(Path(name))
        assert mpl.rcParams["font.size"] == 40  # what the user set is left as it was
    assert first == again
    assert b"Matplotlib v" not in first


def test_a_long_title_is_written_smaller_and_whole() -> None:
    heights = []
    for title in ("a title", "a title " * 6):
        draw(Path("a.png"), title)
        with Image.open("a.png") as picture:
            dark = np.argwhere(np.asarray(picture.convert("L"))[:30] < 100)
        assert dark[:, 1].max() < 357
        heights.append(np.ptp(dark[:, 0]))
    assert heights[1] < 0.7 * heights[0]


def test_a_png_has_the_size_that_was_asked_and_an_svg_its_words() -> None:
    draw(Path("a.png"))
    with Image.open("a.png") as picture:
        assert picture.size == (360, 240)
        assert picture.getpixel((0, 0)) == (255, 255, 255, 255)
    draw(Path("a.svg"), "costs $5 & a$b$c")
    assert {"costs $5 & a$b$c", "a panel"} <= set(texts(Path("a.svg")))
    assert "date" not in {node.tag.split("}")[1] for node in ElementTree.parse("a.svg").iter()}


def test_nothing_is_written_when_drawing_fails() -> None:
    with pytest.raises(RuntimeError), style.sheet(Path("a.png"), 3, 2):
        raise RuntimeError
    assert list(Path().iterdir()) == []
    with pytest.raises(StorageError, match="its folder does not exist"):
        draw(Path("nowhere/a.png"))


def test_pixels_are_squares_in_their_places() -> None:
    pixels = np.array([[0, 255], [128, 64]])
    with style.sheet(Path("a.png"), 2, 2) as figure:
        axes = figure.subplots()
        style.show_pixels(axes, pixels, room=4)
        assert axes.get_xlim() == (-2, 2)
        assert axes.get_ylim() == (2, -2)  # downwards, as pictures go
        figure.draw_without_rendering()
        corners = [axes.transData.transform((x, y)) for y in (-0.5, 0.5) for x in (-0.5, 0.5)]
    with Image.open("a.png") as picture:
        grey = np.asarray(picture.convert("L"))
    found = [grey[len(grey) - 1 - round(y), round(x)] for x, y in corners]
    assert found == pixels.flatten().tolist()


def test_a_smoothed_curve_is_the_mean_over_a_window() -> None:
    values = np.random.default_rng(0).normal(size=20)
    smoothed = style.smooth(values.tolist(), 5)
    assert np.allclose(smoothed, [values[max(0, k - 2) : k + 3].mean() for k in range(20)])
    assert np.allclose(style.smooth([3.0] * 7, 3), 3)


@pytest.mark.parametrize(
    ("epoch", "words"), [(0.0, "0"), (1.0309, "1.03"), (99.96, "100"), (2000.0, "2,000")]
)
def test_epochs_are_spelled_short(epoch: float, words: str) -> None:
    assert style.epoch_words(epoch) == words
