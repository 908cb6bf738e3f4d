"""How a session of training is asked for, and how it ended."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from gancli.runs import RunDirectory, Status


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

    @property
    def resumes(self) -> bool:
        """Whether a run lies there that is to go on."""
        return not self.force and self.run.exists()


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
