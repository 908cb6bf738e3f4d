"""Measure gancli against plain PyTorch loops of the same work, and write docs/speed.md.

    python bench/speed.py                                  # all of it: about an hour on two cores
    python bench/speed.py --only dcgan --windows 3         # the rows whose names begin so, no page
    python bench/speed.py --device cuda > docs/speed-cuda.md   # both sides on a GPU, no targets
    python bench/speed.py --seconds 1 --windows 1 --rounds 1 --scale 0.02 --foreign 9 --no-page

Both sides run as commands of their own, in turn: a window of gancli, a window of the plain loop of
bench/plain_loops.py, and so on. A window during which other processes used more than 0.1 core is
dropped; what counts is the median of the windows. Seconds are those in steps, with the loading of
images and without the start of either side; rows about whole commands say so. Run it on a machine
that does nothing else. The last line above is a trial of this script, not of gancli.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import speed_page
import torch
from memory import peak
from speed_page import (
    COMMANDS,
    LEAST_OF_REFERENCE,
    R1_SECONDS_A_DIGIT,
    WORKS,
    Command,
    Figure,
    Rate,
    Results,
    Side,
    Work,
)
from startup import first_frame
from windows import MOST_FOREIGN, Ran, Spread, environment, in_turn, run

from gancli import api, recipes
from gancli.cores import usable_cores

BENCH = Path(__file__).parent
PAGE = BENCH.parent / "docs" / "speed.md"
PLAIN = [sys.executable, str(BENCH / "plain_loops.py")]
CEILINGS = [sys.executable, str(BENCH / "ceilings.py")]
GANCLI = [sys.executable, "-m", "gancli"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]

T = TypeVar("T")

R1_STEPS = 2000
SHARE_SECONDS = 30.0
# Ten runs in turn are long; what a command costs beside its steps weighs more in short ones.
JOBS_LENGTH = 1 / 4
# What is trained beside a process that keeps a core busy.
BESIDE_ANOTHER = {"r4-base": [], "digit": ["--digit", "7"], "r5-base": []}
BUSY = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"
# A run's clock counts reading the data and trying out threads; a window of steps comes after.
BEFORE_STEPS_SECONDS = 2.0


@dataclasses.dataclass(frozen=True)
class Lengths:
    """How long and how often things are measured.

    Attributes:
        seconds: of a window.
        windows: how many of each side.
        rounds: how often a whole command is measured.
        scale: of the lengths of whole trainings; 1 but for a trial of this script.
        foreign: cores that others may use during a window.
        device: what both sides train on.
    """

    seconds: float
    windows: int
    rounds: int
    scale: float
    foreign: float
    device: str


def main() -> None:
    layout = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    names = [row.name for row in (*WORKS, *COMMANDS)]
    parser.add_argument("--only", default="", help=f"the rows whose names begin so: {names}")
    parser.add_argument("--seconds", type=float, default=6.0, help="of a window")
    parser.add_argument("--windows", type=int, default=5, help="windows of each side")
    parser.add_argument("--rounds", type=int, default=3, help="how often a command is measured")
    parser.add_argument("--scale", type=float, default=1.0, help="of the lengths of whole runs")
    parser.add_argument("--foreign", type=float, default=MOST_FOREIGN, help="cores others may use")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps")
    parser.add_argument("--no-page", action="store_true", help="print the page, write nothing")
    wanted = parser.parse_args()
    lengths = Lengths(
        wanted.seconds,
        wanted.windows,
        wanted.rounds,
        wanted.scale,
        wanted.foreign,
        wanted.device,
    )
    works = [work for work in WORKS if work.name.startswith(wanted.only)]
    if wanted.device != "cpu":
        rates = [told(rate_of(work, lengths)) for work in works]
        name = torch.cuda.get_device_name() if wanted.device == "cuda" else wanted.device
        print(speed_page.accelerated(rates, name, lengths.windows, lengths.foreign))
        return
    commands = [command for command in COMMANDS if command.name.startswith(wanted.only)]
    results = Results(
        ceilings=ceilings(lengths),
        rates=[told(rate_of(work, lengths)) for work in works],
        figures=[told(figure_of(command, lengths)) for command in commands],
        memories=[]
        if wanted.only or wanted.scale < 1
        else [peak(name, 5, "auto") for name in recipes.names()],
    )
    text = speed_page.text(results, lengths.windows, lengths.rounds, lengths.foreign)
    print(text)
    if not (wanted.only or wanted.no_page):
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(text)
        print(PAGE, file=sys.stderr)


def told(row: T) -> T:
    print(row, file=sys.stderr, flush=True)
    return row


def ceilings(lengths: Lengths) -> dict[str, Spread | None]:
    """Return GFLOP/s by the names of bench/ceilings.py."""
    words = ["--seconds", str(lengths.seconds / 10)]
    sides = {"ceilings": lambda: json.loads(run([*CEILINGS, *words]).stdout)}
    found = in_turn(sides, lengths.windows, lengths.foreign)["ceilings"]
    kinds = [
        f"{what} {numbers}" for what in ("dense", "convolution") for numbers in ("fp32", "bf16")
    ]
    return {kind: Spread.of([one[kind] for one in found]) for kind in kinds}


def rate_of(work: Work, lengths: Lengths) -> Rate:
    """Measure windows of one work, gancli's and the plain loop's in turn."""
    digit = [] if work.digit is None else ["--digit", str(work.digit)]

    def plain() -> Side:
        length = ["--seconds", str(lengths.seconds), "--device", lengths.device]
        made = json.loads(run([*PLAIN, work.recipe, *digit, *length]).stdout)
        return Side(made["images"] / made["seconds"], made["peak_memory_bytes"])

    def ours() -> Side:
        limit = ["--max-seconds", str(lengths.seconds + BEFORE_STEPS_SECONDS)]
        words = ["--recipe", work.recipe, *digit, *limit]
        with trained(*words, device=lengths.device) as (_, session, config):
            way = f"{config['training']['threads']} threads, {config['training']['precision']}"
            return Side(session["images_per_second"], session["peak_memory_bytes"], way)

    found = in_turn({"gancli": ours, "plain": plain}, lengths.windows, lengths.foreign)
    count = json.loads(run([*CEILINGS, "--count", work.recipe]).stdout)["operations"]
    training = api.describe(work.recipe).training
    return Rate(
        work, found["gancli"], found["plain"], count / (training.batch_size * training.d_steps)
    )


@contextlib.contextmanager
def trained(
    *words: str, device: str = "cpu"
) -> Iterator[tuple[Ran, dict[str, Any], dict[str, Any]]]:
    """Train one run in a folder of its own; yield the command, its last session and its config."""
    with tempfile.TemporaryDirectory() as folder:
        place = ["--runs-dir", folder, "--device", device]
        ran = run([*GANCLI, "train", *words, *place, "--quiet", "--json"])
        path = Path(json.loads(ran.stdout)["path"])
        session = json.loads((path / "run.json").read_text())["sessions"][-1]
        yield ran, session, tomllib.loads((path / "config.toml").read_text())


def train_seconds(*words: str) -> float:
    """Return the wall seconds of a whole command that trains."""
    with tempfile.TemporaryDirectory() as folder:
        place = ["--runs-dir", folder, "--device", "cpu"]
        return run([*GANCLI, "train", *words, *place, "--quiet"]).seconds


def figure_of(command: Command, lengths: Lengths) -> Figure:
    measure = {
        "r1-digits": r1_digits,
        "jobs": jobs,
        "share": share,
        "first-frame": first_frame_seconds,
        "data-parallel": data_parallel,
        "core-taken": core_taken,
    }[command.name]
    return measure(command, lengths)


def r1_digits(command: Command, lengths: Lengths) -> Figure:
    """R1's ten digits by one command, all of it counted, against ten plain loops' steps alone."""
    steps = max(1, round(R1_STEPS * lengths.scale))

    def ours() -> tuple[float, float]:
        length = ["--steps", str(steps)]
        words = ["--recipe", "r1-fc", "--digit", "0-9", *length, "--jobs", "auto"]
        taken = train_seconds(*words)
        return taken, taken

    def plain() -> tuple[float, float]:
        words = [[*PLAIN, "r1-fc", "--digit", str(n), "--steps", str(steps)] for n in api.DIGITS]
        loops = [run(one) for one in words]
        in_steps = sum(float(json.loads(loop.stdout)["seconds"]) for loop in loops)
        return in_steps, sum(loop.seconds for loop in loops)

    found = in_turn({"gancli": ours, "plain": plain}, lengths.rounds, lengths.foreign)
    in_steps, whole = ({side: [both[n] for both in found[side]] for side in found} for n in (0, 1))
    figure, as_commands = ratio(command, in_steps), Spread.of(whole["plain"])
    spread = Spread.of(in_steps["plain"])
    if figure.value is None or spread is None or as_commands is None:
        return figure
    expected = R1_SECONDS_A_DIGIT * len(api.DIGITS) * steps / R1_STEPS
    more = f"{as_commands.text(',.1f')} s ({ratio(command, whole).value:.2f}x) with their starts"
    return dataclasses.replace(
        figure,
        words=f"{figure.words}, {more}",
        counts=spread.median <= expected / LEAST_OF_REFERENCE,
    )


def jobs(command: Command, lengths: Lengths) -> Figure:
    """Ten digits two at a time against the same in turn on two threads, by a command each."""
    steps = api.describe(digit=0).training.steps or 0
    words = ["--digit", "0-9", "--steps", str(max(1, round(steps * JOBS_LENGTH * lengths.scale)))]
    sides = {
        "gancli": lambda: train_seconds(*words, "--jobs", "2"),
        "in turn": lambda: train_seconds(*words, "--threads", "2"),
    }
    return ratio(command, in_turn(sides, lengths.rounds, lengths.foreign))


def ratio(command: Command, seconds: dict[str, list[float]]) -> Figure:
    """Return by how much the first of two sides is faster."""
    (name, ours), (other, theirs) = ((side, Spread.of(found)) for side, found in seconds.items())
    if ours is None or theirs is None:
        return Figure(command, None)
    words = f"{name} {ours.text(',.1f')} s, {other} {theirs.text(',.1f')} s"
    return Figure(command, theirs.median / ours.median, words)


def share(command: Command, lengths: Lengths) -> Figure:
    """The default training of all digits, stopped soon after what makes a run a long one."""

    def measure() -> float:
        limit = ["--max-seconds", str(SHARE_SECONDS * lengths.scale)]
        with trained(*limit) as (ran, session, _):
            return 100 * float(session["step_seconds"]) / ran.seconds

    found = in_turn({"share": measure}, lengths.rounds, lengths.foreign)["share"]
    return median(command, found, ".1f", "%")


def first_frame_seconds(command: Command, lengths: Lengths) -> Figure:
    found = in_turn({"first frame": first_frame}, lengths.windows, lengths.foreign)["first frame"]
    return median(command, [frame.on_screen for frame in found], ".2f", "s")


def median(command: Command, found: list[float], digits: str, unit: str) -> Figure:
    spread = Spread.of(found)
    if spread is None:
        return Figure(command, None)
    return Figure(command, spread.median, f"{spread.text(digits)} {unit}")


def data_parallel(command: Command, lengths: Lengths) -> Figure:
    """R5's base by two processes of one thread against one, where torchrun can start gancli."""

    def measure(launcher: list[str]) -> float | None:
        limit = str(lengths.seconds + BEFORE_STEPS_SECONDS)
        with tempfile.TemporaryDirectory() as folder:
            words = ["train", "--recipe", "r5-base", "--threads", "1", "--max-seconds", limit]
            place = ["--name", "measured", "--runs-dir", folder, "--device", "cpu", "--quiet"]
            done = subprocess.run(
                [*launcher, *words, *place], env=environment(), capture_output=True, check=False
            )
            if done.returncode:
                return None
            status = json.loads((Path(folder) / "measured" / "run.json").read_text())
            return float(status["sessions"][-1]["images_per_second"])

    one, two = GANCLI, [*TORCHRUN, "-m", "gancli"]
    if measure(two) is None:
        return Figure(command, None, "torchrun does not train with this gancli")
    found = in_turn(
        {"one": lambda: measure(one), "two": lambda: measure(two)},
        lengths.windows,
        lengths.foreign,
    )
    alone, together = (Spread.of([rate for rate in found[side] if rate]) for side in ("one", "two"))
    if alone is None or together is None:
        return Figure(command, None)
    words = f"two {together.text(',.0f')} images/s, one {alone.text(',.0f')} images/s"
    return Figure(command, together.median / alone.median, words)


