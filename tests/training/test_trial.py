"""How a run is computed: tried out at the start, and again while training if that is asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import TinyConfig, TrainRun

from gancli import cores, preparing, session
from gancli.config import RunConfig
from gancli.data import ImageSet
from gancli.observing import Observer
from gancli.preparing import prepare
from gancli.training import trial
from gancli.training.plan import Plan
from gancli.training.trial import AdaptiveThreads, Way, fastest_way

Milliseconds = dict[int, float]


class Machine:
    """A clock that steps move, by what a step takes on torch's present number of threads."""

    def __init__(self, milliseconds: Milliseconds) -> None:
        self.milliseconds, self.now = milliseconds, 0.0

    def perf_counter(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def step(self) -> None:
        self.now += self.milliseconds[torch.get_num_threads()] / 1000


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Milliseconds], Machine]]:
    before = torch.get_num_threads()

    def make(milliseconds: Milliseconds) -> Machine:
        made = Machine(milliseconds)
        monkeypatch.setattr(trial, "time", made)
        monkeypatch.setattr(trial, "thread_counts", lambda: sorted(milliseconds))
        monkeypatch.setattr(trial, "_tried_size", lambda *_: (8, 0.0))
        monkeypatch.setattr(trial, "_step_of", lambda *_: made.step)
        monkeypatch.setattr(preparing, "thread_counts", lambda: sorted(milliseconds))
        return made

    yield make
    torch.set_num_threads(before)


def tried(tiny_config: TinyConfig, counts: Sequence[int], *precisions: str, **keys: Any) -> Way:
    config, splits, plan = prepare(tiny_config({"training.steps": 10_000, **keys}))
    ways = [Way(count, precision) for count in counts for precision in precisions or ("fp32",)]
    return fastest_way(config, splits.train, plan, torch.device("cpu"), ways)


@pytest.mark.parametrize(
    ("milliseconds", "fastest"),
    [
        ({1: 10.0, 2: 6.0}, 2),
        ({1: 10.0, 2: 9.8}, 1),  # hardly faster: the other core is left to others
        ({1: 1.0, 2: 1.5}, 1),
        ({1: 10.0, 2: 6.0, 4: 4.0, 6: 4.5}, 4),
        ({1: 15.0, 2: 600.0}, 1),  # its threads wait for a core that another process has
        ({3: 5.0}, 3),
    ],
)
def test_the_thread_count_that_makes_most_steps_wins(
    tiny_config: TinyConfig,
    machine: Callable[[Milliseconds], Machine],
    milliseconds: Milliseconds,
    fastest: int,
) -> None:
    made = machine(milliseconds)
    assert tried(tiny_config, list(milliseconds), **{"training.steps": 1_000}) == (fastest, "fp32")
    assert made.now < 0.3 * len(milliseconds) + max(milliseconds.values()) / 1000


@pytest.mark.parametrize(
    ("busy_seconds", "steps", "threads", "trials"),
    [
        (0.8, 6_100, 2, 2),  # of one thread, a bit more than a minute
        (60.0, 6_100, 1, 2),
        (0.8, 5_900, 1, 1),
        (0.0, 6_100, 2, 1),
    ],
)
def test_a_long_run_tries_again_before_it_does_with_fewer_threads(
    tiny_config: TinyConfig,
    machine: Callable[[Milliseconds], Machine],
    monkeypatch: pytest.MonkeyPatch,
    busy_seconds: float,
    steps: int,
    threads: int,
    trials: int,
) -> None:
    made = machine({1: 10.0, 2: 6.0})
    slept: list[float] = []
    usual = made.sleep
    monkeypatch.setattr(made, "sleep", lambda seconds: slept.append(seconds) or usual(seconds))

    def step() -> None:
        waits = torch.get_num_threads() == 2 and made.now < busy_seconds
        made.now += 0.05 if waits else made.milliseconds[torch.get_num_threads()] / 1000

    monkeypatch.setattr(trial, "_step_of", lambda *_: step)
    assert tried(tiny_config, [1, 2], **{"training.steps": steps}).threads == threads
    assert len(slept) == trials - 1
    assert made.now < 0.7 * trials + sum(slept)


