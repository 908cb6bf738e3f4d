"""How tests give commands: inside this process where many are given, as a process where it counts.

`lab` offers data, a recipe and finished runs that are small enough to be trained in a blink.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import io
import json
import os
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

COMMAND = (sys.executable, "-m", "gancli")
PATIENCE = 120.0
SIGNALS = [getattr(signal, f"SIG{name}") for name in ("INT", "TERM", "HUP")]

TINY = """
extends = "digit"
[data]
image_size = 8
[latent]
size = 4
[generator]
layers = ["dense 8", "leaky_relu 0.2", "dense channels size size", "tanh"]
[discriminator]
layers = ["flatten", "dense 8", "leaky_relu 0.2", "dropout 0.2", "dense 1"]
[loss]
r1 = 0.0
r2 = 0.0
[training]
batch_size = 16
steps = 60
[record]
frame_rows = 2
frame_columns = 4
frame_every = 3
checkpoint_every_seconds = 0
"""


@dataclasses.dataclass(frozen=True)
class Done:
    """What a command left behind: its exit code and its words."""

    code: int
    stdout: str
    stderr: str

    @property
    def made(self) -> Path:
        """The path on the last line of stdout."""
        return Path(self.stdout.splitlines()[-1])

    @property
    def json(self) -> dict:
        """The one JSON object that stdout is, strictly: no NaN, nothing beside it."""

        def refuse(word: str) -> None:
            raise ValueError(f"{word} is not JSON")

        assert self.stdout.count("\n") == 1
        found = json.loads(self.stdout, parse_constant=refuse)
        assert isinstance(found, dict)
        return found

    @property
    def next(self) -> list[str]:
        """The words of the command that this one named as the natural next."""
        named = [line for line in self.stderr.splitlines() if line.startswith("next: ")]
        assert len(named) == 1, self.stderr
        return shlex.split(named[0].removeprefix("next: "))


def call(*words: object) -> Done:
    """Give a command inside this process, in the current folder."""
    import torch

    from gancli.cli import main

    torch.set_num_threads(1)
    stdout, stderr, code = io.StringIO(), io.StringIO(), None
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        with (
            patch.object(sys, "argv", ["gancli", *map(str, words)]),
            contextlib.redirect_stdout(stdout),
            contextlib.redirect_stderr(stderr),
        ):
            main()
    except SystemExit as end:
        code = end.code
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert isinstance(code, int)
    return Done(code, stdout.getvalue(), stderr.getvalue())


def made(*words: object) -> Done:
    """Give a command that must succeed."""
    done = call(*words)
    assert done.code == 0, done.stderr
    return done


def refused(code: int, *words: object) -> str:
    """Give a command that must fail with a code and one sentence, and return the sentence."""
    done = call(*words)
    assert done.code == code, (done.code, done.stderr)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert done.stderr.splitlines()[-1] == errors[0]
    return errors[0]


def environment(**changes: str) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GANCLI_") and name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")
    }
    return {**kept, "OMP_NUM_THREADS": "1", **changes}


def process(
    *words: object, cwd: Path, before: Callable[[], None] | None = None, **changes: str
) -> Done:
    """Give a command as a process and wait for it."""
    done = subprocess.run(
        [*COMMAND, *map(str, words)],
        cwd=cwd,
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        stdin=subprocess.DEVNULL,
        preexec_fn=before,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@contextlib.contextmanager
def started(*words: object, cwd: Path, **changes: str) -> Iterator[subprocess.Popen[str]]:
    """Start a command as a process that ends with the block at the latest."""
    running = subprocess.Popen(
        [*COMMAND, *map(str, words)],
        cwd=cwd,
        env=environment(**changes),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        with running:
            yield running
    finally:
        running.kill()


def ended(running: subprocess.Popen[str]) -> Done:
    """Wait for a process to end."""
    stdout, stderr = running.communicate(timeout=PATIENCE)
    return Done(running.returncode, stdout, stderr)


def shell(script: str, cwd: Path) -> Done:
    """Run a script in which `gancli` is the command."""
    done = subprocess.run(
        ["sh", "-c", script.replace("gancli ", f"{shlex.join(COMMAND)} ")],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def wait_until(true: Callable[[], bool], running: subprocess.Popen[str] | None = None) -> bool:
    """Wait for something to become true; tell whether it did before a process ended."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "nothing happened"
        if running is not None and running.poll() is not None:
            return true()
        time.sleep(0.002)
    return True


