"""From what lies in a run's folder to what a page shows of it.

Nothing here trains or scores. What is missing is said, with the command that makes it; what is
damaged is refused.
"""

from __future__ import annotations

import bisect
import io
import math
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL import Image

from gancli import checkpoints, doctor, sampling
from gancli.config import DOWNLOADS, RunConfig
from gancli.data import catalogue, judges
from gancli.errors import CheckpointError, DataError, memory_advice
from gancli.metrics.memorisation import nearest_pixels
from gancli.pictures.frames import Frame as FrameFile
from gancli.pictures.frames import list_frames, read_frame, spell_epoch
from gancli.pictures.grid import Images, make_grid, open_png, read_metadata, split_grid
from gancli.pictures.sheet import draw_sheet
from gancli.report import charts, networks
from gancli.report.charts import Curve
from gancli.report.model import (
    Chart,
    Film,
    Finding,
    Frame,
    Missing,
    Neighbour,
    Neighbours,
    Picture,
    Run,
    Score,
    ScoreCard,
    Verdict,
)
from gancli.report.words import sentence_case, spell, spell_name
from gancli.runs import CONFIG, RunDirectory, Status, parse_json, reading
from gancli.sampling import Trained

MOST_BYTES = 3_000_000
"""Of a page, for each run."""

_TEXT_BYTES = 350_000  # what words, curves and the page's own design come to at most
_MOST_FRAMES = 100
_WIDEST_GRID = 320  # pixels; ten digits of 28 x 28 side by side
_POINTS, _PAIRS, _COLUMNS = 1000, 12, 8
_BEST = {"higher": "higher is better", "lower": "lower is better", "near": "best near real"}
_STATES = {
    Status.TRAINING: "is being trained",
    Status.PAUSED: "was paused",
    Status.INTERRUPTED: "was interrupted",
    Status.FAILED: "failed",
    Status.FINISHED: "finished",
}

Record = Mapping[str, Any]


def view(run: RunDirectory) -> Run:
    """Gather what a page shows of a run.

    Raises:
        CheckpointError: its config, status, log, scores or history are damaged.
        DataError: a frame is; it is named.
        StorageError: memory ran out.
    """
    config, status, log = run.read_config(), run.read_status(), run.read_log()
    trained = _trained(run)
    samples, samples_words = _samples(run, trained)
    with memory_advice("report fewer runs at a time"):
        neighbours = _neighbours(run, config, trained)
    judged = judges(config.data)
    pictures = [samples] if isinstance(samples, Picture) else []
    if isinstance(neighbours, Neighbours):
        pictures += [pair.picture for pair in neighbours.pairs]
        pictures += [neighbours.closest] if neighbours.closest else []
    taken = sum(len(picture.base64) for picture in pictures)
    return Run(
        name=run.name,
        headline=config.summary,
        state=_state(run, status),
        facts=_facts(config, status),
        provenance=_provenance(status),
        given=shlex.join(map(str, status.get("command", []))),
        repeat=run.command("train", "--recipe", CONFIG, "--name", run.name),
        toml=run.config_path.read_text(encoding="utf-8"),
        verdict=_verdict(doctor.examine(run)),
        film=_film(run, config, log, MOST_BYTES - _TEXT_BYTES - taken),
        curves=_curves(run, log),
        quality=_quality(run, judged),
        scores=_scores(run, status, judged),
        samples=samples,
        samples_words=samples_words,
        neighbours=neighbours,
        networks=networks.diagrams(run, config),
    )


def _state(run: RunDirectory, status: Record) -> str:
    steps = f"at step {status.get('step', 0):,} of {status.get('total_steps', 0):,}"
    words = f"{_STATES[run.status()]} {steps}, epoch {spell(float(status.get('epoch', 0)))}"
    return f"{words}: {status['error']}" if status.get("error") else words


