"""docs/default-recipe.md, of what bench/default_recipe.py and bench/search.py have measured."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import search
import torch
from report_page import machine, sections_of, under

import gancli
from gancli import api, files, palette, sampling
from gancli.pictures.grid import make_grid, save_png
from gancli.plots import style

if TYPE_CHECKING:
    from default_recipe import Job

DOCS = Path(__file__).parent.parent / "docs"
DISTANCE = "frechet_distance_judge"
LEVERS = "What each lever gives"
NOT_MEASURED = "Not measured.\n"
POSTER_ROWS = 8
RACE_INKS = (palette.GREEN, palette.GENERATOR, palette.DISCRIMINATOR, palette.ORANGE, palette.SKY)

INTRODUCTION = """\
# The default recipes, measured

`gancli train --digit 7` is the recipe `digit`, `gancli train` is `digits`, and on an NVIDIA GPU the
wider `digits-gpu`, of which only a start is measured, for want of one: whether a classifier trained
on ten minutes of it reaches 98.7 %, at no more than twice the distance of real images, is open.
This page is written by `python bench/default_recipe.py RUNS_DIR`, of runs of one thread each, two
at a time, save where it says otherwise. Its parts may be of different days, and each ends with the
machine that wrote it; seconds compare within a part alone.

All figures but those of the last section are of the test split, and by them one number was chosen:
that images which are shown more than 75 times are moved (`discriminator.shift`) was settled after
runs of ten times the length, and of 500 images, were seen to copy. After fifty runs without norms,
of which one failed, the search was taken up again, and the norms chosen by training images that
were withheld. So was it that few images are bent as well (`data.elastic`), and by how much, by runs
that no command here repeats. And because of such figures a change was left that the search found
next (further down). The figures are of the generator averaged at the end of a run, save where a
course over time is shown; no checkpoint was picked. "Real" is the same figure of real images, which
is no limit: of as many random training images in place of fakes, and for share and label accuracy
of the test images. The second judge is another network, from another seed, that nothing was chosen
by (`bench/second_judge.py`); it was trained anew between parts, and by it they do not compare.

"""

# A line a paragraph on the page.
ABOUT_LEVERS = """\
One setting changed at a time, and the steps where one takes much more or less; a few variants
combine what helped. Trained on the first 50,000 training images and judged by the last 10,000,
which are withheld (`python bench/search.py`): medians over runs, of which {least} are needed to
claim anything. The judge that ships has learned from all 60,000, the withheld ones among them;
rows compare with rows.

No lever here, but in every row: upsampling and the convolution after it are one, exactly, and the
average of G follows more closely at first. Not tried: finite differences for R1 and R2. They take
D through as many images again, where the exact gradients, worked out by hand, take one way
forward more. Nor a learned basis of 7 x 7 times a linear latent, small networks at full
resolution throughout, an output that starts at the mean image, images drawn at each resolution
and added up, and batches beyond 128.

The rows of `digit` vary that recipe as it is. By the median, `deeper-batch-32` comes nearer to
each of three digits, and no other figure is much worse; by the test split it is no nearer
(further up), so that a gain of this size here is not yet one. `penalties-three` brings sevens as
near, and the one run of eights is farther. Rates of 5e-3 help, too; with batches of 32 one run of
sevens was lost by them. None is shipped.

