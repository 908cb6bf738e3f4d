"""Measure the default recipes on the test split, and write docs/default-recipe.md.

    python bench/default_recipe.py RUNS_DIR               # all of it: a night on two cores
    python bench/default_recipe.py RUNS_DIR --only clock  # on a machine that does nothing else
    python bench/default_recipe.py RUNS_DIR --only digit  # the parts whose names begin so
    python bench/default_recipe.py RUNS_DIR --no-training # the page, of what is there

Runs are trained two at a time, one thread each, but for those by the clock and of StackedMNIST,
which come last and alone, as a user would train them. What is finished is not done again. The last
average of G is scored; no checkpoint is picked. RUNS_DIR/search may hold the runs of
bench/search.py, whose tables then stand on the page as well.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import default_recipe_page
import search
import side_by_side
import torch
import windows
from PIL import Image
from second_judge import second_judge

from gancli import api, checkpoints, data, doctor, files, sampling, scoring
from gancli.config import RunConfig
from gancli.data import DataSplits
from gancli.metrics import score_stacked
from gancli.metrics.judge import Appointed
from gancli.metrics.scores import Figure, copying_figures, score
from gancli.metrics.usefulness import score_usefulness
from gancli.runs import RunDirectory

FEW = 500
SEEDS = range(5)
# None that the search has seen.
FRESH_SEEDS = range(10, 15)
LONG = 10
# What was tried for few images before they were bent: moved as all others are that are shown often,
# three seeds, and of other changes one.
MOVED = "moved by up to a tenth"
FEW_TRIED: dict[str, dict[str, Any]] = {
    MOVED: {},
    "not moved": {"discriminator.shift": 0.0},
    "moved by up to a fifth": {"discriminator.shift": 0.2},
    "dropout in D": {
        "discriminator.layers": [
            *("conv 16 4 stride=2", "leaky_relu 0.2", "conv 48 4 stride=2", "leaky_relu 0.2"),
            *("flatten", "dense 128", "leaky_relu 0.2", "dropout 0.3", "dense 1"),
        ]
    },
    "penalties ten times": {"loss.r1": 3.0, "loss.r2": 3.0},
    "half as long": {"training.steps": 1_150},
    "half as long again": {"training.steps": 3_450},
}
# What the search found nearer, by which it takes two cores as long as the recipe.
LEFT_STEPS = 2_900
# About an hour of two cores.
STACKED_EPOCHS = 44
# What is trained alone, on as many threads as serve it.
ALONE = ("clock", "stacked")
# Three to seven minutes of one core each, and the default at its own length.
RACE_STEPS = {"digit": None, "r2-6-final": 3_000, "r4-base": 9_000, "r5-base": 130}
RACE_STEPS |= {"peer-dcgan": 2_500}


@dataclasses.dataclass(frozen=True)
class Job:
    """One training, and what is measured of it.

    Attributes:
        part: of the page.
        recipe: the recipe.
        digit: None for all.
        seed: of the run.
        settings: besides the recipe's.
        tried: what they come to, where that is not what the recipe does.
    """

    part: str
    recipe: str
    digit: int | None
    seed: int
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    tried: str = ""

    @property
    def name(self) -> str:
        """The run's."""
        which = "" if self.digit is None else f"-digit-{self.digit}"
        tried = f"-{self.tried.replace(' ', '-')}" if self.tried else ""
        return f"{self.part}-{self.recipe}{which}{tried}-seed-{self.seed}"

    def config(self, folder: Path) -> RunConfig:
        """Return what is trained."""
        few = self.part in ("few", "tried")
        return api.describe(
            self.recipe,
            digit=None if few else self.digit,
            data=few_images(self.digit, folder) if few else None,
            seed=self.seed,
            settings={"training.threads": "auto" if self.part in ALONE else 1, **self.settings},
        )

    def found(self, folder: Path) -> dict[str, Any] | None:
        """Return its figures, once it is scored."""
        found = side_by_side.found(folder / self.name, self.config(folder))
        return None if found and self.part == "long" and "best" not in found else found


def jobs() -> list[Job]:
    """Return every training of the page, seed after seed."""
    raced = {
        name: {} if steps is None else {"training.steps": steps}
        for name, steps in RACE_STEPS.items()
    }
    steps = api.describe("digit").training.steps
    assert steps is not None
    before = search.variants_of("digit-at-first")["shorter"]["settings"]
    moved = {"data.elastic": 0.0, "discriminator.shift": 0.1}
    left = search.variants_of("digit")["deeper-batch-32"]["settings"]
    left = {**left, "training.steps": LEFT_STEPS}
    return [
        *(Job("digit", "digit", digit, seed) for seed in SEEDS for digit in range(10)),
        *(Job("left", "digit", digit, seed, left) for seed in FRESH_SEEDS for digit in range(10)),
        *(Job("before", "digit", digit, seed, before) for seed in SEEDS for digit in range(10)),
        *(Job("all", "digits", None, seed) for seed in SEEDS),
        *(Job("few", "digit", digit, seed) for seed in range(3) for digit in (7, 2, 8)),
        *(
            Job("tried", "digit", digit, seed, {**moved, **changed}, tried)
            for tried, changed in FEW_TRIED.items()
            for seed in range(3 if tried == MOVED else 1)
            for digit in (7, 2, 8)
        ),
        *(Job("race", name, 7, 0, changed) for name, changed in raced.items()),
        *(Job("long", "digit", n, 0, {"training.steps": LONG * steps}) for n in (7, 2, 8)),
        Job("stacked", "stacked-mnist", None, 0, {"training.epochs": STACKED_EPOCHS}),
        *(Job("clock", "digit", 7, seed) for seed in SEEDS),
        Job("clock", "digits", None, 0),
    ]


