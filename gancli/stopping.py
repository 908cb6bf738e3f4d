"""Signals that end work gently the first time, and at once the second."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

from gancli import ranks
from gancli.errors import Interrupted

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
_silent = _echoed = False
_ECHO_SECONDS = 1.0
_MESSAGE = b"\nstopping after this step, then saving (again: leave at once)\n"


# The signal that asked this process to leave. An exception out of a handler is lost where Python
# has nobody to hand it to, as in a callback of the import system; this is not.
_asked_to_leave: int | None = None
_last_heard: int | None = None


class StopRequest:
    """Remembers the first signal; its number is None before.

    Attributes:
        signal_number: of the signal that ends the work, heard here or by another process.
        heard_at: when this process heard its first one; None before.
    """

    def __init__(self, pass_on: Callable[[int], object]) -> None:
        self.signal_number: int | None = None
        self.heard_at: float | None = None
        self.pass_on = pass_on

    def handle(self, signal_number: int, frame: FrameType | None) -> None:
        """Note the first signal; leave at the second.

        Raises:
            Interrupted: at the second signal.
        """
        global _last_heard  # noqa: PLW0603 - signals are the process's own
        self.pass_on(signal_number)
        now = time.monotonic()
        if self.heard_at is not None:
            # Who ends a whole group of processes reaches some directly, and again by another.
            echoed = _echoed or ranks.here().size > 1
            again = signal_number == self.signal_number and now - self.heard_at < _ECHO_SECONDS
            if echoed and again:
                return
            raise Interrupted(signal_number)
        self.heard_at = now
        if self.signal_number is not None:  # another process has heard it before
            return
        self.signal_number = _last_heard = signal_number
        if ranks.here().rank or _silent:
            return
        with contextlib.suppress(OSError):
            os.write(2, _MESSAGE)  # straight to the file: a handler may interrupt a print


def _heard() -> list[int]:
    """Return the signals that end work: not SIGHUP where ``nohup`` has it ignored."""
    hangup = getattr(signal, "SIGHUP", None)
    return [
        number
        for number in SIGNALS
        if number != hangup or signal.getsignal(number) is not signal.SIG_IGN
    ]


def expect_echoes() -> None:
    """Take a signal that comes twice within a second for one: another process passes them on."""
    global _echoed  # noqa: PLW0603 - signals are the process's own
    _echoed = True


def stop_silently(silent: bool = True) -> None:
    """Say nothing of signals in this process from here on: somebody else does, or nobody may."""
    global _silent  # noqa: PLW0603 - signals are the process's own
    _silent = silent


@contextlib.contextmanager
def gentle_stop(pass_on: Callable[[int], object] = lambda _: None) -> Iterator[StopRequest]:
    """Catch stop signals while the block lasts; does nothing outside the main thread.

    ``pass_on`` is called with the number of every signal, in the handler.

    The handlers are set even where a shell started the process with SIGINT ignored, as it does
    for background jobs of a script; SIGHUP stays ignored for ``nohup``. A signal that came before
    and was lost counts as the first.
    """
    global _last_heard
    request, _last_heard = StopRequest(pass_on), None
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    request.signal_number = _asked_to_leave
    request.heard_at = None if _asked_to_leave is None else time.monotonic()
    before = {number: signal.signal(number, request.handle) for number in _heard()}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def last_heard() -> int | None:
    """Return the signal that ended the block of the last :func:`gentle_stop`, if one did."""
    return _last_heard


def asked_to_leave() -> int | None:
    """Return the signal that :func:`leave_on_signals` has met, if it did.

    An exception in the middle of an import may come out as another one, from a module half made.
    """
    return _asked_to_leave


def leave_on_signals() -> None:
    """End on the usual signals by an exception, so that temporary files go on the way out.

    SIGINT is set too, for a shell starts the background jobs of a script with it ignored; SIGHUP
    stays ignored for ``nohup``.
    """
    global _asked_to_leave  # noqa: PLW0603 - signals are the process's own
    _asked_to_leave = None

    def leave(signal_number: int, frame: FrameType | None) -> None:
        global _asked_to_leave  # noqa: PLW0603
        _asked_to_leave = signal_number
        raise Interrupted(signal_number)

    for number in _heard():
        signal.signal(number, leave)


def ignore_signals() -> None:
    """Let no further signal disturb a process that is on its way out."""
    for number in _heard():
        signal.signal(number, lambda *_: None)


@contextlib.contextmanager
def signals_held_back() -> Iterator[None]:
    """Let signals wait while the block lasts, and in a process started in it until it lets them in.

    A process that is being born has no handlers yet, and would die or lose them.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def let_signals_in() -> None:
    """Receive the signals that :func:`signals_held_back` holds back from a new process."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
