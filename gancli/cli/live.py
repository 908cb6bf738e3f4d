"""What a person sees while a run trains: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.color import Color
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from gancli import palette
from gancli.cli.output import Output
from gancli.jobs import Job, Listener
from gancli.observing import Observer
from gancli.pictures.terminal import Cell, ascii_rows, half_blocks, sparkline, terminal_tiles
from gancli.runs import Status

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    from gancli.config import RunConfig
    from gancli.doctor import Diagnosis
    from gancli.runs import RunDirectory
    from gancli.training.plan import Plan

_LINE_SECONDS = 0.5
_MOVE_SECONDS = 0.1  # a look at the speed goes through the last thousand steps
_BELOW_PICTURE_ROWS = 6
# To draw thousands of cells keeps the training waiting: four times a second cost it a tenth.
_VIEWS_PER_SECOND = 2


class Digits:
    """Images as half-block characters, as many and as large as the terminal has room for."""

    def __init__(
        self, images: npt.NDArray[np.uint8], spare_rows: int = _BELOW_PICTURE_ROWS
    ) -> None:
        self.images, self.spare_rows = images, spare_rows
        self.drawn: tuple[tuple[int, int], list[Segment]] = (0, 0), []

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        area = options.max_width, max(2, console.height - self.spare_rows)
        if console.color_system is None or console.no_color or options.ascii_only:
            for line in ascii_rows(terminal_tiles(self.images, *area), *area):
                yield Text(line, no_wrap=True)
            return
        if self.drawn[0] != area:  # drawn once: the cores are wanted for training
            self.drawn = area, _segments(half_blocks(terminal_tiles(self.images, *area), *area))
        yield from self.drawn[1]


def _segments(rows: list[list[Cell]]) -> list[Segment]:
    """Return rows of cells for Rich, neighbours of one colour as one piece."""
    segments = []
    for cells in rows:
        for (top, bottom), alike in itertools.groupby(cells):
            style = Style(color=Color.from_rgb(*top), bgcolor=Color.from_rgb(*bottom))
            segments.append(Segment("▀" * len(list(alike)), style))
        segments.append(Segment.line())
    return segments


class Losses:
    """Both losses on a line: the newest value, and the way to it by one scale for both."""

    def __init__(self) -> None:
        self.curves: dict[str, list[float]] = {"D": [], "G": []}

    def add(self, record: dict[str, Any]) -> None:
        """Go on by a line of the log."""
        for player, values in self.curves.items():
            values.append(record[f"{player.lower()}_loss"])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        both = sorted(value for values in self.curves.values() for value in values)
        # A leap at the start must not press all the rest flat.
        low, high = both[0], both[int(0.95 * (len(both) - 1))]
        inks = {"D": palette.DISCRIMINATOR, "G": palette.GENERATOR}
        words = {player: f"{player} {values[-1]:.3f} " for player, values in self.curves.items()}
        room = options.max_width - len("loss   ") - sum(map(len, words.values()))
        line = Text("loss ", no_wrap=True, overflow="ellipsis")
        for player, values in self.curves.items():
            line.append(words[player])
            if room >= 2 and not options.ascii_only:
                line.append(sparkline(values, room // 2, low, high), inks[player])
            line.append("  " if player == "D" else "")
        yield line


@contextlib.contextmanager
def watching(output: Output) -> Iterator[Observer]:
    """Yield an observer that shows one run in the way the output asks for."""
    if not output.live:
        yield PlainView(output)
        return
    view = LiveView(output)
    with view.display:
        yield view


class PlainView(Observer):
    """One line an epoch, or a few a second where epochs are short."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self.last_line = 0.0
        self.total_steps = self.first_step = 0
        self.began = time.monotonic()

    def started(self, run: RunDirectory, config: RunConfig, plan: Plan, step: int) -> None:
        self.total_steps, self.first_step, self.began = plan.total_steps, step, time.monotonic()
        self.images_per_step = plan.images_per_step
        resumed = f", resumed at step {step:,}" if step else ""
        shift, elastic = config.discriminator.shift, config.data.elastic
        moved = ", bent" if elastic not in (0.0, "auto") else ""
        moved += f", moved by up to {shift:.0%}" if isinstance(shift, float) and shift else ""
        self.output.say(
            f"{run.name}: recipe {config.recipe}, {plan.images:,} images{moved}, "
            f"{plan.total_steps:,} steps, threads: {config.training.threads}{resumed}"
        )

    def logged(self, record: dict[str, Any]) -> None:
        now = time.monotonic()
        if now - self.last_line < _LINE_SECONDS and record["step"] < self.total_steps:
            return
        self.last_line = now
        done = record["step"] - self.first_step
        seconds = max(now - self.began, 1e-9)
        left = (self.total_steps - record["step"]) * seconds / max(done, 1)
        self.output.say(
            f"epoch {record['epoch']:g}  step {record['step']}/{self.total_steps}  "
            f"{figures_line(record)}  {done * self.images_per_step / seconds:,.0f} images/s  "
            f"{left:.0f} s left"
        )

    def scored(self, record: dict[str, Any]) -> None:
        self.output.say(f"epoch {record['epoch']:g}  {score_words(record)}")

    def warned(self, message: str) -> None:
        self.output.warn(message)


