"""The machine's devices and cores."""

from __future__ import annotations

import os

import torch

from gancli.errors import ConfigError

_MOST_AUTO_THREADS = 8


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


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def auto_threads() -> int:
    """Return how many threads serve small networks: the cores, up to where more do not help."""
    return min(usable_cores(), _MOST_AUTO_THREADS)
