"""The command line: the only part of gancli that knows Typer and Rich."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import sys
from pathlib import Path
from typing import NoReturn

from gancli import memory
from gancli.cli.output import Output, hush_stdout
from gancli.errors import GancliError, Interrupted
from gancli.files import storage_error
from gancli.stopping import asked_to_leave, ignore_signals, leave_on_signals


def program() -> NoReturn:
    """Run :func:`main` as a process of its own, without the second that torch takes to unload."""
    memory.collect_rarely()
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
    os._exit(code)


def main() -> NoReturn:
    """Run the command that was given, and exit with its documented code."""
    _fill_closed_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):  # names may hold what it has no sign for
        knows_all = sys.stdout.encoding.lower() == "utf-8"
        sys.stdout.reconfigure(errors="surrogateescape" if knows_all else "backslashreplace")
    try:
        leave_on_signals()
        code = _run()
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        hush_stdout()
        code = 0
    except Interrupted as error:
        code = _failed("Interrupted", "interrupted", error.exit_code, _wants_json())
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise  # a bug, and its traceback
        hush_stdout()  # its place is full, and what was to be said there is not said
        code = _failed("StorageError", str(storage_error(error, Path("stdout"))), 7, False)
    sys.exit(code)


def _run() -> int:
    as_json = _wants_json()
    import typer  # noqa: PLC0415 - signals are heard before it, too

    try:
        from gancli.cli.app import app  # noqa: PLC0415 - signals are heard before the slow imports

        return int(app(standalone_mode=False) or 0)
    except GancliError as error:
        if os.environ.get("GANCLI_DEBUG") == "1":
            raise
        return _failed(type(error).__name__, str(error), error.exit_code, as_json)
    except typer.TyperException as error:
        return _failed("UsageError", error.format_message(), error.exit_code, as_json)
    except typer.Abort:
        return _failed("Interrupted", "interrupted", 130, as_json)
    except Exception:
        number = asked_to_leave()
        if number is None:
            raise  # a bug, and its traceback
        return _failed("Interrupted", "interrupted", 128 + number, as_json)
    except SystemExit as leaving:  # Typer's answer to a reader that has left
        if isinstance(leaving.__context__, BrokenPipeError):
            raise leaving.__context__ from None
        raise


def _wants_json() -> bool:
    return "--json" in sys.argv


def _fill_closed_streams() -> None:
    """Open what `2>&-` closed, or the next file would take its number and what is said to it."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)


def _failed(kind: str, message: str, code: int, as_json: bool) -> int:
    ignore_signals()
    output = Output(as_json)
    if message:  # `gancli` alone has printed its help, and that is all
        output.fail(message)
    if as_json:
        about = {"error": {"kind": kind, "message": message, "exit_code": code}}
        with contextlib.suppress(GancliError):  # the first fault decides the exit code
            output.stdout(json.dumps(about))
    return code
