"""The IDX format of MNIST and its relatives, gzipped or not.

A reader for the embedded MNIST and for a user's own files alike. Nothing is allocated on the word
of a header: bytes are read as they come and counted against what the header claims. It needs no
torch, so that files can be unpacked while that loads.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from gancli.errors import DataError

_UNSIGNED_BYTE = 0x08
_GZIP_MAGIC, _GZIP = b"\x1f\x8b", 31
_CHUNK_BYTES = 1 << 24
_MOST_BYTES = 1 << 33
EMBEDDED_MNIST = Path(__file__).parent / "data" / "mnist"
_ahead: dict[Path, Future[npt.NDArray[np.uint8]]] = {}


def read_ahead(paths: Iterable[Path]) -> None:
    """Begin to read IDX files in a thread; :func:`read_idx` hands each over, once."""
    thread = ThreadPoolExecutor(1)
    _ahead.update((path, thread.submit(_read_file, path)) for path in paths)
    thread.shutdown(wait=False)


def read_idx(path: Path) -> npt.NDArray[np.uint8]:
    """Read one IDX file of unsigned bytes.

    Returns:
        An array with the shape the header gives: [n, height, width] for images, [n] for labels.

    Raises:
        DataError: the file is missing, truncated, longer than its header says, or no IDX file.
    """
    begun = _ahead.pop(path, None)
    return _read_file(path) if begun is None else begun.result()


def _read_file(path: Path) -> npt.NDArray[np.uint8]:
    try:
        with open(path, "rb") as file:
            zipped = file.read(2) == _GZIP_MAGIC
            file.seek(0)
            if not zipped:
                return _read(file, path)
            return _read(_Unzipped(file), path)
    except (EOFError, zlib.error) as error:
        raise DataError(f"{path} is damaged ({error}); download it again") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error


class _Unzipped:
    """What a gzipped file holds: Python's own reader, by small pieces, takes three times as long.

    Args:
        file: the file, at its start.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.packed, self.stream = file, b"", zlib.decompressobj(_GZIP)

    def read(self, count: int) -> bytes:
        """Return so many bytes, or fewer at the end.

        Raises:
            EOFError: the file ends inside a stream.
            zlib.error: it is damaged.
        """
        pieces: list[bytes] = []
        while count > 0:
            self.packed = self.packed or self.file.read(_CHUNK_BYTES)
            if self.stream.eof:
                self.packed = self.packed.lstrip(b"\0")  # as some programs pad
                if not self.packed:
                    break
                self.stream = zlib.decompressobj(_GZIP)  # one stream may follow another
            elif not self.packed:
                raise EOFError("it ends too soon")
            piece = self.stream.decompress(self.packed, count)
            self.packed = self.stream.unconsumed_tail or self.stream.unused_data
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)


def _read(file: IO[bytes] | _Unzipped, path: Path) -> npt.NDArray[np.uint8]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise DataError(f"{path} is not an IDX file: it starts with {magic!r}, not with two zeros")
    kind, dimensions = magic[2], magic[3]
    if kind != _UNSIGNED_BYTE:
        raise DataError(f"{path} holds numbers of type 0x{kind:02x}; gancli reads bytes (0x08)")
    if not 1 <= dimensions <= 4:
        raise DataError(f"{path} claims {dimensions} dimensions; images have 3 and labels 1")
    header = file.read(4 * dimensions)
    if len(header) < 4 * dimensions:
        raise DataError(f"{path} ends inside its header; download it again")
    shape = struct.unpack(f">{dimensions}I", header)
    expected = math.prod(shape)
    if math.prod(max(1, length) for length in shape) > _MOST_BYTES:
        raise DataError(f"{path} claims the shape {list(shape)}, more than gancli loads at once")
    content = bytearray()
    while len(content) < expected:
        chunk = file.read(min(_CHUNK_BYTES, expected - len(content)))
        if not chunk:
            raise DataError(
                f"{path} is truncated: its header claims {expected:,} bytes of data "
                f"and {len(content):,} follow; download it again"
            )
        content += chunk
    if file.read(1):
        raise DataError(f"{path} goes on after the {expected:,} bytes its header claims")
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)
