from __future__ import annotations

import dataclasses
import json
import math
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from tiny import TinyConfig, TrainRun

from gancli import api, doctor, recipes
from gancli.config import RunConfig, parse_assignment
from gancli.doctor import Diagnosis, Severity, diagnose
from gancli.runs import RunDirectory

HEALTHY = {
    "d_loss": 1.1,
    "g_loss": 1.1,
    "d_accuracy_real": 0.7,
    "d_accuracy_fake": 0.72,
    "d_match_real": 0.7,
    "d_match_fake": 0.72,
    "d_logit_real": 0.6,
    "d_logit_fake": -0.5,
    "d_output_real": 0.6,
    "d_output_fake": 0.4,
    "d_gradient_norm": 3.0,
    "g_gradient_norm": 2.0,
    "g_output_gradient_norm": 0.1,
    "diversity_real": 10.0,
    "diversity_fake": 9.0,
    "saturation_real": 0.85,
    "saturation_fake": 0.8,
    "average_distance": 0.02,
}


def course(lines: int = 20, **figures: Any) -> list[dict[str, Any]]:
    """A healthy log of 50 steps a line, but for some figures: numbers, or one for each line."""
    return [
        {
            "step": 50 * (line + 1),
            "epoch": (line + 1) / 2,
            "images": 3200 * (line + 1),
            **HEALTHY,
            **{key: v[line] if isinstance(v, list) else v for key, v in figures.items()},
        }
        for line in range(lines)
    ]


# The default without what keeps it healthy, so that there is something to advise.
PLAIN = {
    "loss.r1": 0.0,
    "loss.r2": 0.0,
    "generator_optimizer.lr": 1e-3,
    "discriminator_optimizer.lr": 1e-3,
}


def config(recipe: str = "digit", **changes: Any) -> RunConfig:
    settings = {key.replace("__", "."): value for key, value in changes.items()}
    return api.describe(recipe, settings={**(PLAIN if recipe == "digit" else {}), **settings})


def names(diagnosis: Diagnosis) -> list[str]:
    return [finding.name for finding in diagnosis.findings]


def halves(first: float, second: float) -> list[float]:
    return [first] * 10 + [second] * 10


