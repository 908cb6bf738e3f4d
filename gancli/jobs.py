"""Several runs: one after the other, or side by side in worker processes.

A worker imports torch once and trains run after run. One run that fails, or a worker that dies,
leaves the others alone. Parent and workers exchange plain data only.
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from gancli import memory, ranks, runs
from gancli.config import STACKED_SOURCE, RunConfig, differences, from_table
from gancli.cores import keep_to, shares
from gancli.errors import ConfigError, GancliError, Interrupted, TrainingError
from gancli.observing import Observer
from gancli.placement import Outcome, Placement
from gancli.runs import RunDirectory
from gancli.stopping import (
    asked_to_leave,
    expect_echoes,
    gentle_stop,
    last_heard,
    leave_on_signals,
    let_signals_in,
    signals_held_back,
    stop_silently,
)

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

    from gancli.training.plan import Plan


# What to do with a run whose log shows that it fails.
ON_FAILURE = ("warn", "stop", "reseed")
MOST_RESEEDS = 3


@dataclasses.dataclass(frozen=True)
class Job:
    """A run to be trained: what, where, and for how long.

    ``placement.on_failure`` is one of :data:`ON_FAILURE`; ``reseed`` starts again with the next
    seed, at most :data:`MOST_RESEEDS` times.
    """

    config: RunConfig
    placement: Placement

    @property
    def run(self) -> RunDirectory:
        """The directory of its run."""
        return self.placement.run

    def settled(self) -> Job:
        """Return the job with the seed that its run has come to by failures with those before.

        Raises:
            CheckpointError: the run there is damaged.
        """
        place = self.placement
        if place.on_failure != "reseed" or not place.resumes:
            return self
        kept = self.run.read_config()
        tried = kept.training.seed - self.config.training.seed
        if set(differences(kept, self.config)) != {"training.seed"} or tried > MOST_RESEEDS:
            return self
        return self.reseeded(tried) if tried > 0 else self

    def reseeded(self, by: int) -> Job:
        """Return the job with a seed that is larger."""
        training = self.config.training
        changed = dataclasses.replace(training, seed=training.seed + by)
        return dataclasses.replace(self, config=dataclasses.replace(self.config, training=changed))

    def is_finished(self) -> bool:
        """Tell, without torch, whether this very run lies there finished.

        Raises:
            ConflictError: a run with another config lies there.
            CheckpointError: the run there is damaged.
        """
        if not self.placement.resumes:
            return False
        runs.check_identity(self.run, self.settled().config)
        return self.run.status() is runs.Status.FINISHED


@dataclasses.dataclass(frozen=True)
class Result:
    """How a job ended.

    Attributes:
        run: its run.
        exit_code: 0, or what the command would exit with for this run alone.
        message: what went wrong, or what a signal left of it; empty when nothing did.
        outcome: the session's figures as plain data; None if there was none.
    """

    run: RunDirectory
    exit_code: int
    message: str = ""
    outcome: dict[str, Any] | None = None

    @property
    def status(self) -> str:
        """Where the run stands now; what a signal ended or kept from its turn has not failed."""
        if self.outcome is not None:
            return str(self.outcome["status"])
        return self.message if self.exit_code > 128 else runs.Status.FAILED


# Called with a run's name, the kind of event, and what there is to say of it: a run "ended" with
# its Result.
Listener = Callable[[str, str, Any], None]


def train_one(job: Job, observer: Observer) -> Outcome:
    """Train one job in this process; errors are :func:`gancli.session.train`'s."""
    reseeds = job.placement.on_failure == "reseed"
    if reseeds and ranks.here().size > 1:
        raise ConfigError(
            "--on-failure reseed starts a run again, which several processes cannot; take stop, "
            "or train with one process"
        )
    _unpack_while_torch_loads(job.config)
    from gancli import session  # noqa: PLC0415 - imports torch

    first_seed, job = job.config.training.seed, job.settled()
    began, limit = time.monotonic(), job.placement.max_seconds
    while True:
        try:
            return session.train(job.config, job.placement, observer)
        except TrainingError as error:
            seed = job.config.training.seed + 1
            if not reseeds or seed > first_seed + MOST_RESEEDS or last_heard() is not None:
                raise
            observer.warned(f"{error}; starting again with seed {seed}")
        left = None if limit is None else max(0.0, limit - (time.monotonic() - began))
        afresh = dataclasses.replace(job.placement, force=True, max_seconds=left)
        job = dataclasses.replace(job.reseeded(1), placement=afresh)


