"""Search for the reading of report R1 that shows what its author saw, and print the figures.

    python bench/r1_readings.py # less than ten minutes on one core

The report gives one dense layer in each network, a rate of 0.001 in both and 200 images a step. It
leaves open whether gradients are summed over the images or averaged, the latent's size and law, the
spread of the first weights and the range of the pixels. Its author saw noise for 500 epochs, digits
until 1,200, then worse and worse ones. Every reading trains on one digit; the best train on three,
from three seeds.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import os
import platform
import time
from typing import NamedTuple

import torch
from torch import Tensor

from gancli.config import LatentConfig
from gancli.data import load
from gancli.latents import draw_latents
from gancli.metrics.frechet import Gaussian, frechet_distance
from gancli.metrics.judge import judged

BATCH, EPOCHS, PIXELS = 200, 2000, 28 * 28
SAMPLES = 256  # more than the judge has features, or its distance says nothing
MARKS = (0, 200, 400, 500, 600, 800, 1000, 1200, 1600, 1800, 2000)
NOISE, DIGITS, DECLINE = (0, 200, 400), (600, 800, 1000, 1200), (1600, 1800, 2000)
RATES = {  # of D and of G, on the mean over the batch: 0.001 on a sum over 200 is 0.2 on the mean
    "both averaged": (0.001, 0.001),
    "both summed": (0.2, 0.2),
    "G summed": (0.001, 0.2),
    "D summed": (0.2, 0.001),
}
INK = {"unit": 1.0, "raw": 255.0}
FINALISTS, FINAL_DIGITS, FINAL_SEEDS = 4, (7, 0, 3), (0, 1, 2)
SHOWN_MARKS = (0, 500, 800, 1200, 1600, 2000)


class Reading(NamedTuple):
    """One answer to what the report leaves open."""

    gradients: str
    size: int
    law: str
    spread: float
    pixels: str

    def __str__(self) -> str:
        return (
            f"{self.gradients:13} {self.size:3} {self.law:7} N(0, {self.spread:4}) {self.pixels:4}"
        )


class Seen(NamedTuple):
    """What the samples of one epoch look like.

    Attributes:
        likeness: their correlation with the mean of the real images, -1 to 1.
        share: of them that the judge calls the digit, 0 to 1.
        distance: Frechet distance to as many real images, in the judge's features.
    """

    likeness: float
    share: float
    distance: float

    def __str__(self) -> str:
        return f"{self.likeness:5.2f} {self.share:4.0%} {self.distance:7,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--digit", type=int, default=7, help="the digit that readings compete on")
    parser.add_argument("--seed", type=int, default=0, help="the seed that they compete from")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"machine: {os.cpu_count()} cores, {platform.processor() or platform.machine()}, 1 used")
    choices = (RATES, (10, 100), ("normal", "uniform", "[0, 1]"), (0.05, 0.1, 0.2, 1.0), INK)
    readings = [Reading(*choice) for choice in itertools.product(*choices)]
    start, told = time.perf_counter(), []
    for reading in readings:
        seen = train(reading, arguments.digit, arguments.seed)
        if len(seen) == len(MARKS):
            told.append((story(seen), reading, seen))
    told.sort(reverse=True)
    seconds = time.perf_counter() - start
    print(
        f"{len(readings)} readings on digit {arguments.digit} in {seconds:.0f} s; all "
        f"but {len(told)} show digits too soon or never. Story, and likeness at "
        f"{', '.join(map(str, MARKS))}:"
    )
    for score, reading, seen in told[:12]:
        course = " ".join(f"{seen[mark].likeness:5.2f}" for mark in MARKS)
        print(f"{score:6.3f}  {reading}  {course}", flush=True)
    for _, reading, _ in told[:FINALISTS]:
        runs = {
            (digit, seed): train(reading, digit, seed, patient=True)
            for digit, seed in itertools.product(FINAL_DIGITS, FINAL_SEEDS)
        }
        mean = sum(map(story, runs.values())) / len(runs)
        print(f"\n{reading}: mean story {mean:.3f}; likeness, share and distance at")
        print(f"digit seed {' | '.join(f'{mark:^18}' for mark in SHOWN_MARKS)}")
        for (digit, seed), seen in runs.items():
            row = " | ".join(str(seen[mark]) for mark in SHOWN_MARKS)
            print(f"{digit:5} {seed:4} {row}", flush=True)


def story(seen: dict[int, Seen]) -> float:
    """Score how well digits stand out from the noise before them and the decline after them."""

    def mean(epochs: tuple[int, ...]) -> float:
        return sum(seen[epoch].likeness + seen[epoch].share for epoch in epochs) / len(epochs)

    return min(mean(DIGITS) - mean(NOISE), mean(DIGITS) - mean(DECLINE))


@torch.no_grad()
def train(reading: Reading, digit: int, seed: int, patient: bool = False) -> dict[int, Seen]:
    """Train a reading by the report's own closed forms and look at it at all ``MARKS``.

    Unless ``patient``, a reading that shows digits in the days of noise, or none when their days
    have come, is left there and then.
    """
    d_rate, g_rate = RATES[reading.gradients]
    ink = INK[reading.pixels]
    images = pictures(digit).flatten(1) * (ink / 255)
    random = torch.Generator().manual_seed(seed)
    d_weights = torch.randn(PIXELS, generator=random) * reading.spread
    g_weights = torch.randn(reading.size, PIXELS, generator=random) * reading.spread
    d_bias, g_bias = torch.zeros(()), torch.zeros(PIXELS)
    kept = latents(SAMPLES, reading, random)
    seen: dict[int, Seen] = {}
    for epoch in range(EPOCHS + 1):
        if epoch in MARKS:
            seen[epoch] = look(torch.addmm(g_bias, kept, g_weights).relu() / ink, digit)
            soon = epoch in NOISE and seen[epoch].likeness > 0.4
            never = epoch == DIGITS[0] and seen[epoch].likeness < 0.2
            if (soon or never) and not patient:
                break
        real = images[torch.randint(len(images), (BATCH,), generator=random)]
        latent = latents(BATCH, reading, random)
        fake = torch.addmm(g_bias, latent, g_weights).relu_()
        # The gradients of the mean log loss over the logits, then over the weights.
        real_error = (torch.sigmoid(real @ d_weights + d_bias) - 1) / BATCH
        fake_error = torch.sigmoid(fake @ d_weights + d_bias) / BATCH
        d_weights -= d_rate * (real_error @ real + fake_error @ fake)
        d_bias -= d_rate * (real_error.sum() + fake_error.sum())
        # -ln D(fake) back through D and the generator's ReLU.
        error = (torch.sigmoid(fake @ d_weights + d_bias) - 1) / BATCH
        open_paths = error[:, None] * (fake > 0)
        g_weights -= g_rate * (latent.T @ open_paths) * d_weights
        g_bias -= g_rate * open_paths.sum(0) * d_weights
    return seen


def latents(count: int, reading: Reading, random: torch.Generator) -> Tensor:
    """Draw latents by gancli's laws, or from [0, 1], which is none of them."""
    if reading.law == "[0, 1]":
        return torch.rand(count, reading.size, generator=random)
    return draw_latents(count, LatentConfig(reading.size, reading.law), random)


def look(samples: Tensor, digit: int) -> Seen:
    """Look at float samples [n, 784] as a frame shows them: ink from 0 to 1, cut off."""
    shown = (samples * 255).clamp(0, 255).round()
    real = pictures(digit)
    mean = centred(real.flatten(1).mean(0))
    deviations = centred(shown)
    # A picture fainter than a spread of 8 in 255 is a dark one, whatever its shape.
    lengths = deviations.norm(dim=1).clamp(min=8 * PIXELS**0.5)
    said = judged(shown.byte().view(-1, 1, 28, 28))
    return Seen(
        float((deviations @ mean / lengths / mean.norm()).mean()),
        float((said.classes == digit).double().mean()),
        frechet_distance(Gaussian.of(said.features), real_features(digit)),
    )


def centred(images: Tensor) -> Tensor:
    return images - images.mean(-1, keepdim=True)


@functools.cache
def pictures(digit: int) -> Tensor:
    """Return the training images of a digit, float32 [n, 28, 28], 0 to 255."""
    return load().train.of_class(digit).images[:, 0].float()


@functools.cache
def real_features(digit: int) -> Gaussian:
    return Gaussian.of(judged(pictures(digit)[:SAMPLES, None].byte()).features)


if __name__ == "__main__":
    main()