FAULTS: dict[str, tuple[dict[str, Any], float]] = {
    # What the log shows from line 11 on, epoch 5.5, or from the start.
    "full mode collapse": ({"diversity_fake": halves(9, 0.5)}, 5.5),
    "partial mode collapse": ({"diversity_fake": 5.0}, 0.5),
    "discriminator overpowering": (
        {
            "d_loss": halves(1.1, 0.001),
            "d_accuracy_real": halves(0.7, 1.0),
            "d_accuracy_fake": halves(0.7, 1.0),
            "g_output_gradient_norm": halves(1.0, 0.003),
        },
        5.5,
    ),
    "generator overpowering": (
        {
            "d_accuracy_fake": halves(0.7, 0.01),
            "d_logit_fake": halves(-0.5, 2.0),
            "d_output_fake": halves(0.4, 0.9),
        },
        5.5,
    ),
    "oscillation": ({"d_loss": halves(1.1, 3.7)}, 5.5),
    "divergence": ({"d_logit_fake": halves(-1, -4000)}, 5.5),
    "saturated output": ({"saturation_fake": halves(0.8, 1.0)}, 5.5),
    "deterioration": ({"diversity_fake": halves(9, 6.2)}, 0.5),
    "data without variety": ({"diversity_real": 0.0, "diversity_fake": 0.1}, 0.0),
    "dead generator": ({"diversity_fake": halves(9, 0.0), "g_gradient_norm": 0.5}, 5.5),
    "dead discriminator": ({"g_output_gradient_norm": halves(0.1, 0.0)}, 5.5),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_named_with_its_epoch_and_a_remedy(name: str) -> None:
    figures, epoch = FAULTS[name]
    diagnosis = diagnose(course(**figures), config(data__source="mine.idx"))
    finding = diagnosis.findings[0]
    assert (finding.name, finding.epoch) == (name, epoch)
    assert not diagnosis.healthy
    assert any(sign.isdigit() for sign in finding.evidence)
    assert finding.remedy
    assert diagnosis.line().startswith(f"{name} since epoch {epoch:g}: ")
    assert finding.options in diagnosis.line()
    failed = finding.severity is Severity.FAILURE
    assert (diagnosis.failure is not None) == failed
    assert failed != (name in ("partial mode collapse", "deterioration"))


def test_a_healthy_course_raises_no_alarm() -> None:
    diagnosis = diagnose(course(), config(), images=6000)
    assert diagnosis.findings == ()
    assert diagnosis.healthy
    assert diagnosis.failure is None
    assert diagnosis.line().startswith("healthy: ")
    assert (diagnosis.steps, diagnosis.epoch) == (1000, 10)


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_a_short_log_is_not_judged(kept: int) -> None:
    figures, _ = FAULTS["full mode collapse"]
    diagnosis = diagnose(course(**figures)[:kept], config())
    assert names(diagnosis) == ["not trained long enough"]
    assert diagnosis.healthy


def test_fakes_that_become_more_varied_still_are_young_not_collapsed() -> None:
    grows = [0.05 * 1.17**line for line in range(20)]
    diagnosis = diagnose(course(diversity_fake=grows), config(training__epochs=20))
    assert names(diagnosis) == ["not trained long enough"]
    (finding,) = diagnose(course(diversity_fake=grows), config(), pause=1000).findings
    assert finding.evidence.endswith("; it has not come to its end")
    assert not finding.remedy
    assert diagnosis.findings[0].remedy == ("training.epochs=80",)
    longer = diagnose(course(diversity_fake=grows), config(training__steps=500))
    assert longer.findings[0].remedy == ("training.steps=2000",)


def test_too_few_lines_of_a_log_call_for_more_of_them() -> None:
    short = [line | {"epoch": 0.16} for line in course()[:1]]
    ran = config(training__steps=600, record__log_every=1.0)
    (finding,) = diagnose(short, ran).findings
    assert finding.remedy == ("training.steps=2400", "record.log_every=0.04")


def test_a_longer_run_of_a_default_decides_anew_whether_images_are_moved() -> None:
    grows = [0.05 * 1.17**line for line in range(20)]
    for kept, more in (
        ((0.0, 0.0), ("discriminator.shift=auto", "data.elastic=auto")),
        ((0.3, 0.0), ("data.elastic=auto",)),
        ((0.3, 0.1), ()),
    ):
        ran = config(training__steps=500, discriminator__shift=kept[0], data__elastic=kept[1])
        ran = dataclasses.replace(ran, recipe="digit")
        finding = diagnose(course(diversity_fake=grows), ran).findings[0]
        assert finding.remedy == ("training.steps=2000", *more)


def test_a_log_of_an_older_version_is_judged_by_what_it_has() -> None:
    figures, _ = FAULTS["discriminator overpowering"]
    new = ("diversity", "saturation", "average", "g_output")
    for changed, expected in ((figures, ["discriminator overpowering"]), ({}, [])):
        log = [
            {key: value for key, value in line.items() if not key.startswith(new)}
            for line in course(**changed)
        ]
        assert names(diagnose(log, config())) == expected


@pytest.mark.parametrize(
    ("layer", "pixel_range", "fitting"),
    [
        ("tanh", "signed", None),
        ("sigmoid", "unit", None),
        ("tanh", "unit", None),  # more than it takes
        ("tanh", "raw", "signed"),
        ("sigmoid", "signed", "unit"),
        ("sigmoid", "raw", "unit"),
        ("relu", "raw", None),
    ],
)
def test_what_g_cannot_draw_is_told_without_a_log(
    layer: str, pixel_range: str, fitting: str | None
) -> None:
    layers = ["dense 784", layer]
    diagnosis = diagnose([], config(generator__layers=layers, data__pixel_range=pixel_range))
    assert ("scale mismatch" in names(diagnosis)) == (fitting is not None)
    if fitting:
        assert diagnosis.findings[0].remedy == (f"data.pixel_range={fitting}",)


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        (["dense 784", "tanh", "residual 1", "sigmoid"], False),
        (["dense 784", "tanh", "residual 2", "tanh", "sigmoid"], False),
        (["dense 784", "tanh", "residual channels", "sigmoid"], False),
        (["dense 784", "residual 1", "tanh", "sigmoid"], True),
    ],
)
def test_what_a_residual_block_ends_in_bounds_nothing(layers: list[str], told: bool) -> None:
    diagnosis = diagnose([], config(generator__layers=layers, data__pixel_range="signed"))
    assert ("scale mismatch" in names(diagnosis)) == told


def test_flipped_labels_are_told_from_smooth_ones() -> None:
    flipped = config(loss__real_labels=[0.0, 0.3], loss__fake_labels=[0.7, 1.2])
    assert names(diagnose(course(), flipped))[0] == "labels flipped"
    assert diagnose(course(), config("r5-smooth")).healthy


