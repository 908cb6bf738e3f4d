from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from svg import texts

from gancli import palette, plots
from gancli.plots import curves
from gancli.runs import RunDirectory


def with_log(run: RunDirectory, records: list[dict]) -> RunDirectory:
    copy = RunDirectory(Path("copy"))
    shutil.copytree(run.path, copy.path)
    copy.log_path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return copy


def record(step: int, **figures: float) -> dict:
    known = dict.fromkeys(("d_loss", "g_loss", "d_accuracy_real", "d_accuracy_fake"), 0.5)
    return {"step": step, "epoch": step / 10, **known, **figures}


def test_the_panels_say_what_they_show(tiny_run: RunDirectory) -> None:
    curves.draw(tiny_run, Path("curves.svg"))
    words = texts(Path("curves.svg"))
    assert {"tiny: training curves", "Loss", "Accuracy of D", "Length of the gradient"} <= set(
        words
    )
    assert words.count("on real") == words.count("on fake") == 2
    assert words.count("D") == words.count("G") == 2


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ({"d_output_real": 0.9, "d_output_fake": 0.1}, "Mean output of D, real is 1"),
        ({"d_logit_real": 3.0, "d_logit_fake": -2.0}, "Mean logit of D, real is above 0"),
        ({}, "this run's log does not hold D's outputs"),
    ],
)
def test_old_logs_are_drawn_with_what_they_hold(
    tiny_run: RunDirectory, figures: dict[str, float], words: str
) -> None:
    run = with_log(tiny_run, [record(step, **figures) for step in (10, 20, 30)])
    curves.draw(run, Path("curves.svg"))
    said = texts(Path("curves.svg"))
    assert words in said
    assert "this run's log does not hold gradient norms" in said
    assert "epoch" in said


def test_lines_go_through_what_was_logged() -> None:
    log = [record(step, d_loss=step**0.5, g_loss=1 / step) for step in range(10, 60, 10)]
    axes = Figure().subplots()
    curves.draw_lines(axes, log, curves.LOSSES, "epoch")
    losses = {line.get_label(): line for line in axes.get_lines()}
    assert losses["D"].get_xdata().tolist() == [1, 2, 3, 4, 5]
    assert losses["D"].get_ydata().tolist() == [step**0.5 for step in range(10, 60, 10)]
    assert losses["G"].get_color() == palette.GENERATOR != losses["D"].get_color()


def test_within_two_epochs_steps_are_counted() -> None:
    axes = Figure().subplots()
    log = [record(5), record(15)]
    curves.draw_lines(axes, log, curves.LOSSES, "step")
    assert axes.get_lines()[0].get_xdata().tolist() == [5, 15]
    assert curves.x_of([log]) == "step"
    assert curves.x_of([[record(20)]]) == "epoch"
    assert curves.x_of([[record(20)], log]) == "step"  # side by side, all in one unit


def test_many_lines_are_smoothed_and_said_to_be(tiny_run: RunDirectory) -> None:
    noise = np.random.default_rng(0).normal(size=400)
    log = [record(10 + k, d_loss=1 + value) for k, value in enumerate(noise.tolist())]
    axes = Figure().subplots()
    curves.draw_lines(axes, log, curves.LOSSES, "epoch")
    thin, bold, *_ = (line.get_ydata() for line in axes.get_lines())
    assert np.allclose(thin, 1 + noise)
    assert bold.std() < thin.std() / 2
    curves.draw(with_log(tiny_run, log), Path("curves.svg"))
    assert "thin: as logged; bold: mean over 9 lines of the log" in texts(Path("curves.svg"))


def test_a_run_without_a_line_has_no_curves(tiny_run: RunDirectory) -> None:
    run = with_log(tiny_run, [])
    with pytest.raises(plots.CheckpointError, match=r"no line in its log.*--resume copy"):
        plots.plot_run(run, "curves")
    drawn = plots.plot_run(run)
    assert [path.name for path in drawn.paths] == ["network.png", "strip.png"]
    assert len(drawn.left_out) == 1
    assert "no curves yet" in drawn.left_out[0]
