"""Samples of any data as one picture: images as a grid, points as a scatter."""

from __future__ import annotations

import numpy as np
from PIL import Image
from torch import Tensor

from gancli.data.synthetic import targets
from gancli.pictures.grid import Images, make_grid
from gancli.pictures.scatter import draw_scatter


def draw_sheet(samples: Tensor, source: str, columns: int, margin: int = 2) -> Image.Image:
    """Draw samples on one sheet.

    Args:
        samples: uint8 [n, 1 or 3, height, width], or points float32 [n, 2].
        source: the data they imitate, whose targets are drawn with points.
        columns: images in a row.
        margin: pixels around images.
    """
    if samples.ndim > 2:
        return make_grid(samples.numpy(), columns, margin)
    made = targets(source)
    assert made is not None  # only made data are points
    return draw_scatter(samples.numpy(), made.modes.numpy())


def as_tiles(samples: Tensor, source: str) -> Images:
    """Return what a terminal shows of samples: the images, or the picture of points as one."""
    if samples.ndim > 2:
        images: Images = samples.numpy()
        return images
    return np.asarray(draw_sheet(samples, source, 1)).transpose(2, 0, 1)[None]
