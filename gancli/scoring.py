"""A trained generator before the judge, and the verdict into its run directory."""

from __future__ import annotations

import json
from pathlib import Path

from torch import Tensor

import gancli
from gancli import data, files
from gancli.config import STACKED_SOURCE
from gancli.data.synthetic import targets
from gancli.errors import ConfigError, DataError, memory_advice
from gancli.metrics import (
    STACKED_SAMPLES,
    Progress,
    ScoreCard,
    score,
    score_modes,
    score_stacked,
)
from gancli.metrics.judge import appoint
from gancli.sampling import Trained

USUAL_SAMPLES = 10_000


def evaluate(
    trained: Trained,
    *,
    samples: int | None,
    seed: int = 0,
    judge: Path | None = None,
    quick: bool = False,
    on_progress: Progress | None = None,
) -> ScoreCard:
    """Score a generator beside held-out real images of the data it was trained on.

    The scores are also written into the run directory, if the generator lies in one.

    Args:
        trained: the generator.
        samples: how many images it draws; None for 10,000, or as many as published figures of
            the data are of.
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
    wanted = trained.config.data
    is_stacked = wanted.source == STACKED_SOURCE
    if samples is None:
        samples = STACKED_SAMPLES if is_stacked else USUAL_SAMPLES
    if not 1 <= samples <= 1_000_000:
        raise ConfigError(f"-n {samples} is out of range: it must be 1 to 1,000,000")
    if not 0 <= seed <= 1_000_000:
        raise ConfigError(f"--seed {seed} is out of range: it must be 0 to 1,000,000")
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

    def draw(seeds: range) -> tuple[Tensor, Tensor | None]:
        return trained.sample(seeds), trained.labels(seeds)

    made = targets(wanted.source)
    if judge is not None and is_stacked:
        raise ConfigError(f"--judge: {wanted.source} is judged by the digit judge that ships")
    with memory_advice("score fewer samples (-n)"):
        if made is not None and splits.test is not None:
            if judge is not None:
                raise ConfigError(f"--judge: the modes of {wanted.source} are known without one")
            real = splits.test
            if wanted.digit is not None:
                made, real = made.of_class(wanted.digit), real.of_class(wanted.digit)
            card = score_modes(
                draw, made, real, samples=samples, seed=seed, on_progress=on_progress
            )
        elif is_stacked:
            card = score_stacked(
                draw, splits, samples=samples, seed=seed, quick=quick, on_progress=on_progress
            )
        else:
            card = score(
                draw,
                splits,
                digit=wanted.digit,
                samples=samples,
                seed=seed,
                appointed=appoint(splits, judge),
                quick=quick,
                on_progress=on_progress,
            )
    if trained.run is not None:
        files.write_text(
            trained.run.scores_path, json.dumps(as_dict(trained, card), indent=2) + "\n"
        )
    return card


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
