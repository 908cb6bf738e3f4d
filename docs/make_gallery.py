"""Make docs/gallery.md and its pictures, by the commands that it shows beside them.

    python docs/make_gallery.py                 # half an hour on two cores at first, then a minute
    python docs/make_gallery.py --fresh         # again from the start, once a recipe has changed
    python docs/make_gallery.py --only digits   # the parts in whose titles that stands
    python docs/make_gallery.py --work DIR      # runs are kept there instead of in build/gallery

It needs what the tests need (`pip install -e '.[test]'`), and Chromium to look at reports.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from PIL import Image

from gancli import palette
from gancli.pictures.encoders import write_gif

DOCS = Path(__file__).parent.resolve()
GALLERY = DOCS / "gallery"
sys.path.insert(0, str(DOCS.parent / "tests"))
import chromium  # noqa: E402 - the browser and the terminal that the tests look with
import screens  # noqa: E402

MOST_BYTES = 5_500_000
"""Of all pictures together, which must stay below 6 MB."""
RUNGS = tuple(
    f"r2-{rung}"
    for rung in ("1-baseline", "2-leaky", "3-deeper", "4-normal-dropout", "5-smoothing", "6-final")
)
R1 = ("r1-fc", "r1-damped", "r1-conv")
REPORT = Path("checkpoints", "digit-7", "report.html")
_FRAMES, _TICKS, _HOLD_TICKS = 36, 20, 400  # of the film of a terminal, in hundredths of a second
_TOPS = {1280: 1330, 390: 1080}  # the widths at which a page is shown, and how much of it
_INKS = (palette.GENERATOR, palette.DISCRIMINATOR, palette.ORANGE, palette.GREEN, "#00CDCD")

HEAD = """\
# Gallery