def test_one_window_that_something_disturbed_decides_nothing(
    tiny_config: TinyConfig,
    machine: Callable[[Milliseconds], Machine],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = machine({1: 10.0, 2: 6.0})
    windows: list[int] = []
    measured = trial._window

    def disturbed(
        step: Callable[[], None], most_steps: int, seconds: float, device: torch.device
    ) -> tuple[int, float]:
        threads = torch.get_num_threads()
        windows.append(threads)
        count, taken = measured(step, most_steps, seconds, device)
        return count, taken * (9 if windows.count(threads) == 4 - threads else 1)

    monkeypatch.setattr(trial, "_window", disturbed)
    assert tried(tiny_config, [1, 2]).threads == 2
    assert windows == [1, 2] * 3
    assert made.now > 0


@pytest.mark.parametrize(("quick", "rounds"), [(0.5, 2), (0.9, 3)])
def test_a_short_run_is_tried_for_a_hundredth_of_its_steps_and_less_where_all_is_clear(
    tiny_config: TinyConfig,
    machine: Callable[[Milliseconds], Machine],
    quick: float,
    rounds: int,
) -> None:
    made = machine({1: 1.0, 2: quick})
    torch.set_num_threads(1)
    assert tried(tiny_config, [1, 2], **{"training.steps": 200}).threads == 2
    first = 1.0 / 1000
    assert made.now == pytest.approx(first + rounds * 3 * (1.0 + quick) / 1000)


def tried_sizes(
    monkeypatch: pytest.MonkeyPatch, milliseconds_an_image: float, and_as_many_any_step: int = 0
) -> list[int]:
    """Let steps take so long by a clock of their own; return the sizes, as they come, of those."""
    clock = Machine({1: milliseconds_an_image, 2: milliseconds_an_image})
    sizes: list[int] = []

    def step_of(config: Any, images: Any, device: Any, size: int) -> Callable[[], None]:
        sizes.append(size)
        return lambda: [clock.step() for _ in range(and_as_many_any_step + size)] and None

    monkeypatch.setattr(trial, "time", clock)
    monkeypatch.setattr(trial, "_step_of", step_of)
    torch.set_num_threads(1)
    return sizes


@pytest.mark.parametrize(
    ("milliseconds_an_image", "and_as_many_any_step", "total_steps", "tried_images"),
    [
        (0.1, 0, 10_000, 128),  # the batch
        (0.6, 0, 10_000, 33),  # what 20 milliseconds suffice for
        (0.6, 10, 10_000, 23),  # the same
        (0.2, 80, 10_000, 19),  # at least a third of what 32 images take is thought to be theirs
        (2.9, 0, 10_000, 32),  # a quarter of the batch
        (2.9, 0, 10, 16),  # what a run of 4 seconds can spare, but not fewer
        (9.0, 0, 10_000, 27),  # what a quarter of a second suffices for
        (40.0, 0, 10_000, 16),  # what a quarter of a second suffices for, but not fewer
    ],
)
def test_what_is_tried_is_as_much_as_a_run_can_spare(
    tiny_config: TinyConfig,
    monkeypatch: pytest.MonkeyPatch,
    milliseconds_an_image: float,
    and_as_many_any_step: int,
    total_steps: int,
    tried_images: int,
) -> None:
    sizes = tried_sizes(monkeypatch, milliseconds_an_image, and_as_many_any_step)
    # By each update of D a batch of that size: what an image costs is of all of them.
    keys = {"training.steps": total_steps, "training.batch_size": 128, "training.d_steps": 3}
    config, splits, plan = prepare(tiny_config({"data.source": "mnist", **keys}))
    size, seconds = trial._tried_size(config, splits.train, plan, torch.device("cpu"))
    assert (size, sizes) == (tried_images, [16, 32])
    taken = (and_as_many_any_step + tried_images) * milliseconds_an_image / 1000
    assert seconds == pytest.approx(taken, rel=0.01)


def test_a_heavy_step_is_tried_on_the_smallest_part_at_once(
    tiny_config: TinyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = tried_sizes(monkeypatch, 1.6)  # 25.6 milliseconds a step of 16
    for batch, expected in ((64, [16]), (65, [16, 32])):
        sizes.clear()
        keys = {"training.steps": 10_000, "training.batch_size": batch}
        config, splits, plan = prepare(tiny_config({"data.source": "mnist", **keys}))
        size, seconds = trial._tried_size(config, splits.train, plan, torch.device("cpu"))
        assert (size, sizes) == (16, expected)
        assert seconds == pytest.approx(0.0256)


@pytest.mark.parametrize(
    ("batch_size", "wanted"),
    [
        (20, [("bf16", 16), ("bf16", 32), ("bf16", 20), ("fp32", 20)]),
        (3, [("bf16", 3), ("bf16", 3), ("fp32", 3)]),  # small ones whole
    ],
)
def test_all_ways_are_tried_on_as_many_images(
    tiny_config: TinyConfig,
    monkeypatch: pytest.MonkeyPatch,
    batch_size: int,
    wanted: list[tuple[str, int]],
) -> None:
    steps: list[tuple[str, int]] = []
    made = trial._step_of

    def step_of(config: RunConfig, images: Any, device: Any, size: int) -> Callable[[], None]:
        steps.append((config.training.precision, size))
        return made(config, images, device, size)

    monkeypatch.setattr(trial, "_step_of", step_of)
    tried(tiny_config, [1, 2], "bf16", "fp32", **{"training.batch_size": batch_size})
    assert steps == wanted


def test_what_a_precision_loads_at_first_does_not_count(
    tiny_config: TinyConfig,
    machine: Callable[[Milliseconds], Machine],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = machine({1: 1.0})

    def step_of(config: RunConfig, *_: Any) -> Callable[[], None]:
        milliseconds = iter([61.0] if config.training.precision == "bf16" else [])
        usual = 15.0 if config.training.precision == "bf16" else 30.0

        def step() -> None:
            made.now += next(milliseconds, usual) / 1000

        return step

    monkeypatch.setattr(trial, "_step_of", step_of)
    assert tried(tiny_config, [1], "fp32", "bf16") == (1, "bf16")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"data.digit": 1, "training.generator_batch_size": 16},
        {"training.batch_size": 1, "training.d_steps": 3},
        {"generator_optimizer.lr": 1e3, "discriminator_optimizer.lr": 1e3},  # diverges at once
    ],
)
def test_every_run_can_be_tried(tiny_config: TinyConfig, changes: dict[str, Any]) -> None:
    found = tried(tiny_config, [1, 2], "fp32", "bf16", **changes)
    assert found in [(count, precision) for count in (1, 2) for precision in ("fp32", "bf16")]
    torch.set_num_threads(1)


