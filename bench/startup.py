"""How soon gancli answers: its help, its import, and the first frame of a training on screen.

python bench/startup.py             # medians of 7
python bench/startup.py -n 3 --foreign 2
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path
from typing import NamedTuple

from windows import MOST_FOREIGN, Spread, environment, in_turn, run

TRAINING = "gancli train --digit 7"
_PATIENCE_SECONDS = 120
_LOOK_SECONDS = 0.002
_HALF_BLOCK = "▀".encode()  # of which the live view makes its pictures


class FirstFrame(NamedTuple):
    """Seconds from the start of `gancli train --digit 7` on."""

    on_disk: float
    on_screen: float


def first_frame() -> FirstFrame:
    """Train in a terminal of 100 x 40 until the first frame is a file and a picture on screen.

    Raises:
        TimeoutError: neither came within two minutes.
    """
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        words = ["train", "--digit", "7", "--runs-dir", folder]
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "gancli", *words],
            env={**environment(), "TERM": "xterm-256color", "COLORTERM": "truecolor"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        frames = Path(folder) / "digit-7" / "frames"
        try:
            return _wait(ours, frames, began)
        finally:
            process.kill()
            process.wait()
            os.close(ours)


def _wait(screen: int, frames: Path, began: float) -> FirstFrame:
    on_disk = on_screen = 0.0
    shown = b""
    while not (on_disk and on_screen):
        now = time.perf_counter() - began
        if now > _PATIENCE_SECONDS:
            raise TimeoutError(f"no first frame within {_PATIENCE_SECONDS} s: {shown[-500:]!r}")
        if not on_disk and any(frames.glob("*.png")):
            on_disk = now
        if select.select([screen], [], [], _LOOK_SECONDS)[0]:
            with contextlib.suppress(OSError):  # the other end has closed
                shown += os.read(screen, 65536)
        if not on_screen and _HALF_BLOCK in shown:
            on_screen = time.perf_counter() - began
    return FirstFrame(on_disk, on_screen)


def main() -> None:
    layout = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("-n", type=int, default=7, help="how often each is measured")
    parser.add_argument("--foreign", type=float, default=MOST_FOREIGN, help="cores others may use")
    wanted = parser.parse_args()

    commands = {
        "gancli --help": ["-m", "gancli", "--help"],
        "import gancli": ["-c", "import gancli"],
        "import torch": ["-c", "import torch"],
    }
    sides = {
        name: lambda words=words: run([sys.executable, *words]).seconds
        for name, words in commands.items()
    }
    for name, seconds in in_turn(sides, wanted.n, wanted.foreign).items():
        tell(name, seconds)
    frames = in_turn({TRAINING: first_frame}, wanted.n, wanted.foreign)[TRAINING]
    tell(f"{TRAINING}, first frame a file", [frame.on_disk for frame in frames])
    tell(f"{TRAINING}, first frame on screen", [frame.on_screen for frame in frames])


def tell(name: str, seconds: list[float]) -> None:
    spread = Spread.of(seconds)
    told = "not measured" if spread is None else f"{spread.text('.3f')} s, median of {len(seconds)}"
    print(f"{name}: {told}")


if __name__ == "__main__":
    main()
