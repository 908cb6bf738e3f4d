"""One session of training a run: prepare, train or resume, and leave everything in order."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import torch

from gancli import data, files, ranks
from gancli.config import RunConfig, from_table
from gancli.cores import thread_counts, usable_cores
from gancli.devices import pick_device
from gancli.errors import (
    ConflictError,
    PeerError,
    StorageError,
    TrainingError,
    UnhealthyError,
    memory_advice,
)
from gancli.observing import Observer
from gancli.placement import Outcome, Placement
from gancli.preparing import prepare, resolve, with_way
from gancli.recording import Recorder
from gancli.runs import RunDirectory, Status, check_identity, check_unclaimed
from gancli.stopping import StopRequest, gentle_stop
from gancli.training import distributed, loop
from gancli.training.distributed import Team
from gancli.training.plan import Plan
from gancli.training.state import TrainState, create, share

# Why a training stops, the most urgent reason last, and where that leaves the run.
_STATUS = {
    None: Status.FINISHED,
    "time": Status.PAUSED,
    "patience": Status.FINISHED,
    "unhealthy": Status.FAILED,
    "signal": Status.INTERRUPTED,
}
_REASONS = list(_STATUS)
_LESS_MEMORY = "lower training.batch_size, or the sizes in the layer lists"


def train(config: RunConfig, placement: Placement, observer: Observer) -> Outcome:
    """Train a run to its end, resume it, or find it finished.

    Where torchrun has started several processes, all of them call this. The first decides
    everything, and alone reads and writes the run's directory; the others do their part of every
    batch.

    Raises:
        ConfigError: the config does not fit its data or itself.
        DataError: the data cannot be read, or is not what the run was started on.
        CheckpointError: no checkpoint of the run is whole.
        TrainingError: a loss or weight is no finite number.
        UnhealthyError: the log shows that the run fails, and that is to stop it.
        ConflictError: the run exists with another config, or another process holds it.
        StorageError: the disk or the memory refuses.
        PeerError: another of several processes has ended.
        Interrupted: a second signal; the checkpoint before stands.
    """
    device = pick_device(placement.device)
    with distributed.joined(device) as team:
        if team.rank:
            return _follow(placement, device, team)
        return _lead(config, placement, observer, device, team)


def _lead(
    wanted: RunConfig, placement: Placement, observer: Observer, device: torch.device, team: Team
) -> Outcome:
    """Train as the first process of a team, or as one alone."""
    began = time.monotonic()
    threads = placement.threads_if_auto
    if team.size > 1:
        share_of_cores = max(1, len(usable_cores()) // ranks.here().local_size)
        threads = threads or min(share_of_cores, thread_counts()[-1])
    config, splits, plan = prepare(_recorded(wanted, placement), threads)
    run = placement.run
    check_unclaimed(run)
    with run.hold(), gentle_stop() as stop, memory_advice(_LESS_MEMORY):
        # By now another process may have begun it.
        recorded = _recorded(wanted, placement)
        config = resolve(recorded, splits.classes, threads, len(splits.train))
        config = with_way(config, splits.train, plan, device)
        if placement.force:  # at last: what refuses the new run leaves the old one
            create(config, device)  # where memory may be too little, too
            run.clear()
        files.write_text(run.config_path, config.to_toml())
        session = Recorder(config, plan, splits, observer, placement, device, team)
        state = session.open()
        session.write_status(Status.TRAINING, state.step)
        observer.started(run, config, plan, state.step)
        if state.step == 0:
            _warn_of_threads(config, observer)

        def wish() -> str | None:
            if stop.signal_number is not None:
                return "signal"
            if session.failure is not None and placement.on_failure != "warn":
                return "unhealthy"
            if session.quality.is_out_of_patience(state.step):
                return "patience"
            limit = placement.max_seconds
            return "time" if limit is not None and time.monotonic() - began >= limit else None

        hooks = loop.Hooks(
            log=session.log,
            frame=session.frame,
            keep=session.keep,
            score=session.score,
            save=session.save,
            stepped=session.stepped,
            should_stop=lambda: _agreed(team, stop, wish()),
        )
        first_step = state.step
        # A run may have been cut off before it could say that it is out of patience.
        late = session.quality.is_out_of_patience(state.step)
        reason, step_seconds = "patience" if late else None, 0.0
        try:
            _brief(team, config, session.fingerprint, late)
            share(state, config)
            if not late:
                with memory_advice(_LESS_MEMORY):
                    reason, step_seconds = loop.train(state, splits.train, config, plan, hooks)
        except (TrainingError, PeerError, StorageError) as error:
            # With more room, the same command goes on.
            ended = error.exit_code > 128 or isinstance(error, StorageError)
            status = Status.INTERRUPTED if ended else Status.FAILED
            with contextlib.suppress(StorageError):  # the disk may be what failed
                session.write_status(status, state.step, error=error)
            raise
        outcome = _outcome(run, state, plan, first_step, reason, stop, began, step_seconds)
        session.write_status(outcome.status, state.step, outcome=outcome, first_step=first_step)
        team.meet()
        if outcome.status is Status.FAILED:
            assert session.failure is not None
            raise UnhealthyError(
                f"stopped at step {state.step:,} of {plan.total_steps:,}: "
                f"{session.failure.sentence()}"
            )
        return outcome


def _warn_of_threads(config: RunConfig, observer: Observer) -> None:
    cores, threads = len(usable_cores()), config.training.threads
    if isinstance(threads, int) and threads > cores:
        observer.warned(
            f"{threads} threads share {cores} core{'s' * (cores > 1)} and wait for each other; "
            "give --threads auto, or fewer"
        )


def _follow(placement: Placement, device: torch.device, team: Team) -> Outcome:
    """Train as another process of a team: a part of every batch, and nothing is written."""
    began = time.monotonic()
    with gentle_stop() as stop, memory_advice(_LESS_MEMORY):
        config, fingerprint, late = _briefed(team)
        images = data.load_for(config.data).train
        if images.fingerprint() != fingerprint:
            raise ConflictError(
                f"{config.data.source} holds other data here than where the first process is; "
                "give all processes the same"
            )
        plan = Plan.of(config, len(images))
        assert isinstance(config.training.threads, int)
        torch.set_num_threads(config.training.threads)
        state = create(config, device)
        state.team = team
        share(state, config)

        def nothing(*_: Any) -> None:
            """The first process does it."""

        hooks = loop.Hooks(
            log=nothing,
            frame=nothing,
            keep=nothing,
            score=nothing,
            save=nothing,
            stepped=nothing,
            should_stop=lambda: _agreed(team, stop, "signal" if stop.signal_number else None),
        )
        first_step = state.step
        reason, step_seconds = "patience" if late else None, 0.0
        if not late:
            reason, step_seconds = loop.train(state, images, config, plan, hooks)
        team.meet()
        outcome = _outcome(
            placement.run, state, plan, first_step, reason, stop, began, step_seconds
        )
        if outcome.status is Status.FAILED:
            raise UnhealthyError("the first process has found that the run fails")
        return outcome


def _brief(team: Team, config: RunConfig, fingerprint: str, late: bool) -> None:
    """Tell the other processes what they are to train, on which data, and if it is over already."""
    team.share_words(json.dumps([config.to_table(), fingerprint, late]))


def _briefed(team: Team) -> tuple[RunConfig, str, bool]:
    """Return what the first process tells by :func:`_brief`."""
    table, fingerprint, late = json.loads(team.share_words())
    return from_table(table), fingerprint, late


def _agreed(team: Team, stop: StopRequest, wish: str | None) -> str | None:
    """Return the most urgent reason to stop that a process has; a signal to one is one to all."""
    reason, signal_number = team.highest([_REASONS.index(wish), stop.signal_number or 0])
    if signal_number:
        stop.signal_number = signal_number
    return _REASONS[reason]


def _outcome(
    run: RunDirectory,
    state: TrainState,
    plan: Plan,
    first_step: int,
    reason: str | None,
    stop: StopRequest,
    began: float,
    step_seconds: float,
) -> Outcome:
    return Outcome(
        run,
        Status.FINISHED if state.step == plan.total_steps else _STATUS[reason],
        state.step,
        plan.total_steps,
        time.monotonic() - began,
        step_seconds,
        (state.step - first_step) * plan.images_per_step / max(step_seconds, 1e-9),
        stop.signal_number,
    )


def _recorded(config: RunConfig, placement: Placement) -> RunConfig:
    """Let the run that is resumed decide what its machine decided at its start."""
    if not placement.resumes:
        return config
    check_identity(placement.run, config)
    return placement.run.read_config()
