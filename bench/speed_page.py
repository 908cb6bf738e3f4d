"""The page docs/speed.md: what is measured, what was hoped for, and what was reached."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import platform
import statistics
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

from windows import Spread, can_watch

import gancli
from gancli.cores import usable_cores

# A plain loop that is slower than this share of what it does on a like machine does not count.
LEAST_OF_REFERENCE = 0.9
R1_SECONDS_A_DIGIT = 5.8
LIKE_MACHINE = "2 cores of a server CPU with AVX-512 and bfloat16, torch 2.13"
MOST_MEMORY = 1e9
_COUNTED = "Real training images consumed, per second in steps."


@dataclasses.dataclass(frozen=True)
class Work:
    """Training that gancli and a plain loop do alike.

    Attributes:
        name: the row's, for ``--only``.
        title: what it is.
        recipe: gancli's, and the plain loop's name.
        loading: how images come to the plain loop.
        reference: the plain loop's images a second on a like machine.
        ceiling: what bounds it: ``dense`` or ``convolution``.
        least: the ratio aimed at, if one was.
        stretch: the ratio hoped for.
        digit: of a recipe for one digit.
    """

    name: str
    title: str
    recipe: str
    loading: str
    reference: float
    ceiling: str
    least: float | None = None
    stretch: float | None = None
    digit: int | None = None


_PIL = "PIL, a sample at a time"

WORKS = (
    Work("mlp", "PyTorch-GAN gan.py: MLP GAN, batch 64", "peer-mlp", _PIL, 2508, "dense", 3, 5),
    Work(
        "dcgan",
        "PyTorch-GAN dcgan.py: DCGAN 32x32, batch 64",
        "peer-dcgan",
        _PIL,
        134,
        "convolution",
        4.5,
        6,
    ),
    Work("wgan-gp", "PyTorch-GAN wgan_gp.py, batch 64", "peer-wgan-gp", _PIL, 2629, "dense"),
    Work(
        "r4", "R4's dense GAN, batch 128, same noise use", "r4-base", _PIL, 2512, "dense", 2.2, 3.5
    ),
    Work("r5", "R5's tutorial GAN, batch 256", "r5-base", _PIL, 58, "convolution", 2.5, 5),
    Work(
        "r1",
        "R1's GAN of one digit, steps of 200",
        "r1-fc",
        "rows of a tensor",
        2000 * 200 / R1_SECONDS_A_DIGIT,
        "dense",
        digit=7,
    ),
)


@dataclasses.dataclass(frozen=True)
class Command:
    """Something measured of whole commands.

    Attributes:
        name: the row's, for ``--only``.
        title: what it is.
        unit: ``x`` of a ratio, ``%`` or ``s``.
        least: what was aimed at.
        stretch: what was hoped for, if more was; below ``least`` where less is better.
    """

    name: str
    title: str
    unit: str
    least: float
    stretch: float | None = None


COMMANDS = (
    Command(
        "r1-digits",
        "R1's ten digits, 2,000 epochs each: `gancli train --recipe r1-fc --digit 0-9 --jobs "
        "auto`, all overhead included, against the steps of ten plain loops in turn",
        "x",
        3,
        4,
    ),
    Command(
        "jobs",
        "`gancli train --digit 0-9 --jobs 2` against the ten in turn on 2 threads, each a quarter "
        "of its length",
        "x",
        1.3,
        1.7,
    ),
    Command(
        "share",
        "share of the wall time of `gancli train` spent in steps, in a run of 30 s",
        "%",
        92,
        97,
    ),
    Command("first-frame", "first frame on screen after `gancli train --digit 7`", "s", 4, 2.5),
    Command(
        "data-parallel",
        "R5's base by 2 processes of 1 thread against 1, same global batch",
        "x",
        1.7,
        1.9,
    ),
    Command(
        "core-taken",
        "images/s while another process keeps a core busy from the start, of those without it",
        "%",
        45,
    ),
)


@dataclasses.dataclass(frozen=True)
class Side:
    """One window of one side."""

    images_per_second: float
    peak_memory_bytes: float
    way: str = ""


@dataclasses.dataclass(frozen=True)
class Rate:
    """The windows of one work that count.

    Attributes:
        work: what was done.
        ours: gancli's windows.
        plain: the plain loop's.
        operations: of gancli's products and convolutions for each image.
    """

    work: Work
    ours: list[Side]
    plain: list[Side]
    operations: float

    @property
    def ratio(self) -> float | None:
        """By how much gancli is faster; None where a side was not measured."""
        ours, plain = speed(self.ours), speed(self.plain)
        return ours.median / plain.median if ours and plain else None

    @property
    def counts(self) -> bool:
        """Whether the plain loop is as fast as it is elsewhere."""
        plain = speed(self.plain)
        return plain is not None and plain.median >= LEAST_OF_REFERENCE * self.work.reference

    def of_ceiling(self, ceilings: dict[str, Spread | None]) -> float | None:
        """Return the share of the ceiling for the precision that most of gancli's windows chose."""
        ours = speed(self.ours)
        if ours is None:
            return None
        precision = statistics.mode(side.way.rsplit(maxsplit=1)[-1] for side in self.ours)
        ceiling = ceilings[f"{self.work.ceiling} {precision}"]
        return ours.median * self.operations / 1e9 / ceiling.median if ceiling else None


