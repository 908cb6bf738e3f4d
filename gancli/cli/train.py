"""gancli train."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from gancli import api, doctor, jobs, ranks, runs
from gancli.cli.options import (
    DeviceOption,
    JsonOption,
    QuietOption,
    RunsDirOption,
    parse_numbers,
)
from gancli.cli.output import Output
from gancli.cli.progress import fetch_data
from gancli.config import parse_assignment
from gancli.cores import usable_cores
from gancli.devices import pick_device
from gancli.errors import ConfigError, GancliError
from gancli.jobs import Job, Result
from gancli.placement import Outcome, Placement
from gancli.runs import runs_dir_words
from gancli.stopping import stop_silently


def train(
    recipe: Annotated[
        str | None,
        typer.Option(help="A recipe's name or TOML file, such as a run's config.toml."),
    ] = None,
    digit: Annotated[
        str | None, typer.Option(help="One digit; or several, a run each: 3,5,7 or 0-9.")
    ] = None,
    seed: Annotated[str | None, typer.Option(help="One seed; or several, a run each.")] = None,
    data: Annotated[
        str | None,
        typer.Option(help="mnist or another name, an IDX file, or a folder of pictures."),
    ] = None,
    unconditional: Annotated[
        bool, typer.Option("--unconditional", help="Leave the labels out.")
    ] = False,
    epochs: Annotated[float | None, typer.Option(help="Length in passes over the data.")] = None,
    steps: Annotated[int | None, typer.Option(help="Length in steps instead.")] = None,
    preview: Annotated[
        bool, typer.Option("--preview", help="As long as the recipe's preview: minutes at most.")
    ] = False,
    max_seconds: Annotated[
        float | None, typer.Option(help="Pause after this long; the same command goes on.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set any key of the config."),
    ] = None,
    frame_every: Annotated[float | None, typer.Option(help="Epochs from frame to frame.")] = None,
    score_every: Annotated[
        float | None, typer.Option(help="Epochs from quick score to quick score; keeps the best.")
    ] = None,
    patience: Annotated[
        int | None, typer.Option(help="End after so many scores without a better one.")
    ] = None,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="Go on with a run.")] = None,
    name: Annotated[str | None, typer.Option(help="The run's name.")] = None,
    runs_dir: RunsDirOption = runs.DEFAULT_RUNS_DIR,
    device: DeviceOption = "auto",
    threads: Annotated[
        str | None,
        typer.Option(help="CPU threads: auto, adaptive or a number; else as in the recipe."),
    ] = None,
    jobs_at_a_time: Annotated[
        str,
        typer.Option(
            "--jobs", help="Train several runs at a time, one thread each; auto: a core each."
        ),
    ] = "1",
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Check everything and print the config; fetches data if need be, writes no run.",
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Start a run that exists afresh.")] = False,
    on_failure: Annotated[
        str,
        typer.Option(help="Once the log shows failure: warn, stop, or reseed (the next seed)."),
    ] = "warn",
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a GAN: one digit, several, or all with their labels.

    A finished run is left as it is, an interrupted one is resumed.

    [bold]gancli train --digit 7[/bold] · [bold]gancli train --digit 0-9 --jobs 2[/bold]
    """
    output = Output(as_json, quiet)
    stop_silently(quiet)
    processes = _processes(jobs_at_a_time)
    api.check_max_seconds(max_seconds)
    api.check_on_failure(on_failure)
    resumed = None
    if resume is not None:
        resumed = runs.find_run(resume, runs_dir)
        if recipe is not None or name is not None:
            raise ConfigError("--resume takes recipe and name from the run; leave them out")
        recipe = str(resumed.config_path)
    changes: dict[str, Any] = dict(map(parse_assignment, settings or []))
    options = {
        "training.epochs": epochs,
        "training.steps": steps,
        "record.frame_every": frame_every,
        "record.score_every": score_every,
        "record.patience": patience,
        "data.conditional": False if unconditional else None,
        "training.threads": None if threads is None else _threads(threads),
    }
    changes |= {key: value for key, value in options.items() if value is not None}
    digits: Sequence[int | None] = [None] if digit is None else _several(digit, "--digit")
    seeds: Sequence[int | None] = [None] if seed is None else _several(seed, "--seed")
    if len(digits) * len(seeds) > 10_000:
        raise ConfigError(f"{len(digits) * len(seeds):,} runs are too many for one command")
    configs = [
        api.describe(
            recipe,
            digit=one_digit,
            seed=one_seed,
            data=data,
            settings=changes,
            preview=preview,
            device=device,
        )
        for one_digit, one_seed in itertools.product(digits, seeds)
    ]
    if len(configs) > 1 and resume is not None:
        raise ConfigError(
            "--resume goes on with one run, and several are asked for; leave --digit and --seed out"
        )
    if len(configs) > 1 and name is not None:
        raise ConfigError("--name names one run, and several are asked for; leave it out")
    planned = [
        Job(
            config,
            Placement(
                resumed
                or runs.new_run(
                    runs_dir, runs.default_name(config, preview=preview) if name is None else name
                ),
                device,
                max_seconds,
                force,
                1 if min(processes, len(configs)) > 1 else None,
                ["gancli", *sys.argv[1:]],
                on_failure,
            ),
        )
        for config in configs
    ]
    if ranks.here().size > 1 and (len(planned) > 1 or processes > 1):
        raise ConfigError(
            "the processes of torchrun train one run together; give each run a command of its own, "
            "or train several with --jobs and without torchrun"
        )
    if dry_run:
        _print_plans(planned, output)
    elif len(planned) == 1:
        _train_one(planned[0], output)
    else:
        _train_many(planned, processes, output)


