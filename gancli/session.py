"""One session of training a run: prepare, train or resume, and leave everything in order."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import gancli
from gancli import checkpoints, data, doctor, files, ranks
from gancli.checkpoints import Checkpoint
from gancli.config import STACKED_SOURCE, RunConfig, from_table
from gancli.cores import thread_counts, usable_cores
from gancli.data import DataSplits, ImageSet
from gancli.devices import pick_device
from gancli.errors import (
    CheckpointError,
    ConfigError,
    ConflictError,
    PeerError,
    TrainingError,
    UnhealthyError,
    memory_advice,
)
from gancli.networks import build_discriminator, build_generator, mixing_layer
from gancli.observing import Observer
from gancli.pictures.frames import frame_path
from gancli.pictures.grid import save_png
from gancli.pictures.sheet import draw_sheet
from gancli.quality import QualityLog, reals
from gancli.runs import RunDirectory, Status, check_identity, check_unclaimed
from gancli.sampling import Trained
from gancli.stopping import StopRequest, gentle_stop
from gancli.training import distributed, loop
from gancli.training.distributed import Team
from gancli.training.plan import Plan
from gancli.training.state import TrainState, create, restore, share, to_tensors
from gancli.training.trial import AdaptiveThreads, Way, fastest_way

# How often the doctor looks in on a run, at the most: its time grows with the log.
_VISITS = 40

# Why a training stops, the most urgent reason last, and where that leaves the run.
_STATUS = {
    None: Status.FINISHED,
    "time": Status.PAUSED,
    "patience": Status.FINISHED,
    "unhealthy": Status.FAILED,
    "signal": Status.INTERRUPTED,
}
_REASONS = list(_STATUS)


@dataclasses.dataclass(frozen=True)
class Placement:
    """Where and for how long a run is trained: all that is not its identity.

    Attributes:
        run: its directory.
        device: a torch device, or ``auto``.
        max_seconds: pause after this long; None for no limit.
        force: start a run that exists afresh.
        threads_if_auto: what ``training.threads = "auto"`` comes to; None to try it out.
        command: the words that asked for it, for the record.
        on_failure: what to do once the log shows that the run fails: ``warn``, or else stop.
    """

    run: RunDirectory
    device: str = "auto"
    max_seconds: float | None = None
    force: bool = False
    threads_if_auto: int | None = None
    command: Sequence[str] = ()
    on_failure: str = "warn"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a session ended.

    Attributes:
        run: the run's directory.
        status: where the run stands now.
        step: steps done.
        total_steps: steps asked for.
        seconds: length of the session.
        step_seconds: seconds of it inside training steps.
        images_per_second: real images consumed per second inside steps.
        signal_number: the signal that ended it, if one did.
    """

    run: RunDirectory
    status: Status
    step: int
    total_steps: int
    seconds: float
    step_seconds: float
    images_per_second: float
    signal_number: int | None = None


def resolve(config: RunConfig, classes: int, threads_if_auto: int | None = None) -> RunConfig:
    """Replace every ``auto`` that the data decide; of threads, if it is known what it comes to.

    Raises:
        ConfigError: labels are asked for where there are none, or go with another key badly.
    """
    conditional = config.data.conditional
    able = classes > 1 and config.data.digit is None
    if conditional is True and not able:
        raise ConfigError(
            f"data.conditional = true needs labels of two classes or more, and "
            f"{config.data.source} has {classes}"
        )
    if conditional == "auto":
        # Whether a network covers a thousand modes is no question once it is told which to draw.
        conditional = able and config.data.source != STACKED_SOURCE
    if conditional and config.training.generator_batch_size is not None:
        raise ConfigError(
            "training.generator_batch_size does not go with labels, of which a batch has one for "
            "each real image; leave it out, or learn without: --set data.conditional=false"
        )
    columns, threads = config.record.frame_columns, config.training.threads
    return dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, conditional=conditional, classes=classes),
        training=dataclasses.replace(
            config.training,
            threads=(threads_if_auto or "auto") if threads == "auto" else threads,
        ),
        record=dataclasses.replace(
            config.record,
            frame_columns=(min(classes, 16) if conditional else 8)
            if columns == "auto"
            else columns,
        ),
    )


