"""Run directories: where everything about one training lies, and who may write there."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import json
import math
import os
import re
import shlex
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import filelock

from gancli import config, files, recipes
from gancli.config import NAMED_SOURCES, RunConfig
from gancli.errors import (
    CheckpointError,
    ConfigError,
    ConflictError,
    StorageError,
    did_you_mean,
)

DEFAULT_RUNS_DIR = Path("checkpoints")
_LONGEST_NAME = 100
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{_LONGEST_NAME - 1}}}")
_DIGIT = re.compile(r"\bdigit-[0-9]\b")
_HOLDER_PATIENCE_SECONDS = 2.0
_STATUS_TYPES = {
    "step": int,
    "total_steps": int,
    "epoch": float,
    "data": dict,
    "versions": dict,
    "sessions": list,
    "command": list,
}
_SESSION_NUMBERS = ("first_step", "last_step", "seconds", "step_seconds", "images_per_second")
CONFIG = "config.toml"
# What reading a file may raise that is not what gancli wrote.
DAMAGE = (
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
)
_LONGEST_NUMBER = 300  # signs, by which even a whole one can be told as a float
_QUALITY_KEYS = ("step", "epoch", "score")
_TEXTS = ("figure",)  # of records, what is no number
_LOG_KEYS = ("step", "epoch", "d_loss", "g_loss", "d_accuracy_real", "d_accuracy_fake")


class Status(enum.StrEnum):
    """Where a run stands."""

    TRAINING = "training"
    PAUSED = "paused"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    FINISHED = "finished"


def runs_dir_words(runs_dir: Path) -> list[str]:
    """Return the option by which a command finds runs in a folder: none where it looks anyway."""
    return [] if runs_dir == DEFAULT_RUNS_DIR else ["--runs-dir", str(runs_dir)]


@dataclasses.dataclass(frozen=True)
class RunDirectory:
    """The files of one run. Creating the object touches nothing."""

    path: Path

    @property
    def name(self) -> str:
        """The run's name: that of its folder."""
        return self.path.name

    @property
    def config_path(self) -> Path:
        """The resolved config, itself a valid recipe."""
        return self.path / CONFIG

    @property
    def status_path(self) -> Path:
        """Status, command, versions, data fingerprint, timings."""
        return self.path / "run.json"

    @property
    def log_path(self) -> Path:
        """One line of figures an interval."""
        return self.path / "log.jsonl"

    @property
    def quality_path(self) -> Path:
        """One line a quick score."""
        return self.path / "quality.jsonl"

    @property
    def frames(self) -> Path:
        """Pictures of the same latents over time."""
        return self.path / "frames"

    @property
    def samples(self) -> Path:
        """What ``gancli sample`` drew."""
        return self.path / "samples"

    @property
    def films(self) -> Path:
        """What ``gancli animate`` made."""
        return self.path / "films"

    @property
    def plots(self) -> Path:
        """What ``gancli plot`` drew."""
        return self.path / "plots"

    @property
    def scores_path(self) -> Path:
        """What ``gancli evaluate`` found."""
        return self.path / "scores.json"

    @property
    def history_path(self) -> Path:
        """What ``gancli evaluate --history`` found."""
        return self.path / "history.json"

    @property
    def closest_path(self) -> Path:
        """The picture that ``gancli evaluate`` draws: fakes beside the images nearest to them."""
        return self.plots / "closest-pairs.png"

    def exists(self) -> bool:
        """Tell whether a run lies here.

        Raises:
            StorageError: the folder may not be looked into.
        """
        try:
            return self.config_path.is_file()
        except OSError as error:
            raise _unreadable(self.path, error) from error

    def command(self, *words: str) -> str:
        """Return a command as a shell takes it, and by which it finds the runs beside this one."""
        return shlex.join(["gancli", *words, *runs_dir_words(self.path.parent)])

    def remedy(self) -> str:
        """Return what to do where something of the run is lacking, with the command for it."""
        status = self.status()
        if status is Status.TRAINING:
            return "it is being trained now; wait a moment"
        if status is Status.FAILED:
            return f"see why it failed: {self.command('doctor', self.name)}"
        if status is Status.FINISHED:
            return f"train it again: {self.command('train', '--resume', self.name, '--force')}"
        return f"train it further: {self.command('train', '--resume', self.name)}"

    def read_config(self) -> RunConfig:
        """Return the run's config.

        Raises:
            CheckpointError: the run has none, or it is damaged.
        """
        if not self.exists():
            raise CheckpointError(f"{self.path} is not a run: it has no config.toml")
        try:
            return config.from_table(config.read_toml(self.config_path), str(self.config_path))
        except ConfigError as error:
            raise CheckpointError(str(error)) from error

    def read_status(self) -> dict[str, Any]:
        """Return what run.json says; an empty table when a run was cut off before its first word.

        Raises:
            CheckpointError: run.json is damaged.
        """
        try:
            status = parse_json(self.status_path.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise _unreadable(self.status_path, error) from error
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"{self.status_path} is damaged: {error}") from error
        if not isinstance(status, dict):
            raise CheckpointError(f"{self.status_path} is damaged: it is not a table")
        for key, kind in _STATUS_TYPES.items():
            if not isinstance(status.get(key, kind()), kind):
                raise CheckpointError(
                    f"{self.status_path} is damaged: '{key}' is not a {kind.__name__}"
                )
        for session in status.get("sessions", []):
            if not isinstance(session, dict) or not all(
                isinstance(session.get(key, 0), int | float) for key in _SESSION_NUMBERS
            ):
                raise CheckpointError(f"{self.status_path} is damaged: a session has no numbers")
        return status

    def write_status(self, status: dict[str, Any]) -> None:
        """Write run.json."""
        files.write_text(self.status_path, json.dumps(status, indent=2) + "\n")

    def status(self) -> Status:
        """Return where the run stands; one that says it trains while nobody holds it was killed."""
        try:
            status = Status(self.read_status().get("status", Status.INTERRUPTED))
        except ValueError as error:
            raise CheckpointError(f"{self.status_path} is damaged: {error}") from error
        if status is Status.TRAINING and not self.is_held():
            return Status.INTERRUPTED
        return status

    def read_log(self) -> list[dict[str, Any]]:
        """Return the log's lines; a last line cut short by a crash is left out.

        Raises:
            CheckpointError: a line is damaged; it is named.
        """
        return _read_lines(self.log_path, _LOG_KEYS)

    def append_log(self, record: dict[str, Any]) -> None:
        """Add a line to the log.

        Raises:
            StorageError: the disk refuses.
        """
        _append_line(self.log_path, record)

    def cut_log(self, step: int) -> None:
        """Drop what was logged after a step, so that a resumed run logs each step once."""
        kept = [record for record in self.read_log() if record["step"] <= step]
        _write_lines(self.log_path, kept)

    def read_quality(self) -> list[dict[str, Any]]:
        """Return the quick scores; errors as :meth:`read_log`."""
        return _read_lines(self.quality_path, _QUALITY_KEYS)

    def append_quality(self, record: dict[str, Any]) -> None:
        """Add a quick score; errors as :meth:`append_log`."""
        _append_line(self.quality_path, record)

    def mend_quality(self) -> None:
        """Drop a last quick score that a crash cut short.

        Those of steps after the newest checkpoint stay: the run comes there again, and alike.
        """
        if self.quality_path.exists():
            _write_lines(self.quality_path, self.read_quality())

    def clear(self) -> None:
        """Remove what a training left here, and nothing that gancli did not make.

        The config stays until the next one takes its place: a folder without one is no run, and
        would be refused as foreign.

        Raises:
            StorageError: something cannot be removed.
        """
        states = [
            path
            for pattern in ("state-*.safetensors*", "best.safetensors*")
            for path in self.path.glob(pattern)
        ]
        found = (self.scores_path, self.history_path, self.closest_path)
        try:
            for path in (self.status_path, *states, self.log_path, self.quality_path, *found):
                path.unlink(missing_ok=True)
            for folder in (self.frames, self.path / "snapshots"):
                if folder.is_dir() and not folder.is_symlink():
                    shutil.rmtree(folder)
                else:  # a link goes, and not what it leads to
                    folder.unlink(missing_ok=True)
        except OSError as error:
            raise files.storage_error(error, Path(error.filename or self.path)) from error

    def is_held(self) -> bool:
        """Tell whether a process trains into this run now."""
        lock = self._lock()
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            return True
        except OSError:
            return False  # a folder that cannot be written is trained into by nobody
        lock.release()
        return False

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Keep every other process out of this run while the block lasts.

        The lock is the operating system's: it goes with its holder, however that ends.

        Raises:
            ConflictError: another process holds the run; it is named.
            StorageError: the folder cannot be written.
        """
        files.make_folder(self.path)
        lock = self._lock()
        try:
            # `is_held` of another process takes the lock for an instant, hence not 0.
            lock.acquire(timeout=0.3, poll_interval=0.02)
        except filelock.Timeout as error:
            raise ConflictError(
                f"{self.path} is in use by {self._holder()}; wait for it, or give another --name"
            ) from error
        except OSError as error:
            raise files.storage_error(error, self.path) from error
        holder = {"pid": os.getpid(), "host": socket.gethostname()}
        try:
            files.write_text(self._holder_path, json.dumps(holder) + "\n")
            for folder in (self.path, self.frames, self.path / "snapshots"):
                files.remove_leftovers(folder)
            yield
        finally:
            self._holder_path.unlink(missing_ok=True)
            lock.release()

    def _lock(self) -> filelock.BaseFileLock:
        return filelock.FileLock(self.path / ".lock", thread_local=False)

    @property
    def _holder_path(self) -> Path:
        return self.path / ".holder.json"

    def _holder(self) -> str:
        """Name the process that holds the lock; it may be just about to write its name."""
        deadline = time.monotonic() + _HOLDER_PATIENCE_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                holder = json.loads(self._holder_path.read_bytes())
                if holder["host"] != socket.gethostname() or _alive(int(holder["pid"])):
                    return f"process {holder['pid']} on {holder['host']}"
            time.sleep(0.05)
        return "another process"


def _read_lines(path: Path, keys: Sequence[str]) -> list[dict[str, Any]]:
    """Return the records of a file with one a line; none lacks ``keys``, and all are numbers."""
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unreadable(path, error) from error
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            for key in {*keys, *record}.difference(_TEXTS):
                float(record[key] + 0)
        except DAMAGE as error:
            raise CheckpointError(f"{path}, line {number}: damaged") from error
        records.append(record)
    return records


def parse_json(text: bytes) -> Any:
    """Return what JSON says, as gancli writes it: every number is finite.

    Raises:
        ValueError: it is no such JSON.
        RecursionError: its lists are too deep.
    """

    def number(sort: type[int] | type[float]) -> Callable[[str], float]:
        def parse(word: str) -> float:
            if len(word) > _LONGEST_NUMBER or not math.isfinite(found := sort(word)):
                raise ValueError(f"{word[:20]} is no finite number")
            return found

        return parse

    of_word = number(float)
    return json.loads(text, parse_constant=of_word, parse_float=of_word, parse_int=number(int))


def _unreadable(path: Path, error: OSError) -> StorageError:
    return StorageError(f"cannot read {path}: {error.strerror or error}")


def _append_line(path: Path, record: dict[str, Any]) -> None:
    try:
        with open(path, "ab") as file:
            file.write(json.dumps(record).encode() + b"\n")
    except OSError as error:
        raise files.storage_error(error, path) from error


def _write_lines(path: Path, records: Sequence[dict[str, Any]]) -> None:
    files.write_text(path, "".join(json.dumps(record) + "\n" for record in records))


@contextlib.contextmanager
def reading(path: Path, command: str) -> Iterator[None]:
    """Turn what a damaged file raises inside the block into the command that writes it anew.

    Raises:
        CheckpointError: the file is unreadable, or holds something else than it should.
    """
    try:
        yield
    except (OSError, *DAMAGE) as error:
        raise CheckpointError(f"{path} is damaged; write it anew: {command}") from error


def check_distinct(runs: Sequence[RunDirectory]) -> None:
    """Refuse a run that is named twice, where several stand side by side.

    Raises:
        ConfigError: one is.
    """
    places = [run.path.resolve() for run in runs]
    for run, place in zip(runs, places, strict=True):
        if places.count(place) > 1:
            raise ConfigError(f"{run.name} is named twice; give every run once")


def _alive(pid: int) -> bool:
    if os.name != "posix":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def default_name(wanted: RunConfig, *, preview: bool = False) -> str:
    """Name a run by recipe, data, digit and seed, leaving out what is default."""
    data, usual = wanted.data, recipes.default(wanted.recipe)
    parts = []
    defaults = {recipes.usual(data.source, data.digit is not None)}
    if data.source not in NAMED_SOURCES:  # which of the two, lies in the data
        defaults.add(recipes.ONE_CLASS)
    if wanted.recipe not in defaults:
        parts.append(wanted.recipe)
    named_by_data = wanted.recipe in (recipes.POINTS, recipes.STACKED)
    if data.source != usual.data.source or named_by_data:
        parts.append(Path(data.source).name.split(".")[0])
    marks = []
    if data.digit is not None:
        marks.append(f"digit-{data.digit}")
    elif not parts:
        marks.append("all-digits")
    many = (recipes.MANY_CLASSES, recipes.MANY_CLASSES_GPU)
    if wanted.recipe in many and data.conditional is False:
        marks.append("unconditional")
    if preview:
        marks.append("preview")
    if wanted.training.seed != usual.training.seed:
        marks.append(f"seed-{wanted.training.seed}")
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(parts + marks)).strip("-._") or "run"
    if len(name) > _LONGEST_NAME:  # what tells a run from its like stays whole
        ending = "".join(f"-{mark}" for mark in marks)
        name = name[: _LONGEST_NAME - len(ending)] + ending
    return name


def new_run(runs_dir: Path, name: str) -> RunDirectory:
    """Return the directory a run of this name has.

    Raises:
        ConfigError: the name would not be a plain folder name.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"--name '{name}': use up to {_LONGEST_NAME} letters, digits, dots, dashes and "
            "underscores, a letter or digit first"
        )
    return RunDirectory(runs_dir / name)