def test_smooth_labels_do_not_hide_a_d_that_has_won() -> None:
    figures = {"d_loss": 0.7, "d_accuracy_real": 1.0, "d_accuracy_fake": 1.0}
    found = names(diagnose(course(**figures), config("r5-smooth")))
    assert found == ["discriminator overpowering"]


def test_a_critic_may_know_every_fake() -> None:
    wasserstein = config("r5-wgan-gp")
    figures = {"d_loss": -9.0, "d_accuracy_real": 1.0, "d_accuracy_fake": 1.0}
    assert diagnose(course(**figures, d_logit_real=150.0), wasserstein).healthy


@pytest.mark.parametrize("source", ["true-image", "point"])
def test_data_of_one_picture_are_no_fault_where_that_is_the_point(source: str) -> None:
    recipe = {"true-image": "r3-true-image-dense", "point": "r3-point-a"}[source]
    log = course(diversity_real=0.0, diversity_fake=0.01)
    assert diagnose(log, config(recipe), images=1).healthy


def test_a_d_that_ranks_well_but_calls_all_real_is_young_not_fooled() -> None:
    figures = {"d_accuracy_fake": 0.0, "d_logit_fake": 0.4}
    for real, found in ((1.5, []), (0.5, ["generator overpowering"])):
        assert names(diagnose(course(**figures, d_logit_real=real), config())) == found


def test_few_images_shown_often_are_learned_by_heart() -> None:
    few = diagnose(course(), config(), images=100)
    assert names(few) == ["memorisation"]
    assert few.findings[0].epoch == 1  # 5,000 of 3,200 a line
    assert "each was shown 640 times" in few.findings[0].evidence
    assert diagnose(course(), config(), images=2000).healthy
    assert diagnose(course(lines=4), config(), images=300).healthy
    for change in ("discriminator__shift", "data__elastic"):
        assert diagnose(course(), config(**{change: 0.1}), images=100).healthy


def test_a_run_that_broke_off_has_diverged() -> None:
    diagnosis = diagnose(course(lines=2), config(), error="the loss of the generator is nan at ...")
    assert names(diagnosis) == ["divergence"]
    assert "the loss of the generator is nan" in diagnosis.line()
    broken = diagnose(course(g_gradient_norm=halves(1.0, math.nan)), config())
    assert (broken.findings[0].name, broken.findings[0].epoch) == ("divergence", 5.5)


def test_swings_from_line_to_line_are_oscillation_and_a_trend_is_not() -> None:
    swinging = [0.9 if line % 3 == 0 else 0.2 for line in range(20)]
    assert names(diagnose(course(d_output_fake=swinging), config())) == ["oscillation"]
    falling = [0.9 - 0.04 * line for line in range(20)]
    assert diagnose(course(d_output_fake=falling), config()).healthy


@pytest.mark.parametrize("recipe", recipes.names())
def test_every_remedy_makes_a_config_that_stands(recipe: str) -> None:
    changed = 0
    for figures, _ in FAULTS.values():
        for finding in diagnose(course(**figures), config(recipe), images=10).findings:
            words = shlex.split(finding.options)
            assert words[::2] == ["--set"] * len(finding.remedy)
            if not words:
                continue
            settings = dict(map(parse_assignment, words[1::2]))
            base = {"training.steps": None} if "training.epochs" in settings else {}
            assert api.describe(recipe, settings={**base, **settings}) != config(recipe)
            changed += 1
    assert changed >= 8


def test_too_strong_a_d_is_weakened_where_its_strength_comes_from() -> None:
    figures, _ = FAULTS["discriminator overpowering"]
    for changes, remedy in (
        ({"training__d_steps": 10}, "training.d_steps=1"),
        ({"discriminator_optimizer__lr": 0.01}, "discriminator_optimizer.lr=0.001"),
        ({"loss__name": "minimax"}, "loss.name=non-saturating"),
        ({}, "discriminator_optimizer.lr=0.00025"),
    ):
        finding = diagnose(course(**figures), config(**changes)).findings[0]
        assert finding.remedy[0] == remedy


def test_flat_rectifiers_get_a_slope() -> None:
    figures, _ = FAULTS["dead generator"]
    finding = diagnose(course(**figures), config("r2-1-baseline")).findings[0]
    layers = ["dense 256", "leaky_relu 0.2", "dense 784", "tanh"]
    assert finding.remedy == (f"generator.layers={json.dumps(layers)}",)


def test_the_diagnosis_is_plain_data() -> None:
    figures, _ = FAULTS["full mode collapse"]
    said = diagnose(course(**figures), config()).as_dict()
    assert json.loads(json.dumps(said, allow_nan=False)) == said
    assert said["healthy"] is False
    assert said["findings"][0]["severity"] == "failure"
    assert said["findings"][0]["options"] == "--set loss.name=relativistic --set loss.r1=1 " + (
        "--set loss.r2=1"
    )


