from __future__ import annotations

import dataclasses
import hashlib
import json
import pickle
import shutil
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import TinyConfig
from torch import Tensor

from gancli import checkpoints, sampling
from gancli.checkpoints import Checkpoint
from gancli.errors import CheckpointError, StorageError
from gancli.files import checksum_path
from gancli.runs import RunDirectory

PATH = Path("state-000000012.safetensors")


NEWER = "state-000000013.safetensors"


def names() -> set[str]:
    return {path.name for path in Path().iterdir()}


def made(config: Any, **tensors: Tensor) -> Checkpoint:
    return Checkpoint(PATH, "state", 12, 2.0, config, "f" * 64, tensors)


def vouch(content: bytes, path: Path = PATH) -> None:
    """Write a file with the checksum that it should have, whatever is in it."""
    path.write_bytes(content)
    checksum_path(path).write_text(f"{hashlib.sha256(content).hexdigest()}  {path.name}\n")


def headed(header: bytes, body: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + body


def refusal(path: Path = PATH) -> str:
    with pytest.raises(CheckpointError) as caught:
        checkpoints.load(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.fixture
def copy(tiny_run: RunDirectory) -> RunDirectory:
    """A copy of the tiny run, to be damaged."""
    return RunDirectory(Path(shutil.copytree(tiny_run.path, "tiny")))


def test_what_is_saved_is_loaded(tiny_config: TinyConfig) -> None:
    tensors = {
        "a": torch.randn(3, 2),
        "b": torch.randn(4, 4).t(),
        "c": torch.arange(5, dtype=torch.uint8),
        "d": torch.tensor(1.5, dtype=torch.float64),
        "e": torch.empty(0),
        "f": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
    }
    checkpoint = made(tiny_config(), **tensors)
    checkpoints.save(checkpoint)
    found = checkpoints.load(PATH)
    for name, tensor in tensors.items():
        assert found.tensors[name].dtype == tensor.dtype
        assert torch.equal(found.tensors[name], tensor)
    assert dataclasses.replace(found, tensors={}) == dataclasses.replace(checkpoint, tensors={})
    assert names() == {PATH.name, checksum_path(PATH).name}


def test_the_checksum_is_in_the_format_of_sha256sum(tiny_config: TinyConfig) -> None:
    checkpoints.save(made(tiny_config(), a=torch.zeros(1)))
    digest = hashlib.sha256(PATH.read_bytes()).hexdigest()
    assert checksum_path(PATH).read_text() == f"{digest}  {PATH.name}\n"


def test_equal_checkpoints_are_equal_bytes(tiny_config: TinyConfig) -> None:
    checkpoints.save(made(tiny_config(), a=torch.ones(2), b=torch.zeros(1)))
    first = PATH.read_bytes()
    checkpoints.save(made(tiny_config(), a=torch.ones(2), b=torch.zeros(1)))
    assert PATH.read_bytes() == first


@pytest.mark.parametrize("fails", ["serialisation", "tensors", "checksum"])
def test_a_failed_save_leaves_what_was_there(
    tiny_config: TinyConfig, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    checkpoints.save(made(tiny_config(), a=torch.zeros(1)))
    before, write = names(), Path.write_bytes
    newer = dataclasses.replace(made(tiny_config(), a=torch.ones(1)), path=Path(NEWER))

    def write_some(path: Path, content: bytes) -> int:
        if len(content) < 100 or fails == "tensors":
            raise OSError(28, "No space left on device")
        return write(path, content)

    def serialise(*_: Any) -> bytes:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        if fails == "serialisation":
            patch.setattr(safetensors.torch, "save", serialise)
        else:
            patch.setattr(Path, "write_bytes", write_some)
        expected = ZeroDivisionError if fails == "serialisation" else StorageError
        with pytest.raises(expected) as caught:
            checkpoints.save(newer)
    if fails != "serialisation":
        assert "disk is full" in str(caught.value)
        assert "bytes are needed" in str(caught.value)
    assert checkpoints.states(Path()) == [PATH]
    assert checkpoints.load(PATH).tensors["a"].item() == 0
    checkpoints.prune_states(Path())
    assert names() == before


@pytest.mark.parametrize("fails_at", [1, 2, 3])
def test_whatever_cuts_off_a_replacement_leaves_one_or_the_other(
    tiny_config: TinyConfig, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    checkpoints.save(made(tiny_config(), a=torch.zeros(1)))
    replace, calls = Path.replace, 0

    def replace_some(path: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == fails_at:
            raise OSError(5, "Input/output error")
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace_some)
        with pytest.raises(StorageError):
            checkpoints.save(made(tiny_config(), a=torch.ones(1)))
    assert checkpoints.load(PATH).tensors["a"].item() == (1 if fails_at == 3 else 0)
    checkpoints.save(made(tiny_config(), a=torch.full((1,), 2.0)))
    assert checkpoints.load(PATH).tensors["a"].item() == 2
    assert len(checksum_path(PATH).read_text().splitlines()) == 1


# Damage.


@pytest.mark.parametrize(
    "damage",
    {
        "empty": lambda whole: b"",
        "truncated": lambda whole: whole[:-1],
        "half": lambda whole: whole[: len(whole) // 2],
        "one byte more": lambda whole: whole + b"\0",
        "html": lambda whole: b"<!DOCTYPE html>",
        "zeros": lambda whole: bytes(len(whole)),
        "bit in the data": lambda whole: whole[:-1] + bytes([whole[-1] ^ 1]),
        "bit in the header": lambda whole: whole[:20] + bytes([whole[20] ^ 1]) + whole[21:],
    }.items(),
    ids=lambda item: item[0],
)
def test_a_damaged_checkpoint_is_corrupt(copy: RunDirectory, damage: Any) -> None:
    newest, older = checkpoints.states(copy.path)[0], copy.path / "frames"
    newest.write_bytes(damage[1](newest.read_bytes()))
    assert "is corrupt: its checksum does not match" in refusal(newest)
    assert older.is_dir()


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe", b"0" * 64])
def test_a_checkpoint_without_its_checksum_does_not_count(
    copy: RunDirectory, content: bytes | None
) -> None:
    newest = checkpoints.states(copy.path)[0]
    if content is None:
        checksum_path(newest).unlink()
        assert "copy both files" in refusal(newest)
        assert newest not in checkpoints.states(copy.path)
    else:
        checksum_path(newest).write_bytes(content)
        assert "is corrupt" in refusal(newest)


def test_a_pickle_with_a_good_checksum_runs_nothing() -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path("exploded").write_text, ("!",)

    bomb = pickle.dumps(Bomb())
    torch.save({"a": torch.zeros(2)}, "zipped.pt")
    for content in (bomb, headed(bomb), Path("zipped.pt").read_bytes()):
        vouch(content)
        assert "is no checkpoint of gancli" in refusal()
    assert not Path("exploded").exists()
    pickle.loads(bomb)
    assert Path("exploded").exists()


def header(**about: Any) -> bytes:
    return json.dumps({"__metadata__": {"gancli": json.dumps(about)}}).encode()


LYING = {
    "2^62 bytes of header": struct.pack("<Q", 2**62) + b"{}",
    "2^62 bytes of data": headed(
        b'{"__metadata__":{"gancli":"{}"},"a":'
        b'{"dtype":"F32","shape":[1152921504606846976],"data_offsets":[0,4611686018427387904]}}'
    ),
    "2^40 elements": headed(
        b'{"__metadata__":{"gancli":"{}"},"a":'
        b'{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4]}}',
        bytes(4),
    ),
    "a million levels": headed(b"[" * 1_000_000),
    "a million levels inside": headed(
        json.dumps({"__metadata__": {"gancli": "[" * 1_000_000}}).encode()
    ),
    "no metadata": headed(b"{}"),
    "metadata of another program": headed(b'{"__metadata__":{"format":"pt"}}'),
    "a list": headed(b"[]"),
    "no format": headed(header(kind="state")),
    "a format of words": headed(header(format="one")),
    "not JSON": headed(b"\xff\xfe\xfd"),
}


@pytest.mark.parametrize("content", LYING.values(), ids=LYING)
def test_a_lying_header_is_refused_without_much_memory(content: bytes) -> None:
    vouch(content)
    tracemalloc.start()
    message = refusal()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "is no checkpoint of gancli" in message
    assert peak < 30e6


def reworded(copy: RunDirectory, **changes: Any) -> Path:
    """Change what the newest state says of itself, with a good checksum."""
    path = checkpoints.states(copy.path)[0]
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    table = json.loads(content[8 : 8 + length])
    about = {**json.loads(table["__metadata__"]["gancli"]), **changes}
    kept = {key: value for key, value in about.items() if value is not None}
    table["__metadata__"]["gancli"] = json.dumps(kept)
    vouch(headed(json.dumps(table).encode(), content[8 + length :]), path)
    return path


def test_a_newer_format_asks_for_a_newer_gancli(copy: RunDirectory) -> None:
    message = refusal(reworded(copy, format=checkpoints.FORMAT + 1))
    assert f"has format {checkpoints.FORMAT + 1}, and this gancli reads up to" in message
    assert "update gancli" in message


@pytest.mark.parametrize(
    "changes",
    [
        {"step": None},
        {"step": "many"},
        {"step": [1]},
        {"step": float("inf")},
        {"step": float("nan")},
        {"epoch": 10**400},
        {"epoch": {}},
        {"kind": None},
        {"config": None},
        {"config": 5},
        {"config": {"training": {"seed": 10**400}}},
        {"config": {"traning": {}}},
        {"data_fingerprint": None},
    ],
    ids=str,
)
def test_a_checkpoint_that_does_not_describe_its_run_is_refused(
    copy: RunDirectory, changes: dict[str, Any]
) -> None:
    assert "does not describe its run" in refusal(reworded(copy, **changes))


def test_a_rewording_alone_is_no_fault(copy: RunDirectory) -> None:
    assert checkpoints.load(reworded(copy, step=12)).step == 12


# Hypothesis: what is in a file with a good checksum cannot do more than be refused.

specs = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from(["F32", "F64", "U8", "BOOL", "F8_E4M3", "F4", "C64", "X", 3]),
        "shape": st.lists(st.integers(-1, 2**63) | st.integers(0, 3), max_size=3) | st.text(),
        "data_offsets": st.lists(st.integers(0, 2**64) | st.integers(0, 16), max_size=3),
    },
)
abouts = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["format", "kind", "step", "epoch", "config", "data", "training"]),
            inner,
            max_size=7,
        )
    ),
    max_leaves=8,
)
headers = st.fixed_dictionaries(
    {},
    optional={
        "__metadata__": st.fixed_dictionaries({"gancli": abouts.map(json.dumps)}) | abouts,
        "a": specs,
        "b": specs | st.integers(),
    },
).map(lambda table: headed(json.dumps(table).encode(), bytes(16)))