def test_a_trial_moves_nothing_in_the_run(
    tiny_config: TinyConfig, train_run: TrainRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def as_one(*arguments: Any) -> Way:
        assert fastest_way(*arguments).threads in (1, 2)
        return Way(1, "fp32")

    monkeypatch.setattr(preparing, "thread_counts", lambda: [1, 2])
    monkeypatch.setattr(preparing, "fastest_way", as_one)
    tried_out = train_run(tiny_config({"training.threads": "auto"}), tmp_path / "auto").run
    told = train_run(tiny_config({"training.threads": 1}), tmp_path / "one").run
    assert tried_out.read_config() == told.read_config()
    (one,), (other,) = (
        sorted(run.path.glob("state-*.safetensors"))[-1:] for run in (tried_out, told)
    )
    assert one.read_bytes() == other.read_bytes()
    assert json.loads(tried_out.status_path.read_text())["exact"] is True


def test_what_was_chosen_is_recorded_and_taken_again(
    tiny_config: TinyConfig, train_run: TrainRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[Sequence[Way]] = []

    def fastest(config: RunConfig, images: ImageSet, plan: Plan, device: Any, ways: Any) -> Way:
        asked.append(ways)
        return Way(1, "bf16")

    monkeypatch.setattr(preparing, "thread_counts", lambda: [1, 2])
    monkeypatch.setattr(preparing, "fastest_way", fastest)
    wanted = tiny_config({"training.threads": "auto", "training.precision": "auto"})
    train_run(wanted, tmp_path / "run", max_seconds=1e-9)
    resumed = train_run(wanted, tmp_path / "run").run
    training = resumed.read_config().training
    assert (training.threads, training.precision) == (1, "bf16")
    every = [(1, "fp32"), (2, "fp32"), (1, "bf16"), (2, "bf16")]
    assert asked == [every, [(1, "bf16")]]  # the second time there is nothing left to choose


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ((100, 156, 150, 140), (2, "fp32")),  # 16 bits are faster on one thread alone
        ((100, 156, 150, 170), (2, "bf16")),
        ((100, 120, 150, 153), (1, "bf16")),
        ((100, 103, 104, 104), (1, "fp32")),
    ],
)
def test_16_bits_are_to_gain_over_32_on_any_number_of_threads(
    tiny_config: TinyConfig,
    monkeypatch: pytest.MonkeyPatch,
    rates: tuple[int, ...],
    expected: tuple[int, str],
) -> None:
    def fastest(*words: Any) -> Way:
        ways: Sequence[Way] = words[-1]
        given = dict(zip([(1, "fp32"), (2, "fp32"), (1, "bf16"), (2, "bf16")], rates, strict=True))
        return trial._fastest({way: float(given[way]) for way in ways})

    monkeypatch.setattr(preparing, "thread_counts", lambda: [1, 2])
    monkeypatch.setattr(preparing, "fastest_way", fastest)
    monkeypatch.setattr(preparing, "multiplies_16_bits", lambda device: True)
    wanted = tiny_config({"training.threads": "auto", "training.precision": "auto"})
    config, splits, plan = prepare(wanted)
    found = preparing.with_way(config, splits.train, plan, torch.device("cpu")).training
    assert (found.threads, found.precision) == expected
    torch.set_num_threads(1)