def list_runs(runs_dir: Path) -> list[RunDirectory]:
    """Return the runs in a folder, the one last written first.

    Raises:
        StorageError: the folder cannot be read, or is none.
    """
    try:
        entries = list(runs_dir.iterdir())
    except FileNotFoundError:
        entries = []
    except OSError as error:
        raise _unreadable(runs_dir, error) from error
    runs = []
    for run in map(RunDirectory, entries):
        with contextlib.suppress(StorageError):  # somebody else's does not hide one's own
            if run.exists():
                runs.append(run)
    return sorted(runs, key=lambda run: (-_last_written(run), run.name))


def _last_written(run: RunDirectory) -> float:
    path = run.status_path if run.status_path.exists() else run.config_path
    return path.stat().st_mtime


def find_run(name: str | None, runs_dir: Path) -> RunDirectory:
    """Return a run by name or path; the newest without either.

    Raises:
        CheckpointError: there is none; the nearest name is given.
    """
    if name is None:
        runs = list_runs(runs_dir)
        if not runs:
            train = shlex.join(["gancli", "train", "--digit", "7", *runs_dir_words(runs_dir)])
            raise CheckpointError(f"no runs in {runs_dir}; make one: {train}")
        return runs[0]
    for path in (runs_dir / name, files.user_path(name)):
        if RunDirectory(path).exists():
            return RunDirectory(path.resolve() if path.name in ("", "..") else path)
    known = [run.name for run in list_runs(runs_dir)]
    listing = shlex.join(["gancli", "show", *runs_dir_words(runs_dir)])
    raise CheckpointError(
        f"no run '{name}' in {runs_dir}{did_you_mean(name, known)} (`{listing}` lists the runs)"
    )