class LiveView(Observer):
    """The newest frame, both losses, the figures, and a bar with the time that is left."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.completed}/{task.total} steps"),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            console=output.console,
            expand=True,
        )
        self.task: TaskID | None = None
        self.losses, self.record = Losses(), dict[str, Any]()
        self.digits: Digits | None = None
        self.images_per_step, self.moved = 0, 0.0
        self.source = self.score = self.health = ""
        self.display = Live(
            get_renderable=self._render,
            console=output.console,
            refresh_per_second=_VIEWS_PER_SECOND,
            vertical_overflow="crop",
        )

    def _render(self) -> Group:
        shown: list[RenderableType] = [self.digits] if self.digits else []
        if self.record:
            words = f"epoch {self.record['epoch']:.4g}  {accuracy_words(self.record)}"
            words = f"{words}{self.score}{self.health}"
            shown += [self.losses, Text(words, no_wrap=True, overflow="ellipsis")]
        return Group(*shown, self.progress)

    def started(self, run: RunDirectory, config: RunConfig, plan: Plan, step: int) -> None:
        self.images_per_step, self.source = plan.images_per_step, config.data.source
        if self.task is not None:  # the same run again, from another seed
            self.progress.remove_task(self.task)
            self.losses, self.record = Losses(), {}
            self.score = self.health = ""
        self.task = self.progress.add_task(
            run.name, total=plan.total_steps, completed=step, speed=""
        )

    def stepped(self, step: int) -> None:
        task, now = self.task, time.monotonic()
        if task is None:
            return
        if now - self.moved > _MOVE_SECONDS or step == self.progress.tasks[0].total:
            self.moved = now
            speed = self.progress.tasks[0].speed
            shown = f"{speed * self.images_per_step:,.0f} images/s" if speed else ""
            self.progress.update(task, completed=step, speed=shown)

    def logged(self, record: dict[str, Any]) -> None:
        self.losses.add(record)
        self.record = record

    def diagnosed(self, diagnosis: Diagnosis) -> None:
        failure = diagnosis.failure
        found = f"{failure.name} since epoch {failure.epoch:g}" if failure else "healthy"
        self.health = f"  {found}"

    def scored(self, record: dict[str, Any]) -> None:
        self.score = f"  {score_words(record)}"

    def framed(self, samples: Tensor, epoch: float) -> None:
        from gancli.pictures.sheet import as_tiles  # noqa: PLC0415 - imports torch

        self.digits = Digits(as_tiles(samples, self.source))
        self.display.refresh()

    def warned(self, message: str) -> None:
        self.output.warn(message)


def score_words(record: dict[str, Any]) -> str:
    """Return a quick score with its name."""
    return f"{record['figure'].replace('_', ' ')} {record['score']:.4g}"


def figures_line(record: dict[str, Any]) -> str:
    """Return a log line's losses and the discriminator's accuracy in a few words."""
    return f"loss D {record['d_loss']:.3f} G {record['g_loss']:.3f}  {accuracy_words(record)}"


def accuracy_words(record: dict[str, Any]) -> str:
    """Return a log line's accuracies of the discriminator in a few words."""
    real, fake = record["d_accuracy_real"], record["d_accuracy_fake"]
    return f"D right on real {real:.0%} fake {fake:.0%}"


@contextlib.contextmanager
def watching_many(output: Output, planned: Sequence[Job]) -> Iterator[Listener]:
    """Yield a listener that shows several runs: a table on a terminal, plain lines elsewhere."""
    if output.live:
        board = _Board(output, planned)
        with board.display:
            yield board.listen
        return

    last_lines: dict[str, float] = {}

    def listen(name: str, kind: str, content: Any) -> None:
        if kind == "warned":
            output.warn(f"{name}: {content}")
        elif kind == "logged" and time.monotonic() - last_lines.get(name, 0.0) > _LINE_SECONDS:
            last_lines[name] = time.monotonic()
            output.say(f"{name}: epoch {content['epoch']:g}  {figures_line(content)}")

    yield listen


class _Board:
    """A table with a line for each run."""

    def __init__(self, output: Output, planned: Sequence[Job]) -> None:
        self.output = output
        self.lines: dict[str, tuple[str, str]] = {job.run.name: ("waits", "") for job in planned}
        self.totals: dict[str, int] = {}
        self.ended: dict[str, str] = {}
        self.display = Live(
            get_renderable=self._render, console=output.console, refresh_per_second=4
        )

    def _render(self) -> Table:
        table = Table("run", "done", "figures", box=None, expand=True)
        shown = self._shown(max(1, self.output.console.height - 3))
        for name in shown:
            table.add_row(name, *self.lines[name])
        if more := len(self.lines) - len(shown):
            ended = sum(name in self.ended for name in self.lines if name not in shown)
            table.add_row(f"{more} more", f"{ended} ended", "")
        return table

    def _shown(self, room: int) -> list[str]:
        """Return the runs that there is room for: those that train, that failed, and that wait."""

        def rank(name: str) -> int:
            if name in self.ended:
                return 3 if self.ended[name] == Status.FINISHED else 1
            return 0 if name in self.totals else 2

        foremost = set(sorted(self.lines, key=rank)[:room])
        return [name for name in self.lines if name in foremost]

    def listen(self, name: str, kind: str, content: Any) -> None:
        if kind == "warned":
            self.output.warn(f"{name}: {content}")
        elif kind == "started":
            self.totals[name] = content["total_steps"]
            self.lines[name] = (f"{content['step'] / content['total_steps']:.0%}", "")
        elif kind == "logged":
            done = content["step"] / self.totals[name]
            self.lines[name] = (f"{done:.0%}", figures_line(content))
        elif kind == "ended":
            self.ended[name] = content.status
            self.lines[name] = (content.status, content.message or self.lines[name][1])
