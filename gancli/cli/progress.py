"""A counter for work that takes longer than a moment."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from gancli.cli.output import Output


@contextlib.contextmanager
def counting(output: Output, what: str) -> Iterator[Callable[[int, int], None] | None]:
    """Yield a function to call with (done, in all), or None where nobody watches."""
    if not output.live:
        yield None
        return
    from rich.progress import Progress  # noqa: PLC0415 - keeps --help fast

    with Progress(console=output.console, transient=True) as progress:
        task = progress.add_task(what, total=None)

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield show
