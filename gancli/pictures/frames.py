"""The frames of a training: one PNG an epoch, numbered by it."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from gancli.errors import DataError
from gancli.pictures.grid import open_png

_NAME = re.compile(r"epoch-([0-9]{1,9}(?:\.[0-9]{1,3})?)\.png")


@dataclasses.dataclass(frozen=True)
class Frame:
    """A frame on disk: its file and the epoch after which it was drawn."""

    path: Path
    epoch: float


@dataclasses.dataclass(frozen=True)
class Gap:
    """Frames that should stand between two epochs and do not."""

    after: float
    before: float
    missing: int


def spell_epoch(epoch: float) -> str:
    """Spell an epoch for people: a training of 3,000 steps ends at 30.93, not at 30.928."""
    return f"{round(epoch, 2 if epoch >= 1 else 3):,}".removesuffix(".0")


def frame_path(folder: Path, epoch: float) -> Path:
    """Return where the frame of an epoch belongs: ``epoch-00007.png``, ``epoch-00007.250.png``.

    Raises:
        ValueError: the epoch is negative or not finite.
    """
    if not (math.isfinite(epoch) and epoch >= 0):
        raise ValueError(f"an epoch is 0 or more, not {epoch}")
    whole, thousandths = divmod(round(epoch * 1000), 1000)
    fraction = f".{thousandths:03d}" if thousandths else ""
    return folder / f"epoch-{whole:05d}{fraction}.png"


def list_frames(folder: Path) -> list[Frame]:
    """Return the frames of a folder in the order of their epochs; other files are ignored.

    Raises:
        DataError: the folder is missing or unreadable, or holds no frame.
    """
    try:
        paths = [path for path in folder.iterdir() if path.is_file()]
    except OSError as error:
        raise DataError(
            f"cannot look for frames in {folder}: {error.strerror}; "
            "give the folder of a run made by `gancli train`"
        ) from error
    matches = [(path, _NAME.fullmatch(path.name)) for path in paths]
    frames = [Frame(path, float(match[1])) for path, match in matches if match]
    if not frames:
        raise DataError(
            f"there are no frames (epoch-00000.png and so on) in {folder}; "
            "`gancli train` writes them as it goes"
        )
    return sorted(frames, key=lambda frame: (frame.epoch, frame.path.name))


def missing_epochs(frames: Sequence[Frame]) -> list[Gap]:
    """Return the gaps in frames that are sorted by epoch.

    The regular step is the smallest there is; the last may be shorter, for a training that ended
    between two frames.
    """
    neighbours = list(itertools.pairwise(frame.epoch for frame in frames))
    steps = [later - earlier for earlier, later in neighbours[:-1] if later > earlier]
    regular = min(steps, default=math.inf)
    gaps = []
    for earlier, later in neighbours:
        # A tenth of a step is forgiven: epochs are rounded to thousandths in file names.
        missing = math.ceil((later - earlier) / regular - 0.1) - 1
        if missing > 0:
            gaps.append(Gap(earlier, later, missing))
    return gaps


def read_frame(path: Path) -> Image.Image:
    """Read a frame as an 8-bit picture in mode L (grey, of any depth) or RGB.

    Raises:
        DataError: the file is missing, empty, truncated or not a PNG.
    """
    picture = open_png(path)
    if picture.mode.startswith("I"):  # 16 bits, which convert("L") would cut off at 255
        return Image.fromarray(np.round(np.asarray(picture) / 257).astype(np.uint8))
    return picture.convert("L" if picture.mode in ("1", "L", "LA") else "RGB")
