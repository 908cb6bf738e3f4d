"""The memory of this process: how much it has held, and what becomes of what it frees."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys

# Of glibc's malloc.h, where mallopt(3) explains them.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_MOST = 2**31 - 1
_ROOMY_BYTES = 750_000_000


def keep_freed() -> None:
    """Keep what this process frees from here on for what it asks for next, if there is room.

    A step of convolutions frees buffers of 100 MB that the next one wants again. The C library on
    Linux hands them back to the system in between, and a tenth of the step goes into pages that the
    system clears for it anew. What is kept is not used without gaps, which may cost a third more
    memory: a process that has held much at once is left as it is, and one on another system.
    """
    if (peak_bytes() or 0) < _ROOMY_BYTES:
        _ask_c_library("mallopt", _M_MMAP_MAX, 0)
        _ask_c_library("mallopt", _M_TRIM_THRESHOLD, _MOST)


def collect_rarely() -> None:
    """Look for garbage in cycles less often than Python does, as of now.

    While the thousands of modules of torch load there is none, and a tenth of that time goes into
    looking.
    """
    gc.set_threshold(10_000)


def give_back() -> None:
    """Hand what lies free back to the system; clearing it anew takes the time it takes.

    Between pieces in use, freed ones may be too small for what is asked for next.
    """
    _ask_c_library("malloc_trim", 0)


def peak_bytes() -> int | None:
    """Return the most that this process has held at once; None where the system does not tell."""
    with contextlib.suppress(ImportError):
        import resource  # noqa: PLC0415 - Unix alone has it

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return None


def _ask_c_library(name: str, *numbers: int) -> None:
    """Call a function of glibc; other C libraries have none of that name."""
    if sys.platform == "linux":
        function = getattr(ctypes.CDLL(None), name, None)
        if function is not None:
            function(*numbers)
