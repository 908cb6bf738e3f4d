"""One look for every figure, and files that are the same bytes every time."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, NullLocator

from gancli import files, palette

_TITLE = 15  # points, of a title that fits
_MARGIN = 0.012  # of a figure's width, on either side of its title
_SHRUNK = 400  # pictures of more pixels than this are drawn smaller than they are

_STYLE: dict[Any, Any] = {
    "figure.dpi": 120,
    "figure.constrained_layout.h_pad": 0.1,
    "figure.constrained_layout.w_pad": 0.1,
    "savefig.dpi": "figure",
    "font.family": "DejaVu Sans",  # comes with matplotlib, so a figure is the same everywhere
    "font.size": 12,
    "text.color": palette.INK,
    "text.parse_math": False,  # a run may be called a$b$c
    "axes.titlesize": 13,
    "axes.titlelocation": "left",
    "axes.titlepad": 9,
    "axes.labelcolor": palette.INK,
    "axes.edgecolor": palette.MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": palette.RULE,
    "xtick.color": palette.INK,
    "ytick.color": palette.INK,
    "lines.linewidth": 2,
    "legend.frameon": False,
    "legend.fontsize": 11,
    "svg.fonttype": "none",
    "svg.hashsalt": "gancli",
}
# matplotlib tells of its font cache at its first start, which nobody asked to know.
logging.getLogger("matplotlib").setLevel(logging.ERROR)


@contextlib.contextmanager
def sheet(target: Path, width: float, height: float, title: str = "") -> Iterator[Figure]:
    """Yield an empty figure in gancli's style, and write it when the block succeeds.

    Args:
        target: a ``.png`` or ``.svg`` file.
        width: in inches; a PNG has 120 pixels an inch.
        height: in inches.
        title: over all of it.

    Raises:
        StorageError: the file cannot be written.
    """
    with mpl.rc_context():
        mpl.rcdefaults()  # whatever the user's matplotlibrc says
        mpl.rcParams.update(_STYLE)
        figure = Figure(figsize=(width, height), layout="constrained")
        if title:
            _head(figure, title)
        yield figure
        suffix = target.suffix.lower().removeprefix(".")
        # Dates and versions would make other bytes of the same figure.
        metadata = {
            "png": {"Software": None},
            "svg": {"Date": None, "Creator": "gancli", "Title": title or target.stem},
        }[suffix]
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix, metadata=metadata)
    files.write_bytes(target, buffer.getvalue())


def _head(figure: Figure, title: str) -> None:
    """Write a title over a figure, as large as its width lets it be."""
    text = figure.suptitle(title, x=_MARGIN, ha="left", fontsize=_TITLE, fontweight="bold")
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    wide = text.get_window_extent(renderer).width
    room = (1 - 2 * _MARGIN) * figure.bbox.width
    text.set_fontsize(_TITLE * min(1.0, room / wide))


def show_pixels(
    axes: Axes,
    pixels: npt.NDArray[np.generic],
    *,
    low: float = 0,
    high: float = 255,
    colours: str = "gray",
    room: int | None = None,
) -> None:
    """Draw an array as a picture, every number a square of side 1, its middle at (0, 0).

    Args:
        axes: where to.
        pixels: [height, width], or [height, width, 3] of uint8.
        low: the number at the lower end of the colours.
        high: the number at the upper end.
        colours: a matplotlib colour map.
        room: side of a larger square, in pixels, that the picture stands in, so that pictures of
            several sizes compare; None for no more than it needs.
    """
    height, width = pixels.shape[:2]
    across, down = room or width, room or height
    axes.imshow(
        pixels,
        cmap=colours,
        vmin=low,
        vmax=high,
        interpolation="nearest" if max(height, width) < _SHRUNK else "antialiased",
        extent=(-width / 2, width / 2, height / 2, -height / 2),
    )
    corner = (-width / 2, -height / 2)
    axes.add_patch(
        Rectangle(
            corner, width, height, fill=False, edgecolor=palette.MUTED, linewidth=1, clip_on=False
        )
    )
    axes.set(xlim=(-across / 2, across / 2), ylim=(down / 2, -down / 2))
    axes.axis("off")


def scale_log(axes: Axes) -> None:
    """Make the vertical scale logarithmic, with plain numbers at 1, 2 and 5."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(NullLocator())


def explain(figure: Figure, words: str) -> None:
    """Write a small sentence under the figure."""
    figure.supxlabel(words, fontsize=11, color=palette.MUTED)


def smooth(values: Sequence[float], window: int) -> npt.NDArray[np.float64]:
    """Return the mean over a window around each value; the window is cut at the ends.

    Args:
        values: [n].
        window: how many values it holds, an odd number.
    """
    sums = np.concatenate([[0.0], np.cumsum(np.asarray(values, np.float64))])
    centre = np.arange(len(values))
    first = np.maximum(centre - window // 2, 0)
    last = np.minimum(centre + window // 2 + 1, len(values))
    return np.asarray((sums[last] - sums[first]) / (last - first))


def epoch_words(epoch: float) -> str:
    """Spell an epoch short enough to stand over a small picture."""
    return f"{epoch:,.0f}" if epoch >= 100 else f"{epoch:.3g}"