def core_taken(command: Command, lengths: Lengths) -> Figure:
    """Recipes by `--threads auto` beside a process that keeps the last core busy; the worst."""

    def measure(recipe: str, taken: bool) -> float:
        words = ["--recipe", recipe, *BESIDE_ANOTHER[recipe], "--threads", "auto"]
        limit = ["--max-seconds", str(lengths.seconds + BEFORE_STEPS_SECONDS)]
        core = str(usable_cores()[-1])
        other = subprocess.Popen([sys.executable, "-c", BUSY if taken else "", core])
        try:
            with trained(*words, *limit) as (_, session, _):
                return float(session["images_per_second"])
        finally:
            other.kill()
            other.wait()  # its seconds count as ours from here on, not as foreign load

    shares, words = [], []
    for recipe in BESIDE_ANOTHER:
        sides: dict[str, Callable[[], float]] = {
            "taken": functools.partial(measure, recipe, True),
            "free": functools.partial(measure, recipe, False),
        }
        found = in_turn(sides, lengths.rounds, lengths.foreign)
        taken, free = Spread.of(found["taken"]), Spread.of(found["free"])
        if taken is None or free is None:
            return Figure(command, None)
        shares.append(100 * taken.median / free.median)
        words.append(f"`{recipe}` {shares[-1]:.0f} % ({taken.text()} of {free.text()} images/s)")
    return Figure(command, min(shares), ", ".join(words))


if __name__ == "__main__":
    main()
