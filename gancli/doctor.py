"""What the log says about the health of a run, in plain words.

Each way to fail has one small function, which looks at the log for its evidence and names the
setting to change. None of them needs torch, or a picture: a run is judged by its figures alone.
"""

from __future__ import annotations

import dataclasses
import enum
import itertools
import json
import math
import shlex
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gancli import recipes
from gancli.config import NAMED_SOURCES, PIXEL_RANGES, OptimizerConfig, RunConfig
from gancli.errors import TrainingError
from gancli.runs import RunDirectory, Status

Log = Sequence[dict[str, Any]]

# What D loses when it cannot tell real from fake; see gancli/losses.py. A critic's says nothing.
EQUILIBRIA = {
    "minimax": math.log(4),
    "non-saturating": math.log(4),
    "least-squares": 1 / 4,
    "mean-squared-error": 1 / 2,
    "hinge": 2.0,
    "relativistic": math.log(2),
}


def equilibrium(config: RunConfig) -> float | None:
    """Return what D loses when it cannot tell real from fake; None where that is no one number."""
    return None if config.loss.smoothed else EQUILIBRIA.get(config.loss.name)


# What a generator that ends in this layer can draw.
_REACHES = {"tanh": "signed", "sigmoid": "unit"}


class Severity(enum.StrEnum):
    """How bad a finding is."""

    FAILURE = "failure"
    WARNING = "warning"
    NOTE = "note"


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """Where a figure stops being healthy.

    Attributes:
        least_steps: before so many steps, figures are those of the start.
        least_lines: so many log lines make a course that can be judged.
        logit_limit: no healthy D's logits are this large on average.
        full_collapse: fakes differ from each other by less than this share of what reals do.
        partial_collapse: the same, where some variety is left.
        rising: what grows by this factor from quarter to quarter has not arrived.
        same_images: reals this near to each other, as a share of the longest distance, are one.
        dead_gradient: a gradient no longer than this is none.
        dead_diversity: fakes that differ by less than this share do not depend on the latent.
        saturated: more of G's pixels than this lie at the ends of the range.
        saturated_excess: and so many more than of the real ones.
        d_loss_won: D's loss below this share of its equilibrium is a game won.
        d_sure: accuracy on real and on fake, both, of a D that has won.
        d_lost_accuracy: accuracy on fakes of a D that believes them.
        d_lost_gap: and its mean logits of real images lie at most so far above those of fakes.
        d_loss_lost: D's loss above this multiple of its equilibrium is worse than blind.
        swing: spread of D's mean output on fakes from line to line.
        deteriorated: diversity fell to less than this share of its best.
        learned: the best must have been at least this.
        worse_score: the last quick scores are this many times the best ones.
        worse_rise: and they have risen by more than this share of the worst.
        few_images: a data set this small can be learned by heart.
        showings: if each image is shown so many times.
    """

    least_steps: int = 100
    least_lines: int = 4
    logit_limit: float = 100.0
    full_collapse: float = 0.2
    partial_collapse: float = 0.6
    rising: float = 1.15
    same_images: float = 0.005
    dead_gradient: float = 1e-7
    dead_diversity: float = 1e-4
    saturated: float = 0.99
    saturated_excess: float = 0.03
    d_loss_won: float = 0.15
    d_sure: float = 0.985
    d_lost_accuracy: float = 0.1
    d_lost_gap: float = 0.5
    d_loss_lost: float = 1.3
    swing: float = 0.2
    deteriorated: float = 0.75
    learned: float = 0.6
    worse_score: float = 1.5
    worse_rise: float = 0.001
    few_images: int = 300
    showings: int = 50


