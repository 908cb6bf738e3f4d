"""Trained generators before the judge, and the verdict into the run directory."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

import gancli
from gancli import checkpoints, data, files
from gancli.data import DataSplits, ImageSet
from gancli.data.synthetic import Targets, targets
from gancli.errors import CheckpointError, ConfigError, DataError, memory_advice
from gancli.metrics import Draw, Progress, ScoreCard, score, score_modes
from gancli.metrics.judge import Appointed, appoint
from gancli.metrics.scores import COURSE_IMAGES, Extent
from gancli.runs import RunDirectory
from gancli.sampling import Trained, load


def evaluate(
    trained: Trained,
    *,
    samples: int,
    seed: int = 0,
    judge: Path | None = None,
    quick: bool = False,
    on_progress: Progress | None = None,
) -> ScoreCard:
    """Score a generator beside held-out real images of the data it was trained on.

    The scores are also written into the run directory, if the generator lies in one.

    Args:
        trained: the generator.
        samples: how many images it draws.
        seed: of the samples and of the choice of real images.
        judge: weights of a judge to be asked instead of the one :func:`appoint` chooses.
        quick: only what the judge says and the Frechet distance in its features.
        on_progress: called with the images drawn and the images in all.

    Raises:
        CheckpointError: the judge's weights are missing, damaged, or of other classes.
        ConfigError: the number of samples or the seed is out of range.
        DataError: the data are gone or changed, have nothing held out, or ``samples`` is too few.
        StorageError: the scores cannot be written.
    """
    if not 1 <= samples <= 1_000_000:
        raise ConfigError(f"-n {samples} is out of range: it must be 1 to 1,000,000")
    if not 0 <= seed <= 1_000_000:
        raise ConfigError(f"--seed {seed} is out of range: it must be 0 to 1,000,000")
    score_of = _scoring_of(trained, judge)
    with memory_advice("score fewer samples (-n)"):
        card = score_of(trained, samples, seed, "quick" if quick else "full", on_progress)
    if trained.run is not None:
        files.write_text(
            trained.run.scores_path, json.dumps(as_dict(trained, card), indent=2) + "\n"
        )
    return card


@dataclasses.dataclass(frozen=True)
class History:
    """The course of a run's figures.

    Attributes:
        run: the run.
        path: the file that holds all of it.
        steps: of the kept generators, int each, oldest first.
        epochs: the same in epochs.
        cards: a score card each, all of the same figures.
    """

    run: RunDirectory
    path: Path
    steps: tuple[int, ...]
    epochs: tuple[float, ...]
    cards: tuple[ScoreCard, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the figures in order, with their values over the epochs, fit for JSON."""
        figures = []
        for number, last in enumerate(self.cards[-1].figures):
            course = [card.figures[number] for card in self.cards]
            about = dataclasses.asdict(last)
            for part in ("value", "low", "high"):
                about[f"{part}s"] = [getattr(figure, part) for figure in course]
                del about[part]
            figures.append(about)
        return {
            "run": self.run.name,
            "steps": list(self.steps),
            "epochs": list(self.epochs),
            "figures": figures,
            "version": gancli.__version__,
        }


def history(
    run: RunDirectory,
    *,
    seed: int = 0,
    device: str = "cpu",
    judge: Path | None = None,
    on_progress: Progress | None = None,
) -> History:
    """Score every generator that a run has kept, and write ``history.json`` into its directory.

    Args:
        run: the run.
        seed: of the samples and of the choice of real images; the same for every generator.
        device: a torch device that draws the samples.
        judge: as for :func:`evaluate`.
        on_progress: called with the generators scored and the generators in all.

    Raises:
        CheckpointError: the run has kept none, one is damaged, or the judge is.
        ConfigError: the seed is out of range.
        DataError: as :func:`evaluate`.
        StorageError: the file cannot be written.
    """
    if not 0 <= seed <= 1_000_000:
        raise ConfigError(f"--seed {seed} is out of range: it must be 0 to 1,000,000")
    paths = checkpoints.snapshots(run.path)
    if not paths:
        raise CheckpointError(
            f"{run.path} has kept no generators (snapshots), so it has no history yet; train it "
            f"further: gancli train --resume {run.name}"
        )
    score_of = _scoring_of(load(paths[0], device=device), judge)
    steps, epochs, cards = [], [], []
    for number, path in enumerate(paths, start=1):
        trained = load(path, device=device)
        steps.append(trained.step)
        epochs.append(trained.epoch)
        cards.append(score_of(trained, COURSE_IMAGES, seed, "course", None))
        if on_progress is not None:
            on_progress(number, len(paths))
    found = History(run, run.history_path, tuple(steps), tuple(epochs), tuple(cards))
    files.write_text(found.path, json.dumps(found.as_dict(), indent=2) + "\n")
    return found


# What scores a generator: with a number of samples, a seed, an extent and whom to tell.
_Score = Callable[[Trained, int, int, Extent, Progress | None], ScoreCard]


def _scoring_of(trained: Trained, judge: Path | None) -> _Score:
    """Load the data that a generator was trained on, and return what scores generators of them."""
    wanted = trained.config.data
    splits = data.load(
        wanted.source,
        image_size=wanted.image_size,
        channels=wanted.channels,
        holdout=wanted.holdout,
    )
    chosen = splits.train if wanted.digit is None else splits.train.of_class(wanted.digit)
    if chosen.fingerprint() != trained.data_fingerprint:
        raise DataError(
            f"{wanted.source} does not hold the data that {trained.name} was trained on "
            "(the fingerprint differs); put the old data back, or train anew"
        )
    made, real = targets(wanted.source), splits.test
    if made is not None and real is not None:
        if judge is not None:
            raise ConfigError(f"--judge: the modes of {wanted.source} are known without one")
        if wanted.digit is not None:
            made, real = made.of_class(wanted.digit), real.of_class(wanted.digit)
        return functools.partial(_score_made, made, real)
    return functools.partial(_score_images, splits, appoint(splits, judge))


def _score_made(
    made: Targets,
    real: ImageSet,
    trained: Trained,
    samples: int,
    seed: int,
    extent: Extent,  # all of it takes no time
    on_progress: Progress | None,
) -> ScoreCard:
    return score_modes(
        _draw_of(trained), made, real, samples=samples, seed=seed, on_progress=on_progress
    )


def _score_images(
    splits: DataSplits,
    appointed: Appointed,
    trained: Trained,
    samples: int,
    seed: int,
    extent: Extent,
    on_progress: Progress | None,
) -> ScoreCard:
    return score(
        _draw_of(trained),
        splits,
        digit=trained.config.data.digit,
        samples=samples,
        seed=seed,
        appointed=appointed,
        extent=extent,
        on_progress=on_progress,
    )


def _draw_of(trained: Trained) -> Draw:
    def draw(seeds: range) -> tuple[Tensor, Tensor | None]:
        return trained.sample(seeds), trained.labels(seeds)

    return draw


def as_dict(trained: Trained, card: ScoreCard) -> dict[str, object]:
    """Return a score card with what it is of, fit for JSON."""
    return {
        "run": trained.name,
        "checkpoint": str(trained.checkpoint),
        "step": trained.step,
        "epoch": trained.epoch,
        "version": gancli.__version__,
        **card.as_dict(),
    }
