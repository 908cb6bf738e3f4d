"""One step of training: the discriminator learns, then the generator; or both at once."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.func import functional_call

from gancli import memory
from gancli.config import PIXEL_RANGES, RunConfig
from gancli.errors import TrainingError
from gancli.latents import draw_latents
from gancli.losses import LOSSES, cross_entropy, gradient_penalty, squared_gradient
from gancli.networks import Discriminator
from gancli.training.augment import PULLED, bent, shifted
from gancli.training.closed_form import Chain, discriminator_slopes, for_each, generator_slopes
from gancli.training.optimizers import Optimizer
from gancli.training.state import TrainState

# A closer look is at so many images of a batch: enough for a mean, and cheap.
_LOOKED_AT = 64


@dataclasses.dataclass(frozen=True)
class _Batch:
    """What D looks at in one update of either network, or of both.

    Attributes:
        real: float [n, ...].
        fake: float [m, ...]; m is n but where G has a batch size of its own.
        labels: int64 [n] of the classes of both, or None.
    """

    real: Tensor
    fake: Tensor
    labels: Tensor | None


def train_step(
    state: TrainState,
    batches: list[tuple[Tensor, Tensor | None]],
    config: RunConfig,
    progress: float,
    *,
    look: bool = True,
) -> Tensor:
    """Train both networks by one step, in place.

    Args:
        state: changed.
        batches: for each update of D the real images, float [n, ...] in the range that the
            generator draws in, and their labels int64 [n] or None.
        config: the run's.
        progress: how much of the training lies behind, from 0 to 1.
        look: measure the figures that cost time too; what is learned is the same.

    Returns:
        The step's :data:`FIGURES`, float32; without a look :data:`STEP_FIGURES` alone.

    Raises:
        TrainingError: a loss or the norm of its gradients is no finite number; the weights are as
            they were. On an accelerator they are too, and a norm of nan tells.
    """
    for optimizer in (state.generator_optimizer, state.discriminator_optimizer):
        _set_learning_rate(optimizer, state.step, progress)
    as_they_are = batches[-1][0]
    batches = [(_as_shown(real, state, config), labels) for real, labels in batches]
    if config.training.simultaneous:
        ((real, labels),) = batches
        fake = _draw_fakes(state, labels, len(real), config)
        seen = _as_seen(_Batch(real, fake, labels), state, config, progress)
        d_figures, g_figures = _step_at_once(state, seen, config, progress)
    else:
        reused = config.training.reuse_fakes and not config.training.generator_batch_size
        for update, (real, labels) in enumerate(batches, 1):
            # G learns from the last fakes at most; of the others, what gradients need is not kept.
            with torch.set_grad_enabled(reused and update == len(batches)):
                fake = _draw_fakes(state, labels, len(real), config)
            seen = _as_seen(_Batch(real, fake.detach(), labels), state, config, progress)
            d_figures = _discriminator_step(state, seen, config, progress)
        if not reused:
            whole = config.training.generator_batch_size
            count = whole // state.team.size if whole else len(real)
            fake = _draw_fakes(state, labels, count, config)
        seen = _as_seen(_Batch(real, fake, labels), state, config, progress)
        g_figures = _generator_step(state, seen, config)
    if state.average is not None:
        _update_average(state, config.generator.ema_half_life)
    d_loss, d_means, d_norm = d_figures
    g_loss, g_norm, slopes = g_figures
    seen_closer = _look(state, (as_they_are, fake), labels, slopes, config) if look else []
    losses, rest = torch.stack([d_loss, g_loss]), torch.stack([d_norm, g_norm, *seen_closer])
    return torch.cat([losses, d_means, rest])


@torch.no_grad()
def _look(
    state: TrainState,
    images: tuple[Tensor, Tensor],
    labels: Tensor | None,
    slopes: Tensor,
    config: RunConfig,
) -> list[Tensor]:
    """Return :data:`LOOK_FIGURES`; draws no random number, so that a look changes no training."""

    def first(rows: Tensor) -> Tensor:
        """Return the first of the whole batch."""
        return state.team.gather(rows[:_LOOKED_AT])[:_LOOKED_AT]

    # The loss is a mean over fakes: times their number, this is what one fake is told.
    told = len(slopes) * first(slopes).flatten(1).norm(dim=1).mean()
    real, fake = map(first, images)
    classes = None if labels is None else first(labels)
    return [
        told,
        _diversity(real, classes),
        _diversity(fake, classes),
        _saturation(real, config),
        _saturation(fake, config),
        _average_distance(state),
    ]


def _diversity(images: Tensor, labels: Tensor | None) -> Tensor:
    """Return the mean distance of images that are neighbours in a batch.

    Where there are classes, of neighbours of one class: those of two differ, however many pictures
    G knows of either.
    """
    if labels is None:
        return _apart(images).mean()
    order = labels.argsort(stable=True)
    classes = labels[order]
    pairs = (classes == classes.roll(1)).to(images.dtype)
    pairs = pairs.where(pairs.sum() > 0, 1.0)  # a class an image, and there are only others
    return (pairs * _apart(images[order])).sum() / pairs.sum()


def _apart(images: Tensor) -> Tensor:
    """Return how far each image of a batch is from the one before it."""
    distances: Tensor = (images - images.roll(1, 0)).flatten(1).norm(dim=1)
    return distances


def _average_distance(state: TrainState) -> Tensor:
    """Return how far G is from its average, relative to the average's length; 0 without one."""
    if state.average is None:
        return torch.zeros((), device=state.sums.device)
    apart = torch._foreach_sub(state.averaged, state.generator_optimizer.parts)
    return _length(list(apart)) / _length(state.averaged)


