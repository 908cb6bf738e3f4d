"""The whole description of a run as frozen data, in and out of TOML.

A :class:`RunConfig` is a run's identity: two runs with equal configs on one machine end bit for bit
alike. Where a run is written, on which device and for how long at a time is not in it. Nothing here
imports torch, so that a config is checked before anything slow begins.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import tomli_w

from gancli.errors import ConfigError, did_you_mean

Table = dict[str, Any]
Auto = Literal["auto"]

LOSSES = (
    "minimax",
    "non-saturating",
    "least-squares",
    "mean-squared-error",
    "hinge",
    "wasserstein",
    "relativistic",
)
OPTIMIZERS = ("sgd", "momentum", "nesterov", "adagrad", "adadelta", "rmsprop", "adam")
POINT_SOURCES = ("point", "ring8", "grid25")
DRAWN_SOURCES = ("true-image", "digits-10x10")
DOWNLOADS = ("emnist-digits", "fashion-mnist", "kmnist")
STACKED_SOURCE = "stacked-mnist"
NAMED_SOURCES = ("mnist", STACKED_SOURCE, *DOWNLOADS, *POINT_SOURCES, *DRAWN_SOURCES)
PIXEL_RANGES = {"signed": (-1.0, 1.0), "unit": (0.0, 1.0), "raw": (0.0, 255.0)}
LARGEST_SEED = 2**63 - 1
CALENDAR = ("record.frame_every", "record.log_every", "record.keep_every")
"""Keys that keep their ``auto`` in a run's config: its calendar follows from the run's length."""

DESCRIPTIVE = ("summary", "report", "preview_epochs", "minutes")
_MOST = 10**9


def _option(
    default: Any,
    meaning: str,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    above: float = -math.inf,
    choices: tuple[str, ...] = (),
) -> Any:
    """Declare a key with its default, its meaning and the values it may take.

    ``low`` and ``high`` belong to the range, ``above`` does not.
    """
    metadata = {"meaning": meaning, "low": low, "high": high, "above": above, "choices": choices}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """What is learned."""

    source: str = _option("mnist", "a name of the catalogue, an IDX file or a folder")
    digit: int | None = _option(None, "train on one class alone", low=0, high=999_999)
    conditional: bool | Auto = _option(
        "auto", "give both networks the label; auto: if there are, but not of stacked-mnist"
    )
    classes: int | Auto = _option("auto", "how many classes the labels have", low=0, high=1_000_000)
    image_size: int = _option(28, "height and width in pixels", low=4, high=256)
    channels: int = _option(1, "1 for grey, 3 for colour", low=1, high=3)
    pixel_range: str = _option(
        "signed",
        "what the networks see: [-1, 1], [0, 1] or [0, 255]",
        choices=tuple(PIXEL_RANGES),
    )
    holdout: int = _option(0, "withhold this many training images to judge by", low=0, high=_MOST)
    elastic: float | Auto = _option(
        0.0,
        "training images are bent at random whenever they are shown, at nine points, by this share "
        "of their width (standard deviation); auto: by 0.02 to 0.05 where there are 2,000 or "
        "fewer, shown so often that they would be learned by heart",
        low=0,
        high=0.5,
    )

    @property
    def is_points(self) -> bool:
        """Whether the samples are points in the plane, not images."""
        return self.source in POINT_SOURCES

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of one sample: (2,) of a point, (channels, height, width) of an image."""
        if self.is_points:
            return (2,)
        return self.channels, self.image_size, self.image_size


@dataclasses.dataclass(frozen=True)
class LatentConfig:
    """What the generator starts from."""

    size: int = _option(64, "how many numbers", low=1, high=65536)
    law: str = _option(
        "normal", "standard normal, or uniform in [-1, 1]", choices=("normal", "uniform")
    )


@dataclasses.dataclass(frozen=True)
class GeneratorConfig:
    """The network that draws."""

    layers: tuple[str, ...] = _option((), "layer list, from latent to image")
    init: str = _option("default", "law of the first weights: default, he, xavier, or normal STD")
    class_embedding: int = _option(16, "numbers a class adds to the latent", low=1, high=4096)
    ema_half_life: float = _option(
        0.0, "steps after which a weight counts half in the average; 0: no averaging", low=0
    )
    exact: bool = _option(False, "it draws in 32 bits, whatever training.precision says")


