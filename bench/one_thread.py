"""gancli's commands on one thread each, so that two trainings side by side do not disturb."""

from __future__ import annotations

import os
import subprocess
import sys


def succeeds(words: list[str]) -> bool:
    """Give a command, tell how it ended on stderr, and return whether it did well."""
    done = subprocess.run(
        [sys.executable, "-m", "gancli", *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    outcome = "done" if done.returncode == 0 else f"exit {done.returncode}, {done.stderr.strip()}"
    print(f"gancli {' '.join(words)}: {outcome}", file=sys.stderr, flush=True)
    return done.returncode == 0