def outcome_as_dict(outcome: Outcome) -> dict[str, Any]:
    """Return how a session ended as plain data."""
    return {
        "run": outcome.run.name,
        "path": str(outcome.run.path),
        "status": str(outcome.status),
        "step": outcome.step,
        "total_steps": outcome.total_steps,
        "seconds": round(outcome.seconds, 3),
        "step_seconds": round(outcome.step_seconds, 3),
        "images_per_second": round(outcome.images_per_second, 1),
        "signal": outcome.signal_number,
    }


def _unpack_while_torch_loads(config: RunConfig) -> None:
    """Begin to read the embedded data, which takes a fifth of a second, where a run needs them."""
    if config.data.source in ("mnist", STACKED_SOURCE) and "torch" not in sys.modules:
        from gancli.idx import EMBEDDED_MNIST, read_ahead  # noqa: PLC0415 - imports NumPy

        read_ahead(EMBEDDED_MNIST.glob("*.gz"))


def train_here(job: Job, observer: Observer) -> Result:
    """Train one job in this process, with a result instead of an error."""
    try:
        outcome = train_one(job, observer)
    except GancliError as error:
        return Result(job.run, error.exit_code, str(error))
    exit_code = 128 + outcome.signal_number if outcome.signal_number else 0
    return Result(job.run, exit_code, outcome=outcome_as_dict(outcome))


def train_many(jobs: Sequence[Job], processes: int, listen: Listener) -> list[Result]:
    """Train jobs in worker processes, and return their results in the order of the jobs.

    A stop signal is passed on to the workers, which save and end; jobs not begun then count as
    interrupted. A worker that dies takes its job with it (exit code 1) and is replaced.
    """
    waiting = list(enumerate(jobs))
    own = _own_cores(jobs, processes)
    results: dict[int, Result] = {}
    workers: list[_Worker] = []
    with gentle_stop(lambda number: [worker.kill(number) for worker in workers]) as stop:
        try:
            while waiting or any(worker.busy for worker in workers):
                workers = [worker for worker in workers if worker.alive]
                if stop.signal_number is not None:
                    code = 128 + stop.signal_number
                    results |= {index: Result(job.run, code, "not begun") for index, job in waiting}
                    waiting = []
                    for worker in workers:
                        if not worker.stopped_by:  # it was being born when the signal came
                            worker.kill(stop.signal_number)
                while waiting and len(workers) < processes:
                    taken = [worker.cores for worker in workers]
                    free = [cores for cores in own if cores not in taken]
                    workers.append(_Worker(free[0] if free else []))
                for worker in workers:
                    if waiting and not worker.busy:
                        worker.give(*waiting.pop(0))
                busy = [worker for worker in workers if worker.busy]
                ready = multiprocessing.connection.wait([worker.pipe for worker in busy], 0.2)
                for worker in busy:
                    if worker.pipe in ready:
                        index, result = worker.receive(listen)
                        if result is not None:
                            results[index] = result
                            listen(result.run.name, "ended", result)
        finally:
            for worker in workers:
                worker.dismiss()
    return [results[index] for index in sorted(results)]


def _own_cores(jobs: Sequence[Job], processes: int) -> list[list[int]]:
    """Return the cores that each process keeps to; nothing where they are too few for a job."""
    asked = [threads for job in jobs if isinstance(threads := _threads_of(job), int)]
    own = shares(processes)
    return own if all(len(cores) >= max(asked, default=1) for cores in own) else []


def _threads_of(job: Job) -> int | str:
    """Return the threads that a job asks for, or those that its run began with."""
    with contextlib.suppress(GancliError):
        if job.placement.resumes:
            return job.run.read_config().training.threads
    return job.config.training.threads


