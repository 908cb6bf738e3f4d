"""Data sets known by name that are downloaded once, verified, and kept in the user's cache folder.

A cache folder is complete when its record says so, which is written last: a file without a record
is checked before it counts, whoever put it there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import filelock
import platformdirs

from gancli import files
from gancli.data.download import (
    MirrorError,
    Progress,
    RemoteFile,
    receive,
    sha256_of,
    verify,
)
from gancli.errors import DataError, StorageError

CACHE_VARIABLE = "GANCLI_CACHE"
RECORD_NAME = "verified.json"


@dataclasses.dataclass(frozen=True)
class Listing:
    """A data set of the catalogue.

    Attributes:
        files: what is downloaded.
        members: of a data set that is one archive: the names inside of what is kept, each with
            the name it is kept under.
        transposed: its images lie on their side: rows and columns are exchanged.
    """

    files: tuple[RemoteFile, ...]
    members: Mapping[str, str] = dataclasses.field(default_factory=dict)
    transposed: bool = False


def _idx_files(
    mirrors: tuple[str, ...], sums: Mapping[str, tuple[int, str]]
) -> tuple[RemoteFile, ...]:
    """List the files of a data set that lie under equal names in a folder of each mirror."""
    return tuple(
        RemoteFile(name, size, sha256, tuple(mirror + name for mirror in mirrors))
        for name, (size, sha256) in sums.items()
    )


# Sizes and SHA-256 sums are those that TensorFlow Datasets records under
# tensorflow_datasets/url_checksums (emnist.txt, fashion_mnist.txt, kmnist.txt).
LISTINGS: dict[str, Listing] = {
    # Cohen, Afshar, Tapson and van Schaik, "EMNIST: an extension of MNIST to handwritten letters",
    # 2017. One archive holds six data sets; the www address is the old one of the same archive.
    "emnist-digits": Listing(
        files=(
            RemoteFile(
                "gzip.zip",
                561_753_746,
                "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e",
                (
                    "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",
                    "https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/gzip.zip",
                ),
            ),
        ),
        members={
            f"gzip/emnist-digits-{name}": name
            for name in (
                "train-images-idx3-ubyte.gz",
                "train-labels-idx1-ubyte.gz",
                "test-images-idx3-ubyte.gz",
                "test-labels-idx1-ubyte.gz",
            )
        },
        transposed=True,
    ),
    # Xiao, Rasul and Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine
    # learning algorithms", 2017: the authors' store and repository, then the copy Keras uses.
    "fashion-mnist": Listing(
        _idx_files(
            (
                "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
                "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
                "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
            ),
            {
                "train-images-idx3-ubyte.gz": (
                    26_421_880,
                    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                ),
                "train-labels-idx1-ubyte.gz": (
                    29_515,
                    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                ),
                "t10k-images-idx3-ubyte.gz": (
                    4_422_102,
                    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                ),
                "t10k-labels-idx1-ubyte.gz": (
                    5_148,
                    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                ),
            },
        )
    ),
    # Clanuwat et al., "Deep learning for classical Japanese literature", 2018.
    "kmnist": Listing(
        _idx_files(
            ("https://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
            {
                "train-images-idx3-ubyte.gz": (
                    18_165_135,
                    "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
                ),
                "train-labels-idx1-ubyte.gz": (
                    29_497,
                    "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
                ),
                "t10k-images-idx3-ubyte.gz": (
                    3_041_136,
                    "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
                ),
                "t10k-labels-idx1-ubyte.gz": (
                    5_120,
                    "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
                ),
            },
        )
    ),
}


def cache_folder() -> Path:
    """Return where downloads are kept: ``$GANCLI_CACHE``, or the system's place for a user's.

    Raises:
        StorageError: the system knows no such place.
    """
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return files.user_path(given).absolute()
    try:
        return Path(platformdirs.user_cache_dir("gancli", appauthor=False))
    except RuntimeError as error:
        raise StorageError(
            f"there is no home folder to keep downloads in; name a folder by {CACHE_VARIABLE}"
        ) from error


def folder_of(name: str, on_progress: Progress | None = None) -> Path | None:
    """Return the folder with the IDX files of a data set, downloaded if they are not yet there.

    Args:
        name: a data set; None is returned for a name that the catalogue does not hold.
        on_progress: called with a file's name, the bytes that have come, and the bytes there are.

    Raises:
        DataError: no mirror has a file, or another file lies in its place.
        StorageError: the cache folder cannot be written.
    """
    listing = LISTINGS.get(name)
    if listing is None:
        return None
    folder = cache_folder() / name
    if not _is_complete(folder, listing):
        files.make_folder(folder)
        with _alone_in(folder):
            # The process that was waited for may have filled it.
            if not _is_complete(folder, listing):
                files.remove_leftovers(folder)
                _fill(folder, name, listing, on_progress)
    return folder


def is_here(name: str) -> bool:
    """Tell whether a data set of the catalogue lies whole in the cache."""
    return _is_complete(cache_folder() / name, LISTINGS[name])


def is_transposed(name: str) -> bool:
    """Tell whether a data set of the catalogue stores its images lying on their side."""
    return name in LISTINGS and LISTINGS[name].transposed


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Wait until no other process fills a folder, and keep the others out while the block lasts."""
    lock = filelock.FileLock(folder / ".lock", thread_local=False)
    try:
        lock.acquire()
    except OSError as error:
        raise files.storage_error(error, folder) from error
    try:
        yield
    finally:
        lock.release()


