"""Compare gradients written out with autograd's: steps a second of both, in turn, on one thread.

    python bench/closed_form.py                                  # a few minutes
    python bench/closed_form.py --only r1-fc --seconds 0.1

Both train the same recipe from the same state, a window of each in turn. What counts is the time
that the processor was at work for this process, so that others on the machine disturb less; the
ratio is the median over pairs of windows.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from gancli import api, data
from gancli.config import RunConfig
from gancli.preparing import resolve
from gancli.sampling import from_pixels
from gancli.training.state import TrainState, create
from gancli.training.step import train_step

RECIPES = ("digit", "r1-fc", "r1-damped", "r1-mlp", "r2-1-baseline", "r2-6-final", "r4-base")
PRECISIONS = ("fp32", "bf16")


def described(recipe: str, precision: str) -> RunConfig:
    config = api.describe(recipe, digit=7 if recipe.startswith(("r1", "digit")) else None)
    training = dataclasses.replace(config.training, precision=precision)
    return resolve(dataclasses.replace(config, training=training), classes=10)


def step_of(state: TrainState, config: RunConfig) -> Callable[[], Tensor]:
    """Return a function that makes one more step of a training, and returns what it measures."""
    images = data.load("mnist").train.images[: config.training.batch_size]
    real = from_pixels(images, config.data.pixel_range)

    def step() -> Tensor:
        figures = train_step(state, [(real, None)], config, 0.0, look=False)
        state.step += 1
        return figures

    return step


def rate(step: Callable[[], Tensor], seconds: float) -> float:
    """Return steps a second of this process's own time."""
    began, made = time.process_time(), 0
    while (taken := time.process_time() - began) < seconds:
        step()
        made += 1
    return made / taken


def main() -> None:
    layout = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--only", default="", help="recipes whose names begin so")
    parser.add_argument("--windows", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.5, help="of a window")
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    print("| recipe | numbers | written out, steps/s | autograd, steps/s | ratio |")
    print("|---|---|---:|---:|---:|")
    for recipe in (name for name in RECIPES if name.startswith(wanted.only)):
        for precision in PRECISIONS:
            config = described(recipe, precision)
            states = [create(config, torch.device("cpu"), autograd=each) for each in (False, True)]
            assert states[0].chains is not None, f"{recipe} needs autograd"
            steps = [step_of(state, config) for state in states]
            pairs = [[rate(s, wanted.seconds) for s in steps] for _ in range(wanted.windows + 1)]
            ours, theirs = (statistics.median(side) for side in zip(*pairs[1:], strict=True))
            ratio = statistics.median(one / other for one, other in pairs[1:])
            print(
                f"| `{recipe}` | {precision} | {ours:.1f} | {theirs:.1f} | {ratio:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
