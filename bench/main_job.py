"""Measure the main job from the outside, as a user meets it, and print the figures.

    python bench/main_job.py            # all of it, about twenty minutes on two cores
    python bench/main_job.py --digits 7 # one digit, no comparison of --jobs

Works in a temporary folder. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

GANCLI = [sys.executable, "-m", "gancli"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--digits", default="0-9", help="as for gancli train --digit")
    arguments = parser.parse_args()
    print(f"machine: {os.cpu_count()} cores, {_processor()}, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        help_seconds = [timed([*GANCLI, "--help"])[0] for _ in range(7)]
        print(f"gancli --help: {statistics.median(help_seconds):.3f} s (median of 7)")
        first, _, last = arguments.digits.partition("-")
        digits = list(range(int(first), int(last or first) + 1))
        single = {digit: train(["--digit", str(digit)]) for digit in digits}
        for digit, (seconds, session) in single.items():
            share = session["step_seconds"] / seconds
            memory = session["peak_memory_bytes"] / 1e9
            print(
                f"train --digit {digit}: {seconds:.1f} s, {share:.1%} of them in steps, "
                f"{session['images_per_second']:,.0f} images/s, peak {memory:.2f} GB"
            )
        for digit in digits:
            seconds, card = result(["evaluate", f"digit-{digit}"])
            figures = "  ".join(
                f"{figure['name']} {figure['value']:.4g} (real {figure['real']:.4g})"
                for figure in card["figures"]
            )
            print(f"evaluate digit-{digit}: {seconds:.1f} s  {figures}")
        seconds, made = result(["animate", f"digit-{digits[-1]}"])
        for film in made["films"]:
            print(
                f"{Path(film['path']).name}: {film['frames']} frames, {film['seconds']:g} s, "
                f"{film['width']}x{film['height']}, {film['bytes'] / 1e6:.2f} MB"
            )
        print(f"animate: {seconds:.1f} s")
        if len(digits) > 1:
            jobs = ["--jobs", "2", "--quiet", "--runs-dir", "jobs"]
            together, _ = timed([*GANCLI, "train", "--digit", arguments.digits, *jobs])
            in_turn = sum(seconds for seconds, _ in single.values())
            print(
                f"--digit {arguments.digits} --jobs 2: {together:.1f} s against {in_turn:.1f} s "
                f"for the same in turn: {in_turn / together:.2f}x"
            )


def timed(command: list[str]) -> tuple[float, str]:
    """Return the wall seconds of a command and its stdout."""
    start = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.perf_counter() - start, done.stdout


def result(arguments: list[str]) -> tuple[float, dict[str, Any]]:
    seconds, stdout = timed([*GANCLI, *arguments, "--quiet", "--json"])
    return seconds, json.loads(stdout)


def train(arguments: list[str]) -> tuple[float, dict[str, Any]]:
    """Return the wall seconds of a training and its session as run.json tells it."""
    seconds, outcome = result(["train", *arguments])
    status = json.loads((Path(outcome["path"]) / "run.json").read_text())
    return seconds, status["sessions"][-1]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


if __name__ == "__main__":
    main()