@dataclasses.dataclass(frozen=True)
class DiscriminatorConfig:
    """The network that tells real from fake; it ends in one logit."""

    layers: tuple[str, ...] = _option((), "layer list, from image to one logit")
    init: str = _option("default", "law of the first weights: default, he, xavier, or normal STD")
    input_noise: float = _option(
        0.0, "spread of noise on all that D sees; falls to 0 over the run", low=0, high=1e3
    )
    shift: float | Auto = _option(
        0.0,
        "all that D sees is moved at random, by up to this share of an image's width; auto: by a "
        "tenth where images are shown so often that D would learn them by heart, and by half of "
        "that where they are bent besides",
        low=0,
        high=0.5,
    )


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """What the two networks minimise."""

    name: str = _option("non-saturating", "the adversarial loss", choices=LOSSES)
    real_labels: tuple[float, ...] = _option(
        (1.0, 1.0), "cross-entropy: real labels are drawn from this range", low=0, high=2
    )
    fake_labels: tuple[float, ...] = _option(
        (0.0, 0.0), "cross-entropy: fake labels are drawn from this range", low=0, high=2
    )
    r1: float = _option(0.0, "weight gamma of gamma/2 |grad D|^2 on real images", low=0)
    r2: float = _option(0.0, "weight gamma of gamma/2 |grad D|^2 on fakes", low=0)
    penalty_final: float = _option(
        1.0,
        "r1 and r2 fall to this fraction of themselves over the run, on a cosine",
        low=0,
        high=1,
    )
    gradient_penalty: float = _option(
        0.0, "weight of (|grad D| - 1)^2 between real and fake", low=0
    )

    @property
    def smoothed(self) -> bool:
        """Whether labels are drawn that are not simply 1 and 0."""
        return self.real_labels != (1.0, 1.0) or self.fake_labels != (0.0, 0.0)


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """How one network's weights move."""

    name: str = _option("adam", "the rule", choices=OPTIMIZERS)
    lr: float = _option(1e-3, "learning rate at the start", above=0, high=1e3)
    lr_final: float | None = _option(
        None, "learning rate at the end, on a cosine; left out: constant", low=0, high=1e3
    )
    warmup_steps: int = _option(
        0,
        "steps in which the learning rate rises to its own, in a straight line",
        low=0,
        high=_MOST,
    )
    beta1: float = _option(0.5, "Adam: memory of the gradient", low=0, high=0.999999)
    beta2: float = _option(0.99, "Adam: memory of its square", low=0, high=0.999999)
    momentum: float = _option(
        0.9, "momentum and Nesterov: memory of the gradient", low=0, high=0.999999
    )
    weight_decay: float = _option(0.0, "weight of the L2 penalty on the weights", low=0, high=1e3)


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How long, in what portions, and from which seed."""

    batch_size: int = _option(64, "real images a step", low=1, high=1_000_000)
    epochs: float | None = _option(None, "length in passes over the images", above=0, high=1e7)
    steps: int | None = _option(None, "length in steps", low=1, high=_MOST)
    images_per_epoch: int | None = _option(
        None, "an epoch is this many images drawn at random; left out: all", low=1, high=_MOST
    )
    d_steps: int = _option(1, "updates of D for each update of G", low=1, high=100)
    reuse_fakes: bool = _option(True, "G learns from the fakes that D has just seen")
    generator_batch_size: int | None = _option(
        None,
        "fakes of its own that G learns from; left out: as many as real images",
        low=1,
        high=1_000_000,
    )
    simultaneous: bool = _option(
        False, "both networks learn from the same answers of D; otherwise D learns, then G"
    )
    unrolled_steps: int = _option(
        0, "updates of D that G looks ahead (unrolled GAN)", low=0, high=20
    )
    threads: int | Auto | Literal["adaptive"] = _option(
        "auto",
        "CPU threads; auto: tried out before the first step; adaptive: again while training, and "
        "the run is not exact",
        low=1,
        high=1024,
    )
    precision: str = _option(
        "fp32",
        "numbers of 32 bits, or of 16 where networks multiply while they learn; auto: tried out",
        choices=("fp32", "bf16", "auto"),
    )
    seed: int = _option(0, "of weights, latents, data order", low=0, high=LARGEST_SEED)


@dataclasses.dataclass(frozen=True)
class RecordConfig:
    """What a run writes down while it trains."""

    frame_every: float | Auto = _option(
        1.0,
        "epochs from frame to frame; auto: 1, or so many that a long run draws about 60",
        low=1e-3,
        high=1e7,
    )
    frame_rows: int = _option(8, "rows of samples in a frame", low=1, high=64)
    frame_columns: int | Auto = _option(
        "auto", "samples in a row; auto: 8, or one a class", low=1, high=64
    )
    log_every: float | Auto = _option(
        1.0, "epochs from log line to log line; auto: as of frames", above=0, high=1e7
    )
    keep_every: float | Auto = _option(
        "auto", "epochs between kept generators; auto: about 20 a run", above=0, high=1e7
    )
    score_every: float | None = _option(
        None, "epochs from quick score to quick score; left out: none", low=1e-3, high=1e7
    )
    patience: int | None = _option(
        None,
        "scores in a row without a new best that end the training; left out: none do",
        low=1,
        high=_MOST,
    )
    checkpoint_every_seconds: float = _option(
        10.0, "a crash loses at most this much; 0: save after every step", low=0, high=86400
    )


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """A run, whole. Every part has defaults but the two layer lists and the length."""

    recipe: str = _option("", "the recipe's name")
    summary: str = _option("", "its idea in a few words")
    report: str = _option("", "the report it comes from")
    preview_epochs: float | None = _option(
        None, "length of `--preview`: at most four minutes on two cores", above=0, high=1e7
    )
    minutes: float | None = _option(
        None, "about how long its own length takes on two cores, in 32 bits", above=0, high=1e7
    )
    data: DataConfig = DataConfig()
    latent: LatentConfig = LatentConfig()
    generator: GeneratorConfig = GeneratorConfig()
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    loss: LossConfig = LossConfig()
    generator_optimizer: OptimizerConfig = OptimizerConfig()
    discriminator_optimizer: OptimizerConfig = OptimizerConfig()
    training: TrainingConfig = TrainingConfig()
    record: RecordConfig = RecordConfig()

    def to_table(self) -> Table:
        """Return nested plain data without the keys that are None."""
        return without_none(dataclasses.asdict(self))

    def to_toml(self) -> str:
        """Return TOML that :func:`from_toml` turns into an equal config."""
        return tomli_w.dumps(self.to_table(), multiline_strings=False)


def from_table(table: Mapping[str, Any], where: str = "config") -> RunConfig:
    """Check nested plain data and return it as a config.

    Args:
        table: as from TOML.
        where: what the data is, for error messages (a file name).

    Raises:
        ConfigError: an unknown key (the nearest is named), a wrong type, a value out of range,
            or values that contradict each other.
    """
    config: RunConfig = _parse(RunConfig, table, where, "")
    _check_together(config, where)
    return config


def read_toml(path: Path) -> Table:
    """Read a TOML file into plain data.

    Raises:
        ConfigError: the file is missing, a folder, not UTF-8 or not TOML; names the line.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}, line {line}: not UTF-8 text; save the file as UTF-8") from error
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:  # a zero byte in the name
        raise ConfigError(f"cannot read {str(path)!r}: {error}") from error
    return parse_toml(text, str(path))


