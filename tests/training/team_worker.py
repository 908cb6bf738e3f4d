"""One process of a team: trains the jobs it is given, and prints what each came to."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from gancli import doctor, ranks, recording, session
from gancli.config import from_table
from gancli.errors import GancliError, StorageError
from gancli.jobs import outcome_as_dict
from gancli.observing import Observer
from gancli.placement import Placement
from gancli.runs import RunDirectory
from gancli.training import loop
from gancli.training.step import train_step

RANK = ranks.here().rank
FAILURES = {"bug": ValueError("not foreseen"), "disk": StorageError("no memory here")}


def main() -> None:
    for job in json.loads(sys.argv[1]):
        print(json.dumps(come_to(job)), flush=True)


def come_to(job: dict[str, Any]) -> dict[str, Any]:
    def step(state: Any, *words: Any, **more: Any) -> Any:
        if RANK == 1 and "failure" in job and state.step == 4:
            raise FAILURES[job["failure"]]
        if job.get("stopping_rank", 0) == RANK and state.step + 1 == job.get("stop_after"):
            signal.raise_signal(signal.SIGTERM)
        return train_step(state, *words, **more)

    loop.train_step = step
    if "unhealthy" in job:
        finding = SimpleNamespace(name="failure", sentence=lambda: "it fails")
        diagnosis = SimpleNamespace(failure=finding)
        recording.doctor = SimpleNamespace(diagnose=lambda *_, **__: diagnosis)
    else:
        recording.doctor = doctor
    config = from_table(job["config"])
    placement = Placement(
        RunDirectory(Path(job["folder"])),
        "cpu",
        max_seconds=job.get("max_seconds"),
        on_failure="stop" if "unhealthy" in job else "warn",
    )
    try:
        outcome = session.train(config, placement, Observer())
    except GancliError as error:
        return {"exit_code": error.exit_code, "message": str(error)}
    except ValueError as error:
        return {"exit_code": 1, "message": str(error)}
    return {"exit_code": 0, **outcome_as_dict(outcome)}


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
    sys.stdout.flush()
    os._exit(0)  # torch takes a second to unload
