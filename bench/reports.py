"""Run the recipes of the five reports, measure them, and write docs/reports.md.

    python bench/reports.py                  # previews, three seeds: hours on two cores
    python bench/reports.py --only r2        # the recipes whose names begin so; others stay as told
    python bench/reports.py --full           # their own lengths; on a GPU where there is one
    python bench/reports.py --no-training    # the page, of the runs that are there
    python bench/reports.py --write-minutes  # time each recipe instead, rewrite its `minutes`

Runs are kept in a folder that git ignores: the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import report_page
import torch
from one_thread import succeeds
from report_runs import R1_DIGIT, Job, Measured, Results

from gancli import api, recipes, runs

WORK = Path(__file__).parent.parent / "checkpoints" / "reports"
GANCLI = [sys.executable, "-m", "gancli"]
PREVIEW = ["--preview", "--threads", "1", "--device", "cpu"]
# Variants are compared with their base, which alone would try out 16; and not all cores have them.
IN_32_BITS = ["--set", "training.precision=fp32"]
SIDE_BY_SIDE = 2
PREVIEW_SECONDS = 240


def main() -> None:
    layout = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--only", default="", help="the recipes whose names begin so")
    parser.add_argument("--seeds", default="0,1,2", help="three are needed for a verdict")
    parser.add_argument("--work", type=Path, default=WORK, help="where the runs lie")
    parser.add_argument("--full", action="store_true", help="train the recipes' own lengths")
    parser.add_argument("--no-training", action="store_true", help="write of what is there")
    parser.add_argument("--write-minutes", action="store_true", help="time the recipes instead")
    parser.add_argument("--time", type=float, default=8.0, help="seconds a recipe is timed for")
    wanted = parser.parse_args()
    if wanted.write_minutes:
        for name in recipes.names():
            if name.startswith(wanted.only):
                write_minutes(name, wanted.time)
        return
    names = [name for name in recipes.names() if re.match(r"r\d-", name)]
    jobs = [
        Job.of(name, int(seed), wanted.full, wanted.work)
        for seed in wanted.seeds.split(",")
        for name in names
        if name.startswith(wanted.only)
    ]
    if not wanted.no_training:
        with concurrent.futures.ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            list(pool.map(train_and_evaluate, jobs))
    report_page.write(measure(jobs), wanted.full)
    print(report_page.PAGE)


def train_and_evaluate(job: Job) -> None:
    """Do what is not done yet; a failure is told, and the run is then left out of the page."""
    where = ["--runs-dir", str(job.run.path.parent), "--quiet"]
    words = ["train", "--recipe", job.recipe, *IN_32_BITS, *where]
    words += ["--seed", str(job.config.training.seed)]
    if job.config.data.digit is not None:
        words += ["--digit", str(job.config.data.digit)]
    words += ["--device", "auto"] if job.full else PREVIEW
    if succeeds(words) and not job.is_scored:
        succeeds(["evaluate", job.run.name, *where])


def measure(jobs: list[Job]) -> Results:
    torch.set_num_threads(1)
    results: Results = collections.defaultdict(dict)
    for job in sorted(jobs, key=lambda job: (job.recipe, job.seed)):
        measured = Measured.of(job)
        if measured is None:
            print(f"{job.run.name}: not measured", file=sys.stderr)
        else:
            results[job.recipe][job.seed] = measured
    return results


def write_minutes(name: str, seconds: float) -> None:
    """Train a recipe for some seconds, and write into its file what its own length would take."""
    one_class = name == recipes.ONE_CLASS or name.startswith("r1")
    with tempfile.TemporaryDirectory() as folder:
        words = ["--recipe", name, *(["--digit", str(R1_DIGIT)] if one_class else [])]
        words += ["--max-seconds", str(seconds), "--threads", str(SIDE_BY_SIDE), "--device", "cpu"]
        words += IN_32_BITS
        place = ["--name", "probe", "--runs-dir", folder, "--quiet"]
        subprocess.run([*GANCLI, "train", *words, *place], check=True, capture_output=True)
        status = runs.RunDirectory(Path(folder) / "probe").read_status()
    probe = status["sessions"][-1]
    minutes = status["total_steps"] * probe["step_seconds"] / probe["last_step"] / 60
    path = recipes.FOLDER / f"{name}.toml"
    path.write_text(with_minutes(path.read_text(), minutes))
    config = api.describe(name)
    said = f"{name}: {minutes:.3g} minutes"
    if config.preview_epochs is not None and config.training.epochs is not None:
        preview = 60 * minutes * config.preview_epochs / config.training.epochs
        said += f", preview {preview:.0f} s" + (" TOO LONG" if preview > PREVIEW_SECONDS else "")
    print(said, flush=True)


def with_minutes(recipe: str, minutes: float) -> str:
    """Return a recipe's TOML with the line ``minutes = ...`` last before its tables."""
    head = re.split(r"(?m)^(?=\[)", recipe, maxsplit=1)[0]
    kept = [line for line in head.rstrip().splitlines() if not line.startswith("minutes = ")]
    tables = recipe[len(head) :]
    lines = [*kept, f"minutes = {float(f'{minutes:.2g}'):g}"]
    return "\n".join(lines) + "\n" + (f"\n{tables}" if tables else "")


if __name__ == "__main__":
    main()