def _length(tensors: list[Tensor]) -> Tensor:
    """Return the length of the one vector that some tensors make up."""
    if tensors[0].device.type == "cpu":  # products of vectors, unlike norms, share out their work
        flat = [tensor.reshape(-1) for tensor in tensors]
        return torch.stack([vector.dot(vector) for vector in flat]).sum().sqrt()
    length: Tensor = torch.stack(torch._foreach_norm(tensors)).norm()
    return length


def _saturation(images: Tensor, config: RunConfig) -> Tensor:
    """Return the share of pixels within 1 % of an end of the pixel range or beyond; 0 of points."""
    if config.data.is_points:
        return torch.zeros((), device=images.device)
    low, high = PIXEL_RANGES[config.data.pixel_range]
    margin = (high - low) / 100
    inside = (images > low + margin) & (images < high - margin)
    return 1 - inside.float().mean()


def _draw_fakes(state: TrainState, labels: Tensor | None, count: int, config: RunConfig) -> Tensor:
    """Draw fakes of the same classes as the real images, as paired losses need them."""
    latents = draw_latents(count * state.team.size, config.latent, state.random)
    chain = None if state.chains is None else state.chains.generator
    generator = state.generator if chain is None else chain
    fakes: Tensor = generator(state.team.part(latents), labels)
    return fakes


def _as_shown(images: Tensor, state: TrainState, config: RunConfig) -> Tensor:
    """Return real images as they are shown this time: bent at random, where a config says so."""
    assert config.data.elastic != "auto"
    if not config.data.elastic:
        return images
    shape = state.team.whole((len(images), 2, PULLED, PULLED))
    pulls = torch.randn(shape, generator=state.random, device=images.device)
    pulls = config.data.elastic * state.team.part(pulls)
    return bent(images, pulls, PIXEL_RANGES[config.data.pixel_range])


def _as_seen(batch: _Batch, state: TrainState, config: RunConfig, progress: float) -> _Batch:
    """Return images as D sees them: moved at random, and under noise, where a config says so."""
    assert config.discriminator.shift != "auto"
    reach = round(config.discriminator.shift * config.data.image_size)
    spread = config.discriminator.input_noise * (1 - progress)

    def seen(images: Tensor) -> Tensor:
        if reach:
            shape = state.team.whole((len(images), 2))
            shifts = torch.randint(
                -reach, reach + 1, shape, generator=state.random, device=images.device
            )
            background = PIXEL_RANGES[config.data.pixel_range][0]
            images = shifted(images, state.team.part(shifts), reach, background)
        if spread:
            # Against D's telling real from fake too soon (Sonderby et al., 2017).
            shape = state.team.whole(images.shape)
            noise = torch.randn(shape, generator=state.random, device=images.device)
            images = images + spread * state.team.part(noise)
        return images

    return _Batch(seen(batch.real), seen(batch.fake), batch.labels)


