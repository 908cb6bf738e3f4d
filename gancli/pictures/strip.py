"""A strip of curves under a picture, drawn up to now, where a marker stands."""

from __future__ import annotations

import bisect
import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from gancli.palette import DARK_MUTED, DARK_PAPER, DARK_RULE
from gancli.pictures.layout import SMALLEST, Size, font

_FINER = 2
_LARGEST_LABEL = 30


@dataclasses.dataclass(frozen=True)
class Curve:
    """A figure over a training; what is no finite number leaves a gap."""

    name: str
    ink: str
    values: Sequence[float]


def _longest(values: Sequence[float]) -> str:
    """Return the longest word that a value takes, so that the strip is as wide in every picture."""
    return max(("00.00", *(f"{value:.2f}" for value in values if math.isfinite(value))), key=len)


@dataclasses.dataclass(frozen=True)
class Strip:
    """Curves on one axis from 0 to 1.

    Attributes:
        places: where on the axis the values stand, ascending.
        curves: of as many values each.
        now: where on the axis each picture of a film stands, ascending.
    """

    places: Sequence[float]
    curves: Sequence[Curve]
    now: Sequence[float]

    def span(self) -> tuple[float, float]:
        """Return the least and the greatest value shown; the wildest hundredth leaves the strip."""
        values = np.array([value for curve in self.curves for value in curve.values], np.float64)
        values = values[np.isfinite(values)]
        if not values.size:
            return 0.0, 1.0
        low, high = np.quantile(values, [0.01, 0.99])
        return float(min(low, 0.0)), float(max(high, low + 1e-6))

    def draw(self, now: float, size: Size) -> Image.Image:
        """Draw the curves up to a place on the axis, with their last values beside them."""
        width, height = (_FINER * side for side in size)
        picture = Image.new("RGB", (width, height), DARK_PAPER)
        pen = ImageDraw.Draw(picture)
        face = font(max(SMALLEST * _FINER, min(height * 3 // 10, _LARGEST_LABEL * _FINER)))
        thick = max(_FINER, height // 24)
        low, high = self.span()
        labels = max(
            pen.textlength(f"{curve.name} {_longest(curve.values)}", face) for curve in self.curves
        )
        margin = 2 * thick
        right = width - margin - (labels + 2 * margin if labels < width / 3 else 0)

        def place(share: float, value: float) -> tuple[float, float]:
            level = min(max((value - low) / (high - low), 0.0), 1.0)
            x = margin + share * (right - margin)
            return x, height - margin - level * (height - 2 * margin)

        floor = height - margin
        pen.line((margin, floor, right, floor), DARK_RULE, _FINER)
        here = place(now, 0)[0]
        pen.line((here, margin / 2, here, floor), DARK_MUTED, _FINER)
        shown = bisect.bisect_right(self.places, now + 1e-9)
        last: list[tuple[float, Curve]] = []
        for curve in self.curves:
            value = math.nan
            pieces: list[list[tuple[float, float]]] = [[]]
            for share, value in zip(self.places[:shown], curve.values, strict=False):
                if math.isfinite(value):
                    pieces[-1].append(place(share, value))
                elif pieces[-1]:
                    pieces.append([])
            if pieces[-1]:  # what was logged last holds until now
                pieces[-1].append((here, pieces[-1][-1][1]))
                x, y = pieces[-1][-1]
                radius = 1.6 * thick
                pen.ellipse((x - radius, y - radius, x + radius, y + radius), curve.ink)
            for piece in pieces:
                if len(piece) > 1:
                    pen.line(piece, curve.ink, thick, "curve")
            last.append((value, curve))
        if right < width - margin:
            lanes = height / len(self.curves)
            # The higher curve has the higher lane.
            last.sort(key=lambda end: -end[0] if math.isfinite(end[0]) else math.inf)
            for number, (value, curve) in enumerate(last):
                word = f"{curve.name} {value:.2f}" if math.isfinite(value) else curve.name
                middle = lanes * (number + 0.5)
                pen.text((right + 2 * margin, middle), word, curve.ink, face, "lm")
        return picture.reduce(_FINER)
