"""Trained generators before the judge, and the verdict into the run directory."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from torch import Tensor

import gancli
from gancli import checkpoints, files
from gancli.config import STACKED_SOURCE
from gancli.data import DataSplits
from gancli.data.synthetic import targets
from gancli.errors import CheckpointError, ConfigError, memory_advice
from gancli.metrics import (
    STACKED_SAMPLES,
    Draw,
    Progress,
    ScoreCard,
    score,
    score_modes,
    score_stacked,
)
from gancli.metrics.judge import Appointed, appoint
from gancli.metrics.memorisation import Pairs
from gancli.metrics.scores import CLOSEST_PAIRS, COURSE_IMAGES, USUAL_SAMPLES, Extent
from gancli.metrics.usefulness import score_usefulness
from gancli.pictures.blocks import Block, draw_blocks, pair
from gancli.pictures.grid import save_png
from gancli.runs import DAMAGE, RunDirectory, parse_json
from gancli.sampling import Trained, load


def evaluate(
    trained: Trained,
    *,
    samples: int | None,
    seed: int = 0,
    judge: Path | None = None,
    quick: bool = False,
    cas: bool = False,
    on_progress: Progress | None = None,
) -> ScoreCard:
    """Score a generator beside held-out real images of the data it was trained on.

    Those of the generator that a run has come to are also written into its directory, and so is a
    picture of the fakes nearest to a training image, where they were looked for.

    Args:
        trained: the generator.
        samples: how many images it draws; None for 10,000, or as many as published figures of
            the data are of, or as there are held-out images to compare them with.
        seed: of the samples and of the choice of real images.
        judge: weights of a judge to be asked instead of the one :func:`appoint` chooses.
        quick: only what the judge says and the Frechet distance in its features.
        cas: also train two classifiers, on fakes and on real images; see
            :mod:`gancli.metrics.usefulness`.
        on_progress: called with the images drawn and the images in all; of ``cas`` also with the
            steps of a training and the steps in all.

    Raises:
        CheckpointError: the judge's weights are missing, damaged, or of other classes.
        ConfigError: the number of samples or the seed is out of range, ``samples`` is too few to
            count modes by, or ``cas`` is asked of a generator without labels.
        DataError: the data are gone or changed, have nothing held out, or ``samples`` is too few.
        StorageError: the scores cannot be written.
    """
    if samples is not None and not 1 <= samples <= 1_000_000:
        raise ConfigError(f"-n {samples} is out of range: it must be 1 to 1,000,000")
    _check_seed(seed)
    if cas:
        _check_labels(trained)
    path = scores_path(trained)
    if path is not None:
        files.need_writable(path.parent)
    splits = trained.splits()
    with memory_advice("score fewer samples (-n)"):
        appointed = _appointed(trained, splits, judge)
        extent: Extent = "quick" if quick else "full"
        card = _card(trained, splits, appointed, samples, seed, extent, on_progress)
        if cas:
            useful = score_usefulness(
                draw_of(trained, splits), splits, seed=seed, on_progress=on_progress
            )
            card = dataclasses.replace(card, figures=(*card.figures, *useful))
    picture = closest_path(trained, card)
    if picture is not None:
        files.make_folder(picture.parent)
        _draw_closest(trained, card, picture)
    if path is not None:
        about = _beside_kept(as_dict(trained, card), path, whole=card.closest is not None)
        files.write_text(path, json.dumps(about, indent=2) + "\n")
    return card


def _beside_kept(about: dict[str, Any], path: Path, *, whole: bool) -> dict[str, Any]:
    """Return a card together with the figures of the same weights that it lacks and a kept one has.

    Of figures that both have, a ``whole`` card has the better ones, and of two others the longer.
    Figures of two judges never stand on one card.
    """
    found = _kept(path, about["step"])
    if found is None:
        return about
    kept, names = found
    ours = {figure["name"] for figure in about["figures"]}
    first, other = (about, kept) if whole or names <= ours else (kept, about)
    if kept.get("judge_sha256") != about["judge_sha256"]:
        return first
    known = ours if first is about else names
    more = [figure for figure in other["figures"] if figure["name"] not in known]
    return {**first, "figures": [*first["figures"], *more]}


def _kept(path: Path, step: int) -> tuple[dict[str, Any], set[str]] | None:
    """Return the card that is kept of a step, and the names of its figures, if it is whole."""
    try:
        card = parse_json(path.read_bytes())
        names = {figure["name"] for figure in card["figures"]}
        return (card, names) if card["step"] == step else None
    except (OSError, *DAMAGE):
        return None


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
    _check_seed(seed)
    paths = checkpoints.snapshots(run.path)
    if not paths:
        raise CheckpointError(
            f"{run.path} has kept no generators (snapshots), so it has no history yet; "
            f"{run.remedy()}"
        )
    files.need_writable(run.history_path.parent)
    first = load(paths[0], device=device)
    splits = first.splits()
    appointed = _appointed(first, splits, judge)
    steps, epochs, cards = [], [], []
    for number, path in enumerate(paths, start=1):
        trained = load(path, device=device)
        steps.append(trained.step)
        epochs.append(trained.epoch)
        cards.append(_card(trained, splits, appointed, COURSE_IMAGES, seed, "course", None))
        if on_progress is not None:
            on_progress(number, len(paths))
    found = History(run, run.history_path, tuple(steps), tuple(epochs), tuple(cards))
    files.write_text(found.path, json.dumps(found.as_dict(), indent=2) + "\n")
    return found


def _check_seed(seed: int) -> None:
    if not 0 <= seed <= 1_000_000:
        raise ConfigError(f"--seed {seed} is out of range: it must be 0 to 1,000,000")


def _appointed(trained: Trained, splits: DataSplits, judge: Path | None) -> Appointed | None:
    """Return who judges generators of some data; None where the data leave no choice."""
    source = trained.config.data.source
    is_stacked = source == STACKED_SOURCE
    if not is_stacked and (targets(source) is None or splits.test is None):
        return appoint(splits, judge)
    if judge is not None:
        raise ConfigError(
            f"--judge: {source} is judged by the digit judge that ships"
            if is_stacked
            else f"--judge: the modes of {source} are known without one"
        )
    return None


def _card(
    trained: Trained,
    splits: DataSplits,
    appointed: Appointed | None,
    samples: int | None,
    seed: int,
    extent: Extent,
    on_progress: Progress | None,
) -> ScoreCard:
    """Score a generator in the way that its data ask for; of made data the extent is always all."""
    wanted, draw = trained.config.data, draw_of(trained, splits)
    made, real = targets(wanted.source, wanted.digit), splits.test
    if made is not None and real is not None:
        if wanted.digit is not None:
            real = real.of_class(wanted.digit)
        count = samples or USUAL_SAMPLES
        return score_modes(draw, made, real, samples=count, seed=seed, on_progress=on_progress)
    if wanted.source == STACKED_SOURCE:
        # Modes of fewer fakes would not compare, at any time of a training.
        count = STACKED_SAMPLES if extent == "course" or samples is None else samples
        return score_stacked(
            draw, splits, samples=count, seed=seed, extent=extent, on_progress=on_progress
        )
    return score(
        draw,
        splits,
        digit=wanted.digit,
        samples=samples,
        seed=seed,
        appointed=appointed,
        extent=extent,
        on_progress=on_progress,
    )


def draw_of(trained: Trained, splits: DataSplits) -> Draw:
    """Return a way to draw fakes to be judged, each class as often as in the training images."""

    def draw(seeds: range) -> tuple[Tensor, Tensor | None]:
        asked = trained.labels_like(splits.train, seeds)
        return trained.sample(seeds, labels=asked), asked

    return draw


def _check_labels(trained: Trained) -> None:
    """Refuse to train a classifier on fakes that nobody can label."""
    wanted = trained.config.data
    if targets(wanted.source) is not None or wanted.source == STACKED_SOURCE:
        raise ConfigError(
            f"--cas: the modes of {wanted.source} are known and counted without a classifier; "
            "leave --cas out"
        )
    if trained.generator.classes:
        return
    if wanted.digit is not None:
        reason = f"{trained.name} draws the digit {wanted.digit} alone; train one without --digit"
    elif wanted.classes:
        reason = f"{trained.name} was trained without labels; train one without --unconditional"
    else:
        reason = (
            f"the data of {trained.name} have no labels; train on data that have, such as pictures "
            "in a subfolder a class"
        )
    raise ConfigError(f"--cas needs a generator that is told which class to draw: {reason}")


def scores_path(trained: Trained) -> Path | None:
    """Return where a generator's scores are kept; None where they are not: of earlier weights."""
    return trained.run.scores_path if trained.run and trained.is_last else None