The rows of `digit-at-first`, of an earlier day, vary what it was before: 3,000 steps and no
normalisation; further up stands what became of 50 runs of that, a fifth shorter. Its
`shorter-norm-group` is what the recipe is now, but for a hundred steps. Without normalisation,
rates of 5e-3 drew eights black at either length. Those of `digits` vary what that was at first,
too, of 20,000 steps; `norm-group` is what it is now, at a third of its length. `digits-gpu` at
first was without norms, too; two cores take it through 3 % of its length, which tells a good
start from a bad one, no more. It is `norm-group-rate-15` now: at rates of 3e-3 one start of three
was slow.
"""

Found = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Aim:
    """What a figure was to reach: at least so much, or at most; and what was hoped for."""

    words: str
    least: float
    at_most: bool = False
    stretch: float | None = None

    def verdict(self, value: float, real: float) -> str:
        """Return a value, that of real images, and whether it is enough or by how much not."""
        words = f"{value:.4g} ({real:.4g}), "
        if self._lacks(value, self.least) > 0:
            missed = f"{words}missed by {self._lacks(value, self.least):.2g}"
            return f"{missed}, as real images do" if self._lacks(real, self.least) > 0 else missed
        if self.stretch is None:
            return f"{words}reached"
        lacks = self._lacks(value, self.stretch)
        hoped = f"missed by {lacks:.2g}" if lacks > 0 else "too"
        return f"{words}reached; {self.stretch:g} {hoped}"

    def _lacks(self, value: float, wanted: float) -> float:
        return value - wanted if self.at_most else wanted - value


AIMED_SHARES = ("coverage", "precision_k5", "recall_k5", "precision", "recall")
AIMS = (
    Aim("judge's share, at least", 0.99),
    Aim("distance, times real, at most", 5, at_most=True, stretch=2.5),
    Aim("coverage, at least", 0.90, stretch=0.93),
    Aim("precision by five neighbours, at least", 0.90),
    Aim("recall by five neighbours, at least", 0.90),
    Aim("precision by three, at least", 0.90),
    Aim("recall by three, at least", 0.90),
    Aim("coverage of the worst digit, at least", 0.85),
)
AIMS_ALL = {
    "label_accuracy": Aim("label accuracy by the shipped judge, at least", 0.99),
    "cas": Aim("accuracy of a classifier trained on its images, at least", 0.975),
}
AIMS_STACKED = {
    "modes": Aim("modes, at least", 1_000),
    "reverse_kl": Aim("reverse KL (on a GPU), at most", 0.08, at_most=True, stretch=0.03),
}
AIM_SECONDS = {"digit": 60, "digits": 600}
AIM_COVERAGE_OF_FEW, LEAST_COPYING_Z = 0.75, -3.0
AIM_TIMES_BEST = 1.1


def write(measured: Iterable[tuple[Job, Found | None]], folder: Path) -> None:
    """Write the page and its pictures; a part that `folder` has no run of stays as it stands."""
    parts: dict[str, list[tuple[Job, Found]]] = {}
    lacking: dict[str, list[str]] = {}
    for job, found in measured:
        done = [] if found is None else [(job, found)]
        parts.setdefault(job.part, []).extend(done)
        if found is None:
            lacking.setdefault(job.part, []).append(job.name)
    _draw_poster([folder / job.name for job, _ in parts["digit"] if job.seed == 0])
    target = DOCS / "default-recipe.md"
    before = sections_of(target)
    unknown = before.keys() - {LEVERS, *(title for title, _ in SECTIONS.values())}
    if unknown:
        raise ValueError(f"{target}: what is told under {sorted(unknown)} would be lost")
    where = f"\n{machine()}, gancli {gancli.__version__}.\n"
    sections = [
        f"## {title}\n\n"
        + (
            tell(parts[part])
            + (_beside_usual(parts["long"], parts["digit"]) if part == "long" else "")
            + _without(lacking.get(part, []))
            + where
            if parts[part]
            else _kept(before, title)
        )
        for part, (title, tell) in SECTIONS.items()
    ]
    sections.append(f"## {LEVERS}\n\n{_levers(folder / 'search', before.get(LEVERS, ''), where)}")
    files.write_text(target, INTRODUCTION + "\n".join(sections))


def _kept(before: dict[str, str], title: str) -> str:
    return before.get(title, NOT_MEASURED).strip("\n") + "\n"


def _without(names: Sequence[str]) -> str:
    """Say which runs of a part have no figures, so that they are not taken for good ones."""
    return f"\nWithout figures, for they did not end: {', '.join(names)}.\n" if names else ""


def _digit(runs: list[tuple[Job, Found]]) -> str:
    shown = (
        f"![ten columns of samples](default-recipe-poster.png)\n\nThe first {POSTER_ROWS} image "
        "seeds of each run of seed 0, none left out.\n"
    )
    table = _two_judges(runs, _digits_of(runs), "judge_share", "share")
    tried = (
        "The precision and recall that were aimed at are of a scale on which real sevens have .94 "
        "and .95. That is the one by five neighbours, as Naeem et al. count "
        "(`precision_k5_judge`); by three, as Kynkaanniemi et al. do, real images miss .90 "
        "themselves.\n"
    )
    aimed = _targets(_digits_of(runs))
    return f"{_length(runs)} {_copying(runs)}\n\n{aimed}\n{tried}\n{table}\n{shown}"


def _before(runs: list[tuple[Job, Found]]) -> str:
    return (
        "What `digit` was at first, its steps brought near to a minute, and is no longer for the "
        f"runs that fail: G without normalisation. {_length(runs)}\n\n" + _targets(_digits_of(runs))
    )


def _left(runs: list[tuple[Job, Found]]) -> str:
    return (
        "`deeper-batch-32` of the levers below: a third convolution in D, and batches of 32. By "
        "the median of three runs, each of three digits is nearer by it to the training images "
        "that the search withholds. Here are runs of all ten, trained on all training images, by "
        "seeds that the search has not seen, with as many steps as take two cores a minute. By "
        "the test split they are no nearer than the recipe's, and it stays as it is. "
        f"{_length(runs)} {_copying(runs)}\n\n" + _targets(_digits_of(runs))
    )


def _length(runs: list[tuple[Job, Found]]) -> str:
    """Say how long runs of `digit` took, and how many of them failed."""
    seeds = len({job.seed for job, _ in runs})
    return (
        f"{runs[0][1]['steps']:,} steps, {_seconds(runs):.0f} seconds of one core; {len(runs)} "
        f"runs, means of {seeds} seeds. {_doctored(runs)}"
    )


def _doctored(runs: list[tuple[Job, Found]]) -> str:
    """Say in how many runs the doctor finds no failure, and name the others."""
    failed = [job.name for job, found in runs if found["failure"]]
    healthy = f"{len(runs) - len(failed)} of {len(runs)}"
    return f"The doctor finds no failure in {healthy}{_listed(failed)}."


def _copying(runs: list[tuple[Job, Found]]) -> str:
    """Say what the test of memorisation finds."""
    found = [each["judge"]["copying_z"][0] for _, each in runs]
    copies = sum(z < LEAST_COPYING_Z for z in found)
    return (
        f"The test of memorisation gives {min(found):.1f} to {max(found):.1f}, and less than "
        f"{LEAST_COPYING_Z:g}, which it calls copies, in {copies} of {len(found)}."
    )


def _targets(digits: dict[str, list[Found]]) -> str:
    """Return what was aimed at, and what came of it by either judge."""
    every = [found for digit in digits.values() for found in digit]

    def by(judge: str) -> list[tuple[float, float]]:
        names = ("judge_share", *(f"{name}_judge" for name in AIMED_SHARES))
        share, *rest = ((_mean_of(every, judge, n), _real_of(every, judge, n)) for n in names)
        worst = min(digits.values(), key=lambda found: _mean_of(found, judge, "coverage_judge"))
        name = "coverage_judge"
        lowest = _mean_of(worst, judge, name), _real_of(worst, judge, name)
        return [share, (_times_real(every, judge), 1.0), *rest, lowest]

    lines = [
        f"| {aim.words} | {aim.least:g} | {' | '.join(aim.verdict(*each) for each in values)} |"
        for aim, *values in zip(AIMS, by("judge"), by("second"), strict=True)
    ]
    return (
        "| mean over the digits | aimed at | shipped judge (real) | second judge (real) |\n"
        "|---|--:|--:|--:|\n" + "\n".join(lines) + "\n"
    )


def _aimed(aims: dict[str, Aim], runs: Sequence[Found]) -> str:
    """Return what was aimed at, by the figures' names, and what the shipped judge says of it."""
    lines = [
        f"| {aim.words} | {aim.least:g} "
        f"| {aim.verdict(_mean_of(runs, 'judge', name), _real_of(runs, 'judge', name))} |"
        for name, aim in aims.items()
    ]
    return "| mean of the runs | aimed at | measured (real) |\n|---|--:|--:|\n" + (
        "\n".join(lines) + "\n"
    )


