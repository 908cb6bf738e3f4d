"""Put faults into short runs on purpose, ask the doctor, and write docs/doctor.md.

    python bench/doctor.py RUNS_DIR              # all of it; give it again to go on
    python bench/doctor.py RUNS_DIR --limit 4    # train four runs more, and report on what there is

Runs lie in RUNS_DIR and are trained once, two at a time, one thread each. Thresholds are chosen on
the runs of even seeds and judged on those of odd seeds, which they have not seen.

A rate ten times too high may do no harm at all. A fault that should show in the samples counts only
where it does: where their distance from real ones (that of `train --score-every`) is 1.5 times the
median of the runs without a fault, or the training broke off. The others are listed apart.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import dataclasses
import json
import math
import os
import statistics
import struct
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from gancli import api, data, sampling
from gancli.data.synthetic import targets
from gancli.doctor import DEFAULT_THRESHOLDS, Diagnosis, Severity, Thresholds, diagnose
from gancli.metrics.tracking import Tracker
from gancli.runs import RunDirectory, Status

ROOT = Path(__file__).parent.parent
LOG_LINES = 24
FACTORS = (0.5, 0.7, 0.85, 1.2, 1.4, 2.0)
CHOSEN = (
    "full_collapse",
    "partial_collapse",
    "rising",
    "saturated_excess",
    "d_loss_won",
    "d_lost_accuracy",
    "d_loss_lost",
    "swing",
    "deteriorated",
)


@dataclasses.dataclass(frozen=True)
class System:
    """A recipe that is well, at a length of seconds."""

    recipe: str
    digit: int | None
    steps: int
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)


# A convolutional GAN without penalties or norms, such as many train; the recipe `digit` has
# outgrown it.
_RATES = {"lr": 1e-3, "lr_final": 1e-4, "warmup_steps": 0}
PLAIN = {
    **{
        f"{side}_optimizer.{key}": _RATES[key]
        for side in ("generator", "discriminator")
        for key in _RATES
    },
    "generator.layers": [
        *("dense 32 size/4 size/4", "leaky_relu 0.2", "conv 32 3", "leaky_relu 0.2"),
        *("upsample 2", "conv 16 3", "leaky_relu 0.2", "upsample 2", "conv 8 3", "leaky_relu 0.2"),
        *("conv channels 1", "tanh"),
    ],
    "discriminator.layers": [
        *("conv 16 4 stride=2", "leaky_relu 0.2", "conv 32 4 stride=2", "leaky_relu 0.2"),
        *("conv 32 3", "leaky_relu 0.2", "flatten", "dense 128", "leaky_relu 0.2", "dense 1"),
    ],
    "data.elastic": 0.0,
    "discriminator.shift": 0.0,
    "loss.r1": 0.0,
    "loss.r2": 0.0,
    "loss.penalty_final": 1.0,
}
PAIRS = {**PLAIN, "loss.name": "relativistic", "loss.r1": 1.0, "loss.r2": 1.0}
SYSTEMS = {
    "plain": System("digit", 7, 300, PLAIN),
    "digit": System("digit", 7, 600),
    "r2": System("r2-1-baseline", None, 2400),
    "pairs": System("digit", 3, 300, PAIRS),
    "ring8": System("points", None, 1500),
}
CROSS_ENTROPY = ("plain", "digit", "r2")
UNMOVED = ("plain", "r2", "pairs")  # `digit` changes few images: none is shown twice alike
IMAGES = (*CROSS_ENTROPY, "pairs")

# What must be named, in which systems, by which settings; rates are factors.
LOST = ("discriminator overpowering", "dead generator", "full mode collapse", "saturated output")
BROKEN = (*LOST, "divergence", "oscillation", "dead discriminator", "partial mode collapse")
FAULTS: dict[str, tuple[tuple[str, ...], tuple[str, ...], dict[str, Any]]] = {
    "rates 10x": (BROKEN, IMAGES, {"g_rate": 10, "d_rate": 10}),
    "rates 100x": (BROKEN, IMAGES, {"g_rate": 100, "d_rate": 100}),
    "D trained 10x more": (LOST, IMAGES, {"training.d_steps": 10}),
    "D's rate 10x, G's a tenth": (LOST, CROSS_ENTROPY, {"g_rate": 0.1, "d_rate": 10}),
    "frozen G": (LOST, IMAGES, {"g_rate": 1e-4}),
    "frozen D": (("generator overpowering",), CROSS_ENTROPY, {"d_rate": 1e-4}),
    "dead activations": (
        ("dead generator", "full mode collapse", *LOST),
        ("r2",),
        {"generator.layers": ["dense 128", "relu", *["dense 8", "relu"] * 9, "dense 784", "tanh"]},
    ),
    "labels flipped": (
        ("labels flipped",),
        CROSS_ENTROPY,
        {"loss.real_labels": [0.0, 0.0], "loss.fake_labels": [1.0, 1.0]},
    ),
    "unscaled data": (("scale mismatch",), IMAGES, {"data.pixel_range": "raw"}),
    "one glyph": (("data without variety",), IMAGES, {"data": "one"}),
    "tiny data set": (("memorisation",), UNMOVED, {"data": "few"}),
}
# What is wrong with these is wrong whatever the samples look like.
CERTAIN = ("labels flipped", "unscaled data", "one glyph", "tiny data set")
HARM = 1.5
FAULT_SEEDS = range(4)
HEALTHY_SEEDS = range(20)


@dataclasses.dataclass(frozen=True)
class Case:
    """A run to be made: which system, with which fault, from which seed."""

    system: str
    fault: str | None
    seed: int

    @property
    def name(self) -> str:
        """The run's name."""
        words = f"{self.system} {self.fault or 'no fault'} {self.seed}"
        return "".join(sign if sign.isalnum() else "-" for sign in words)

    @property
    def expected(self) -> tuple[str, ...]:
        """The findings of which one must be made."""
        return FAULTS[self.fault][0] if self.fault else ()

    @property
    def fits(self) -> bool:
        """Whether thresholds may be chosen on it."""
        return self.seed % 2 == 0


