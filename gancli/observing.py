"""What a training tells whoever watches it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from gancli.config import RunConfig
    from gancli.doctor import Diagnosis
    from gancli.runs import RunDirectory
    from gancli.training.plan import Plan


class Observer:
    """Is told what a session does. Every call must return at once; these do nothing."""

    def started(self, run: RunDirectory, config: RunConfig, plan: Plan, step: int) -> None:
        """A run starts, or resumes from a step."""

    def stepped(self, step: int) -> None:
        """A step is done."""

    def logged(self, record: dict[str, Any]) -> None:
        """A line was added to the log."""

    def diagnosed(self, diagnosis: Diagnosis) -> None:
        """The doctor has looked at the log so far."""

    def scored(self, record: dict[str, Any]) -> None:
        """A quick score was logged."""

    def framed(self, samples: Tensor, epoch: float) -> None:
        """A frame was drawn: uint8 [n, channels, size, size], or points float32 [n, 2]."""

    def warned(self, message: str) -> None:
        """Something is not as it should be, and was dealt with."""
