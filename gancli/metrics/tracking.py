"""One number while a run is trained: how far its samples are from real ones, and quickly.

It tells epochs of one run apart. It is no figure of the score card: it is taken from fewer samples,
and against training images where nothing else is held out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor

from gancli.data import ImageSet
from gancli.data.synthetic import Targets
from gancli.metrics.frechet import Gaussian, frechet_distance
from gancli.metrics.judge import judged
from gancli.metrics.modes import mode_shortfall

FAKES = 500
REALS = 1_000


@dataclasses.dataclass(frozen=True)
class Tracker:
    """A distance from the same real samples, to be taken again and again.

    Attributes:
        name: what it is, for programs.
        samples: how many samples it is to be given.
        distance: of samples, uint8 [n, channels, height, width] or points float32 [n, 2]; 0 or
            more, and 0 is best.
    """

    name: str
    samples: int
    distance: Callable[[Tensor], float]

    @classmethod
    def of(cls, real: ImageSet, made: Targets | None) -> Tracker:
        """Return the Frechet distance in the shipped judge's features, or what modes lack.

        Args:
            real: what the samples are to be like, two or more; of made data mode after mode.
            made: what made data consist of; None for other data.
        """
        if made is not None:
            return cls("mode_shortfall", FAKES, lambda fakes: mode_shortfall(fakes, made, real))
        generator = torch.Generator().manual_seed(0)
        chosen = real.images[torch.randperm(len(real), generator=generator)[:REALS]]
        known = Gaussian.of(judged(chosen).features)
        return cls(
            "frechet_distance_judge",
            FAKES,
            lambda fakes: frechet_distance(Gaussian.of(judged(fakes).features), known),
        )
