"""Everything that changes while a run trains, as one piece of data that can be saved."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn

from gancli import checkpoints
from gancli.config import RunConfig
from gancli.errors import CheckpointError
from gancli.networks import (
    Discriminator,
    Generator,
    build_discriminator,
    build_generator,
    place,
)
from gancli.training.closed_form import Chains, chains
from gancli.training.distributed import Team
from gancli.training.optimizers import Optimizer
from gancli.training.vectors import WeightVector

# What a step measures, in the order of the tensor it returns; the log averages over an interval.
STEP_FIGURES = (
    "d_loss",
    "g_loss",
    "d_accuracy_real",
    "d_accuracy_fake",
    "d_match_real",
    "d_match_fake",
    "d_logit_real",
    "d_logit_fake",
    "d_output_real",
    "d_output_fake",
    "d_gradient_norm",
    "g_gradient_norm",
)
# What only a step that looks closer measures.
LOOK_FIGURES = (
    "g_output_gradient_norm",
    "diversity_real",
    "diversity_fake",
    "saturation_real",
    "saturation_fake",
    "average_distance",
)
FIGURES = (*STEP_FIGURES, *LOOK_FIGURES)


@dataclasses.dataclass
class TrainState:
    """A training between two steps.

    Attributes:
        step: steps done.
        generator: what is trained.
        discriminator: its opponent.
        average: the moving average of the generator, or None without one.
        averaged: its weights, in the parts that the generator's are moved in.
        generator_optimizer: with its moments.
        discriminator_optimizer: with its moments.
        random: draws latents and penalty points.
        sums: float32 [len(FIGURES) + 2], figures summed since the last log line; how many steps
            that is, and how many of them looked closer.
        team: the processes that train it together.
        chains: both networks again, where they find their gradients without autograd.
    """

    step: int
    generator: Generator
    discriminator: Discriminator
    average: Generator | None
    averaged: list[Tensor]
    generator_optimizer: Optimizer
    discriminator_optimizer: Optimizer
    random: torch.Generator
    sums: Tensor
    team: Team = dataclasses.field(default_factory=Team)
    chains: Chains | None = None

    @property
    def shown(self) -> Generator:
        """The generator that frames and samples are drawn with."""
        return self.average or self.generator


def create(config: RunConfig, device: torch.device, *, autograd: bool = False) -> TrainState:
    """Return the state before the first step, which the config alone determines.

    Args:
        config: the run's, with nothing left to the data.
        device: where it is trained.
        autograd: find all gradients by autograd, which those written out are held to.

    Raises:
        ConfigError: a layer list does not fit.
    """
    torch.manual_seed(derived_seed(config.training.seed, "weights"))
    generator = build_generator(config)
    discriminator = build_discriminator(config)
    # From here on the global generator drives dropout alone.
    torch.manual_seed(derived_seed(config.training.seed, "dropout"))
    discriminator.half_precision = config.training.precision == "bf16"
    generator.half_precision = discriminator.half_precision and not config.generator.exact
    for network in (generator, discriminator):
        place(network, device)
    by_hand = None if autograd else chains(config, generator, discriminator)
    vectors = [None if chain is None else chain.vector for chain in by_hand or (None, None)]
    average: Generator | None = None
    averaged: list[Tensor] = []
    if config.generator.ema_half_life:
        average = copy.deepcopy(generator).eval().requires_grad_(False)
        averaged = (
            list(average.parameters()) if vectors[0] is None else [WeightVector(average).values]
        )
    return TrainState(
        0,
        generator,
        discriminator,
        average,
        averaged,
        Optimizer(generator, config.generator_optimizer, vectors[0]),
        Optimizer(discriminator, config.discriminator_optimizer, vectors[1]),
        torch.Generator(device).manual_seed(derived_seed(config.training.seed, "latents")),
        torch.zeros(len(FIGURES) + 2, device=device),
        chains=by_hand,
    )


def derived_seed(seed: int, purpose: str) -> int:
    """Return a seed for one purpose, so that no two random streams of a run are alike."""
    digest = hashlib.sha256(f"{purpose} {seed}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def to_tensors(state: TrainState) -> dict[str, Tensor]:
    """Return all of a state but its step as named tensors."""
    tensors = {
        **_named("generator.", state.generator),
        **_named("discriminator.", state.discriminator),
        **_moments("generator_optimizer.", state.generator_optimizer),
        **_moments("discriminator_optimizer.", state.discriminator_optimizer),
        "random.latents": state.random.get_state(),
        "random.dropout": torch.get_rng_state(),
        "log.sums": state.sums,
    }
    if state.average is not None:
        tensors |= _named("average.", state.average)
    if state.sums.device.type == "cuda":
        tensors["random.dropout_cuda"] = torch.cuda.get_rng_state(state.sums.device)
    return tensors


def restore(state: TrainState, checkpoint: checkpoints.Checkpoint) -> None:
    """Put a checkpoint into a fresh state of the same config.

    A state moved to another kind of device goes on with random numbers of its own: generators of
    different kinds cannot take each other's state.

    Raises:
        CheckpointError: a tensor is missing, extra, different or no number.
    """
    path, tensors = checkpoint.path, checkpoint.tensors
    networks: dict[str, nn.Module | None] = {
        "generator.": state.generator,
        "discriminator.": state.discriminator,
        "average.": state.average,
    }
    for prefix, network in networks.items():
        found = checkpoints.part(tensors, prefix)
        expected = {} if network is None else network.state_dict()
        checkpoints.check_tensors(expected, found, path)
        if network is not None:
            network.load_state_dict(found)
    for name in ("generator_optimizer.", "discriminator_optimizer."):
        _restore_moments(getattr(state, name[:-1]), checkpoints.part(tensors, name), path)
    randoms = checkpoints.part(tensors, "random.")
    cuda = randoms.pop("dropout_cuda", None)
    own = state.random.get_state()
    moved = "latents" in randoms and randoms["latents"].shape != own.shape
    expected = {"latents": randoms["latents"] if moved else own, "dropout": torch.get_rng_state()}
    checkpoints.check_tensors(expected, randoms, path)
    checkpoints.check_tensors({"sums": state.sums}, checkpoints.part(tensors, "log."), path)
    known = (*networks, "generator_optimizer.", "discriminator_optimizer.", "random.", "log.")
    strays = {name: value for name, value in tensors.items() if not name.startswith(known)}
    checkpoints.check_tensors({}, strays, path)
    checkpoints.check_finite(tensors, path)
    if moved:
        seed = checkpoint.config.training.seed
        state.random.manual_seed(derived_seed(seed, f"latents from step {checkpoint.step}"))
    else:
        _set_random(state.random, randoms["latents"], path)
    _set_random(torch.default_generator, randoms["dropout"], path)
    if cuda is not None and state.sums.device.type == "cuda":
        torch.cuda.set_rng_state(cuda, state.sums.device)
    state.sums.copy_(tensors["log.sums"])
    state.step = checkpoint.step


def share(state: TrainState, config: RunConfig) -> None:
    """Give the state of the team's first process to the others, which have a fresh one."""
    if state.team.size == 1:
        return
    tensors = {
        name: tensor.clone(memory_format=torch.contiguous_format)
        for name, tensor in to_tensors(state).items()
    }
    step = torch.tensor(state.step)
    state.team.share_([step, *tensors.values()])
    if state.team.rank:
        where = Path("what the first process sent")
        restore(
            state,
            checkpoints.Checkpoint(where, "state", int(step), 0.0, config, "", tensors),
        )


def _set_random(generator: torch.Generator, kept: Tensor, path: Path) -> None:
    try:
        generator.set_state(kept)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: it holds no state of a random generator") from error


def _named(prefix: str, network: nn.Module) -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in network.state_dict().items()}


def _moments(prefix: str, optimizer: Optimizer) -> dict[str, Tensor]:
    return {
        f"{prefix}{name}:{key}": value
        for key, row in optimizer.moments().items()
        for name, value in zip(optimizer.names, row, strict=True)
    }


def _restore_moments(optimizer: Optimizer, found: dict[str, Tensor], path: Path) -> None:
    expected = _moments("", optimizer)
    checkpoints.check_tensors(expected, found, path)
    for name, value in expected.items():
        value.copy_(found[name])