def _draw_poster(runs: Sequence[Path]) -> None:
    """Draw a column of samples of each run, if there are any."""
    if not runs:
        return
    drawn = [sampling.load(run).sample(range(POSTER_ROWS)) for run in runs]
    tiles = torch.stack(drawn, dim=1).flatten(0, 1).numpy()
    save_png(make_grid(tiles, len(runs)), DOCS / "default-recipe-poster.png", {}, scale=3)


def _all(runs: list[tuple[Job, Found]]) -> str:
    words = (
        f"{api.describe('digits').training.steps:,} steps, "
        f"{_seconds(runs):.0f} seconds of one core; a line a "
        f"seed. {_doctored(runs)} {_copying(runs)}\n\n"
    )
    rows = {f"seed {job.seed}": [found] for job, found in runs}
    text = f"{words}{_aimed(AIMS_ALL, [found for _, found in runs])}\n" + _two_judges(
        runs, rows, "label_accuracy", "label accuracy"
    )
    useful = [
        f"| {name} | {_beside_real(found, 'judge', 'cas', 4)} "
        f"| {_mean_of(found, 'judge', 'reverse_cas'):.4f} |"
        for name, found in {**rows, "mean": [found for _, found in runs]}.items()
    ]
    return (
        f"{text}\nA classifier trained on 60,000 of its images and tested on real ones, and one "
        "trained on real images and tested on these; either is of the shipped judge's layers, and "
        "learns from images that are moved, turned and stretched at random, as that one did:\n\n"
        "| | trained on fakes (on real) | trained on real |\n|---|--:|--:|\n"
        + "\n".join(useful)
        + "\n"
    )