def cases() -> list[Case]:
    """Return every run there is to make, seed after seed: a part of them is of all kinds."""
    return [
        case
        for seed in HEALTHY_SEEDS
        for case in (
            *(Case(system, None, seed) for system in SYSTEMS),
            *(
                Case(system, fault, seed)
                for fault, (_, systems, _) in FAULTS.items()
                for system in systems
                if seed in FAULT_SEEDS
            ),
        )
    ]


def settings(case: Case, folder: Path) -> tuple[str | None, dict[str, Any]]:
    """Return the data set, if it is not the system's own, and the settings of a run."""
    system = SYSTEMS[case.system]
    changes = {**system.settings, **(FAULTS[case.fault][2] if case.fault else {})}
    config = api.describe(system.recipe, digit=system.digit, settings=system.settings)
    for key, part in (("g_rate", "generator_optimizer"), ("d_rate", "discriminator_optimizer")):
        if key in changes:
            factor, rates = changes.pop(key), getattr(config, part)
            changes[f"{part}.lr"] = rates.lr * factor
            if rates.lr_final is not None:
                changes[f"{part}.lr_final"] = rates.lr_final * factor
    source = changes.pop("data", None)
    images = {"one": 640, "few": 128}.get(source, 0) or (6000 if system.digit else 60_000)
    if system.recipe == "points":
        images = len(data.load("ring8").train)
    per_step = config.training.batch_size * changes.get("training.d_steps", 1)
    steps_per_epoch = max(1, images // per_step)
    changes |= {
        "training.steps": system.steps,
        "training.seed": case.seed,
        "record.log_every": system.steps / LOG_LINES / steps_per_epoch,
        "record.frame_every": 1e6,
        "record.keep_every": 1e6,
    }
    return None if source is None else str(write_data(folder / f"{source}.idx", images)), changes


def write_data(path: Path, count: int) -> Path:
    """Write ``one.idx``, one seven over and over, or ``few.idx``, the first sevens."""
    if not path.exists():
        sevens = data.load("mnist").train.of_class(7).images[:, 0]
        chosen = sevens[:1].expand(count, -1, -1) if path.stem == "one" else sevens[:count]
        header = struct.pack(">HBB3I", 0, 8, 3, *chosen.shape)
        path.write_bytes(header + chosen.contiguous().numpy().tobytes())
    return path


def train(case: Case, folder: Path) -> None:
    """Train a run, unless that was done; one that diverges is done too."""
    run = RunDirectory(folder / case.name)
    if run.exists() and run.status() in (Status.FINISHED, Status.FAILED):
        return
    system = SYSTEMS[case.system]
    source, changes = settings(case, folder)
    words = ["train", "--recipe", system.recipe, "--name", case.name, "--runs-dir", str(folder)]
    if source is not None:
        words += ["--data", source]
    elif system.digit is not None:
        words += ["--digit", str(system.digit)]
    for key, value in changes.items():
        words += ["--set", f"{key}={json.dumps(value)}"]
    done = subprocess.run(
        [sys.executable, "-m", "gancli", *words, "--threads", "1", "--device", "cpu", "--quiet"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 5):
        raise RuntimeError(f"{case.name}: {done.stderr}")


@dataclasses.dataclass(frozen=True)
class Told:
    """What a run's folder tells the doctor, read once."""

    case: Case
    log: list[dict[str, Any]]
    config: Any
    images: int
    error: str | None
    distance: float

    def diagnose(self, thresholds: Thresholds) -> Diagnosis:
        """Ask the doctor."""
        return diagnose(
            self.log, self.config, images=self.images, error=self.error, thresholds=thresholds
        )


def told(case: Case, folder: Path) -> Told | None:
    run = RunDirectory(folder / case.name)
    if not run.exists() or run.status() not in (Status.FINISHED, Status.FAILED):
        return None
    status = run.read_status()
    error = status.get("error")
    return Told(
        case,
        run.read_log(),
        run.read_config(),
        status["data"]["images"],
        error,
        math.inf if error else distance(case, folder),
    )


def distance(case: Case, folder: Path) -> float:
    """Return how far a run's samples are from real ones; it is measured once."""
    kept = folder / "distances.json"
    known: dict[str, float] = json.loads(kept.read_text()) if kept.exists() else {}
    if case.name not in known:
        trained = sampling.load(folder / case.name)
        system = SYSTEMS[case.system]
        source = "ring8" if system.recipe == "points" else "mnist"
        real = data.load(source).train
        tracker = Tracker.of(
            real if system.digit is None else real.of_class(system.digit), targets(source)
        )
        known[case.name] = tracker.distance(trained.sample(range(tracker.samples)))
        kept.write_text(json.dumps(known, indent=1))
    return known[case.name]


def harmless(runs: Sequence[Told]) -> list[Told]:
    """Return the runs whose fault cannot be seen in their samples."""
    usual = {
        system: statistics.median(
            one.distance for one in runs if one.case.system == system and not one.case.fault
        )
        for system in {one.case.system for one in runs}
    }
    return [
        one
        for one in runs
        if one.case.fault
        and one.case.fault not in CERTAIN
        and one.distance < HARM * usual[one.case.system]
    ]


def names(diagnosis: Diagnosis) -> list[str]:
    return [f.name for f in diagnosis.findings if f.severity is not Severity.NOTE]


def right(one: Told, thresholds: Thresholds) -> bool:
    """Tell whether a fault was named, or a healthy run left in peace."""
    found = names(one.diagnose(thresholds))
    return bool(set(found) & set(one.case.expected)) if one.case.fault else not found


def choose(runs: Sequence[Told]) -> Thresholds:
    """Choose thresholds one after the other; what changes nothing stays as it was.

    A false alarm weighs as much as three faults that are missed.
    """

    def cost(thresholds: Thresholds) -> float:
        return sum((1 if one.case.fault else 3) for one in runs if not right(one, thresholds))

    best, least = DEFAULT_THRESHOLDS, cost(DEFAULT_THRESHOLDS)
    for _ in range(2):
        for key in CHOSEN:
            start = getattr(best, key)
            for factor in FACTORS:
                change: dict[str, Any] = {key: float(f"{start * factor:.3g}")}
                tried = dataclasses.replace(best, **change)
                if cost(tried) < least:
                    best, least = tried, cost(tried)
    return best


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson, 1927)."""
    if not count:
        return 0.0, 1.0
    z, share = 1.959964, hits / count
    middle = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return (middle - half) / (1 + z * z / count), (middle + half) / (1 + z * z / count)


def shown(hits: int, count: int) -> str:
    low, high = wilson(hits, count)
    return f"{hits} of {count} ({low:.1%} to {high:.1%})"


def report(runs: Sequence[Told], thresholds: Thresholds, apart: Sequence[Told]) -> str:
    """Return docs/doctor.md; ``apart`` are the runs whose fault did no harm."""
    unseen = [one for one in runs if not one.case.fits]
    faulty = [one for one in unseen if one.case.fault]
    healthy = [one for one in unseen if not one.case.fault]
    hits = sum(right(one, thresholds) for one in faulty)
    quiet = sum(right(one, thresholds) for one in healthy)
    lines = [
        "# How often the doctor is right",
        "",
        f"`python bench/doctor.py` put {len(FAULTS)} faults into short runs of {len(SYSTEMS)} "
        f"systems on purpose. Thresholds were chosen on {len(runs) - len(unseen)} runs (even "
        f"seeds) and judged on the {len(unseen)} others (odd seeds). Intervals are Wilson's, at "
        "95 %.",
        "",
        f"- faults named: {shown(hits, len(faulty))}",
        f"- healthy runs without an alarm: {shown(quiet, len(healthy))}",
        "",
        *_table(unseen, thresholds),
        "",
        "A fault is named if one of the findings is one that it causes; which those are stands in",
        "`bench/doctor.py`. The last columns count the first finding of each run.",
        "",
        "## Faults that did no harm",
        "",
        f"In these {len(apart)} runs the samples were less than {HARM:g} times as far from real "
        "ones as the median of the runs without a fault; they count for nothing above.",
        "",
        "| put in | system | runs | the doctor raised an alarm in |",
        "|---|---|---:|---:|",
        *_harmless_table(apart, thresholds),
        "",
        "## Thresholds",
        "",
        "| threshold | shipped | chosen |",
        "|---|---|---|",
        *(
            f"| `{key}` | {getattr(DEFAULT_THRESHOLDS, key):g} | {getattr(thresholds, key):g} |"
            for key in CHOSEN
        ),
    ]
    return "\n".join(lines) + "\n"


def _table(unseen: Sequence[Told], thresholds: Thresholds) -> Iterable[str]:
    kinds: dict[str | None, collections.Counter[str]] = {}
    hits: collections.Counter[str | None] = collections.Counter()
    for one in unseen:
        first = next(iter(names(one.diagnose(thresholds))), "healthy")
        kinds.setdefault(one.case.fault, collections.Counter())[first] += 1
        hits[one.case.fault] += right(one, thresholds)
    columns = sorted(set().union(*kinds.values()))
    yield f"| put in | named | {' | '.join(columns)} |"
    yield "|---|---|" + "---|" * len(columns)
    for fault in [*(fault for fault in FAULTS if fault in kinds), *({None} & set(kinds))]:
        counts = [str(kinds[fault][column] or "") for column in columns]
        said = shown(hits[fault], kinds[fault].total())
        yield f"| {fault or 'nothing'} | {said} | {' | '.join(counts)} |"


def _harmless_table(apart: Sequence[Told], thresholds: Thresholds) -> Iterable[str]:
    groups: dict[tuple[str, str], list[Told]] = {}
    for one in apart:
        groups.setdefault((one.case.fault or "", one.case.system), []).append(one)
    for (fault, system), group in sorted(groups.items()):
        alarms = sum(bool(names(one.diagnose(thresholds))) for one in group)
        yield f"| {fault} | {system} | {len(group)} | {alarms} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, metavar="RUNS_DIR")
    parser.add_argument("--limit", type=int, help="train no more than so many runs")
    parser.add_argument("--only", help="train only runs whose name holds this")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "doctor.md")
    arguments = parser.parse_args()
    folder: Path = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    waiting = [case for case in cases() if told(case, folder) is None]
    waiting = [case for case in waiting if (arguments.only or "") in case.name][: arguments.limit]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for number, _ in enumerate(pool.map(lambda case: train(case, folder), waiting), start=1):
            print(f"{number} of {len(waiting)}: {waiting[number - 1].name}", flush=True)
    torch.set_num_threads(1)
    trained = [one for case in cases() if (one := told(case, folder)) is not None]
    apart = harmless(trained)
    runs = [one for one in trained if one not in apart]
    thresholds = choose([one for one in runs if one.case.fits])
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(report(runs, thresholds, apart))
    for one in runs:
        if not right(one, thresholds):
            print(f"wrong: {one.case.name}: {one.diagnose(thresholds).line()}")
    print(arguments.out)


if __name__ == "__main__":
    main()
