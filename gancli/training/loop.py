"""The training loop, top to bottom. Drawing, saving and printing are handed in."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gancli import memory
from gancli.config import RunConfig
from gancli.data import ImageSet
from gancli.sampling import from_pixels
from gancli.training.distributed import Team
from gancli.training.plan import Plan
from gancli.training.state import FIGURES, STEP_FIGURES, TrainState
from gancli.training.step import diverged, train_step

# Before every log line a step looks closer, and every so many steps where lines are rarer than
# that: so it costs under 2 % of the time of all.
LOOK_STEPS = 16
# By then a training has held as much memory at once as any of its steps does.
_STEPS_TO_PEAK = 3


@dataclasses.dataclass(frozen=True)
class Hooks:
    """What the loop calls when something falls due.

    Attributes:
        log: the figures since the last line, averaged.
        frame: time for a picture.
        keep: time to keep the generator.
        score: time for a quick score; with the seconds that steps have taken so far.
        save: time for a checkpoint; also on the way out.
        stepped: after every step, with the number of steps done.
        should_stop: asked after every step; a reason ends the loop, None lets it go on.
    """

    log: Callable[[dict[str, Any]], None]
    frame: Callable[[TrainState], None]
    keep: Callable[[TrainState], None]
    score: Callable[[TrainState, float], None]
    save: Callable[[TrainState], None]
    stepped: Callable[[int], None]
    should_stop: Callable[[], str | None]


def train(
    state: TrainState, images: ImageSet, config: RunConfig, plan: Plan, hooks: Hooks
) -> tuple[str | None, float]:
    """Train from where the state is to the end of the plan, or until asked to stop.

    Returns:
        Why it stopped before the end (None when it did not), and the seconds spent in steps.

    Raises:
        TrainingError: a loss or a gradient is no finite number; nothing was saved after the last
            good step.
    """
    device = state.sums.device
    pixels = images.images.to(device)
    labels = None
    if config.data.conditional is True and images.labels is not None:
        labels = images.labels.to(device)
    state.generator.train()
    state.discriminator.train()
    step_seconds, saved_at, reason = 0.0, time.monotonic(), None
    first_step = state.step

    if state.step == 0:
        hooks.frame(state)
        hooks.keep(state)

    while state.step < plan.total_steps and reason is None:
        # Learn from the next images.
        started = time.perf_counter()
        batches = _batches(pixels, labels, plan.batch(state.step), config, state.team)
        logs = plan.due(state.step + 1, plan.log_steps)
        look = logs or (plan.log_steps > LOOK_STEPS and (state.step + 1) % LOOK_STEPS == 0)
        progress = state.step / plan.total_steps
        with state.team.rows():
            figures = train_step(state, batches, config, progress, look=look)
        state.team.average_([figures])
        state.step += 1
        state.sums[: len(figures)].add_(figures)
        state.sums[-2].add_(1)
        state.sums[-1].add_(look)
        line = _log_line(state, plan) if logs else None  # an accelerator is waited for here
        step_seconds += time.perf_counter() - started

        # Write down what falls due, the checkpoint last: it vouches for all before it.
        if line is not None:
            hooks.log(line)
        if plan.due(state.step, plan.frame_steps):
            hooks.frame(state)
        if plan.due(state.step, plan.keep_steps):
            hooks.keep(state)
        if plan.due(state.step, plan.score_steps):
            hooks.score(state, step_seconds)
        hooks.stepped(state.step)
        if state.step == first_step + _STEPS_TO_PEAK:
            memory.keep_freed()
        reason = hooks.should_stop()
        overdue = time.monotonic() - saved_at >= config.record.checkpoint_every_seconds
        if overdue or reason is not None or state.step == plan.total_steps:
            hooks.save(state)
            saved_at = time.monotonic()
    return reason, step_seconds


def _batches(
    pixels: Tensor, labels: Tensor | None, indices: Tensor, config: RunConfig, team: Team
) -> list[tuple[Tensor, Tensor | None]]:
    """Return this process's part of a batch of real images, as networks see them, a D update."""
    if pixels.is_cuda:  # from memory like this, it need not be waited for
        indices = indices.pin_memory()
    here = indices.to(pixels.device, non_blocking=True)
    portions = torch.split(here, config.training.batch_size)
    return [
        (
            from_pixels(pixels.index_select(0, portion), config.data.pixel_range),
            None if labels is None else labels[portion],
        )
        for portion in map(team.part, portions)
    ]


def _log_line(state: TrainState, plan: Plan) -> dict[str, Any]:
    """Average the figures since the last line and start them anew.

    A line holds nothing that depends on the clock, so that equal runs write equal logs.
    """
    *sums, steps, looks = state.sums.tolist()
    for name, total in zip(FIGURES, sums, strict=True):
        if name in ("d_gradient_norm", "g_gradient_norm") and math.isnan(total):
            raise diverged(f"{name} since the line of the log before", total, state.step)
    state.sums.zero_()
    counts = [steps if name in STEP_FIGURES else looks for name in FIGURES]
    return {
        "step": state.step,
        "epoch": plan.epoch(state.step),
        "images": state.step * plan.images_per_step,
        **{name: total / count for name, total, count in zip(FIGURES, sums, counts, strict=True)},
    }