def train_by_the_clock(job: Job, folder: Path) -> None:
    """Train as a user does, by a command that chooses threads itself, and keep how long it took."""
    which = [] if job.digit is None else ["--digit", job.digit]
    place = ["--runs-dir", folder, "--name", job.name, "--force", "--quiet", "--device", "cpu"]
    words = [sys.executable, "-m", "gancli", "train", *which, "--seed", job.seed, *place]
    seconds = windows.run(list(map(str, words))).seconds
    run = RunDirectory(folder / job.name)
    found = {"seconds": seconds, "steps": run.read_status()["step"]}
    side_by_side.keep(run.path, {**found, **clocked(run)})


def clocked(run: RunDirectory) -> dict[str, Any]:
    """Return the seconds that a run spent in steps, and in what way."""
    training = run.read_config().training
    (session,) = run.read_status()["sessions"]
    way = {"threads": training.threads, "precision": training.precision}
    return {"step_seconds": session["step_seconds"], **way}


def train_and_score(job: Job, folder: Path) -> None:
    torch.set_num_threads(1)
    run, seconds = side_by_side.train_afresh(job.config(folder), folder / job.name)
    trained, diagnosis = sampling.load(run.path), doctor.examine(run)
    found: dict[str, Any] = {
        "seconds": seconds,
        "steps": trained.step,
        "failure": diagnosis.failure.name if diagnosis.failure else None,
        **clocked(run),
    }
    if job.part in ("race", "long"):
        found["history"] = scoring.history(run).as_dict()
    if job.part == "long":
        found["best"] = score_of_best(job, run, found["history"])
    if job.part != "race":
        found |= scores_of(job, trained, folder)
    side_by_side.keep(run.path, found)


def scores_of(job: Job, trained: sampling.Trained, folder: Path) -> dict[str, Any]:
    """Return the figures of the shipped judge, and where digits are judged of the second one."""
    splits = trained.splits() if job.part == "stacked" else data.load("mnist")
    draw = scoring.draw_of(trained, splits)

    def card(splits: DataSplits, appointed: Appointed | None = None) -> dict[str, Any]:
        return figures(score(draw, splits, digit=job.digit, appointed=appointed).figures)

    if job.part == "stacked":
        return {"judge": figures(score_stacked(draw, splits).figures)}
    if job.part in ("few", "tried"):
        assert job.digit is not None and splits.test is not None
        every, real = splits.train.of_class(job.digit), splits.test.of_class(job.digit)
        few, *unseen = (
            every.at(torch.arange(start, start + FEW)) for start in range(0, 6 * FEW, FEW)
        )
        fakes, _ = draw(range(FEW))
        unshown = [copying_figures(fakes, real.images, images, 0)[0] for images in unseen]
        return {
            # By as many fakes as there are training images, and as there are test images.
            "judge": card(dataclasses.replace(splits, train=few)),
            "whole": card(splits),
            "copying_of_unshown": [figures(each)["copying_z"][0] for each in unshown],
        }
    found = {"judge": card(splits)}
    if job.part in ("digit", "before", "all"):
        found["second"] = card(splits, second_judge(folder))
    if job.part == "all":
        found["judge"] |= figures(score_usefulness(draw, splits))
    return found


def figures(found: Iterable[Figure]) -> dict[str, Any]:
    """Return what figures are of fakes and of real images, by their names."""
    return {figure.name: (figure.value, figure.real) for figure in found}


def score_of_best(job: Job, run: RunDirectory, history: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of the kept generator with the least distance, by ten draws.

    Of some twenty that are scored by one draw each, the least is partly so by chance.
    """
    distances = default_recipe_page.figure_of(history, default_recipe_page.DISTANCE)["values"]
    best = distances.index(min(distances))
    trained, splits = sampling.load(checkpoints.snapshots(run.path)[best]), data.load("mnist")
    return figures(score(scoring.draw_of(trained, splits), splits, digit=job.digit).figures)


def few_images(digit: int | None, folder: Path) -> str:
    """Write a digit's first training images as a user's own pictures; return their folder."""
    assert digit is not None
    target = folder / f"images-{digit}"
    if not target.exists():
        with files.atomic_folder(target, lambda _: False) as made:
            for number, image in enumerate(data.load("mnist").train.of_class(digit).images[:FEW]):
                Image.fromarray(image[0].numpy()).save(made / f"{number:04d}.png")
    return str(target)


def main() -> None:
    layout = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("folder", type=Path, metavar="RUNS_DIR")
    parser.add_argument("--only", default="", help="the parts whose names begin so")
    parser.add_argument("--side-by-side", type=int, default=2)
    parser.add_argument("--no-training", action="store_true")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    folder = wanted.folder.resolve()
    if wanted.job:
        job = next(job for job in jobs() if job.name == wanted.job)
        (train_by_the_clock if job.part == "clock" else train_and_score)(job, folder)
        return
    files.make_folder(folder)
    if not wanted.no_training:
        second_judge(folder)
        planned = [job for job in jobs() if job.part.startswith(wanted.only)]
        todo = [job for job in planned if job.found(folder) is None]
        alone = [job for job in todo if job.part in ALONE]
        beside = [job for job in todo if job.part not in ALONE]
        for some, at_a_time in ((beside, wanted.side_by_side), (alone, 1)):
            side_by_side.give([(__file__, folder, "--job", job.name) for job in some], at_a_time)
    measured = [(job, job.found(folder)) for job in jobs()]
    default_recipe_page.write(measured, folder)
    lacking = [job for job, found in measured if found is None]
    if not wanted.no_training and any(job.part.startswith(wanted.only) for job in lacking):
        raise SystemExit("not all of it is measured: see above, and give the command again")


if __name__ == "__main__":
    main()