# Real runs.

LONG = {
    "training.steps": 180,
    "data.conditional": False,
    "data.digit": None,
    "generator.ema_half_life": 0,
    "record.frame_every": 1000,
    "record.log_every": 2,
    "record.keep_every": "auto",
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"discriminator_optimizer.lr": 1e-2, "generator_optimizer.lr": 1e-6},
            "discriminator overpowering",
        ),
        ({"discriminator_optimizer.lr": 1e-7}, "generator overpowering"),
        ({"generator_optimizer.lr": 5.0}, "saturated output"),
    ],
    ids=str,
)
def test_faults_put_in_on_purpose_are_named(
    tiny_config: TinyConfig, train_run: TrainRun, changes: dict[str, Any], expected: str
) -> None:
    wanted = tiny_config({**LONG, **changes})
    run = train_run(wanted, Path("run")).run
    found = names(diagnose(run.read_log(), run.read_config()))
    assert expected in found


def test_thresholds_say_where_health_ends() -> None:
    strict = doctor.Thresholds(partial_collapse=0.95)
    assert diagnose(course(), config()).healthy
    assert names(diagnose(course(), config(), thresholds=strict)) == ["partial mode collapse"]


def scored(*scores: float) -> list[dict[str, Any]]:
    return [
        {"step": 250 * n, "epoch": 2.5 * n, "score": score, "figure": "frechet_distance_judge"}
        for n, score in enumerate(scores, start=1)
    ]


def test_quick_scores_tell_of_deterioration_that_variety_does_not_show() -> None:
    (found,) = diagnose(course(), config(), scores=scored(90, 30, 34, 80, 60, 70)).findings
    assert found.name == "deterioration"
    assert found.epoch == 5.0
    assert "34 at its best and is 70 at the end" in found.evidence
    assert found.remedy == ("training.steps=500",)


def test_quick_scores_that_stay_near_their_best_are_well() -> None:
    assert diagnose(course(), config(), scores=scored(90, 50, 30, 36, 40, 33)).findings == ()
    assert diagnose(course(), config(), scores=scored(30, 80, 60)).findings == ()  # too few
    worse = course(diversity_fake=halves(9, 6.2))
    assert diagnose(worse, config(), scores=scored(90, 50, 30, 36, 40, 33)).findings == ()
    assert names(diagnose(worse, config())) == ["deterioration"]


def test_of_many_scores_one_is_good_by_chance() -> None:
    swinging = scored(*[50, 45, 55, 48, 52] * 3, 24, *[51, 47, 53, 46] * 3)
    assert diagnose(course(), config(), scores=swinging).findings == ()
    exact = scored(9000, 800, 0, 0, 0, 0.4, 0.4, 0.4)  # all pixels right, and hardly wrong
    assert diagnose(course(), config(), scores=exact).findings == ()


@pytest.mark.parametrize("size", ["training__batch_size", "training__generator_batch_size"])
def test_one_image_differs_from_no_other_and_that_is_no_finding(size: str) -> None:
    log = course(diversity_real=0.0, diversity_fake=0.0)
    assert diagnose(log, config(**{size: 1})).healthy
    assert not diagnose(log, config(**{size: 2})).healthy


@pytest.mark.parametrize(
    ("status", "found"),
    [
        ({"status": "failed"}, ["divergence"]),
        ({"status": "failed", "exit_code": 5}, ["divergence"]),
        ({"status": "failed", "exit_code": 1}, []),  # another process of the training died
        ({"status": "interrupted"}, []),
    ],
    ids=str,
)
def test_what_ended_a_run_from_outside_is_no_divergence(
    tiny_run: RunDirectory, tmp_path: Path, status: dict[str, Any], found: list[str]
) -> None:
    run = RunDirectory(Path(shutil.copytree(tiny_run.path, tmp_path / "run")))
    run.write_status({**run.read_status(), **status, "error": "the disk is full: free some"})
    assert [name for name in names(doctor.examine(run)) if name == "divergence"] == found


def test_a_runs_own_quick_scores_are_read(
    tiny_config: TinyConfig, train_run: TrainRun, tmp_path: Path
) -> None:
    wanted = tiny_config({"training.steps": 120, "record.score_every": 20.0})
    run = train_run(wanted, tmp_path / "run").run
    lines = [json.dumps(record) + "\n" for record in scored(10, 100, 100, 100)]
    run.quality_path.write_text("".join(lines))
    assert "deterioration" in names(doctor.examine(run))
