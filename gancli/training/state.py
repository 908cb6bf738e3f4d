"""Everything that changes while a run trains, as one piece of data that can be saved."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn

from gancli import checkpoints
from gancli.config import OptimizerConfig, RunConfig
from gancli.errors import CheckpointError
from gancli.networks import (
    Discriminator,
    Generator,
    build_discriminator,
    build_generator,
    place,
)

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


# What each rule remembers of every weight.
_MOMENTS = {
    "sgd": (),
    "momentum": ("momentum_buffer",),
    "nesterov": ("momentum_buffer",),
    "adagrad": ("sum", "step"),
    "adadelta": ("square_avg", "acc_delta", "step"),
    "rmsprop": ("square_avg", "step"),
    "adam": ("exp_avg", "exp_avg_sq", "step"),
}


@dataclasses.dataclass
class TrainState:
    """A training between two steps.

    Attributes:
        step: steps done.
        generator: what is trained.
        discriminator: its opponent.
        average: the moving average of the generator, or None without one.
        generator_optimizer: with its moments.
        discriminator_optimizer: with its moments.
        random: draws latents and penalty points.
        sums: float32 [len(FIGURES) + 2], figures summed since the last log line; how many steps
            that is, and how many of them looked closer.
    """

    step: int
    generator: Generator
    discriminator: Discriminator
    average: Generator | None
    generator_optimizer: torch.optim.Optimizer
    discriminator_optimizer: torch.optim.Optimizer
    random: torch.Generator
    sums: Tensor

    @property
    def shown(self) -> Generator:
        """The generator that frames and samples are drawn with."""
        return self.average or self.generator


def create(config: RunConfig, device: torch.device) -> TrainState:
    """Return the state before the first step, which the config alone determines.

    Raises:
        ConfigError: a layer list does not fit.
    """
    torch.manual_seed(derived_seed(config.training.seed, "weights"))
    generator = build_generator(config)
    discriminator = build_discriminator(config)
    # From here on the global generator drives dropout alone.
    torch.manual_seed(derived_seed(config.training.seed, "dropout"))
    for network in (generator, discriminator):
        place(network, device)
    average = None
    if config.generator.ema_half_life:
        average = copy.deepcopy(generator).eval().requires_grad_(False)
    return TrainState(
        0,
        generator,
        discriminator,
        average,
        _optimizer(generator, config.generator_optimizer),
        _optimizer(discriminator, config.discriminator_optimizer),
        torch.Generator(device).manual_seed(derived_seed(config.training.seed, "latents")),
        torch.zeros(len(FIGURES) + 2, device=device),
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
        **_moments("generator_optimizer.", state.generator_optimizer, state.generator),
        **_moments("discriminator_optimizer.", state.discriminator_optimizer, state.discriminator),
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
    _restore_moments(
        state.generator_optimizer,
        checkpoint.config.generator_optimizer.name,
        state.generator,
        checkpoints.part(tensors, "generator_optimizer."),
        path,
    )
    _restore_moments(
        state.discriminator_optimizer,
        checkpoint.config.discriminator_optimizer.name,
        state.discriminator,
        checkpoints.part(tensors, "discriminator_optimizer."),
        path,
    )
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


def _set_random(generator: torch.Generator, kept: Tensor, path: Path) -> None:
    try:
        generator.set_state(kept)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: it holds no state of a random generator") from error


def _optimizer(network: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    weights, lr, decay = network.parameters(), config.lr, config.weight_decay
    if config.name == "adam":
        betas = (config.beta1, config.beta2)
        return torch.optim.Adam(weights, lr, betas, weight_decay=decay, fused=True)
    if config.name == "adagrad":
        return torch.optim.Adagrad(weights, lr, weight_decay=decay)
    if config.name == "adadelta":
        return torch.optim.Adadelta(weights, lr, weight_decay=decay)
    if config.name == "rmsprop":
        return torch.optim.RMSprop(weights, lr, weight_decay=decay)
    momentum = 0.0 if config.name == "sgd" else config.momentum
    nesterov = config.name == "nesterov"
    return torch.optim.SGD(weights, lr, momentum, weight_decay=decay, nesterov=nesterov, fused=True)


def _named(prefix: str, network: nn.Module) -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in network.state_dict().items()}


def _moments(
    prefix: str, optimizer: torch.optim.Optimizer, network: nn.Module
) -> dict[str, Tensor]:
    return {
        f"{prefix}{name}:{key}": value
        for name, parameter in network.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, Tensor)
    }


def _restore_moments(
    optimizer: torch.optim.Optimizer,
    rule: str,
    network: nn.Module,
    found: dict[str, Tensor],
    path: Path,
) -> None:
    keys = _MOMENTS[rule]
    parameters = dict(network.named_parameters())
    expected = {
        f"{name}:{key}": torch.zeros(()) if key == "step" else parameter
        for name, parameter in parameters.items()
        for key in keys
    }
    checkpoints.check_tensors(expected, found, path)
    for name, parameter in parameters.items():
        for key in keys:
            value = found[f"{name}:{key}"]
            if key != "step":  # moments lie in memory as their weights do: the fused kernel asks it
                value = torch.empty_like(parameter.detach()).copy_(value)
            optimizer.state[parameter][key] = value
