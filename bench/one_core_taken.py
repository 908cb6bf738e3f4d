"""Measure what is left of gancli's speed when another process takes a core from the start.

    python bench/one_core_taken.py                # two minutes and a half on two cores
    python bench/one_core_taken.py --only digit --seconds 1 --foreign 9   # a trial of this script

Each recipe trains by `--threads auto`, on the free machine and beside a process that keeps one core
busy, in turn. Aimed at is 45 % of the free machine's images a second.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import subprocess
import sys
from collections.abc import Callable

from speed import BEFORE_STEPS_SECONDS, trained
from windows import MOST_FOREIGN, in_turn

from gancli.cores import usable_cores

RECIPES = {"r4-base": [], "digit": ["--digit", "7"], "r5-base": []}
AIM = 0.45
BUSY = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"


def speed(recipe: str, seconds: float, taken: bool) -> tuple[float, int]:
    """Return images a second and the threads chosen, with the last core taken or not."""
    words = ["--recipe", recipe, *RECIPES[recipe], "--threads", "auto", "--device", "cpu"]
    core = str(usable_cores()[-1])
    other = subprocess.Popen([sys.executable, "-c", BUSY if taken else "", core])
    try:
        limit = ["--max-seconds", str(seconds + BEFORE_STEPS_SECONDS)]
        with trained(*words, *limit) as (_, session, config):
            return session["images_per_second"], config["training"]["threads"]
    finally:
        other.kill()
        other.wait()  # its seconds count as ours from here on, not as foreign load


def main() -> None:
    layout = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--only", default="", help=f"those whose names begin so: {list(RECIPES)}")
    parser.add_argument("--seconds", type=float, default=8.0, help="of a window")
    parser.add_argument("--windows", type=int, default=3, help="of each side")
    parser.add_argument("--foreign", type=float, default=MOST_FOREIGN, help="cores others may use")
    wanted = parser.parse_args()
    for recipe in (name for name in RECIPES if name.startswith(wanted.only)):
        sides: dict[str, Callable[[], tuple[float, int]]] = {
            side: functools.partial(speed, recipe, wanted.seconds, taken)
            for side, taken in (("free", False), ("taken", True))
        }
        found = in_turn(sides, wanted.windows, wanted.foreign)
        if not all(found.values()):
            sys.exit("others were at work all the time; wait, or raise --foreign")
        free, taken = (statistics.median([rate for rate, _ in kept]) for kept in found.values())
        threads = [sorted({count for _, count in kept}) for kept in found.values()]
        print(
            f"{recipe}: {taken / free:.0%} of the free machine's ({taken:,.0f} of {free:,.0f} "
            f"images/s; threads {threads[1]} and {threads[0]}; aim {AIM:.0%}): "
            f"{'yes' if taken / free >= AIM else 'no'}"
        )


if __name__ == "__main__":
    main()