def _several(text: str, option: str) -> list[int]:
    """Return the numbers that a text names, each once."""
    return list(dict.fromkeys(parse_numbers(text, option)))


def _threads(text: str) -> int | str:
    if text in ("auto", "adaptive"):
        return text
    if not text.isdecimal() or len(text) > 40:
        raise ConfigError(f"--threads '{text}': write auto, adaptive or a whole number")
    return int(text)


def _processes(text: str) -> int:
    if text == "auto":
        return len(usable_cores())
    if not text.isdecimal() or len(text) > 4 or not 1 <= int(text) <= 1024:
        raise ConfigError(f"--jobs {text}: write auto or a whole number from 1 to 1024")
    return int(text)


def _print_plans(planned: list[Job], output: Output) -> None:
    """Check every run as far as that goes without a step, and print the first one's config."""
    from gancli import preparing  # noqa: PLC0415 - imports torch

    found, configs = [], []
    for job in planned:
        fetch_data(job.config.data.source, output)
        config, splits, plan = preparing.prepare(job.config)
        pick_device(job.placement.device)
        runs.check_place(job.run)
        job.is_finished()  # refuses another run of that name
        output.say(
            f"{job.run.name}: {len(splits.train):,} images, {plan.steps_per_epoch:,} steps an "
            f"epoch, {plan.total_steps:,} steps in all; no run was written"
        )
        configs.append(config)
        found.append(
            {"run": job.run.name, "config": config.to_table(), "total_steps": plan.total_steps}
        )
    output.next(*(word for word in planned[0].placement.command if word != "--dry-run"))
    if output.as_json:
        output.result(None, found[0] if len(found) == 1 else {"runs": found})
    else:
        output.stdout(configs[0].to_toml().rstrip())


def _train_one(job: Job, output: Output) -> None:
    # Several processes go as far as to meet, and find it finished together.
    if ranks.here().size == 1 and job.is_finished():
        output.say(f"{job.run.name} is finished already (--force starts it afresh)")
        _finish_one({"run": job.run.name, "path": str(job.run.path), **_kept(job)}, job, output)
        return
    from gancli.cli.live import watching  # noqa: PLC0415 - imports rich

    output.say(f"training {job.run.name}: loading torch and the data ...")
    fetch_data(job.config.data.source, output)
    with watching(output) as observer:
        outcome = jobs.train_one(job, observer)
    if ranks.here().rank == 0:
        _report_one(outcome, job, output)
    if outcome.signal_number is not None:
        raise typer.Exit(128 + outcome.signal_number)