def _race(runs: list[tuple[Job, Found]]) -> str:
    with style.sheet(DOCS / "default-recipe-race.png", 9, 5) as figure:
        axes = figure.subplots()
        for (job, found), ink in zip(runs, RACE_INKS, strict=False):
            seconds, values = _course(found)
            axes.plot(seconds, values, "o-", markersize=3, color=ink, label=job.recipe)
        axes.axhline(_course_real(runs[0][1]), color=palette.MUTED, linestyle="--", label="real")
        style.scale_log(axes)
        axes.set(xlabel="seconds of one core", ylabel="Frechet distance")
        axes.legend()
    lines = [
        f"| `{job.recipe}` | {found['steps']:,} | {found['seconds']:.0f} "
        f"| {_course(found)[1][-1]:.1f} | {min(_course(found)[1]):.1f} "
        f"| {_last(found, 'coverage_judge'):.3f} "
        f"| {found['failure'] or 'no failure'} |"
        for job, found in runs
    ]
    return (
        "Sevens, one seed, one core each; Frechet distance in the judge's features, by "
        f"1,000 fakes against 1,000 test images (real: {_course_real(runs[0][1]):.1f}), of the "
        "generators that a run keeps (`gancli evaluate --history`). `peer-dcgan` draws 32 x 32 "
        "pixels, and is held against test images of that size.\n\n"
        "![distance against seconds](default-recipe-race.png)\n\n"
        "| recipe | steps | seconds | distance at the end | least on the way | coverage "
        "| the doctor finds |\n"
        "|---|--:|--:|--:|--:|--:|---|\n" + "\n".join(lines) + "\n"
    )


