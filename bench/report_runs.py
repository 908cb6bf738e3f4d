"""One run of a report's recipe: where it lies, and all the numbers that its files hold."""

from __future__ import annotations

import dataclasses
import functools
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.nn.functional import normalize

from gancli import api, checkpoints, data, runs, sampling
from gancli.config import RunConfig, differences
from gancli.metrics import judged

R1_DIGIT = 7
SNAPSHOT_SAMPLES = 200

# An epoch of R1, the judge's share then, and the correlation with the mean digit.
Point = tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class Job:
    """One recipe with one seed.

    Attributes:
        recipe: its name.
        seed: one of those asked for; the run's own follows from it.
        full: whether it is trained at its own length, not at its preview.
        config: what the command amounts to.
        run: where it is trained.
    """

    recipe: str
    seed: int
    full: bool
    config: RunConfig
    run: runs.RunDirectory

    @classmethod
    def of(cls, recipe: str, seed: int, full: bool, work: Path) -> Job:
        """Name the run as `gancli train` does."""
        digit = R1_DIGIT if recipe.startswith("r1") else None
        # A recipe that is another but for its seed shares no run with it.
        own = seed + 10 * api.describe(recipe, digit=digit).training.seed
        config = api.describe(recipe, digit=digit, seed=own, preview=not full)
        name = runs.default_name(config, preview=not full)
        return cls(recipe, seed, full, config, runs.new_run(work, name))

    @property
    def is_scored(self) -> bool:
        """Whether the run is finished and its last state was evaluated."""
        if not self.run.exists() or self.run.status() is not runs.Status.FINISHED:
            return False
        if not self.run.scores_path.exists():
            return False
        scored = json.loads(self.run.scores_path.read_text())
        return bool(scored["step"] == self.run.read_status()["step"])


@dataclasses.dataclass(frozen=True)
class Measured:
    """What one run gave.

    Attributes:
        job: the run.
        real: the figures of real images, by name.
        numbers: by name, the figures of the fakes; those of the log's last tenth; the
            recipe's ``minutes``; and what :func:`_log_numbers` and :func:`_curve_numbers` add.
        curve: of R1, a point for each kept generator.
    """

    job: Job
    real: dict[str, float]
    numbers: dict[str, float]
    curve: list[Point]

    @classmethod
    def of(cls, job: Job) -> Measured | None:
        """Read a run's files; None where it was not trained to its end as asked, or not scored."""
        if not job.is_scored or differences(job.run.read_config(), job.config):
            return None
        figures = json.loads(job.run.scores_path.read_text())["figures"]
        curve = _curve(job) if job.recipe.startswith("r1") else []
        numbers = {
            **{figure["name"]: figure["value"] for figure in figures},
            **_log_numbers(job.run.read_log()),
            **_curve_numbers(curve),
            "minutes": job.config.minutes or 0.0,
        }
        return cls(job, {figure["name"]: figure["real"] for figure in figures}, numbers, curve)


# Recipe and seed to what was measured.
Results = dict[str, dict[int, Measured]]


def _log_numbers(log: list[dict[str, Any]]) -> dict[str, float]:
    """Return a log's figures, averaged over its last tenth, and what its losses did on the way."""
    last, quarter = log[-max(len(log) // 10, 1) :], max(len(log) // 4, 1)
    numbers = {key: statistics.fmean(line[key] for line in last) for key in log[-1]}
    losses = {name: [line[name] for line in log] for name in ("d_loss", "g_loss")}
    for name, values in losses.items():
        early, late = statistics.fmean(values[:quarter]), statistics.fmean(values[-quarter:])
        half = values[len(values) // 2 :]
        numbers[f"{name}_rise"] = late - early
        numbers[f"{name}_variation"] = statistics.pstdev(half) / abs(statistics.fmean(half))
    numbers["sudden_drops"] = sum(
        all(values[n] < statistics.fmean(values[:n]) / 2 for values in losses.values())
        for n in range(1, len(log))
    )
    return numbers


def _curve(job: Job) -> list[Point]:
    curve = []
    for path in sorted(checkpoints.snapshots(job.run.path)):
        trained = sampling.load(path)
        images = trained.sample(range(SNAPSHOT_SAMPLES))
        share = (judged(images).probabilities.argmax(dim=1) == R1_DIGIT).double().mean()
        curve.append((trained.epoch, float(share), float((_rows(images) @ _mean_digit()).mean())))
    return curve


@functools.cache
def _mean_digit() -> Tensor:
    images = data.load("mnist").train.of_class(R1_DIGIT).images
    return _rows(images.double().mean(dim=0, keepdim=True))[0]


def _rows(images: Tensor) -> Tensor:
    """Return images as rows of mean 0 and length 1, so that products are correlations."""
    rows = images.double().flatten(1)
    return normalize(rows - rows.mean(dim=1, keepdim=True))


def _curve_numbers(curve: Sequence[Point]) -> dict[str, float]:
    """Return how R1's pictures were early and in the middle, and how far they fell to the end.

    They fall from the best mean of three snapshots in a row, up to epoch 1,300, to the last three.
    """
    numbers = {}
    for name, column in (("share", 1), ("correlation", 2)) if len(curve) > 20 else ():
        values = [(point[0], point[column]) for point in curve]
        smooth = [
            (values[n][0], statistics.fmean(value for _, value in values[n - 1 : n + 2]))
            for n in range(1, len(values) - 1)
        ]
        numbers[f"{name}_early"] = max(value for epoch, value in values if epoch <= 400)
        numbers[f"{name}_middle"] = statistics.fmean(
            value for epoch, value in values if 500 <= epoch <= 1200
        )
        best = max(value for epoch, value in smooth if epoch <= 1300)
        numbers[f"{name}_fall"] = best - smooth[-1][1]
        numbers[f"{name}_last"] = smooth[-1][1]
    return numbers
