from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import TinyConfig
from torch import Tensor, nn

from gancli import preparing
from gancli.config import RunConfig
from gancli.errors import TrainingError
from gancli.latents import draw_latents
from gancli.losses import LOSSES
from gancli.training import step as step_module
from gancli.training.state import FIGURES, STEP_FIGURES, TrainState, create
from gancli.training.step import _diversity, cosine, train_step

CPU = torch.device("cpu")
SGD = {
    "generator_optimizer.name": "sgd",
    "discriminator_optimizer.name": "sgd",
    "generator_optimizer.lr": 0.25,
    "discriminator_optimizer.lr": 0.5,
}


def resolved(tiny_config: TinyConfig, changes: dict[str, Any]) -> RunConfig:
    return preparing.resolve(tiny_config(changes), classes=3)


def batches(count: int = 1, seed: int = 0) -> list[tuple[Tensor, Tensor | None]]:
    random = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 8, 1, 8, 8, generator=random) * 2 - 1
    return [(image, torch.arange(8) % 3) for image in images]


def weights(network: nn.Module) -> Tensor:
    return torch.cat([weight.detach().flatten() for weight in network.parameters()])


def train_by_the_book(
    state: TrainState, real: Tensor, labels: Tensor, config: RunConfig, progress: float
) -> dict[str, float]:
    """Do what a step of gradient descent on both losses does, the long way round."""
    game, settings, random = LOSSES[config.loss.name], config.loss, state.random
    generator, discriminator = state.generator, state.discriminator
    fall = cosine(1, settings.penalty_final, progress)

    def slopes(images: Tensor) -> Tensor:
        images = images.detach().clone().requires_grad_()
        (slope,) = torch.autograd.grad(
            discriminator(images, labels).sum(), images, create_graph=True
        )
        return slope.flatten(1).norm(dim=1)

    def descend(loss: Tensor, network: nn.Module, rate: float) -> float:
        gradients = torch.autograd.grad(loss, list(network.parameters()))
        with torch.no_grad():
            for weight, gradient in zip(network.parameters(), gradients, strict=True):
                weight.sub_(rate * gradient)
        return torch.cat([gradient.flatten() for gradient in gradients]).norm().item()

    def noisy(images: Tensor) -> Tensor:
        reach = round(config.discriminator.shift * 8)
        if reach:
            shifts = torch.randint(-reach, reach + 1, (8, 2), generator=random)
            images = torch.stack(list(map(moved, images, shifts)))
        spread = config.discriminator.input_noise * (1 - progress)
        return images + spread * torch.randn(images.shape, generator=random) if spread else images

    latents, whole, start = draw_latents(8, config.latent, random), real, weights(generator)
    seen_by = random.get_state()
    fake = generator(latents, labels).detach()
    real, fake = noisy(whole), noisy(fake)
    real_logits, fake_logits = discriminator(real, labels), discriminator(fake, labels)
    adversarial = game.discriminator(real_logits, fake_logits)
    loss = adversarial
    loss = loss + fall * settings.r1 / 2 * slopes(real).square().mean()
    loss = loss + fall * settings.r2 / 2 * slopes(fake).square().mean()
    if settings.gradient_penalty:
        fraction = torch.rand(8, 1, 1, 1, generator=random)
        between = fraction * real + (1 - fraction) * fake
        loss = loss + settings.gradient_penalty * (slopes(between) - 1).square().mean()
    at_once = config.training.simultaneous
    if not at_once:
        d_norm = descend(loss, discriminator, cosine(0.5, 0.5, progress))
    if not config.training.reuse_fakes:
        latents = draw_latents(8, config.latent, random)
    drawn = generator(latents, labels)
    if at_once:  # what D saw, and as it was
        random.set_state(seen_by)
    real, fake = noisy(whole), noisy(drawn)
    g_loss = game.generator(discriminator(fake, labels), discriminator(real, labels))
    (told,) = torch.autograd.grad(g_loss, fake, retain_graph=True)
    g_norm = descend(g_loss, generator, 0.25)
    if at_once:
        d_norm = descend(loss, discriminator, cosine(0.5, 0.5, progress))
    right_real, right_fake = real_logits > 0, fake_logits < 0
    if config.loss.name == "relativistic":  # each pair is judged as one
        right_real = right_fake = real_logits - fake_logits > 0
    return {
        "d_loss": adversarial.item(),
        "g_loss": g_loss.item(),
        "d_accuracy_real": right_real.float().mean().item(),
        "d_accuracy_fake": right_fake.float().mean().item(),
        "d_match_real": (real_logits > 0).float().mean().item(),
        "d_match_fake": (fake_logits <= 0).float().mean().item(),
        "d_logit_real": real_logits.mean().item(),
        "d_logit_fake": fake_logits.mean().item(),
        "d_output_real": torch.sigmoid(real_logits).mean().item(),
        "d_output_fake": torch.sigmoid(fake_logits).mean().item(),
        "d_gradient_norm": d_norm,
        "g_gradient_norm": g_norm,
        "g_output_gradient_norm": sum(8 * image.norm().item() for image in told) / 8,
        "diversity_real": neighbours_apart(whole, labels),
        "diversity_fake": neighbours_apart(drawn.detach(), labels),
        "saturation_real": at_the_ends(whole),
        "saturation_fake": at_the_ends(drawn),
        # After one step the average lies halfway between the first weights and those of now.
        "average_distance": ((start - weights(generator)) / 2).norm().item()
        / ((start + weights(generator)) / 2).norm().item(),
    }


