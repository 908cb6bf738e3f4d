"""What a run leaves on disk while it trains, and what it is opened from again."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import gancli
from gancli import checkpoints, doctor, files, memory
from gancli.checkpoints import Checkpoint
from gancli.config import RunConfig, differences
from gancli.data import DataSplits
from gancli.errors import CheckpointError, ConflictError, GancliError, TrainingError
from gancli.observing import Observer
from gancli.pictures.frames import frame_path
from gancli.pictures.grid import save_png
from gancli.pictures.sheet import draw_sheet
from gancli.placement import Outcome, Placement
from gancli.quality import QualityLog
from gancli.runs import Status, spelled
from gancli.sampling import Trained
from gancli.training.distributed import Team
from gancli.training.plan import Plan
from gancli.training.state import TrainState, create, restore, to_tensors
from gancli.training.trial import AdaptiveThreads

# How often the doctor looks in on a run, at the most: its time grows with the log.
_VISITS = 40
_DECISIVE = ("torch", "gpu")  # by another of these the last bits differ


class Recorder:
    """The hooks of one session, and what they share.

    Attributes:
        run: its directory.
        fingerprint: of the images it learns from.
        quality: the scores it was given while it trained.
        failure: what the doctor found twice in a row, which no run recovers from; None so far.
    """

    def __init__(
        self,
        config: RunConfig,
        plan: Plan,
        splits: DataSplits,
        observer: Observer,
        placement: Placement,
        device: torch.device,
        team: Team,
    ) -> None:
        self.config, self.plan, self.observer = config, plan, observer
        self.placement, self.device, self.team = placement, device, team
        self.run = run = placement.run
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
                checkpoint = checkpoints.load(path)
                restore(state, checkpoint)
                self._check_config(checkpoint)
            except CheckpointError as error:
                if _may_be_whole(error):
                    raise
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
        seen = len(self.history) // self.lines_a_visit * self.lines_a_visit
        if seen:
            self.suspicion = self._diagnosis(self.history[:seen]).failure
        files.make_folder(self.run.frames)
        files.make_folder(self.run.path / "snapshots")
        return state

    def _check_config(self, checkpoint: Checkpoint) -> None:
        """Refuse to go on by another config than before.

        Raises:
            ConflictError: they differ; the keys are listed.
        """
        changed = differences(checkpoint.config, self.config)
        if changed:
            listed = "; ".join(
                f"{key} was {spelled(old)} and is {spelled(new)}"
                for key, (old, new) in changed.items()
            )
            raise ConflictError(
                f"{self.run.config_path} was changed after {checkpoint.path.name} was written: "
                f"{listed}. Change it back to go on, or start afresh with --force"
            )

    def _warn_if_moved(self) -> None:
        """Say so when a resumed run cannot end bit for bit where it would have."""
        now = {
            **{what: word for what, word in versions(self.device).items() if what in _DECISIVE},
            "device": str(self.device),
            "processes": self.team.size,
        }
        then = {**self.kept.get("versions", {}), **self.kept}
        for what, value in now.items():
            if then.get(what) not in (None, value):
                self.observer.warned(
                    f"{what} was {then[what]} and is {value} now: the run goes on, but not bit for "
                    "bit as it would have"
                )

    def log(self, record: dict[str, Any]) -> None:
        """Write a line of the log, and let the doctor see it now and then."""
        self.run.append_log(record)
        self.observer.logged(record)
        self.history.append(record)
        if self.failure is None and len(self.history) % self.lines_a_visit == 0:
            self._visit()

    def _visit(self) -> None:
        """Let the doctor look at the log; what it finds twice in a row is a failure."""
        diagnosis = self._diagnosis(self.history)
        self.observer.diagnosed(diagnosis)
        found = diagnosis.failure
        if found is not None and self.suspicion is not None and found.name == self.suspicion.name:
            self.failure = found
            if self.placement.on_failure == "warn":
                self.observer.warned(found.sentence())
        self.suspicion = found

    def _diagnosis(self, history: list[dict[str, Any]]) -> doctor.Diagnosis:
        return doctor.diagnose(history, self.config, images=len(self.images))

    def stepped(self, step: int) -> None:
        """Take note of a step."""
        if self.threads is not None:
            self.threads.stepped()
        self.observer.stepped(step)

    def frame(self, state: TrainState) -> None:
        """Draw the frame of this epoch, but not where the last one's will have the same name."""
        epoch, end = self.plan.epoch(state.step), self.plan.epoch(self.plan.total_steps)
        path = frame_path(self.run.frames, epoch)
        if epoch < end and path == frame_path(self.run.frames, end):
            return
        record = self.config.record
        assert isinstance(record.frame_columns, int)
        seeds = range(record.frame_rows * record.frame_columns)
        trained = self._trained(state)
        samples = trained.sample(seeds)
        metadata = {
            "run": self.run.name,
            "recipe": self.config.recipe,
            "seeds": f"0-{len(seeds) - 1}",
            "step": str(state.step),
            "epoch": f"{epoch:g}",
            "version": gancli.__version__,
        }
        sheet = draw_sheet(samples, self.config.data.source, record.frame_columns)
        save_png(sheet, path, metadata)
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
        """Keep the generator as it is.

        Raises:
            TrainingError: a weight is no finite number; so of the next two.
        """
        path, tensors = checkpoints.snapshot_path(self.run.path, state.step), self._weights(state)
        checkpoints.save(self._checkpoint(path, "generator", state, tensors))

    def score(self, state: TrainState, step_seconds: float) -> None:
        """Score the samples, if the time allows or at the end; the best generator is kept."""
        self._weights(state)
        last = state.step == self.plan.total_steps
        record = self.quality.score(self._trained(state), step_seconds, last=last)
        if record is not None:
            self.observer.scored(record)

    def save(self, state: TrainState) -> None:
        """Write all there is to go on from; the states before the last two go."""
        path, tensors = checkpoints.state_path(self.run.path, state.step), to_tensors(state)
        _check_finite(tensors, path, state.step)
        checkpoints.save(self._checkpoint(path, "state", state, tensors))
        checkpoints.prune_states(self.run.path)
        self.write_status(Status.TRAINING, state.step)

    def _weights(self, state: TrainState) -> dict[str, Tensor]:
        """Return the generator's tensors. On CUDA a step may have left nan in its statistics."""
        tensors = state.shown.state_dict()
        _check_finite(tensors, self.run.path, state.step)
        return tensors

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
        error: GancliError | None = None,
        outcome: Outcome | None = None,
        first_step: int = 0,
    ) -> None:
        """Write where the run stands; with an outcome, the session too that led there by steps."""
        sessions = list(self.sessions)
        if outcome is not None and step > first_step:
            sessions.append(
                {
                    "first_step": first_step,
                    "last_step": step,
                    "seconds": round(outcome.seconds, 3),
                    "step_seconds": round(outcome.step_seconds, 3),
                    "images_per_second": round(outcome.images_per_second, 1),
                    "peak_memory_bytes": memory.peak_bytes(),
                }
            )
        self.run.write_status(
            {
                "status": status,
                "step": step,
                "total_steps": self.plan.total_steps,
                "epoch": self.plan.epoch(step),
                **({"error": str(error), "exit_code": error.exit_code} if error else {}),
                "command": list(self.placement.command),
                "device": str(self.device),
                "processes": self.team.size,
                "exact": self.config.training.threads != "adaptive",
                "data": {
                    "source": self.config.data.source,
                    "images": len(self.images),
                    "fingerprint": self.fingerprint,
                },
                "versions": versions(self.device),
                "sessions": sessions,
            }
        )


def _check_finite(tensors: Mapping[str, Tensor], path: Path, step: int) -> None:
    try:
        checkpoints.check_finite(tensors, path)
    except CheckpointError as error:
        raise TrainingError(
            f"weights or figures are no longer finite at step {step}: training diverged. "
            "The checkpoint before is kept; lower the learning rates or add a penalty "
            "(--set loss.r1=1 --set loss.r2=1)"
        ) from error


def _may_be_whole(error: CheckpointError) -> bool:
    """Tell whether a file is there that cannot be read now: to go on without it would remove it."""
    reason = error.__cause__
    return isinstance(reason, OSError) and not isinstance(reason, FileNotFoundError)


def versions(device: torch.device) -> dict[str, str]:
    """Return the versions that a run's figures depend on, and the make of a GPU."""
    gpu = {"gpu": torch.cuda.get_device_name(device)} if device.type == "cuda" else {}
    return {
        **gpu,
        "gancli": gancli.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
