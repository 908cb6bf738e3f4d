from __future__ import annotations

import gzip
import hashlib
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gancli.errors import DataError
from gancli.idx import EMBEDDED_MNIST, read_ahead, read_idx

# As in LICENSE-MNIST.md: of the four official files, decompressed.
SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
ARRAYS = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5))
PATH = Path("some.idx")


def idx(*shape: int, body: bytes = b"", kind: int = 0x08, start: int = 0) -> bytes:
    return struct.pack(f">HBB{len(shape)}I", start, kind, len(shape), *shape) + body


def read(content: bytes) -> npt.NDArray[np.uint8]:
    PATH.write_bytes(content)
    return read_idx(PATH)


def refusal(content: bytes) -> str:
    with pytest.raises(DataError) as caught:
        read(content)
    message = str(caught.value)
    assert message.startswith(("some.idx", "cannot read some.idx"))
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", SHA256)
def test_the_embedded_files_are_the_official_ones(name: str) -> None:
    decoded = gzip.decompress((EMBEDDED_MNIST / f"{name}.gz").read_bytes())
    assert hashlib.sha256(decoded).hexdigest() == SHA256[name]
    array = read_idx(EMBEDDED_MNIST / f"{name}.gz")
    assert decoded == idx(*array.shape) + array.tobytes()
    assert SHA256[name] in (EMBEDDED_MNIST / "LICENSE-MNIST.md").read_text()


@given(ARRAYS, st.booleans())
def test_what_is_written_is_read(array: npt.NDArray[np.uint8], zipped: bool) -> None:
    content = idx(*array.shape, body=array.tobytes())
    found = read(gzip.compress(content) if zipped else content)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, array, strict=True)


@pytest.mark.parametrize("zipped", [False, True])
def test_every_cut_and_every_extra_byte_is_noticed(zipped: bool) -> None:
    whole = idx(2, 2, body=b"abcd")
    whole = gzip.compress(whole) if zipped else whole
    for length in range(len(whole)):
        refusal(whole[:length])
    if not zipped:  # zeros after a gzip file are padding by its standard
        assert "goes on after" in refusal(whole + b"\0")
    assert refusal(whole + b"x")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not an IDX file"),
        (b"<!DOCTYPE html><html>", "starts with b'<!DO'"),
        (idx(1, body=b"a", start=1), "not an IDX file"),
        (idx(1, body=b"abcd", kind=0x0D), "type 0x0d; gancli reads bytes (0x08)"),
        (idx(), "claims 0 dimensions"),
        (idx(1, 1, 1, 1, 1, body=b"a"), "claims 5 dimensions"),
        (idx(2, 2)[:6], "ends inside its header"),
        (idx(2**32 - 1, body=b"abc"), "claims 4,294,967,295 bytes of data and 3 follow"),
        (idx(2**32 - 1, 28, 28), "more than gancli loads at once"),
        (idx(2**32 - 1, 2**32 - 1, 0), "more than gancli loads at once"),
        (idx(3, body=b"ab"), "claims 3 bytes of data and 2 follow; download it again"),
        (gzip.compress(idx(1, body=b"a"), mtime=0)[:-4] + b"\0\0\0\1", "is damaged"),
    ],
)
def test_a_wrong_file_is_refused_in_words_without_much_memory(content: bytes, words: str) -> None:
    tracemalloc.start()
    message = refusal(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert words in message
    assert peak < 64e6


@pytest.mark.parametrize(("name", "words"), [("gone.idx", "No such file"), (".", "Is a directory")])
def test_what_cannot_be_opened_is_named(name: str, words: str) -> None:
    with pytest.raises(DataError, match=f"cannot read .*{words}"):
        read_idx(Path(name))


@given(
    st.one_of(
        st.binary(),
        st.builds(
            lambda shape, body, kind, count: (
                struct.pack(f">HBB{len(shape)}I", 0, kind, count, *shape) + body
            ),
            st.lists(st.integers(0, 2**32 - 1) | st.integers(0, 3), max_size=5),
            st.binary(max_size=30),
            st.sampled_from([8, 8, 8, 9]),
            st.integers(0, 5),
        ),
    ),
    st.booleans(),
)
def test_any_bytes_are_an_array_or_a_data_error(content: bytes, zipped: bool) -> None:
    try:
        array = read(gzip.compress(content) if zipped else content)
    except DataError as error:
        assert "some.idx" in str(error)
    else:
        unzipped = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
        assert idx(*array.shape, body=array.tobytes()) == unzipped


@given(st.data())
def test_any_changed_byte_of_a_zipped_file_is_harmless_or_a_data_error(data: st.DataObject) -> None:
    content = bytearray(gzip.compress(idx(4, 4, body=bytes(range(16))), mtime=0))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    try:
        array = read(bytes(content))
    except DataError as error:
        assert "some.idx" in str(error)
    else:  # in the header of gzip, and in the padding, there are bits that mean nothing
        assert array.tobytes() == bytes(range(16))


@pytest.mark.parametrize("piece", [777, 4096, 1 << 24])
def test_streams_in_a_row_and_padding_are_read_as_one(tmp_path: Path, piece: int) -> None:
    pixels = bytes(index % 251 for index in range(40 * 28 * 28))
    content = struct.pack(">HBB3I", 0, 8, 3, 40, 28, 28) + pixels
    parts = [content[start : start + piece] for start in range(0, len(content), piece)]
    path = tmp_path / "images.gz"
    path.write_bytes(b"".join(map(gzip.compress, parts)) + bytes(30))
    assert read_idx(path).tobytes() == pixels
    path.write_bytes(b"".join(map(gzip.compress, parts)) + b"junk")
    with pytest.raises(DataError, match="is damaged"):
        read_idx(path)


def test_a_file_read_ahead_is_handed_over_once(tmp_path: Path) -> None:
    path, missing = tmp_path / "some.idx", tmp_path / "none.idx"
    path.write_bytes(idx(3, body=b"abc"))
    read_ahead([path, missing])
    with pytest.raises(DataError, match=r"cannot read .*none\.idx"):
        read_idx(missing)  # the second of the thread's two, so it has read the first
    path.write_bytes(idx(3, body=b"def"))
    assert read_idx(path).tobytes() == b"abc"
    assert read_idx(path).tobytes() == b"def"


def test_files_can_be_read_ahead_of_torch() -> None:
    code = "import sys, gancli.idx; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
