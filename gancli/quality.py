"""Quick scores while a run trains, the best weights by them, and an end once they stop falling."""

from __future__ import annotations

import time
from typing import Any

from gancli import checkpoints
from gancli.checkpoints import Checkpoint
from gancli.config import RunConfig
from gancli.data import DataSplits, ImageSet
from gancli.data.synthetic import targets
from gancli.metrics.tracking import Tracker
from gancli.runs import RunDirectory
from gancli.sampling import Trained

MOST_OF_THE_TIME = 0.05


def reals(splits: DataSplits) -> ImageSet:
    """Return the real images that scores are against: the holdout, or else the training images."""
    return splits.train if splits.holdout is None else splits.holdout


class QualityLog:
    """The quick scores of one run.

    After a session's first, a score is left out while it would take the scores over 5 % of the
    time that the steps took; not so the run's last, which others are to be held to, nor where
    patience may end the run, which must then end alike on every machine.

    Args:
        run: its directory.
        config: its config.
        splits: what it learns from, the class of it that it draws; scores are against the holdout
            where there is one, else against the training images.
    """

    def __init__(self, run: RunDirectory, config: RunConfig, splits: DataSplits) -> None:
        self.run, self.splits, self.source = run, splits, config.data.source
        self.digit, self.patience = config.data.digit, config.record.patience
        self.records = run.read_quality()
        self.tracker: Tracker | None = None
        self.seconds = self.last_seconds = 0.0

    def score(
        self, trained: Trained, step_seconds: float, *, last: bool = False
    ) -> dict[str, Any] | None:
        """Score a generator, log the score, and keep the weights if none were better.

        Args:
            trained: the generator as it is now.
            step_seconds: what the steps of this session have taken so far.
            last: the run is at its end.

        Returns:
            What was logged, or None where the score was left out or is there from before.

        Raises:
            StorageError: it cannot be written.
        """
        affordable = self.seconds + self.last_seconds <= MOST_OF_THE_TIME * step_seconds
        known = any(record["step"] == trained.step for record in self.records)
        if known or not (affordable or last or self.seconds == 0 or self.patience):
            return None
        began = time.perf_counter()
        tracker = self.tracker = self.tracker or self._new_tracker()
        ready = time.perf_counter()
        seeds = range(tracker.samples)
        labels = trained.labels_like(self.splits.train, seeds)
        score = tracker.distance(trained.sample(seeds, labels=labels))
        record = {
            "step": trained.step,
            "epoch": trained.epoch,
            "score": score,
            "figure": tracker.name,
        }
        # The weights first: a crash between the two leaves a score to be taken again.
        if all(score < before["score"] for before in self.records):
            self._keep(trained)
        self.run.append_quality(record)
        self.records.append(record)
        done = time.perf_counter()
        self.last_seconds = done - ready
        self.seconds += done - began
        return record

    def is_out_of_patience(self, step: int) -> bool:
        """Tell whether so many scores in a row, up to a step, brought nothing better."""
        if self.patience is None:
            return False  # asked after every step
        scores = [record["score"] for record in self.records if record["step"] <= step]
        return bool(scores) and len(scores) - 1 - scores.index(min(scores)) >= self.patience

    def _new_tracker(self) -> Tracker:
        made = targets(self.source, self.digit)
        return Tracker.of(reals(self.splits) if made is None else self.splits.train, made)

    def _keep(self, trained: Trained) -> None:
        checkpoints.save(
            Checkpoint(
                checkpoints.best_path(self.run.path),
                "generator",
                trained.step,
                trained.epoch,
                trained.config,
                trained.data_fingerprint,
                trained.generator.state_dict(),
            )
        )
