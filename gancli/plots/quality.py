"""The course of a run's figures, as `gancli evaluate --history` found it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from gancli import palette
from gancli.errors import CheckpointError
from gancli.plots import style
from gancli.runs import RunDirectory, parse_json

_ACROSS = 3
_BEST = {"higher": "higher is better", "lower": "lower is better", "near": "best near real"}


def draw(run: RunDirectory, target: Path) -> None:
    """Draw every figure over the epochs, with its interval, beside the same of real images.

    Raises:
        CheckpointError: the run's history is damaged.
        StorageError: the file cannot be written.
    """
    try:
        history = parse_json(run.history_path.read_bytes())
        epochs, figures = history["epochs"], history["figures"]
        across = max(min(len(figures), _ACROSS), 1)
        down = math.ceil(len(figures) / across)
        with style.sheet(target, 4.4 * across, 3.2 * down + 0.6, f"{run.name}: quality") as sheet:
            panels = sheet.subplots(down, across, squeeze=False, sharex=True).flat
            for axes, figure in zip(panels, figures, strict=False):
                _draw_figure(axes, epochs, figure)
            for axes in list(panels)[len(figures) :]:
                axes.axis("off")
            sheet.legend(*sheet.axes[0].get_legend_handles_labels(), loc="upper right", ncols=2)
            style.explain(sheet, "over the epochs; shaded: 95 % intervals")
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise CheckpointError(
            f"{run.history_path} is damaged; make it anew: gancli evaluate {run.name} --history"
        ) from error


def _draw_figure(axes: Axes, epochs: list[float], figure: Mapping[str, Any]) -> None:
    axes.set_title(f"{figure['name'].replace('_', ' ')}, {_BEST[figure['better']]}")
    axes.fill_between(epochs, figure["lows"], figure["highs"], color=palette.FAKE, alpha=0.25)
    axes.plot(epochs, figure["values"], "o-", color=palette.FAKE, markersize=4, label="fakes")
    axes.axhspan(figure["real_low"], figure["real_high"], color=palette.REAL, alpha=0.15)
    axes.axhline(figure["real"], color=palette.REAL, linestyle="--", label="real")
    if figure["unit"] == "share":
        axes.set_ylim(-0.03, 1.03)
    elif figure["unit"] == "features^2":
        axes.set_yscale("log")  # from noise to digits it falls by a thousand
        axes.yaxis.set_major_formatter("{x:,g}")
        axes.yaxis.set_minor_locator(NullLocator())