def _facts(config: RunConfig, status: Record) -> dict[str, str]:
    """Return what was run, in the words of the config."""
    data, training = config.data, config.training
    facts = {"recipe": config.recipe + (f" (report {config.report})" if config.report else "")}
    images = status.get("data", {}).get("images")
    facts["data"] = data.source
    facts["data"] += "" if data.digit is None else f", class {data.digit} alone"
    facts["data"] += f", {images:,} images" if isinstance(images, int) else ""
    length = training.epochs if training.steps is None else training.steps
    unit = "epochs" if training.steps is None else "steps"
    facts["length"] = f"{spell(float(length or 0))} {unit} in batches of {training.batch_size:,}"
    facts["seed"] = str(training.seed)
    facts["loss"] = config.loss.name
    for name, network, rule in (
        ("generator", config.generator, config.generator_optimizer),
        ("discriminator", config.discriminator, config.discriminator_optimizer),
    ):
        facts[name] = f"{_counted(len(network.layers), 'layer')}, {rule.name} at {rule.lr:g}"
    facts["latent"] = f"{_counted(config.latent.size, 'number')}, {config.latent.law}"
    sessions = [session for session in status.get("sessions", []) if "seconds" in session]
    if sessions:
        seconds = sum(float(session["seconds"]) for session in sessions)
        speed = float(sessions[-1].get("images_per_second", math.nan))
        facts["time"] = f"{seconds:,.1f} s at {spell(speed)} images a second"
    return facts


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def _provenance(status: Record) -> dict[str, str]:
    found = {str(name): str(version) for name, version in status.get("versions", {}).items()}
    if "device" in status:
        found["device"] = str(status["device"])
    if "fingerprint" in status.get("data", {}):
        found["fingerprint of the data"] = str(status["data"]["fingerprint"])
    return found


def _verdict(diagnosis: doctor.Diagnosis) -> Verdict:
    findings = tuple(
        Finding(str(f.severity), f.name, spell(f.epoch), f.evidence, f.options)
        for f in diagnosis.findings
    )
    if not findings:
        return Verdict("healthy", "healthy", ())
    return Verdict(findings[0].severity, findings[0].name, findings)


def _picture(image: Image.Image, alt: str) -> Picture:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return Picture(buffer.getvalue(), *image.size, alt)