def moved(image: Tensor, shift: Tensor) -> Tensor:
    """Move one image of 8 x 8 in black."""
    down, right = shift.tolist()
    framed = nn.functional.pad(image, (8, 8, 8, 8), value=-1.0)
    return framed[:, 8 - down : 16 - down, 8 - right : 16 - right]


def neighbours_apart(images: Tensor, labels: Tensor | None) -> float:
    pairs = [(i, i - 1) for i in range(8)]
    if labels is not None:
        classes = [[i for i in range(8) if labels[i] == label] for label in range(8)]
        pairs = [pair for members in classes for pair in itertools.pairwise(members)]
    apart = [math.dist(images[a].flatten(), images[b].flatten()) for a, b in pairs]
    return sum(apart) / len(apart)


def at_the_ends(images: Tensor) -> float:
    """How many of the pixels lie within 1 % of the range's length of -1 or 1."""
    pixels = images.flatten().tolist()
    return sum(abs(pixel) >= 0.98 for pixel in pixels) / len(pixels)


@pytest.mark.parametrize(
    "changes",
    [
        *({"loss.name": name} for name in LOSSES),
        {"loss.name": "relativistic", "loss.r1": 0.7, "loss.r2": 0.3},
        {"loss.r1": 2.0, "loss.penalty_final": 0.1},
        {"loss.name": "wasserstein", "loss.gradient_penalty": 10.0},
        {"loss.name": "wasserstein", "loss.gradient_penalty": 1.0, "loss.r2": 1.0},
        {"training.reuse_fakes": False},
        {"discriminator.input_noise": 0.5},
        {"discriminator.input_noise": 0.5, "loss.name": "relativistic"},
        {"discriminator.shift": 0.25},
        {"discriminator.shift": 0.13, "loss.r1": 0.7, "discriminator.input_noise": 0.5},
        {"latent.law": "uniform"},
        *({"training.simultaneous": True, "loss.name": name} for name in LOSSES),
        {"training.simultaneous": True, "loss.r1": 0.7, "loss.r2": 0.3},
        {"training.simultaneous": True, "discriminator.shift": 0.25, "loss.r2": 0.3},
        {"training.simultaneous": True, "discriminator.input_noise": 0.5},
    ],
    ids=str,
)
def test_a_step_does_what_the_book_says(tiny_config: TinyConfig, changes: dict[str, Any]) -> None:
    config = resolved(tiny_config, {**SGD, **changes})
    ours, theirs = create(config, CPU), create(config, CPU)
    ((real, labels),) = batches()
    assert labels is not None
    figures = train_step(ours, [(real.clone(), labels)], config, 0.3)
    expected = train_by_the_book(theirs, real, labels, config, 0.3)
    assert tuple(expected) == FIGURES
    torch.testing.assert_close(
        figures.double(), torch.tensor(list(expected.values())).double(), rtol=1e-4, atol=1e-5
    )
    for name in ("generator", "discriminator"):
        one, two = weights(getattr(ours, name)), weights(getattr(theirs, name))
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)
        assert not torch.equal(one, weights(getattr(create(config, CPU), name)))
    assert torch.equal(ours.random.get_state(), theirs.random.get_state())