def _is_complete(folder: Path, listing: Listing) -> bool:
    """Tell by the record and the sizes; gzip's own checksums are read with the files."""
    try:
        record = json.loads((folder / RECORD_NAME).read_bytes())
        return bool(record["downloads"] == _sums(listing)) and all(
            (folder / name).stat().st_size == kept["bytes"]
            for name, kept in record["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _sums(listing: Listing) -> dict[str, str]:
    return {file.name: file.sha256 for file in listing.files}


def _fill(folder: Path, name: str, listing: Listing, on_progress: Progress | None) -> None:
    for file in listing.files:
        path = folder / file.name
        if path.exists():
            verify(path, file)
        else:
            _download(file, folder, name, listing, on_progress)
    if listing.members:
        archive = folder / listing.files[0].name
        _unpack(archive, folder, listing.members)
    kept = list(listing.members.values()) or [file.name for file in listing.files]
    record = {
        "downloads": _sums(listing),
        "files": {
            name: {"bytes": (folder / name).stat().st_size, "sha256": sha256_of(folder / name)}
            for name in kept
        },
    }
    files.write_text(folder / RECORD_NAME, json.dumps(record, indent=2) + "\n")
    if listing.members:
        with contextlib.suppress(OSError):
            archive.unlink()


def _download(
    file: RemoteFile, folder: Path, name: str, listing: Listing, on_progress: Progress | None
) -> None:
    """Take a file from the first mirror that has it.

    Raises:
        DataError: none has; the sentence says what to put where instead.
    """
    reasons = []
    for url in file.urls:
        try:
            receive(url, file, folder / file.name, on_progress)
        except MirrorError as error:
            reasons.append(f"{urlsplit(url).hostname}: {error}")
        else:
            return
    missing = [other for other in listing.files if not (folder / other.name).exists()]
    listed = ", ".join(f"{other.urls[0]} (SHA-256 {other.sha256[:12]}...)" for other in missing)
    raise DataError(
        f"cannot download {file.name} of {name} ({'; '.join(reasons)}); try again when online, or "
        f"fetch {listed} elsewhere and place {'it' if len(missing) == 1 else 'them'} in {folder}"
    )


def _unpack(archive: Path, folder: Path, members: Mapping[str, str]) -> None:
    """Write members of a verified archive as they are; the archive's own checksums hold them."""
    try:
        with zipfile.ZipFile(archive) as opened:
            for member, name in members.items():
                files.write_bytes(folder / name, opened.read(member))
    except (KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"cannot unpack {archive}: {error}") from error
