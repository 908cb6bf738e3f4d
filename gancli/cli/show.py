"""gancli show."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from gancli import runs
from gancli.cli.options import JsonOption, QuietOption, RunsDirOption
from gancli.cli.output import Output
from gancli.errors import CheckpointError, DataError, StorageError
from gancli.runs import RunDirectory, parse_json, runs_dir_words


def show(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="A run to draw; all are listed without.")
    ] = None,
    runs_dir: RunsDirOption = runs.DEFAULT_RUNS_DIR,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """List the runs, or draw one in the terminal with its config and figures.

    [bold]gancli show[/bold] · [bold]gancli show digit-7[/bold]
    """
    output = Output(as_json, quiet)
    if run is None:
        _list(runs_dir, output)
    else:
        _show_one(runs.find_run(run, runs_dir), output)


def _list(runs_dir: Path, output: Output) -> None:
    rows = [_row(run, output) for run in runs.list_runs(runs_dir)]
    if not rows:
        output.say(f"no runs in {runs_dir} yet")
        output.next("gancli", "train", "--digit", "7", *runs_dir_words(runs_dir))
    elif not output.quiet:
        wide = max(len(row["run"]) for row in rows)
        output.say(f"{'run':{wide}}  {'status':11}  {'step':>15}  {'epoch':>7}  judge's share")
        for row in rows:
            steps = f"{row['step']}/{row['total_steps']}"
            share = "" if row["judge_share"] is None else f"{row['judge_share']:.4f}"
            if row["judge_share_real"] is not None:
                share += f" (real {row['judge_share_real']:.4f})"
            output.say(
                f"{row['run']:{wide}}  {row['status']:11}  {steps:>15}  {row['epoch']:7.4g}"
                f"  {share}"
            )
        output.next("gancli", "show", rows[0]["run"], *runs_dir_words(runs_dir))
    if output.as_json:
        output.result(None, {"runs": rows})
    elif output.quiet or not (sys.stdout and sys.stdout.isatty() and _is_heard()):
        # Else a person has just read them.
        for row in rows:
            output.stdout(row["path"])


def _is_heard() -> bool:
    """Tell whether a person reads stderr."""
    return sys.stderr is not None and sys.stderr.isatty()


def _row(run: RunDirectory, output: Output) -> dict[str, Any]:
    status: dict[str, Any] = {}
    word = "damaged"
    try:
        status, word = run.read_status(), str(run.status())
    except (CheckpointError, StorageError) as error:
        output.warn(str(error))
    share, real = _score(run, "judge_share")
    return {
        "run": run.name,
        "path": str(run.path),
        "status": word,
        "step": status.get("step", 0),
        "total_steps": status.get("total_steps", 0),
        "epoch": status.get("epoch", 0.0),
        "judge_share": share,
        "judge_share_real": real,
    }


def _score(run: RunDirectory, name: str) -> tuple[float | None, float | None]:
    """Return a figure that ``gancli evaluate`` found, and the same of real images."""
    nothing = None, None
    try:
        card = parse_json(run.scores_path.read_bytes())
        if card["step"] != run.read_status().get("step"):
            return nothing  # the run was trained further since
        found = (entry for entry in card["figures"] if entry["name"] == name)
        entry = next(found, None)
        return nothing if entry is None else (float(entry["value"]), float(entry["real"]))
    except (OSError, *runs.DAMAGE, CheckpointError, StorageError):
        return nothing


def _show_one(run: RunDirectory, output: Output) -> None:
    config, status, log = run.read_config(), run.read_status(), run.read_log()
    run.status()  # a word that means nothing is an error here, and only a warning in the list
    row = _row(run, output)
    if not output.quiet and not output.as_json:
        output.say(config.to_toml().rstrip())
        output.say("")
        _draw(run, output)
        for session in status.get("sessions", []):
            first, last = session.get("first_step"), session.get("last_step")
            seconds, speed = session.get("seconds"), session.get("images_per_second")
            output.say(f"steps {first} to {last} in {seconds} s, {speed} images/s")
    if log:
        from gancli.cli.live import figures_line  # noqa: PLC0415 - imports rich

        output.say(f"epoch {log[-1]['epoch']:g}: {figures_line(log[-1])}")
    output.say(f"{run.name} is {row['status']} at step {row['step']} of {row['total_steps']}")
    following = {"finished": ["animate"], "failed": ["doctor"], "training": ["doctor"]}
    output.next(
        "gancli",
        *following.get(row["status"], ["train", "--resume"]),
        run.name,
        *runs_dir_words(run.path.parent),
    )
    content = {
        **row,
        "config": config.to_table(),
        "status_file": status,
        "last_log": log[-1] if log else None,
    }
    output.result(run.path, content)


def _draw(run: RunDirectory, output: Output) -> None:
    """Draw the newest frame's tiles with half-blocks."""
    import numpy as np  # noqa: PLC0415 - keeps --help fast

    from gancli.cli.live import Digits  # noqa: PLC0415 - imports rich
    from gancli.pictures.frames import list_frames, read_frame  # noqa: PLC0415
    from gancli.pictures.grid import split_grid  # noqa: PLC0415

    try:
        frame = list_frames(run.frames)[-1]
        picture = read_frame(frame.path)
    except DataError as error:
        output.warn(str(error))
        return
    data = run.read_config().data
    if data.is_points:
        tiles = np.asarray(picture.convert("RGB")).transpose(2, 0, 1)[None]
    else:
        tiles = split_grid(picture, data.image_size)
    output.console.print(Digits(tiles, spare_rows=4))
