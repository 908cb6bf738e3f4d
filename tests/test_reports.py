from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from gancli import api, checkpoints, recipes, sampling
from gancli.errors import ConfigError
from gancli.losses import cross_entropy
from gancli.networks import build_discriminator, build_generator, has_batch_statistics
from gancli.networks.layers import ImageShape, build_layers
from gancli.preparing import resolve
from gancli.runs import Status, default_name

REPORTS = [name for name in recipes.names() if name[0] == "r" and name[1].isdigit()]
SMALL = {
    "training.batch_size": 4,
    "training.images_per_epoch": 20,
    "training.epochs": 3,
    "training.threads": 1,
    "record.frame_every": 1.0,
    "record.log_every": 1.0,
    "record.frame_rows": 2,
}


def parts(name: str) -> tuple[torch.nn.Module, torch.nn.Module]:
    config = resolve(api.describe(name), classes=10)
    return build_generator(config), build_discriminator(config)


def changed(name: str, base: str) -> set[str]:
    """Return the tables in which a recipe differs from another, less what only describes it.

    Less, too, whether 16 bits are tried, which is asked of each recipe by itself.
    """
    one, other = recipes.read(name).table, recipes.read(base).table
    for table in (one, other):
        table["training"].pop("precision", None)
    told = {"recipe", "summary", "preview_epochs", "minutes"}
    return {key for key in one if one[key] != other.get(key)} - told


@pytest.mark.parametrize("name", REPORTS)
def test_every_recipe_trains_three_epochs_on_real_digits(name: str) -> None:
    own_batch = api.describe(name).training.generator_batch_size is not None
    smaller = {"training.generator_batch_size": 8} if own_batch else {}
    outcome = api.train(name, settings={**SMALL, **smaller}, device="cpu")
    assert outcome.status is Status.FINISHED
    log = outcome.run.read_log()
    assert [record["epoch"] for record in log] == [1, 2, 3]
    for record in log:
        assert all(-1e6 < value < 1e6 for value in record.values())
        assert 0 <= record["d_accuracy_real"] <= 1
    frames = sorted(outcome.run.frames.iterdir())
    assert len(frames) == 4
    trained = api.load(name)
    assert trained.sample(range(3)).shape == (3, *trained.config.data.sample_shape)
    first = sampling.load(checkpoints.snapshots(outcome.run.path)[0]).generator.state_dict()
    assert all(
        not torch.equal(first[key], value)
        for key, value in trained.generator.state_dict().items()
        if key.endswith("weight")
    )


@pytest.mark.parametrize("name", REPORTS)
def test_recipes_say_where_they_come_from_and_how_to_preview_them(name: str) -> None:
    config = api.describe(name)
    assert config.report == name[:2].upper()
    assert config.preview_epochs is not None
    assert config.preview_epochs <= (config.training.epochs or 0)
    assert config.data.conditional is False
    assert 8 <= len(config.summary) <= 60


@pytest.mark.parametrize(
    ("name", "base", "tables"),
    [
        ("r1-adam", "r1-fc", {"generator_optimizer", "discriminator_optimizer"}),
        ("r1-mlp", "r1-fc", {"generator", "discriminator"}),
        ("r1-damped", "r1-fc", {"loss"}),
        ("r2-2-leaky", "r2-1-baseline", {"generator", "discriminator"}),
        ("r2-4-normal-dropout", "r2-3-deeper", {"latent", "generator", "discriminator"}),
        ("r2-5-smoothing", "r2-4-normal-dropout", {"loss"}),
        ("r2-6-final", "r2-5-smoothing", {"discriminator", "training"}),
        ("r3-point-c", "r3-point-b", {"training"}),
        ("r3-point-d", "r3-point-b", {"generator_optimizer", "discriminator_optimizer"}),
        ("r3-digits-dense", "r3-true-image-dense", {"data"}),
        (
            "r3-true-image-standard-normal",
            "r3-true-image-dense",
            {"generator", "discriminator"},
        ),
        ("r3-digits-adam", "r3-digits-dense", {"generator_optimizer", "discriminator_optimizer"}),
        ("r3-digits-he", "r3-digits-dense", {"generator", "discriminator"}),
        ("r3-digits-dropout", "r3-digits-dense", {"discriminator"}),
        ("r3-digits-squared-error", "r3-digits-dense", {"loss"}),
        ("r4-g-dropout", "r4-base", {"generator"}),
        ("r4-d-dropout-40", "r4-base", {"discriminator"}),
        ("r4-sgd-d", "r4-base", {"discriminator_optimizer"}),
        ("r4-unscaled", "r4-base", {"data"}),
        ("r4-uniform", "r4-base", {"latent"}),
        ("r5-latent-50", "r5-base", {"latent"}),
        ("r5-smooth", "r5-base", {"loss"}),
        ("r5-unrolled", "r5-base", {"training"}),
    ],
)
def test_a_variant_changes_what_it_is_about_and_no_more(
    name: str, base: str, tables: set[str]
) -> None:
    assert changed(name, base) == tables


