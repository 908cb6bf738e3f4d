"""The command line: the only part of gancli that knows Typer and Rich."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from types import FrameType

import typer

from gancli.cli.output import Output
from gancli.errors import GancliError, Interrupted


def main() -> None:
    """Run the command that was given, and exit with its documented code."""
    _listen_to_signals()
    try:
        code = _run()
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader of stdout has left (`| head -1`); it got what it wanted.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 0
    sys.exit(code)


def _run() -> int:
    from gancli.cli.app import app  # noqa: PLC0415 - signals are heard before the slow imports

    as_json = "--json" in sys.argv
    try:
        return int(app(standalone_mode=False) or 0)
    except GancliError as error:
        if os.environ.get("GANCLI_DEBUG") == "1":
            raise
        return _failed(type(error).__name__, str(error), error.exit_code, as_json)
    except typer.TyperException as error:
        return _failed("UsageError", error.format_message(), error.exit_code, as_json)
    except typer.Abort:
        return _failed("Interrupted", "interrupted", 130, as_json)
    except Interrupted as error:
        return _failed("Interrupted", "interrupted", error.exit_code, as_json)


def _failed(kind: str, message: str, code: int, as_json: bool) -> int:
    output = Output(as_json)
    output.fail(message)
    if as_json:
        output.stdout(json.dumps({"error": {"kind": kind, "message": message, "exit_code": code}}))
    return code


def _listen_to_signals() -> None:
    """End on the usual signals by an exception, so that temporary files go on the way out.

    SIGINT is set too, for a shell starts the background jobs of a script with it ignored.
    """

    def leave(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number)

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), leave)
