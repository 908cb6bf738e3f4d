"""What a person sees on a terminal."""

from __future__ import annotations

import io
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import COMMAND, PATIENCE, Lab, environment, outcome

if sys.platform == "win32":
    pytest.skip("needs a pseudo-terminal", allow_module_level=True)
import pexpect
import screens

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_terminal(words: list[object], cwd: Path, **changes: str) -> tuple[int, str]:
    """Give a command on a terminal of 80 columns and 24 rows; return its code and all it wrote."""
    kept = environment(TERM="xterm-256color", COLORTERM="truecolor")
    terminal = pexpect.spawn(
        COMMAND[0],
        [*COMMAND[1:], *map(str, words)],
        cwd=str(cwd),
        env={**kept, **changes},  # type: ignore[arg-type]
        dimensions=(24, 80),
        encoding="utf-8",
        timeout=PATIENCE,
    )
    terminal.expect(pexpect.EOF)
    said = terminal.before
    terminal.close()
    assert isinstance(said, str)
    return terminal.exitstatus, said


def test_the_live_view_draws_the_digits(lab: Lab, tmp_path: Path) -> None:
    code, said = on_terminal([*lab.tiny, "--steps", 120], tmp_path)
    assert code == 0
    assert "▀" in said
    assert re.search(r"\x1b\[38;2;\d+;\d+;\d+;48;2;\d+;\d+;\d+m▀", said)  # two pixels a character
    plain = ESCAPE.sub("", said)
    for word in ("120/120 steps", "images/s", "loss D", "right on real", "healthy", "0:00:0"):
        assert word in plain
    assert re.search(r"loss D \d\.\d{3} [▁▂▃▄▅▆▇█]{9,}  G \d\.\d{3} [▁▂▃▄▅▆▇█]{9,}", plain)
    assert all(len(line) <= 80 for line in re.split(r"[\r\n]+", plain))
    # The view goes up by as many lines as it drew, and never past the top.
    climbs = [word.count("A") for word in re.findall(r"(?:\x1b\[1A(?:\x1b\[2K)?)+", said)]
    assert len(climbs) >= 2
    assert 4 <= max(climbs) <= 23
    assert said.rstrip().endswith("checkpoints/a")
    assert said.count("\x1b[?25l") == said.count("\x1b[?25h") == 1  # the cursor comes back
    assert outcome(tmp_path / "checkpoints" / "a") == lab.reference(120)


@pytest.mark.parametrize("changes", [{"NO_COLOR": "1", "TERM": "dumb"}, {"TERM": "unknown"}])
def test_a_dumb_terminal_gets_plain_lines(
    lab: Lab, tmp_path: Path, changes: dict[str, str]
) -> None:
    code, said = on_terminal([*lab.tiny], tmp_path, **changes)
    assert code == 0
    assert "\x1b" not in said
    assert "▀" not in said
    assert "step 60/60" in said
    assert said.rstrip().endswith("checkpoints/a")


def test_no_color_means_no_color(lab: Lab, tmp_path: Path) -> None:
    code, said = on_terminal([*lab.tiny], tmp_path, NO_COLOR="1")
    assert code == 0
    styles = re.findall(r"\x1b\[([0-9;]*)m", said)
    assert not [style for style in styles if re.search(r"(^|;)([34][0-8]|9[0-7])(;|$)", style)]
    assert "60/60 steps" in ESCAPE.sub("", said)
    code, shown = on_terminal(["show", lab.finished], tmp_path, NO_COLOR="1")
    assert code == 0
    for said_of in (said, shown):  # without colours all half blocks are alike
        assert "▀" not in said_of
        assert re.search(r"[#%@*+=]{2}", ESCAPE.sub("", said_of))


def test_quiet_and_json_are_quiet_on_a_terminal_too(lab: Lab, tmp_path: Path) -> None:
    assert on_terminal([*lab.tiny, "-q"], tmp_path) == (0, "checkpoints/a\r\n")
    code, said = on_terminal([*lab.tiny, "--json", "-q"], tmp_path)
    assert (code, said[:1], "\x1b" in said) == (0, "{", False)


def test_show_draws_a_run_in_colour(lab: Lab, tmp_path: Path) -> None:
    code, said = on_terminal(["show", lab.finished], tmp_path)
    assert code == 0
    assert "▀" in said
    assert "batch_size = 16" in said
    assert said.rstrip().endswith(os.fspath(lab.finished))


GREYS = {
    "xterm-256color": {*("38;5;16", "38;5;231"), *(f"38;5;{grey}" for grey in range(232, 256))},
    "xterm": {"30", "37", "90", "97"},
}


