"""gancli from Python: what the commands do, as functions. The commands are thin over these.

Importing this module is cheap; torch is imported by the functions that need it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from gancli import doctor, files, jobs, plots, recipes, runs
from gancli.config import DOWNLOADS, LARGEST_SEED, NAMED_SOURCES, RunConfig
from gancli.devices import has_nvidia_driver, pick_device
from gancli.errors import CheckpointError, ConfigError, DataError, did_you_mean
from gancli.observing import Observer
from gancli.placement import Outcome, Placement
from gancli.recipes import Recipe

if TYPE_CHECKING:
    from gancli import report
    from gancli.judging import Verdict
    from gancli.metrics import ScoreCard
    from gancli.pictures.film import Film
    from gancli.plots.compare import Comparison
    from gancli.sampling import Trained
    from gancli.scoring import History

DIGITS = range(10)
CLASSIFIERS = ("r3-dense", "cnn")
DEFAULT_SAMPLES = 64
_MOST_SAMPLES = 10_000_000
_STEPS_OF_A_WAY = 10
# Of tens of thousands of images, with labels 0 to 9.
_TEN_CLASSES = ("mnist", *DOWNLOADS)
WEIGHTS = ("last", "best")


def list_recipes() -> list[Recipe]:
    """Return every built-in recipe, in order of name."""
    return [recipes.read(name) for name in recipes.names()]


def describe(
    recipe: str | None = None,
    *,
    digit: int | None = None,
    seed: int | None = None,
    data: str | None = None,
    settings: Mapping[str, Any] | None = None,
    preview: bool = False,
    device: str = "cpu",
) -> RunConfig:
    """Return the config that a request amounts to, with ``auto`` where data or machine decide.

    Args:
        recipe: a name or a TOML file; None is the default for the data, for one class or for many
            (a folder of pictures that lie in no subfolders is one); of many for the device, too,
            where the data are named ones, of tens of thousands of images.
        digit: train on one class alone.
        seed: of everything random.
        data: a name of the catalogue, an IDX file or a folder.
        settings: dotted config keys and their values.
        preview: give it the length of the recipe's preview.
        device: where it is to be trained, as for :func:`train`.

    Raises:
        ConfigError: an unknown recipe or key, or a wrong value; no such device here.
        DataError: the data are a folder that cannot be read.
    """
    given = {"data.digit": digit, "training.seed": seed, "data.source": data}
    changes: dict[str, Any] = {
        **(settings or {}),
        **{key: value for key, value in given.items() if value is not None},
    }
    source = changes.get("data.source")
    if recipe is None:
        one_class = changes.get("data.digit") is not None or _lacks_classes(source)
        recipe = recipes.usual(source, one_class)
        large = source is None or source in _TEN_CLASSES  # own data may be fewer than its batches
        if recipe == recipes.MANY_CLASSES and large and _is_gpu(device):
            recipe = recipes.MANY_CLASSES_GPU
    found = recipes.read(recipe)
    if source is None and isinstance(table := found.table.get("data"), dict):
        source = table.get("source")
    if isinstance(source, str) and source not in NAMED_SOURCES:
        if not source.isprintable():
            raise ConfigError(f"--data {source!r}: the name has signs that no config can hold")
        # A path counts from where the command is given, and must mean the same from anywhere.
        changes["data.source"] = str(files.resolved(files.user_path(source)))
    if preview:
        for key in ("epochs", "steps"):
            if f"training.{key}" in changes:
                raise ConfigError(f"--preview and --{key} both give the length; give one of them")
        if "preview_epochs" not in found.table:
            raise ConfigError(f"--preview: recipe '{recipe}' has none; it is short enough as it is")
        changes["training.epochs"] = found.table["preview_epochs"]
    config = recipes.build(found, changes, f"recipe '{recipe}'")
    if config.data.source in _TEN_CLASSES and config.data.digit not in (None, *DIGITS):
        has = "MNIST has digits" if config.data.source == "mnist" else f"{config.data.source} has"
        raise ConfigError(f"--digit {config.data.digit} is out of range: {has} 0 to 9")
    return config


def _is_gpu(device: str) -> bool:
    """Tell whether a device is NVIDIA's, which networks made for two cores keep waiting."""
    return device in ("auto", "cuda") and has_nvidia_driver() and pick_device(device).type == "cuda"


