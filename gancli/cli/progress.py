"""Counters for work that takes longer than a moment."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from gancli.cli.output import Output
from gancli.config import DOWNLOADS

_LINE_SECONDS = 10.0


@contextlib.contextmanager
def counting(output: Output, what: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function to call with (done, in all): a bar, or lines elsewhere."""
    if not output.live:
        yield _CountingLines(output, what)
        return
    from rich.progress import Progress  # noqa: PLC0415 - keeps --help fast

    with Progress(console=output.console, transient=True) as progress:
        task = progress.add_task(what, total=None)

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield show


class _CountingLines:
    """A line every few seconds; work that takes less has none."""

    def __init__(self, output: Output, what: str) -> None:
        self.output, self.what = output, what
        self.last_line = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self.last_line >= _LINE_SECONDS:
            self.output.say(f"{done:,} of {total:,} {self.what}")
            self.last_line = now


def fetch_data(source: str, output: Output) -> None:
    """Download a data set of the catalogue where it is not in the cache yet, and show how it goes.

    Raises:
        DataError: it cannot be downloaded.
        StorageError: it cannot be kept.
    """
    if source in DOWNLOADS:
        from gancli.data import catalogue  # noqa: PLC0415 - imports torch

        with _receiving(output) as on_progress:
            catalogue.folder_of(source, on_progress)


@contextlib.contextmanager
def _receiving(output: Output) -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function to call with (file, bytes come, bytes in all): bars, or lines elsewhere."""
    if not output.live:
        yield _ReceivingLines(output)
        return
    from rich.progress import (  # noqa: PLC0415 - keeps --help fast
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=output.console, transient=True) as progress:
        tasks = {}

        def show(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=total)
            progress.update(tasks[name], completed=done)

        yield show


class _ReceivingLines:
    """A line when a file begins to come, and one every few seconds while it does."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self.name, self.last_line = "", 0.0

    def __call__(self, name: str, done: int, total: int) -> None:
        now = time.monotonic()
        if name != self.name:
            self.output.say(f"downloading {name}, {total / 1e6:,.1f} MB")
        elif now - self.last_line >= _LINE_SECONDS:
            self.output.say(f"{name}: {done / total:.0%}")
        else:
            return
        self.name, self.last_line = name, now