def test_more_threads_than_cores_are_warned_of_once(
    tiny_config: TinyConfig, train_run: TrainRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[str] = []

    class Listening(Observer):
        def warned(self, message: str) -> None:
            warnings.append(message)

    monkeypatch.setattr(session, "usable_cores", lambda: [0])
    for threads in (1, 2):
        wanted = tiny_config({"training.threads": threads})
        for seconds in (1e-9, None):  # the second goes on
            place = tmp_path / str(threads)
            train_run(wanted, place, observer=Listening(), max_seconds=seconds)
    words = "2 threads share 1 core and wait for each other; give --threads auto, or fewer"
    assert warnings == [words]


def steps(adaptive: AdaptiveThreads, machine: Machine, seconds: float) -> list[int]:
    """Train for some seconds, and return the thread counts on the way."""
    counts, end = [torch.get_num_threads()], machine.now + seconds
    while machine.now < end:
        machine.step()
        adaptive.stepped()
        if torch.get_num_threads() != counts[-1]:
            counts.append(torch.get_num_threads())
    return counts


def test_threads_adapt_when_a_core_is_taken_and_given_back(
    machine: Callable[[Milliseconds], Machine],
) -> None:
    made = machine({1: 10.0, 2: 6.0})
    torch.set_num_threads(2)
    adaptive = AdaptiveThreads()
    assert steps(adaptive, made, 20) == [2]  # nothing happened, nothing is tried
    made.milliseconds = {1: 10.0, 2: 300.0}
    assert steps(adaptive, made, 10) == [2, 1, 2, 1]
    made.milliseconds = {1: 10.0, 2: 6.0}
    assert steps(adaptive, made, 70)[-1] == 2  # it looks again after a minute


def test_an_adaptive_run_says_that_it_is_not_exact(
    tiny_config: TinyConfig, train_run: TrainRun, tmp_path: Path
) -> None:
    run = train_run(tiny_config({"training.threads": "adaptive"}), tmp_path / "run").run
    assert json.loads(run.status_path.read_text())["exact"] is False
    assert run.read_config().training.threads == "adaptive"
    torch.set_num_threads(1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system cannot pin")
def test_a_process_keeps_to_its_core() -> None:
    core = cores.usable_cores()[-1]
    show = "print(cores.usable_cores(), cores.thread_counts())"
    script = f"from gancli import cores; cores.keep_to([{core}]); {show}"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"[{core}] [1]\n"


def test_processes_share_out_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "usable_cores", lambda: [0, 2, 4, 6, 8])
    assert cores.shares(1) == [[0, 2, 4, 6, 8]]
    assert cores.shares(2) == [[0, 2], [4, 6, 8]]
    assert cores.shares(5) == [[0], [2], [4], [6], [8]]
    assert cores.shares(6) == []


def test_counts_go_up_to_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {}
    for count in (1, 2, 3, 6, 8, 64):
        monkeypatch.setattr(cores, "usable_cores", lambda count=count: list(range(count)))
        found[count] = cores.thread_counts()
    assert found == {
        1: [1],
        2: [1, 2],
        3: [1, 2, 3],
        6: [1, 2, 4, 6],
        8: [1, 2, 4, 8],
        64: [1, 2, 4, 8],
    }


def test_an_accelerator_is_waited_for_and_tried_with_whole_batches(
    tiny_config: TinyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on an accelerator: a step takes no time, and the wait after it all that it costs."""
    clock = Machine({1: 0.0})
    sizes: list[int] = []
    queued = 0.0

    def step_of(config: RunConfig, *rest: Any) -> Callable[[], None]:
        sizes.append(rest[-1])

        def step() -> None:
            nonlocal queued
            queued += {"fp32": 0.004, "bf16": 0.002}[config.training.precision]
            clock.now += 0.001

        return step

    def synchronize() -> None:
        nonlocal queued
        clock.now, queued = clock.now + queued, 0.0

    monkeypatch.setattr(trial, "time", clock)
    monkeypatch.setattr(trial, "_step_of", step_of)
    monkeypatch.setattr(torch.accelerator, "synchronize", synchronize)
    config, splits, plan = prepare(tiny_config({"training.steps": 10_000}))
    ways = [Way(1, "fp32"), Way(1, "bf16")]
    found = fastest_way(config, splits.train, plan, torch.device("cuda"), ways)
    assert found == (1, "bf16")
    assert sizes == [config.training.batch_size] * 2


def test_a_gpu_that_only_imitates_16_bits_is_not_tried_with_them(
    tiny_config: TinyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, splits, plan = prepare(tiny_config({"training.precision": "auto"}))
    tried: list[Way] = []

    def fastest(*words: Any) -> Way:
        tried.extend(words[-1])
        return words[-1][-1]  # type: ignore[no-any-return]

    monkeypatch.setattr(preparing, "fastest_way", fastest)
    for able, expected in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda able=able, **_: able)
        found = preparing.with_way(config, splits.train, plan, torch.device("cuda"))
        assert found.training.precision == expected
    assert tried == [(1, "fp32"), (1, "bf16"), (1, "fp32")]
