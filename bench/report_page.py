"""docs/reports.md and its pictures, of what was measured."""

from __future__ import annotations

import os
import platform
import re
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from report_claims import CLAIMS, TITLES, At, Claim, Verdict, judge
from report_runs import Results

from gancli import api, networks, preparing
from gancli.config import RunConfig
from gancli.pictures.frames import list_frames, read_frame

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "reports.md"
PICTURES = ROOT / "docs" / "reports"
# What a table shows of a score card, in this order; and of the log.
FIGURES = {
    "judge_share": "judge's share",
    "judge_confidence": "judge's confidence",
    "frechet_distance_judge": "Frechet distance (judge)",
    "precision_judge": "precision",
    "recall_judge": "recall",
    "coverage_judge": "coverage",
    "distinct_glyphs": "distinct glyphs",
    "glyph_share": "glyph share",
    "target_distance": "distance to target",
    "mode_distance": "distance to nearest",
    "modes": "modes",
    "high_quality_share": "high quality",
}
LOGGED = {"d_accuracy_real": "D right on real", "d_accuracy_fake": "D right on fake"}
EPOCHS_SHOWN = (0, 100, 300, 500, 800, 1200, 1600, 2000)
PICTURES_A_ROW = 4

INTRODUCTION = """\
# The five reports, measured

Written by `python bench/reports.py{full}`, which trains every recipe with
`gancli train --recipe NAME {mode}`, {length},
in 32 bits, and evaluates it. Figures are means over the seeds ± their standard deviation; those
of D are from the last tenth of the log; seconds are those of this length on two threads, by what
`--write-minutes` timed. The last row of a table has the same figures for real images. The judge
is a small classifier that ships with gancli, and a Frechet distance in its features is no FID.
Reports may be measured on different days; each ends with its machine.

Verdicts are functions of the figures (`bench/report_claims.py`): a claim held if it did in every
seed. It was not reached where a preview has not learned enough to judge by, or where the report
trained longer; it is undecided where full runs leave nothing to judge by. A recipe has learned
recognisable digits where its coverage is 0.05: a twentieth of the real images have a fake nearer
than their fifth neighbour. (Precision would not tell: it is 1 for a speck, drawn over and over,
that lies near one odd real image.) *Wish* and *question* mark what an author wanted to know and
did not claim.
"""
# Of a line that ends a section: what the report says, what became of it, and how.
_VERDICT = re.compile(r"(?m)^\| ([^|]+) \| [^|]+ \| \*\*([^*]+)\*\*, ([^|]+) \|")


def write(results: Results, full: bool) -> None:
    """Write the page and its pictures; a report that nothing was measured of stays as it stands."""
    before = sections_of(PAGE)
    sections = {}
    for report, (title, _) in TITLES.items():
        names = [name for name in results if _report(name) == report]
        if names:
            sections[report] = _section(report, names, results)
        elif (heading := f"{report}. {title}") in before:
            sections[report] = before[heading].strip("\n")
    verdicts = [
        (report, *row) for report, text in sections.items() for row in _VERDICT.findall(text)
    ]
    lines = [
        INTRODUCTION.format(
            full=" --full" if full else "",
            mode="--device auto" if full else "--preview --threads 1",
            length="one beside another" if full else "two at a time on two cores",
        ),
        "| verdict | claims |",
        "|---|---:|",
        *(f"| {word} | {sum(found == word for _, _, found, _ in verdicts)} |" for word in Verdict),
        "",
        *(
            f"- Did **not hold**: {report}, {words} ({said})."
            for report, words, found, said in verdicts
            if found == Verdict.FAILED
        ),
    ]
    for report, text in sections.items():
        lines += ["", f"## {report}. {TITLES[report][0]}", "", text]
    PAGE.write_text("\n".join(lines) + "\n")


def sections_of(page: Path) -> dict[str, str]:
    """Return what stands under each title of a page; nothing if there is no page yet."""
    return under(page.read_text(), "##") if page.exists() else {}


def under(text: str, heading: str) -> dict[str, str]:
    """Return what stands under each title of a text."""
    _, *sections = text.split(f"\n{heading} ")
    return dict(section.split("\n", 1) for section in sections)


def _section(report: str, names: list[str], results: Results) -> str:
    """Return what is told of a report."""
    lines = [TITLES[report][1], ""]
    for group in _groups(names, results):
        lines += [*_table(group, results), "", *_thumbnails(group, results), ""]
    lines += _curve_table(names, results)
    lines += ["| the report says | measured by | verdict | figures |", "|---|---|---|---|"]
    for claim in CLAIMS:
        if claim.report == report:
            found, said = _verdict(claim, results)
            cells = claim.words, claim.test, f"**{found}**, {said}", _evidence(claim, results)
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"{machine()}."])


def _report(recipe: str) -> str:
    return recipe[:2].upper()


def _verdict(claim: Claim, results: Results) -> tuple[Verdict, str]:
    """Judge a claim by the seeds that have every figure it is about."""
    trained = [results.get(name, {}) for name, _ in claim.shows]
    seeds = [
        seed
        for seed in sorted(set.intersection(*map(set, trained)))
        if all(figure in results[name][seed].numbers for name, figure in claim.shows)
    ]
    lengths = {
        found.job.recipe: found.job.config.training.epochs or 0
        for row in trained
        for found in row.values()
    }
    shortened = any(api.describe(name).training.epochs != own for name, own in lengths.items())

    def figures_of(seed: int) -> At:
        return lambda name, figure: results[name][seed].numbers[figure]

    shortest = min(lengths.values(), default=0)
    return judge(claim, [figures_of(seed) for seed in seeds], shortest, shortened)


