"""Commands measured one at a time, with an eye on what else the machine does meanwhile."""

from __future__ import annotations

import dataclasses
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

from gancli.cores import usable_cores

MOST_FOREIGN = 0.1
_STAT = Path("/proc/stat")
# Each side takes the thread count that it would take by itself.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

T = TypeVar("T")


class ForeignLoad:
    """Watches from its making on how many cores others use; children must be waited for."""

    def __init__(self) -> None:
        self.began, self.busy, self.own = time.perf_counter(), _busy_seconds(), _own_seconds()

    def cores(self) -> float:
        """Return the mean so far; 0 where the system does not tell."""
        if not can_watch():
            return 0.0
        used = _busy_seconds() - self.busy - (_own_seconds() - self.own)
        return max(0.0, used / (time.perf_counter() - self.began))


def can_watch() -> bool:
    """Tell whether the system says what its cores do."""
    return _STAT.exists()


def _busy_seconds() -> float:
    """Return the seconds that the cores in use here were at work for anyone, other guests too."""
    if not can_watch():
        return 0.0
    names = {f"cpu{core}" for core in usable_cores()}
    rows = [line.split() for line in _STAT.read_text().splitlines()]
    # user, nice, system, idle, iowait, irq, softirq, steal
    ticks = sum(
        int(row[column]) for row in rows if row[0] in names for column in (1, 2, 3, 6, 7, 8)
    )
    return ticks / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    """Return the processor seconds of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def environment() -> dict[str, str]:
    """Return the environment of a measured command."""
    return {key: value for key, value in os.environ.items() if key not in _THREADS}


class Ran(NamedTuple):
    """What a command printed on stdout, and its seconds from the outside."""

    stdout: str
    seconds: float


def run(command: list[str]) -> Ran:
    """Run a command; if it fails, all ends with what it said."""
    began = time.perf_counter()
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr[-2000:]}")
    return Ran(done.stdout, seconds)


def in_turn(
    sides: Mapping[str, Callable[[], T]], windows: int, most_foreign: float
) -> dict[str, list[T]]:
    """Measure each side in turn until all have so many windows, or twice as many were tried.

    A window during which others used more cores than ``most_foreign`` is dropped.
    """
    kept: dict[str, list[T]] = {name: [] for name in sides}
    for _ in range(2 * windows):
        for name, measure in sides.items():
            if len(kept[name]) == windows:
                continue
            load = ForeignLoad()
            measured = measure()
            if (cores := load.cores()) <= most_foreign:
                kept[name].append(measured)
            else:
                print(f"{name}: dropped, {cores:.2f} cores at other work", file=sys.stderr)
    return kept


@dataclasses.dataclass(frozen=True)
class Spread:
    """The median of some windows, and the ends of their range."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread | None:
        """Return None of no values: every window was dropped."""
        return cls(statistics.median(values), min(values), max(values)) if values else None

    def text(self, digits: str = ",.0f") -> str:
        """Return median and range in one notation."""
        if f"{self.low:{digits}}" == f"{self.high:{digits}}":
            return f"{self.median:{digits}}"
        return f"{self.median:{digits}} ({self.low:{digits}} to {self.high:{digits}})"