def prepare(
    config: RunConfig, threads_if_auto: int | None = None
) -> tuple[RunConfig, DataSplits, Plan]:
    """Resolve a config and check all of it that needs data and networks, without a step.

    Returns:
        The resolved config, the data and the calendar.

    Raises:
        ConfigError: layers or lengths do not fit.
        DataError: the data cannot be read.
    """
    with memory_advice("use a smaller data set or image_size"):
        splits = data.load_for(config.data)
    config = resolve(config, splits.classes, threads_if_auto)
    plan = Plan.of(config, len(splits.train))
    with torch.device("meta"):
        networks = build_generator(config), build_discriminator(config)
    mixing = next(filter(None, map(mixing_layer, networks)), None)
    for key in ("batch_size", "generator_batch_size"):
        if mixing and getattr(config.training, key) == 1:
            raise ConfigError(
                f"training.{key} = 1: '{mixing}' needs two images or more to compare; raise it, or "
                "take the layer out"
            )
    distributed.check_shares(config, mixing, ranks.here().size)
    if plan.score_steps is not None and not config.data.is_points and len(reals(splits)) < 2:
        raise ConfigError("record.score_every needs two real images or more to compare with")
    return config, splits, plan


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
    torch.backends.cudnn.deterministic = True
    with distributed.joined(device) as team:
        if team.rank:
            return _follow(placement, device, team)
        return _lead(config, placement, observer, device, team)


