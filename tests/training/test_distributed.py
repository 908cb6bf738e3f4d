"""Several processes train as one would, and end together."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import (
    Done,
    Lab,
    call,
    ended,
    environment,
    lab,
    made,
    refused,
    started,
    status_of,
    wait_until,
)
from tiny import TinyConfig, TrainRun
from torch import Tensor

from gancli import api, checkpoints, ranks
from gancli.config import RunConfig
from gancli.errors import ConfigError
from gancli.observing import Observer
from gancli.runs import RunDirectory
from gancli.training.distributed import Team, check_shares, joined
from gancli.training.state import FIGURES

__all__ = ["lab"]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="gloo and Unix signals")

WORKER = Path(__file__).parent / "team_worker.py"
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
ENDLESS = ["--steps", "1000000"]
RUN = Path("checkpoints/a")

UNCONDITIONAL = {"data.conditional": False}
VARIANTS: dict[str, dict[str, Any]] = {
    "non-saturating, conditional": {},
    "relativistic with r1 and r2": {
        "loss.name": "relativistic",
        "loss.r1": 1.0,
        "loss.r2": 0.5,
        "loss.penalty_final": 0.1,
        "generator_optimizer.lr_final": 1e-4,
    },
    "wasserstein with a gradient penalty": {
        **UNCONDITIONAL,
        "loss.name": "wasserstein",
        "loss.gradient_penalty": 10.0,
        "training.d_steps": 2,
        "training.reuse_fakes": False,
        "latent.law": "uniform",
    },
    "elastic images": {**UNCONDITIONAL, "data.elastic": 0.1, "training.d_steps": 2},
    "label smoothing and instance noise": {
        "loss.real_labels": [0.7, 1.2],
        "loss.fake_labels": [0.0, 0.3],
        "discriminator.input_noise": 0.3,
        "discriminator.shift": 0.2,
    },
    "a larger batch for G": {**UNCONDITIONAL, "training.generator_batch_size": 20},
    "hinge by momentum": {
        "loss.name": "hinge",
        "generator_optimizer.name": "momentum",
        "discriminator_optimizer.name": "momentum",
        "generator_optimizer.weight_decay": 0.01,
    },
}
VARIANTS["dropout"] = {
    "generator.layers": [
        "dense 4 size/4 size/4",
        *("dropout 0.1", "leaky_relu 0.2", "upsample 2", "conv 4 3", "dropout 0.2"),
        *("leaky_relu 0.2", "upsample 2", "conv channels 3", "tanh"),
    ],
    "discriminator.layers": [
        *("conv 4 4 stride=2", "leaky_relu 0.2", "dropout 0.4", "conv 6 3", "channel_dropout 0.3"),
        *("leaky_relu 0.2", "flatten", "dense 8", "dropout 0.2", "dense 1"),
    ],
}
VARIANTS["dropout, a wider batch for G"] = {
    **VARIANTS["dropout"],
    **VARIANTS["a larger batch for G"],
}
VARIANTS["dropout without autograd"] = {
    **UNCONDITIONAL,
    "loss.r1": 1.0,
    "generator.layers": ["dense 64", "dropout 0.2", "reshape 1 8 8", "tanh"],
    "discriminator.layers": ["flatten", "dense 8", "dropout 0.4", "dense 1"],
}
# A relativistic loss sees differences of logits, and these shift all alike: their gradients are
# rounding errors, which Adam makes into steps. What is read off the sign of a logit goes with them.
UNSEEN = ("discriminator.body.3.bias", "discriminator.body.5.bias")


def steps_of_20(tiny_config: TinyConfig, changes: dict[str, Any]) -> RunConfig:
    return tiny_config({"training.steps": 20, **changes})


# Processes, with what torchrun would tell them.


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def places(size: int = 2) -> list[dict[str, str]]:
    """Return the environment of each of some processes that meet on this machine."""
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    if sys.platform == "linux":
        meeting["GLOO_SOCKET_IFNAME"] = "lo"
    sizes = {"WORLD_SIZE": str(size), "LOCAL_WORLD_SIZE": str(size)}
    return [{**meeting, **sizes, "RANK": f"{n}", "LOCAL_RANK": f"{n}"} for n in range(size)]


def team(jobs: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Train jobs in turn in two processes, and return what each of them came to by rank."""
    running = [
        subprocess.Popen(
            [sys.executable, str(WORKER), json.dumps(jobs)],
            env=environment(**place),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for place in places()
    ]
    done = [ended(process) for process in running]
    for one in done:
        assert one.code == 0, one.stderr
    return [[json.loads(line) for line in one.stdout.splitlines()] for one in done]


def job(config: RunConfig, folder: Path, **changes: Any) -> dict[str, Any]:
    return {"config": config.to_table(), "folder": str(folder), **changes}


@contextlib.contextmanager
def two_started(*words: object, cwd: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Give a command to two processes that train together."""
    first, second = places()
    with started(*words, cwd=cwd, **first) as one, started(*words, cwd=cwd, **second) as other:
        yield [one, other]


def two(*words: object, cwd: Path) -> list[Done]:
    with two_started(*words, cwd=cwd) as running:
        return [ended(process) for process in running]


def has_saved(run: Path = RUN) -> bool:
    return any(run.glob("state-*.sha256"))


class Warned(Observer):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warned(self, message: str) -> None:
        self.warnings.append(message)


# They come to the same as one.


@pytest.fixture(scope="module")
def by_two(
    tiny_config: TinyConfig, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, RunDirectory]:
    """Every variant, trained by two processes."""
    folder = tmp_path_factory.mktemp("two")
    runs = {name: RunDirectory(folder / str(n)) for n, name in enumerate(VARIANTS)}
    jobs = [job(steps_of_20(tiny_config, VARIANTS[name]), run.path) for name, run in runs.items()]
    first, second = team(jobs)
    assert [(end["status"], end["step"]) for end in first] == [("finished", 20)] * len(jobs)
    assert [(end["status"], end["step"]) for end in second] == [("finished", 20)] * len(jobs)
    return runs


def tensors(run: RunDirectory) -> dict[str, Tensor]:
    return checkpoints.load(checkpoints.states(run.path)[0]).tensors


def assert_close(run: RunDirectory, other: RunDirectory) -> None:
    """Hold two runs to 1e-4 in everything learned and logged, and to equal random numbers."""
    ours, theirs = tensors(run), tensors(other)
    assert ours.keys() == theirs.keys()
    pairs = run.read_config().loss.name == "relativistic"
    for name, tensor in ours.items():
        if pairs and name in UNSEEN:
            torch.testing.assert_close(tensor, theirs[name], atol=0.02, rtol=0, msg=name)
        elif tensor.is_floating_point():
            torch.testing.assert_close(tensor, theirs[name], atol=1e-4, rtol=0, msg=name)
        else:
            assert torch.equal(tensor, theirs[name]), name
    lines = list(zip(run.read_log(), other.read_log(), strict=True))
    assert len(lines) > 3
    for ours_line, theirs_line in lines:
        for figure in ("step", "images", *FIGURES):
            unseen = pairs and figure.startswith(("d_match", "d_logit", "d_output"))
            within = {"abs": 0.2} if unseen else {"rel": 1e-4, "abs": 1e-4}
            assert ours_line[figure] == pytest.approx(theirs_line[figure], **within), figure


@pytest.mark.parametrize("variant", VARIANTS)
def test_two_processes_come_to_the_same_as_one(
    tiny_config: TinyConfig, train_run: TrainRun, by_two: dict[str, RunDirectory], variant: str
) -> None:
    config = steps_of_20(tiny_config, VARIANTS[variant])
    alone = train_run(config, Path("alone")).run
    assert_close(by_two[variant], alone)
    # They had far to go: what a process alone makes of half of every batch is another thing.
    half = {**VARIANTS[variant], "training.batch_size": 4}
    ours, others = (
        tensors(alone),
        tensors(train_run(steps_of_20(tiny_config, half), Path("half")).run),
    )
    assert max((ours[name] - others[name]).abs().max() for name in ours if "body" in name) > 1e-3


def test_two_processes_train_a_report_as_one(train_run: TrainRun, tmp_path: Path) -> None:
    settings = {"training.steps": 20, "training.threads": 1, "training.precision": "fp32"}
    wanted = api.describe("r4-base", settings={**settings, "record.log_every": 0.01})
    run = RunDirectory(tmp_path / "two")
    team([job(wanted, run.path)])
    assert_close(run, train_run(wanted, tmp_path / "one").run)


def test_only_the_first_writes_and_the_run_says_how_many_there_were(
    tiny_config: TinyConfig, train_run: TrainRun, by_two: dict[str, RunDirectory]
) -> None:
    two_wrote = by_two["non-saturating, conditional"]
    alone = train_run(steps_of_20(tiny_config, {}), Path("alone")).run

    def names(run: RunDirectory) -> set[str]:
        return {str(path.relative_to(run.path)) for path in run.path.rglob("*")}

    assert names(two_wrote) == names(alone)
    assert two_wrote.config_path.read_bytes() == alone.config_path.read_bytes()
    assert (two_wrote.read_status()["processes"], alone.read_status()["processes"]) == (2, 1)


def test_a_resumed_team_ends_as_one_in_a_piece(
    tiny_config: TinyConfig, train_run: TrainRun, tmp_path: Path
) -> None:
    config, dropping = (steps_of_20(tiny_config, changes) for changes in ({}, VARIANTS["dropout"]))
    first, second = team(
        [
            job(dropping, tmp_path / "whole"),
            job(dropping, tmp_path / "parts", stop_after=7),
            job(dropping, tmp_path / "parts"),
            job(dropping, tmp_path / "parts"),
            job(config, tmp_path / "moved", stop_after=7, stopping_rank=1),
        ]
    )
    # A finished run is found finished, by both.
    steps = [("finished", 20), ("interrupted", 7), *[("finished", 20)] * 2, ("interrupted", 7)]
    for ends in (first, second):
        assert [(end["status"], end["step"]) for end in ends] == steps
        assert [end["signal"] for end in ends] == [None, 15, None, None, 15]
    whole, parts = (
        tensors(RunDirectory(tmp_path / "whole")),
        tensors(RunDirectory(tmp_path / "parts")),
    )
    assert all(torch.equal(tensor, parts[name]) for name, tensor in whole.items())
    log = (tmp_path / "whole/log.jsonl").read_bytes()
    assert (tmp_path / "parts/log.jsonl").read_bytes() == log
    # One process goes on with what two began.
    watching = Warned()
    moved_run = train_run(config, tmp_path / "moved", observer=watching).run
    assert len(watching.warnings) == 1
    assert "processes was 2 and is 1 now" in watching.warnings[0]
    assert_close(moved_run, train_run(config, Path("alone")).run)


# What is refused.


def test_a_process_alone_needs_no_team(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert ranks.here() == ranks.Place(0, 1, 0, 1)
    for name, value in places(3)[2].items():
        monkeypatch.setenv(name, value)
    assert ranks.here() == ranks.Place(2, 3, 2, 3)
    monkeypatch.delenv("MASTER_PORT")
    assert ranks.here() == ranks.Place()


def test_parts_are_the_whole() -> None:
    batch = torch.arange(24.0).reshape(12, 2)
    for size in (1, 2, 3, 4, 6, 12):
        parts = [Team(rank, size).part(batch) for rank in range(size)]
        assert torch.equal(torch.cat(parts), batch)
        assert {Team(0, size).whole(part.shape) for part in parts} == {(12, 2)}


@pytest.mark.parametrize(
    ("changes", "processes", "words"),
    [
        ({"training.batch_size": 8}, 3, r"training.batch_size = 8 .* 3 processes; 6 and 9 would"),
        ({"training.batch_size": 2}, 3, r"; 3 would: --set training.batch_size=3"),
        (
            {**UNCONDITIONAL, "training.generator_batch_size": 9},
            2,
            r"training.generator_batch_size = 9 .*; 8 and 10 would",
        ),
        ({"training.unrolled_steps": 2}, 2, r"training.unrolled_steps = 2 .* set it to 0"),
        ({"training.threads": "adaptive"}, 2, r"adaptive .* --threads 1"),
    ],
)
def test_what_several_cannot_do_as_one_is_refused(
    tiny_config: TinyConfig, changes: dict[str, Any], processes: int, words: str
) -> None:
    config = tiny_config(changes)
    with pytest.raises(ConfigError, match=words):
        check_shares(config, None, processes)
    check_shares(config, None, 1)
    check_shares(tiny_config(), None, processes if processes == 2 else 4)


@pytest.mark.parametrize("layer", ["batch_norm", "minibatch_discrimination 4 3"])
def test_layers_that_compare_the_images_of_a_batch_are_refused(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, layer: str
) -> None:
    layers = json.dumps(["flatten", "dense 8", layer, "dense 1"])
    words = [*lab.tiny, "--dry-run", "--set", f"discriminator.layers={layers}"]
    made(*words)
    for name, value in places()[0].items():
        monkeypatch.setenv(name, value)
    assert f"'{layer.split(maxsplit=1)[0]}' compares the images of a whole batch" in refused(
        2, *words
    )


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--seed", "0,1"], "train one run together"),
        (["--jobs", "2"], "train one run together"),
        (["--on-failure", "reseed"], "--on-failure reseed"),
        (["--dry-run", "--set", "training.batch_size=15"], "14 and 16 would"),
    ],
)
def test_the_first_process_says_what_is_refused_and_the_others_are_silent(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, words: list[str], complaint: str
) -> None:
    words = [word for word in map(str, lab.tiny) if word not in ("--name", "a")] + words
    for name, value in places()[0].items():
        monkeypatch.setenv(name, value)
    assert complaint in refused(2, *words)
    monkeypatch.setenv("RANK", "1")
    assert call(*words, "--json") == Done(2, "", "")
    assert not Path("checkpoints").exists()


@pytest.mark.parametrize(
    ("device", "words"),
    [("mps", "trains with one process"), ("cuda", "2 processes on a machine of 1 GPUs")],
)
def test_a_device_that_has_no_place_for_all_is_refused(
    monkeypatch: pytest.MonkeyPatch, device: str, words: str
) -> None:
    for name, value in places()[0].items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match=words), joined(torch.device(device)):
        pytest.fail("it went on")


# They end together.


def test_a_failure_of_one_ends_all_with_its_reason_in_the_run(
    tiny_config: TinyConfig, tmp_path: Path
) -> None:
    config = tiny_config({"record.checkpoint_every_seconds": 0})
    diverging = tiny_config(
        {
            "loss.name": "least-squares",
            "discriminator_optimizer.name": "sgd",
            "discriminator_optimizer.lr": 30.0,
            "training.steps": 500,
        }
    )
    names = ("bug", "disk", "diverged", "bug", "bug", "unhealthy", "slow")
    folders = [tmp_path / name for name in names]
    first, second = team(
        [
            job(config, folders[0], failure="bug"),
            job(config, folders[1], failure="disk"),
            job(diverging, folders[2]),
            job(config, folders[3]),
            job(tiny_config({"training.seed": 1}), folders[4]),
            job(config, folders[5], unhealthy=True),
            job(config, folders[6], max_seconds=0.0),
        ]
    )
    codes = [1, 7, 5, 0, 6, 5, 0]
    assert [end["exit_code"] for end in first] == codes
    assert [end["exit_code"] for end in second] == codes
    assert first[0]["message"] == "rank 1 of 2: ValueError: not foreseen"
    assert first[1]["message"] == "rank 1 of 2: no memory here"
    assert "training diverged" in first[2]["message"]
    assert second[2]["message"] == first[2]["message"]
    assert "training.seed is 0 there and 1 here" in first[4]["message"]
    assert second[4]["message"] == f"rank 0 of 2: {first[4]['message']}"
    for number in (1, 2):
        assert status_of(folders[number])["status"] == "failed"
        assert status_of(folders[number])["error"] == first[number]["message"]
    assert first[5]["message"] == "stopped at step 6 of 12: it fails"
    assert status_of(folders[5])["status"] == "failed"
    assert [end["status"] for end in (first[6], second[6])] == ["paused", "paused"]
    assert [end["step"] for end in (first[6], second[6])] == [1, 1]
    # The bug came in the fifth step of the first session; the fourth job went on from there.
    assert [entry["first_step"] for entry in status_of(folders[3])["sessions"]] == [4]


def test_a_killed_process_ends_the_other(lab: Lab, tmp_path: Path) -> None:
    with two_started(*lab.tiny, *ENDLESS, cwd=tmp_path) as running:
        wait_until(has_saved, running[0])
        running[1].send_signal(signal.SIGKILL)
        killed = time.monotonic()
        done = ended(running[0])
        assert time.monotonic() - killed < 20
    assert done.code == 1
    assert "error: another of the 2 processes ended without a word" in done.stderr
    assert "Traceback" not in done.stderr
    assert status_of(RUN)["status"] == "failed"
    assert "without a word" in status_of(RUN)["error"]


def test_a_signal_to_one_saves_and_ends_both(lab: Lab, tmp_path: Path) -> None:
    with two_started(*lab.tiny, *ENDLESS, cwd=tmp_path) as running:
        wait_until(has_saved, running[0])
        running[1].send_signal(signal.SIGTERM)
        first, second = [ended(process) for process in running]
    assert (first.code, second.code) == (143, 143)
    assert first.made == RUN
    assert (second.stdout, second.stderr) == ("", "")
    status = status_of(RUN)
    assert status["status"] == "interrupted"
    assert (RUN / f"state-{status['step']:09d}.safetensors.sha256").exists()


def test_a_finished_run_is_found_finished_by_both(lab: Lab, tmp_path: Path) -> None:
    lab.copy(lab.finished, Path("checkpoints"))
    first, second = two(*lab.tiny, "--json", cwd=tmp_path)
    assert (first.code, first.json["status"], first.json["step"]) == (0, "finished", 60)
    assert second == Done(0, "", "")


# By torchrun itself.


def torchrun(*words: object, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*TORCHRUN, "--nproc-per-node", "2", "-m", "gancli", *map(str, words)],
        env=environment(**{name: places()[0][name] for name in places()[0] if "GLOO" in name}),
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_torchrun_trains_one_run(lab: Lab, tmp_path: Path) -> None:
    words = [*lab.tiny, "--set", "discriminator.layers=['flatten', 'dense 1']", "--steps", 20]
    words.remove("--threads")
    words.remove("1")
    done = ended(torchrun(*words, cwd=tmp_path))
    assert done.code == 0, done.stderr
    assert done.stdout.splitlines() == [str(RUN)]
    assert done.stderr.count("finished at step 20 of 20") == 1
    assert status_of(RUN)["processes"] == 2
    alone = made(*words, "--runs-dir", "alone").made
    assert_close(RunDirectory(RUN), RunDirectory(alone))


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
@pytest.mark.parametrize("victim", ["launcher", "rank 1"])
def test_torchrun_leaves_nobody_behind(lab: Lab, tmp_path: Path, victim: str) -> None:
    with torchrun(*lab.tiny, *ENDLESS, cwd=tmp_path) as running:
        wait_until(has_saved, running)
        workers = {rank: pid for pid, rank in _workers(running.pid)}
        assert set(workers) == {"0", "1"}
        if victim == "launcher":
            running.send_signal(signal.SIGTERM)
        else:
            os.kill(workers["1"], signal.SIGKILL)
        done = ended(running)
    assert done.code != 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers.values())
    status = status_of(RUN)
    if victim == "launcher":
        assert status["status"] == "interrupted"
        assert (RUN / f"state-{status['step']:09d}.safetensors.sha256").exists()
    else:
        assert (status["status"], "without a word" in status["error"]) == ("failed", True)


def _workers(launcher: int) -> Iterator[tuple[int, str]]:
    """Yield the processes that a launcher has started, with their ranks."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(path.read_text().rpartition(") ")[2].split()[1]) == launcher:
                told = path.with_name("environ").read_bytes().split(b"\0")
                place = dict(entry.split(b"=", 1) for entry in told if b"=" in entry)
                if b"RANK" in place:
                    yield int(path.parent.name), place[b"RANK"].decode()
