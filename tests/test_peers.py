"""The work that bench/speed.py measures is the same work in a recipe and in a plain loop."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch
from tiny import OfBench

from gancli import api, recipes
from gancli.networks import build_discriminator, build_generator, parameters
from gancli.preparing import resolve
from gancli.runs import Status

PEERS = [name for name in recipes.names() if name.startswith("peer-")]
WORKS = [*PEERS, "r1-fc", "r4-base", "r5-base"]


@pytest.fixture
def plain(of_bench: OfBench) -> ModuleType:
    return of_bench("plain_loops")


def test_every_peer_has_a_plain_loop(plain: ModuleType) -> None:
    assert sorted(plain.LOOPS) == sorted(WORKS)
    assert len(PEERS) == 3


@pytest.mark.parametrize("name", WORKS)
def test_both_sides_train_networks_of_the_same_weights_and_shapes(
    plain: ModuleType, name: str
) -> None:
    config = resolve(api.describe(name), classes=10)
    ours = build_generator(config), build_discriminator(config)
    theirs = plain.LOOPS[name].networks()
    for one, other in zip(ours, theirs, strict=True):
        shapes = [[tuple(weight.shape) for weight in net.parameters()] for net in (one, other)]
        assert shapes[0] == shapes[1]
        assert parameters(one) == parameters(other) > 700
    images = ours[0](torch.randn(4, config.latent.size))
    drawn = theirs[0](torch.randn(4, plain.LATENT))
    assert images.shape == drawn.shape == (4, *config.data.sample_shape)
    assert ours[1](images).shape == theirs[1](drawn)[:, 0].shape == (4,)


@pytest.mark.parametrize("name", WORKS)
def test_both_sides_draw_the_same_once_they_have_the_same_weights(
    plain: ModuleType, name: str
) -> None:
    """The layers between the weights agree too: batch norms, slopes, upsampling."""
    config = resolve(api.describe(name), classes=10)
    ours = build_generator(config), build_discriminator(config)
    theirs = plain.LOOPS[name].networks()
    seen = torch.randn(6, plain.LATENT)
    for one, other in zip(ours, theirs, strict=True):
        with torch.no_grad():
            for weight, copied in zip(one.parameters(), other.parameters(), strict=True):
                weight.copy_(copied)
        for network in (one, other):
            network.train()
            for module in network.modules():
                if isinstance(module, torch.nn.Dropout | torch.nn.Dropout2d):
                    module.eval()
        drawn, wanted = one(seen), other(seen)
        if wanted.ndim == 2:  # a probability there, or a critic's verdict, is a logit here
            wanted = wanted[:, 0] if name == "peer-wgan-gp" else wanted[:, 0].logit()
        torch.testing.assert_close(drawn, wanted, atol=1e-4, rtol=1e-3)
        seen = wanted.detach()


@pytest.mark.parametrize("name", WORKS)
def test_a_plain_loop_learns_from_real_images_of_the_recipes_batch(
    plain: ModuleType, name: str
) -> None:
    config = api.describe(name)
    batch = next(plain.LOOPS[name].batches(7))
    size = config.data.image_size
    assert batch.shape == (config.training.batch_size, 1, size, size)
    low = -1 if config.data.pixel_range == "signed" else 0
    assert (float(batch.min()), float(batch.max())) == (low, 1)
    game = plain.LOOPS[name].game()
    before = [weight.clone() for weight in game.generator.parameters()]
    small = batch[:8]
    updates: dict[Any, int] = {}
    for optimizer in (game.generator_optimizer, game.discriminator_optimizer):
        optimizer.register_step_post_hook(lambda one, *_: updates.update({one: updates[one] + 1}))
        updates[optimizer] = 0
    for number in range(10):
        d_loss, g_loss = plain.LOOPS[name].step(game, small, number)
        assert torch.isfinite(d_loss)
        assert torch.isfinite(g_loss)
    assert list(updates.values()) == [10 // config.training.d_steps, 10]
    after = list(game.generator.parameters())
    assert all(not torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_a_plain_loop_tells_how_much_it_did_in_what_time(plain: ModuleType) -> None:
    told = plain.run("r1-fc", digit=7, steps=30, device="cpu")
    assert (told["images"], told["steps"]) == (6_000, 30)
    assert 0.001 < told["seconds"] < 60
    assert 5e7 < told["peak_memory_bytes"] < 1e10
    assert plain.run("r1-fc", digit=7, seconds=0.05)["seconds"] >= 0.05


def test_pictures_are_those_of_the_data_set(plain: ModuleType) -> None:
    images = plain.data.load("mnist").train
    picture, label = plain.Pictures(None, 28, True)[11]
    assert label == int(images.labels[11])
    torch.testing.assert_close((picture + 1) / 2 * 255, images.images[11].float())
    resized, _ = plain.Pictures(None, 32, False)[11]
    ours = plain.data.load("mnist", image_size=32).train.images[11].float() / 255
    assert resized.shape == (1, 32, 32)
    assert float((resized - ours).abs().max()) < 0.02  # two programs that resize


@pytest.mark.parametrize("name", PEERS)
def test_the_peers_recipes_train(name: str) -> None:
    settings = {
        "training.batch_size": 4,
        "training.images_per_epoch": 20,
        "training.epochs": 2,
        "training.threads": 1,
        "record.frame_every": 1.0,
        "record.log_every": 1.0,
        "record.frame_rows": 2,
    }
    outcome = api.train(name, settings=settings, device="cpu")
    assert outcome.status is Status.FINISHED
    assert [record["epoch"] for record in outcome.run.read_log()] == [1, 2]
    config = api.describe(name)
    assert config.preview_epochs is not None
    assert config.preview_epochs < (config.training.epochs or 0)
    assert api.load(name).sample(range(3)).shape == (3, *config.data.sample_shape)
