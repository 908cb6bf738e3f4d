"""Signals that end work gently the first time, and at once the second."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from gancli import ranks
from gancli.errors import Interrupted

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
_silent = False
_MESSAGE = b"\nstopping after this step, then saving (again: leave at once)\n"


# The signal that asked this process to leave. An exception out of a handler is lost where Python
# has nobody to hand it to, as in a callback of the import system; this is not.
_asked_to_leave: int | None = None


class StopRequest:
    """Remembers the first signal; its number is None before."""

    def __init__(self, pass_on: Callable[[int], object]) -> None:
        self.signal_number: int | None = None
        self.pass_on = pass_on

    def handle(self, signal_number: int, frame: FrameType | None) -> None:
        """Note the first signal; leave at the second.

        Raises:
            Interrupted: at the second signal.
        """
        self.pass_on(signal_number)
        if self.signal_number is not None:
            raise Interrupted(signal_number)
        self.signal_number = signal_number
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
    request = StopRequest(pass_on)
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    request.signal_number = _asked_to_leave
    before = {number: signal.signal(number, request.handle) for number in _heard()}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
