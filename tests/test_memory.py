from __future__ import annotations

import ctypes
import json
import resource
import subprocess
import sys

import pytest

from gancli import memory

ON_GLIBC = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt")
MEGABYTE = 1_000_000
# Prints pages that were asked for by ten buffers of 40 MB in turn, and what is held at the end.
BUFFERS = """
import json, resource, sys
from pathlib import Path
from gancli import memory

memory._ROOMY_BYTES = float(sys.argv[1])
for turn in range(12):
    if turn == 2:
        memory.keep_freed()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    buffer = bytearray(40_000_000)
    del buffer
asked = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
held = []
for _ in range(2):
    held.append(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize())
    memory.give_back()
print(json.dumps([asked * resource.getpagesize(), *held]))
"""


def buffers(roomy: float) -> list[int]:
    done = subprocess.run(
        [sys.executable, "-c", BUFFERS, str(roomy)], capture_output=True, text=True, check=True
    )
    found: list[int] = json.loads(done.stdout)
    return found


def test_the_peak_is_the_most_that_was_held_at_once() -> None:
    before = memory.peak_bytes()
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert before is not None
    assert before in (held, held * 1024)
    assert 20 * MEGABYTE < before < 1e11


@pytest.mark.skipif(not ON_GLIBC, reason="other C libraries have their own ways")
def test_what_is_freed_is_kept_where_there_is_room_and_given_back_when_asked() -> None:
    asked, held, left = buffers(1e12)
    # The first buffer that is kept is asked for once.
    assert 0 <= asked < 60 * MEGABYTE
    assert 40 * MEGABYTE < held < 140 * MEGABYTE
    assert held - left > 30 * MEGABYTE
    asked, held, left = buffers(0)
    assert 300 * MEGABYTE < asked < 600 * MEGABYTE
    assert abs(held - left) < 20 * MEGABYTE


def test_systems_without_these_functions_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.sys, "platform", "darwin")
    memory.give_back()
    monkeypatch.undo()
    memory._ask_c_library("no_such_function_anywhere", 1)


def test_commands_look_for_garbage_less_often_than_python_does() -> None:
    found = subprocess.run(
        [
            sys.executable,
            "-c",
            "import gc, sys; sys.argv = ['gancli', '--version']\n"
            "import os; os._exit = lambda code: print(gc.get_threshold()[0])\n"
            "from gancli.cli import program; program()",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.splitlines()[-1] == "10000"
