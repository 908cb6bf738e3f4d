"""Points in the plane as a picture, for data that are no images."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageColor, ImageDraw

from gancli.palette import SKY, VERMILLION

Points = npt.NDArray[np.float32]
"""float32 [n, 2], x to the right and y upwards."""

GROUND = (24, 26, 30)
TARGET, POINT = ImageColor.getrgb(VERMILLION), ImageColor.getrgb(SKY)
SIDE = 480
_FINER = 2


def draw_scatter(points: Points, targets: Points, side: int = SIDE) -> Image.Image:
    """Draw points over the crosshairs of the targets they should reach.

    The window depends on the targets alone, so that pictures of one data set compare; points
    beyond it are drawn on its edge.

    Args:
        points: float32 [n, 2], n >= 0; what is no number is left out.
        targets: float32 [k, 2], k >= 1.
        side: height and width in pixels.

    Returns:
        A picture in mode RGB.
    """
    left, bottom, span = window(targets)
    fine = side * _FINER
    picture = Image.new("RGB", (fine, fine), GROUND)
    pen = ImageDraw.Draw(picture)

    def place(row: npt.NDArray[np.float32]) -> tuple[float, float]:
        x, y = (row - (left, bottom)) / span
        return fine * min(max(x, 0.0), 1.0), fine * (1 - min(max(y, 0.0), 1.0))

    arm = fine / (40 if len(targets) == 1 else 80)
    for target in targets:
        x, y = place(target)
        pen.line((x - arm, y, x + arm, y), fill=TARGET, width=2 * _FINER)
        pen.line((x, y - arm, x, y + arm), fill=TARGET, width=2 * _FINER)
    radius = fine * (0.008 if len(points) <= 100 else 0.004)
    for point in points[np.isfinite(points).all(axis=1)]:
        x, y = place(point)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=POINT)
    return picture.resize((side, side), Image.Resampling.BOX)


def window(targets: Points) -> tuple[float, float, float]:
    """Return left, bottom and side of the square that targets are looked at in.

    A single target in the unit square is seen in all of it, as sigmoid outputs move there.
    """
    if len(targets) == 1 and bool((targets >= 0).all() and (targets <= 1).all()):
        return 0.0, 0.0, 1.0
    low, high = targets.min(axis=0), targets.max(axis=0)
    span = max(float((high - low).max()), math.ulp(1.0)) * 1.4
    middle = (low + high) / 2
    return float(middle[0]) - span / 2, float(middle[1]) - span / 2, span
