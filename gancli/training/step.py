"""One step of training: the discriminator learns, then the generator."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from gancli.config import OptimizerConfig, RunConfig
from gancli.errors import TrainingError
from gancli.latents import draw_latents
from gancli.losses import LOSSES, gradient_penalty, squared_gradient
from gancli.networks import Discriminator, has_batch_statistics
from gancli.training.state import TrainState


def train_step(
    state: TrainState,
    batches: list[tuple[Tensor, Tensor | None]],
    config: RunConfig,
    progress: float,
) -> Tensor:
    """Train both networks by one step, in place.

    Args:
        state: changed.
        batches: for each update of D the real images, float [n, channels, size, size] in the
            data's pixel range, and their labels int64 [n] or None.
        config: the run's.
        progress: how much of the training lies behind, from 0 to 1.

    Returns:
        The step's :data:`FIGURES`, float32.

    Raises:
        TrainingError: a loss is no finite number; the weights are as they were.
    """
    _set_learning_rate(state.generator_optimizer, config.generator_optimizer, progress)
    _set_learning_rate(state.discriminator_optimizer, config.discriminator_optimizer, progress)
    for real, labels in batches:
        fakes = _draw_fakes(state, labels, len(real), config)
        d_figures = _discriminator_step(state, real, fakes.detach(), labels, config, progress)
    if not config.training.reuse_fakes:
        fakes = _draw_fakes(state, labels, len(real), config)
    g_figures = _generator_step(state, real, fakes, labels, config)
    if state.average is not None:
        _update_average(state, config.generator.ema_half_life)
    d_loss, *d_rest, d_norm = d_figures
    g_loss, g_norm = g_figures
    return torch.stack([d_loss, g_loss, *d_rest, d_norm, g_norm])


def _draw_fakes(state: TrainState, labels: Tensor | None, count: int, config: RunConfig) -> Tensor:
    """Draw fakes of the same classes as the real images, as paired losses need them."""
    latents = draw_latents(count, config.latent, state.random)
    fakes: Tensor = state.generator(latents, labels)
    return fakes


def _discriminator_step(
    state: TrainState,
    real: Tensor,
    fake: Tensor,
    labels: Tensor | None,
    config: RunConfig,
    progress: float,
) -> list[Tensor]:
    discriminator, settings = state.discriminator, config.loss
    penalised = settings.r1 > 0 or settings.r2 > 0
    if penalised:
        real, fake = real.requires_grad_(), fake.requires_grad_()
    real_logits, fake_logits = _both_logits(discriminator, real, fake, labels)
    loss = LOSSES[settings.name].discriminator(real_logits, fake_logits)
    adversarial = loss.detach()
    if penalised:
        fall = cosine(1.0, settings.penalty_final, progress)
        if settings.r1:
            loss = loss + fall * settings.r1 / 2 * squared_gradient(real_logits, real).mean()
        if settings.r2:
            loss = loss + fall * settings.r2 / 2 * squared_gradient(fake_logits, fake).mean()
    if settings.gradient_penalty:
        fraction = torch.rand(len(real), 1, 1, 1, generator=state.random, device=real.device)
        penalty = gradient_penalty(
            lambda images: discriminator(images, labels), real, fake, fraction
        )
        loss = loss + settings.gradient_penalty * penalty
    norm = _descend(loss, state.discriminator_optimizer, discriminator, state.step, "discriminator")
    real_logits, fake_logits = real_logits.detach(), fake_logits.detach()
    return [
        adversarial,
        (real_logits > 0).float().mean(),
        (fake_logits < 0).float().mean(),
        real_logits.mean(),
        fake_logits.mean(),
        norm,
    ]


def _generator_step(
    state: TrainState, real: Tensor, fake: Tensor, labels: Tensor | None, config: RunConfig
) -> list[Tensor]:
    game = LOSSES[config.loss.name]
    with _frozen(state.discriminator):
        fake_logits = state.discriminator(fake, labels)
        if game.pairs:
            with torch.no_grad():
                real_logits = state.discriminator(real, labels)
        else:
            real_logits = fake_logits
        loss = game.generator(fake_logits, real_logits)
        norm = _descend(loss, state.generator_optimizer, state.generator, state.step, "generator")
    return [loss.detach(), norm]


def _both_logits(
    discriminator: Discriminator, real: Tensor, fake: Tensor, labels: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the logits of real and of fake images, by one pass where images do not mix."""
    if has_batch_statistics(discriminator):
        return discriminator(real, labels), discriminator(fake, labels)
    both_labels = None if labels is None else torch.cat([labels, labels])
    logits: Tensor = discriminator(torch.cat([real, fake]), both_labels)
    real_logits, fake_logits = torch.split(logits, [len(real), len(fake)])
    return real_logits, fake_logits


def _descend(
    loss: Tensor, optimizer: torch.optim.Optimizer, network: nn.Module, step: int, name: str
) -> Tensor:
    """Take one step of an optimiser and return the norm of the gradient it followed."""
    if not math.isfinite(loss.item()):
        raise TrainingError(
            f"the loss of the {name} is {loss.item()} at step {step + 1}: training diverged. "
            "Lower the learning rate (--set generator_optimizer.lr=..., discriminator_optimizer.lr)"
            " or add a penalty (--set loss.r1=1 --set loss.r2=1)"
        )
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    gradients = [weight.grad for weight in network.parameters() if weight.grad is not None]
    return torch.nn.utils.get_total_norm(gradients)


@contextlib.contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """Spare the gradients of weights that are only looked through."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


@torch.no_grad()
def _update_average(state: TrainState, half_life: float) -> None:
    """Move the averaged generator, sooner at first: an average over steps not made says nothing."""
    assert state.average is not None
    keep = 0.5 ** (1 / min(half_life, state.step + 1))
    torch._foreach_lerp_(
        list(state.average.parameters()), list(state.generator.parameters()), 1 - keep
    )
    for averaged, buffer in zip(state.average.buffers(), state.generator.buffers(), strict=True):
        averaged.copy_(buffer)


def _set_learning_rate(
    optimizer: torch.optim.Optimizer, config: OptimizerConfig, progress: float
) -> None:
    final = config.lr if config.lr_final is None else config.lr_final
    for group in optimizer.param_groups:
        group["lr"] = cosine(config.lr, final, progress)


def cosine(start: float, end: float, progress: float) -> float:
    """Return a value that goes from start to end along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
