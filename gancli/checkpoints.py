"""Checkpoints: tensors, plain data and a checksum. Atomic, versioned, never a pickle.

A checkpoint is ``NAME.safetensors`` with ``NAME.safetensors.sha256`` beside it, written last and in
the format of ``sha256sum``. One without its checksum is not whole and does not count.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from gancli import files
from gancli.config import RunConfig, from_table
from gancli.errors import CheckpointError, ConfigError
from gancli.files import checksum_path

FORMAT = 1
_STATE = re.compile(r"state-(\d+)\.safetensors")
_SNAPSHOT = re.compile(r"generator-(\d+)\.safetensors")
_STATES_KEPT = 2


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds.

    Attributes:
        path: where it was read from.
        kind: ``state`` (all of a training) or ``generator`` (the averaged generator alone).
        step: steps trained.
        epoch: the same in epochs.
        config: the run's config.
        data_fingerprint: SHA-256 of the training data.
        tensors: by name.
    """

    path: Path
    kind: str
    step: int
    epoch: float
    config: RunConfig
    data_fingerprint: str
    tensors: dict[str, Tensor]


def save(checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically: tensors first, then the checksum that makes it count.

    Raises:
        StorageError: it cannot be written; what was there before is untouched.
    """
    about = {
        "format": FORMAT,
        "kind": checkpoint.kind,
        "step": checkpoint.step,
        "epoch": checkpoint.epoch,
        "config": checkpoint.config.to_table(),
        "data_fingerprint": checkpoint.data_fingerprint,
    }
    tensors = {name: tensor.cpu().contiguous() for name, tensor in checkpoint.tensors.items()}
    content = safetensors.torch.save(tensors, {"gancli": json.dumps(about)})
    files.write_with_checksum(checkpoint.path, content)


def load(path: Path) -> Checkpoint:
    """Read a checkpoint and hold it to its checksum before anything looks inside.

    Raises:
        CheckpointError: missing, corrupt, of another program or of a newer gancli.
    """
    content = _verified(path)
    try:
        header_length = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + header_length])["__metadata__"]
        about = json.loads(metadata["gancli"])
        tensors = safetensors.torch.load(content)
    except (
        safetensors.SafetensorError,
        ValueError,
        KeyError,
        TypeError,
        RuntimeError,  # torch's word for a tensor it cannot make; RecursionError is one too
    ) as error:
        raise CheckpointError(f"{path} is no checkpoint of gancli") from error
    return _interpreted(path, about, tensors)


def _verified(path: Path) -> bytes:
    beside = checksum_path(path).name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        whole = files.has_checksum(path, content)
    except OSError as error:
        raise CheckpointError(
            f"{path} has no readable {beside} beside it, so it is not a whole checkpoint of "
            "gancli; copy both files"
        ) from error
    if not whole:
        raise CheckpointError(f"{path} is corrupt: its checksum does not match {beside}")
    return content


def _interpreted(path: Path, about: Any, tensors: dict[str, Tensor]) -> Checkpoint:
    if not isinstance(about, dict) or not isinstance(about.get("format"), int):
        raise CheckpointError(f"{path} is no checkpoint of gancli")
    if about["format"] > FORMAT:
        raise CheckpointError(
            f"{path} has format {about['format']}, and this gancli reads up to {FORMAT}; "
            "update gancli"
        )
    try:
        return Checkpoint(
            path,
            str(about["kind"]),
            int(about["step"]),
            float(about["epoch"]),
            from_table(about["config"], str(path)),
            str(about["data_fingerprint"]),
            tensors,
        )
    except (KeyError, TypeError, ValueError, OverflowError, ConfigError) as error:
        raise CheckpointError(f"{path} does not describe its run: {error}") from error


def check_tensors(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], path: Path) -> None:
    """Hold tensors to the names, shapes and types that a network has.

    Raises:
        CheckpointError: names the first that is missing, extra or different.
    """
    for name, tensor in expected.items():
        if name not in found:
            raise CheckpointError(f"{path} has no tensor '{name}', which its config asks for")
        other = found[name]
        if tensor.shape != other.shape or tensor.dtype != other.dtype:
            raise CheckpointError(
                f"{path}: '{name}' is {_described(other)}, and its config asks for "
                f"{_described(tensor)}"
            )
    for name in found:
        if name not in expected:
            raise CheckpointError(f"{path} has a tensor '{name}' that its config does not ask for")


def check_finite(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Refuse weights that are no numbers.

    Raises:
        CheckpointError: names the first tensor with nan or inf.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(
                f"{path}: '{name}' holds nan or inf; the training that wrote it had failed"
            )


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors under a prefix, without it."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _described(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def state_path(folder: Path, step: int) -> Path:
    """Return where the whole state after a step is kept."""
    return folder / f"state-{step:09d}.safetensors"


def snapshot_path(folder: Path, step: int) -> Path:
    """Return where the generator after a step is kept."""
    return folder / "snapshots" / f"generator-{step:09d}.safetensors"


def best_path(folder: Path) -> Path:
    """Return where the generator with the best quick score is kept."""
    return folder / "best.safetensors"


def states(folder: Path) -> list[Path]:
    """Return the whole states of a run, newest first."""
    return _numbered(folder, _STATE)[::-1]


def unvouched(folder: Path) -> Path | None:
    """Return the newest state that has no checksum beside it, by which it would count; or None."""
    lacking = (path for path in _named(folder, _STATE) if not checksum_path(path).exists())
    return max(lacking, key=step_of, default=None)


def snapshots(folder: Path) -> list[Path]:
    """Return the kept generators of a run, oldest first."""
    return _numbered(folder / "snapshots", _SNAPSHOT)


def step_of(path: Path) -> int:
    """Return the step that a checkpoint's name tells."""
    return int(path.stem.split("-")[1])


def prune_states(folder: Path) -> None:
    """Remove all but the newest states, those without a checksum too."""
    kept = states(folder)[:_STATES_KEPT]
    remove([path for path in _named(folder, _STATE) if path not in kept])


def remove(paths: list[Path]) -> None:
    """Remove checkpoints, the checksum first so that a half-removed one does not count."""
    for path in paths:
        checksum_path(path).unlink(missing_ok=True)
        path.unlink(missing_ok=True)


def _numbered(folder: Path, pattern: re.Pattern[str]) -> list[Path]:
    if not folder.is_dir():
        return []
    found = _named(folder, pattern)
    return sorted((path for path in found if checksum_path(path).exists()), key=step_of)


def _named(folder: Path, pattern: re.Pattern[str]) -> list[Path]:
    return [path for path in folder.iterdir() if pattern.fullmatch(path.name)]
