"""Plain PyTorch loops of the work that gancli is measured by, as a user would write them.

    python bench/plain_loops.py peer-dcgan --seconds 10     # one JSON object on stdout
    python bench/plain_loops.py r1-fc --digit 7 --steps 2000
    python bench/plain_loops.py peer-dcgan --seconds 10 --device cuda

Each loop does the work of the gancli recipe of its name: the same networks, batch, optimiser,
number of updates and reuse of noise. ``peer-*`` follow three scripts of PyTorch-GAN (gan.py,
dcgan.py and wgan_gp.py of github.com/eriklindernoren/PyTorch-GAN), the others reports R4, R5 and
R1. They are written anew from what those do, without gancli's networks, losses or training.

Images come a sample at a time through PIL and a DataLoader without workers, as torchvision's MNIST
hands them out; only report R1's 200 observations are rows of a tensor. Nothing is drawn or saved.
The loops run on as many threads as torch takes by itself.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from gancli import data

LATENT = 100
CRITIC_STEPS = 5
PENALTY = 10.0

Losses = tuple[Tensor, Tensor]
Optimizers = tuple[torch.optim.Optimizer, torch.optim.Optimizer]


@dataclasses.dataclass
class Game:
    """Two networks and what moves them."""

    generator: nn.Module
    discriminator: nn.Module
    generator_optimizer: torch.optim.Optimizer
    discriminator_optimizer: torch.optim.Optimizer
    last_g_loss: Tensor = dataclasses.field(default_factory=lambda: torch.zeros(()))


@dataclasses.dataclass(frozen=True)
class PlainLoop:
    """One loop: its networks, its optimisers, its images and its step.

    Attributes:
        networks: makes generator and discriminator.
        optimize: makes the optimisers of both.
        batches: yields real images without end; takes a digit, or None for all.
        step: (game, real images, number of the step) -> losses of D and G.
    """

    networks: Callable[[], tuple[nn.Module, nn.Module]]
    optimize: Callable[[nn.Module, nn.Module], Optimizers]
    batches: Callable[[int | None], Iterator[Tensor]]
    step: Callable[[Game, Tensor, int], Losses]

    def game(self, device: str = "cpu") -> Game:
        """Return fresh networks and optimisers."""
        generator, discriminator = (network.to(device) for network in self.networks())
        return Game(generator, discriminator, *self.optimize(generator, discriminator))


class Pictures(Dataset[tuple[Tensor, int]]):
    """Digits as torchvision's MNIST and transforms make them: one at a time, through PIL."""

    def __init__(self, digit: int | None, size: int, signed: bool) -> None:
        images = data.load("mnist").train
        if digit is not None:
            images = images.of_class(digit)
        assert images.labels is not None
        self.images, self.labels = images.images[:, 0], images.labels
        self.size, self.signed = size, signed

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture = Image.fromarray(self.images[index].numpy())
        if picture.size != (self.size, self.size):
            picture = picture.resize((self.size, self.size), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(picture))[..., None].permute(2, 0, 1).contiguous()
        scaled = pixels.float().div(255)
        if self.signed:
            middle, spread = torch.tensor([0.5])[:, None, None], torch.tensor([0.5])[:, None, None]
            scaled = scaled.sub(middle).div(spread)
        return scaled, int(self.labels[index])


def pictures(
    batch: int, size: int = 28, signed: bool = True
) -> Callable[[int | None], Iterator[Tensor]]:
    def forever(digit: int | None) -> Iterator[Tensor]:
        loader = DataLoader(Pictures(digit, size, signed), batch, shuffle=True)
        while True:
            for images, _ in loader:
                yield images

    return forever


def random_rows(batch: int) -> Callable[[int | None], Iterator[Tensor]]:
    def forever(digit: int | None) -> Iterator[Tensor]:
        images = data.load("mnist").train
        if digit is not None:
            images = images.of_class(digit)
        pixels = images.images.float().div(255)
        while True:
            yield pixels[torch.randint(len(pixels), (batch,))]

    return forever


def dense(sizes: list[int], *, norms: bool = False) -> list[nn.Module]:
    """Return dense layers with leaky rectifiers between, and batch norms but after the first."""
    layers: list[nn.Module] = []
    for number, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        if number:
            layers.append(nn.LeakyReLU(0.2, inplace=True))
        layers.append(nn.Linear(inputs, outputs))
        if norms and 0 < number < len(sizes) - 2:
            layers.append(nn.BatchNorm1d(outputs, 0.8))  # 0.8 is its eps, as there
    return layers


def picture_of(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers, nn.Unflatten(1, (1, 28, 28)))


def critic_networks() -> tuple[nn.Module, nn.Module]:
    generator = dense([LATENT, 128, 256, 512, 1024, 784], norms=True)
    critic = nn.Sequential(nn.Flatten(), *dense([784, 512, 256, 1]))
    return picture_of(*generator, nn.Tanh()), critic


