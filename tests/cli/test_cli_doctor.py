from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from commands import Lab, call, files_below, lab, made, refused

from gancli.doctor import Severity, examine
from gancli.runs import RunDirectory

__all__ = ["lab"]

RUN = Path("checkpoints/a")


@pytest.fixture
def collapsed(lab: Lab) -> Path:
    """A finished run whose log says that all its fakes became alike at step 250."""
    run = lab.copy(lab.finished, Path("checkpoints"))
    (line, *_) = map(json.loads, (run / "log.jsonl").read_text().splitlines())
    sound = {"d_loss": 1.2, "d_accuracy_fake": 0.6, "g_output_gradient_norm": 0.1}
    sound |= {"diversity_real": 4.0, "saturation_fake": 0.1, "saturation_real": 0.1}
    sound |= {"d_logit_fake": -0.2, "d_logit_real": 0.2, "d_output_fake": 0.45}
    lines = [
        {**line, **sound, "step": 50 * n, "epoch": n, "diversity_fake": 3.8 if n < 5 else 0.1}
        for n in range(1, 13)
    ]
    (run / "log.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    return run


def test_the_doctor_names_fault_epoch_evidence_and_remedy(collapsed: Path) -> None:
    before = files_below(collapsed)
    done = made("doctor", "a")
    first, *_ = done.stdout.splitlines()
    assert first == (
        "full mode collapse since epoch 5: fakes differ from each other by 2% of what real images "
        "do; try --set loss.name=relativistic --set loss.r1=1 --set loss.r2=1"
    )
    assert files_below(collapsed) == before
    said = made("doctor", "a", "--json").json
    assert said["run"] == "a"
    assert said["healthy"] is False
    assert said["findings"][0]["name"] == "full mode collapse"
    assert shlex.split(said["findings"][0]["options"])[1] == "loss.name=relativistic"


def test_the_next_command_tries_the_remedy_on_a_run_of_its_own(collapsed: Path) -> None:
    done = made("doctor")
    again = made(*done.next[1:], "--steps", 3, "--quiet").made
    assert again.name == "a-again"
    loss = RunDirectory(again).read_config().loss
    assert (loss.name, loss.r1, loss.r2) == ("relativistic", 1, 1)


def test_every_training_ends_in_a_line_of_the_doctor(lab: Lab) -> None:
    done = made(*lab.tiny)
    lines = [line for line in done.stderr.splitlines() if line.startswith("doctor: ")]
    assert lines == [f"doctor: {examine(RunDirectory(RUN)).line()}"]
    assert "not trained long enough" in lines[0]
    words = [*lab.tiny, "--seed", "1,2"]
    del words[words.index("--name") : words.index("--name") + 2]
    many = made(*words).stderr.splitlines()
    assert sum(": doctor: " in line for line in many) == 2


def test_a_run_that_broke_off_is_told_so(lab: Lab) -> None:
    lab.copy(lab.finished, Path("checkpoints"))
    status = json.loads((RUN / "run.json").read_text())
    status |= {"status": "failed", "error": "the loss of the generator is nan at step 60: diverged"}
    (RUN / "run.json").write_text(json.dumps(status))
    found = examine(RunDirectory(RUN)).findings[0]
    assert (found.name, found.severity) == ("divergence", Severity.FAILURE)
    assert made("doctor", "a").stdout.startswith("divergence since epoch ")


def test_no_run_and_a_damaged_log_are_errors(lab: Lab) -> None:
    assert "no runs in checkpoints" in refused(4, "doctor")
    lab.copy(lab.finished, Path("checkpoints"))
    (RUN / "log.jsonl").write_text("{}\n")
    assert "line 1: damaged" in refused(4, "doctor", "a")
    (RUN / "log.jsonl").write_text("")
    assert "not trained long enough" in call("doctor", "a").stdout
