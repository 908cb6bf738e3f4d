"""Options that commands share, and how their words are read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from gancli.config import DataConfig
from gancli.errors import ConfigError

RunArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[RUN]",
        help="A run's name or folder, or a checkpoint file; the newest run by default.",
    ),
]
RunsDirOption = Annotated[
    Path, typer.Option("--runs-dir", help="The folder where runs lie.", file_okay=True)
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
WeightsOption = Annotated[
    str, typer.Option("--weights", help="last, or best by the scores of --score-every.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Say nothing on stderr but warnings and errors.")
]

_MOST_LISTED = 10_000_000


def data_words(wanted: DataConfig) -> list[str]:
    """Return the options by which `gancli judge` finds these data."""
    usual = DataConfig()
    words = [] if wanted.source == usual.source else ["--data", wanted.source]
    for key in ("image_size", "channels", "holdout"):
        if getattr(wanted, key) != getattr(usual, key):
            words += ["--set", f"data.{key}={getattr(wanted, key)}"]
    return words


def parse_numbers(text: str, option: str) -> Sequence[int]:
    """Read whole numbers such as ``0,3-9``.

    Raises:
        ConfigError: it is no such list; the option is named.
    """
    parts: list[range] = []
    count = 0
    for word in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,40})(?:-(\d{1,40}))?\s*", word)
        if match is None:
            raise ConfigError(f"{option} '{text}': write numbers and ranges, such as 0,3-9")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise ConfigError(f"{option} '{text}': the range {first}-{last} goes backwards")
        count += last - first + 1
        if count > _MOST_LISTED:
            raise ConfigError(f"{option} '{text}': that is more than {_MOST_LISTED:,} numbers")
        parts.append(range(first, last + 1))
    return parts[0] if len(parts) == 1 else [number for part in parts for number in part]


def parse_pair(text: str, separator: str, option: str, example: str) -> tuple[int, int]:
    """Read two whole numbers such as ``8x10``.

    Raises:
        ConfigError: it is no such pair; the option is named.
    """
    match = re.fullmatch(rf"(\d{{1,40}}){separator}(\d{{1,40}})", text)
    if match is None:
        raise ConfigError(f"{option} '{text}': write it as {example}")
    return int(match[1]), int(match[2])