@settings(max_examples=400)
@given(st.one_of(st.binary(), st.binary().map(headed), headers))
def test_any_content_is_refused_or_a_checkpoint(content: bytes) -> None:
    vouch(content)
    assert "is " in refusal() or "describe" in refusal()


@settings(max_examples=200)
@given(st.data())
def test_any_changed_bytes_are_refused_or_harmless(
    tiny_run: RunDirectory, data: st.DataObject
) -> None:
    content = bytearray(checkpoints.snapshots(tiny_run.path)[-1].read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(3000, len(content) - 1)))] = data.draw(
            st.integers(0, 255)
        )
    vouch(bytes(content), Path("changed.safetensors"))
    try:
        trained = sampling.load("changed.safetensors")
    except CheckpointError as error:
        assert "changed.safetensors" in str(error)
    else:
        assert trained.sample([0])[0].shape == trained.config.data.sample_shape


# Tensors and weights.


def test_tensors_are_held_to_names_shapes_and_types() -> None:
    expected = {"a": torch.zeros(2, 3), "b": torch.zeros(1)}
    checkpoints.check_tensors(expected, {"b": torch.ones(1), "a": torch.ones(2, 3)}, PATH)
    for found, words in [
        ({"a": torch.zeros(2, 3)}, "has no tensor 'b', which its config asks for"),
        ({**expected, "c": torch.zeros(1)}, "has a tensor 'c' that its config does not ask for"),
        (
            {**expected, "a": torch.zeros(3, 2)},
            "'a' is float32 [3, 2], and its config asks for float32 [2, 3]",
        ),
        (
            {**expected, "b": torch.zeros(1, dtype=torch.float16)},
            "'b' is float16 [1], and its config asks for float32 [1]",
        ),
    ]:
        with pytest.raises(CheckpointError) as caught:
            checkpoints.check_tensors(expected, found, PATH)
        assert words in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers_are_refused(value: float) -> None:
    good = {"a": torch.zeros(3), "n": torch.tensor(2**62)}
    checkpoints.check_finite(good, PATH)
    bad = torch.tensor([0.0, value, 0.0])
    with pytest.raises(CheckpointError, match="'b' holds nan or inf"):
        checkpoints.check_finite({**good, "b": bad}, PATH)