def _film(run: RunDirectory, config: RunConfig, log: Sequence[Record], room: int) -> Film | Missing:
    """Choose frames, first and last among them, that leave the page within its size.

    Args:
        run: the run.
        config: its config.
        log: its log.
        room: how many bytes of the page they may take; the last is shown three times.

    Raises:
        DataError: a frame is damaged, or of another size than the first.
    """
    try:
        files = list_frames(run.frames)
    except DataError:
        return Missing("This run has no frames, so it has no film.", (_further(run),))
    pictures: dict[int, Picture] = {}
    cropped = ""
    count = min(len(files), _MOST_FRAMES)
    while True:
        chosen = _evenly(len(files), count)
        for index in chosen:
            if index not in pictures:
                pictures[index], cropped = _frame(run, config, files[index])
        bytes_taken = sum(len(pictures[index].base64) for index in chosen)
        spare = room - 2 * len(pictures[len(files) - 1].base64)
        if bytes_taken <= spare or count == 1:
            break
        count = max(1, min(count - 1, count * spare // bytes_taken))
    sizes = {(pictures[index].width, pictures[index].height) for index in chosen}
    if len(sizes) > 1:
        first = (pictures[chosen[0]].width, pictures[chosen[0]].height)
        other = next(i for i in chosen if (pictures[i].width, pictures[i].height) != first)
        raise DataError(
            f"{files[other].path} is {pictures[other].width}x{pictures[other].height}, but the "
            f"first frame is {first[0]}x{first[1]}; a film needs frames of one run"
        )
    few = f"{len(chosen)} of {len(files)} frames, evenly chosen" if count < len(files) else ""
    frames = (Frame(files[i].epoch, _frame_words(files[i].epoch, log), pictures[i]) for i in chosen)
    return Film(tuple(frames), len(files), "; ".join(filter(None, (few, cropped))))


def _evenly(total: int, count: int) -> list[int]:
    """Return ``count`` of ``total`` indices at even distances, the last always among them."""
    if count == 1:
        return [total - 1]
    return [round(index * (total - 1) / (count - 1)) for index in range(count)]


def _frame(run: RunDirectory, config: RunConfig, file: FrameFile) -> tuple[Picture, str]:
    """Read a frame, and cut it to so many tiles that one can be seen on a phone."""
    picture = read_frame(file.path)
    alt = f"samples of {run.name} after epoch {file.epoch:g}"
    if config.data.is_points or max(picture.size) <= _WIDEST_GRID:
        return Picture(file.path.read_bytes(), *picture.size, alt), ""
    side = config.data.image_size
    tiles, most = split_grid(picture, side), max(1, _WIDEST_GRID // (side + 2))
    columns = picture.width // (side + 2)
    rows = math.ceil(len(tiles) / columns)
    corner = _corner(tiles, columns, most)
    words = f"the first {min(rows, most)} x {min(columns, most)} of {rows} x {columns} samples"
    return _picture(make_grid(corner, min(columns, most)), alt), words


def _corner(tiles: Images, columns: int, most: int) -> Images:
    chosen = [
        index for index in range(len(tiles)) if index // columns < most and index % columns < most
    ]
    return tiles[chosen]


def _frame_words(epoch: float, log: Sequence[Record]) -> str:
    """Return epoch and the losses logged last before it."""
    # File names hold epochs in thousandths.
    position = bisect.bisect_right([record["epoch"] for record in log], epoch + 5e-4)
    words = f"epoch {spell_epoch(epoch)}"
    if position:
        record = log[position - 1]
        words += f" · loss of G {spell(record['g_loss'])} · of D {spell(record['d_loss'])}"
    return words


def _curves(run: RunDirectory, log: Sequence[Record]) -> tuple[Chart, ...] | Missing:
    if not log:
        return Missing("The log has no line, so there are no curves.", (_further(run),))
    epochs = [float(record["epoch"]) for record in log]

    def course(key: str) -> list[float]:
        return [float(record[key]) for record in log]

    losses = [
        Curve("D", "discriminator", course("d_loss")),
        Curve("G", "generator", course("g_loss")),
    ]
    level, note = doctor.equilibrium(run.read_config()), ""
    values = [value for curve in losses for value in curve.values]
    if level is not None and not min(values) <= level <= max(values):
        level = None
    if level is not None:
        note = "Dashed across: the loss of a D that cannot tell."
    accuracies = [
        Curve("on real", "real", course("d_accuracy_real")),
        Curve("on fakes", "fake", course("d_accuracy_fake"), dashed=True),
    ]
    return (
        charts.draw("Loss", epochs, losses, level=level, note=note),
        charts.draw(
            "Accuracy of D",
            epochs,
            accuracies,
            share=True,
            level=0.5,
            note="Dashed across: D cannot tell.",
        ),
    )


def _quality(run: RunDirectory, judged: bool) -> tuple[Chart, ...] | Missing:
    """Return the course of the quick scores, and of what ``gancli evaluate --history`` found."""
    found: list[Chart] = []
    if scores := run.read_quality():
        best = min(scores, key=lambda record: float(record["score"]))
        name = spell_name(str(scores[0].get("figure", "score")))
        values = [float(record["score"]) for record in scores]
        note = f"Best at epoch {spell(best['epoch'])}: {spell(best['score'])}; lower is better."
        curve = Curve("fakes", "fake", values)
        epochs = [float(record["epoch"]) for record in scores]
        found.append(charts.draw(f"Quick score: {name}", epochs, [curve], log=True, note=note))
    if run.history_path.exists():
        with reading(run.history_path, run.command("evaluate", run.name, "--history")):
            history = parse_json(run.history_path.read_bytes())
            found += [
                _course(history["epochs"], figure)
                for figure in history["figures"]
                if not figure["name"].startswith("share_")
            ]
    if found:
        return tuple(found)
    again = ("--recipe", CONFIG, "--score-every", "1", "--name", f"{run.name}-scored")
    commands = [run.command("train", *again)]
    if checkpoints.snapshots(run.path) and judged:
        commands.insert(0, run.command("evaluate", run.name, "--history"))
    return Missing("The quality of this run was not followed over its epochs.", tuple(commands))


def _course(epochs: Sequence[float], figure: Record) -> Chart:
    count, real = len(epochs), ("real", "real_low", "real_high")
    middle, low, high = ([float(figure[key])] * count for key in real)
    return charts.draw(
        sentence_case(spell_name(figure["name"])),
        epochs,
        [
            Curve("real", "real", middle, low, high, dashed=True, dotted=False),
            Curve("fakes", "fake", figure["values"], figure["lows"], figure["highs"]),
        ],
        share=figure["unit"] == "share",
        log=figure["unit"] == "features^2",
        note=f"{sentence_case(_BEST[figure['better']])}; areas: 95 % intervals.",
    )


def _scores(run: RunDirectory, status: Record, judged: bool) -> ScoreCard | Missing:
    command = run.command("evaluate", run.name)
    if not run.scores_path.exists() and not judged:
        withheld = ("--set", "data.holdout=30", "--name", f"{run.name}-judged")
        return Missing(
            "There are no images to judge this run by; one that withholds some could be judged.",
            (run.command("train", "--recipe", CONFIG, *withheld),),
        )
    if not run.scores_path.exists():
        able = checkpoints.states(run.path)
        return Missing("This run was not evaluated.", (command if able else _further(run),))
    with reading(run.scores_path, command):
        card = parse_json(run.scores_path.read_bytes())
        rows = [_score(figure) for figure in card["figures"]]
        many = [figure["name"].startswith("share_") for figure in card["figures"]]
        words = f"{card['samples']:,} samples at step {card['step']:,}, with 95 % intervals"
        if card.get("judge"):
            words += f"; judge: {card['judge']}"
        stale = ""
        if card["step"] != status.get("step", 0):
            stale = (
                f"The run was trained further since, to step {status.get('step', 0):,}: {command}"
            )
        return ScoreCard(
            words,
            stale,
            tuple(row for row, is_share in zip(rows, many, strict=True) if not is_share),
            tuple(row for row, is_share in zip(rows, many, strict=True) if is_share),
        )


def _score(figure: Record) -> Score:
    share = figure["unit"] == "share"

    def spelled(*keys: str) -> list[str]:
        return [spell(float(figure[key]), share) for key in keys]

    value, low, high, real, real_low, real_high = spelled(
        "value", "low", "high", "real", "real_low", "real_high"
    )
    return Score(
        spell_name(str(figure["name"])),
        _BEST[figure["better"]],
        value,
        f"{low} to {high}",
        real,
        f"{real_low} to {real_high}",
        str(figure["protocol"]),
    )


def _trained(run: RunDirectory) -> Trained | Missing:
    try:
        return sampling.load(run.path)
    except CheckpointError as error:
        return Missing(f"There is no generator to draw samples with: {error}")


def _samples(run: RunDirectory, trained: Trained | Missing) -> tuple[Picture | Missing, str]:
    """Draw the samples of the first seeds; of a conditional run, a column a class."""
    if isinstance(trained, Missing):
        return trained, ""
    data, classes = trained.config.data, trained.generator.classes
    if data.is_points:
        seeds: Sequence[int] = range(_POINTS)
        words = f"the points of seeds 0 to {_POINTS - 1}; crosses: where they should be"
        columns = 1
    else:
        most = max(1, _WIDEST_GRID // (data.image_size + 2))
        columns = min(classes or _COLUMNS, 10, most)
        rows = min(_COLUMNS, most)
        pitch = classes or columns  # a seed's remainder is its class
        seeds = [row * pitch + column for row in range(rows) for column in range(columns)]
        words = f"{len(seeds)} samples, of seeds {seeds[0]} to {seeds[-1]}"
        words += "; a column a class" if classes else ""
    sheet = draw_sheet(trained.sample(seeds), data.source, columns)
    return _picture(sheet, f"samples of {run.name}: {words}"), words


def _neighbours(
    run: RunDirectory, config: RunConfig, trained: Trained | Missing
) -> Neighbours | Missing | None:
    """Find the training image nearest to each of a few samples."""
    if config.data.is_points or isinstance(trained, Missing):
        return None
    if config.data.source in DOWNLOADS and not catalogue.is_here(config.data.source):
        return Missing(
            f"The training images ({config.data.source}) are not on this machine; "
            "this command fetches them.",
            (run.command("evaluate", run.name),),
        )
    try:
        train = trained.training_images().images
    except DataError as error:
        return Missing(f"There are no training images to compare with: {error}")
    most = max(1, _WIDEST_GRID // (config.data.image_size + 2))
    seeds = range(min(_PAIRS, max(2, most**2 // 2)))
    samples = trained.sample(seeds)
    found = nearest_pixels(samples, train)
    pairs = [
        Neighbour(
            seed,
            f"{distance:.2f}",
            _picture(
                make_grid(torch.stack([sample, train[index]]).numpy(), 1),
                f"sample of seed {seed} above the training image nearest to it, "
                f"{distance:.2f} away",
            ),
        )
        for seed, sample, index, distance in zip(
            seeds, samples, found.indices.tolist(), found.distances.tolist(), strict=True
        )
    ]
    return Neighbours(tuple(pairs), len(train), _closest(run, trained))


def _closest(run: RunDirectory, trained: Trained) -> Picture | None:
    """Return what ``gancli evaluate`` drew of the same generator; None where it did not."""
    path = run.closest_path
    if not path.is_file() or read_metadata(path).get("step") != str(trained.step):
        return None
    alt = (
        "the fakes closest to training images, each above its nearest, and the same of real "
        "images that were not trained on"
    )
    return Picture(path.read_bytes(), *open_png(path).size, alt)


def _further(run: RunDirectory) -> str:
    """Return the command that trains a run on, or anew at its end, or says how it is doing."""
    status = run.status()
    if status is Status.TRAINING:
        return run.command("show", run.name)
    if status is Status.FINISHED:
        return run.command("train", "--recipe", CONFIG, "--name", f"{run.name}-again")
    if status is Status.FAILED:
        return run.command("doctor", run.name)
    return run.command("train", "--resume", run.name)
