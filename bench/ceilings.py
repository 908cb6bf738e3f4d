"""What this machine could do at most, and how much a training asks of it.

    python bench/ceilings.py                    # products and convolutions a second, as JSON
    python bench/ceilings.py --count r5-base    # the arithmetic of one step of a recipe, as JSON

The ceiling of dense recipes is a product of matrices of 2,048 x 2,048, that of convolutional ones a
3 x 3 convolution of 128 to 128 channels on 32 images of 32 x 32 pixels, both in float32 and in
bfloat16, on two threads (on one where there is one core).
"""

from __future__ import annotations

import argparse
import functools
import json
import tempfile
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from gancli import api
from gancli.cores import usable_cores
from gancli.networks import place

KINDS = {"fp32": torch.float32, "bf16": torch.bfloat16}
ROUNDS = 3


@torch.no_grad()
def ceilings(seconds: float) -> dict[str, float]:
    """Return GFLOP/s by name, such as ``dense fp32``; the best of rounds of so many seconds."""
    torch.set_num_threads(min(2, len(usable_cores())))
    side = 2048
    found = {}
    for name, kind in KINDS.items():
        left, right = torch.randn(2, side, side, dtype=kind)
        multiply = functools.partial(torch.matmul, left, right)
        found[f"dense {name}"] = rate(multiply, 2 * side**3, seconds)
        convolve = nn.Conv2d(128, 128, 3, padding=1, dtype=kind)
        place(convolve, "cpu")
        images = torch.randn(32, 128, 32, 32, dtype=kind).to(memory_format=torch.channels_last)
        work = 2 * images.numel() * 128 * 9
        found[f"convolution {name}"] = rate(functools.partial(convolve, images), work, seconds)
    return found


def rate(work: Callable[[], object], operations: int, seconds: float) -> float:
    work()
    best = 0.0
    for _ in range(ROUNDS):
        times, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds or not times:
            work()
            times += 1
        best = max(best, operations * times / (time.perf_counter() - began) / 1e9)
    return best


def operations_of_a_step(recipe: str) -> int:
    """Return how many floating-point operations gancli's products and convolutions take in a step.

    A run of two steps less one of one step leaves a step: whatever else a run computes is in both.
    """
    counted: list[int] = []
    for steps in (1, 2):
        settings = {"training.steps": steps, "training.threads": 1, "training.precision": "fp32"}
        settings |= {"record.frame_every": 1000, "record.log_every": 1000}
        settings |= {"record.keep_every": 1000}
        with tempfile.TemporaryDirectory() as folder, Operations() as operations:  # type: ignore[no-untyped-call]
            api.train(recipe, settings=settings, runs_dir=folder, device="cpu")
        counted.append(operations.total)
    return counted[1] - counted[0]


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts by torch's own formulas; its FlopCounterMode fails at a gradient penalty."""

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do what is asked, and count it if it is a product or a convolution."""
        made = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.total += count(*args, **(kwargs or {}), out_val=made)
        return made


def main() -> None:
    layout = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each of three rounds")
    parser.add_argument("--count", metavar="RECIPE", help="count instead of measuring")
    wanted = parser.parse_args()
    if wanted.count:
        print(json.dumps({"operations": operations_of_a_step(wanted.count)}))
    else:
        print(json.dumps(ceilings(wanted.seconds)))


if __name__ == "__main__":
    main()