@dataclasses.dataclass(frozen=True)
class Figure:
    """What one row about commands came to.

    Attributes:
        command: what was measured.
        value: in the command's unit; None where it was not measured.
        words: what the value is made of, or why there is none.
        counts: whether the plain loops in it are as fast as they are elsewhere.
    """

    command: Command
    value: float | None
    words: str = ""
    counts: bool = True


@dataclasses.dataclass(frozen=True)
class Memory:
    """The most memory that a training held."""

    recipe: str
    peak_bytes: float


@dataclasses.dataclass(frozen=True)
class Results:
    """All that a run of bench/speed.py measured; ceilings in GFLOP/s by name."""

    ceilings: dict[str, Spread | None]
    rates: list[Rate]
    figures: list[Figure]
    memories: list[Memory]


def speed(sides: list[Side]) -> Spread | None:
    """Return the images per second of some windows."""
    return Spread.of([side.images_per_second for side in sides])


def verdict(value: float | None, least: float | None, stretch: float | None) -> str:
    """Say whether a figure reaches what was aimed at; less is better where the stretch is less."""
    if value is None or least is None:
        return "-"
    sign = 1 if stretch is None or stretch > least else -1
    if stretch is not None and sign * value >= sign * stretch:
        return "stretch"
    return "yes" if sign * value >= sign * least else "no"


def text(results: Results, windows: int, rounds: int, foreign: float) -> str:
    """Return the page as Markdown."""
    return "\n".join(_lines(results, windows, rounds, foreign)) + "\n"


def accelerated(rates: list[Rate], device: str, windows: int, foreign: float) -> str:
    """Return a page of what both sides do on an accelerator, as Markdown."""
    rows = [
        (
            rate.work.title,
            _shown(speed(rate.plain)),
            _shown(speed(rate.ours)),
            _number(rate.ratio, "x"),
            _ways(rate),
        )
        for rate in rates
    ]
    lines = [
        f"# Speed on {device}",
        "",
        _paragraph(
            f"Written by `python bench/speed.py --device ...`. Machine: {_machine()}. Medians (and "
            f"ranges) of up to {windows} windows; {_watched(foreign)}. {_COUNTED} The plain loops "
            "load images a sample at a time, as the peers' scripts do."
        ),
        "",
        *_table(("work", "plain loop", "gancli", "ratio", "gancli's way"), rows),
    ]
    return "\n".join(lines) + "\n"


def _machine() -> str:
    return (
        f"{processor()}, {len(usable_cores())} cores, {platform.system()}; torch "
        f"{importlib.metadata.version('torch')}, Python {platform.python_version()}, gancli "
        f"{gancli.__version__}"
    )


def _watched(foreign: float) -> str:
    if can_watch():
        return f"windows with more than {foreign:g} cores at other work were dropped"
    return "what else the machine did could not be watched"