def kept_at(trained: Trained, card: ScoreCard) -> Path | None:
    """Return where this very card is kept.

    None where no card of the generator is, and of a quick one that says less than the card that is
    kept of the same weights.
    """
    path = scores_path(trained)
    if path is None or card.closest is not None:
        return path
    found = _kept(path, trained.step)
    if found is None:
        return path
    kept, names = found
    ours = {each.name for each in card.figures}
    return None if names > ours or kept.get("judge_sha256") != card.judge_sha256 else path


def closest_path(trained: Trained, card: ScoreCard) -> Path | None:
    """Return where the picture of the closest pairs lies; None where none is kept."""
    if trained.run is None or not trained.is_last or card.closest is None:
        return None
    return trained.run.closest_path


def _draw_closest(trained: Trained, card: ScoreCard, path: Path) -> None:
    assert card.closest is not None
    fakes, real = card.closest
    below = "above the training image nearest to each, and how far it is"
    blocks = [
        _block(
            fakes, f"The {len(fakes.images)} of {fakes.among:,} fakes that come closest, {below}"
        ),
        _block(real, f"The same of {real.among:,} real images that were not trained on"),
    ]
    about = {
        "run": trained.name,
        "step": str(trained.step),
        "distance": "Euclidean, over pixels from 0 to 1",
        "version": gancli.__version__,
    }
    save_png(draw_blocks(blocks).picture(), path, about)


def _block(pairs: Pairs, title: str) -> Block:
    notes = [f"{distance:.2f}" for distance in pairs.distances.tolist()]
    tiles = pair(pairs.images.numpy(), pairs.train.numpy())
    return Block(tiles, CLOSEST_PAIRS, title, notes)


def as_dict(trained: Trained, card: ScoreCard) -> dict[str, Any]:
    """Return a score card with what it is of, fit for JSON."""
    picture = closest_path(trained, card)
    return {
        "run": trained.name,
        "checkpoint": str(trained.checkpoint),
        "step": trained.step,
        "epoch": trained.epoch,
        "version": gancli.__version__,
        "closest_pairs": None if picture is None else str(picture),
        **card.as_dict(),
    }