def files_below(folder: Path) -> dict[str, tuple[str, int]]:
    """Return the SHA-256 and the time of the last change of every file below a folder."""
    return {
        str(path.relative_to(folder)): (_sha256(path), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def outcome(run: Path) -> dict[str, str]:
    """Return the SHA-256 of all that two equal trainings must have alike."""
    paths = [
        run / "config.toml",
        run / "log.jsonl",
        max(run.glob("state-*.safetensors")),
        *run.glob("frames/*"),
        *run.glob("snapshots/*"),
    ]
    return {str(path.relative_to(run)): _sha256(path) for path in sorted(paths)}


def leftovers(folder: Path) -> list[Path]:
    """Return the temporary files that lie below a folder."""
    return [path for path in folder.rglob(".*") if path.name not in (".lock",)]


def status_of(run: Path) -> dict:
    return json.loads((run / "run.json").read_text())


def log_of(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def states(run: Path) -> list[Path]:
    return sorted(run.glob("state-*.safetensors"))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_idx(path: Path, shape: tuple[int, ...], content: bytes, kind: int = 8) -> Path:
    """Write an IDX file whose header says what it is told to."""
    path.write_bytes(struct.pack(f">HBB{len(shape)}I", 0, kind, len(shape), *shape) + content)
    return path


class Lab:
    """Small data, a small recipe, and runs that many tests look at and none changes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        random = np.random.default_rng(0)
        pixels = random.integers(0, 256, (64, 8, 8), dtype=np.uint8).tobytes()
        self.recipe = root / "tiny.toml"
        self.recipe.write_text(TINY)
        self.data = write_idx(root / "noise.idx", (64, 8, 8), pixels)
        self.classes = write_idx(root / "three.idx", (64, 8, 8), pixels)
        write_idx(root / "three.labels.idx", (64,), bytes(index % 3 for index in range(64)))

    @property
    def tiny(self) -> list[object]:
        """The words that train a tiny run called ``a`` on noise."""
        return self._words(self.data)

    def _words(self, data: Path) -> list[object]:
        words = ["train", "--recipe", self.recipe, "--data", data, "--name", "a"]
        return [*words, "--threads", "1", "--device", "cpu"]

    @functools.cached_property
    def finished(self) -> Path:
        """A finished tiny run."""
        return made(*self.tiny, "--runs-dir", self.root / "finished").made

    @functools.cached_property
    def conditional(self) -> Path:
        """A finished tiny run on three classes."""
        return made(*self._words(self.classes), "--runs-dir", self.root / "three").made

    @functools.cached_property
    def held_out(self) -> Path:
        """A finished tiny run on three shades of noise, with a test split."""
        folder = self.root / "shades"
        folder.mkdir()
        random = np.random.default_rng(0)
        for split, count in (("train", 64), ("t10k", 48)):
            labels = np.arange(count, dtype=np.uint8) % 3
            shades = 90 * labels[:, None, None] + random.integers(0, 60, (count, 8, 8), np.uint8)
            pixels = folder / f"{split}-images-idx3-ubyte"
            write_idx(pixels, (count, 8, 8), shades.tobytes())
            write_idx(folder / f"{split}-labels-idx1-ubyte", (count,), labels.tobytes())
        return made(*self._words(folder), "--runs-dir", self.root / "held-out").made

    @functools.cached_property
    def digit(self) -> Path:
        """A run of the default recipe on the sevens of MNIST."""
        words = ["train", "--digit", "7", "--steps", "30", "--set", "training.batch_size=32"]
        where = ["--runs-dir", self.root / "mnist", "--threads", "1", "--device", "cpu"]
        return made(*words, *where).made

    @functools.lru_cache  # noqa: B019 - lives as long as the session
    def reference(self, steps: int) -> dict[str, str]:
        """Return the outcome of a tiny run that was never interrupted."""
        where = self.root / f"steps-{steps}"
        return outcome(made(*self.tiny, "--steps", steps, "--runs-dir", where).made)

    def copy(self, run: Path, runs_dir: Path) -> Path:
        """Copy a run into a folder of runs, to be changed there."""
        return shutil.copytree(run, runs_dir / run.name)


_labs: list[Lab] = []


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    if not _labs:
        _labs.append(Lab(tmp_path_factory.mktemp("lab")))
    return _labs[0]
