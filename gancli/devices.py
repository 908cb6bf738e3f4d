"""The devices that there are."""

from __future__ import annotations

import torch

from gancli.errors import ConfigError


def pick_device(name: str) -> torch.device:
    """Return the device of a name: ``auto`` takes CUDA, then MPS, then the CPU.

    Raises:
        ConfigError: no such device here; those there are are listed.
    """
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
