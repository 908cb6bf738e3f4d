"""The devices that there are."""

from __future__ import annotations

import ctypes
import sys
from typing import TYPE_CHECKING

from gancli.errors import ConfigError

if TYPE_CHECKING:
    import torch


def has_nvidia_driver() -> bool:
    """Tell whether there may be a GPU for CUDA, without torch, whose import takes a second."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def pick_device(name: str) -> torch.device:
    """Return the device of a name: ``auto`` takes CUDA, then MPS, then the CPU.

    Raises:
        ConfigError: no such device here; those there are are listed.
    """
    import torch  # noqa: PLC0415 - takes a second

    present = ["cpu"]
    if torch.backends.mps.is_available():
        present.insert(0, "mps")
    if torch.cuda.is_available():
        present.insert(0, "cuda")
    if name == "auto":
        return torch.device(present[0])
    if name not in present:
        raise ConfigError(f"--device {name}: not on this machine; it has {', '.join(present)}")
    return torch.device(name)
