"""Downloads by name, against a server on this machine with files in the real formats."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.server
import io
import json
import os
import re
import shutil
import stat
import struct
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch
from commands import call, made, refused
from rich.console import Console

from gancli import api, config, data
from gancli.cli import progress
from gancli.cli.output import Output
from gancli.data import catalogue, download
from gancli.data.catalogue import LISTINGS, Listing, folder_of
from gancli.data.download import RemoteFile
from gancli.errors import ConfigError, DataError, StorageError

IDX_NAMES = [file.name for file in LISTINGS["fashion-mnist"].files]
NOWHERE = "http://127.0.0.1:9/"  # the port of `discard`: nobody listens


def idx(array: np.ndarray) -> bytes:
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return gzip.compress(header + array.tobytes(), mtime=0)


def images(count: int, first: int) -> np.ndarray:
    """Images of 28 x 28 that no turning or mirroring leaves as they are."""
    grown = np.zeros((count, 28, 28), dtype=np.uint8)
    grown[:, 2:26, 4] = 200  # the stem of an L, on the left
    grown[:, 25, 4:15] = 100  # its foot, at the bottom
    grown[:, 0, 27] = first + np.arange(count)
    return grown


TRAIN, TEST = images(40, 1), images(20, 101)
TRAIN_LABELS, TEST_LABELS = (np.arange(n, dtype=np.uint8) % 10 for n in (40, 20))


def four_files(names: list[str], turned: bool = False) -> dict[str, bytes]:
    arrays = [TRAIN, TRAIN_LABELS, TEST, TEST_LABELS]
    if turned:
        arrays = [array.swapaxes(1, 2) if array.ndim == 3 else array for array in arrays]
    return {name: idx(array) for name, array in zip(names, arrays, strict=True)}


def emnist_archive() -> bytes:
    """The archive of EMNIST: gzipped IDX files in a zip, images on their side, others beside."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        members = four_files(list(LISTINGS["emnist-digits"].members), turned=True)
        for name, member in {**members, "gzip/emnist-letters-mapping.txt": b"1 65 97\n"}.items():
            archive.writestr(name, member)
    return content.getvalue()


class Mirror:
    """A web server on this machine: what it answers, and what it was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.answer: Callable[[http.server.BaseHTTPRequestHandler, bytes], None] = self.plainly
        self.asked: list[str] = []
        mirror = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                mirror.asked.append(self.path.lstrip("/"))
                content = mirror.files.get(self.path.lstrip("/"))
                if content is None:
                    self.send_error(404)
                    return
                with contextlib.suppress(ConnectionError):
                    mirror.answer(self, content)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"

    @staticmethod
    def plainly(handler: http.server.BaseHTTPRequestHandler, content: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    @staticmethod
    def without_length(handler: http.server.BaseHTTPRequestHandler, content: bytes) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(content)


@pytest.fixture
def start_mirror() -> Iterator[Callable[[], Mirror]]:
    with contextlib.ExitStack() as stack:

        def start() -> Mirror:
            mirror = Mirror()
            thread = threading.Thread(target=mirror.server.serve_forever, args=(0.01,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(mirror.server.server_close)
            stack.callback(mirror.server.shutdown)
            return mirror

        yield start


@pytest.fixture
def mirror(start_mirror: Callable[[], Mirror]) -> Mirror:
    """A mirror that has everything."""
    found = start_mirror()
    found.files = {**four_files(IDX_NAMES), "gzip.zip": emnist_archive()}
    return found


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GANCLI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the catalogue list the small files of a mirror, at the addresses given."""

    def put(mirror: Mirror, *bases: str) -> None:
        def remote(name: str) -> RemoteFile:
            content = mirror.files[name]
            urls = tuple(base + name for base in bases or (mirror.url,))
            return RemoteFile(name, len(content), hashlib.sha256(content).hexdigest(), urls)

        idx_files = Listing(tuple(map(remote, IDX_NAMES)))
        for name in ("fashion-mnist", "kmnist"):
            monkeypatch.setitem(LISTINGS, name, idx_files)
        members = LISTINGS["emnist-digits"].members
        monkeypatch.setitem(
            LISTINGS, "emnist-digits", Listing((remote("gzip.zip"),), members, transposed=True)
        )

    return put


def lying(folder: Path) -> set[str]:
    """Return the names of all that lies in a folder but its lock."""
    return {path.name for path in folder.iterdir()} - {".lock"} if folder.exists() else set()