def _step_at_once(
    state: TrainState, batch: _Batch, config: RunConfig, progress: float
) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]:
    """Let both networks learn from the same answers of D; return what their steps return."""
    seen = dataclasses.replace(batch, fake=batch.fake.detach().requires_grad_(state.chains is None))
    gammas = _gammas(config, progress)
    logits = _both_logits(state, seen, gammas)
    game, (real_logits, fake_logits) = LOSSES[config.loss.name], logits
    loss, at_images = game.generator(fake_logits, real_logits), None
    if state.chains is None:
        (slopes,) = torch.autograd.grad(loss, seen.fake, retain_graph=True)
    else:
        # A logit's slopes serve the gradients of whatever is a function of it.
        at_images = state.chains.discriminator.slopes()
        pulls = generator_slopes(config.loss.name, fake_logits, real_logits)
        slopes = for_each(pulls, seen.fake) * at_images[-len(pulls) :]
    d_figures = _discriminator_learns(state, seen, logits, config, gammas, at_images)
    return d_figures, _generator_learns(state, batch, loss.detach(), slopes)


def _discriminator_step(
    state: TrainState, batch: _Batch, config: RunConfig, progress: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Let D learn; return its loss, :func:`_means`, and the norm of its gradient."""
    gammas = _gammas(config, progress)
    logits = _both_logits(state, batch, gammas)
    return _discriminator_learns(state, batch, logits, config, gammas)


def _gammas(config: RunConfig, progress: float) -> tuple[float, float]:
    """Return the weights of R1 and R2 by now."""
    fall = cosine(1.0, config.loss.penalty_final, progress)
    return fall * config.loss.r1, fall * config.loss.r2


def _discriminator_learns(
    state: TrainState,
    batch: _Batch,
    logits: Tensor,
    config: RunConfig,
    gammas: tuple[float, float],
    slopes: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Let D learn from its answers, [2, n]; a chain may know their slopes at the images already."""
    settings, game = config.loss, LOSSES[config.loss.name]
    real_logits, fake_logits = logits
    ends = (settings.real_labels, settings.fake_labels)
    labels = torch.stack([_draw_labels(each, real_logits, state) for each in ends])
    if settings.smoothed:
        loss = cross_entropy(real_logits, labels[0]) + cross_entropy(fake_logits, labels[1])
    else:
        loss = game.discriminator(real_logits, fake_logits)
    adversarial = loss.detach()
    if state.chains is None:
        state.discriminator_optimizer.forget_gradients()
        for each, images, gamma in zip(logits, (batch.real, batch.fake), gammas, strict=True):
            if gamma:
                loss = loss + gamma / 2 * squared_gradient(each, images).mean()
        if settings.gradient_penalty:
            loss = loss + settings.gradient_penalty * _penalty_between(state, batch)
        weights = state.discriminator_optimizer.weights
        loss.backward(inputs=weights)  # type: ignore[no-untyped-call]
    else:
        pulls = discriminator_slopes(settings.name, logits, labels)
        loss = loss + _learn_by_chain(state.chains.discriminator, pulls, gammas, slopes)
    norm = _descend(loss, state.discriminator_optimizer, state, "discriminator")
    if state.chains is not None:
        state.chains.discriminator.moved()
    return adversarial, _means(logits.detach(), labels, game.pairs), norm


def _learn_by_chain(
    discriminator: Chain, pulls: Tensor, gammas: tuple[float, float], slopes: Tensor | None
) -> Tensor | float:
    """Give D's weights the gradients of its loss, whose own at the logits [2, n] are the pulls.

    Returns:
        What the penalties R1 and R2 add to the loss.
    """
    if not any(gammas):
        discriminator.backward(pulls)
        return 0.0
    if slopes is None:
        slopes = discriminator.slopes()
    penalty = slopes.new_zeros(())
    for each, gamma in zip(slopes.chunk(2), gammas, strict=True):
        penalty = penalty + gamma / 2 * each.square().sum() / len(each)
        each.mul_(gamma / len(each))  # from here on, the gradient of the penalty at the slopes
    discriminator.learn(pulls.flatten(), slopes)
    return penalty


def _penalty_between(state: TrainState, batch: _Batch) -> Tensor:
    one_each = state.team.whole((len(batch.real), *(1,) * (batch.real.ndim - 1)))
    fraction = torch.rand(one_each, generator=state.random, device=batch.real.device)
    return gradient_penalty(
        lambda between: state.discriminator(between, batch.labels),
        batch.real,
        batch.fake,
        state.team.part(fraction),
    )


def _means(logits: Tensor, labels: Tensor, pairs: bool) -> Tensor:
    """Return what :data:`STEP_FIGURES` say of D's answers, as one tensor: fewer calls to make.

    Args:
        logits: [2, n], those of real images and those of fakes.
        labels: [2, n], what D was to answer.
        pairs: of a pair of images, D is right about both or about neither.
    """
    real, fake = logits
    right = (real > fake).expand(2, -1) if pairs else torch.stack([real > 0, fake < 0])
    matches = (logits > 0) == labels
    answers = torch.cat([right, matches]).to(logits.dtype)  # one cast: cat's own take their time
    return torch.cat([answers, logits, logits.sigmoid()]).mean(1)


def _generator_step(
    state: TrainState, batch: _Batch, config: RunConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """Let G learn; return its loss, the norm of its gradient, and the gradient at the fakes."""
    slopes_of = _slopes_by_autograd if state.chains is None else _slopes_by_chain
    loss, slopes = slopes_of(state, batch, config)
    # What D remembered is free by now, and after steps ahead that is more than all of G's.
    if config.training.unrolled_steps:
        _give_back(loss.device)
    return _generator_learns(state, batch, loss, slopes)


def _generator_learns(
    state: TrainState, batch: _Batch, loss: Tensor, slopes: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Let G learn from the gradient of its loss at the fakes."""
    chains = state.chains
    if chains is None or chains.generator is None:
        state.generator_optimizer.forget_gradients()
        # To hand backward the slopes themselves would take a second, for torch's compiler.
        (batch.fake * slopes).sum().backward()  # type: ignore[no-untyped-call]
    else:
        chains.generator.backward(slopes)
    norm = _descend(loss, state.generator_optimizer, state, "generator")
    if chains is not None and chains.generator is not None:
        chains.generator.moved()
    return loss, norm, slopes


def _slopes_by_chain(state: TrainState, batch: _Batch, config: RunConfig) -> tuple[Tensor, Tensor]:
    """Return G's loss, and its gradient at the fakes."""
    assert state.chains is not None
    game, judge = LOSSES[config.loss.name], state.chains.discriminator
    beside = judge(batch.real, batch.labels) if game.pairs else None
    fake_logits = judge(batch.fake, batch.labels)  # the last: its way back is the one remembered
    real_logits = fake_logits if beside is None else beside
    at_logits = generator_slopes(config.loss.name, fake_logits, real_logits)
    return game.generator(fake_logits, real_logits), judge.backward(at_logits, frozen=True)


def _slopes_by_autograd(
    state: TrainState, batch: _Batch, config: RunConfig
) -> tuple[Tensor, Tensor]:
    """Return G's loss, and its gradient at the fakes."""
    game, discriminator = LOSSES[config.loss.name], state.discriminator
    if config.training.unrolled_steps:
        rate = state.discriminator_optimizer.lr
        fake_logits = real_logits = _unrolled_logits(discriminator, batch, rate, config)
    else:
        with _frozen(state.discriminator_optimizer.weights):
            fake_logits = real_logits = discriminator(batch.fake, batch.labels)
            if game.pairs:
                with torch.no_grad():
                    real_logits = discriminator(batch.real, batch.labels)
    loss = game.generator(fake_logits, real_logits)
    (slopes,) = torch.autograd.grad(loss, batch.fake)
    return loss.detach(), slopes


def _unrolled_logits(
    discriminator: Discriminator, batch: _Batch, rate: float, config: RunConfig
) -> Tensor:
    """Return the fakes' logits as D would give them some steps ahead (Metz et al., 2017).

    The steps ahead are plain gradient descent at D's rate of the moment, and differentiable, so
    that G feels how D would answer it. All that they remember for it is held at once; the gaps
    between are not.
    """
    game = LOSSES[config.loss.name]
    weights: dict[str, Tensor] = dict(discriminator.named_parameters())
    for _ in range(config.training.unrolled_steps):
        real_logits = functional_call(discriminator, weights, (batch.real, batch.labels))
        fake_logits = functional_call(discriminator, weights, (batch.fake, batch.labels))
        loss = game.discriminator(real_logits, fake_logits)
        gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
        weights = {
            name: weight - rate * gradient
            for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
        }
    _give_back(batch.fake.device)
    logits: Tensor = functional_call(discriminator, weights, (batch.fake, batch.labels))
    return logits


def _give_back(device: torch.device) -> None:
    """Hand free memory back to the system, of which an accelerator's images took none."""
    if device.type == "cpu":
        memory.give_back()


def _draw_labels(ends: tuple[float, ...], logits: Tensor, state: TrainState) -> Tensor:
    """Draw a label for each image, uniform in a range; a range of no width draws nothing."""
    low, high = ends
    if low == high:
        return torch.full_like(logits, low)
    shape = state.team.whole(logits.shape)
    random = torch.rand(shape, generator=state.random, device=logits.device)
    return low + (high - low) * state.team.part(random)


def _both_logits(state: TrainState, batch: _Batch, gammas: tuple[float, float]) -> Tensor:
    """Return the logits of real and fake images, [2, n], by one pass where images do not mix."""
    real, fake, labels = batch.real, batch.fake, batch.labels
    for images, gamma in zip((real, fake), gammas, strict=True):
        if gamma and state.chains is None:
            images.requires_grad_()
    discriminator = state.discriminator
    if discriminator.mixes_images:
        return torch.stack([discriminator(real, labels), discriminator(fake, labels)])
    both_labels = None if labels is None else torch.cat([labels, labels])
    judge = discriminator if state.chains is None else state.chains.discriminator
    with state.team.rows(groups=2):
        logits: Tensor = judge(torch.cat([real, fake]), both_labels)
    return logits.view(2, -1)


def _descend(loss: Tensor, optimizer: Optimizer, state: TrainState, name: str) -> Tensor:
    """Take one step of an optimiser along the gradients, and return their norm.

    On CUDA that is nan where it or the loss is no finite number, and no weight was moved.
    """
    gradients = [found for found in optimizer.gradients() if found is not None]
    loss = loss.detach().clone()
    state.team.average_([loss, *gradients])
    norm = _length(gradients)
    if optimizer.can_skip and not _is_looked_at(loss.device):
        healthy = loss.isfinite() & norm.isfinite()
        optimizer.step(skip=1 - healthy.float())
        return norm.where(healthy, torch.nan)
    for what, figure in (("loss", loss), ("gradient", norm)):
        value = figure.item()
        if not math.isfinite(value):
            raise diverged(f"{what} of the {name}", value, state.step + 1)
    optimizer.step()
    return norm


def _is_looked_at(device: torch.device) -> bool:
    """Tell whether the host is to look at a number, though it may have to wait for it.

    CUDA is not asked within a step. A bad update moves no weight there, and leaves a nan in the
    figures, which the loop finds at the next log line. Optimisers elsewhere cannot leave one out,
    nor can some rules (:attr:`Optimizer.can_skip`).
    """
    return device.type != "cuda"


def diverged(what: str, value: float, step: int) -> TrainingError:
    """Return the error of a figure that is no finite number."""
    return TrainingError(
        f"the {what} is {value} at step {step}: training diverged. Lower the learning rate "
        "(--set generator_optimizer.lr=..., discriminator_optimizer.lr) or add a penalty "
        "(--set loss.r1=1 --set loss.r2=1)"
    )


@contextlib.contextmanager
def _frozen(weights: Sequence[Tensor]) -> Iterator[None]:
    """Spare the gradients of weights that are only looked through."""
    for weight in weights:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in weights:
            weight.requires_grad_(True)


@torch.no_grad()
def _update_average(state: TrainState, half_life: float) -> None:
    """Move the averaged generator, sooner at first: an average over steps not made says nothing."""
    assert state.average is not None
    keep = 0.5 ** (1 / min(half_life, state.step + 1))
    torch._foreach_lerp_(state.averaged, state.generator_optimizer.parts, 1 - keep)
    for averaged, buffer in zip(state.average.buffers(), state.generator.buffers(), strict=True):
        averaged.copy_(buffer)


def _set_learning_rate(optimizer: Optimizer, step: int, progress: float) -> None:
    config = optimizer.config
    final = config.lr if config.lr_final is None else config.lr_final
    risen = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    optimizer.lr = risen * cosine(config.lr, final, progress)


def cosine(start: float, end: float, progress: float) -> float:
    """Return a value that goes from start to end along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