def _evidence(claim: Claim, results: Results) -> str:
    shown = []
    for name, figure in claim.shows:
        numbers = [found.numbers for found in results.get(name, {}).values()]
        values = [row[figure] for row in numbers if figure in row]
        shown.append(
            f"`{name}` {figure.removesuffix('_judge').replace('_', ' ')} {_spread(values)}"
        )
    return "<br>".join(shown)


def _groups(names: Iterable[str], results: Results) -> list[list[str]]:
    """Split recipes by what their score cards hold: points and digits share no columns."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        groups.setdefault(_figures(name, results), []).append(name)
    return list(groups.values())


def _figures(name: str, results: Results) -> tuple[str, ...]:
    card = next(iter(results[name].values())).real
    return tuple(figure for figure in FIGURES if figure in card)


def _table(names: list[str], results: Results) -> list[str]:
    figures = _figures(names[0], results)
    columns = [*(FIGURES[figure] for figure in figures), *LOGGED.values()]
    heads = ["recipe", "idea", "parameters", "epochs", "seconds", *columns]
    lines = [f"| {' | '.join(heads)} |", "|---|---|" + "---:|" * (len(heads) - 2)]
    for name in names:
        found = list(results[name].values())
        config = found[0].job.config
        epochs, own = config.training.epochs, api.describe(name).training.epochs
        length = f"{epochs:g}" if epochs == own else f"{epochs:g} of {own:g}"
        spreads = [
            _spread([measured.numbers[figure] for measured in found])
            for figure in (*figures, *LOGGED)
        ]
        seconds = _number(60 * (config.minutes or 0.0) * (epochs or 1) / (own or 1))
        cells = [f"`{name}`", config.summary, f"{_parameters(config):,}", length, seconds, *spreads]
        lines.append(f"| {' | '.join(cells)} |")
    seen = [measured.real for name in names for measured in results[name].values()]
    real = [_number(statistics.fmean(row[figure] for row in seen)) for figure in figures]
    cells = ["real images", "", "", "", "", *real, "", ""]
    return [*lines, f"| {' | '.join(cells)} |"]


def _parameters(config: RunConfig) -> int:
    resolved = preparing.resolve(config, classes=len(api.DIGITS))
    with torch.device("meta"):
        pair = networks.build_generator(resolved), networks.build_discriminator(resolved)
    return sum(map(networks.parameters, pair))


def _thumbnails(names: list[str], results: Results) -> list[str]:
    """Write a small picture of each recipe's last frame, first seed; return a table of them."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    cells = []
    for name in names:
        job = next(iter(results[name].values())).job
        picture = read_frame(list_frames(job.run.frames)[-1].path)
        # Of the 8 x 8 tiles of 28 x 28, half tell enough; without its margin the sheet is 240 wide.
        half = 1 if job.config.data.is_points or picture.width < 200 else 2
        picture = picture.crop((1, 1, picture.width - 1, picture.height // half))
        picture.thumbnail((240, 240))
        picture.quantize(16).save(PICTURES / f"{name}.png", optimize=True)
        cells.append(f"![{name}](reports/{name}.png)<br>`{name}`")
    cells += [""] * (-len(cells) % PICTURES_A_ROW)
    rows = [cells[n : n + PICTURES_A_ROW] for n in range(0, len(cells), PICTURES_A_ROW)]
    heading = ["|" + " |" * PICTURES_A_ROW, "|" + "---|" * PICTURES_A_ROW]
    return [*heading, *(f"| {' | '.join(row)} |" for row in rows)]


def _curve_table(names: list[str], results: Results) -> list[str]:
    """Return the judge's share and the correlation with the mean digit over R1's epochs."""
    names = [name for name in names if all(found.curve for found in results[name].values())]
    if not names:
        return []
    heads = ["judge's share / correlation with the mean seven at epoch", *map(str, EPOCHS_SHOWN)]
    lines = [f"| {' | '.join(heads)} |", "|---|" + "---:|" * len(EPOCHS_SHOWN)]
    for name in names:
        cells = [f"`{name}`"]
        for epoch in EPOCHS_SHOWN:
            at = [p for found in results[name].values() for p in found.curve if p[0] == epoch]
            means = [statistics.fmean(column) for column in list(zip(*at, strict=True))[1:]]
            cells.append(" / ".join(f"{mean:.2f}" for mean in means) or "-")
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "-"
    mean = statistics.fmean(values)
    spread = f" ± {_number(statistics.stdev(values), like=mean)}" if len(values) > 1 else ""
    return _number(mean) + spread


def _number(value: float, like: float | None = None) -> str:
    """Return about three digits, without an exponent; as many decimals as another number has."""
    size = abs(value if like is None else like)
    return f"{value:,.{0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3}f}"


def machine() -> str:
    """Name the processor, its cores, the accelerator if there is one, and the versions."""
    model, cpus = platform.processor(), Path("/proc/cpuinfo")
    if cpus.exists():
        found = re.search(r"model name\s*: (.*)", cpus.read_text())
        model = found[1] if found else model
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    return f"{model}, {os.cpu_count()} cores{gpu}; {versions}"