class _Worker:
    """The parent's end of a worker process, which keeps to cores of its own if it has any."""

    def __init__(self, cores: list[int]) -> None:
        self.cores = cores
        context = multiprocessing.get_context("spawn")
        self.pipe, child = context.Pipe()
        self.process: SpawnProcess = context.Process(target=_work, args=(child, cores), daemon=True)
        if os.name == "posix":
            resource_tracker.ensure_running()  # its start would let signals in again
        with signals_held_back():
            self.process.start()
        child.close()
        self.index, self.alive, self.stopped_by = -1, True, 0
        self.job: Job | None = None

    @property
    def busy(self) -> bool:
        return self.job is not None

    def give(self, index: int, job: Job) -> None:
        self.index, self.job = index, job
        with contextlib.suppress(OSError):  # a dead worker is noticed when it is listened to
            # Plain data: no object of ours goes through a pipe.
            place = {**vars(job.placement), "run": str(job.run.path)}
            self.pipe.send((job.config.to_table(), {**place, "command": list(place["command"])}))

    def receive(self, listen: Listener) -> tuple[int, Result | None]:
        """Take one message; return the result when it is the last of a job."""
        assert self.job is not None
        run = self.job.run
        try:
            kind, content = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            self.alive, self.job = False, None
            if self.stopped_by:
                return self.index, Result(run, 128 + self.stopped_by, "interrupted")
            code = self.process.exitcode
            return self.index, Result(
                run, 1, f"its process ended without a word (exit code {code})"
            )
        if kind != "result":
            listen(run.name, kind, content)
            return self.index, None
        self.job = None
        return self.index, Result(run, **content)

    def kill(self, number: int) -> bool:
        """Send a signal; tell whether there was a process to get it."""
        alive = self.process.pid is not None and self.process.is_alive()
        if alive:
            os.kill(self.process.pid or 0, number)
            self.stopped_by = number
        return alive

    def dismiss(self) -> None:
        self.pipe.close()
        self.process.join(timeout=10)
        if self.process.is_alive():
            self.process.kill()


def _work(pipe: Connection, cores: list[int]) -> NoReturn:
    """Train the jobs that come through a pipe until it closes or a signal comes between them.

    The process ends there, without the time that torch takes to unload.
    """
    memory.collect_rarely()
    if cores:
        keep_to(cores)
    if os.name == "posix":
        # In a group of its own a terminal's Ctrl-C reaches a worker once, through the parent.
        os.setpgid(0, 0)
    leave_on_signals()
    stop_silently()  # the parent has said it
    expect_echoes()
    with contextlib.suppress(EOFError, OSError, Interrupted):
        let_signals_in()
        threading.Thread(target=_stop_without_parent, daemon=True).start()
        while True:
            result = _train_received(pipe.recv(), pipe)
            content = {key: getattr(result, key) for key in ("exit_code", "message", "outcome")}
            pipe.send(("result", content))
    os._exit(0)


def _stop_without_parent() -> None:
    """Wait for the parent to end, however it does, and ask this process to stop then."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _train_received(content: tuple[dict[str, Any], dict[str, Any]], pipe: Connection) -> Result:
    table, place = content
    run = RunDirectory(Path(place["run"]))
    job = Job(from_table(table), Placement(**{**place, "run": run}))
    try:
        return train_here(job, _PipeObserver(pipe))
    except Interrupted as error:  # before the first step, or for the second time
        return Result(job.run, error.exit_code, "interrupted")
    except Exception:  # a bug in one run must not end the others; its traceback is the message
        number = asked_to_leave()
        if number is not None:
            return Result(job.run, 128 + number, "interrupted")
        return Result(job.run, 1, traceback.format_exc())


class _PipeObserver(Observer):
    """Tells the parent, if it still lives, what a session does."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe

    def _send(self, kind: str, content: Any) -> None:
        with contextlib.suppress(OSError):
            self.pipe.send((kind, content))

    def started(self, run: RunDirectory, config: RunConfig, plan: Plan, step: int) -> None:
        self._send("started", {"step": step, "total_steps": plan.total_steps})

    def logged(self, record: dict[str, Any]) -> None:
        self._send("logged", record)

    def warned(self, message: str) -> None:
        self._send("warned", message)