def find_digits(name: str | None, runs_dir: Path) -> list[RunDirectory]:
    """Return the runs of one recipe on each of the ten digits, by the names they have by default.

    Args:
        name: of any of the ten, or of the recipe; None for the newest such. A path says itself
            where they lie.
        runs_dir: where they lie otherwise.

    Raises:
        CheckpointError: one is missing; the command that trains it is named.
    """
    if name is not None and (place := files.user_path(name)).name != name:
        runs_dir, name = place.parent, place.name
    if name is None:
        known = [run.name for run in list_runs(runs_dir)]
        name = next((known for known in known if _DIGIT.search(known)), "digit-0")
    elif not _DIGIT.search(name):
        name = "digit-0" if name == recipes.ONE_CLASS else f"{name}-digit-0"
    found = [RunDirectory(runs_dir / _DIGIT.sub(f"digit-{digit}", name)) for digit in range(10)]
    missing = [run.name for run in found if not run.exists()]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        train = shlex.join(["gancli", "train", "--digit", "0-9", *runs_dir_words(runs_dir)])
        raise CheckpointError(
            f"{runs_dir} has no {missing[0]}{more}, and --digits takes all ten; train them: "
            f"{train}, with the same --recipe, --data and --seed"
        )
    return found


def check_identity(run: RunDirectory, wanted: RunConfig) -> None:
    """Hold a request to the config of the run that lies where it would go.

    Raises:
        ConflictError: they differ; the keys are listed.
        CheckpointError: the run's config is damaged.
    """
    kept = run.read_config()
    differing = config.differences(kept, wanted)
    if differing:
        if "recipe" in differing:  # with all that it brings, which nobody has asked for one by one
            asked = ("recipe", "data.source", "data.digit", "training.seed")
            differing = {key: values for key, values in differing.items() if key in asked}
        listed = "; ".join(
            f"{key} is {spelled(old)} there and {spelled(new)} here"
            for key, (old, new) in differing.items()
        )
        resume = shlex.join(["gancli", "train", "--resume", str(run.path)])
        raise ConflictError(
            f"{run.path} exists with another config: {listed}. Ask for what is there to go on "
            f"with it (or: {resume}), give a new run a --name of its own (without --resume), or "
            "--force to start this one afresh"
        )


