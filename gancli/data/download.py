"""One file from one of its mirrors, verified before it has its name."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from pathlib import Path

import gancli
from gancli.errors import DataError, StorageError
from gancli.files import atomic_path, storage_error

# Called with a file's name, the bytes that have come, and the bytes there are.
Progress = Callable[[str, int, int], None]

SILENCE_SECONDS = 30.0
_CHUNK_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class RemoteFile:
    """A file that is known before it is fetched.

    Attributes:
        name: what it is called here.
        size: its length in bytes.
        sha256: its SHA-256, 64 hexadecimal digits.
        urls: where it lies, the first to be asked first.
    """

    name: str
    size: int
    sha256: str
    urls: tuple[str, ...]


class MirrorError(Exception):
    """A mirror has the file not, or not whole, or another one; the next may do better."""


def receive(url: str, wanted: RemoteFile, target: Path, on_progress: Progress | None) -> None:
    """Download a file to ``target``, which appears when it is whole and verified, or not at all.

    Raises:
        MirrorError: the mirror does not answer, falls silent, or sends something else.
        StorageError: the disk refuses.
    """
    done, digest = 0, hashlib.sha256()
    try:
        with (
            atomic_path(target) as temporary,
            open(temporary, "wb") as file,
            contextlib.closing(_chunks(url, wanted.size)) as chunks,
        ):
            for chunk in chunks:
                done += len(chunk)
                if done > wanted.size:
                    raise MirrorError(f"it goes on after {wanted.size:,} bytes")
                file.write(chunk)
                digest.update(chunk)
                if on_progress is not None:
                    on_progress(wanted.name, done, wanted.size)
            if done < wanted.size:
                raise MirrorError(f"it broke off after {done:,} of {wanted.size:,} bytes")
            if digest.hexdigest() != wanted.sha256:
                raise MirrorError("it sent another file (the SHA-256 differs)")
    except StorageError as error:
        if isinstance(error.__cause__, OSError):
            raise storage_error(error.__cause__, target, wanted.size) from error.__cause__
        raise


def _chunks(url: str, size: int) -> Generator[bytes]:
    """Yield what a mirror sends; its faults, and not the disk's, become a :class:`MirrorError`.

    The words of a stranger are not repeated: they may hold line ends and worse.
    """
    headers = {"User-Agent": f"gancli/{gancli.__version__}"}
    try:
        request = urllib.request.Request(url, headers=headers)
        with urllib.request.urlopen(request, timeout=SILENCE_SECONDS) as answer:
            offered = answer.headers.get("Content-Length")
            if offered not in (None, str(size)):
                raise MirrorError("it offers a file of another length")
            while chunk := answer.read(_CHUNK_BYTES):
                yield chunk
    except urllib.error.HTTPError as error:
        error.close()
        meaning = http.client.responses.get(error.code, "")
        raise MirrorError(f"{error.code} {meaning}".strip()) from error
    except http.client.HTTPException as error:
        raise MirrorError(f"its answer is none ({type(error).__name__})") from error
    except OSError as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise MirrorError(str(getattr(reason, "strerror", None) or reason)) from error


def verify(path: Path, wanted: RemoteFile) -> None:
    """Check a file that lies there already, put by hand or left by a download that was broken off.

    Raises:
        DataError: it is another file, or cannot be read.
    """
    try:
        size, found = path.stat().st_size, sha256_of(path)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    if found == wanted.sha256:
        return
    differs = (
        f"its SHA-256 is {found}, not {wanted.sha256}"
        if size == wanted.size
        else f"it has {size:,} bytes, not {wanted.size:,}"
    )
    raise DataError(
        f"{path} is damaged or another file: {differs}; remove it to have it downloaded, or put "
        "the right one there"
    )


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