DEFAULT_THRESHOLDS = Thresholds()


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that happened to a run.

    Attributes:
        name: a few words that stay the same, such as ``full mode collapse``.
        severity: how bad it is.
        epoch: since when.
        evidence: what in the log shows it, with the numbers.
        remedy: assignments ``key=value`` that make a valid config of the run's.
    """

    name: str
    severity: Severity
    epoch: float
    evidence: str
    remedy: tuple[str, ...] = ()

    @property
    def options(self) -> str:
        """The remedy as a shell takes it: ``--set key=value --set ...``."""
        return shlex.join(word for change in self.remedy for word in ("--set", change))

    def sentence(self) -> str:
        """Return what happened, when, why that is thought and what to change."""
        advice = f"; try {self.options}" if self.remedy else ""
        return f"{self.name} since epoch {self.epoch:g}: {self.evidence}{advice}"


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """All that was found, the worst first.

    Attributes:
        findings: empty for a run in good health.
        steps: how many steps the log tells of.
        epoch: the same in epochs.
    """

    findings: tuple[Finding, ...]
    steps: int
    epoch: float

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong; a note is no fault."""
        return all(finding.severity is Severity.NOTE for finding in self.findings)

    @property
    def failure(self) -> Finding | None:
        """The worst finding, if the run has failed."""
        failures = (f for f in self.findings if f.severity is Severity.FAILURE)
        return next(failures, None)

    def line(self, command: str = "gancli doctor") -> str:
        """Return the diagnosis in one line; the command tells more."""
        if not self.findings:
            return "healthy: the log shows none of the failures that the doctor knows"
        more = len(self.findings) - 1
        rest = f" (and {more} more: {command})" if more else ""
        return self.findings[0].sentence() + rest

    def as_dict(self) -> dict[str, Any]:
        """Return the diagnosis as plain data."""
        return {
            "healthy": self.healthy,
            "steps": self.steps,
            "epoch": self.epoch,
            "findings": [
                {
                    **dataclasses.asdict(finding),
                    "severity": str(finding.severity),
                    "remedy": list(finding.remedy),
                    "options": finding.options,
                }
                for finding in self.findings
            ],
        }


def diagnose(
    log: Log,
    config: RunConfig,
    *,
    images: int | None = None,
    error: str | None = None,
    scores: Log = (),
    pause: int | None = None,
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
) -> Diagnosis:
    """Judge a run by its log.

    Args:
        log: the lines of log.jsonl, in order; of older versions too, which lack some figures.
        config: the run's.
        images: how many it learned from, if known.
        error: why it failed, if it did.
        scores: the lines of quality.jsonl, if quick scores were taken.
        pause: the last step of which is known, where it has not come to its end.
        thresholds: where figures stop being healthy.
    """
    case = _Case(log, config, thresholds, images, error, scores, pause)
    found = [finding for look in _ALWAYS if (finding := look(case)) is not None]
    if case.can_be_judged:
        found += [finding for look in _IN_TIME if (finding := look(case)) is not None]
    if not any(finding.severity is Severity.FAILURE for finding in found):
        found += filter(None, [_too_short(case)])
    order = list(Severity)
    found.sort(key=lambda finding: order.index(finding.severity))
    step, epoch = (log[-1]["step"], log[-1]["epoch"]) if log else (0, 0.0)
    return Diagnosis(tuple(found), max(step, pause or 0), epoch)


def examine(run: RunDirectory) -> Diagnosis:
    """Judge a run by what lies in its folder, finished or not.

    Raises:
        CheckpointError: its config, status or log is damaged.
    """
    status, word = run.read_status(), run.status()
    images = status.get("data", {}).get("images")
    stopped = word not in (Status.FINISHED, Status.FAILED)
    # Else what ended it was no fault of the GAN's. Runs of before tell no code.
    failed = word is Status.FAILED and status.get("exit_code", 5) == TrainingError.exit_code
    return diagnose(
        run.read_log(),
        run.read_config(),
        images=images if isinstance(images, int) else None,
        error=str(status["error"]) if failed and status.get("error") else None,
        scores=run.read_quality(),
        pause=status.get("step", 0) if stopped else None,
    )