def _lacks_classes(source: Any) -> bool:
    """Tell whether data are a folder of pictures without labels."""
    if not isinstance(source, str) or source in NAMED_SOURCES or not source.isprintable():
        return False
    folder = files.user_path(source)
    try:
        if not folder.is_dir():
            return False
    except OSError as error:
        raise DataError(f"cannot read {folder}: {error.strerror or error}") from error
    from gancli.data.folder import lacks_classes  # noqa: PLC0415 - imports torch

    return lacks_classes(folder)


def train(
    recipe: str | None = None,
    *,
    digit: int | None = None,
    seed: int | None = None,
    data: str | None = None,
    settings: Mapping[str, Any] | None = None,
    name: str | None = None,
    runs_dir: str | Path = runs.DEFAULT_RUNS_DIR,
    device: str = "auto",
    max_seconds: float | None = None,
    force: bool = False,
    on_failure: str = "warn",
    observer: Observer | None = None,
) -> Outcome:
    """Train a run, resume it where it stopped, or find it finished.

    Args:
        recipe: as for :func:`describe`, with ``digit``, ``seed``, ``data`` and ``settings``.
        digit: train on one class alone.
        seed: of everything random.
        data: what to learn.
        settings: dotted config keys and their values.
        name: the run's name; made of recipe, digit and seed by default.
        runs_dir: where runs lie.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        max_seconds: pause after this long.
        force: start an existing run afresh.
        on_failure: what to do once the log shows that the run fails: ``warn``, ``stop``, or
            ``reseed``: start again with the next seed, at most three times.
        observer: is told what happens.

    Raises:
        GancliError: of the kind that says what is wrong; see :mod:`gancli.errors`.
    """
    check_on_failure(on_failure)
    check_max_seconds(max_seconds)
    config = describe(recipe, digit=digit, seed=seed, data=data, settings=settings, device=device)
    run = runs.new_run(Path(runs_dir), name or runs.default_name(config))
    placement = Placement(run, device, max_seconds, force, on_failure=on_failure)
    job = jobs.Job(config, placement)
    return jobs.train_one(job, observer or Observer())


def check_max_seconds(seconds: float | None) -> None:
    """Refuse a limit that is none.

    Raises:
        ConfigError: it is no number above 0.
    """
    if seconds is not None and not (math.isfinite(seconds) and seconds > 0):
        raise ConfigError(f"--max-seconds {seconds} is out of range: it must be above 0")


def check_on_failure(word: str) -> None:
    """Refuse what ``--on-failure`` does not know.

    Raises:
        ConfigError: the word is none of :data:`gancli.jobs.ON_FAILURE`.
    """
    if word not in jobs.ON_FAILURE:
        raise ConfigError(
            f"--on-failure {word}: write {', '.join(jobs.ON_FAILURE)}"
            f"{did_you_mean(word, jobs.ON_FAILURE)}"
        )


def diagnose(
    name: str | None = None, *, runs_dir: str | Path = runs.DEFAULT_RUNS_DIR
) -> doctor.Diagnosis:
    """Say how a run went: what happened, when, on what evidence, and which setting to change.

    Args:
        name: a run's name or folder; None is the newest run.
        runs_dir: where runs are looked for by name.

    Raises:
        CheckpointError: there is no such run, or its log is damaged.
    """
    return doctor.examine(runs.find_run(name, Path(runs_dir)))


def load(
    name: str | Path | None = None,
    *,
    runs_dir: str | Path = runs.DEFAULT_RUNS_DIR,
    device: str = "auto",
    weights: str = "last",
) -> Trained:
    """Load a run's generator; see :func:`gancli.sampling.load`."""
    _check_weights(weights)
    if weights != "last" and str(name).endswith(".safetensors"):
        raise ConfigError(f"--weights {weights} is of a run, and {name} is one checkpoint; name it")
    from gancli import devices, sampling  # noqa: PLC0415 - imports torch

    place = str(devices.pick_device(device))
    return sampling.load(name, runs_dir=runs_dir, device=place, weights=weights)


def _pairs(
    pairs: tuple[int, int] | Sequence[tuple[int, int]],
) -> Sequence[tuple[int, int]]:
    """Return one pair as several."""
    alone = bool(pairs) and isinstance(pairs[0], int)
    return cast("Sequence[tuple[int, int]]", [pairs] if alone else pairs)


def _check_size(scale: int | None, dpi: int | None) -> None:
    for option, value, most in (("--scale", scale, 1_000), ("--dpi", dpi, 2_400)):
        if value is not None and not 1 <= value <= most:
            raise ConfigError(f"{option} {value} is out of range: it must be 1 to {most:,}")
    if scale is not None and dpi is not None:
        raise ConfigError("--scale and --dpi contradict each other; give one of them")


