"""From a config as it was asked for to one that holds all it takes, checked against its data."""

from __future__ import annotations

import dataclasses

import torch

from gancli import data, ranks
from gancli.config import STACKED_SOURCE, RunConfig
from gancli.cores import thread_counts
from gancli.data import DataSplits, ImageSet
from gancli.devices import multiplies_16_bits
from gancli.errors import ConfigError, memory_advice
from gancli.networks import build_discriminator, build_generator, mixing_layer
from gancli.quality import reals
from gancli.training import distributed
from gancli.training.plan import Plan
from gancli.training.trial import Way, fastest_way

# D comes to know images by heart that it is shown often, and G to draw copies of them: 6,000 images
# shown 320 times, and 500 shown 384 times. Shown 32 times they are not; this lies between.
_MANY_PASSES = 75
_SHIFT = 0.1
# Of so few, moving them alone does not make enough; bent as well, they need half of it. How far
# they are bent goes with the cube root of how often they are shown. By withheld images 0.03 was
# right for 500 shown 294 times; for 1,500 shown 98 times 0.017 was little and 0.03 much, for 200
# shown 736 times 0.03 little and 0.047 much. The default shows 2,000 of them 74 times.
_FEW_IMAGES, _FEW_PASSES = 2_000, 50
_ELASTIC, _MOST_ELASTIC = 0.0045, 0.05


def resolve(
    config: RunConfig, classes: int, threads_if_auto: int | None = None, images: int = 60_000
) -> RunConfig:
    """Replace every ``auto`` that the data decide; of threads, if it is known what it comes to.

    Args:
        config: as it was asked for.
        classes: how many the data have.
        threads_if_auto: what is already known of it.
        images: how many there are to learn from.

    Raises:
        ConfigError: labels are asked for where there are none, or go with another key badly; a
            batch is larger than the data.
    """
    conditional = config.data.conditional
    able = classes > 1 and config.data.digit is None
    if conditional is True and not able:
        raise ConfigError(
            f"data.conditional = true needs labels of two classes or more, and "
            f"{config.data.source} has {classes}"
        )
    if conditional == "auto":
        # Whether a network covers a thousand modes is no question once it is told which to draw.
        conditional = able and config.data.source != STACKED_SOURCE
    if conditional and config.training.generator_batch_size is not None:
        raise ConfigError(
            "training.generator_batch_size does not go with labels, of which a batch has one for "
            "each real image; leave it out, or learn without: --set data.conditional=false"
        )
    columns, threads = config.record.frame_columns, config.training.threads
    shift, elastic = config.discriminator.shift, config.data.elastic
    if "auto" in (shift, elastic):
        plan = Plan.of(config, images)
        passes = plan.total_steps * plan.images_per_step / images
        few = images <= _FEW_IMAGES
        often = passes > (_FEW_PASSES if few else _MANY_PASSES) and not config.data.is_points
        if elastic == "auto":
            bent = min(_MOST_ELASTIC, round(_ELASTIC * passes ** (1 / 3), 3))
            elastic = bent if often and few else 0.0
        if shift == "auto":
            shift = (_SHIFT / 2 if elastic else _SHIFT) if often else 0.0
    return dataclasses.replace(
        config,
        discriminator=dataclasses.replace(config.discriminator, shift=shift),
        data=dataclasses.replace(
            config.data, conditional=conditional, classes=classes, elastic=elastic
        ),
        training=dataclasses.replace(
            config.training,
            threads=(threads_if_auto or "auto") if threads == "auto" else threads,
        ),
        record=dataclasses.replace(
            config.record,
            frame_columns=(min(classes, 16) if conditional else 8)
            if columns == "auto"
            else columns,
        ),
    )


def prepare(
    config: RunConfig, threads_if_auto: int | None = None
) -> tuple[RunConfig, DataSplits, Plan]:
    """Resolve a config and check all of it that needs data and networks, without a step.

    Returns:
        The resolved config, the data and the calendar.

    Raises:
        ConfigError: layers or lengths do not fit.
        DataError: the data cannot be read.
    """
    with memory_advice("use a smaller data set or image_size"):
        splits = data.load_for(config.data)
    config = resolve(config, splits.classes, threads_if_auto, len(splits.train))
    plan = Plan.of(config, len(splits.train))
    with torch.device("meta"):
        networks = build_generator(config), build_discriminator(config)
    for key, network in zip(("generator", "discriminator"), networks, strict=True):
        if next(network.parameters(), None) is None:
            raise ConfigError(
                f"{key}.layers: none of them has weights to learn; add 'dense' or 'conv'"
            )
    mixing = next(filter(None, map(mixing_layer, networks)), None)
    for key in ("batch_size", "generator_batch_size"):
        if mixing and getattr(config.training, key) == 1:
            raise ConfigError(
                f"training.{key} = 1: '{mixing}' needs two images or more to compare; raise it, or "
                "take the layer out"
            )
    distributed.check_shares(config, mixing, ranks.here().size)
    if plan.score_steps is not None and not config.data.is_points and len(reals(splits)) < 2:
        raise ConfigError("record.score_every needs two real images or more to compare with")
    return config, splits, plan


def with_way(config: RunConfig, images: ImageSet, plan: Plan, device: torch.device) -> RunConfig:
    """Set torch's thread count; that and the precision are tried out where nobody has said them."""
    training = config.training
    # An accelerator does the work, and a thread feeds it.
    counts = thread_counts() if device.type == "cpu" else [1]
    threads = [training.threads] if isinstance(training.threads, int) else counts
    precisions = [training.precision]
    if training.precision == "auto":
        precisions = ["fp32", "bf16"] if multiplies_16_bits(device) else ["fp32"]
    # Fewer bits have to gain over 32 on any number of threads, not over as many alone.
    ways = [Way(count, precision) for precision in precisions for count in threads]
    found = fastest_way(config, images, plan, device, ways)
    torch.set_num_threads(found.threads)
    kept = training.threads if training.threads == "adaptive" else found.threads
    training = dataclasses.replace(training, threads=kept, precision=found.precision)
    return dataclasses.replace(config, training=training)
