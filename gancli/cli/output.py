"""Where words go: results to stdout, conversation to stderr, each command in one of three modes."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from gancli import palette, ranks
from gancli.files import storage_error

if TYPE_CHECKING:
    from rich.console import Console


_BARS = {"complete": palette.ORANGE, "pulse": palette.ORANGE, "finished": palette.GREEN}


class _Unbreakable:
    """A stream that keeps silent when its reader has gone: progress is not worth a training."""

    def __init__(self, stream: IO[str] | None) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        if self.stream is not None:
            with contextlib.suppress(OSError, ValueError):
                self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        if self.stream is not None:
            with contextlib.suppress(OSError, ValueError):
                self.stream.flush()

    def isatty(self) -> bool:
        return self.stream is not None and self.stream.isatty()

    def fileno(self) -> int:
        if self.stream is None:
            raise OSError("no stream")
        return self.stream.fileno()

    @property
    def encoding(self) -> str:
        return getattr(self.stream, "encoding", None) or "utf-8"


class Output:
    """The one sink for all a command says.

    Of several processes that train one GAN, the first alone speaks.

    Args:
        as_json: the result is one JSON object on stdout.
        quiet: nothing but errors on stderr.
    """

    def __init__(self, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json, self.quiet = as_json, quiet
        self.muted = ranks.here().rank > 0
        self._stderr = _Unbreakable(sys.stderr)
        self._console: Console | None = None

    @property
    def console(self) -> Console:
        """Rich's console on stderr."""
        if self._console is None:
            from rich.console import Console  # noqa: PLC0415 - keeps --help fast
            from rich.theme import Theme  # noqa: PLC0415

            self._console = Console(
                file=self._stderr,  # type: ignore[arg-type]
                highlight=False,
                theme=Theme({f"bar.{part}": colour for part, colour in _BARS.items()}),
            )
        return self._console

    @property
    def live(self) -> bool:
        """Whether a person watches: a terminal that redraws, and nobody asked for silence."""
        return (
            not self.quiet
            and not self.muted
            and not self.as_json
            and self._stderr.isatty()
            and (not self.console.is_dumb_terminal)
        )

    @property
    def width(self) -> int | None:
        """How many columns a line on stdout may have; None where no terminal breaks it."""
        if sys.stdout is None or not sys.stdout.isatty():
            return None
        return shutil.get_terminal_size().columns

    def say(self, text: str) -> None:
        """Say something to the person."""
        if not self.quiet:
            self._line(text)

    def warn(self, text: str) -> None:
        """Say what was not as it should be, in every mode."""
        self._line(f"warning: {text}")

    def fail(self, text: str) -> None:
        """Say what went wrong, in every mode."""
        self._line(f"error: {text}")

    def next(self, *command: str) -> None:
        """Name the natural next command."""
        self.say(f"next: {shlex.join(command)}")

    def _line(self, text: str) -> None:
        if self.muted:
            return
        # Rich would wrap at 80 columns where nobody looks, and break paths.
        if self._console is not None and self._stderr.isatty():
            self.console.print(text, markup=False, soft_wrap=True)
        else:
            self._stderr.write(f"{text}\n")
            self._stderr.flush()

    def result(self, path: Path | str | None, content: Mapping[str, Any]) -> None:
        """Print the result: the path of what was made, or all of it as JSON."""
        if self.as_json:
            self.stdout(json.dumps(content))
        elif path is not None:
            self.stdout(str(path))

    def stdout(self, text: str) -> None:
        """Print a line of the result."""
        if sys.stdout is None or self.muted:
            return
        try:
            print(text, flush=True)  # noqa: T201
        except BrokenPipeError:
            hush_stdout()
        except OSError as error:
            hush_stdout()
            raise storage_error(error, Path("stdout")) from error


def hush_stdout() -> None:
    """Go on without stdout: its reader has left (`| head -1`) and got what it wanted."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