def _check_room(grid: tuple[int, int], count: int, row: int | None) -> None:
    """Refuse a grid without room for so many images, or for rows of so many, if they are to be."""
    if grid[0] * grid[1] > _MOST_SAMPLES:
        raise ConfigError(
            f"--grid {grid[0]}x{grid[1]} is too large: at most {_MOST_SAMPLES:,} samples are drawn"
        )
    if grid[0] * grid[1] < count:
        raise ConfigError(f"--grid {grid[0]}x{grid[1]} has no room for {count} samples")
    if row not in (None, grid[1]):
        raise ConfigError(
            f"--grid {grid[0]}x{grid[1]}: the {row} images between two seeds have a row of their "
            "own; leave --grid out"
        )


def _check_seeds(seeds: Sequence[int] | None) -> None:
    if seeds is not None and not seeds:
        raise ConfigError("--seeds names no seed")
    ends = (seeds[0], seeds[-1]) if isinstance(seeds, range) else seeds or ()
    for seed in ends:
        if not 0 <= seed <= LARGEST_SEED:
            raise ConfigError(f"seed {seed} is out of range: it must be 0 to {LARGEST_SEED}")


def _check_weights(word: str) -> None:
    if word not in WEIGHTS:
        raise ConfigError(
            f"--weights {word}: write {' or '.join(WEIGHTS)}{did_you_mean(word, WEIGHTS)}"
        )


@dataclasses.dataclass(frozen=True)
class Samples:
    """What :func:`sample` wrote.

    Attributes:
        path: the file, or the folder of single files.
        count: how many images.
        run: the run's name.
        step: how many steps its generator was trained.
        judged: whether there are real images to judge it by.
        folder: the run's; None of weights that lie in none.
    """

    path: Path
    count: int
    run: str
    step: int
    judged: bool
    folder: Path | None


