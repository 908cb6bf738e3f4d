"""The page in a real browser: quiet, within the window, and its slider moves the frames."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import chromium
import pytest
from chromium import Tab
from commands import wait_until
from PIL import Image

from gancli import report
from gancli.runs import RunDirectory

COMMAND = chromium.find()
pytestmark = pytest.mark.skipif(COMMAND is None, reason="no Chromium is installed")

SHOWN = "document.querySelectorAll('article img')[0].src"
WORDS = "document.querySelector('article output').textContent"
FRAMES = "JSON.parse(document.getElementById('film-1').textContent).pngs"
SLIDER = "document.querySelector('article input')"
CHART = "document.querySelector('.chart')"


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    assert COMMAND is not None
    with chromium.tab(COMMAND) as opened:
        yield opened


@pytest.fixture(scope="module")
def page(
    tiny_run: RunDirectory, point_run: RunDirectory, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A report of two runs, the first of a long name."""
    folder = tmp_path_factory.mktemp("reports")
    long = RunDirectory(Path(shutil.copytree(tiny_run.path, folder / ("a" * 90))))
    return report.write([long, point_run], folder / "page.html").path


@pytest.fixture(scope="module")
def single(tiny_run: RunDirectory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report.write([tiny_run], tmp_path_factory.mktemp("reports") / "page.html").path


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_it_loads_quietly_and_nothing_sticks_out(
    tab: Tab, page: Path, width: int, dark: bool
) -> None:
    tab.show(page, width, dark=dark)
    assert tab.run("document.documentElement.scrollWidth") <= width
    outside = f"""[...document.querySelectorAll('body *')].filter(node => {{
        const place = node.getBoundingClientRect();
        return place.width && (place.right > {width} + 1 || place.left < -1);
    }}).map(node => node.outerHTML.slice(0, 80))"""
    assert tab.run(outside) == []
    assert tab.run("[...document.images].every(i => i.complete && i.naturalWidth)") is True
    assert tab.complaints == []
    assert tab.requests == [page.resolve().as_uri()]


def test_paper_is_light_or_dark_as_the_reader_likes(tab: Tab, single: Path) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    tab.show(single, 1280)
    assert tab.run(ground) == "rgb(255, 255, 255)"
    tab.show(single, 1280, dark=True)
    assert max(map(int, tab.run(ground)[4:-1].split(","))) < 40


def test_the_slider_moves_the_frames_and_marks_the_curves(tab: Tab, single: Path) -> None:
    tab.show(single, 1280)
    assert tab.run(f"{SHOWN}.endsWith({FRAMES}.at(-1))")
    assert tab.run(f"{CHART}.querySelector('.marker').getAttribute('d')") == ""
    tab.run(f"{SLIDER}.focus()")
    tab.press("ArrowLeft")
    assert tab.run(SLIDER + ".value") == "1"
    assert tab.run(f"{SHOWN}.endsWith({FRAMES}[1])")
    assert tab.run(WORDS).startswith("epoch 1 · loss of G ")
    assert tab.run("document.querySelector('article img').alt").endswith("after epoch 1")
    middle = tab.run(f"{CHART}.querySelector('.marker').getAttribute('d')")
    tab.press("ArrowRight")
    assert tab.run(f"{CHART}.querySelector('.marker').getAttribute('d')") != middle
    tab.press("Home")
    assert tab.run(f"{SHOWN}.endsWith({FRAMES}[0])")
    assert tab.run(WORDS) == "epoch 0"
    assert tab.complaints == []


def test_play_runs_to_the_end_and_stops(tab: Tab, single: Path) -> None:
    tab.show(single, 1280)
    tab.run("""
        window.seen = [];
        const slider = document.querySelector('article input');
        const button = document.querySelector('article button');
        const watch = new MutationObserver(() => seen.push(slider.value + button.textContent));
        watch.observe(document.querySelector('article img'), {attributeFilter: ['src']});
        button.click();
        seen.push(button.textContent);
    """)
    wait_until(lambda: tab.run("seen.at(-1)") == "2Play")
    said = tab.run("[...seen, slider.value, button.textContent]")
    assert said == ["Pause", "0Pause", "1Pause", "2Play", "2", "Play"]


def test_films_side_by_side_move_together(tab: Tab, page: Path) -> None:
    tab.show(page, 1280)
    tab.run("document.querySelector('.several input').focus()")
    tab.press("Home")
    words = "[...document.querySelectorAll('.several output')].map(node => node.textContent)"
    assert tab.run(words) == ["epoch 0", "epoch 0"]
    sources = "[...document.querySelectorAll('.several img')].map(node => node.src)"
    first = "[1, 2].map(n => 'data:image/png;base64,' + " + (
        "JSON.parse(document.getElementById('film-' + n).textContent).pngs[0])"
    )
    assert tab.run(sources) == tab.run(first)


def test_curves_say_their_values_where_the_pointer_is(tab: Tab, single: Path) -> None:
    tab.show(single, 1280)
    tab.run(f"{CHART}.scrollIntoView({{block: 'center'}})")
    said = f"[...{CHART}.querySelectorAll('figcaption output')].map(node => node.textContent)"
    values, epochs = tab.run(
        f"(chart => [chart.values, chart.epochs])(JSON.parse({CHART}.dataset.chart))"
    )
    assert tab.run(said) == [*(series[-1] for series in values), epochs[-1]]
    place = tab.run(
        f"(b => [b.x, b.y, b.width, b.height])"
        f"({CHART}.querySelector('figure > svg').getBoundingClientRect().toJSON())"
    )
    x, y, wide, high = place
    at = tab.run(f"JSON.parse({CHART}.dataset.chart).at")
    for index in (0, len(at) - 2):
        tab.move(x + wide * (at[index] + 1) / 440, y + high / 2)
        assert tab.run(said) == [*(series[index] for series in values), epochs[index]]
    tab.move(1, 1)
    assert tab.run(said) == [*(series[-1] for series in values), epochs[-1]]
    tab.run(f"{CHART}.querySelector('figure > svg').focus()")
    tab.press("ArrowLeft")
    assert tab.run(said)[-1] == epochs[-2]
    assert tab.complaints == []


def test_without_scripts_the_last_frame_is_there(tab: Tab, single: Path) -> None:
    tab.show(single, 390, scripts=False)
    shot = Path("page.png")
    shot.write_bytes(tab.picture())
    with Image.open(shot) as picture:
        assert picture.width == 780
        colours = picture.convert("RGB").getcolors(1 << 20)
    assert colours is not None
    assert len(colours) > 100
    asked = tab.ask("DOM.getDocument", depth=0)["root"]["nodeId"]

    def style(selector: str) -> dict[str, str]:
        node = tab.ask("DOM.querySelector", nodeId=asked, selector=selector)["nodeId"]
        tab.ask("CSS.enable")
        found = tab.ask("CSS.getComputedStyleForNode", nodeId=node)["computedStyle"]
        return {entry["name"]: entry["value"] for entry in found}

    assert style(".controls")["display"] == "none"
    assert style("article img")["display"] == "block"


def test_it_prints_with_all_that_is_folded_away(tab: Tab, single: Path) -> None:
    tab.show(single, 1280, dark=True)
    printed = tab.pdf()
    assert printed.startswith(b"%PDF-")
    assert 1 <= printed.count(b"/Type /Page\n") <= 6
    assert tab.run("[...document.querySelectorAll('details')].every(node => node.open)") is True
    stills = "[...document.querySelectorAll('.stills figure')]"
    assert tab.run(f"{stills}.map(node => node.textContent)") == ["epoch 0", "epoch 1"]
    assert tab.run(f"{stills}.map(node => node.firstChild.alt.slice(-7))") == ["epoch 0", "epoch 1"]
    for index in range(2):  # with the last frame above them, all that there are
        assert tab.run(f"{stills}[{index}].firstChild.src.endsWith({FRAMES}[{index}])")
    assert tab.run(f"{stills}.every(node => node.getClientRects().length === 0)")  # on the screen
    assert tab.complaints == []