Everything here was made by the commands beside it. `python docs/make_gallery.py` gives them all
again, and writes this page.
"""


@dataclasses.dataclass(frozen=True)
class Shot:
    """A part of the page.

    Attributes:
        title: its heading.
        words: what is to be seen.
        commands: that make it, in their order.
        pictures: file names, and what each shows in words.
        take: gives the commands in a folder and leaves the pictures in the gallery.
    """

    title: str
    words: str
    commands: tuple[str, ...]
    pictures: Mapping[str, str]
    take: Callable[[Shot, Path], None]


def copies(shot: Shot, work: Path) -> None:
    """Take the pictures that the commands write."""
    give(shot.commands, work)
    for name in shot.pictures:
        shutil.copy(work / name, GALLERY / name)


def film_of_a_terminal(shot: Shot, work: Path) -> None:
    """Film a training on a terminal; one that was recorded before is not trained again."""
    (command,), (name,) = shot.commands, shot.pictures
    place = work / "terminal"
    saved = place / "recording.json"
    if saved.exists():
        give([f"{command} --quiet"], place)  # is it still of the same recipe?
    else:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        saved.write_text(json.dumps(on_terminal(command, place)))
    whole: list[Image.Image] = []
    for _, screen in screens.screens(json.loads(saved.read_text())):
        shown = "".join(screen.display)
        if "▀" in shown and " steps " in shown:  # the bar under it is drawn last
            picture = screens.draw(screen)
            if not whole or picture.tobytes() != whole[-1].tobytes():
                whole.append(picture)
    film = whole[:: -(-len(whole) // _FRAMES)]
    timed = [*((picture, _TICKS) for picture in film), (whole[-1], _HOLD_TICKS)]
    with (GALLERY / name).open("wb") as file:
        write_gif(file, timed, whole[-1].size, _INKS)


def pictures_of_a_terminal(shot: Shot, work: Path) -> None:
    """Draw what a command leaves on a terminal, in a dark and in a light theme."""
    (command,) = shot.commands
    screen = screens.last_screen(on_terminal(command, work))
    for name, theme in zip(shot.pictures, (screens.DARK, screens.LIGHT), strict=True):
        screens.draw(screen, theme).save(GALLERY / name, optimize=True)


def pictures_of_a_page(shot: Shot, work: Path) -> None:
    """Look at the upper part of a report, in a wide window and on a phone in the dark."""
    give(shot.commands, work)
    browser = chromium.find()
    if browser is None:
        sys.exit("no Chromium is installed, and the gallery shows a page in it")
    with chromium.tab(browser) as tab:
        for name, (width, height) in zip(shot.pictures, _TOPS.items(), strict=True):
            tab.show(work / REPORT, width, dark=width < 600)
            assert not tab.complaints
            with Image.open(io.BytesIO(tab.picture())) as page:
                scale = page.width / width
                top = page.convert("RGB").crop((0, 0, page.width, round(height * scale)))
            top.quantize(128).save(GALLERY / name, optimize=True)


def give(commands: Sequence[str], place: Path) -> None:
    """Give commands, whose words go to stderr; end with the first that fails."""
    for command in commands:
        print(f"$ {command}", file=sys.stderr)
        done = subprocess.run(words_of(command), cwd=place, check=False, stdout=subprocess.DEVNULL)
        if done.returncode:
            sys.exit(done.returncode)


def on_terminal(command: str, place: Path) -> list[tuple[float, str]]:
    print(f"$ {command}   (on a terminal)", file=sys.stderr)
    told = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    told.pop("NO_COLOR", None)
    return [(0.0, f"$ {command}\r\n"), *screens.record(words_of(command), place, told)]


def words_of(command: str) -> list[str]:
    return [sys.executable, "-m", *shlex.split(command)]


def previews(recipes: Sequence[str], options: str = "") -> tuple[str, ...]:
    return tuple(f"gancli train --recipe {name}{options} --preview --threads 1" for name in recipes)


SHOTS = (
    Shot(
        "Ten digits",
        "A GAN for each digit, by the default recipe: nine latents each, from noise to the last "
        "epoch.",
        (
            "gancli train --digit 0-9 --jobs auto",
            "gancli animate digit --digits --seconds 5 --smooth 1 --hold 3 --out ten-digits.gif",
        ),
        {"ten-digits.gif": "Ten panels, in each nine samples of one digit that grow from noise"},
        copies,
    ),
    Shot(
        "A training in the terminal",
        "The newest samples, both losses, how often the discriminator is right, what the doctor "
        "makes of it, and the time that is left, on 80 columns and 24 rows. Faster than it was.",
        ("gancli train --digit 7",),
        {"terminal-train.gif": "Sevens of half-block characters become clear while a bar fills"},
        film_of_a_terminal,
    ),
    Shot(
        "A run in the terminal",
        "The end of what is shown of it, in a dark and in a light theme.",
        ("gancli show digit-7",),
        {
            "terminal-show-dark.png": "Ten sevens in a dark terminal, and lines about the run",
            "terminal-show-light.png": "The same in a light terminal",
        },
        pictures_of_a_terminal,
    ),
    Shot(
        "From first to last",
        "A poster beside a film: the moments of a training, with the course of both losses.",
        ("gancli animate digit-7 --losses --out seven.webp --poster seven.png",),
        {"seven.png": "Samples at the first, the middle and the last epoch, curves under them"},
        copies,
    ),
    Shot(
        "Not learned by heart",
        "Samples, under each the training image that is nearest to it, and how far that is.",
        ("gancli sample digit-7 --grid 2x10 --labels --with-nearest --light --out nearest.png",),
        {"nearest.png": "Twenty sevens on white paper, each over a training image"},
        copies,
    ),
    Shot(
        "Report R2, rung by rung",
        "The six rungs of its ladder of tricks, previews of ten epochs, the last of eight.",
        (
            *previews(RUNGS),
            f"gancli animate {' '.join(f'{name}-preview' for name in RUNGS)} --seconds 4 "
            "--hold 3 --out r2-rungs.gif",
        ),
        {"r2-rungs.gif": "Six panels of nine samples each, from noise towards digits"},
        copies,
    ),
    Shot(
        "Report R1, its deterioration, and two ways around it",
        "Left, one dense layer each, as in the report: the sevens are clearest at some 800 epochs, "
        "and break up again. Middle, the same with the penalties R1 and R2: they come slowly and "
        "do not turn back, but keep a speckle that a linear discriminator cannot see. Right, "
        "convolutions: neither the one nor the other.",
        (
            *previews(R1, " --digit 7"),
            f"gancli animate {' '.join(f'{name}-digit-7-preview' for name in R1)} --losses "
            "--seconds 6 --hold 3 --out r1-ways.gif",
        ),
        {"r1-ways.gif": "Three panels of sixteen sevens over their losses, for 2,000 epochs"},
        copies,
    ),
    Shot(
        "The report of a run",
        "One HTML file that fetches nothing: the upper part of it at 1280 pixels, and on a phone "
        "in the dark.",
        ("gancli evaluate digit-7", "gancli report digit-7"),
        {
            "report-1280.png": "A film with its slider, the verdict, scores, facts and curves",
            "report-390.png": "The same in one column, dark",
        },
        pictures_of_a_page,
    ),
)


def page() -> str:
    parts = [HEAD]
    for shot in SHOTS:
        pictures = "\n".join(f"![{said}](gallery/{name})" for name, said in shot.pictures.items())
        commands = "\n".join(shot.commands)
        parts.append(f"## {shot.title}\n\n{shot.words}\n\n{pictures}\n\n```sh\n{commands}\n```\n")
    return "\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=DOCS.parent / "build" / "gallery")
    parser.add_argument("--fresh", action="store_true", help="forget the runs that are there")
    parser.add_argument("--only", default="", help="the parts in whose titles this stands")
    asked = parser.parse_args()
    chosen = [shot for shot in SHOTS if asked.only.lower() in shot.title.lower()]
    work: Path = asked.work.resolve()
    if asked.fresh:
        shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    if chosen == list(SHOTS):
        shutil.rmtree(GALLERY, ignore_errors=True)
    GALLERY.mkdir(exist_ok=True)
    for shot in chosen:
        shot.take(shot, work)
    sizes = {path.name: path.stat().st_size for path in sorted(GALLERY.iterdir())}
    for name, size in {**sizes, "together": sum(sizes.values())}.items():
        print(f"{name:28} {size / 1e6:6.2f} MB", file=sys.stderr)
    assert sum(sizes.values()) < MOST_BYTES, "the gallery is too large"
    (DOCS / "gallery.md").write_text(page(), encoding="utf-8")
    print(DOCS / "gallery.md")


if __name__ == "__main__":
    main()