def mlp_networks() -> tuple[nn.Module, nn.Module]:
    generator, critic = critic_networks()
    return generator, nn.Sequential(critic, nn.Sigmoid())


def dcgan_networks() -> tuple[nn.Module, nn.Module]:
    generator = nn.Sequential(
        nn.Linear(LATENT, 128 * 8 * 8),
        nn.Unflatten(1, (128, 8, 8)),
        nn.BatchNorm2d(128),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(128, 128, 3, padding=1),
        nn.BatchNorm2d(128, 0.8),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(128, 64, 3, padding=1),
        nn.BatchNorm2d(64, 0.8),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(64, 1, 3, padding=1),
        nn.Tanh(),
    )
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise([1, 16, 32, 64, 128]):
        layers += [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
        layers.append(nn.Dropout2d(0.25))
        if inputs > 1:
            layers.append(nn.BatchNorm2d(outputs, 0.8))
    discriminator = nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 2 * 2, 1), nn.Sigmoid())
    for module in [*generator, *discriminator]:
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
    return generator, discriminator


def r4_networks() -> tuple[nn.Module, nn.Module]:
    generator = dense([LATENT, 128, 256, 512, 1024, 784])
    discriminator = dense([784, 1024, 512, 256, 128, 1])
    return (
        picture_of(*generator, nn.Tanh()),
        nn.Sequential(nn.Flatten(), *discriminator, nn.Sigmoid()),
    )


def r5_networks() -> tuple[nn.Module, nn.Module]:
    generator = nn.Sequential(
        nn.Linear(LATENT, 128 * 7 * 7),
        nn.LeakyReLU(0.2),
        nn.Unflatten(1, (128, 7, 7)),
        nn.ConvTranspose2d(128, 128, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.ConvTranspose2d(128, 128, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(128, 1, 7, padding=3),
        nn.Sigmoid(),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(1, 64, 3, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Dropout(0.4),
        nn.Conv2d(64, 64, 3, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Dropout(0.4),
        nn.Flatten(),
        nn.Linear(64 * 7 * 7, 1),
        nn.Sigmoid(),
    )
    return generator, discriminator


def r1_networks() -> tuple[nn.Module, nn.Module]:
    drawing, judging = nn.Linear(LATENT, 784), nn.Linear(784, 1)
    for layer in (drawing, judging):
        nn.init.normal_(layer.weight, 0.0, 0.1)
        nn.init.zeros_(layer.bias)
    discriminator = nn.Sequential(nn.Flatten(), judging, nn.Sigmoid())
    return picture_of(drawing, nn.ReLU()), discriminator


def adam(generator: nn.Module, discriminator: nn.Module) -> Optimizers:
    return (
        torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999)),
        torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999)),
    )


def r1_sgd(generator: nn.Module, discriminator: nn.Module) -> Optimizers:
    """Return R1's descent as gancli's recipe reads it; its rates cost no time."""
    return (
        torch.optim.SGD(generator.parameters(), lr=0.2),
        torch.optim.SGD(discriminator.parameters(), lr=0.001),
    )


cross_entropy = nn.BCELoss()


def noise(count: int, device: torch.device) -> Tensor:
    return torch.from_numpy(np.random.normal(0, 1, (count, LATENT))).float().to(device)


def truth(real: Tensor) -> tuple[Tensor, Tensor]:
    """Return what D is to say of real images and of fakes."""
    return (
        torch.ones(len(real), 1, device=real.device),
        torch.zeros(len(real), 1, device=real.device),
    )


def generator_first(game: Game, real: Tensor, number: int) -> Losses:
    """gan.py and dcgan.py: G learns, then D from the same fakes."""
    ones, zeros = truth(real)
    game.generator_optimizer.zero_grad()
    fake = game.generator(noise(len(real), real.device))
    g_loss = cross_entropy(game.discriminator(fake), ones)
    g_loss.backward()
    game.generator_optimizer.step()

    game.discriminator_optimizer.zero_grad()
    real_loss = cross_entropy(game.discriminator(real), ones)
    fake_loss = cross_entropy(game.discriminator(fake.detach()), zeros)
    d_loss = (real_loss + fake_loss) / 2
    d_loss.backward()
    game.discriminator_optimizer.step()
    return d_loss, g_loss


