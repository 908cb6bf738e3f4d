"""Search for the default recipes: what each lever gives, alone, in distance and seconds.

    python bench/search.py RUNS_DIR                    # every variant; give it again to go on
    python bench/search.py RUNS_DIR --only rate        # variants whose names begin so
    python bench/search.py RUNS_DIR --no-training      # the table, of the runs that are there
    python bench/search.py RUNS_DIR --around digits    # another search, of those below

The variants stand in bench/search-NAME.toml: each is a recipe with some settings changed. `digit`
goes around that recipe as it is, the others around what theirs were at first. They are trained on
MNIST's first 50,000 training images, two at a time, one thread each, and scored on the last 10,000,
which are withheld from training. The test split is never looked at. Seconds are those of one core
spent in training, so that others on the machine disturb little.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tomllib
from pathlib import Path
from typing import Any

import side_by_side
import torch

from gancli import api, data, sampling, scoring
from gancli.config import RunConfig
from gancli.metrics.scores import score

HOLDOUT = 10_000
# What is gone around, and by what recipe.
SEARCHES = {
    "digit": "digit",
    "digit-at-first": "digit",
    "digits": "digits",
    "digits-gpu": "digits-gpu",
}
DIGITS, SEEDS = [7, 2, 8], [0, 1, 2]
LEAST_RUNS = 3
FIGURES = (
    "frechet_distance_judge",
    "frechet_distance_random",
    "judge_share",  # of all digits, label_accuracy
    "precision_judge",
    "recall_judge",
    "coverage_judge",
    "precision_k5_judge",
    "recall_k5_judge",
)


@dataclasses.dataclass(frozen=True)
class Job:
    """One training of a variant; its digit is None for all of them."""

    search: str
    variant: str
    settings: dict[str, Any]
    digit: int | None
    seed: int
    folder: Path

    @property
    def name(self) -> str:
        """The run's."""
        which = self.search if self.digit is None else f"{self.search}-{self.digit}"
        return f"{self.variant}-{which}-seed-{self.seed}"

    @property
    def run(self) -> Path:
        """Where it is trained."""
        return self.folder / self.name

    @property
    def config(self) -> RunConfig:
        """What is trained."""
        settings = {
            "training.threads": 1,
            "data.holdout": HOLDOUT,
            "record.frame_every": 1e6,
            **self.settings,
        }
        recipe = SEARCHES[self.search]
        return api.describe(recipe, digit=self.digit, seed=self.seed, settings=settings)

    @property
    def found(self) -> dict[str, Any] | None:
        """Its figures, once it is scored."""
        return side_by_side.found(self.run, self.config)


def train_and_score(job: Job) -> None:
    torch.set_num_threads(1)
    run, seconds = side_by_side.train_afresh(job.config, job.run)
    trained = sampling.load(run.path)
    splits = dataclasses.replace(data.load("mnist", holdout=HOLDOUT), test=None)
    card = score(
        scoring.draw_of(trained, splits),
        splits,
        digit=job.digit,
        samples=HOLDOUT if job.digit is None else 2_000,
    )
    found: dict[str, Any] = {}
    for name in FIGURES:
        of_all = job.digit is None and name == "judge_share"
        figure = card["label_accuracy" if of_all else name]
        found[name] = figure.value, figure.real
    side_by_side.keep(run.path, {**found, "seconds": seconds, "steps": trained.step})


def variants_of(search: str) -> dict[str, Any]:
    """Return what a search tries, by name: what is changed, and every setting of it."""
    variants = tomllib.loads(Path(__file__).with_name(f"search-{search}.toml").read_text())
    at_first = variants.pop("at-first", {})
    return {
        name: {**variant, "settings": {**at_first, **variant["settings"]}}
        for name, variant in variants.items()
    }


def jobs(folder: Path, search: str, digits: list[int], seeds: list[int]) -> list[Job]:
    """Return every training, seed after seed, so that a first answer comes early."""
    return [
        Job(search, name, variant["settings"], digit, seed, folder)
        for seed in seeds
        for digit in (digits if SEARCHES[search] == "digit" else [None])
        for name, variant in variants_of(search).items()
    ]


def finished(planned: list[Job]) -> list[tuple[Job, dict[str, Any]]]:
    """Return the jobs that are scored, with their figures."""
    return [(job, found) for job in planned if (found := job.found) is not None]


