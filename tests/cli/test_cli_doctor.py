from __future__ import annotations

import json
import shlex
import signal
from pathlib import Path

import pytest
from commands import Lab, call, files_below, lab, made, refused
from tiny import TinyConfig, TrainRun

from gancli.doctor import Diagnosis, Finding, Severity, examine
from gancli.errors import TrainingError, UnhealthyError
from gancli.observing import Observer
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
    expected = examine(RunDirectory(RUN)).as_dict()
    assert made(*lab.tiny, "--force", "--json").json["doctor"] == expected
    said = made(*words, "--force", "--json").json["runs"]
    assert [each["doctor"]["findings"][0]["name"] for each in said] == 2 * [
        "not trained long enough"
    ]


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


# What a training does about it.

# G ends in tanh, and D is shown 0 to 255: no seed can mend that.
HOPELESS = ["--set", "data.pixel_range=raw", "--set", "record.log_every=0.5"]


def test_a_failing_run_is_warned_of_once_and_goes_on(lab: Lab) -> None:
    done = made(*lab.tiny, *HOPELESS)
    warnings = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1
    assert warnings[0].startswith("warning: scale mismatch since epoch 0: G ends in tanh")
    assert RunDirectory(RUN).read_status()["status"] == "finished"


def test_a_failing_run_stops_saved_and_goes_on_when_told_to(lab: Lab) -> None:
    said = refused(5, *lab.tiny, *HOPELESS, "--on-failure", "stop")
    assert "stopped at step 4 of 60: scale mismatch" in said  # the second line of the log
    assert "--set data.pixel_range=signed" in said
    status = RunDirectory(RUN).read_status()
    assert (status["status"], status["step"]) == ("failed", 4)
    assert made("show", RUN.name).next[1:] == ["doctor", RUN.name]
    assert (RUN / "state-000000004.safetensors").exists()
    assert examine(RunDirectory(RUN)).findings[0].name == "scale mismatch"
    made(*lab.tiny, *HOPELESS)
    assert RunDirectory(RUN).read_status()["status"] == "finished"
    steps = [line["step"] for line in RunDirectory(RUN).read_log()]
    assert steps == list(range(2, 61, 2))


def test_a_run_that_was_paused_stops_where_it_would_have(
    tiny_config: TinyConfig, train_run: TrainRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gancli import recording

    def diagnose(log, config, **_):
        return Diagnosis((ILL,) if len(log) >= 5 else (), 0, 0.0)

    class Pause(Observer):
        def stepped(self, step: int) -> None:
            if step == 5:
                signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(recording.doctor, "diagnose", diagnose)
    wanted = tiny_config({"record.log_every": 1 / 6})
    for name, observer in {"whole": None, "paused": Pause()}.items():
        run = Path(name)
        if observer is not None:
            paused = train_run(wanted, run, observer=observer).run.read_status()
            assert (paused["status"], paused["step"]) == ("interrupted", 5)
        with pytest.raises(UnhealthyError, match="stopped at step 6 of 12"):
            train_run(wanted, run, on_failure="stop")


def test_three_more_seeds_are_tried(lab: Lab) -> None:
    words = [*lab.tiny, *HOPELESS, "--on-failure", "reseed"]
    done = call(*words)
    assert done.code == 5
    again = [line for line in done.stderr.splitlines() if "starting again with seed" in line]
    assert [line[-1] for line in again] == ["1", "2", "3"]
    assert RunDirectory(RUN).read_config().training.seed == 3
    assert "starting again" not in call(*words).stderr  # the run has had its chances


def test_divergence_too_is_a_reason_for_another_seed(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gancli import session

    seeds = []

    def train(config, placement, observer):
        seeds.append(config.training.seed)
        raise TrainingError("training diverged")

    monkeypatch.setattr(session, "train", train)
    assert "training diverged" in refused(5, *lab.tiny, "--on-failure", "stop")
    assert "training diverged" in call(*lab.tiny, "--on-failure", "reseed").stderr
    assert seeds == [0, 0, 1, 2, 3]


@pytest.mark.parametrize("word", ["training", "interrupted"])
def test_what_was_killed_is_to_go_on_and_not_to_start_anew(lab: Lab, word: str) -> None:
    made(*lab.tiny, "--name", "a", "--steps", 6)
    run = RunDirectory(RUN)
    run.write_status({**run.read_status(), "status": word})
    done = made("doctor", "a")
    assert "it has not come to its end" in done.stdout
    assert "gancli train --resume a" in done.stderr


def test_all_seeds_together_take_no_longer_than_they_may(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gancli import jobs, session

    limits = []

    def train(config, placement, observer):
        limits.append(placement.max_seconds)
        clock.now += 25
        raise UnhealthyError("ill")

    class Clock:
        now = 0.0

        def monotonic(self) -> float:
            return self.now

    clock = Clock()
    monkeypatch.setattr(session, "train", train)
    monkeypatch.setattr(jobs, "time", clock)
    refused(5, *lab.tiny, "--on-failure", "reseed", "--max-seconds", 60)
    assert limits == [60, 35, 10, 0]


def test_a_seed_that_is_well_is_kept(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    from gancli import recording

    def diagnose(log, config, **_):
        return Diagnosis((ILL,) if config.training.seed < 2 else (), 0, 0.0)

    monkeypatch.setattr(recording.doctor, "diagnose", diagnose)
    words = [*lab.tiny, "--on-failure", "reseed"]
    assert made(*words, "--json").json["status"] == "finished"
    assert RunDirectory(RUN).read_config().training.seed == 2
    alone = made(*lab.tiny, "--seed", 2, "--runs-dir", "alone").made
    assert (alone / "log.jsonl").read_bytes() == (RUN / "log.jsonl").read_bytes()
    assert "is finished already" in made(*words).stderr
    assert "training.seed is 2 there and 0 here" in refused(6, *lab.tiny)


ILL = Finding("full mode collapse", Severity.FAILURE, 1.0, "all alike", ("loss.r1=1",))


def test_on_failure_takes_three_words(lab: Lab) -> None:
    said = refused(2, *lab.tiny, "--on-failure", "stpo")
    assert said.endswith("--on-failure stpo: write warn, stop, reseed; did you mean 'stop'?")