def parse_toml(text: str, where: str) -> Table:
    """Parse TOML text into plain data; errors as :func:`read_toml`."""
    try:
        return tomllib.loads(text)
    except ValueError as error:  # TOMLDecodeError, or a number of thousands of digits
        raise ConfigError(f"{where}: not valid TOML: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{where}: nested too deeply to be a config") from error


def parse_assignment(text: str) -> tuple[str, Any]:
    """Split ``key=value`` of ``--set``; the value is TOML, a number like ``.5``, or a bare word.

    Raises:
        ConfigError: there is no ``=``, or the key is no known one.
    """
    key, equals, value = text.partition("=")
    key, value = key.strip(), value.strip()
    if not equals or not key:
        raise ConfigError(f"--set '{text}': write key=value, as in --set training.batch_size=32")
    known = known_keys()
    if key not in known:
        raise ConfigError(f"--set: unknown key '{key}'{did_you_mean(key, known)}")
    if re.fullmatch(r"\.[0-9]+", value):
        return key, float(value)
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except (ValueError, RecursionError, KeyError):
        return key, value


@functools.cache
def known_keys() -> dict[str, str]:
    """Return every dotted key with its meaning."""
    keys = {}
    for part in dataclasses.fields(RunConfig):
        if dataclasses.is_dataclass(part.default):
            for field in dataclasses.fields(part.default):
                keys[f"{part.name}.{field.name}"] = field.metadata["meaning"]
        else:
            keys[part.name] = part.metadata["meaning"]
    return keys


def set_key(table: Table, key: str, value: Any) -> None:
    """Set a dotted key in nested plain data, in place."""
    *parents, last = key.split(".")
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise ConfigError(f"'{parent}' is a table, not {_shown(table)}")
    table[last] = value