def check_unclaimed(run: RunDirectory) -> None:
    """Refuse to start a run in a folder that holds something else.

    Raises:
        ConflictError: the folder is not empty and no run.
        StorageError: the path is a file, or may not be looked at.
    """
    try:
        if run.path.exists() and not run.path.is_dir():
            raise StorageError(f"{run.path} is a file; give another --name or --runs-dir")
        if run.exists() or not run.path.is_dir():
            return
        foreign = [entry.name for entry in run.path.iterdir() if not entry.name.startswith(".")]
    except OSError as error:
        raise _unreadable(run.path, error) from error
    if foreign:
        raise ConflictError(
            f"{run.path} is no run and holds other files ({foreign[0]}); give another --name"
        )


def check_place(run: RunDirectory) -> None:
    """Refuse a folder that a run could not be started in; errors as :func:`check_unclaimed`."""
    check_unclaimed(run)
    there = next(place for place in (run.path, *run.path.absolute().parents) if place.exists())
    if not there.is_dir():
        raise StorageError(f"{there} is a file; give another --name or --runs-dir")
    if not os.access(there, os.W_OK):
        raise StorageError(f"cannot write {there}: permission denied; give another --runs-dir")


def spelled(value: Any) -> str:
    """Return a config's value as refusals write it."""
    return "not set" if value is None else json.dumps(value)