def sample(
    name: str | Path | None = None,
    *,
    n: int | None = None,
    seeds: Sequence[int] | None = None,
    grid: tuple[int, int] | None = None,
    separate: bool = False,
    digit: int | None = None,
    truncation: float = 1.0,
    interpolate: tuple[int, int] | Sequence[tuple[int, int]] = (),
    real: bool = False,
    numbers: bool = False,
    labels: bool = False,
    with_real: bool = False,
    with_nearest: bool = False,
    light: bool = False,
    scale: int | None = None,
    dpi: int | None = None,
    out: str | Path | None = None,
    runs_dir: str | Path = runs.DEFAULT_RUNS_DIR,
    device: str = "auto",
    weights: str = "last",
) -> Samples:
    """Draw samples of a run into a grid, single files, NPZ or IDX.

    Args:
        name: a run or a checkpoint file; None is the newest run.
        n: how many; by default what the grid holds, or 64.
        seeds: which; by default 0 to n - 1. A seed always gives the same image.
        grid: rows and columns of the picture.
        separate: one PNG a seed in a folder.
        digit: the class to draw, of a conditional generator.
        truncation: latents are multiplied by this, 0 to 2.
        interpolate: draw ``n`` images on the way between two seeds instead, or a row of ``n`` for
            each of several such pairs.
        real: write real images that were not trained on instead; ``seeds`` are their numbers.
        numbers: write the seed under each image.
        labels: write run and epoch over all, the class over each column, the seeds beside each
            row of an interpolation.
        with_real: put as many real images that were not trained on beside them.
        with_nearest: put the training image nearest to each under it, with the distance (Euclidean,
            over pixels from 0 to 1).
        light: dark words on white paper.
        scale: pixels per pixel; by default 1 of a plain grid, and about 1100 in width with words.
        dpi: instead, for print: fine enough at 16 cm of width.
        out: where to; ``.png``, ``.svg``, ``.npz`` or ``.idx``, or a folder with ``separate``.
        runs_dir: where runs lie.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        weights: one of :data:`WEIGHTS`.

    Raises:
        GancliError: of the kind that says what is wrong.
    """
    if not (math.isfinite(truncation) and 0 <= truncation <= 2):
        raise ConfigError(f"--truncation {truncation} is out of range: it must be 0 to 2")
    if n is not None and not 1 <= n <= _MOST_SAMPLES:
        raise ConfigError(f"-n {n} is out of range: it must be 1 to {_MOST_SAMPLES:,}")
    if seeds is not None and n is not None and n != len(seeds):
        raise ConfigError(f"-n {n} contradicts --seeds, which are {len(seeds)}; give one of them")
    ways = _pairs(interpolate)
    _check_size(scale, dpi)
    if seeds is not None and ways:
        raise ConfigError("--interpolate takes its two seeds itself; leave --seeds out")
    if real and (ways or with_real or truncation != 1):
        raise ConfigError(
            "--real draws nothing; leave --interpolate, --truncation and --with-real out"
        )
    if grid is not None and min(grid) < 1:
        raise ConfigError(f"--grid {grid[0]}x{grid[1]} is out of range: give 1x1 or more")
    for some in (seeds, *ways):
        _check_seeds(some)
    from gancli import data, export  # noqa: PLC0415 - imports torch

    trained = load(name, runs_dir=runs_dir, device=device, weights=weights)
    held_out = export.real_images(trained, digit) if real else None
    classes = 0 if real else trained.generator.classes
    if grid is None and classes and digit is None and not ways and n is None:
        grid = (8, min(classes, 16)) if seeds is None else None
    usual = DEFAULT_SAMPLES if held_out is None else min(DEFAULT_SAMPLES, len(held_out))
    if ways:
        count = len(ways) * (n or _STEPS_OF_A_WAY)
    else:
        count = n or (grid[0] * grid[1] if grid else usual)
    if seeds is not None:
        count = len(seeds)
    if grid is not None:
        _check_room(grid, count, count // len(ways) if ways else None)
    wanted = export.Wanted(
        trained,
        seeds if seeds is not None else range(count),
        digit=digit,
        truncation=truncation,
        interpolate=ways,
        count=count,
        real=held_out,
        look=export.Look(numbers, labels, with_real, with_nearest, light, scale, dpi),
    )
    path = export.write(wanted, None if out is None else Path(out), separate, grid)
    judged = data.judges(trained.config.data)
    folder = None if trained.run is None else trained.run.path
    return Samples(path, wanted.count, trained.name, trained.step, judged, folder)


def runs_named(
    names: Sequence[str | Path | None],
    *,
    digits: bool = False,
    runs_dir: str | Path = runs.DEFAULT_RUNS_DIR,
) -> list[runs.RunDirectory]:
    """Return runs by name, None being the newest; or the ten of one recipe, a digit each.

    Raises:
        CheckpointError: one is not there.
        ConfigError: several names, for the digits of one recipe.
    """
    words = [None if name is None else str(name) for name in names or [None]]
    if not digits:
        return [runs.find_run(word, Path(runs_dir)) for word in words]
    if len(words) > 1:
        raise ConfigError("--digits takes one name, of a recipe or of one of its ten runs")
    return runs.find_digits(words[0], Path(runs_dir))


def animate(
    name: str | Path | Sequence[str | Path] | None = None,
    *,
    kind: str = "evolution",
    digits: bool = False,
    out: str | Path | Sequence[str | Path] = (),
    fps: float | None = None,
    seconds: float | None = None,
    scale: int | None = None,
    caption: bool = True,
    losses: bool = False,
    smooth: int = 0,
    hold: float | None = None,
    grid: tuple[int, int] | None = None,
    seeds: Sequence[int] | None = None,
    poster: str | Path | None = None,
    weights: str = "last",
    device: str = "auto",
    runs_dir: str | Path = runs.DEFAULT_RUNS_DIR,
    on_progress: Any = None,
) -> list[Film]:
    """Make films of a run, or of several side by side; see :mod:`gancli.films`.

    Args:
        name: a run, or several; None is the newest.
        kind: ``evolution`` (the frames of the training), ``walk`` (through latents), ``truncation``
            (latents grow and shrink) or ``morph`` (through the classes).
        digits: the ten runs of one recipe, a digit each; ``name`` is one of them or the recipe.
        out: the file, or several, or folders for PNGs; by default a GIF and an MP4 called after
            the kind, among the run's films, or in the current folder for several runs.
        fps: pictures a second; 10 of frames and 20 of what is drawn, or what ``seconds`` asks.
        seconds: how long the pictures take in all, without the hold.
        scale: pixels per pixel; by default the longer side comes to about 970, of several 1280.
        caption: write where each picture stands: epoch, losses, score; seed, truncation, classes.
        losses: draw the course of both losses under each frame.
        smooth: how many pictures fade each frame into the next.
        hold: seconds that the last picture stays; 1.5 of frames, 0 of what ends where it began.
        grid: rows and columns of images in each picture.
        seeds: of a walk the places it visits; of other drawn films the images.
        poster: a PNG of the first, the middle, the best (where scores were logged) and the last
            picture; of a film that ends where it began, of its quarters.
        weights: one of :data:`WEIGHTS`, of the generator that draws.
        device: that it draws on.
        runs_dir: where runs lie.
        on_progress: called with (pictures done, pictures in all).

    Raises:
        GancliError: of the kind that says what is wrong.
    """
    from gancli import films  # noqa: PLC0415 - keeps --help fast

    if kind not in films.KINDS:
        raise ConfigError(
            f"no kind of film is called '{kind}'{did_you_mean(kind, films.KINDS)} "
            f"(known: {', '.join(films.KINDS)})"
        )
    names = [name] if name is None or isinstance(name, str | Path) else list(name)
    found = runs_named(names, digits=digits, runs_dir=runs_dir)
    look = films.Look(f"{kind}-side-by-side" if len(found) > 1 else kind)
    if digits:
        heading = f"{found[0].read_config().recipe}: a GAN for each digit"
        look = films.Look(f"{kind}-of-ten-digits", heading, tuple(map(str, DIGITS)), columns=5)
    if films.KINDS[kind].drawn:
        from gancli import devices  # noqa: PLC0415 - imports torch

        device = str(devices.pick_device(device))
    _check_weights(weights)
    _check_seeds(seeds)
    return films.make(
        found,
        kind,
        [Path(path) for path in ([out] if isinstance(out, str | Path) else out)],
        fps=fps,
        seconds=seconds,
        scale=scale,
        caption=caption,
        losses=losses,
        smooth=smooth,
        hold_seconds=hold,
        grid=grid,
        seeds=seeds,
        poster=None if poster is None else Path(poster),
        weights=weights,
        device=device,
        on_progress=on_progress,
        look=look,
    )


def evaluate(
    name: str | Path | None = None,
    *,
    samples: int | None = None,
    seed: int = 0,
    runs_dir: str | Path = runs.DEFAULT_RUNS_DIR,
    device: str = "auto",
    judge: str | Path | None = None,
    quick: bool = False,
    weights: str = "last",
    cas: bool = False,
    on_progress: Any = None,
) -> ScoreCard:
    """Judge a run beside held-out real images, and write the scores into the run directory.

    Args:
        name: a run or a checkpoint file; None is the newest run.
        samples: how many images are drawn; by default as many as the figures of the data need.
        seed: of the bootstrap and of the choice of real images.
        runs_dir: where runs lie.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        judge: weights that :func:`judge` wrote; by default the judge of the data, if there is one.
        quick: only what the judge says and the Frechet distance in its features.
        weights: one of :data:`WEIGHTS`.
        cas: also train a classifier on fakes and one on real images, and test both: minutes.
        on_progress: called with (images done, images in all).

    Raises:
        GancliError: of the kind that says what is wrong.
    """
    from gancli import scoring  # noqa: PLC0415 - imports torch

    trained = load(name, runs_dir=runs_dir, device=device, weights=weights)
    return scoring.evaluate(
        trained,
        samples=samples,
        seed=seed,
        judge=None if judge is None else Path(judge),
        quick=quick,
        cas=cas,
        on_progress=on_progress,
    )


def history(
    name: str | Path | None = None,
    *,
    seed: int = 0,
    runs_dir: str | Path = runs.DEFAULT_RUNS_DIR,
    device: str = "auto",
    judge: str | Path | None = None,
    on_progress: Any = None,
) -> History:
    """Score every kept generator of a run, and write the course of the figures into its directory.

    Args:
        name: a run; None is the newest run.
        seed: of the samples and of the real images they are compared with.
        runs_dir: where runs lie.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        judge: as for :func:`evaluate`.
        on_progress: called with (generators done, generators in all).

    Raises:
        GancliError: of the kind that says what is wrong.
    """
    run = runs.find_run(None if name is None else str(name), Path(runs_dir))
    from gancli import devices, scoring  # noqa: PLC0415 - imports torch

    return scoring.history(
        run,
        seed=seed,
        device=str(devices.pick_device(device)),
        judge=None if judge is None else Path(judge),
        on_progress=on_progress,
    )


def judge(
    data: str | None = None,
    *,
    network: str = "r3-dense",
    folds: int | None = None,
    seed: int = 0,
    epochs: int | None = None,
    settings: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    on_epoch: Any = None,
) -> Verdict:
    """Train and test a classifier; a ``cnn`` is kept as judge; see :func:`gancli.judging.train`.

    Args:
        data: labelled data, as for :func:`describe`; None is MNIST.
        network: one of :data:`CLASSIFIERS`.
        folds: of a cross-validation; None for one split of 4 to 1.
        seed: of everything random.
        epochs: as many as usual for the network by default.
        settings: dotted config keys of the data, such as ``data.image_size``, and their values.
        out: where the judge is written; by default where :func:`evaluate` looks for it.
        on_epoch: called after each epoch with the fold and its curve so far.

    Raises:
        GancliError: of the kind that says what is wrong.
    """
    if network not in CLASSIFIERS:
        raise ConfigError(
            f"--network '{network}' is not one of {', '.join(CLASSIFIERS)}"
            f"{did_you_mean(network, CLASSIFIERS)}"
        )
    for key in settings or {}:
        if not key.startswith("data."):
            raise ConfigError(f"--set {key}: a judge is told of its data alone; leave it out")
    wanted = describe(data=data, settings=settings).data
    from gancli import judging  # noqa: PLC0415 - imports torch

    return judging.train(
        wanted,
        network=network,
        folds=folds,
        seed=seed,
        epochs=epochs,
        out=None if out is None else Path(out),
        on_epoch=on_epoch,
    )


def plot(
    subject: str | Path | None = None,
    *,
    what: str | None = None,
    out: str | Path | None = None,
    kind: str | None = None,
    runs_dir: str | Path = runs.DEFAULT_RUNS_DIR,
) -> plots.Drawn:
    """Draw the figures of a run into its folder, or a teaching figure; see :mod:`gancli.plots`.

    Args:
        subject: one of :data:`gancli.plots.TOPICS`, or a run; None is the newest run.
        what: one of :data:`gancli.plots.FIGURES`; None for all that the run has something for.
        out: the file; by default ``TOPIC.png`` here, or files among the run's plots.
        kind: ``png`` (the default) or ``svg``, of the default files.
        runs_dir: where runs lie.

    Raises:
        GancliError: of the kind that says what is wrong.
    """
    target = None if out is None else Path(out)
    suffix = f".{kind or 'png'}"
    if suffix not in plots.SUFFIXES:
        raise ConfigError(f"--format {kind}: figures are written as png and svg")
    if target is not None and kind is not None and target.suffix.lower() != suffix:
        raise ConfigError(f"--format {kind} contradicts --out {target}; give one of them")
    if subject in plots.TOPICS:
        if what is not None:
            raise ConfigError(f"--what {what} is for figures of a run, and {subject} is a topic")
        return plots.plot_topic(str(subject), target, suffix)
    try:
        run = runs.find_run(None if subject is None else str(subject), Path(runs_dir))
    except CheckpointError:
        if subject is None:
            raise
        known = [*plots.TOPICS, *(run.name for run in runs.list_runs(Path(runs_dir)))]
        raise CheckpointError(
            f"'{subject}' is neither a run in {runs_dir} nor a topic ({', '.join(plots.TOPICS)})"
            f"{did_you_mean(str(subject), known)}"
        ) from None
    return plots.plot_run(run, what, target, suffix)


def compare(
    names: Sequence[str | Path],
    *,
    out: str | Path = "compare.png",
    runs_dir: str | Path = runs.DEFAULT_RUNS_DIR,
) -> Comparison:
    """Draw samples and curves of several runs side by side, and tabulate their figures.

    Args:
        names: 2 to 12 runs, by name or folder.
        out: the picture, ``.png`` or ``.svg``.
        runs_dir: where runs lie.

    Raises:
        GancliError: of the kind that says what is wrong.
    """
    found = [runs.find_run(str(name), Path(runs_dir)) for name in names]
    return plots.compare_runs(found, Path(out))


def write_report(
    names: str | Path | Sequence[str | Path] | None = None,
    *,
    out: str | Path | None = None,
    runs_dir: str | Path = runs.DEFAULT_RUNS_DIR,
) -> report.Report:
    """Write one HTML file that shows a run, or several side by side; see :mod:`gancli.report`.

    Args:
        names: one run or 2 to 12, by name or folder; None is the newest.
        out: the file; by default ``report.html`` in the run's folder, or here for several.
        runs_dir: where runs lie.

    Raises:
        GancliError: of the kind that says what is wrong.
    """
    from gancli import report  # noqa: PLC0415 - no other command needs it

    given = [names] if names is None or isinstance(names, str | Path) else names
    found = [runs.find_run(None if n is None else str(n), Path(runs_dir)) for n in given]
    return report.write(found, None if out is None else Path(out))
