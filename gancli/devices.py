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

    From then on convolutions on CUDA add up in the same order every time, and they and products in
    32 bits where 32 are said: a seed means an image.

    Raises:
        ConfigError: no such device here; those there are are listed.
    """
    import torch  # noqa: PLC0415 - takes a second

    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False  # NVIDIA's containers turn it on
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


def multiplies_16_bits(device: torch.device) -> bool:
    """Tell whether a device multiplies bf16 itself; an older GPU imitates it, slowly.

    MPS is not asked: where values have 16 bits and weights 32, a batch norm of some versions of
    torch ends the process there.
    """
    import torch  # noqa: PLC0415 - takes a second

    if device.type == "mps":
        return False
    return device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)
