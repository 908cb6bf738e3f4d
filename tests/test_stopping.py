from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from gancli import stopping
from gancli.errors import Interrupted
from gancli.stopping import (
    SIGNALS,
    asked_to_leave,
    expect_echoes,
    gentle_stop,
    ignore_signals,
    leave_on_signals,
    stop_silently,
)


@pytest.fixture(autouse=True)
def _own_handlers() -> Iterator[None]:
    before = {number: signal.signal(number, signal.SIG_DFL) for number in SIGNALS}
    stop_silently(False)
    yield
    leave_on_signals()  # forgets what came
    stop_silently(False)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_on_the_way_out_signals_are_ignored_until_they_are_heard_again(number: int) -> None:
    leave_on_signals()
    ignore_signals()
    os.kill(os.getpid(), number)
    assert asked_to_leave() is None
    leave_on_signals()
    with pytest.raises(Interrupted):
        os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_whose_exception_got_lost_still_counts(number: int) -> None:
    leave_on_signals()
    with pytest.raises(Interrupted):
        os.kill(os.getpid(), number)
    assert asked_to_leave() == number
    with gentle_stop() as stop:
        assert stop.signal_number == number
    leave_on_signals()
    assert asked_to_leave() is None
    with gentle_stop() as stop:
        assert stop.signal_number is None


def test_the_first_signal_is_noted_and_passed_on_and_the_second_leaves(
    capfd: pytest.CaptureFixture[str],
) -> None:
    passed: list[int] = []
    with gentle_stop(passed.append) as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.signal_number == signal.SIGINT
        assert "stopping after this step" in capfd.readouterr().err
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), signal.SIGTERM)
    assert passed == [signal.SIGINT, signal.SIGTERM]


def test_what_another_process_has_heard_is_no_first_signal_here() -> None:
    with gentle_stop() as stop:
        stop.signal_number = signal.SIGTERM  # as agreed with the others
        os.kill(os.getpid(), signal.SIGTERM)  # on its way here all the while
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_that_is_passed_on_too_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "_echoed", False)
    expect_echoes()
    with gentle_stop() as stop:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), signal.SIGINT)
        monkeypatch.setattr(stopping, "_ECHO_SECONDS", 0.0)
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), signal.SIGTERM)
    assert stop.signal_number == signal.SIGTERM


def test_a_signal_while_handlers_are_set_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    leave_on_signals()
    number, put = SIGNALS[-1], signal.signal

    def put_and_send(which, handler):
        before = put(which, handler)
        if which == number:
            os.kill(os.getpid(), number)
        return before

    with monkeypatch.context() as patch:
        patch.setattr(signal, "signal", put_and_send)
        entered = gentle_stop()
        stop = entered.__enter__()
    assert stop.signal_number == number
    entered.__exit__(None, None, None)


@pytest.mark.parametrize("silent", [False, True])
def test_a_quiet_process_says_nothing_of_signals(
    capfd: pytest.CaptureFixture[str], silent: bool
) -> None:
    stop_silently(silent)
    with gentle_stop() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
    assert stop.signal_number == signal.SIGTERM
    assert ("stopping after this step" in capfd.readouterr().err) is not silent


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Unix signals")
def test_a_hangup_that_nohup_has_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    leave_on_signals()
    with gentle_stop() as stop:
        os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGHUP)
    assert (stop.signal_number, asked_to_leave()) == (None, None)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