def _lead(
    config: RunConfig, placement: Placement, observer: Observer, device: torch.device, team: Team
) -> Outcome:
    """Train as the first process of a team, or as one alone."""
    began = time.monotonic()
    threads = placement.threads_if_auto
    if team.size > 1:
        threads = threads or max(1, len(usable_cores()) // ranks.here().local_size)
    config, splits, plan = prepare(_recorded(config, placement), threads)
    run = placement.run
    check_unclaimed(run)
    with (
        run.hold(),
        gentle_stop() as stop,
        memory_advice("lower training.batch_size, or the sizes in the layer lists"),
    ):
        if placement.force:
            run.clear()
        if run.exists():
            check_identity(run, config)
        config = _with_way(config, splits.train, plan, device)
        files.write_text(run.config_path, config.to_toml())
        session = _Session(run, config, plan, splits, observer, placement, device, team)
        state = session.open()
        session.write_status(Status.TRAINING, state.step)
        observer.started(run, config, plan, state.step)

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
                reason, step_seconds = loop.train(state, splits.train, config, plan, hooks)
        except (TrainingError, PeerError) as error:
            status = Status.INTERRUPTED if error.exit_code > 128 else Status.FAILED
            session.write_status(status, state.step, error=str(error))
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


def _follow(placement: Placement, device: torch.device, team: Team) -> Outcome:
    """Train as another process of a team: a part of every batch, and nothing is written."""
    began = time.monotonic()
    with (
        gentle_stop() as stop,
        memory_advice("lower training.batch_size, or the sizes in the layer lists"),
    ):
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


def _with_way(config: RunConfig, images: ImageSet, plan: Plan, device: torch.device) -> RunConfig:
    """Set torch's thread count; that and the precision are tried out where nobody has said them."""
    training = config.training
    # An accelerator does the work, and a thread feeds it.
    counts = thread_counts() if device.type == "cpu" else [1]
    threads = [training.threads] if isinstance(training.threads, int) else counts
    precisions = ["fp32", "bf16"] if training.precision == "auto" else [training.precision]
    ways = [Way(count, precision) for count in threads for precision in precisions]
    found = fastest_way(config, images, plan, device, ways)
    torch.set_num_threads(found.threads)
    kept = training.threads if training.threads == "adaptive" else found.threads
    training = dataclasses.replace(training, threads=kept, precision=found.precision)
    return dataclasses.replace(config, training=training)


def _recorded(config: RunConfig, placement: Placement) -> RunConfig:
    """Let the run that is resumed decide what its machine decided at its start."""
    if not placement.run.exists() or placement.force:
        return config
    check_identity(placement.run, config)
    return placement.run.read_config()


class _Session:
    """The hooks of one session, and what they share."""

    def __init__(
        self,
        run: RunDirectory,
        config: RunConfig,
        plan: Plan,
        splits: DataSplits,
        observer: Observer,
        placement: Placement,
        device: torch.device,
        team: Team,
    ) -> None:
        self.run, self.config, self.plan, self.observer = run, config, plan, observer
        self.placement, self.device, self.team = placement, device, team
        self.images = splits.train
        self.fingerprint = self.images.fingerprint()
        kept = run.read_status()
        self.sessions: list[dict[str, Any]] = kept.get("sessions", [])
        self.kept = kept
        self.history: list[dict[str, Any]] = []
        adaptive = config.training.threads == "adaptive" and device.type == "cpu"
        self.threads = AdaptiveThreads() if adaptive else None
        self.suspicion: doctor.Finding | None = None
        self.failure: doctor.Finding | None = None
        lines = -(-plan.total_steps // plan.log_steps)
        self.lines_a_visit = -(-lines // _VISITS)
        run.mend_quality()
        self.quality = QualityLog(run, config, splits)

    def open(self) -> TrainState:
        """Return the state to go on from: the newest whole checkpoint's, or a fresh one."""
        kept_fingerprint = self.kept.get("data", {}).get("fingerprint")
        if kept_fingerprint not in (None, self.fingerprint):
            raise ConflictError(
                f"{self.run.path} was started on other data than {self.config.data.source} holds "
                "now (data.fingerprint differs); give this run a --name of its own"
            )
        state = create(self.config, self.device)
        found = checkpoints.states(self.run.path)
        failure: CheckpointError | None = None
        for path in found:
            try:
                restore(state, checkpoints.load(path))
            except CheckpointError as error:
                self.observer.warned(f"{error}; falling back to the checkpoint before it")
                failure = error
                state = create(self.config, self.device)
            else:
                break
        else:
            if failure is not None:
                raise CheckpointError(
                    f"no checkpoint of {self.run.path} is whole ({failure}); start it afresh "
                    "with --force"
                )
        state.team = self.team
        if state.step:
            self._warn_if_moved()
        newer = [path for path in found if checkpoints.step_of(path) > state.step]
        checkpoints.remove(newer)
        checkpoints.remove(
            [p for p in checkpoints.snapshots(self.run.path) if checkpoints.step_of(p) > state.step]
        )
        self.run.cut_log(state.step)
        self.history = self.run.read_log()
        files.make_folder(self.run.frames)
        files.make_folder(self.run.path / "snapshots")
        return state

    def _warn_if_moved(self) -> None:
        """Say so when a resumed run cannot end bit for bit where it would have."""
        now = {
            "torch": versions()["torch"],
            "device": str(self.device),
            "processes": self.team.size,
        }
        then = {**self.kept, "torch": self.kept.get("versions", {}).get("torch")}
        for what, value in now.items():
            if then.get(what) not in (None, value):
                self.observer.warned(
                    f"{what} was {then[what]} and is {value} now: the run goes on, but not bit for "
                    "bit as it would have"
                )

    def log(self, record: dict[str, Any]) -> None:
        self.run.append_log(record)
        self.observer.logged(record)
        self.history.append(record)
        if self.failure is None and len(self.history) % self.lines_a_visit == 0:
            self._visit()

    def _visit(self) -> None:
        """Let the doctor look at the log; what it finds twice in a row is a failure."""
        found = doctor.diagnose(self.history, self.config, images=len(self.images)).failure
        if found is not None and self.suspicion is not None and found.name == self.suspicion.name:
            self.failure = found
            if self.placement.on_failure == "warn":
                self.observer.warned(found.sentence())
        self.suspicion = found

    def stepped(self, step: int) -> None:
        if self.threads is not None:
            self.threads.stepped()
        self.observer.stepped(step)

    def frame(self, state: TrainState) -> None:
        record = self.config.record
        assert isinstance(record.frame_columns, int)
        seeds = range(record.frame_rows * record.frame_columns)
        trained = self._trained(state)
        samples = trained.sample(seeds)
        epoch = self.plan.epoch(state.step)
        metadata = {
            "run": self.run.name,
            "recipe": self.config.recipe,
            "seeds": f"0-{len(seeds) - 1}",
            "step": str(state.step),
            "epoch": f"{epoch:g}",
            "version": gancli.__version__,
        }
        sheet = draw_sheet(samples, self.config.data.source, record.frame_columns)
        save_png(sheet, frame_path(self.run.frames, epoch), metadata)
        self.observer.framed(samples, epoch)

    def _trained(self, state: TrainState) -> Trained:
        return Trained(
            state.shown,
            self.config,
            state.step,
            self.plan.epoch(state.step),
            checkpoints.state_path(self.run.path, state.step),
            self.fingerprint,
            self.run,
        )

    def keep(self, state: TrainState) -> None:
        path = checkpoints.snapshot_path(self.run.path, state.step)
        checkpoints.save(self._checkpoint(path, "generator", state, state.shown.state_dict()))

    def score(self, state: TrainState, step_seconds: float) -> None:
        record = self.quality.score(self._trained(state), step_seconds)
        if record is not None:
            self.observer.scored(record)

    def save(self, state: TrainState) -> None:
        tensors = to_tensors(state)
        path = checkpoints.state_path(self.run.path, state.step)
        try:
            checkpoints.check_finite(tensors, path)
        except CheckpointError as error:
            raise TrainingError(
                f"weights are no longer finite at step {state.step}: training diverged. The "
                "checkpoint before is kept; lower the learning rates or add a penalty "
                "(--set loss.r1=1 --set loss.r2=1)"
            ) from error
        checkpoints.save(self._checkpoint(path, "state", state, tensors))
        checkpoints.prune_states(self.run.path)

    def _checkpoint(
        self, path: Path, kind: str, state: TrainState, tensors: dict[str, Tensor]
    ) -> Checkpoint:
        epoch = self.plan.epoch(state.step)
        return Checkpoint(path, kind, state.step, epoch, self.config, self.fingerprint, tensors)

    def write_status(
        self,
        status: Status,
        step: int,
        *,
        error: str | None = None,
        outcome: Outcome | None = None,
        first_step: int = 0,
    ) -> None:
        sessions = list(self.sessions)
        if outcome is not None:
            sessions.append(
                {
                    "first_step": first_step,
                    "last_step": step,
                    "seconds": round(outcome.seconds, 3),
                    "step_seconds": round(outcome.step_seconds, 3),
                    "images_per_second": round(outcome.images_per_second, 1),
                    "peak_memory_bytes": _peak_memory_bytes(),
                }
            )
        self.run.write_status(
            {
                "status": status,
                "step": step,
                "total_steps": self.plan.total_steps,
                "epoch": self.plan.epoch(step),
                **({"error": error} if error else {}),
                "command": list(self.placement.command),
                "device": str(self.device),
                "processes": self.team.size,
                "exact": self.config.training.threads != "adaptive",
                "data": {
                    "source": self.config.data.source,
                    "images": len(self.images),
                    "fingerprint": self.fingerprint,
                },
                "versions": versions(),
                "sessions": sessions,
            }
        )


def versions() -> dict[str, str]:
    """Return the versions that a run's figures depend on."""
    return {
        "gancli": gancli.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


def _peak_memory_bytes() -> int | None:
    """Return the most memory this process has held; None where the system does not tell."""
    with contextlib.suppress(ImportError):
        import resource  # noqa: PLC0415 - Unix alone has it

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return None