def _long(runs: list[tuple[Job, Found]]) -> str:
    lines, ratios = [], []
    for job, found in runs:
        values = _course(found)[1]
        ratios.append(found["judge"][DISTANCE][0] / found["best"][DISTANCE][0])
        lines.append(
            f"| {job.digit} | {min(values):.1f} | {values[-1]:.1f} "
            f"| {values[-1] / min(values):.2f} | {found['best'][DISTANCE][0]:.1f} "
            f"| {_beside_real([found], 'judge', DISTANCE, 1)} | {ratios[-1]:.2f} "
            f"| {found['judge']['copying_z'][0]:.1f} |"
        )
    missed = [
        f"digit {job.digit} misses it by {ratio - AIM_TIMES_BEST:.2f}"
        for (job, _), ratio in zip(runs, ratios, strict=True)
        if ratio > AIM_TIMES_BEST
    ]
    near = len(runs) - len(missed)
    return (
        f"{runs[0][1]['steps']:,} steps, by which images are shown often enough to be moved "
        "(`discriminator.shift`): the best of the kept generators against the last, by the draw "
        "of 1,000 fakes that it was chosen by, and both by ten draws, for the least of some twenty "
        f"is partly so by chance. At most {AIM_TIMES_BEST:g} times the best was asked for: by ten "
        f"draws {', '.join([f'{near} of {len(runs)} reach it', *missed])}. {_doctored(runs)} Below "
        f"{LEAST_COPYING_Z:g}, the test of memorisation says that fakes are copies.\n\n"
        "| digit | best distance | last | times the best | best, ten draws "
        "| last, ten draws (real) | times the best, ten draws | copying z |\n"
        "|--:|--:|--:|--:|--:|--:|--:|--:|\n" + "\n".join(lines) + "\n"
    )


def _beside_usual(runs: list[tuple[Job, Found]], usual: list[tuple[Job, Found]]) -> str:
    """Say how near the same digits come at the usual length, by ten draws as well."""
    digits = _digits_of(usual)
    said = [
        f"{job.digit} {_mean_of(digits[str(job.digit)], 'judge', DISTANCE):.1f}"
        for job, _ in runs
        if str(job.digit) in digits
    ]
    words = f"\nAt the usual length, by ten draws, means of all seeds: {', '.join(said)}.\n"
    return words if said else ""


def _few(runs: list[tuple[Job, Found]]) -> str:
    training = api.describe("digit").training
    shown = (training.steps or 0) * training.batch_size // 500
    digits = _digits_of(runs)
    covered = {
        sample: sum(
            _mean_of(found, sample, "coverage_judge") >= AIM_COVERAGE_OF_FEW
            for found in digits.values()
        )
        for sample in ("judge", "whole")
    }
    of_real = [found[0]["judge"]["coverage_judge"][1] for found in digits.values()]
    return (
        "A folder of its first 500 training images, judged by 500 fakes against MNIST's test "
        "images (`gancli evaluate` judges a folder by the part that `data.holdout` withholds); "
        "coverage also by as many fakes as there are test images, as in the sections above. Each "
        f"is shown {shown} times, and so bent (`data.elastic`) and moved (`discriminator.shift`). "
        f"{_doctored(runs)}\n\nAimed at was a coverage of {AIM_COVERAGE_OF_FEW:g}. By as many "
        f"fakes as there are test images, {covered['whole']} of {len(digits)} digits reach it; by "
        f"500, {covered['judge']} of {len(digits)}{_short(digits)}, where 500 real images "
        f"themselves reach {min(of_real):.2f} to {max(of_real):.2f}. And no copying: "
        f"{_copying(runs)[0].lower()}{_copying(runs)[1:]} The last column is the same of images "
        "never shown, the mean over five times 500. Where it is below 0, fakes are nearer to all "
        "images than the test images are; and as bent images are farther from all, only the "
        f"difference of the two is copying: {_nearer_to_shown(runs)} here.\n\n" + _few_table(runs)
    )


def _tried(runs: list[tuple[Job, Found]]) -> str:
    return (
        "As above, before they were bent: images moved, as they are where there are more of them, "
        f"and other changes to that. {_doctored(runs)}\n\n" + _few_table(runs)
    )


def _nearer_to_shown(runs: list[tuple[Job, Found]]) -> str:
    """Return how much nearer fakes are to images that were shown than to others, least to most."""
    apart = sorted(
        statistics.fmean(found["copying_of_unshown"]) - found["judge"]["copying_z"][0]
        for _, found in runs
    )
    return f"{apart[0]:.1f} to {apart[-1]:.1f}"