class _Case:
    """A log with what is asked of it again and again."""

    def __init__(
        self,
        log: Log,
        config: RunConfig,
        thresholds: Thresholds,
        images: int | None,
        error: str | None,
        scores: Log,
        pause: int | None,
    ) -> None:
        self.log, self.config, self.limits = log, config, thresholds
        self.images, self.error, self.scores = images, error, scores
        self.pause = pause

    @property
    def can_be_judged(self) -> bool:
        return (
            len(self.log) >= self.limits.least_lines
            and self.log[-1]["step"] >= self.limits.least_steps
        )

    def course(self, key: str) -> list[float]:
        """Return a figure line by line; not a number where a line lacks it, or it says nothing."""
        training = self.config.training
        if key.startswith("diversity") and 1 in (
            training.batch_size,
            training.generator_batch_size,
        ):
            return [math.nan] * len(self.log)  # one image differs from no other
        return [float(record.get(key, math.nan)) for record in self.log]

    def late(self, key: str) -> float:
        return _late(self.course(key))

    @property
    def diversity(self) -> list[float]:
        """How varied fakes are, as a share of how varied reals are."""
        pairs = zip(self.course("diversity_fake"), self.course("diversity_real"), strict=True)
        return [fake / real if real > 0 else math.nan for fake, real in pairs]

    @property
    def d_share(self) -> list[float]:
        """D's loss as a share of what it loses when it cannot tell; not a number of a critic."""
        equilibrium = EQUILIBRIA.get(self.config.loss.name, math.nan)
        return [loss / equilibrium for loss in self.course("d_loss")]

    def since(self, true: Iterable[bool]) -> float:
        """Return the epoch from which on something is true of every line, or of the last."""
        start = len(self.log) - 1
        for index, holds in reversed(list(enumerate(true))):
            if not holds:
                break
            start = index
        return float(self.log[start]["epoch"]) if self.log else 0.0


