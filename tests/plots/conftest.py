from __future__ import annotations

import pytest
from tiny import TinyConfig, TrainRun

from gancli.runs import RunDirectory


@pytest.fixture(scope="session")
def point_run(
    tiny_config: TinyConfig, train_run: TrainRun, tmp_path_factory: pytest.TempPathFactory
) -> RunDirectory:
    """A finished run of report R3's smallest GAN on one point. Tests leave it as it is."""
    wanted = tiny_config(
        {
            "data.source": "point",
            "latent.size": 1,
            "generator.layers": ["dense 2", "sigmoid", "dense 2", "sigmoid"],
            "generator.ema_half_life": 0.0,
            "discriminator.layers": ["dense 2", "sigmoid", "dense 1"],
            "training.steps": 40,
            "record.keep_every": "auto",
            "record.log_every": 0.01,
            "generator_optimizer.lr": 0.1,
        }
    )
    return train_run(wanted, tmp_path_factory.mktemp("runs") / "one-point").run
