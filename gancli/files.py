"""Writing files so that a reader sees the old content or the new, never a part.

Every file gancli writes goes through here, but the lines that logs grow by: a temporary file
beside the target, fsync, rename, fsync of the folder. Refusals by the operating system become
:class:`StorageError`.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from gancli.errors import StorageError

TEMPORARY_PREFIX = ".gancli-"
_TEMPORARY = re.compile(rf"{re.escape(TEMPORARY_PREFIX)}[0-9a-f]{{12}}(\..*)?")
_LONGEST_CHECKSUMS = 1000
_FORGOTTEN_SECONDS = 86_400.0

_REASONS = {
    errno.ENOSPC: "the disk is full; free some space or choose another place",
    errno.EDQUOT: "the disk quota is used up; free some space or choose another place",
    errno.EFBIG: "the file size limit is reached; raise it (ulimit -f) or choose another place",
    errno.EACCES: "permission denied; choose a place you may write to",
    errno.EPERM: "not permitted; choose a place you may write to",
    errno.EROFS: "the file system is read-only; choose a place you may write to",
    errno.ENOTDIR: "a part of the path is a file, not a folder; choose another place",
    errno.EISDIR: "it is a folder; give the name of a file",
    errno.ENOENT: "its folder does not exist; create it or choose another place",
    errno.EEXIST: "a file of that name is in the way; choose another place",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
}


def storage_error(error: OSError, path: Path, needed_bytes: int | None = None) -> StorageError:
    """Turn a refusal by the operating system into a sentence about ``path``."""
    reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
    needed = f" ({needed_bytes:,} bytes are needed)" if needed_bytes is not None else ""
    return StorageError(f"cannot write {path}: {reason}{needed}")


def make_folder(path: Path) -> Path:
    """Create a folder with its parents, or say why that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, path) from error
    return path


def user_path(words: str | Path) -> Path:
    """Return a path that a user gave: ``~`` is a home where there is one, as in a shell."""
    path = Path(words)
    with contextlib.suppress(RuntimeError):  # nobody of that name
        return path.expanduser()
    return path


def need_folder_of(target: Path) -> None:
    """Refuse a file whose folder does not exist: made by a slip of the pen, it would surprise."""
    try:
        there = target.parent.is_dir()
    except OSError as error:  # its folder may not be looked into, or cannot have such a name
        raise storage_error(error, target) from error
    if not there:
        raise StorageError(f"cannot write {target}: its folder does not exist; create it first")


def resolved(path: Path) -> Path:
    """Return a path without links.

    Raises:
        StorageError: they lead in a circle.
    """
    try:
        return path.resolve()
    except RuntimeError as error:  # an OSError as of Python 3.13
        raise StorageError(f"cannot read {path}: its links lead in a circle") from error


def need_writable(folder: Path) -> None:
    """Refuse a folder that may not be written to before the work whose result it is to hold."""
    if not os.access(folder, os.W_OK):
        raise StorageError(
            f"cannot write into {folder}: permission denied; copy it to where you may write"
        )


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``target`` that becomes ``target`` when the block succeeds.

    The suffix is kept, so that encoders which look at it are content. When the block raises,
    the temporary file is removed and the target is left as it was.

    Raises:
        StorageError: when the target cannot be written.
    """
    temporary = target.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(6)}{target.suffix}")
    try:
        if target.exists() and not target.is_file():
            raise StorageError(
                f"cannot write {target}: it is not a regular file; give another name"
            )
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        raise storage_error(error, target) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(target: Path, belongs: Callable[[str], bool]) -> Iterator[Path]:
    """Yield a temporary folder beside ``target`` that becomes ``target`` when the block succeeds.

    Args:
        target: a folder that is not there, or holds nothing but what a new one may take away.
        belongs: tells by its name whether a file in the folder may be taken away.

    Raises:
        StorageError: the target cannot be written, or something else lies there.
    """
    try:
        if target.is_symlink():
            target = resolved(target)
        in_the_way = target.exists() and not target.is_dir()
        names = sorted(path.name for path in target.iterdir()) if target.is_dir() else []
        is_left = Path.cwd().is_relative_to(resolved(target))
    except OSError as error:
        raise storage_error(error, target) from error
    if in_the_way:
        raise StorageError(f"cannot write {target}: a file is in the way; give another name")
    foreign = [name for name in names if not belongs(name)]
    if foreign:
        raise StorageError(
            f"cannot write {target}: {foreign[0]} lies in it, which would be lost; "
            "give an empty folder or a new name"
        )
    if is_left:
        raise StorageError(
            f"cannot write {target}: it would take the place of the folder that you are in; "
            "give a new name"
        )
    temporary, old = (
        target.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(6)}") for _ in range(2)
    )
    remove_leftovers(target.parent, _FORGOTTEN_SECONDS)
    try:
        temporary.mkdir()
        yield temporary
        if target.exists():
            target.replace(old)
        temporary.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        raise storage_error(error, target) from error
    finally:
        if old.exists() and not target.exists():
            old.replace(target)
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def checksum_path(path: Path) -> Path:
    """Return where the SHA-256 of a file stands: beside it."""
    return path.with_name(f"{path.name}.sha256")


def write_with_checksum(target: Path, content: bytes) -> str:
    """Write a file atomically, then the SHA-256 that vouches for it, and return that.

    Where a file is replaced, the sums of both stand beside it in between, so that whatever comes
    in between leaves one file or the other, and whole.

    Raises:
        StorageError: it cannot be written.
    """
    checksum = hashlib.sha256(content).hexdigest()
    beside, line = checksum_path(target), f"{checksum}  {target.name}\n"
    if beside.exists() and target.exists():
        write_text(beside, line + _beginning(beside))
    write_bytes(target, content)
    write_text(beside, line)
    return checksum


def has_checksum(path: Path, content: bytes) -> bool:
    """Tell whether what was read of a file is what the checksum beside it vouches for.

    Raises:
        OSError: there is no checksum to be read.
    """
    lines = _beginning(checksum_path(path)).splitlines()
    known = {words[0] for line in lines if (words := line.split())}
    return hashlib.sha256(content).hexdigest() in known


def _beginning(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_LONGEST_CHECKSUMS).decode("ascii", "replace")


def write_bytes(target: Path, content: bytes | memoryview) -> None:
    """Write a file atomically.

    Raises:
        StorageError: when it cannot be written; the message names the bytes needed.
    """
    try:
        with atomic_path(target) as temporary:
            temporary.write_bytes(content)
    except StorageError as error:
        if isinstance(error.__cause__, OSError):
            raise storage_error(error.__cause__, target, len(content)) from error.__cause__
        raise


def write_text(target: Path, content: str) -> None:
    """Write UTF-8 text atomically, with Unix line ends on every system."""
    write_bytes(target, content.encode())


def remove_leftovers(folder: Path, idle_seconds: float = 0.0) -> None:
    """Remove temporary files and folders that a killed process left in a folder.

    Args:
        folder: where they lie.
        idle_seconds: what was written to since then stays, for a process may be at work on it.
    """
    for path in folder.glob(f"{TEMPORARY_PREFIX}*"):
        if not _TEMPORARY.fullmatch(path.name):  # a user's own, such as a cache
            continue
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime < idle_seconds:
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut (Windows has no such call and needs none)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
