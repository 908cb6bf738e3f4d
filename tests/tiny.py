"""A run so small that tests train it in a fraction of a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from gancli.config import RunConfig
from gancli.placement import Outcome

OfBench = Callable[[str], ModuleType]
TinyConfig = Callable[..., RunConfig]
TrainRun = Callable[..., Outcome]
WriteIdx = Callable[[Path, npt.NDArray[np.uint8]], Path]

TINY: dict[str, Any] = {
    "recipe": "tiny",
    "data.image_size": 8,
    "latent.size": 4,
    "generator.layers": [
        "dense 4 size/4 size/4",
        "leaky_relu 0.2",
        "upsample 2",
        "conv 4 3",
        "leaky_relu 0.2",
        "upsample 2",
        "conv channels 3",
        "tanh",
    ],
    "generator.class_embedding": 2,
    "generator.ema_half_life": 2.0,
    "discriminator.layers": [
        "conv 4 4 stride=2",
        "leaky_relu 0.2",
        "flatten",
        "dense 8",
        "leaky_relu 0.2",
        "dense 1",
    ],
    "training.batch_size": 8,
    "training.steps": 12,
    "training.threads": 1,
    "record.frame_rows": 2,
    "record.log_every": 0.5,
    "record.keep_every": 1.0,
}