# Names and order.


def test_states_come_newest_first_and_snapshots_oldest_first() -> None:
    folder = Path("run")
    steps = [5, 1_000_000_000, 40, 123_456_789]
    for path_of in (checkpoints.state_path, checkpoints.snapshot_path):
        for step in steps:
            path = path_of(folder, step)
            path.parent.mkdir(parents=True, exist_ok=True)
            vouch(b"x", path)
            assert checkpoints.step_of(path) == step
    (folder / "state-7.safetensors.tmp").write_bytes(b"")
    (folder / "state-8.safetensors").write_bytes(b"no checksum")
    found = [checkpoints.step_of(path) for path in checkpoints.states(folder)]
    assert found == sorted(steps, reverse=True)
    kept = [checkpoints.step_of(path) for path in checkpoints.snapshots(folder)]
    assert kept == sorted(steps)
    checkpoints.prune_states(folder)
    assert [checkpoints.step_of(path) for path in checkpoints.states(folder)] == found[:2]
    assert checkpoints.snapshots(folder) == checkpoints.snapshots(folder)[:4]
    assert checkpoints.states(Path("gone")) == []


def test_part_takes_a_prefix_off() -> None:
    tensors = {"generator.a": torch.ones(1), "generator_optimizer.a": torch.zeros(1)}
    assert checkpoints.part(tensors, "generator.") == {"a": torch.ones(1)}