def _report_one(outcome: Outcome, job: Job, output: Output) -> None:
    summary = jobs.outcome_as_dict(outcome)
    output.say(
        f"{outcome.run.name} {outcome.status} at step {outcome.step:,} of {outcome.total_steps:,} "
        f"after {outcome.seconds:.1f} s ({outcome.step_seconds / outcome.seconds:.0%} in steps)"
    )
    if outcome.status is runs.Status.FINISHED and outcome.step < outcome.total_steps:
        output.say("ended early: the scores found nothing better any more (--patience)")
    words, diagnosis = _health_of(job)
    output.say(f"doctor: {words}")
    _finish_one({**summary, "doctor": diagnosis}, job, output)


def _kept(job: Job) -> dict[str, Any]:
    status = job.run.read_status()
    return {key: status.get(key) for key in ("status", "step", "total_steps")}


def _finish_one(summary: dict[str, Any], job: Job, output: Output) -> None:
    words = [job.run.name, *runs_dir_words(job.run.path.parent)]
    if summary["status"] == runs.Status.FINISHED:
        output.next("gancli", "animate", *words)
    else:
        output.next("gancli", "train", "--resume", *words)
    output.result(job.run.path, summary)


def _train_many(planned: list[Job], processes: int, output: Output) -> None:
    from gancli.cli.live import watching, watching_many  # noqa: PLC0415 - imports rich

    results = {}
    for job in planned:
        known = _known_result(job)
        if known is not None:
            results[job.run.name] = known
    waiting = [job for job in planned if job.run.name not in results]
    for source in {job.config.data.source for job in waiting}:
        fetch_data(source, output)
    if processes > 1 and waiting:
        with watching_many(output, waiting) as listen:
            for result in jobs.train_many(waiting, min(processes, len(waiting)), listen):
                results[result.run.name] = result
    else:
        for job in waiting:
            with watching(output) as observer:
                result = jobs.train_here(job, observer)
            results[job.run.name] = result
            if result.exit_code > 128:
                break
    _report_many(planned, results, output)


def _known_result(job: Job) -> Result | None:
    """Return the result of a job that needs no training: it is finished, or cannot begin."""
    try:
        if job.is_finished():
            outcome = {"run": job.run.name, "path": str(job.run.path), **_kept(job)}
            return Result(job.run, 0, outcome=outcome)
    except GancliError as error:
        return Result(job.run, error.exit_code, str(error))
    return None


def _health_of(job: Job) -> tuple[str, dict[str, Any] | None]:
    """Return the doctor's line, and all it says; an unreadable run is no reason to be silent."""
    try:
        diagnosis = doctor.examine(job.run)
    except GancliError as error:
        return str(error), None
    return diagnosis.line(job.run.command("doctor", job.run.name)), diagnosis.as_dict()


def _report_many(planned: list[Job], results: dict[str, Result], output: Output) -> None:
    listed: list[dict[str, Any]] = []
    for job in planned:
        name = job.run.name
        result = results.get(name)
        if result is None:
            code = max(known.exit_code for known in results.values())
            result = Result(job.run, code, "not begun")
        diagnosis = None
        if result.outcome is not None:
            words, diagnosis = _health_of(job)
            output.say(f"{name}: {result.status} at step {result.outcome['step']}")
            output.say(f"{name}: doctor: {words}")
        elif result.exit_code > 128:
            output.say(f"{name}: {result.status}")
        else:
            output.fail(f"{name}: {result.message}")
        listed.append(
            {
                "run": name,
                "path": str(job.run.path),
                "status": result.status,
                **(result.outcome or {}),
                "exit_code": result.exit_code,
                "message": result.message,
                "doctor": diagnosis,
            }
        )
        if not result.exit_code and not output.as_json:
            output.stdout(str(job.run.path))
    codes = [entry["exit_code"] for entry in listed if entry["exit_code"]]
    if not codes:
        output.next("gancli", "show", *runs_dir_words(planned[0].run.path.parent))
    output.result(None, {"runs": listed})
    if codes:
        raise typer.Exit(max(codes) if max(codes) > 128 else codes[0])
