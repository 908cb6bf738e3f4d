"""Data made on the spot: points in the plane, and the small drawings of report R3."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import torch
from torch import Tensor

# Report R3's target leaves its place open; off the middle, so that no symmetry helps.
_POINT = (0.7, 0.3)

_TRUE_IMAGE = """
##########
##.......#
#.#......#
#..#.....#
#...#....#
#....#...#
#.....#..#
#......#.#
#.......##
##########
"""

# Ten glyphs of 10 x 10, black and white. Any two differ in 12 pixels or more.
_GLYPHS = (
    """
..######..
.########.
.##....##.
.##....##.
.##....##.
.##....##.
.##....##.
.##....##.
.########.
..######..
""",
    """
....##....
...###....
..####....
....##....
....##....
....##....
....##....
....##....
..######..
..######..
""",
    """
..######..
.########.
.##....##.
.......##.
......##..
....###...
...##.....
..##......
.########.
.########.
""",
    """
.#######..
.########.
.......##.
.......##.
...#####..
...#####..
.......##.
.......##.
.########.
.#######..
""",
    """
.....###..
....####..
...##.##..
..##..##..
.##...##..
.########.
.########.
......##..
......##..
......##..
""",
    """
.########.
.########.
.##.......
.##.......
.#######..
.########.
.......##.
.......##.
.########.
.#######..
""",
    """
...####...
..####....
.##.......
.##.......
.#######..
.########.
.##....##.
.##....##.
.########.
..######..
""",
    """
.########.
.########.
.......##.
......##..
......##..
.....##...
.....##...
....##....
....##....
....##....
""",
    """
..######..
.########.
.##....##.
.##....##.
..######..
..######..
.##....##.
.##....##.
.########.
..######..
""",
    """
..######..
.########.
.##....##.
.##....##.
.########.
..#######.
.......##.
.......##.
....####..
...####...
""",
)


@dataclasses.dataclass(frozen=True)
class Targets:
    """What a made data set consists of: its modes, and how the samples lie around each.

    Attributes:
        modes: the middle of each: float32 [k, 2] of points, uint8 [k, 1, 10, 10] of drawings.
        spread: standard deviation of points around their mode, in each direction; 0: exact copies.
        train: how many samples to learn from; an equal share of each mode.
        test: how many to judge by.
        labelled: whether the mode is known to the networks as a label.
    """

    modes: Tensor
    spread: float
    train: int
    test: int
    labelled: bool

    def of_class(self, label: int) -> Targets:
        """Return the same with one mode alone."""
        return dataclasses.replace(self, modes=self.modes[label : label + 1])

    def draw(self, count: int, seed: int) -> tuple[Tensor, Tensor | None]:
        """Return samples, mode after mode in turn, and their labels int64 [count] if there are."""
        which = torch.arange(count) % len(self.modes)
        samples = self.modes[which]
        if self.spread:
            random = torch.Generator().manual_seed(seed)
            samples = samples + self.spread * torch.randn(samples.shape, generator=random)
        return samples, which if self.labelled else None


def _point() -> Targets:
    return Targets(torch.tensor([_POINT]), 0.0, 1_000, 100, False)


def _ring8() -> Targets:
    """Eight on a circle of radius 2 (as in Metz et al., 2017)."""
    angles = torch.arange(8) * (2 * math.pi / 8)
    modes = 2 * torch.stack([angles.cos(), angles.sin()], dim=1)
    return Targets(modes, 0.02, 50_000, 10_000, False)


def _grid25() -> Targets:
    """Five by five, 2 apart (as in Srivastava et al., 2017)."""
    line = torch.arange(-4.0, 5.0, 2.0)
    modes = torch.cartesian_prod(line, line)
    return Targets(modes, 0.05, 50_000, 10_000, False)


def _true_image() -> Targets:
    return Targets(_drawings(_TRUE_IMAGE), 0.0, 1_000, 100, False)


def _digits() -> Targets:
    return Targets(_drawings(*_GLYPHS), 0.0, 1_000, 100, True)


_MAKERS: dict[str, Callable[[], Targets]] = {
    "point": _point,
    "ring8": _ring8,
    "grid25": _grid25,
    "true-image": _true_image,
    "digits-10x10": _digits,
}


def targets(source: str, label: int | None = None) -> Targets | None:
    """Return what a made data set, or one mode of it, consists of; None for any other source."""
    make = _MAKERS.get(source)
    made = make() if make else None
    return made if made is None or label is None else made.of_class(label)


def _drawings(*texts: str) -> Tensor:
    """Turn drawings of ``#`` and ``.`` into uint8 [k, 1, height, width], 255 for ink."""
    rows = [[[sign == "#" for sign in line] for line in text.split()] for text in texts]
    return 255 * torch.tensor(rows, dtype=torch.uint8)[:, None]
