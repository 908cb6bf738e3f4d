"""Print the most memory that a short training of each shipped recipe holds.

    python bench/memory.py                  # all of them, some minutes
    python bench/memory.py --only r5        # those whose names begin so
    python bench/memory.py --steps 6 --threads 1 2

Each is trained by `gancli train` as a user starts it, at its own batch, with its frames, log and
checkpoint, by the threads given. It fails if one reaches 1 GB.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from speed_page import MOST_MEMORY, Memory
from windows import environment

from gancli import recipes

DIGIT = "7"


def peak(recipe: str, steps: int, threads: str) -> Memory:
    """Train some steps of a recipe, and return the most that the process held."""
    one_class = recipe == recipes.ONE_CLASS or recipe.startswith("r1")
    words = ["--recipe", recipe, *(["--digit", DIGIT] if one_class else []), "--device", "cpu"]
    words += ["--steps", str(steps), "--threads", threads, "--quiet"]
    with tempfile.TemporaryDirectory() as folder:
        place = ["--runs-dir", folder, "--name", "measured"]
        command = [sys.executable, "-m", "gancli", "train", *words, *place]
        subprocess.run(command, env=environment(), stdout=subprocess.DEVNULL, check=True)
        status = json.loads((Path(folder) / "measured" / "run.json").read_text())
    return Memory(recipe, status["sessions"][-1]["peak_memory_bytes"])


def main() -> None:
    layout = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--only", default="", help="recipes whose names begin so")
    parser.add_argument("--steps", type=int, default=5, help="of each training")
    parser.add_argument("--threads", nargs="+", default=["auto"], help="as for gancli train")
    wanted = parser.parse_args()
    above = False
    print(f"{'recipe':36} threads  peak MB  under {MOST_MEMORY / 1e6:,.0f} MB")
    for name in (name for name in recipes.names() if name.startswith(wanted.only)):
        for threads in wanted.threads:
            held = peak(name, wanted.steps, threads).peak_bytes
            above |= held >= MOST_MEMORY
            fits = "no" if held >= MOST_MEMORY else "yes"
            print(f"{name:36} {threads:>7} {held / 1e6:8,.0f}  {fits}", flush=True)
    sys.exit(1 if above else 0)


if __name__ == "__main__":
    main()