def critic_first(game: Game, real: Tensor, number: int) -> Losses:
    """wgan_gp.py: the critic learns; every fifth time G does, from the same noise drawn anew."""
    game.discriminator_optimizer.zero_grad()
    latents = noise(len(real), real.device)
    fake = game.generator(latents)
    real_mean, fake_mean = game.discriminator(real).mean(), game.discriminator(fake).mean()
    penalty = length_penalty(game.discriminator, real, fake.detach())
    d_loss = fake_mean - real_mean + PENALTY * penalty
    d_loss.backward()
    game.discriminator_optimizer.step()

    game.generator_optimizer.zero_grad()
    if number % CRITIC_STEPS == 0:
        game.last_g_loss = -game.discriminator(game.generator(latents)).mean()
        game.last_g_loss.backward()  # type: ignore[no-untyped-call]
        game.generator_optimizer.step()
    return d_loss, game.last_g_loss


def length_penalty(discriminator: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    share = torch.from_numpy(np.random.random((len(real), 1, 1, 1))).float().to(real.device)
    between = (share * real + (1 - share) * fake).requires_grad_()
    logits = discriminator(between)
    (gradient,) = torch.autograd.grad(logits, between, torch.ones_like(logits), create_graph=True)
    lengths: Tensor = gradient.flatten(1).norm(2, dim=1)
    return (lengths - 1).square().mean()


def discriminator_first(game: Game, real: Tensor, number: int) -> Losses:
    """R4 and R1: D learns, then G from the same fakes."""
    ones, zeros = truth(real)
    fake = game.generator(torch.randn(len(real), LATENT, device=real.device))
    game.discriminator_optimizer.zero_grad()
    d_loss = cross_entropy(game.discriminator(real), ones)
    d_loss = d_loss + cross_entropy(game.discriminator(fake.detach()), zeros)
    d_loss.backward()
    game.discriminator_optimizer.step()

    game.generator_optimizer.zero_grad()
    g_loss = cross_entropy(game.discriminator(fake), ones)
    g_loss.backward()
    game.generator_optimizer.step()
    return d_loss, g_loss


def tutorial(game: Game, real: Tensor, number: int) -> Losses:
    """R5: D learns from real and fake in one batch, then G from twice as many fakes of its own."""
    half = len(real)
    with torch.no_grad():
        fake = game.generator(torch.randn(half, LATENT, device=real.device))
    labels = torch.cat(truth(real))
    game.discriminator_optimizer.zero_grad()
    d_loss = cross_entropy(game.discriminator(torch.cat([real, fake])), labels)
    d_loss.backward()
    game.discriminator_optimizer.step()

    game.generator_optimizer.zero_grad()
    fake = game.generator(torch.randn(2 * half, LATENT, device=real.device))
    ones, _ = truth(fake)
    g_loss = cross_entropy(game.discriminator(fake), ones)
    g_loss.backward()
    game.generator_optimizer.step()
    return d_loss, g_loss


LOOPS = {
    "peer-mlp": PlainLoop(mlp_networks, adam, pictures(64), generator_first),
    "peer-dcgan": PlainLoop(dcgan_networks, adam, pictures(64, 32), generator_first),
    "peer-wgan-gp": PlainLoop(critic_networks, adam, pictures(64), critic_first),
    "r4-base": PlainLoop(r4_networks, adam, pictures(128), discriminator_first),
    "r5-base": PlainLoop(r5_networks, adam, pictures(128, signed=False), tutorial),
    "r1-fc": PlainLoop(r1_networks, r1_sgd, random_rows(200), discriminator_first),
}


def run(
    name: str,
    *,
    digit: int | None = None,
    seconds: float | None = None,
    steps: int | None = None,
    device: str = "cpu",
) -> dict[str, Any]:
    """Train for so many seconds after a step that warms up, or for so many steps from the first.

    Returns:
        ``images``, ``steps``, ``seconds`` (loading among them) and ``peak_memory_bytes``.
    """
    loop = LOOPS[name]
    torch.manual_seed(0)
    np.random.seed(0)
    game, batches = loop.game(device), loop.batches(digit)
    first = next(batches).to(device)  # reads the data set
    if steps is None:
        loop.step(game, first, 0)
    images, number, began = 0, 0, time.perf_counter()
    while number < steps if steps is not None else time.perf_counter() - began < (seconds or 0):
        real = next(batches).to(device)
        d_loss, g_loss = loop.step(game, real, number)
        number, images = number + 1, images + len(real)
        print(f"step {number}  D {d_loss.item():f}  G {g_loss.item():f}", file=sys.stderr)
    taken = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "images": images,
        "steps": number,
        "seconds": taken,
        "peak_memory_bytes": peak if sys.platform == "darwin" else peak * 1024,
    }


def main() -> None:
    layout = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("loop", choices=LOOPS)
    parser.add_argument("--digit", type=int, help="train on one digit alone")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--seconds", type=float)
    length.add_argument("--steps", type=int)
    wanted = parser.parse_args()
    length_of = {"seconds": wanted.seconds, "steps": wanted.steps}
    result = run(wanted.loop, digit=wanted.digit, device=wanted.device, **length_of)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