def refusal(name: str = "fashion-mnist") -> str:
    with pytest.raises(DataError) as caught:
        folder_of(name)
    return str(caught.value)


# The real catalogue


def test_the_catalogue_lists_what_the_config_names() -> None:
    assert tuple(LISTINGS) == config.DOWNLOADS
    assert set(config.DOWNLOADS) < set(config.NAMED_SOURCES)


@pytest.mark.parametrize("name", config.DOWNLOADS)
def test_every_listing_is_whole(name: str) -> None:
    listing = LISTINGS[name]
    for file in listing.files:
        assert file.urls
        assert re.fullmatch("[0-9a-f]{64}", file.sha256)
        assert 5_000 < file.size < 600_000_000
        for url in file.urls:
            parts = urlsplit(url)
            assert (parts.scheme, Path(parts.path).name) == ("https", file.name)
    kept = set(listing.members.values()) or {file.name for file in listing.files}
    assert len(kept) == 4
    assert len({file.sha256 for file in listing.files}) == len(listing.files)
    for images_name in (name for name in kept if "images" in name):
        assert data.labels_file_name(images_name) in kept


def test_without_a_home_a_place_for_the_cache_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def homeless(*_: str, **__: object) -> str:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.delenv("GANCLI_CACHE")
    monkeypatch.setattr(catalogue.platformdirs, "user_cache_dir", homeless)
    with pytest.raises(StorageError, match=r"no home folder .* name a folder by GANCLI_CACHE"):
        catalogue.cache_folder()


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert catalogue.cache_folder() == tmp_path / "cache"
    monkeypatch.setenv("GANCLI_CACHE", "relative")
    assert catalogue.cache_folder() == Path.cwd() / "relative"
    monkeypatch.setenv("GANCLI_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    places = {"linux": tmp_path / "xdg" / "gancli"}
    if sys.platform in places:
        assert catalogue.cache_folder() == places[sys.platform]
        monkeypatch.delenv("XDG_CACHE_HOME")
        assert catalogue.cache_folder() == tmp_path / "home" / ".cache" / "gancli"
    assert catalogue.cache_folder().name in ("gancli", "Cache")


def test_a_name_of_the_catalogue_stays_a_name() -> None:
    for name in config.DOWNLOADS:
        Path(name).mkdir()  # a folder of the same name is reached as ./kmnist
        assert api.describe(data=name).data.source == name
        assert api.describe(data=f"./{name}").data.source == str(Path(name).resolve())
    assert api.describe("r1-fc", digit=7, data="emnist-digits").data.source == "emnist-digits"
    with pytest.raises(ConfigError, match=r"--digit 10 is out of range: kmnist has 0 to 9"):
        api.describe(data="kmnist", digit=10)


def test_an_unknown_name_lists_the_catalogue() -> None:
    sentence = refused(3, "train", "--data", "fashon-mnist")
    assert all(name in sentence for name in config.NAMED_SOURCES)
    assert "did you mean 'fashion-mnist'?" in sentence


# A download that goes well


def test_a_download_is_loaded(mirror: Mirror, listed: Callable[..., None], cache: Path) -> None:
    listed(mirror)
    splits = data.load("fashion-mnist")
    assert splits.test is not None
    assert splits.train.labels is not None
    assert splits.test.labels is not None
    assert torch.equal(splits.train.images[:, 0], torch.from_numpy(TRAIN))
    assert torch.equal(splits.test.images[:, 0], torch.from_numpy(TEST))
    assert splits.train.labels.tolist() == TRAIN_LABELS.tolist()
    assert splits.test.labels.tolist() == TEST_LABELS.tolist()
    assert splits.classes == 10
    assert mirror.asked == IDX_NAMES
    assert lying(cache / "fashion-mnist") == {*IDX_NAMES, "verified.json"}
    for name in IDX_NAMES:
        assert (cache / "fashion-mnist" / name).read_bytes() == mirror.files[name]


def test_the_second_use_asks_nobody(mirror: Mirror, listed: Callable[..., None]) -> None:
    listed(mirror)
    first = data.load("kmnist")
    asked = len(mirror.asked)
    again = data.load("kmnist")
    assert len(mirror.asked) == asked == 4
    assert again.train.fingerprint() == first.train.fingerprint()


def test_a_complete_cache_may_be_read_only(
    mirror: Mirror, listed: Callable[..., None], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed(mirror)
    folder = folder_of("kmnist")

    def refuse(*_: object) -> None:
        raise AssertionError("the cache is written")

    monkeypatch.setattr(catalogue.filelock, "FileLock", refuse)
    monkeypatch.setattr(catalogue.files, "make_folder", refuse)
    assert folder_of("kmnist") == folder == cache / "kmnist"


def test_the_images_of_emnist_are_turned_upright(
    mirror: Mirror, listed: Callable[..., None], cache: Path
) -> None:
    listed(mirror)
    splits = data.load("emnist-digits")
    assert splits.test is not None
    assert splits.test.labels is not None
    assert torch.equal(splits.train.images[:, 0], torch.from_numpy(TRAIN))
    assert torch.equal(splits.test.images[:, 0], torch.from_numpy(TEST))
    assert splits.test.labels.tolist() == TEST_LABELS.tolist()
    assert splits.train.images.is_contiguous()
    small = data.load("emnist-digits", image_size=14).train.images[0, 0].int()
    assert small[2:12, 2].min() > 60  # the stem is upright and left at any size
    assert small[2:12, 8:].max() == 0
    sevens = data.load_for(config.DataConfig(source="emnist-digits", digit=7))
    assert (len(sevens.train), mirror.asked) == (4, ["gzip.zip"])


def test_of_the_archive_the_digits_alone_are_kept(
    mirror: Mirror, listed: Callable[..., None], cache: Path
) -> None:
    listed(mirror)
    folder = folder_of("emnist-digits")
    assert folder == cache / "emnist-digits"
    members = LISTINGS["emnist-digits"].members
    assert lying(folder) == {*members.values(), "verified.json"}
    with zipfile.ZipFile(io.BytesIO(mirror.files["gzip.zip"])) as archive:
        inside = {kept: archive.read(member) for member, kept in members.items()}
    record = json.loads((folder / "verified.json").read_text())
    assert record["downloads"] == {"gzip.zip": hashlib.sha256(mirror.files["gzip.zip"]).hexdigest()}
    for name, content in inside.items():
        assert (folder / name).read_bytes() == content
        assert record["files"][name] == {
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }


def test_progress_counts_bytes(mirror: Mirror, listed: Callable[..., None], monkeypatch) -> None:
    monkeypatch.setattr(download, "_CHUNK_BYTES", 100)
    listed(mirror)
    told: dict[str, list[tuple[int, int]]] = {}
    folder_of("kmnist", lambda name, *counts: told.setdefault(name, []).append(counts))
    assert list(told) == IDX_NAMES
    for name, counts in told.items():
        size = len(mirror.files[name])
        assert {total for _, total in counts} == {size}
        assert [done for done, _ in counts] == [*range(100, size, 100), size]


# Mirrors that fail


def spoilt(mirror: Mirror, kind: str) -> None:
    """Let a mirror fail in one of the ways in which mirrors fail."""
    if kind == "404":
        mirror.files = {}
    elif kind == "another file":
        mirror.files = {name: bytes(reversed(content)) for name, content in mirror.files.items()}
    elif kind == "a page":
        mirror.files = dict.fromkeys(mirror.files, b"<html>We have moved</html>")
    elif kind == "a page without length":
        mirror.files = dict.fromkeys(mirror.files, b"<html>We have moved</html>")
        mirror.answer = mirror.without_length
    elif kind == "no end":
        mirror.files = {name: content + bytes(5000) for name, content in mirror.files.items()}
        mirror.answer = mirror.without_length
    elif kind in ("short", "silence"):

        def halfway(handler: http.server.BaseHTTPRequestHandler, content: bytes) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(content)))
            handler.end_headers()
            handler.wfile.write(content[: len(content) // 2])
            handler.wfile.flush()
            if kind == "silence":
                time.sleep(0.5)

        mirror.answer = halfway
    else:

        def nonsense(handler: http.server.BaseHTTPRequestHandler, _: bytes) -> None:
            handler.wfile.write(b"no HTTP at all\r\n\r\n")

        mirror.answer = nonsense


FAILURES = {
    "404": "404 Not Found",
    "another file": "SHA-256 differs",
    "a page": "it offers a file of another length",
    "a page without length": "it broke off after 26 of ",
    "no end": "it goes on after ",
    "short": "",  # http.client has its own words in some versions
    "silence": "timed out",
    "nonsense": "its answer is none (BadStatusLine)",
}


@pytest.mark.parametrize("kind", FAILURES)
def test_a_mirror_that_fails_leaves_nothing_and_the_next_is_asked(
    mirror: Mirror,
    start_mirror: Callable[[], Mirror],
    listed: Callable[..., None],
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    monkeypatch.setattr(download, "SILENCE_SECONDS", 0.2)
    bad = start_mirror()
    bad.files = dict(mirror.files)
    listed(mirror, bad.url)
    spoilt(bad, kind)
    sentence = refusal()
    assert FAILURES[kind] in sentence
    assert "\n" not in sentence
    assert lying(cache / "fashion-mnist") == set()
    refusal("emnist-digits")
    assert lying(cache / "emnist-digits") == set()
    listed(mirror, bad.url, mirror.url)
    assert len(data.load("fashion-mnist").train) == 40
    assert mirror.asked == IDX_NAMES
    assert bad.asked == [IDX_NAMES[0], "gzip.zip", *IDX_NAMES]


def test_a_dead_mirror_first(mirror: Mirror, listed: Callable[..., None]) -> None:
    listed(mirror, NOWHERE, mirror.url)
    assert len(data.load("emnist-digits").train) == 40


def test_offline_the_file_and_the_folder_are_named(
    mirror: Mirror, listed: Callable[..., None], cache: Path
) -> None:
    listed(mirror, NOWHERE, NOWHERE.replace(":9/", ":10/"))
    folder = cache / "fashion-mnist"
    folder.mkdir(parents=True)
    (folder / IDX_NAMES[1]).write_bytes(mirror.files[IDX_NAMES[1]])
    sentence = refused(3, "train", "--data", "fashion-mnist")
    assert f"elsewhere and place them in {folder}" in sentence
    assert sentence.count("Connection refused") == 2
    for file in LISTINGS["fashion-mnist"].files:
        is_missing = file.name != IDX_NAMES[1]
        assert (f"{NOWHERE}{file.name} (SHA-256 {file.sha256[:12]}" in sentence) == is_missing
    assert lying(folder) == {IDX_NAMES[1]}
    assert not Path("checkpoints").exists()


def test_a_download_that_was_broken_off_goes_on_with_the_files_it_has(
    mirror: Mirror, listed: Callable[..., None], cache: Path
) -> None:
    listed(mirror)
    whole = mirror.files.pop(IDX_NAMES[2])
    assert "404" in refusal()
    assert lying(cache / "fashion-mnist") == set(IDX_NAMES[:2])
    mirror.files[IDX_NAMES[2]] = whole
    mirror.asked.clear()
    folder_of("fashion-mnist")
    assert mirror.asked == IDX_NAMES[2:]


def test_ctrl_c_leaves_no_half_file(
    mirror: Mirror, listed: Callable[..., None], cache: Path
) -> None:
    listed(mirror)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folder_of("kmnist", interrupt)
    assert lying(cache / "kmnist") == set()
    (cache / "kmnist" / ".gancli-0123456789ab.gz").write_bytes(b"half")  # as SIGKILL leaves it
    folder_of("kmnist")
    assert lying(cache / "kmnist") == {*IDX_NAMES, "verified.json"}


# Files placed by hand


def test_files_placed_by_hand_are_taken(
    mirror: Mirror, listed: Callable[..., None], cache: Path
) -> None:
    listed(mirror, NOWHERE)
    for folder, names in (("kmnist", IDX_NAMES), ("emnist-digits", ["gzip.zip"])):
        (cache / folder).mkdir(parents=True)
        for name in names:
            (cache / folder / name).write_bytes(mirror.files[name])
        assert torch.equal(data.load(folder).train.images[:, 0], torch.from_numpy(TRAIN))
    assert "gzip.zip" not in lying(cache / "emnist-digits")


@pytest.mark.parametrize(
    ("name", "placed"), [("kmnist", IDX_NAMES[0]), ("emnist-digits", "gzip.zip")]
)
def test_a_wrong_file_placed_by_hand_is_refused(
    mirror: Mirror, listed: Callable[..., None], cache: Path, name: str, placed: str
) -> None:
    listed(mirror)
    (cache / name).mkdir(parents=True)
    path = cache / name / placed
    right = mirror.files[placed]
    for wrong, words in (
        (right[:-1], f"it has {len(right) - 1:,} bytes, not {len(right):,}"),
        (right[:-1] + bytes([right[-1] ^ 1]), "its SHA-256 is "),
    ):
        path.write_bytes(wrong)
        sentence = refused(3, "train", "--data", name, "--dry-run")
        assert str(path) in sentence
        assert words in sentence
        assert "remove it" in sentence
        assert path.read_bytes() == wrong  # it is the user's
        assert lying(cache / name) == {placed}
    assert mirror.asked == []


def test_a_folder_in_the_place_of_a_file(
    mirror: Mirror, listed: Callable[..., None], cache: Path
) -> None:
    listed(mirror)
    (cache / "kmnist" / IDX_NAMES[0]).mkdir(parents=True)
    assert "cannot read" in refusal("kmnist")


@pytest.mark.parametrize(
    "record", [b"", b"{", b"[]", b"{}", b'{"downloads": {}, "files": []}', b"\xff"]
)
def test_a_damaged_record_means_that_files_are_checked(
    mirror: Mirror, listed: Callable[..., None], cache: Path, record: bytes
) -> None:
    listed(mirror)
    folder_of("kmnist")
    whole = (cache / "kmnist" / "verified.json").read_bytes()
    (cache / "kmnist" / "verified.json").write_bytes(record)
    mirror.asked.clear()
    folder_of("kmnist")
    assert mirror.asked == []
    assert (cache / "kmnist" / "verified.json").read_bytes() == whole


def test_a_cached_file_that_shrank_or_went_is_noticed(
    mirror: Mirror, listed: Callable[..., None], cache: Path
) -> None:
    listed(mirror)
    path = cache / "kmnist" / IDX_NAMES[0]
    folder_of("kmnist")
    path.write_bytes(path.read_bytes()[:-5])
    assert "is damaged" in refusal("kmnist")
    path.unlink()
    folder_of("kmnist")
    assert path.read_bytes() == mirror.files[IDX_NAMES[0]]
    member = folder_of("emnist-digits") / "test-images-idx3-ubyte.gz"
    whole = member.read_bytes()
    member.write_bytes(b"")
    folder_of("emnist-digits")  # what was unpacked is unpacked anew
    assert member.read_bytes() == whole


def test_an_archive_without_the_digits(
    mirror: Mirror, listed: Callable[..., None], cache: Path
) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("gzip/emnist-letters-mapping.txt", b"1 65 97\n")
    for wrong in (content.getvalue(), b"no zip at all"):
        mirror.files["gzip.zip"] = wrong
        listed(mirror)
        assert "cannot unpack" in refusal("emnist-digits")
        (cache / "emnist-digits" / "gzip.zip").unlink()


# Two at once, and the disk


def test_two_at_once_make_one_download(mirror: Mirror, listed: Callable[..., None]) -> None:
    def slowly(handler: http.server.BaseHTTPRequestHandler, content: bytes) -> None:
        time.sleep(0.1)
        mirror.plainly(handler, content)

    mirror.answer = slowly
    listed(mirror)
    with ThreadPoolExecutor(4) as threads:
        folders = list(threads.map(folder_of, ["kmnist"] * 4))
    assert len(set(folders)) == 1
    assert mirror.asked == IDX_NAMES


def test_two_processes_at_once_make_one_download(
    mirror: Mirror, listed: Callable[..., None], cache: Path
) -> None:
    listed(mirror)
    files = [(f.name, f.size, f.sha256, f.urls) for f in LISTINGS["kmnist"].files]
    script = (
        "from gancli.data import catalogue, download\n"
        f"files = tuple(download.RemoteFile(*f) for f in {files!r})\n"
        "catalogue.LISTINGS['kmnist'] = catalogue.Listing(files)\n"
        "print(catalogue.folder_of('kmnist'))\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120)[0].strip() for process in running]
    assert said == [str(cache / "kmnist")] * 2
    assert mirror.asked == IDX_NAMES


def test_a_full_disk(
    mirror: Mirror, listed: Callable[..., None], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed(mirror)
    real = open

    class Full(io.FileIO):
        def write(self, _: object) -> int:
            raise OSError(28, "No space left on device")

    def fake(path, mode="r", *rest):
        return Full(path, "w") if mode == "wb" else real(path, mode, *rest)

    monkeypatch.setattr(download, "open", fake, raising=False)
    with pytest.raises(StorageError) as caught:
        folder_of("kmnist")
    assert "the disk is full" in str(caught.value)
    assert f"{len(mirror.files[IDX_NAMES[0]]):,} bytes are needed" in str(caught.value)
    assert lying(cache / "kmnist") == set()
    assert mirror.asked == IDX_NAMES[:1]  # another mirror has no room either


def test_a_cache_that_cannot_be_written(
    mirror: Mirror, listed: Callable[..., None], cache: Path
) -> None:
    listed(mirror)
    cache.write_text("in the way")
    with pytest.raises(StorageError, match="a file"):
        folder_of("kmnist")
    cache.unlink()
    (cache / "kmnist").mkdir(parents=True)
    if os.name == "posix" and os.getuid() != 0:
        (cache / "kmnist").chmod(stat.S_IRUSR | stat.S_IXUSR)
        with pytest.raises(StorageError, match="permission denied"):
            folder_of("kmnist")
        (cache / "kmnist").chmod(stat.S_IRWXU)


# The command line


QUICK = ["--steps", 2, "--set", "training.batch_size=4", "--threads", 1, "--device", "cpu"]


def test_training_by_name(mirror: Mirror, listed: Callable[..., None]) -> None:
    listed(mirror)
    done = made("train", "--data", "fashion-mnist", "--unconditional", *QUICK)
    assert done.made.name.startswith("fashion-mnist")
    assert 'source = "fashion-mnist"' in (done.made / "config.toml").read_text()
    for name in IDX_NAMES:
        assert f"downloading {name}, 0.0 MB" in done.stderr
    again = made("train", "--resume", done.made.name)
    assert "finished already" in again.stderr
    assert "downloading" not in again.stderr


def test_report_1_trains_on_the_digits_of_emnist(
    mirror: Mirror, listed: Callable[..., None]
) -> None:
    listed(mirror)
    done = made("train", "--recipe", "r1-fc", "--digit", 7, "--data", "emnist-digits", *QUICK)
    assert done.made.name == "r1-fc-emnist-digits-digit-7"
    assert "downloading gzip.zip" in done.stderr


def test_quiet_is_quiet_and_json_is_json(mirror: Mirror, listed: Callable[..., None]) -> None:
    listed(mirror)
    done = made("train", "--data", "kmnist", "--dry-run", "--quiet", *QUICK)
    assert done.stderr == ""
    assert 'source = "kmnist"' in done.stdout
    planned = made("train", "--data", "emnist-digits", "--dry-run", "--json", *QUICK)
    assert planned.json["config"]["data"]["source"] == "emnist-digits"
    assert planned.json["config"]["data"]["classes"] == 10


def test_a_dry_run_fetches_data_and_writes_no_run(
    mirror: Mirror, listed: Callable[..., None], cache: Path
) -> None:
    listed(mirror)
    done = made("train", "--data", "kmnist", "--dry-run", *QUICK)
    assert "downloading" in done.stderr
    assert "no run was written" in done.stderr
    assert "nothing" not in done.stderr
    assert any(cache.rglob("*"))
    assert not Path("checkpoints").exists()


def test_a_slow_download_says_how_far_it_is(
    mirror: Mirror, listed: Callable[..., None], monkeypatch, capsys
) -> None:
    monkeypatch.setattr(download, "_CHUNK_BYTES", 1 + len(mirror.files[IDX_NAMES[0]]) // 2)
    monkeypatch.setattr(progress, "_LINE_SECONDS", 0)
    listed(mirror)
    progress.fetch_data("kmnist", Output())
    said = capsys.readouterr().err.splitlines()
    assert said[:2] == [f"downloading {IDX_NAMES[0]}, 0.0 MB", f"{IDX_NAMES[0]}: 100%"]
    progress.fetch_data("kmnist", Output())
    assert capsys.readouterr() == ("", "")


def test_a_terminal_shows_bars(mirror: Mirror, listed: Callable[..., None], monkeypatch) -> None:
    listed(mirror)
    output, screen = Output(), io.StringIO()
    monkeypatch.setattr(Output, "live", True)
    output._console = Console(file=screen, force_terminal=True, width=100)
    progress.fetch_data("kmnist", output)
    assert all(name in screen.getvalue() for name in IDX_NAMES)
    assert "\x1b[?25h" in screen.getvalue()  # the cursor is given back


def test_judging_fetches_what_the_cache_lost(
    mirror: Mirror, listed: Callable[..., None], cache: Path
) -> None:
    listed(mirror)
    made("train", "--data", "kmnist", "--unconditional", *QUICK)
    shutil.rmtree(cache)
    assert f"downloading {IDX_NAMES[0]}" in call("evaluate", "--device", "cpu").stderr
    assert mirror.asked == IDX_NAMES * 2


def test_many_runs_make_one_download(mirror: Mirror, listed: Callable[..., None]) -> None:
    listed(mirror)
    done = call("train", "--data", "kmnist", "--digit", "3,5", *QUICK)
    assert done.code == 0, done.stderr
    assert mirror.asked == IDX_NAMES
    assert Path("checkpoints/kmnist-digit-3").is_dir()
