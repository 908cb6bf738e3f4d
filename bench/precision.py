"""Hold training in 16 bits to training in 32: the same quality, within the spread of the seeds?

    python bench/precision.py                      # some hours on two cores; goes on where it was
    python bench/precision.py --only r4 --seeds 0 1 2 3
    python bench/precision.py --no-training --write     # docs/precision.md, of the runs there are
    python bench/precision.py --only r4-base --steps 20  # a trial of this script, not of gancli

Each recipe below is trained at its preview's length (its own, where it has none; `r5-base` for an
epoch, for its preview of a seventh shows no digits yet, and `digits-gpu` for two), once in each
precision for each seed, two runs at a time, one thread each, and scored by `gancli evaluate
--quick`. Distances are compared by their logarithms: the ratio is that of their geometric means, 16
bits over 32, with the interval at 95 % that the spread of the seeds leaves (Welch's). Runs that
broke off, or that the doctor says failed, are dead: they are counted, and their distances are not.

A recipe is worse in 16 bits if more of its runs die or the whole interval lies above 1, unchanged
if not, and not measured with fewer than two living runs in 32 bits, or in 16 with none dead. Of a
recipe with `generator.exact`, what G draws is computed in 32 bits, and all else in 16.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import json
import math
import statistics
import sys
from pathlib import Path

from one_thread import succeeds
from report_page import machine

from gancli import api, doctor, recipes, runs

PAGE = Path(__file__).parent.parent / "docs" / "precision.md"
WORK = Path(__file__).parent.parent / "checkpoints" / "precision"
PRECISIONS = ("fp32", "bf16")
RECIPES = ["r4-base", "peer-mlp", "peer-dcgan", "digits-gpu", "r5-base"]
EPOCHS = {"digits-gpu": 2, "r5-base": 1}
FIGURE = "frechet_distance_judge"
ONE_CLASS = 7
SIDE_BY_SIDE = 2
# Student's t at 95 %, two-sided, by degrees of freedom from 1 on.
T = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14)


@dataclasses.dataclass(frozen=True)
class Job:
    """One recipe in one precision with one seed, in a folder that its length names."""

    recipe: str
    precision: str
    seed: int
    steps: int | None
    work: Path

    @property
    def run(self) -> runs.RunDirectory:
        """Where it is trained."""
        folder = self.work / ("previews" if self.steps is None else f"steps-{self.steps}")
        return runs.RunDirectory(folder / f"{self.recipe}-{self.precision}-{self.seed}")

    def train_and_evaluate(self) -> None:
        """Do what is not done yet: finished runs are left alone, others resumed."""
        one_class = self.recipe == recipes.ONE_CLASS or self.recipe.startswith("r1")
        digit = ONE_CLASS if one_class else None
        words = ["--recipe", self.recipe, *([] if digit is None else ["--digit", str(digit)])]
        words += ["--seed", str(self.seed), "--set", f"training.precision={self.precision}"]
        if self.steps is not None:
            words += ["--steps", str(self.steps)]
        elif self.recipe in EPOCHS:
            words += ["--epochs", str(EPOCHS[self.recipe])]
        elif api.describe(self.recipe, digit=digit).preview_epochs:
            words += ["--preview"]
        place = ["--runs-dir", str(self.run.path.parent), "--device", "cpu", "--quiet"]
        trained = succeeds(["train", *words, "--name", self.run.name, "--threads", "1", *place])
        if trained and not self.run.scores_path.exists():
            succeeds(["evaluate", self.run.name, "--quick", *place])

    def outcome(self) -> float | None:
        """Return the distance of the samples, infinity of a dead run, and None of no run."""
        if not self.run.exists():
            return None
        if self.run.status() is runs.Status.FAILED:
            return math.inf
        if not self.run.scores_path.exists():
            return None
        if doctor.examine(self.run).failure is not None:
            return math.inf
        figures = json.loads(self.run.scores_path.read_text())["figures"]
        return next(float(one["value"]) for one in figures if one["name"] == FIGURE)


def ratio(exact: list[float], rough: list[float]) -> tuple[float, float, float]:
    """Return the ratio of two geometric means, and the ends of its interval at 95 %."""
    logs = [[math.log(value) for value in side] for side in (rough, exact)]
    over, under = (statistics.fmean(side) for side in logs)
    errors = [statistics.variance(side) / len(side) for side in logs]
    # Welch's degrees of freedom, rounded down, but for what rounding took; equal distances leave no
    # spread at all.
    parts = [error**2 / (len(side) - 1) for error, side in zip(errors, logs, strict=True)]
    freedom = int(sum(errors) ** 2 / sum(parts) + 1e-9) if sum(parts) else 1
    half = T[min(max(freedom, 1), len(T)) - 1] * math.sqrt(sum(errors))
    return math.exp(over - under), math.exp(over - under - half), math.exp(over - under + half)


def row(recipe: str, found: list[list[float]]) -> tuple[str, ...]:
    """Return a line of the table from what the runs in 32 bits and in 16 came to."""
    alive = [[value for value in side if value < math.inf] for side in found]
    dead = [len(side) - len(living) for side, living in zip(found, alive, strict=True)]
    cells = [f"{statistics.geometric_mean(living):.1f}" if living else "-" for living in alive]
    deaths = [f"{lost} of {len(side)}" for lost, side in zip(dead, found, strict=True)]
    words, verdict = "-", "not measured"
    if min(map(len, alive)) >= 2:
        middle, low, high = ratio(*alive)
        words = f"{middle:.2f} ({low:.2f} to {high:.2f})"
        verdict = "worse" if low > 1 else "unchanged"
    if len(alive[0]) >= 2 and found[1] and dead[1] / len(found[1]) > dead[0] / len(found[0]):
        verdict = "worse"
    return f"`{recipe}`", *cells, words, *deaths, verdict


def main() -> None:
    layout = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--only", default="", help="of the recipes, those whose names begin so")
    parser.add_argument("--recipes", nargs="+", default=RECIPES, choices=recipes.names())
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, help="of every run, for a trial of this script")
    parser.add_argument("--work", type=Path, default=WORK, help="where the runs lie")
    parser.add_argument("--no-training", action="store_true", help="tell of what is there")
    parser.add_argument("--write", action="store_true", help="write docs/precision.md, too")
    wanted = parser.parse_args()
    names = [name for name in wanted.recipes if name.startswith(wanted.only)]
    work = wanted.work.resolve()
    jobs = [
        Job(name, precision, seed, wanted.steps, work)
        for seed in wanted.seeds
        for name in names
        for precision in PRECISIONS
    ]
    if not wanted.no_training:
        with concurrent.futures.ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            list(pool.map(Job.train_and_evaluate, jobs))
    rows = rows_before() if wanted.steps is None else {}
    for name in names:
        outcomes = [(job.precision, job.outcome()) for job in jobs if job.recipe == name]
        found = [[v for p, v in outcomes if p == side and v is not None] for side in PRECISIONS]
        if any(found):
            rows[name] = row(name, found)
    page = text(list(rows.values()))
    print(page)
    if wanted.write:
        PAGE.write_text(page)
        print(PAGE, file=sys.stderr)


def rows_before() -> dict[str, tuple[str, ...]]:
    """Return the rows that the page has, by recipe: what is not measured again stays there."""
    lines = PAGE.read_text().splitlines() if PAGE.exists() else []
    cells = [tuple(line.strip("| ").split(" | ")) for line in lines if line.startswith("| `")]
    return {found[0].strip("`"): found for found in cells}


def text(rows: list[tuple[str, ...]]) -> str:
    """Return the page as Markdown."""
    heads = "recipe|distance in 32 bits|in 16 bits|ratio (95 %)|dead in 32 bits|in 16|16 bits are"
    about = (__doc__ or "").split("\n\n", 2)[2].strip()
    lines = ["# Does training in 16 bits cost quality?", "", about, ""]
    lines += [f"Machine: {machine()}. Written by `bench/precision.py`.", ""]
    lines += [f"| {' | '.join(heads.split('|'))} |", "|---|---:|---:|---:|---:|---:|---|"]
    lines += [f"| {' | '.join(cells)} |" for cells in rows]
    lines += ["", "All other recipes compute in 32 bits, and were not measured."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
