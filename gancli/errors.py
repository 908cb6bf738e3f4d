"""The errors a user can cause, each with its exit code and a sentence that names the fix.

Anything else that escapes is a bug and keeps its traceback (exit code 1).
"""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Iterable, Iterator


class GancliError(Exception):
    """Base of every error that is the world's fault and not gancli's."""

    exit_code = 1


class ConfigError(GancliError):
    """A wrong option, recipe or config value."""

    exit_code = 2


class DataError(GancliError):
    """Data that is missing, unreadable or contradicts itself."""

    exit_code = 3


class CheckpointError(GancliError):
    """A checkpoint or run that is missing, corrupt or of another make."""

    exit_code = 4


class TrainingError(GancliError):
    """Training failed: a loss or a weight is no longer a finite number."""

    exit_code = 5


class UnhealthyError(TrainingError):
    """Training was stopped because the log shows that it fails."""


class ConflictError(GancliError):
    """A run exists with another identity, or another process holds it."""

    exit_code = 6


class StorageError(GancliError):
    """The disk, a path or the memory refused."""

    exit_code = 7


class MissingPartError(GancliError):
    """An optional part (such as ffmpeg) is not installed."""

    exit_code = 8


class PeerError(GancliError):
    """Another of the processes that train one GAN ended before its time, with this exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Interrupted(BaseException):
    """A signal asked the process to leave at once; the exit code is 128 + the signal's number.

    Not an Exception, so that no handler on the way mistakes it for a fault.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"interrupted by signal {signal_number}")
        self.exit_code = 128 + signal_number


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest of the choices, or an empty string."""
    nearest = difflib.get_close_matches(name, list(choices), n=1, cutoff=0.5)
    return f"; did you mean '{nearest[0]}'?" if nearest else ""


@contextlib.contextmanager
def memory_advice(advice: str) -> Iterator[None]:
    """Turn a refusal of memory inside the block into a sentence that says what to lower.

    Raises:
        StorageError: memory ran out, in Python, in torch or on the device.
    """
    try:
        yield
    except MemoryError as error:
        raise StorageError(f"out of memory; {advice}") from error
    except RuntimeError as error:
        # torch has no type for the CPU's refusal, only these words.
        words = r"can't allocate memory|out of memory|not enough memory|ALLOC_FAILED|bad_alloc"
        if not re.search(words, str(error)):
            raise
        raise StorageError(f"out of memory; {advice}") from error