def _late(values: Sequence[float]) -> float:
    """Return the median of the last quarter, three values at the least."""
    return _median(values[-max(3, len(values) // 4) :])


def _before(values: Sequence[float]) -> float:
    """Return the median of what lies right before the last quarter, as long as it is."""
    count = max(3, len(values) // 4)
    return _median(values[-2 * count : -count] or values[:1])


def _smoothed(values: Sequence[float]) -> list[float]:
    """Return the median of each value and its neighbours."""
    return [_median(values[max(0, index - 1) : index + 2]) for index in range(len(values))]


def _median(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return statistics.median(known) if known else math.nan


def _diverged(case: _Case) -> Finding | None:
    """A number too large to be one, or on the way there."""
    keys = [key for key, value in (case.log[-1] if case.log else {}).items() if value is not None]
    wild = [not all(math.isfinite(record.get(key, 0)) for key in keys) for record in case.log]
    limit = case.limits.logit_limit * (100 if case.config.loss.name == "wasserstein" else 1)
    logits = [
        max(abs(record.get("d_logit_real", 0.0)), abs(record.get("d_logit_fake", 0.0)))
        for record in case.log
    ]
    large = [logit > limit for logit in logits]
    if case.error is not None:
        epoch = case.log[-1]["epoch"] if case.log else 0.0
        evidence = f"training ended with: {case.error.split(':')[0]}"
    elif any(wild):
        epoch = case.log[wild.index(True)]["epoch"]
        evidence = "a figure of the log is no finite number"
    elif any(large):
        epoch = case.log[large.index(True)]["epoch"]
        evidence = f"D's mean logit reached {max(logits):,.0f}, and a sound one stays in the tens"
    else:
        return None
    return Finding("divergence", Severity.FAILURE, epoch, evidence, _slower(case.config, 10))


def _adds_to_its_end(layers: Sequence[str]) -> bool:
    """Tell whether a residual block is the end of a network, which then has no bounds."""
    for index, line in enumerate(layers):
        name, *numbers = line.split()
        # A number may be told by the size of the image, and then may be any.
        if name == "residual" and (
            not numbers[0].isdigit() or index + int(numbers[0]) >= len(layers) - 1
        ):
            return True
    return False


def _scale_mismatch(case: _Case) -> Finding | None:
    """Real images that G cannot draw, whatever it learns."""
    layers = case.config.generator.layers
    last = layers[-1].split()[0]
    shown = case.config.data.pixel_range
    if case.config.data.is_points or last not in _REACHES or shown == _REACHES[last]:
        return None
    if (last, shown) == ("tanh", "unit"):  # it can draw all of [0, 1], and more
        return None
    if _adds_to_its_end(layers):
        return None
    (low, high), (least, most) = PIXEL_RANGES[_REACHES[last]], PIXEL_RANGES[shown]
    return Finding(
        "scale mismatch",
        Severity.FAILURE,
        0.0,
        f"G ends in {last} and draws [{low:g}, {high:g}], while D is shown real images in "
        f"[{least:g}, {most:g}]",
        (f"data.pixel_range={_REACHES[last]}",),
    )


def _flipped_labels(case: _Case) -> Finding | None:
    """D is told that real images are fake."""
    loss = case.config.loss
    real, fake = sum(loss.real_labels) / 2, sum(loss.fake_labels) / 2
    if real > fake:
        return None
    return Finding(
        "labels flipped",
        Severity.FAILURE,
        0.0,
        f"D learns to call real images {real:g} and fakes {fake:g}, and is right on "
        f"{case.late('d_accuracy_real'):.0%} of real images and "
        f"{case.late('d_accuracy_fake'):.0%} of fakes",
        ("loss.real_labels=[1.0, 1.0]", "loss.fake_labels=[0.0, 0.0]"),
    )


def _one_image(case: _Case) -> Finding | None:
    """Data in which every image is the same; of data made on the spot that is the purpose."""
    data = case.config.data
    low, high = PIXEL_RANGES[data.pixel_range]
    longest = (high - low) * math.sqrt(math.prod(data.sample_shape))
    apart = case.late("diversity_real")
    made = data.source in NAMED_SOURCES and data.source != "mnist"
    if made or not apart <= case.limits.same_images * longest:
        return None
    return Finding(
        "data without variety",
        Severity.FAILURE,
        0.0,
        f"real images lie {apart:.3g} apart, which is {apart / longest:.2%} of the longest "
        "distance there is: they are all one picture, and G can only repeat it",
        () if data.source == "mnist" else ("data.source=mnist",),
    )


def _dead(case: _Case) -> Finding | None:
    """A network through which no gradient comes."""
    limit = case.limits.dead_gradient
    told, moved = case.course("g_output_gradient_norm"), case.course("g_gradient_norm")
    diversity = case.diversity
    blind = [value <= limit for value in told]
    deaf = [
        norm <= limit or share <= case.limits.dead_diversity
        for norm, share in zip(moved, diversity, strict=True)
    ]
    if _late(told) <= limit:
        return Finding(
            "dead discriminator",
            Severity.FAILURE,
            case.since(blind),
            f"what D tells a fake has a length of {_late(told):.2g}: its output no longer "
            "depends on the image",
            _revive(case.config, "discriminator"),
        )
    if _late(moved) <= limit or _late(diversity) <= case.limits.dead_diversity:
        return Finding(
            "dead generator",
            Severity.FAILURE,
            case.since(deaf),
            f"all fakes are one image (they differ by {_late(diversity):.2g} of what real images "
            f"do), and the gradient of G's weights is {_late(moved):.2g} long",
            _revive(case.config, "generator"),
        )
    return None


def _collapsed(case: _Case) -> Finding | None:
    """G draws the same picture again and again."""
    diversity, limits = case.diversity, case.limits
    late = _late(diversity)
    if not limits.dead_diversity < late < limits.partial_collapse or _rises(case):
        return None
    full = late < limits.full_collapse
    limit = limits.full_collapse if full else limits.partial_collapse
    return Finding(
        "full mode collapse" if full else "partial mode collapse",
        Severity.FAILURE if full else Severity.WARNING,
        case.since(share < limit for share in diversity),
        f"fakes differ from each other by {late:.0%} of what real images do",
        _steadier(case.config),
    )


def _rises(case: _Case) -> bool:
    """Tell whether fakes become more varied still."""
    return _late(case.diversity) > case.limits.rising * _before(case.diversity)


def _saturated(case: _Case) -> Finding | None:
    """Pixels stuck at the ends of the range, where tanh and sigmoid hand no gradient on."""
    fake, real = case.late("saturation_fake"), case.late("saturation_real")
    limit = case.limits.saturated
    if not (fake > limit and fake - real > case.limits.saturated_excess):
        return None
    return Finding(
        "saturated output",
        Severity.FAILURE,
        case.since(share > limit for share in case.course("saturation_fake")),
        f"{fake:.1%} of G's pixels lie at an end of the range, and {real:.1%} of real ones do",
        _slower(case.config, 10),
    )


def _d_overpowers(case: _Case) -> Finding | None:
    """D knows every fake, and G learns nothing from being told so."""
    limits, loss = case.limits, case.config.loss
    if loss.name == "wasserstein":  # a critic that knows every fake is what it takes
        return None
    real, fake = case.course("d_accuracy_real"), case.course("d_accuracy_fake")
    right = [min(pair) for pair in zip(real, fake, strict=True)]
    if not loss.smoothed:
        won = [share < limits.d_loss_won for share in case.d_share]
        is_won = _late(case.d_share) < limits.d_loss_won
    else:  # the loss on labels that are drawn has a floor of its own
        won = [share >= limits.d_sure for share in right]
        is_won = _late(right) >= limits.d_sure
    if not is_won:
        return None
    told = case.course("g_output_gradient_norm")
    strongest = max((value for value in told if not math.isnan(value)), default=math.nan)
    fell = ""
    if _late(told) < strongest / 10:
        fell = f", and what it tells a fake fell from {strongest:.2g} to {_late(told):.2g}"
    return Finding(
        "discriminator overpowering",
        Severity.FAILURE,
        case.since(won),
        f"D loses {case.late('d_loss'):.2g} (and {EQUILIBRIA[loss.name]:.2g} when it cannot tell), "
        f"is right on {_late(real):.0%} of real images and {_late(fake):.0%} of fakes{fell}",
        _weaker_discriminator(case.config),
    )


def _g_overpowers(case: _Case) -> Finding | None:
    """D believes the fakes."""
    real, fake = case.course("d_logit_real"), case.course("d_logit_fake")
    accuracy = case.course("d_accuracy_fake")
    if case.config.loss.name in ("wasserstein", "least-squares", "relativistic"):
        return None  # whose logits have no zero that means anything
    limit = case.limits.d_lost_accuracy
    fooled = _late(fake) > max(0.0, _late(real) - case.limits.d_lost_gap)
    if not (_late(accuracy) < limit and fooled):
        return None
    return Finding(
        "generator overpowering",
        Severity.FAILURE,
        case.since(share < limit for share in accuracy),
        f"D takes {1 - _late(accuracy):.0%} of the fakes for real: its mean logit is "
        f"{_late(fake):.2g} on fakes and {_late(real):.2g} on real images",
        _weaker_generator(case.config),
    )


def _oscillates(case: _Case) -> Finding | None:
    """The two circle around each other."""
    share, limit = case.d_share, case.limits.d_loss_lost
    outputs = [value for value in case.course("d_output_fake") if not math.isnan(value)]
    second_half = outputs[len(outputs) // 2 :]
    swing = statistics.pstdev(second_half) if len(second_half) >= case.limits.least_lines else 0.0
    if _late(share) > limit:
        since = case.since(value > limit for value in share)
        evidence = (
            f"D loses {_late(share):.2g} times what it would if it could not tell real from fake, "
            "as one does who is always one move behind"
        )
    elif swing > case.limits.swing and _crossings(second_half) >= len(second_half) / 4:
        since = float(case.log[len(case.log) // 2]["epoch"])
        evidence = (
            f"D's mean output on fakes swings by {swing:.2g} around {_median(second_half):.2g} "
            "from line to line"
        )
    else:
        return None
    return Finding(
        "oscillation", Severity.FAILURE, since, evidence, _slower(case.config, 4, penalty=True)
    )


def _crossings(values: Sequence[float]) -> int:
    mean = statistics.fmean(values)
    return sum((one > mean) != (two > mean) for one, two in itertools.pairwise(values))


def _deteriorated(case: _Case) -> Finding | None:
    """It was better once, by the quick scores or else by how varied the fakes are."""
    scores = [float(record["score"]) for record in case.scores]
    if len(scores) >= case.limits.least_lines:
        # A single score is good by chance, and one of many is.
        smooth = _smoothed(scores)
        best, late = min(smooth), _late(scores)
        at = case.scores[smooth.index(best)]
        limit = max(case.limits.worse_score * best, best + case.limits.worse_rise * max(scores))
        if not late > limit:
            return None
        evidence = f"the quick score was {best:.4g} at its best and is {late:.4g} at the end"
        return _was_better(case, at, f"{evidence} (--weights best takes the best one)")
    near = [min(share, 1 / share) if share > 0 else 0.0 for share in case.diversity]
    smooth = _smoothed(near)
    best = max(smooth, default=0.0)
    late, limits = _late(near), case.limits
    if not (best >= limits.learned and late < limits.deteriorated * best):
        return None
    return _was_better(
        case,
        case.log[smooth.index(best)],
        f"fakes were as varied as {_late(case.diversity):.0%} of real images at the end, and "
        f"{best:.0%} at their best",
    )


def _was_better(case: _Case, best: dict[str, Any], evidence: str) -> Finding:
    epoch = float(best["epoch"])
    change = f"training.epochs={epoch:g}"
    if case.config.training.steps is not None:
        change = f"training.steps={best['step']}"
    return Finding("deterioration", Severity.WARNING, epoch, evidence, (change,))


def _memorised(case: _Case) -> Finding | None:
    """A few images, shown until they are known by heart."""
    data, limits = case.config.data, case.limits
    if case.images is None or case.images > limits.few_images or not case.log:
        return None
    if data.source in NAMED_SOURCES and data.source != "mnist":  # ten glyphs are to be learned so
        return None
    changes = case.config.discriminator.shift, case.config.data.elastic
    if any(change not in (0.0, "auto") for change in changes):  # no image is shown twice alike
        return None
    showings = case.log[-1]["images"] / case.images
    if showings < limits.showings:
        return None
    known = [record for record in case.log if record["images"] / case.images >= limits.showings]
    length = f"training.epochs={limits.showings}"
    if case.config.training.steps is not None:
        length = f"training.steps={known[0]['step']}"
    return Finding(
        "memorisation",
        Severity.WARNING,
        float(known[0]["epoch"]),
        f"there are {case.images} images, and each was shown {showings:,.0f} times: G can do no "
        "better than repeat them (gancli evaluate tells how near they are); use more images, or "
        "stop sooner",
        (length,),
    )


def _too_short(case: _Case) -> Finding | None:
    """It could learn more, if it were let."""
    epoch = float(case.log[-1]["epoch"]) if case.log else 0.0
    if not case.can_be_judged:
        step = case.log[-1]["step"] if case.log else 0
        evidence = (
            f"{max(step, case.pause or 0)} steps and {len(case.log)} log lines; "
            f"{case.limits.least_steps} and {case.limits.least_lines} are needed to judge"
        )
    elif _rises(case) and _late(case.diversity) < case.limits.learned:
        evidence = (
            f"fakes differ by {_late(case.diversity):.0%} of what real images do, and by "
            f"{_before(case.diversity):.0%} shortly before: they still become more varied"
        )
    else:
        return None
    if case.pause is not None:
        evidence = f"{evidence}; it has not come to its end"
        return Finding("not trained long enough", Severity.NOTE, epoch, evidence)
    training = case.config.training
    if training.steps is not None:
        changes = [f"training.steps={max(4 * training.steps, 4 * case.limits.least_steps)}"]
    else:
        changes = [f"training.epochs={4 * (training.epochs or 1):g}"]
    if case.config.recipe in recipes.AUGMENTING_IF_SHOWN_OFTEN:
        # The run has kept what its own length came to.
        kept = {
            "discriminator.shift": case.config.discriminator.shift,
            "data.elastic": case.config.data.elastic,
        }
        changes += [f"{key}=auto" for key, value in kept.items() if not value]
    every, lines = case.config.record.log_every, 4 * case.limits.least_lines
    if case.log and len(case.log) < case.limits.least_lines and isinstance(every, float):
        end = epoch * 4
        if end < lines * every:
            changes.append(f"record.log_every={end / lines:.2g}")
    return Finding("not trained long enough", Severity.NOTE, epoch, evidence, tuple(changes))


# Found in any log, however short; and what takes time to show. The likelier cause comes first.
_ALWAYS: tuple[Callable[[_Case], Finding | None], ...] = (
    _scale_mismatch,
    _flipped_labels,
    _diverged,
)
_IN_TIME: tuple[Callable[[_Case], Finding | None], ...] = (
    _one_image,
    _saturated,
    _dead,
    _collapsed,
    _d_overpowers,
    _g_overpowers,
    _oscillates,
    _deteriorated,
    _memorised,
)


def _rate(network: str, optimizer: OptimizerConfig, factor: float) -> tuple[str, ...]:
    """Return the rate, and where it ends, times a factor."""
    changes = [f"{network}_optimizer.lr={optimizer.lr * factor:.2g}"]
    if optimizer.lr_final is not None:
        changes.append(f"{network}_optimizer.lr_final={optimizer.lr_final * factor:.2g}")
    return tuple(changes)


def _slower(config: RunConfig, times: float, *, penalty: bool = False) -> tuple[str, ...]:
    return (
        *_rate("generator", config.generator_optimizer, 1 / times),
        *_rate("discriminator", config.discriminator_optimizer, 1 / times),
        *(_penalties(config) if penalty else ()),
    )


def _penalties(config: RunConfig) -> tuple[str, ...]:
    """Return R1 and R2 for a game that has no penalty yet and can take them."""
    loss = config.loss
    if config.training.unrolled_steps or loss.gradient_penalty or loss.r1 or loss.r2:
        return ()
    return ("loss.r1=1", "loss.r2=1")


def _steadier(config: RunConfig) -> tuple[str, ...]:
    """Return what keeps a G from collapsing: the game of pairs with penalties, or slower steps."""
    able = not config.loss.smoothed and config.training.generator_batch_size is None
    if able and config.loss.name != "relativistic" and _penalties(config):
        return ("loss.name=relativistic", *_penalties(config))
    return _penalties(config) or _slower(config, 4)


def _weaker_discriminator(config: RunConfig) -> tuple[str, ...]:
    ours, theirs = config.generator_optimizer, config.discriminator_optimizer
    if config.training.d_steps > 1:
        return ("training.d_steps=1",)
    if ours.name == theirs.name and theirs.lr > 2 * ours.lr:
        return (f"discriminator_optimizer.lr={ours.lr:.2g}",)
    if config.loss.name in ("minimax", "mean-squared-error"):
        return ("loss.name=non-saturating",)
    return (*_rate("discriminator", theirs, 1 / 4), *_penalties(config))


def _weaker_generator(config: RunConfig) -> tuple[str, ...]:
    ours, theirs = config.generator_optimizer, config.discriminator_optimizer
    if ours.name == theirs.name and theirs.lr < ours.lr / 2:
        return (f"discriminator_optimizer.lr={ours.lr:.2g}",)
    return _rate("generator", ours, 1 / 4)


def _revive(config: RunConfig, network: str) -> tuple[str, ...]:
    """Return the network with slopes where its rectifiers are flat, or with other first weights."""
    layers = (config.generator if network == "generator" else config.discriminator).layers
    # A generator's last layer says what it can draw, and stays.
    bent = ["leaky_relu 0.2" if layer == "relu" else layer for layer in layers[:-1]]
    if bent != list(layers[:-1]):
        return (f"{network}.layers={json.dumps([*bent, layers[-1]])}",)
    chosen = (
        config.generator_optimizer if network == "generator" else config.discriminator_optimizer
    )
    return (f"{network}.init=he", *_rate(network, chosen, 1 / 10))
