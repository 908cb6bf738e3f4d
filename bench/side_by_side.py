"""Trainings of a benchmark: in processes of one thread, two at a time, and none done twice."""

from __future__ import annotations

import concurrent.futures
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gancli import files
from gancli.config import RunConfig, differences
from gancli.errors import GancliError
from gancli.observing import Observer
from gancli.placement import Placement
from gancli.runs import RunDirectory, Status
from gancli.session import train

_RESULT = "measured.json"


def found(run: Path, config: RunConfig) -> dict[str, Any] | None:
    """Return what was measured of a run of this config; None if there is none."""
    try:
        if differences(RunDirectory(run).read_config(), config):
            return None
        measured: dict[str, Any] = json.loads((run / _RESULT).read_text())
    except (OSError, GancliError):
        return None
    return measured


def keep(run: Path, measured: dict[str, Any]) -> None:
    """Keep what was measured of a run in its folder."""
    files.write_text(run / _RESULT, json.dumps(measured) + "\n")


def give(commands: Sequence[Sequence[object]], at_a_time: int) -> None:
    """Give Python commands, so many at a time; each tells on stderr how it ended."""

    def one(words: Sequence[object]) -> None:
        command = [sys.executable, *map(str, words)]
        done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
        print(words[-1], "done" if done.returncode == 0 else "failed", file=sys.stderr, flush=True)

    with concurrent.futures.ThreadPoolExecutor(at_a_time) as pool:
        list(pool.map(one, commands))


def train_afresh(config: RunConfig, run: Path) -> tuple[RunDirectory, float]:
    """Train a run from its start, and return it with the seconds of a core that it took.

    Raises:
        SystemExit: it was stopped before its end, of which nothing is to be measured.
    """
    began = os.times()
    directory = RunDirectory(run)
    (run / _RESULT).unlink(missing_ok=True)  # of the run that lies there
    outcome = train(config, Placement(directory, device="cpu", force=True), Observer())
    if outcome.status is not Status.FINISHED:
        raise SystemExit(f"{run}: {outcome.status} at step {outcome.step:,}")
    ended = os.times()
    return directory, ended.user + ended.system - began.user - began.system