def test_r2_and_r4_have_the_sizes_of_their_reports() -> None:
    generator, discriminator = parts("r2-6-final")
    widths = [
        module.out_features for module in generator.modules() if hasattr(module, "out_features")
    ]
    assert widths == [256, 512, 1024, 784]
    widths = [m.out_features for m in discriminator.modules() if hasattr(m, "out_features")]
    assert widths == [1024, 512, 256, 1]
    generator, discriminator = parts("r4-base")
    widths = [
        module.out_features for module in generator.modules() if hasattr(module, "out_features")
    ]
    assert widths == [128, 256, 512, 1024, 784]


def test_rung_four_draws_its_first_layers_from_a_normal_law() -> None:
    torch.manual_seed(0)
    for network in parts("r2-4-normal-dropout"):
        first = next(module for module in network.modules() if isinstance(module, torch.nn.Linear))
        assert 0.0195 < float(first.weight.detach().std()) < 0.0205
        assert float(first.bias.detach().abs().max()) == 0


def test_r3_has_the_sizes_of_its_report() -> None:
    def widths(network: torch.nn.Module) -> list[int]:
        layers = [m for m in network.modules() if isinstance(m, torch.nn.Linear)]
        return [layers[0].in_features, *(layer.out_features for layer in layers)]

    assert [widths(network) for network in parts("r3-point-a")] == [[1, 2, 2], [2, 1]]
    assert [widths(network) for network in parts("r3-point-d")] == [[1, 2, 2], [2, 2, 1]]
    for name in ("r3-true-image-dense", "r3-digits-dense"):
        generator, discriminator = parts(name)
        assert widths(generator) == [10, 200, 200, 100, 100]
        assert widths(discriminator) == [100, 200, 200, 200, 200, 1]
    for name, spread in (("r3-true-image-standard-normal", 1.0), ("r3-digits-dense", 0.3)):
        weights = [w.detach() for w in parts(name)[1].parameters() if w.ndim == 2]
        assert all(0.9 < float(w.std()) / spread < 1.1 for w in weights[:-1])


def test_r3s_transposed_convolution_from_its_parts_has_as_many_weights() -> None:
    """Zeros between pixels and around them, and a plain convolution: the same first layer."""
    whole, made = (parts(name)[0] for name in ("r3-digits-conv", "r3-digits-conv-parts"))
    first = [
        next(m for m in net.modules() if isinstance(m, kind))
        for net, kind in ((whole, torch.nn.ConvTranspose2d), (made, torch.nn.Conv2d))
    ]
    assert first[0].weight.numel() == first[1].weight.numel()


def test_the_tutorial_network_has_the_parameters_of_the_tutorial() -> None:
    generator, discriminator = parts("r5-base")
    assert sum(weight.numel() for weight in generator.parameters()) == 1_164_289
    assert sum(weight.numel() for weight in discriminator.parameters()) == 40_705


def test_smoothed_cross_entropy_is_that_of_the_field() -> None:
    logits = torch.linspace(-6, 6, 31, dtype=torch.float64)
    labels = torch.linspace(0, 1.2, 31, dtype=torch.float64)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)
    torch.testing.assert_close(cross_entropy(logits, labels), expected)


def test_minibatch_discrimination_counts_the_likeness_of_others() -> None:
    module, shape = build_layers(["minibatch_discrimination 3 2"], (5,), ImageShape(1, 28), "d")
    assert shape == (8,)
    alike: Tensor = module(torch.ones(4, 5))
    torch.testing.assert_close(alike[:, 5:], torch.full((4, 3), 3.0))  # the three others
    far: Tensor = module(torch.arange(4.0)[:, None].repeat(1, 5) * 1e6)
    torch.testing.assert_close(far[:, 5:], torch.zeros(4, 3), atol=1e-6, rtol=0)
    assert has_batch_statistics(module)


def test_smoothing_makes_exact_matches_impossible_and_leaves_accuracy(tmp_path: Path) -> None:
    outcome = api.train("r2-5-smoothing", settings=SMALL, runs_dir=tmp_path)
    plain = api.train("r2-4-normal-dropout", settings=SMALL, runs_dir=tmp_path)
    for smoothed, record in zip(outcome.run.read_log(), plain.run.read_log(), strict=True):
        assert smoothed["d_match_real"] == smoothed["d_match_fake"] == 0
        assert record["d_match_real"] == record["d_accuracy_real"] > 0


def test_a_preview_is_a_run_of_its_own() -> None:
    config = api.describe("r2-6-final", preview=True)
    assert config.training.epochs == config.preview_epochs == 8
    assert default_name(config, preview=True) == "r2-6-final-preview"
    assert default_name(api.describe("r2-6-final")) == "r2-6-final"
    with pytest.raises(ConfigError, match="short enough"):
        api.describe("digit", digit=7, preview=True)
