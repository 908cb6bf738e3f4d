"""Every test runs offline, in a folder of its own, on one thread of the CPU."""

from __future__ import annotations

import importlib
import socket
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import HealthCheck, settings
from tiny import TINY, OfBench, TinyConfig, TrainRun, WriteIdx

from gancli import config, session
from gancli.config import RunConfig
from gancli.observing import Observer
from gancli.placement import Outcome, Placement
from gancli.runs import RunDirectory

settings.register_profile(
    "gancli",
    deadline=None,
    database=None,
    derandomize=True,
    print_blob=False,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("gancli")


@pytest.fixture(scope="session", autouse=True)
def _without_gpu() -> Iterator[None]:
    """Hide GPUs from this process and from those it starts: figures are those of the CPU."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        yield


@pytest.fixture(scope="session", autouse=True)
def _offline() -> Iterator[None]:
    """Refuse every connection but those to this machine."""
    connect = socket.socket.connect

    def loopback_only(self: socket.socket, address: Any) -> None:
        internet = self.family in (socket.AF_INET, socket.AF_INET6)
        if internet and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test wants to reach {address}")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", loopback_only)
        yield


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GANCLI_DEBUG", raising=False)
    monkeypatch.setenv("GANCLI_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def of_bench(monkeypatch: pytest.MonkeyPatch) -> OfBench:
    """Import a module of bench/ by its name, as the scripts there import each other."""

    def load(name: str) -> ModuleType:
        monkeypatch.syspath_prepend(Path(__file__).parent.parent / "bench")
        return importlib.import_module(name)

    return load


@pytest.fixture(scope="session")
def write_idx() -> WriteIdx:
    """Write an array of bytes as an IDX file."""

    def write(path: Path, array: npt.NDArray[np.uint8]) -> Path:
        header = struct.pack(f">HBB{array.ndim}I", 0, 0x08, array.ndim, *array.shape)
        path.write_bytes(header + array.tobytes())
        return path

    return write


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory, write_idx: WriteIdx) -> Path:
    """48 noisy pictures of 8 x 8 in 3 classes, told apart by their brightness."""
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    labels = np.arange(48, dtype=np.uint8) % 3
    noise = random.integers(0, 60, (48, 8, 8))
    images = (noise + 90 * labels[:, None, None]).astype(np.uint8)
    write_idx(folder / "tiny-labels-idx1-ubyte", labels)
    return write_idx(folder / "tiny-images-idx3-ubyte", images)


@pytest.fixture(scope="session")
def tiny_config(tiny_data: Path) -> TinyConfig:
    """Make the config of a run of 12 steps (6 an epoch) that takes a fraction of a second.

    Takes dotted keys, as ``tiny_config({"loss.r1": 1.0})``; None takes a key out.
    """

    def make(changes: Mapping[str, Any] | None = None) -> RunConfig:
        table: config.Table = {}
        for key, value in {**TINY, "data.source": str(tiny_data), **(changes or {})}.items():
            config.set_key(table, key, value)
        return config.from_table(config.without_none(table))

    return make


@pytest.fixture(scope="session")
def train_run() -> TrainRun:
    """Train a config into a folder, or resume it there, in this process on the CPU."""

    def train(
        wanted: RunConfig, folder: Path, *, observer: Observer | None = None, **placement: Any
    ) -> Outcome:
        where = Placement(RunDirectory(folder), "cpu", **placement)
        return session.train(wanted, where, observer or Observer())

    return train


@pytest.fixture(scope="session")
def tiny_run(
    tiny_config: TinyConfig, train_run: TrainRun, tmp_path_factory: pytest.TempPathFactory
) -> RunDirectory:
    """A finished run, conditional on 3 classes. Tests leave it as it is."""
    return train_run(tiny_config(), tmp_path_factory.mktemp("runs") / "tiny").run


@pytest.fixture(scope="session")
def tiny_digit_run(
    tiny_config: TinyConfig, train_run: TrainRun, tmp_path_factory: pytest.TempPathFactory
) -> RunDirectory:
    """A finished run on class 1 alone. Tests leave it as it is."""
    wanted = tiny_config({"data.digit": 1})
    return train_run(wanted, tmp_path_factory.mktemp("runs") / "tiny-digit-1").run


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