@pytest.mark.parametrize("changes", [{}, {"training.unrolled_steps": 2}, {"loss.r2": 1.0}], ids=str)
def test_a_look_changes_nothing(tiny_config: TinyConfig, changes: dict[str, Any]) -> None:
    config = resolved(tiny_config, changes)
    looking, blind = create(config, CPU), create(config, CPU)
    for seed in range(3):
        figures = train_step(looking, batches(seed=seed), config, 0.0, look=True)
        fewer = train_step(blind, batches(seed=seed), config, 0.0, look=False)
        assert torch.equal(figures[: len(STEP_FIGURES)], fewer)
        assert len(figures) == len(FIGURES) > len(fewer)
    assert torch.equal(weights(looking.generator), weights(blind.generator))
    assert torch.equal(weights(looking.discriminator), weights(blind.discriminator))
    assert torch.equal(looking.random.get_state(), blind.random.get_state())


@pytest.mark.parametrize(
    ("pixel_range", "last", "share"),
    [("signed", "sigmoid", 0), ("unit", "sigmoid", 0), ("raw", "sigmoid", 1), ("unit", "relu", 1)],
)
def test_saturation_is_of_the_range_that_d_sees(
    tiny_config: TinyConfig, pixel_range: str, last: str, share: float
) -> None:
    """A generator whose weights are next to zero draws sigmoid(0) = 0.5, or relu(0) = 0."""
    changes = {"data.pixel_range": pixel_range, "generator.layers": ["dense 64", last]}
    config = resolved(tiny_config, {**changes, "generator.init": "normal 1e-9"})
    figures = train_step(create(config, CPU), batches(), config, 0.0)
    named = dict(zip(FIGURES, figures.tolist(), strict=True))
    assert named["saturation_fake"] == share
    assert named["diversity_fake"] == pytest.approx(0, abs=1e-5)
    assert named["diversity_real"] > 1


def test_variety_is_that_of_a_class_where_there_are_classes() -> None:
    """A picture a class is no variety, however many classes there are."""
    labels = torch.tensor([2, 0, 1, 2, 1, 0, 2, 1])
    pictures = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert _diversity(pictures[labels], labels) == 0
    assert _diversity(pictures[labels], None) > 5
    moved = pictures[labels] + torch.arange(8.0).view(8, 1, 1, 1)
    in_order = [1, 5, 2, 4, 7, 0, 3, 6]
    apart = [abs(a - b) * 8 for a, b in [(1, 5), (2, 4), (4, 7), (0, 3), (3, 6)]]
    assert labels[in_order].tolist() == [0, 0, 1, 1, 1, 2, 2, 2]
    assert _diversity(moved, labels).item() == pytest.approx(sum(apart) / 5, rel=1e-5)
    alone = _diversity(moved[:3], labels[:3]).item()
    assert alone == pytest.approx(_diversity(moved[[1, 2, 0]], None).item(), rel=1e-6)


def test_without_an_average_nothing_is_apart_from_it(tiny_config: TinyConfig) -> None:
    config = resolved(tiny_config, {"generator.ema_half_life": 0})
    figures = train_step(create(config, CPU), batches(), config, 0.0)
    assert figures[FIGURES.index("average_distance")] == 0


def test_d_learns_as_often_as_asked(tiny_config: TinyConfig) -> None:
    """With Adam a first step moves every weight that learns by its learning rate, or so."""
    config = resolved(tiny_config, {"training.d_steps": 3})
    state = create(config, CPU)
    train_step(state, batches(3), config, 0.0)
    for optimizer, steps in ((state.discriminator_optimizer, 3), (state.generator_optimizer, 1)):
        assert set(map(int, optimizer.moments()["step"])) == {steps}


def test_adam_starts_with_steps_of_its_learning_rate(tiny_config: TinyConfig) -> None:
    config = resolved(tiny_config, {"generator_optimizer.lr": 1e-3})
    state = create(config, CPU)
    before = weights(state.generator)
    train_step(state, batches(), config, 0.0)
    moved = (weights(state.generator) - before).abs()
    assert 0.9e-3 < moved.median() < 1.0001e-3
    assert moved.max() < 1.01e-3


def test_the_average_follows_at_its_half_life(tiny_config: TinyConfig) -> None:
    config = resolved(tiny_config, {"generator.ema_half_life": 2.0})
    state = create(config, CPU)
    assert state.average is not None
    expected = weights(state.generator)
    for step, keep in enumerate([0.5, 0.5**0.5, 0.5**0.5]):
        train_step(state, batches(seed=step), config, 0.0)
        state.step += 1
        expected = keep * expected + (1 - keep) * weights(state.generator)
        torch.testing.assert_close(weights(state.average), expected, rtol=1e-5, atol=1e-7)
    assert not any(weight.requires_grad for weight in state.average.parameters())
    assert state.shown is state.average


