"""What falls due at which step: the run's calendar, and its order of the data."""

from __future__ import annotations

import dataclasses
import functools

import torch
from torch import Tensor

from gancli.config import Auto, RunConfig
from gancli.errors import ConfigError
from gancli.training.state import derived_seed

# Of a run of many epochs that decides itself when to draw one.
_ABOUT_FRAMES = 60
# A frame's name tells thousandths of an epoch apart, and no less.
_FRAMES_AN_EPOCH = 1000


@dataclasses.dataclass(frozen=True)
class Plan:
    """The calendar of a run, in steps.

    Attributes:
        images: how many there are to learn from.
        images_per_step: how many of them a step consumes.
        steps_per_epoch: whole steps in an epoch; the rest of its images waits for the next.
        total_steps: the length of the run.
        frame_steps: steps from frame to frame.
        log_steps: steps from log line to log line.
        keep_steps: steps from kept generator to kept generator.
        score_steps: steps from quick score to quick score; None for no scores.
        seed: of the data order.
    """

    images: int
    images_per_step: int
    steps_per_epoch: int
    total_steps: int
    frame_steps: int
    log_steps: int
    keep_steps: int
    score_steps: int | None
    seed: int

    @classmethod
    def of(cls, config: RunConfig, images: int) -> Plan:
        """Make the calendar of a config.

        Raises:
            ConfigError: a batch is larger than the data.
        """
        training, record = config.training, config.record
        per_step = training.batch_size * training.d_steps
        per_epoch = training.images_per_epoch or images
        if per_step > min(per_epoch, images):
            raise ConfigError(
                f"training.batch_size = {training.batch_size} (times d_steps = {training.d_steps}) "
                f"is more than the {min(per_epoch, images)} images of an epoch; lower it: "
                f"--set training.batch_size={max(1, min(per_epoch, images) // training.d_steps)}"
            )
        per_epoch = min(per_epoch, images) // per_step
        total = training.steps or max(1, round((training.epochs or 0) * per_epoch))
        keep = record.keep_every

        def steps(epochs: float | Auto) -> int:
            if epochs == "auto":
                return per_epoch * max(1, round(total / per_epoch / _ABOUT_FRAMES))
            return max(1, round(epochs * per_epoch))

        return cls(
            images,
            per_step,
            per_epoch,
            total,
            max(steps(record.frame_every), -(-per_epoch // _FRAMES_AN_EPOCH)),
            steps(record.log_every),
            max(1, round(total / 20)) if keep == "auto" else steps(keep),
            None if record.score_every is None else steps(record.score_every),
            training.seed,
        )

    def epoch(self, step: int) -> float:
        """Return how many epochs a number of steps is."""
        return step / self.steps_per_epoch

    def due(self, step: int, every: int | None) -> bool:
        """Tell whether something falls due after a step; the last step is due for everything."""
        return every is not None and (step % every == 0 or step == self.total_steps)

    def batch(self, step: int) -> Tensor:
        """Return the indices of the images that a step learns from: int64 [images_per_step].

        Every epoch has an order of its own, or short ones take parts of one that goes through all
        images. It is drawn from the seed and its number alone, so that a resumed run needs no
        memory of it.
        """
        epoch, position = divmod(step, self.steps_per_epoch)
        images_per_epoch = self.steps_per_epoch * self.images_per_step
        number, part = divmod(epoch, self.images // images_per_epoch)
        start = part * images_per_epoch + position * self.images_per_step
        return _order(self.seed, number, self.images)[start : start + self.images_per_step]


@functools.lru_cache(maxsize=2)
def _order(seed: int, number: int, images: int) -> Tensor:
    generator = torch.Generator().manual_seed(derived_seed(seed, f"order {number}"))
    return torch.randperm(images, generator=generator)