def _few_table(runs: list[tuple[Job, Found]]) -> str:
    lines = []
    rows = {
        (tried, digit): found
        for tried in dict.fromkeys(job.tried for job, _ in runs)
        for digit, found in _digits_of([each for each in runs if each[0].tried == tried]).items()
    }
    for (tried, digit), found in rows.items():
        names = ("precision_judge", "recall_judge", "coverage_judge")
        figures = " | ".join(_beside_real(found, "judge", name) for name in names)
        copying = [each["judge"]["copying_z"][0] for each in found]
        unshown = [statistics.fmean(each["copying_of_unshown"]) for each in found]
        lines.append(
            f"| {tried or 'as shipped'} | {digit} | {len(found)} "
            f"| {_times_real(found, 'judge'):.2f} | {figures} "
            f"| {_beside_real(found, 'whole', 'coverage_judge')} "
            f"| {min(copying):.1f} to {max(copying):.1f} "
            f"| {min(unshown):.1f} to {max(unshown):.1f} |"
        )
    return (
        "| | digit | runs | distance, times real | precision (real) | recall (real) "
        "| coverage (real) | coverage by more (real) | copying z | by images not shown |\n"
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n" + "\n".join(lines) + "\n"
    )


def _short(shipped: dict[str, list[Found]]) -> str:
    """Say by how much the coverage of few images misses what was aimed at."""
    lacks = {
        digit: AIM_COVERAGE_OF_FEW - _mean_of(found, "judge", "coverage_judge")
        for digit, found in shipped.items()
    }
    words = [f"{digit} by {lack:.3f}" for digit, lack in lacks.items() if lack > 0]
    return f" (missed: {', '.join(words)})" if words else ""


def _stacked(runs: list[tuple[Job, Found]]) -> str:
    ((job, found),) = runs
    epochs, own = (
        api.describe("stacked-mnist", settings=each).training.epochs for each in (job.settings, {})
    )
    return (
        f"{epochs:g} epochs of one seed ({found['steps']:,} steps), "
        f"{found['step_seconds'] / 60:.0f} minutes of training on two cores "
        f"({found['threads']} threads, {found['precision']}), by 26,000 fakes. The recipe's own "
        f"length is {own:g}; what an hour on a GPU does is not measured. {_doctored(runs)}\n\n"
        f"{_aimed(AIMS_STACKED, [found])}"
    )


def _clock(runs: list[tuple[Job, Found]]) -> str:
    lines = []
    for recipe in dict.fromkeys(job.recipe for job, _ in runs):
        found = [each for job, each in runs if job.recipe == recipe]
        training, whole = (
            sorted(each[key] for each in found) for key in ("step_seconds", "seconds")
        )
        ways = sorted({f"{each['threads']}, {each['precision']}" for each in found})
        aim = AIM_SECONDS[recipe]
        verdict = "reached" if statistics.median(training) <= aim else "missed"
        lines.append(
            f"| `gancli train{' --digit 7' if recipe == 'digit' else ''}` | {len(found)} "
            f"| {found[0]['steps']:,} | {'; '.join(ways)} | {aim} "
            f"| {_median_and_ends(training)}, {verdict} | {_median_and_ends(whole)} |"
        )
    return (
        "The commands as a user gives them, which choose threads and precision themselves, one "
        "after the other on two cores that do nothing else: median, and least to most.\n\n"
        "| command | runs | steps | threads, precision | seconds of training aimed at | measured "
        "| of the whole command |\n|---|--:|--:|--:|--:|--:|--:|\n" + "\n".join(lines) + "\n"
    )


def _median_and_ends(values: Sequence[float]) -> str:
    middle = f"{statistics.median(values):.1f}"
    return middle if len(values) == 1 else f"{middle} ({values[0]:.1f} to {values[-1]:.1f})"


