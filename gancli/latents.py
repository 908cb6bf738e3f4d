"""Seeds to latents, and paths between latents.

A seed means an image: each latent comes from its own generator on the CPU, so that neither the
batch nor the device it is used on changes it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gancli.config import LatentConfig


def latents_of_seeds(seeds: Sequence[int], latent: LatentConfig) -> Tensor:
    """Return the latent of each seed: float32 [n, size] on the CPU.

    Args:
        seeds: each from 0 to 2**63 - 1.
        latent: size and law.
    """
    generator = torch.Generator()
    rows = [draw_latents(1, latent, generator.manual_seed(seed)) for seed in seeds]
    return torch.cat(rows) if rows else torch.empty(0, latent.size)


def draw_latents(count: int, latent: LatentConfig, generator: torch.Generator) -> Tensor:
    """Draw float32 latents [count, size] on the generator's device."""
    shape, device = (count, latent.size), generator.device
    if latent.law == "uniform":
        return torch.rand(shape, generator=generator, device=device) * 2 - 1
    return torch.randn(shape, generator=generator, device=device)


def latents_between(start: Tensor, end: Tensor, fraction: Tensor, latent: LatentConfig) -> Tensor:
    """Return latents [n, size] on the way between two: on the great circle, or straight if uniform.

    Args:
        start: [size].
        end: [size].
        fraction: [n], from 0 at the start to 1 at the end.
        latent: size and law.
    """
    if latent.law == "normal":
        return slerp(start, end, fraction)
    return torch.lerp(start[None], end[None], fraction[:, None])


def slerp(start: Tensor, end: Tensor, fraction: Tensor) -> Tensor:
    """Interpolate on the great circle between two latents (Shoemake, 1985; report R2).

    Lengths are interpolated linearly, so that every point between two Gaussian latents is as
    likely a latent as its ends. Parallel latents fall back to a straight line.

    Args:
        start: [size].
        end: [size].
        fraction: [n], from 0 at the start to 1 at the end.

    Returns:
        Latents [n, size].
    """
    fraction = fraction[:, None]
    start_length, end_length = start.norm(), end.norm()
    cosine = torch.dot(start / start_length, end / end_length).clamp(-1, 1)
    angle = torch.arccos(cosine)
    straight = torch.lerp(start[None], end[None], fraction)
    if not torch.sin(angle) > 1e-6:  # a length of zero leaves no angle, and not a number here
        return straight
    direction: Tensor = (
        torch.sin((1 - fraction) * angle) * (start / start_length)
        + torch.sin(fraction * angle) * (end / end_length)
    ) / torch.sin(angle)
    lengths: Tensor = torch.lerp(start_length, end_length, fraction)
    # At its ends the curve is the ends themselves, not their rounding: a seed means an image.
    return torch.where((fraction == 0) | (fraction == 1), straight, direction * lengths)