def test_the_average_takes_the_statistics_of_batches_over(tiny_config: TinyConfig) -> None:
    layers = ["dense 4 8 8", "batch_norm", "conv 1 3", "tanh"]
    config = resolved(tiny_config, {"generator.layers": layers})
    state = create(config, CPU)
    assert state.average is not None
    train_step(state, batches(), config, 0.0)
    buffers = dict(state.generator.named_buffers())
    assert len(buffers) == 3
    for name, buffer in state.average.named_buffers():
        assert torch.equal(buffer, buffers[name])
    assert int(buffers["body.1.num_batches_tracked"]) == 1


def test_without_a_half_life_there_is_no_average(tiny_config: TinyConfig) -> None:
    state = create(resolved(tiny_config, {"generator.ema_half_life": 0}), CPU)
    assert state.average is None
    assert state.shown is state.generator


@pytest.mark.parametrize(("progress", "rate"), [(0.0, 1e-2), (0.5, 0.55e-2), (1.0, 1e-3)])
def test_learning_rates_fall_on_a_cosine(
    tiny_config: TinyConfig, progress: float, rate: float
) -> None:
    changes = {"generator_optimizer.lr": 1e-2, "generator_optimizer.lr_final": 1e-3}
    config = resolved(tiny_config, changes)
    state = create(config, CPU)
    train_step(state, batches(), config, progress)
    assert state.generator_optimizer.lr == pytest.approx(rate)
    assert state.discriminator_optimizer.lr == 1e-3  # without an end: constant


@pytest.mark.parametrize(("done", "share"), [(0, 0.25), (1, 0.5), (3, 1), (4, 1), (900, 1)])
def test_a_rate_may_rise_at_first(tiny_config: TinyConfig, done: int, share: float) -> None:
    changes = {"generator_optimizer.lr": 1e-2, "generator_optimizer.warmup_steps": 4}
    config = resolved(tiny_config, changes)
    state = create(config, CPU)
    state.step = done
    train_step(state, batches(), config, 0.0)
    assert state.generator_optimizer.lr == pytest.approx(share * 1e-2)
    assert state.discriminator_optimizer.lr == 1e-3


@given(st.floats(-10, 10), st.floats(-10, 10), st.floats(0, 1))
def test_the_cosine_stays_between_its_ends(start: float, end: float, progress: float) -> None:
    value = cosine(start, end, progress)
    assert min(start, end) - 1e-9 <= value <= max(start, end) + 1e-9
    assert value + cosine(start, end, 1 - progress) == pytest.approx(start + end, abs=1e-9)
    assert cosine(start, end, 0) == pytest.approx(start, abs=1e-12)
    assert cosine(start, end, 1) == pytest.approx(end, abs=1e-12)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_before_a_weight_moves(
    tiny_config: TinyConfig, value: float
) -> None:
    config = resolved(tiny_config, {})
    state = create(config, CPU)
    state.step = 41
    before = weights(state.generator), weights(state.discriminator)
    ((real, labels),) = batches()
    real[3, 0, 2, 2] = value
    with pytest.raises(TrainingError) as caught:
        train_step(state, [(real, labels)], config, 0.0)
    assert "the loss of the discriminator is nan at step 42" in str(caught.value)
    assert torch.equal(weights(state.generator), before[0])
    assert torch.equal(weights(state.discriminator), before[1])