def _lines(results: Results, windows: int, rounds: int, foreign: float) -> Iterator[str]:
    yield "# Speed"
    yield ""
    yield _paragraph(
        "Written by `python bench/speed.py`, which says how it measures. Machine: "
        f"{_machine()}. Medians (and ranges) of up to {windows} windows, of commands up to "
        f"{rounds}; {_watched(foreign)}."
    )
    yield ""
    yield "## Targets"
    yield ""
    yield from _table(
        ("work", "at least", "stretch", "measured", "reached"),
        [*map(_target_of_rate, results.rates), *map(_target_of_figure, results.figures)],
    )
    for figure in results.figures:
        if figure.words:
            yield ""
            yield _paragraph(f"{figure.command.title}: {figure.words}.")
    yield ""
    yield "## Images per second"
    yield ""
    yield _paragraph(
        f"{_COUNTED} The share of the ceiling is that of "
        "gancli's own products and convolutions, of which it needs fewer than the plain loop, in "
        "the precision that it chose. Memory is the most a process held."
    )
    yield ""
    yield from _table(
        (
            "work",
            "plain loop",
            "gancli",
            "ratio",
            "of the ceiling",
            "gancli's way",
            "MB: plain",
            "gancli",
        ),
        [_rate_row(rate, results.ceilings) for rate in results.rates],
    )
    yield ""
    yield "## The plain loops"
    yield ""
    yield _paragraph(
        "`bench/plain_loops.py` does the same work in plain PyTorch: networks, batch, optimiser, "
        "number of updates, reuse of noise. What it is held to was measured elsewhere, on "
        f"{LIKE_MACHINE}, with the peers' own scripts where there are such. On a like machine a "
        "loop counts that is at most 10 % slower. R5's tutorial as it is written, in Keras on "
        "TensorFlow, made 102 images/s there, and is not measured here."
    )
    yield ""
    yield from _table(
        ("plain loop", "images come as", "elsewhere", "here", "counts"),
        [
            (
                rate.work.title,
                rate.work.loading,
                f"{rate.work.reference:,.0f}",
                _shown(speed(rate.plain)),
                "yes" if rate.counts else "no",
            )
            for rate in results.rates
        ],
    )
    yield ""
    yield "## Ceilings"
    yield ""
    yield "GFLOP/s on 2 threads, of `bench/ceilings.py`."
    yield ""
    yield from _table(results.ceilings, [[_shown(spread) for spread in results.ceilings.values()]])
    if results.memories:
        heaviest = sorted(results.memories, key=lambda memory: -memory.peak_bytes)
        under = "under" if heaviest[0].peak_bytes < MOST_MEMORY else "not all under"
        yield ""
        yield "## Memory"
        yield ""
        words = "The most memory of `gancli train`, each recipe at its own batch"
        yield f"{words}: {under} 1 GB. The most of all:"
        yield ""
        yield from _table(
            ("recipe", "MB"),
            [(one.recipe, f"{one.peak_bytes / 1e6:,.0f}") for one in heaviest[:5]],
        )


def _target_of_rate(rate: Rate) -> tuple[str, ...]:
    work = rate.work
    return _target_row(work.title, "x", rate.ratio, rate.counts, work.least, work.stretch)


def _target_of_figure(figure: Figure) -> tuple[str, ...]:
    row = figure.command
    return _target_row(row.title, row.unit, figure.value, figure.counts, row.least, row.stretch)


def _target_row(
    title: str,
    unit: str,
    value: float | None,
    counts: bool,
    least: float | None,
    stretch: float | None,
) -> tuple[str, ...]:
    measured = "not measured" if value is None else _number(value, unit)
    if value is not None and not counts:
        measured, value = f"{measured}, but the plain loop is too slow to count", None
    ends = _number(least, unit), _number(stretch, unit)
    return title, *ends, measured, verdict(value, least, stretch)


def _rate_row(rate: Rate, ceilings: dict[str, Spread | None]) -> tuple[str, ...]:
    share = rate.of_ceiling(ceilings)
    return (
        rate.work.title,
        _shown(speed(rate.plain)),
        _shown(speed(rate.ours)),
        _number(rate.ratio, "x"),
        "-" if share is None else f"{share:.0%}",
        _ways(rate),
        *(
            f"{max((side.peak_memory_bytes for side in sides), default=0) / 1e6:,.0f}"
            for sides in (rate.plain, rate.ours)
        ),
    )


def _ways(rate: Rate) -> str:
    return " or ".join(sorted({side.way for side in rate.ours}))


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}x" if unit == "x" else f"{value:.3g} {unit}"


def _shown(spread: Spread | None) -> str:
    return "-" if spread is None else spread.text()


def _paragraph(words: str) -> str:
    return textwrap.fill(words, 110, break_long_words=False, break_on_hyphens=False)


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    heads = list(heads)
    for row in (heads, ["---"] * len(heads), *rows):
        yield f"| {' | '.join(row)} |"


def processor() -> str:
    """Return the processor's name as the system gives it."""
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or os.uname().machine
