"""How many CPU threads to train with: tried out, since load and networks decide, not cores alone.

Small networks lose by more threads, and with a core busy elsewhere all threads wait for the one
that shares it.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence

import torch

from gancli.config import RunConfig
from gancli.cores import thread_counts
from gancli.data import ImageSet
from gancli.errors import TrainingError
from gancli.sampling import from_pixels
from gancli.training.plan import Plan
from gancli.training.state import create
from gancli.training.step import train_step

_ROUNDS = 2
_WINDOW_SECONDS = 0.08
_STEP_SECONDS = 0.02
_SMALL_BATCH = 8
# More threads than another count must gain more than this: less is chance, and cores are shared.
_GAIN = 1.05
_LOOK_SECONDS = 1.0
_SLOW = 0.7
_TRIAL_SECONDS = 0.3
_AGAIN_SECONDS = 60.0


def fastest_threads(config: RunConfig, images: ImageSet, plan: Plan) -> int:
    """Try steps of a run on a throw-away state, and return the fastest thread count.

    Takes less than half a second, on batches as large as that allows, and leaves torch's thread
    count and random numbers anyhow.
    """
    counts = thread_counts()
    if len(counts) == 1:
        return counts[0]
    most_steps = max(1, plan.total_steps // 100)
    done = dict.fromkeys(counts, 0)
    seconds = dict.fromkeys(counts, 0.0)
    try:
        step = _sized_step(config, images)
        for _ in range(_ROUNDS):
            for count in counts:
                if count == 1 or not _crawls(done, seconds, count):
                    torch.set_num_threads(count)
                    made, taken = _window(step, most_steps)
                    done[count] += made
                    seconds[count] += taken
    except TrainingError:  # it will diverge, on however many threads
        return counts[-1]
    return _fastest({count: done[count] / seconds[count] for count in counts})


def _crawls(done: dict[int, int], seconds: dict[int, float], count: int) -> bool:
    """Tell whether a count is known to be far behind one thread: its threads wait for a core."""
    return done[count] > 0 and done[count] / seconds[count] < _SLOW * done[1] / seconds[1]


def _window(step: Callable[[], None], most_steps: int) -> tuple[int, float]:
    """Make steps for a short while, and return how many and in what time.

    The first wakes the threads and does not count, unless it already took too long.
    """
    began = time.perf_counter()
    step()
    woke = time.perf_counter()
    if woke - began > _WINDOW_SECONDS:
        return 1, woke - began
    made, taken = 0, 0.0
    while made < most_steps and taken < _WINDOW_SECONDS:
        step()
        made, taken = made + 1, time.perf_counter() - woke
    return made, taken


def _sized_step(config: RunConfig, images: ImageSet) -> Callable[[], None]:
    """Return a step of training on batches that one thread is done with in a few hundredths."""
    torch.set_num_threads(1)
    step = _step_of(config, images, _SMALL_BATCH)
    step()  # the first one loads what all need
    began = time.perf_counter()
    step()
    each = (time.perf_counter() - began) / _SMALL_BATCH
    fitting = max(_SMALL_BATCH, int(_STEP_SECONDS / each))
    return _step_of(config, images, min(config.training.batch_size, fitting))


def _step_of(config: RunConfig, images: ImageSet, batch_size: int) -> Callable[[], None]:
    batch_size = min(batch_size, len(images))
    own = config.training.generator_batch_size
    training = dataclasses.replace(
        config.training,
        generator_batch_size=own and max(2, own * batch_size // config.training.batch_size),
    )
    config = dataclasses.replace(config, training=training)
    state = create(config, torch.device("cpu"))
    pixels = from_pixels(images.images[:batch_size], config.data.pixel_range)
    labels = (
        images.labels[:batch_size]
        if config.data.conditional and images.labels is not None
        else None
    )
    batches = [(pixels, labels)] * config.training.d_steps

    def step() -> None:
        train_step(state, batches, config, 0.0, look=False)

    return step


def _fastest(rates: dict[int, float]) -> int:
    """Return the smallest count that none beats by more than chance would."""
    best = max(rates.values())
    return min(count for count, rate in rates.items() if rate * _GAIN >= best)


class AdaptiveThreads:
    """Changes the thread count of a training when its steps have become slow, or after a minute.

    Every count is then tried for some tenths of a second of real training. Runs trained so are not
    exact: sums are added up in another order by another number of threads.

    Args:
        counts: the thread counts to choose from; by default those of this machine.
    """

    def __init__(self, counts: Sequence[int] | None = None) -> None:
        self.counts = list(counts or thread_counts())
        self.best_rate = 0.0
        self.rates: dict[int, float] = {}
        self.waiting: list[int] = []
        self.looked = time.perf_counter()
        self._begin()

    def stepped(self) -> None:
        """Take note of a step, and change the thread count if it is time to."""
        self.steps += 1
        now = time.perf_counter()
        taken = now - self.began
        if taken < (_TRIAL_SECONDS if self.rates or self.waiting else _LOOK_SECONDS):
            return
        rate = self.steps / taken
        if self.waiting or self.rates:
            self._try_next(rate)
        elif rate < _SLOW * self.best_rate or now - self.looked > _AGAIN_SECONDS:
            self.waiting = list(self.counts)
            torch.set_num_threads(self.waiting[0])
        else:
            self.best_rate = max(self.best_rate, rate)
        self._begin()

    def _try_next(self, rate: float) -> None:
        self.rates[self.waiting.pop(0)] = rate
        if self.waiting:
            torch.set_num_threads(self.waiting[0])
            return
        chosen = _fastest(self.rates)
        torch.set_num_threads(chosen)
        self.best_rate, self.rates, self.looked = self.rates[chosen], {}, time.perf_counter()

    def _begin(self) -> None:
        self.steps, self.began = 0, time.perf_counter()