@pytest.mark.parametrize("rule", ["adam", "momentum", "adagrad"])
def test_where_the_host_does_not_wait_a_bad_update_is_skipped_and_told(
    tiny_config: TinyConfig, rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On an accelerator, that is; here its way is taken on a CPU."""
    monkeypatch.setattr(step_module, "_is_looked_at", lambda device: False)
    config = resolved(tiny_config, {"discriminator_optimizer.name": rule})
    state = create(config, CPU)
    train_step(state, batches(), config, 0.0)
    ((real, labels),) = batches()
    real[3, 0, 2, 2] = math.nan
    before = weights(state.generator), weights(state.discriminator)
    kept = [
        row.clone() for rows in state.discriminator_optimizer.moments().values() for row in rows
    ]
    if rule == "adagrad":  # its kernel cannot skip, so the host has to look
        with pytest.raises(TrainingError, match="loss of the discriminator is nan"):
            train_step(state, [(real, labels)], config, 0.0)
    else:
        figures = train_step(state, [(real, labels)], config, 0.0, look=False)
        told = dict(zip(STEP_FIGURES, figures.tolist(), strict=True))
        assert math.isnan(told["d_gradient_norm"])
        assert 0 < told["g_gradient_norm"] < math.inf
        assert not torch.equal(weights(state.generator), before[0])
    assert torch.equal(weights(state.discriminator), before[1])
    now = [row for rows in state.discriminator_optimizer.moments().values() for row in rows]
    assert all(map(torch.equal, kept, now))


@pytest.mark.parametrize("waits", [True, False])
def test_a_gradient_that_is_no_number_moves_nothing_though_the_loss_is_one(
    tiny_config: TinyConfig, waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_module, "_is_looked_at", lambda device: waits)
    config = resolved(tiny_config, {})
    state = create(config, CPU)
    before = weights(state.generator), weights(state.discriminator)
    state.discriminator_optimizer.weights[0].register_hook(lambda slopes: slopes * math.inf)
    if waits:
        with pytest.raises(TrainingError, match=r"the gradient of the discriminator is .* at step"):
            train_step(state, batches(), config, 0.0)
        assert torch.equal(weights(state.generator), before[0])
    else:
        figures = train_step(state, batches(), config, 0.0, look=False)
        told = dict(zip(STEP_FIGURES, figures.tolist(), strict=True))
        assert math.isnan(told["d_gradient_norm"])
        assert math.isfinite(told["d_loss"])
        assert not torch.equal(weights(state.generator), before[0])
    assert torch.equal(weights(state.discriminator), before[1])


def test_both_networks_can_learn_again_after_a_step(tiny_config: TinyConfig) -> None:
    config = resolved(tiny_config, {})
    state = create(config, CPU)
    train_step(state, batches(), config, 0.0)
    for network in (state.generator, state.discriminator):
        assert all(weight.requires_grad for weight in network.parameters())


def test_statistics_of_real_and_fake_batches_do_not_mix(tiny_config: TinyConfig) -> None:
    """With batch norm in D, its figures are those of one kind of image at a time."""
    layers = ["flatten", "batch_norm", "dense 1"]
    config = resolved(tiny_config, {**SGD, "discriminator.layers": layers})
    state, twin = create(config, CPU), create(config, CPU)
    ((real, labels),) = batches()
    figures = dict(zip(FIGURES, train_step(state, [(real, labels)], config, 0.0), strict=True))
    expected = twin.discriminator.train()(real, labels).mean()
    torch.testing.assert_close(figures["d_logit_real"], expected.detach())


@pytest.fixture
def _in_double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("_in_double")
@pytest.mark.parametrize(("count", "warmup"), [(None, 0), (20, 0), (None, 4)])
def test_an_unrolled_generator_faces_the_d_that_comes_after(
    tiny_config: TinyConfig, count: int | None, warmup: int
) -> None:
    """Its loss and gradient are those of a D that was really trained on, two steps of SGD."""
    unrolled = {"training.unrolled_steps": 2, "training.generator_batch_size": count}
    unrolled["discriminator_optimizer.warmup_steps"] = warmup
    config = resolved(tiny_config, {**SGD, "data.conditional": False, **unrolled})
    real = torch.rand(8, 1, 8, 8) * 2 - 1
    state, twin = create(config, CPU), create(config, CPU)
    figures = dict(zip(FIGURES, train_step(state, [(real, None)], config, 0.0), strict=True))
    # D as it stood when G's turn came, and the latents that G drew for it.
    latents = draw_latents(8, config.latent, twin.random)
    if count:
        latents = draw_latents(count, config.latent, twin.random)
    game, before = LOSSES[config.loss.name], weights(twin.generator)

    def loss_at(vector: Tensor) -> float:
        nn.utils.vector_to_parameters(vector, twin.generator.parameters())
        fake = twin.generator(latents).detach()
        rival = copy.deepcopy(state.discriminator)
        rate = config.discriminator_optimizer.lr / max(1, warmup)  # that of the first step
        optimizer = torch.optim.SGD(rival.parameters(), rate)
        for _ in range(2):
            optimizer.zero_grad()
            game.discriminator(rival(real), rival(fake)).backward()
            optimizer.step()
        return game.generator(rival(fake), rival(fake)).item()

    assert figures["g_loss"].item() == pytest.approx(loss_at(before), rel=1e-9)
    gradient = (before - weights(state.generator)) / config.generator_optimizer.lr
    assert gradient.norm().item() == pytest.approx(figures["g_gradient_norm"].item(), rel=1e-9)
    for direction in (gradient / gradient.norm(), torch.randn(len(gradient)) / 10):
        slope = (loss_at(before + 1e-5 * direction) - loss_at(before - 1e-5 * direction)) / 2e-5
        assert slope == pytest.approx((gradient @ direction).item(), rel=1e-4, abs=1e-7)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"loss.name": "mean-squared-error"},
        {"loss.name": "relativistic", "loss.r1": 1.0, "loss.r2": 1.0},
        {"loss.name": "wasserstein", "loss.gradient_penalty": 10.0},
        {"discriminator.input_noise": 0.1, "training.generator_batch_size": 16},
        {"training.unrolled_steps": 1},
    ],
    ids=str,
)
def test_a_step_takes_points_of_the_plane(tiny_config: TinyConfig, changes: dict[str, Any]) -> None:
    points = {
        "data.source": "point",
        "data.conditional": False,
        "generator.layers": ["dense 2"],
        "discriminator.layers": ["dense 4", "leaky_relu 0.2", "dense 1"],
    }
    config = resolved(tiny_config, {**points, **changes})
    state = create(config, CPU)
    before = weights(state.generator), weights(state.discriminator)
    figures = train_step(state, [(torch.randn(8, 2), None)], config, 0.0)
    assert figures.shape == (len(FIGURES),)
    assert figures.isfinite().all()
    assert not torch.equal(weights(state.generator), before[0])
    assert not torch.equal(weights(state.discriminator), before[1])


def cosine_of(one: Tensor, other: Tensor) -> float:
    return float(nn.functional.cosine_similarity(one, other, dim=0))


@pytest.mark.parametrize("loss", ["non-saturating", "relativistic"])
def test_a_step_in_16_bits_goes_where_one_in_32_goes(tiny_config: TinyConfig, loss: str) -> None:
    keys = {**SGD, "loss.name": loss, "loss.r1": 0.1, "data.conditional": False}
    moved, figures = {}, {}
    for precision in ("fp32", "bf16"):
        config = resolved(tiny_config, {**keys, "training.precision": precision})
        state = create(config, CPU)
        real = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
        before = [weights(state.generator), weights(state.discriminator)]
        figures[precision] = train_step(state, [(real, None)], config, 0.0)
        after = [weights(state.generator), weights(state.discriminator)]
        moved[precision] = [two - one for one, two in zip(before, after, strict=True)]
        assert all(p.dtype == torch.float32 for p in state.generator.parameters())
    for exact, rough in zip(moved["fp32"], moved["bf16"], strict=True):
        assert 0.98 < cosine_of(exact, rough) < 1  # not the same: it did compute in 16 bits
        assert rough.norm().item() == pytest.approx(exact.norm().item(), rel=0.1)
    assert torch.allclose(figures["fp32"], figures["bf16"], rtol=0.1, atol=0.05)


def test_what_is_drawn_after_training_in_16_bits_has_32(tiny_config: TinyConfig) -> None:
    rough = create(resolved(tiny_config, {"training.precision": "bf16"}), CPU).generator
    exact = create(resolved(tiny_config, {}), CPU).generator
    latents, labels = torch.randn(4, 4), torch.tensor([0, 1, 2, 0])
    assert torch.equal(rough.eval()(latents, labels), exact.eval()(latents, labels))
    assert not torch.equal(rough.train()(latents, labels), exact.train()(latents, labels))


@pytest.mark.parametrize(
    ("changes", "with_graph"),
    [
        ({}, [True]),
        ({"training.d_steps": 3}, [False, False, True]),
        ({"training.reuse_fakes": False}, [False, True]),
        ({"training.generator_batch_size": 16, "data.conditional": False}, [False, True]),
    ],
)
def test_what_gradients_need_is_kept_of_the_fakes_that_g_learns_from_alone(
    tiny_config: TinyConfig,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    with_graph: list[bool],
) -> None:
    config = resolved(tiny_config, changes)
    state = create(config, CPU, autograd=True)
    kept: list[bool] = []
    draw = step_module._draw_fakes

    def watched(*arguments: Any) -> Tensor:
        fakes = draw(*arguments)
        kept.append(fakes.requires_grad)
        return fakes

    monkeypatch.setattr(step_module, "_draw_fakes", watched)
    train_step(state, batches(config.training.d_steps), config, 0)
    assert kept == with_graph