def differences(ours: RunConfig, theirs: RunConfig) -> dict[str, tuple[Any, Any]]:
    """Return the dotted keys in which a run, and what is asked of it, differ, with both values.

    What is asked as ``auto`` differs from nothing, and nothing from what the run has yet to settle.
    """
    mine, other = _flat(ours.to_table()), _flat(theirs.to_table())

    def differ(key: str) -> bool:
        old, new = mine.get(key), other.get(key)
        return new not in (old, "auto") and (old != "auto" or key in CALENDAR)

    return {
        key: (mine.get(key), other.get(key))
        for key in known_keys()
        if key not in DESCRIPTIVE and differ(key)
    }


def _flat(table: Table) -> Table:
    flat = {}
    for key, value in table.items():
        if isinstance(value, dict):
            flat.update({f"{key}.{inner}": entry for inner, entry in value.items()})
        else:
            flat[key] = value
    return flat


def without_none(table: Mapping[str, Any]) -> Table:
    """Return nested plain data without the keys that are None."""
    return {
        key: without_none(value) if isinstance(value, Mapping) else value
        for key, value in table.items()
        if value is not None
    }


def _parse(kind: type, table: Any, where: str, prefix: str) -> Any:
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where}: '{prefix[:-1]}' is a table, not {_shown(table)}")
    fields = {field.name: field for field in dataclasses.fields(kind)}
    hints = _hints(kind)
    values = {}
    for key, value in table.items():
        if key not in fields:
            near = did_you_mean(key, fields) or did_you_mean(key, known_keys())
            raise ConfigError(f"{where}: unknown key '{prefix}{key}'{near}")
        hint = hints[key]
        if dataclasses.is_dataclass(hint):
            assert isinstance(hint, type)
            values[key] = _parse(hint, value, where, f"{prefix}{key}.")
        else:
            typed = _typed(value, hint, f"{where}: {prefix}{key}")
            _check_range(typed, fields[key].metadata, f"{where}: {prefix}{key}")
            values[key] = typed
    return kind(**values)


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _typed(value: Any, hint: Any, where: str) -> Any:
    """Return the value as the type that the key declares; whole numbers pass as floats."""
    union = typing.get_origin(hint) in (types.UnionType, typing.Union)
    options = typing.get_args(hint) if union else (hint,)
    for option in options:
        if typing.get_origin(option) is Literal:
            if value in typing.get_args(option):
                return value
        elif option == tuple[str, ...]:
            if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
                for item in value:
                    _check_text(item, where)
                return tuple(value)
        elif option == tuple[float, ...]:
            if isinstance(value, list | tuple) and all(
                type(item) in (int, float) for item in value
            ):
                return tuple(map(_as_float, value))
        elif option is float and isinstance(value, int) and not isinstance(value, bool):
            return _as_float(value)
        elif type(value) is option:
            if isinstance(value, str):
                _check_text(value, where)
            return value
    raise ConfigError(f"{where} must be {_type_name(options)}, not {_shown(value)}")


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf  # out of every range, as it should be


def _check_text(text: str, where: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"{where} = {text!r} has bytes that are not UTF-8; spell it so"
        ) from error


def _type_name(options: tuple[Any, ...]) -> str:
    names = {
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        str: "a text",
        tuple[str, ...]: "a list of texts",
        tuple[float, ...]: "a list of numbers",
    }
    words = [
        f"'{typing.get_args(option)[0]}'" if typing.get_origin(option) is Literal else names[option]
        for option in options
        if option is not types.NoneType
    ]
    return " or ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python spells no whole number of more than 4,300 digits
        text = "a number of thousands of digits"
    return text if len(text) <= 40 else f"{text[:37]}..."


def _check_range(value: Any, rules: Mapping[str, Any], where: str) -> None:
    if isinstance(value, str) and rules["choices"] and value not in rules["choices"]:
        raise ConfigError(
            f"{where} = '{value}' is not one of {', '.join(rules['choices'])}"
            f"{did_you_mean(value, rules['choices'])}"
        )
    if isinstance(value, tuple):
        for entry in value:
            _check_range(entry, rules, where)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    low, high, above = rules["low"], rules["high"], rules["above"]
    finite = isinstance(value, int) or math.isfinite(value)
    if not (finite and low <= value <= high and value > above):
        least = f"above {above:g}" if above > -math.inf else f"at least {low:g}"
        most = f" and at most {high:g}" if high < math.inf else ""
        raise ConfigError(f"{where} = {_shown(value)} is out of range: it must be {least}{most}")


