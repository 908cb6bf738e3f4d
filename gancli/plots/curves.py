"""The curves of a run: what its log says, over its epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from gancli import doctor, palette
from gancli.plots import style
from gancli.runs import RunDirectory

Log = Sequence[Mapping[str, Any]]
Look = tuple[str, str, str]
"""Label, colour and line style of a curve."""

_FEW_LINES, _MANY_LINES = 40, 400
LOSSES = {"d_loss": ("D", palette.DISCRIMINATOR, "-"), "g_loss": ("G", palette.GENERATOR, "-")}
ACCURACIES = {
    "d_accuracy_real": ("on real", palette.REAL, "-"),
    "d_accuracy_fake": ("on fake", palette.FAKE, "--"),
}
_OUTPUTS = {
    "d_output_real": ("on real", palette.REAL, "-"),
    "d_output_fake": ("on fake", palette.FAKE, "--"),
}
_LOGITS = {
    "d_logit_real": ("on real", palette.REAL, "-"),
    "d_logit_fake": ("on fake", palette.FAKE, "--"),
}
_NORMS = {
    "d_gradient_norm": ("D", palette.DISCRIMINATOR, "-"),
    "g_gradient_norm": ("G", palette.GENERATOR, "-"),
}


def draw(run: RunDirectory, target: Path) -> None:
    """Draw losses, accuracies, D's mean outputs and gradient norms; the log must have a line."""
    log = run.read_log()
    x = x_of([log])
    with style.sheet(target, 12, 8, f"{run.name}: training curves") as figure:
        (losses, accuracies), (outputs, norms) = figure.subplots(2, 2, sharex=True)
        losses.set_title("Loss")
        draw_lines(losses, log, LOSSES, x)
        blind = doctor.equilibrium(run.read_config())
        if blind is not None:
            _mark_blind(losses, blind, label="D that cannot tell")
        accuracies.set_title("Accuracy of D")
        draw_shares(accuracies, log, ACCURACIES, x)
        if _has(log, _OUTPUTS):
            outputs.set_title("Mean output of D, real is 1")
            draw_shares(outputs, log, _OUTPUTS, x)
        elif _has(log, _LOGITS):  # a run of gancli before it logged outputs
            outputs.set_title("Mean logit of D, real is above 0")
            draw_lines(outputs, log, _LOGITS, x)
        else:
            _note(outputs, "this run's log does not hold D's outputs")
        norms.set_title("Length of the gradient")
        if _has(log, _NORMS):
            draw_lines(norms, log, _NORMS, x)
            if min(record[name] for record in log for name in _NORMS) > 0:
                style.scale_log(norms)
        else:
            _note(norms, "this run's log does not hold gradient norms")
        for axes in (outputs, norms):
            axes.set_xlabel(x)
        for axes in (losses, accuracies, outputs, norms):
            _add_legend(axes)
        if window := window_of(log):
            style.explain(figure, f"thin: as logged; bold: mean over {window} lines of the log")


def draw_lines(axes: Axes, log: Log, figures: Mapping[str, Look], x: str) -> None:
    """Draw figures of a log.

    Args:
        axes: where to.
        log: the records.
        figures: keys of the log with their looks.
        x: ``epoch`` or ``step``, over which they are drawn.
    """
    places = [record[x] for record in log]
    window = window_of(log)
    for name, (label, colour, dash) in figures.items():
        y = [record[name] for record in log]
        if window:
            axes.plot(places, y, color=colour, alpha=0.25, linewidth=0.8)
            smooth = style.smooth(y, window)
            axes.plot(places, smooth, color=colour, label=label, linestyle=dash)
        else:
            marker = "o" if len(log) <= _FEW_LINES else ""
            axes.plot(places, y, dash, color=colour, label=label, marker=marker, markersize=4)
    axes.margins(x=0.02)


def draw_shares(axes: Axes, log: Log, figures: Mapping[str, Look], x: str) -> None:
    """Draw figures from 0 to 1, with the line at one half that says D cannot tell."""
    _mark_blind(axes, 0.5)
    draw_lines(axes, log, figures, x)
    axes.set_ylim(-0.03, 1.03)
    axes.set_yticks(np.linspace(0, 1, 5))


def _mark_blind(axes: Axes, level: float, label: str | None = None) -> None:
    """Draw a line across at what is found where D cannot tell."""
    axes.axhline(level, color=palette.MUTED, linewidth=1, linestyle=(0, (4, 4)), label=label)


def _note(axes: Axes, words: str) -> None:
    """Say in the middle of an empty panel why it is empty."""
    axes.text(0.5, 0.5, words, ha="center", color=palette.MUTED, transform=axes.transAxes)
    axes.grid(visible=False)


def _add_legend(axes: Axes) -> None:
    """Put the legend beside the title, where it hides no curve."""
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0.3)


def x_of(logs: Sequence[Log]) -> str:
    """Return what the horizontal axes of some logs count: steps, if one has hardly an epoch."""
    return "step" if any(log[-1]["epoch"] < 2 for log in logs) else "epoch"


def window_of(log: Log) -> int:
    """Return how many lines are averaged into the bold curve; 0 where there are few enough."""
    return 0 if len(log) < _MANY_LINES else len(log) // 100 * 2 + 1


def _has(log: Log, figures: Mapping[str, object]) -> bool:
    return all(name in record for record in log for name in figures)
