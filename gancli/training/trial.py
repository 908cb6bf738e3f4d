"""How many CPU threads to train with, and how exactly to compute: what is faster is tried out.

Small networks lose by more threads, and with a core busy elsewhere all threads wait for the one
that shares it. Numbers of 16 bits help where the processor multiplies them at once, and hold up
where it does not.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import torch

from gancli.config import RunConfig
from gancli.cores import thread_counts
from gancli.data import ImageSet
from gancli.errors import TrainingError
from gancli.sampling import from_pixels
from gancli.training.plan import Plan
from gancli.training.state import create
from gancli.training.step import train_step

_ROUNDS = 3
_WINDOW_SECONDS = 0.06
_STEP_SECONDS = 0.02
_SMALL_BATCH = 16
# Of a batch that takes one thread far longer than a step of a trial should, so much is tried, for a
# few steps, if the run is long enough not to mind: a smaller part may favour fewer threads.
_LARGEST_PART = 1 / 4
_LONGEST_STEP_SECONDS = 0.25
_STEPS_OF_A_RUN = 2_400
_LEAST_STEPS = 2
# By then an accelerator has chosen its kernels for batches of the size; a CPU has after one.
_STEPS_TO_WARM = 3
# More threads than another count must gain more than this: less is chance, and cores are shared.
_GAIN = 1.05
_CLEAR = 1.15
_LOOK_SECONDS = 1.0
_SLOW = 0.7
_TRIAL_SECONDS = 0.3
_AGAIN_SECONDS = 60.0
# So long a run is worth a second trial before it does with fewer threads than there are cores for:
# what keeps a core busy for a second, after an installation say, would cost it half a minute.
_LONG_RUN_SECONDS = 60.0
_PAUSE_SECONDS = 1.0


class Way(NamedTuple):
    """One way to compute a run: how many CPU threads, and ``fp32`` or ``bf16``."""

    threads: int
    precision: str


def fastest_way(
    config: RunConfig, images: ImageSet, plan: Plan, device: torch.device, ways: Sequence[Way]
) -> Way:
    """Try steps of a run on a throw-away state, and return the way that makes most of them.

    Takes some tenths of a second, on batches as large as that allows (of a long run with heavy
    steps some seconds, on a quarter of a batch at most), and leaves torch's thread count and random
    numbers anyhow. Where fewer than the most threads win, a run of a minute or more tries again
    after a second, and that counts: what slowed the others may have passed.

    Args:
        config: the run's.
        images: what it learns from.
        plan: its calendar; a short run is tried for a hundredth of its steps.
        device: where it is trained.
        ways: in order of preference: a later one must gain more than chance would.
    """
    if len(ways) == 1:
        return ways[0]
    most_steps = max(1, plan.total_steps // 100)
    try:
        first = _with_precision(config, ways[0].precision)
        # One size for all: what counts is steps, which compare on as many images alone.
        size, step_seconds = _tried_size(first, images, plan, device)
        window_seconds = max(_WINDOW_SECONDS, _LEAST_STEPS * step_seconds)
        steps = {
            precision: _step_of(_with_precision(config, precision), images, device, size)
            for precision in dict.fromkeys(way.precision for way in ways)
        }
        for step in steps.values():
            for _ in range(1 if device.type == "cpu" else _STEPS_TO_WARM):
                step()

        def window(way: Way) -> float:
            torch.set_num_threads(way.threads)
            made, taken = _window(steps[way.precision], most_steps, window_seconds, device)
            return made / taken

        found, rate = _trial(ways, window)
        fewer = found.threads < max(way.threads for way in ways)
        if fewer and plan.total_steps > _LONG_RUN_SECONDS * rate:
            time.sleep(_PAUSE_SECONDS)
            found, _ = _trial(ways, window)
    except TrainingError:  # it will diverge, in whatever way
        return ways[0]
    return found


def _trial(ways: Sequence[Way], window: Callable[[Way], float]) -> tuple[Way, float]:
    """Return the way that makes most steps a second in windows of time, and how many."""
    rates: dict[Way, list[float]] = {way: [] for way in ways}
    for _ in range(_ROUNDS):
        for way in ways:
            if way == ways[0] or not _crawls(rates[way], rates[ways[0]]):
                rates[way].append(window(way))
        if _settled(list(rates.values())):
            break
    # One window in three may have met something else that the machine did.
    medians = {way: statistics.median(found) for way, found in rates.items()}
    found = _fastest(medians)
    return found, medians[found]


def _with_precision(config: RunConfig, precision: str) -> RunConfig:
    training = dataclasses.replace(config.training, precision=precision)
    return dataclasses.replace(config, training=training)


def _crawls(rates: list[float], first: list[float]) -> bool:
    """Tell whether a way is known to be far behind the first: its threads wait for a core, say."""
    return bool(rates) and max(rates) < _SLOW * min(first)


def _settled(rates: Sequence[list[float]]) -> bool:
    """Tell whether one way was the fastest in two windows, at its worst against others' best."""
    best = max(rates, key=statistics.median)
    others = [max(found) for found in rates if found is not best]
    return len(best) > 1 and min(best) > _CLEAR * max(others)