@pytest.mark.parametrize("term", GREYS)
def test_fewer_colours_leave_the_digits_grey(lab: Lab, tmp_path: Path, term: str) -> None:
    code, said = on_terminal(["show", lab.finished], tmp_path, TERM=term, COLORTERM="")
    assert code == 0
    upper = {"30": "40", "37": "47", "90": "100", "97": "107"}
    cells = set(re.findall(r"\x1b\[([0-9;]+)m▀", said))
    assert len(cells) > 2
    greys = GREYS[term]
    grounds = {upper.get(grey, grey.replace("38;", "48;")) for grey in greys}
    assert cells <= {f"{fore};{back}" for fore in greys for back in grounds}


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
def test_the_screen_holds_the_digits_and_the_lines_under_them(
    lab: Lab, tmp_path: Path, size: tuple[int, int]
) -> None:
    command = [*COMMAND, *map(str, [*lab.tiny, "--steps", 120])]
    told = environment(TERM="xterm-256color", COLORTERM="truecolor")
    screen = screens.last_screen(list(screens.record(command, tmp_path, told, size)), size)
    lines = [line.rstrip() for line in screen.display]
    at = next(number for number, line in enumerate(lines) if line.startswith("loss D "))
    assert lines[at + 1].startswith("epoch ")
    assert lines[at + 1].endswith(("healthy", "too short to judge")) or " since " in lines[at + 1]
    assert lines[at + 2].startswith("a ━━")
    assert "120/120 steps" in lines[at + 2]
    assert len(screen.display[at + 2].rstrip()) == size[0]  # the bar takes what is left
    assert all(set(line) == {"▀"} for line in lines[at - 2 : at])
    picture = np.asarray(screens.draw(screen).convert("RGB"))
    assert picture.shape == (20 * size[1], 10 * size[0], 3)
    digits = picture[20 * (at - 2) : 20 * at, : 10 * len(lines[at - 1])]
    assert (digits.max(2) == digits.min(2)).all()
    assert np.ptp(digits) > 50


def test_recipes_fit_the_terminal(tmp_path: Path) -> None:
    code, said = on_terminal(["recipes"], tmp_path)
    assert code == 0
    lines = ESCAPE.sub("", said).splitlines()
    assert max(len(line) for line in lines) <= 80
    heading = next(line for line in lines if "idea" in line)
    assert heading.split() == ["recipe", "from", "idea", "size", "min."]
    row = next(line for line in lines if line.startswith("r5-base "))
    assert "R5 " in row
    assert "1.2 M" in row


def test_a_run_that_starts_again_has_no_curves_yet(tmp_path: Path) -> None:
    from rich.console import Console

    from gancli import api, runs
    from gancli.cli.live import LiveView
    from gancli.cli.output import Output
    from gancli.training.plan import Plan

    config = api.describe(digit=7)
    run, plan = runs.new_run(tmp_path, "a"), Plan.of(config, 6_000)
    output = Output()
    output._console = Console(file=io.StringIO(), force_terminal=True, width=80, height=24)
    view = LiveView(output)
    view.started(run, config, plan, 0)
    record = {"epoch": 1.0, "d_loss": 1.0, "g_loss": 2.0, "d_accuracy_real": 0.5}
    view.logged({**record, "d_accuracy_fake": 0.5})
    output.console.print(view._render())
    view.started(run, config, plan, 0)
    output.console.print(view._render())
    assert f"{config.training.steps} steps" in output.console.file.getvalue()


def test_the_board_says_how_each_run_ended(tmp_path: Path) -> None:
    from rich.console import Console

    from gancli import api, jobs, runs
    from gancli.cli.live import _Board
    from gancli.cli.output import Output
    from gancli.placement import Placement

    planned = [
        jobs.Job(
            api.describe(digit=digit), Placement(runs.new_run(tmp_path, f"run-{digit}"), "cpu")
        )
        for digit in range(4)
    ]
    output = Output()
    output._console = Console(file=io.StringIO(), force_terminal=True, width=80, height=24)
    board = _Board(output, planned)
    figures = {"d_loss": 1.0, "g_loss": 2.0, "d_accuracy_real": 0.5, "d_accuracy_fake": 0.5}
    for job in planned[:3]:
        board.listen(job.run.name, "started", {"step": 0, "total_steps": 10})
        board.listen(job.run.name, "logged", {**figures, "step": 5})
    board.listen("run-1", "ended", jobs.Result(planned[1].run, 5, "the disk is full"))
    # One that was finished before has no figures of now.
    for number in (2, 3):
        done = jobs.Result(planned[number].run, 0, outcome={"status": "finished"})
        board.listen(f"run-{number}", "ended", done)
    output.console.print(board._render())
    lines = ESCAPE.sub("", output.console.file.getvalue()).splitlines()
    told = {line.split()[0]: " ".join(line.split()[1:]) for line in lines}
    assert told["run-0"].startswith("50%")
    assert told["run-1"] == "failed the disk is full"
    assert told["run-2"].startswith("finished loss D 1.000")
    assert told["run-3"] == "finished"
    output._console = Console(file=io.StringIO(), force_terminal=True, width=80, height=5)
    output.console.print(board._render())
    lines = ESCAPE.sub("", output.console.file.getvalue()).splitlines()
    assert [line.split()[0] for line in lines] == ["run", "run-0", "run-1", "2"]
    assert lines[-1].split()[:4] == ["2", "more", "2", "ended"]
