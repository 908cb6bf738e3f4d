"""The processor's cores: how many there are to use, and how many threads could serve."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable

_MOST_THREADS = 8


def usable_cores() -> list[int]:
    """Return the numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def thread_counts() -> list[int]:
    """Return the thread counts worth trying: powers of two up to the cores, and the cores.

    Small networks get no faster by more than eight.
    """
    most = min(len(usable_cores()), _MOST_THREADS)
    return sorted({most, *(count for count in (1, 2, 4, 8) if count < most)})


def shares(processes: int) -> list[list[int]]:
    """Return the cores of each of so many processes; nothing where there is not one for each."""
    cores = usable_cores()
    if processes > len(cores):
        return []
    ends = [len(cores) * number // processes for number in range(processes + 1)]
    return [cores[start:end] for start, end in itertools.pairwise(ends)]


def keep_to(cores: Iterable[int]) -> None:
    """Keep this process on some cores, where the system knows how to."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
