"""Hold training in 16 bits to training in 32: the same quality, within the spread of the seeds?

    python bench/precision.py RUNS_DIR                  # give it again to go on
    python bench/precision.py RUNS_DIR --only r4-base

Every recipe is trained at its preview's length (its own, where it has none), once in each
precision for each seed, two runs at a time, one thread each, and scored with `gancli evaluate
--quick`. A recipe may compute in 16 bits (`training.precision = "auto"`) if its mean figure differs
by less than the spread of the seeds explains: by Welch's t, less than 2.78, the bound at 95 % for
the four degrees of freedom that three seeds of each leave. Writes docs/precision.md.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import math
import os
import statistics
import subprocess
import sys
from pathlib import Path

from gancli import api, recipes

PAGE = Path(__file__).parent.parent / "docs" / "precision.md"
PRECISIONS = ("fp32", "bf16")
FIGURE = "frechet_distance_judge"
SEEDS = (0, 1, 2)
ONE_CLASS = 7
BOUND = 2.78


def command(*words: str) -> dict[str, object]:
    """Give a gancli command on one thread, and return its JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "gancli", *words, "--quiet", "--json"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, object] = json.loads(done.stdout)
    return found


def distance(recipe: str, precision: str, seed: int, folder: Path) -> float:
    """Train a recipe and return the Frechet distance of its samples, where not done before."""
    name = f"{recipe}-{precision}-{seed}"
    where = ["--runs-dir", str(folder)]
    words = ["--recipe", recipe, "--seed", str(seed), "--name", name, "--threads", "1"]
    words += ["--set", f"training.precision={precision}", "--device", "cpu"]
    if recipe == recipes.ONE_CLASS or recipe.startswith("r1"):
        words += ["--digit", str(ONE_CLASS)]
    if api.describe(recipe, digit=ONE_CLASS if "--digit" in words else None).preview_epochs:
        words += ["--preview"]
    command("train", *words, *where)
    kept = folder / name / "scores.json"
    if not kept.exists():
        command("evaluate", name, "--quick", *where)
    card = json.loads(kept.read_text())
    print(name, file=sys.stderr, flush=True)
    return next(float(f["value"]) for f in card["figures"] if f["name"] == FIGURE)


def welch(one: list[float], other: list[float]) -> float:
    """Return how many standard errors two means lie apart."""
    error = math.sqrt((statistics.variance(one) + statistics.variance(other)) / len(one))
    return abs(statistics.fmean(one) - statistics.fmean(other)) / error


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="RUNS_DIR")
    parser.add_argument("--only", default="", help="recipes whose names begin so")
    parser.add_argument("--recipes", default="digit,r2-6-final,r4-base,r4-conv-16-32-64,r5-base")
    wanted = parser.parse_args()
    names = [name for name in wanted.recipes.split(",") if name.startswith(wanted.only)]
    jobs = [(name, precision, seed) for name in names for precision in PRECISIONS for seed in SEEDS]
    folder = wanted.folder.resolve()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda job: distance(job[0], job[1], job[2], folder), jobs))
    distances = dict(zip(jobs, found, strict=True))
    lines = [
        "# Does training in 16 bits cost quality?",
        "",
        *(__doc__ or "").split("\n\n")[2].strip().splitlines(),
        "",
        "| recipe | distance in 32 bits | in 16 bits | standard errors apart | unchanged |",
        "|---|---:|---:|---:|---|",
    ]
    for name in names:
        pair = [[distances[name, precision, seed] for seed in SEEDS] for precision in PRECISIONS]
        cells = [f"{statistics.fmean(row):.1f} ± {statistics.stdev(row):.1f}" for row in pair]
        apart = welch(*pair)
        lines.append(
            f"| `{name}` | {' | '.join(cells)} | {apart:.2f} | {'yes' if apart < BOUND else 'no'} |"
        )
    PAGE.write_text("\n".join(lines) + "\n")
    print(PAGE)


if __name__ == "__main__":
    main()
