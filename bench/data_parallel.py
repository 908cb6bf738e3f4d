"""Measure what a second process of one thread brings to one training: images per second, a ratio.

    python bench/data_parallel.py                          # R5's base recipe, about ten minutes
    python bench/data_parallel.py --recipe r4-base --seconds 20
    python bench/data_parallel.py --rounds 1 --seconds 5   # does it work at all?

One process and several take turns at the same global batch, for both meet the same machine then.
A turn in which other programs took more than a tenth of a core does not count (Linux alone tells).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FOREIGN_CORES = 0.1
TARGETS = "1.7 at least, 1.9 hoped for, of two processes on two cores"
ALONE = [sys.executable, "-m", "gancli"]
TOGETHER = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]


def main() -> None:
    layout = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--recipe", default="r5-base", help="what is trained")
    parser.add_argument("--processes", type=int, default=2, help="how many, beside one")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of a turn")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each")
    wanted = parser.parse_args()
    commands = {
        1: ALONE,
        wanted.processes: [*TOGETHER, str(wanted.processes), "-m", "gancli"],
    }
    speeds: dict[int, list[float]] = {processes: [] for processes in commands}
    for number in range(wanted.rounds):
        for processes, command in commands.items():
            speed, foreign = turn(command, wanted.recipe, wanted.seconds)
            counts = foreign <= FOREIGN_CORES
            said = f"round {number + 1}, {processes} of one thread: {speed:,.1f} images/s"
            if counts:
                speeds[processes].append(speed)
            else:
                said += f" (does not count: others took {foreign:.2f} cores)"
            print(said, flush=True)
    if not all(speeds.values()):
        sys.exit("other programs were busy all the time: no turn counts")
    one, several = (statistics.median(found) for found in speeds.values())
    print(
        f"{wanted.recipe}: {one:,.1f} and {several:,.1f} images/s, {several / one:.2f}x ({TARGETS})"
    )


def turn(command: list[str], recipe: str, seconds: float) -> tuple[float, float]:
    """Train for a while; return images per second of steps, and the cores that others used."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["train", "--recipe", recipe, "--threads", "1", "--device", "cpu", "--json"]
        words += ["--max-seconds", str(seconds), "--runs-dir", folder]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        began, busy, ours = time.monotonic(), busy_seconds(), own_seconds()
        done = subprocess.run(
            [*command, *words],
            env=environment,
            cwd=Path(__file__).parent.parent,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(done.stderr)
        foreign = (busy_seconds() - busy) - (own_seconds() - ours)
        return json.loads(done.stdout)["images_per_second"], foreign / (time.monotonic() - began)


def own_seconds() -> float:
    """Return the processor time of this program and of what it has started and seen end."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in spent)


def busy_seconds() -> float:
    """Return the processor time of all programs since the machine started; where unknown, 0."""
    try:
        user, nice, system, *_ = map(int, Path("/proc/stat").read_text().split()[1:4])
    except OSError:
        return 0.0
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