def _window(
    step: Callable[[], None], most_steps: int, seconds: float, device: torch.device
) -> tuple[int, float]:
    """Make steps for a short while, and return how many and in what time.

    The first wakes the threads and does not count, unless it already took too long.
    """
    began = time.perf_counter()
    step()
    _wait_for(device)
    woke = time.perf_counter()
    if woke - began > seconds:
        return 1, woke - began
    made = 0
    while made < most_steps and time.perf_counter() - woke < seconds:
        step()
        made += 1
    _wait_for(device)
    return made, time.perf_counter() - woke


def _wait_for(device: torch.device) -> None:
    """Wait until an accelerator has done what it was given: steps only give it work."""
    if device.type != "cpu":
        torch.accelerator.synchronize()


def _tried_size(
    config: RunConfig, images: ImageSet, plan: Plan, device: torch.device
) -> tuple[int, float]:
    """Return how many images a step is tried on, and what that takes one thread, in seconds.

    On an accelerator batches are whole, for of smaller ones launching would be timed, and the time
    is that of any window, 0.
    """
    if device.type != "cpu":
        return config.training.batch_size, 0.0
    torch.set_num_threads(1)
    batch = config.training.batch_size
    if batch <= _SMALL_BATCH:
        return batch, _step_seconds(config, images, device, batch)
    small = _step_seconds(config, images, device, _SMALL_BATCH)
    if small >= _STEP_SECONDS and _LARGEST_PART * batch <= _SMALL_BATCH:
        return _SMALL_BATCH, small  # no more would be tried, whatever else costs
    each, fixed = _costs(small, _step_seconds(config, images, device, 2 * _SMALL_BATCH))
    run_seconds = (fixed + each * batch) * plan.total_steps
    seconds = min(
        _LARGEST_PART * each * batch, run_seconds / _STEPS_OF_A_RUN, _LONGEST_STEP_SECONDS
    )
    fitting = int((max(_STEP_SECONDS, seconds) - fixed) / each)
    tried = min(batch, max(_SMALL_BATCH, fitting))
    return tried, fixed + each * tried


def _costs(small: float, twice: float) -> tuple[float, float]:
    """Return the seconds that an image of a batch costs a step, and those that any step does.

    Args:
        small: what a step takes on a small batch.
        twice: what it takes on one of twice the size.
    """
    # What disturbed the smaller one is not to make images look free.
    each = max(twice - small, twice / 6) / _SMALL_BATCH
    return each, max(0.0, small - each * _SMALL_BATCH)


def _step_seconds(
    config: RunConfig, images: ImageSet, device: torch.device, batch_size: int
) -> float:
    step = _step_of(config, images, device, batch_size)
    step()  # the first one loads what all need
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def _step_of(
    config: RunConfig, images: ImageSet, device: torch.device, batch_size: int
) -> Callable[[], None]:
    batch_size = min(batch_size, len(images))
    own = config.training.generator_batch_size
    training = dataclasses.replace(
        config.training,
        generator_batch_size=own and max(2, own * batch_size // config.training.batch_size),
    )
    config = dataclasses.replace(config, training=training)
    state = create(config, device)
    pixels = from_pixels(images.images[:batch_size].to(device), config.data.pixel_range)
    labels = (
        images.labels[:batch_size].to(device)
        if config.data.conditional and images.labels is not None
        else None
    )
    batches = [(pixels, labels)] * config.training.d_steps

    def step() -> None:
        train_step(state, batches, config, 0.0, look=False)

    return step


_Key = TypeVar("_Key", int, Way)


def _fastest(rates: dict[_Key, float]) -> _Key:
    """Return the first that none beats by more than chance would."""
    best = max(rates.values())
    return next(key for key, rate in rates.items() if rate * _GAIN >= best)


class AdaptiveThreads:
    """Changes the thread count of a training when its steps have become slow, or after a minute.

    Every count is then tried for some tenths of a second of real training. Runs trained so are not
    exact: sums are added up in another order by another number of threads.
    """

    def __init__(self) -> None:
        self.counts = thread_counts()
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
