"""One HTML file that shows runs: films, curves, scores, the doctor's verdict, how to repeat them.

The file needs nothing beside it: pictures, design and the little script that moves films and reads
values off curves are inside, and its content security policy keeps a browser from fetching or
running anything else. The same run gives the same bytes.

Jinja writes it, and escapes every value. It is part of the core and no extra, as torch depends on
it and has brought it already.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import importlib.util
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import gancli
from gancli import files, palette
from gancli.errors import ConfigError, MissingPartError
from gancli.report.model import Film, Missing, Page
from gancli.report.words import sentence_case
from gancli.runs import CONFIG, RunDirectory, check_distinct

MOST_RUNS = 12
SUFFIXES = (".html", ".htm")


@dataclasses.dataclass(frozen=True)
class Reported:
    """What was written of a run.

    Attributes:
        run: its name.
        frames: how many frames of its film are in the file.
        of_frames: how many there are.
        missing: a sentence for each part that the run has nothing for yet.
        commands: those that make them, in the same order.
    """

    run: str
    frames: int
    of_frames: int
    missing: tuple[str, ...]
    commands: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Report:
    """A report on disk.

    Attributes:
        path: the file.
        bytes: its size.
        runs: what it shows.
    """

    path: Path
    bytes: int
    runs: tuple[Reported, ...]


def write(runs: Sequence[RunDirectory], out: Path | None = None) -> Report:
    """Write a report of one run, or of several side by side.

    Args:
        runs: 1 to 12 of them.
        out: the file; by default ``report.html`` in the run's folder, or here for several.

    Raises:
        ConfigError: no run, too many or one twice, or a file that is no HTML.
        CheckpointError: a run's config, status, log, scores or history are damaged.
        DataError: a frame is damaged.
        MissingPartError: Jinja is not installed.
        StorageError: the file cannot be written.
    """
    if not 1 <= len(runs) <= MOST_RUNS:
        raise ConfigError(f"give 1 to {MOST_RUNS} runs to report on, not {len(runs)}")
    check_distinct(runs)
    alone = len(runs) == 1
    target = out or (runs[0].path / "report.html" if alone else Path("report.html"))
    if target.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"--out {target}: reports are written as {' or '.join(SUFFIXES)}")
    files.need_folder_of(target)
    if importlib.util.find_spec("jinja2") is None:
        raise MissingPartError("reports need Jinja, which is not installed: pip install jinja2")
    from gancli.report import comparison, gather  # noqa: PLC0415 - imports torch

    for run in runs:
        run.read_config()  # what is no run is refused before the work on others
    views = tuple(map(gather.view, runs))
    page = Page(
        title=views[0].name if alone else f"{len(views)} runs side by side",
        version=gancli.__version__,
        runs=views,
        tables=() if alone else comparison.compare(runs),
    )
    # File names that are not UTF-8 hold lone surrogates, which no page can.
    content = render(page).encode("utf-8", "replace")
    files.write_bytes(target, content)
    told = []
    for run, shown in zip(runs, views, strict=True):
        film = shown.film if isinstance(shown.film, Film) else None
        parts = (shown.film, shown.curves, shown.quality, shown.scores, shown.samples)
        missing = [part for part in (*parts, shown.neighbours) if isinstance(part, Missing)]
        told.append(
            Reported(
                shown.name,
                len(film.frames) if film else 0,
                film.total if film else 0,
                tuple(part.sentence for part in missing),
                tuple(_from_here(each, run) for part in missing for each in part.commands),
            )
        )
    return Report(target, len(content), tuple(told))


def _from_here(command: str, run: RunDirectory) -> str:
    """Return a command of the page, where the config is at hand, as it is given elsewhere."""
    words = shlex.split(command)
    return shlex.join(str(run.config_path) if word == CONFIG else word for word in words)


def render(page: Page) -> str:
    """Turn a page into HTML."""
    import jinja2  # noqa: PLC0415 - may be missing
    import markupsafe  # noqa: PLC0415 - comes with it

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("gancli.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["sentence"] = sentence_case
    environment.tests["missing"] = lambda part: isinstance(part, Missing)
    colours = {name.lower(): value for name, value in vars(palette).items() if name.isupper()}
    design = environment.get_template("page.css").render(colours)
    script = environment.get_template("page.js").render()
    return environment.get_template("page.html").render(
        page=page,
        # Ours, and no value of a run is in them.
        design=markupsafe.Markup(design),
        script=markupsafe.Markup(script),
        policy=_policy({"style": design, "script": script}),
    )


def _policy(ours: Mapping[str, str]) -> str:
    """Return a content security policy that lets these words work, pictures inside, and no more."""
    hashes = {kind: hashlib.sha256(words.encode()).digest() for kind, words in ours.items()}
    allowed = [
        f"{kind}-src 'sha256-{base64.b64encode(digest).decode()}'"
        for kind, digest in hashes.items()
    ]
    return "; ".join(["default-src 'none'", "img-src data:", *allowed, "base-uri 'none'"])