def _check_together(config: RunConfig, where: str) -> None:
    """Check what no single key can tell."""
    training, data = config.training, config.data
    if (training.epochs is None) == (training.steps is None):
        much = "which is not given" if training.epochs is None else "not both"
        raise ConfigError(
            f"{where}: give the length as training.epochs (--epochs) or training.steps (--steps), "
            f"{much}"
        )
    for part in ("generator", "discriminator"):
        if not getattr(config, part).layers:
            raise ConfigError(f"{where}: {part}.layers is missing; a recipe lists its layers there")
    if data.channels == 2:
        raise ConfigError(f"{where}: data.channels = 2: images have 1 channel (grey) or 3 (colour)")
    if data.digit is not None and data.conditional is True:
        raise ConfigError(
            f"{where}: data.conditional needs more than one class, and data.digit leaves one"
        )
    if config.record.patience is not None and config.record.score_every is None:
        raise ConfigError(
            f"{where}: record.patience waits for scores, and there are none; set "
            "record.score_every (--score-every)"
        )
    for what, amount in (
        ("discriminator.shift moves", config.discriminator.shift),
        ("data.elastic bends", data.elastic),
    ):
        if amount not in (0.0, "auto") and data.is_points:
            raise ConfigError(f"{where}: {what} images, and {data.source} has points; leave it out")
    if data.source == STACKED_SOURCE:
        _check_stacked(data, where)
    _check_labels(config.loss, where)
    _check_generator_step(config, where)
    if training.images_per_epoch is not None and training.images_per_epoch < training.batch_size:
        raise ConfigError(
            f"{where}: training.images_per_epoch = {training.images_per_epoch} is smaller than "
            f"training.batch_size = {training.batch_size}"
        )


def _check_stacked(data: DataConfig, where: str) -> None:
    if data.channels != 3:
        raise ConfigError(
            f"{where}: data.channels = {data.channels}: {STACKED_SOURCE} has a digit in each of 3; "
            "set data.channels = 3"
        )
    if data.digit is not None:
        raise ConfigError(
            f"{where}: data.digit (--digit) leaves one of the 1,000 modes of {STACKED_SOURCE}, "
            "which are there to be covered; leave it out"
        )


def _check_generator_step(config: RunConfig, where: str) -> None:
    training, loss = config.training, config.loss
    if training.generator_batch_size is not None and loss.name == "relativistic":
        raise ConfigError(
            f"{where}: training.generator_batch_size does not go with loss.name = 'relativistic', "
            "which sets each fake against a real image; leave it out, or take another loss"
        )
    if training.simultaneous:
        for key, differs in (
            ("d_steps", training.d_steps > 1),
            ("reuse_fakes", not training.reuse_fakes),
            ("generator_batch_size", training.generator_batch_size is not None),
            ("unrolled_steps", training.unrolled_steps > 0),
        ):
            if differs:
                raise ConfigError(
                    f"{where}: training.simultaneous lets both networks learn from one look of D "
                    f"at one batch, without training.{key}; set one of the two back"
                )
    if not training.unrolled_steps:
        return
    if loss.name == "relativistic":
        raise ConfigError(
            f"{where}: training.unrolled_steps does not go with loss.name = 'relativistic'; "
            "set it to 0, or take another loss"
        )
    for key, value, plain in (
        ("real_labels", loss.real_labels, (1.0, 1.0)),
        ("fake_labels", loss.fake_labels, (0.0, 0.0)),
        ("r1", loss.r1, 0),
        ("r2", loss.r2, 0),
        ("gradient_penalty", loss.gradient_penalty, 0),
    ):
        if value != plain:
            raise ConfigError(
                f"{where}: training.unrolled_steps looks ahead by the plain loss, without "
                f"loss.{key}; set one of the two back"
            )


def _check_labels(loss: LossConfig, where: str) -> None:
    for key, labels, plain in (
        ("loss.real_labels", loss.real_labels, (1.0, 1.0)),
        ("loss.fake_labels", loss.fake_labels, (0.0, 0.0)),
    ):
        if len(labels) != 2 or labels[0] > labels[1]:
            raise ConfigError(
                f"{where}: {key} = {list(labels)}: give the ends of a range: [0.7, 1.2]"
            )
        if labels != plain and loss.name not in ("minimax", "non-saturating"):
            raise ConfigError(
                f"{where}: {key} needs the cross-entropy of loss.name minimax or non-saturating"
            )