def _levers(folder: Path, before: str, where: str) -> str:
    """Return the tables of the search; one that no run is there of stays as it stands."""
    paragraphs = ABOUT_LEVERS.format(least=search.LEAST_RUNS).split("\n\n")
    text = "\n\n".join(paragraph.replace("\n", " ").strip() for paragraph in paragraphs) + "\n"
    for name in search.SEARCHES:
        done = search.finished(search.jobs(folder, name, search.DIGITS, search.SEEDS))
        told = _kept(under(before, "###"), f"`{name}`")
        if done:
            told = search.told(name, done) + where
        text += f"\n### `{name}`\n\n{told}"
    return text


def _two_judges(
    runs: list[tuple[Job, Found]], rows: dict[str, list[Found]], share: str, word: str
) -> str:
    every = {**rows, "**mean**": [found for _, found in runs]}
    shares = ("precision", "recall", "coverage", "precision_k5", "recall_k5")
    names = (share, *(f"{each}_judge" for each in shares))
    text = ""
    for judge, title in (("judge", "The shipped judge"), ("second", "The second judge")):
        lines = []
        for name, found in every.items():
            figures = " | ".join(_beside_real(found, judge, each) for each in names)
            distance = _beside_real(found, judge, DISTANCE, 1)
            lines.append(f"| {name} | {distance} | {_times_real(found, judge):.2f} | {figures} |")
        text += (
            f"{title}:\n\n| | distance (real) | times real | {word} (real) | precision (real) "
            "| recall (real) | coverage (real) | precision by five (real) | recall by five (real) "
            "|\n|---|--:|--:|--:|--:|--:|--:|--:|--:|\n" + "\n".join(lines) + "\n\n"
        )
    return text.rstrip("\n") + "\n"


def _digits_of(runs: list[tuple[Job, Found]]) -> dict[str, list[Found]]:
    found: dict[str, list[Found]] = {}
    for job, each in runs:
        found.setdefault(str(job.digit), []).append(each)
    return dict(sorted(found.items()))


def _seconds(runs: list[tuple[Job, Found]]) -> float:
    return statistics.median(float(found["seconds"]) for _, found in runs)


def _listed(names: Sequence[str]) -> str:
    return f"; it does in {', '.join(names)}" if names else ""


def _mean_of(found: Sequence[Found], judge: str, name: str) -> float:
    return statistics.fmean(each[judge][name][0] for each in found)


def _real_of(found: Sequence[Found], judge: str, name: str) -> float:
    return statistics.fmean(each[judge][name][1] for each in found)


def _beside_real(found: Sequence[Found], judge: str, name: str, digits: int = 3) -> str:
    value, real = _mean_of(found, judge, name), _real_of(found, judge, name)
    return f"{value:.{digits}f} ({real:.{digits}f})"


def _times_real(found: Sequence[Found], judge: str) -> float:
    pairs = [each[judge][DISTANCE] for each in found]
    return statistics.fmean(value / real for value, real in pairs)


def _course(found: Found) -> tuple[list[float], list[float]]:
    """Return the seconds of the generators that a run kept, and their distances."""
    history = found["history"]
    rate = found["seconds"] / history["steps"][-1]
    distances = figure_of(history, DISTANCE)["values"]
    return [step * rate for step in history["steps"]], distances


def _course_real(found: Found) -> float:
    real: float = figure_of(found["history"], DISTANCE)["real"]
    return real


def _last(found: Found, name: str) -> float:
    value: float = figure_of(found["history"], name)["values"][-1]
    return value


def figure_of(history: Found, name: str) -> Found:
    """Return a figure of a history by its name, with its values."""
    return next(figure for figure in history["figures"] if figure["name"] == name)


# By part, in the order of the page: a title, and what tells of runs that there are.
SECTIONS: dict[str, tuple[str, Callable[[list[tuple[Job, Found]]], str]]] = {
    "digit": ("One digit: `digit`", _digit),
    "all": ("All digits, by their labels: `digits`", _all),
    "race": ("Quality against seconds", _race),
    "left": ("A change that was left", _left),
    "before": ("Without normalisation", _before),
    "long": ("Ten times as long", _long),
    "few": ("500 images of a digit", _few),
    "tried": ("500 images of a digit: what was tried", _tried),
    "stacked": ("StackedMNIST: `stacked-mnist`", _stacked),
    "clock": ("By the clock", _clock),
}
