"""Curves as the numbers that an SVG drawing is made of."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from gancli.report.model import Chart, Series, Tick
from gancli.report.words import spell

WIDTH, HEIGHT = 440, 240
RIGHT, TOP, BOTTOM = 416, 10, 206
_LETTER, _GAP = 7, 12  # how wide a letter beside the upright axis is at most, and what is around
_MOST_POINTS, _FEW_POINTS = 200, 30

T = TypeVar("T")
Point = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Curve:
    """Values to be drawn.

    Attributes:
        name: what they are.
        role: names the colour; see :class:`gancli.report.model.Series`.
        values: one a point of the axis; a gap where one is no finite number.
        lows: lower ends of an area around them, as many, or none.
        highs: upper ends of it.
        dashed: whether the line is.
        dotted: whether few points are marked.
    """

    name: str
    role: str
    values: Sequence[float]
    lows: Sequence[float] = ()
    highs: Sequence[float] = ()
    dashed: bool = False
    dotted: bool = True


def draw(
    title: str,
    epochs: Sequence[float],
    curves: Sequence[Curve],
    *,
    share: bool = False,
    log: bool = False,
    level: float | None = None,
    note: str = "",
) -> Chart:
    """Lay out curves over epochs.

    Long courses are drawn in at most two hundred steps, each at the mean of its values, in an area
    from the least of them to the greatest.

    Args:
        title: what is drawn.
        epochs: ascending, one or more.
        curves: one or more, with a value for each epoch.
        share: whether the values are shares, from 0 to 1.
        log: whether the upright axis is logarithmic, where the values allow it.
        level: a value that is marked across.
        note: how to read the chart.
    """
    stride = math.ceil(len(epochs) / _MOST_POINTS)
    if stride > 1:
        epochs, curves = _thinned(epochs, curves, stride)
        note = f"{note} Line: mean of {stride} log lines; area: from least to greatest.".strip()
    values = [v for c in curves for v in (*c.values, *c.lows, *c.highs) if math.isfinite(v)]
    log = log and bool(values) and min(values) > 0
    low, high = (-0.02, 1.02) if share else _range(values, log)
    first, last = epochs[0], epochs[-1]
    bend = math.log if log else float
    uprights = _log_ticks(low, high) if log else _ticks(low, high)
    marks = {spell(value, share): value for value in uprights}
    left = _GAP + _LETTER * max(map(len, marks))

    def across(epoch: float) -> float:
        part = (epoch - first) / (last - first) if last > first else 0.5
        return round(left + (RIGHT - left) * part, 1)

    def down(value: float) -> float:
        part = (bend(value) - bend(low)) / (bend(high) - bend(low))
        # What leaves the field is cut at its edge; far outside it would only make long numbers.
        return round(BOTTOM - (BOTTOM - TOP) * min(max(part, -1.0), 2.0), 1)

    at = [across(epoch) for epoch in epochs]
    return Chart(
        title=title,
        note=note,
        width=WIDTH,
        height=HEIGHT,
        left=left,
        right=RIGHT,
        top=TOP,
        bottom=BOTTOM,
        first=first,
        last=last,
        series=tuple(_series(curve, at, down, share) for curve in curves),
        x_ticks=tuple(Tick(across(epoch), spell(epoch)) for epoch in _ticks(first, last)),
        y_ticks=tuple(Tick(down(value), mark) for mark, value in marks.items()),
        level=None if level is None else down(level),
        at=tuple(at),
        epochs=tuple(map(spell, epochs)),
        words=_said(title, epochs, curves, share),
    )


def _thinned(
    epochs: Sequence[float], curves: Sequence[Curve], stride: int
) -> tuple[list[float], list[Curve]]:
    """Put every ``stride`` values together; a step stands at its last epoch."""

    def steps(values: Sequence[float]) -> list[list[float]]:
        cut = [values[start : start + stride] for start in range(0, len(values), stride)]
        return [[value for value in step if math.isfinite(value)] or [math.nan] for step in cut]

    return [max(step) for step in steps(epochs)], [
        dataclasses.replace(
            curve,
            values=[math.fsum(step) / len(step) for step in steps(curve.values)],
            lows=[min(step) for step in steps(curve.lows or curve.values)],
            highs=[max(step) for step in steps(curve.highs or curve.values)],
        )
        for curve in curves
    ]


def _range(values: Sequence[float], log: bool) -> tuple[float, float]:
    """Return the ends of the upright axis; of many values, rare leaps are left outside."""
    if not values:
        return 0.0, 1.0
    ordered = sorted(values)
    rare = len(ordered) // 200
    low, high = ordered[rare], ordered[-1 - rare]
    if log:
        return low / 1.3, high * 1.3
    if not high - low > 1e-6 * max(abs(low), abs(high)):
        return low - (0.1 * abs(low) or 0.1), high + (0.1 * abs(high) or 0.1)
    margin = 0.05 * (high - low)
    return low - margin, high + margin


def _ticks(low: float, high: float) -> list[float]:
    """Return three to six round numbers from ``low`` to ``high``, or the one number they are."""
    if not high > low:
        return [low]
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    count = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    return [float(f"{number * step:.12g}") for number in count]


def _log_ticks(low: float, high: float) -> list[float]:
    """Return powers of ten, and numbers between where these are few."""
    powers = [10.0**n for n in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    for factors in ((1,), (1, 3), (1, 2, 5)):
        found = [p * f for p in powers for f in factors if low <= p * f <= high]
        if len(found) > 2:
            return found[:: math.ceil(len(found) / 6)]
    return found or [low, high]


def _series(
    curve: Curve, at: Sequence[float], down: Callable[[float], float], share: bool
) -> Series:
    line = [
        (x, down(value)) if math.isfinite(value) else None
        for x, value in zip(at, curve.values, strict=True)
    ]
    area = [
        (x, down(low), down(high)) if math.isfinite(low) and math.isfinite(high) else None
        for x, low, high in zip(at, curve.lows, curve.highs, strict=False)
    ]
    return Series(
        name=curve.name,
        role=curve.role,
        dashed=curve.dashed,
        path="".join(map(_path, _unbroken(line))),
        band="".join(map(_outline, _unbroken(area))),
        spelled=tuple(spell(value, share) for value in curve.values),
        dots=tuple(filter(None, line)) if curve.dotted and len(line) <= _FEW_POINTS else (),
    )


def _unbroken(points: Iterable[T | None]) -> Iterator[list[T]]:
    """Yield the stretches between gaps."""
    for is_gap, stretch in itertools.groupby(points, key=lambda point: point is None):
        if not is_gap:
            yield [point for point in stretch if point is not None]


def _path(points: Iterable[Point]) -> str:
    return "M" + "L".join(f"{x:g},{y:g}" for x, y in points)


def _outline(points: Sequence[tuple[float, float, float]]) -> str:
    there = [(x, high) for x, _, high in points]
    return _path([*there, *((x, low) for x, low, _ in reversed(points))]) + "Z"


def _said(title: str, epochs: Sequence[float], curves: Sequence[Curve], share: bool) -> str:
    """Say where each curve starts and ends."""
    told = []
    for curve in curves:
        known = [value for value in curve.values if math.isfinite(value)] or [math.nan]
        told.append(
            f"{curve.name} from {spell(known[0], share)} to {spell(known[-1], share)}, "
            f"between {spell(min(known), share)} and {spell(max(known), share)}"
        )
    over = f"epochs {spell(epochs[0])} to {spell(epochs[-1])}"
    return f"{title} over {over}: {'; '.join(told)}."