def verdict(search: str, done: list[tuple[Job, dict[str, Any]]]) -> str:
    """Say which variants were nearer to real images in every run than what they vary in any."""
    runs = {
        name: [found for job, found in done if job.variant == name] for name in variants_of(search)
    }
    runs = {name: found for name, found in runs.items() if len(found) >= LEAST_RUNS}
    if "default" not in runs:
        return f"Of the recipe itself there are fewer than {LEAST_RUNS} runs: nothing is claimed."
    best = min(_distances(runs["default"]))
    usual = _seconds(runs["default"])
    nearer = [
        f"`{name}` (in {_seconds(found) / usual:.2f} times the seconds)"
        for name, found in runs.items()
        if max(_distances(found)) < best
    ]
    listed = ", ".join(nearer) or "none"
    return (
        "Nearer to real images, by the judge, in every run than the recipe in any: "
        f"{listed}, of {len(runs) - 1} variants with {LEAST_RUNS} runs; of variants that change "
        "nothing, one in twenty would be."
    )


def _distances(runs: list[dict[str, Any]]) -> list[float]:
    return [found[FIGURES[0]][0] for found in runs]


def _seconds(runs: list[dict[str, Any]]) -> float:
    return statistics.median(float(found["seconds"]) for found in runs)


def table(search: str, done: list[tuple[Job, dict[str, Any]]]) -> str:
    """Return the variants as Markdown: medians over seeds, spread of the distance."""
    share = "share" if SEARCHES[search] == "digit" else "label accuracy"
    lines = [
        "| variant | what is changed | runs | steps | seconds of a core | distance, judge "
        f"(real) | times real | distance, random features | {share} | precision | recall "
        "| coverage | precision by five | recall by five |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, variant in variants_of(search).items():
        rows = [found for job, found in done if job.variant == name]
        if not rows:
            continue

        def middle(key: str, rows: list[dict[str, Any]] = rows) -> float:
            return statistics.median(float(row[key][0]) for row in rows)

        distances = sorted(_distances(rows))
        real = statistics.median(row[FIGURES[0]][1] for row in rows)
        ratio = statistics.median(row[FIGURES[0]][0] / row[FIGURES[0]][1] for row in rows)
        shares = " | ".join(f"{middle(key):.3f}" for key in FIGURES[2:])
        lines.append(
            f"| {name} | {variant['change']} | {len(rows)} | {rows[0]['steps']:,} "
            f"| {_seconds(rows):.0f} | {statistics.median(distances):.1f}, {distances[0]:.1f} to "
            f"{distances[-1]:.1f} ({real:.1f}) | {ratio:.2f} | {middle(FIGURES[1]):.2g} "
            f"| {shares} |"
        )
    return "\n".join(lines)


def told(search: str, done: list[tuple[Job, dict[str, Any]]]) -> str:
    """Return tables and verdicts as Markdown: what helps one digit may not help another."""
    parts = []
    for digit in dict.fromkeys(job.digit for job, _ in done):
        of_digit = [(job, found) for job, found in done if job.digit == digit]
        heading = "" if digit is None else f"Digit {digit}:\n\n"
        parts.append(f"{heading}{table(search, of_digit)}\n\n{verdict(search, of_digit)}\n")
    return "\n".join(parts)


def main() -> None:
    layout = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("folder", type=Path, metavar="RUNS_DIR")
    parser.add_argument("--only", default="", help="variants whose names begin so")
    parser.add_argument("--around", default="digit", choices=SEARCHES, metavar="NAME")
    parser.add_argument("--digits", type=int, nargs="+", default=DIGITS, help="of one digit's")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--side-by-side", type=int, default=2)
    parser.add_argument("--no-training", action="store_true")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.job:
        every = jobs(wanted.folder, wanted.around, list(range(10)), list(range(100)))
        train_and_score(next(job for job in every if job.name == wanted.job))
        return
    every = jobs(wanted.folder.resolve(), wanted.around, wanted.digits, wanted.seeds)
    planned = [job for job in every if job.variant.startswith(wanted.only)]
    if not wanted.no_training:
        words = (__file__, wanted.folder, "--around", wanted.around, "--job")
        todo = [(*words, job.name) for job in planned if job.found is None]
        side_by_side.give(todo, wanted.side_by_side)
    print(told(wanted.around, finished(planned)))


if __name__ == "__main__":
    main()
