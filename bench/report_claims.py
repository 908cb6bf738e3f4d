"""What the five reports say, and how gancli's figures decide whether it holds.

Every claim is a small function of measured figures, seed by seed; no verdict is written by hand.
"""

from __future__ import annotations

import dataclasses
import enum
import statistics
from collections.abc import Callable

FRECHET, COVERAGE = "frechet_distance_judge", "coverage_judge"
SHARE, GLYPHS, DISTANCE = "judge_share", "distinct_glyphs", "target_distance"
ON_REAL, ON_FAKE = "d_accuracy_real", "d_accuracy_fake"
# The least coverage of a generator that draws recognisable digits. Precision and the judge's
# confidence would not do: both are high for one speck, drawn over and over, that falls into the
# wide ball of an odd real image.
RECOGNISABLE = 0.05
SEEDS = 3

# A recipe and one of its figures to the number that a seed gave.
At = Callable[[str, str], float]


class Verdict(enum.StrEnum):
    """What became of a claim."""

    HELD = "held"
    FAILED = "did not hold"
    NOT_REACHED = "not reached in the preview"
    UNDECIDED = "undecided"


@dataclasses.dataclass(frozen=True)
class Claim:
    """Something that a report says.

    Attributes:
        report: R1 to R5.
        words: what it says.
        test: what is measured, with its threshold, in words.
        holds: the same as a function of one seed's figures.
        shows: recipes and figures that decide, to be printed beside the verdict.
        needs: what must be so before the claim can be judged; None for nothing.
        epochs: how long the report trained before it saw this; 0 where any length decides.
    """

    report: str
    words: str
    test: str
    holds: Callable[[At], bool]
    shows: tuple[tuple[str, str], ...]
    needs: Callable[[At], bool] | None = None
    epochs: float = 0


def judge(claim: Claim, seeds: list[At], epochs: float, shortened: bool) -> tuple[Verdict, str]:
    """Return the verdict of a claim and, in words, how it came about.

    Args:
        claim: it.
        seeds: the figures of each seed that trained every recipe the claim is about.
        epochs: the length of the shortest of these runs.
        shortened: whether any of them is shorter than its recipe.
    """
    if len(seeds) < SEEDS:
        return Verdict.UNDECIDED, f"{len(seeds)} of {SEEDS} seeds measured"
    if claim.needs is not None and not all(map(claim.needs, seeds)):
        verdict = Verdict.NOT_REACHED if shortened else Verdict.UNDECIDED
        return verdict, f"nothing to judge by in {len(seeds) - sum(map(claim.needs, seeds))} seeds"
    held = [claim.holds(at) for at in seeds]
    said = f"in {sum(held)} of {len(held)} seeds"
    if epochs < claim.epochs:
        return Verdict.NOT_REACHED, f"held {said} after {epochs:g} of {claim.epochs:g} epochs"
    return (Verdict.HELD, said) if all(held) else (Verdict.FAILED, f"held {said}")


def learned(*recipes: str) -> Callable[[At], bool]:
    """Tell whether any of the recipes draws recognisable digits."""
    return lambda at: any(at(name, COVERAGE) >= RECOGNISABLE for name in recipes)


def better(report: str, words: str, recipe: str, than: str, *, epochs: float = 0) -> Claim:
    """Claim that a recipe is nearer to real images than another."""
    return Claim(
        report,
        words,
        f"Frechet distance of `{recipe}` below that of `{than}`",
        lambda at: at(recipe, FRECHET) < at(than, FRECHET),
        ((recipe, FRECHET), (than, FRECHET)),
        learned(recipe, than),
        epochs,
    )


def as_good(report: str, words: str, recipe: str, than: str) -> Claim:
    """Claim that a recipe is no worse than another, to a tenth of the distance."""
    return Claim(
        report,
        words,
        f"Frechet distance of `{recipe}` at most 1.1 times that of `{than}`",
        lambda at: at(recipe, FRECHET) <= 1.1 * at(than, FRECHET),
        ((recipe, FRECHET), (than, FRECHET)),
        learned(recipe, than),
    )


def covers_more(report: str, words: str, recipe: str, than: str, figure: str = COVERAGE) -> Claim:
    """Claim that a recipe shows more of the data than another."""
    return Claim(
        report,
        words,
        f"{figure} of `{recipe}` above that of `{than}`",
        lambda at: at(recipe, figure) > at(than, figure),
        ((recipe, figure), (than, figure)),
        learned(recipe, than) if figure == COVERAGE else lambda at: at(recipe, "glyph_share") > 0,
    )


def _deteriorates(at: At, recipe: str = "r1-fc") -> bool:
    return at(recipe, "share_fall") >= 0.1 or at(recipe, "correlation_fall") >= 0.05


def _rank_correlation(xs: list[float], ys: list[float]) -> float:
    ranks = [[sorted(values).index(value) for value in values] for values in (xs, ys)]
    return statistics.correlation(*ranks)


RUNGS = (
    "r2-1-baseline",
    "r2-2-leaky",
    "r2-3-deeper",
    "r2-4-normal-dropout",
    "r2-5-smoothing",
    "r2-6-final",
)
R4_DROPOUTS = tuple(f"r4-d-dropout-{percent}" for percent in (30, 40, 50))
R4_DENSE = (
    *("r4-base", "r4-narrow", "r4-g-dropout", *R4_DROPOUTS),
    *("r4-sgd-d", "r4-unscaled", "r4-batchnorm", "r4-uniform"),
)
WISHES = {
    "momentum": "momentum",
    "nesterov": "Nesterov's momentum",
    "adagrad": "Adagrad",
    "adadelta": "Adadelta",
    "rmsprop": "RMSprop",
    "adam": "Adam",
    "minibatch-discrimination": "minibatch discrimination",
    "he": "He initialisation",
    "xavier": "Xavier initialisation",
    "l2": "an L2 penalty",
    "dropout": "dropout in D",
}

TITLES = {
    "R1": (
        "One GAN a digit",
        "One dense layer in each network, plain SGD at a constant rate, one step on 200 random "
        "sevens an epoch, 2,000 epochs. The author saw noise for 500 epochs, then digits until "
        "about 1,200, then worse and worse pictures, and asks why. Adam is said to do worse, and a "
        "multi-layer perceptron to fail. Convolutions and adaptive rates are wished for.",
    ),
    "R2": (
        "The ladder of tricks",
        "Six rungs, each with one more idea: leaky rectifiers, depth, normal latents and dropout, "
        "noisy labels, a deeper discriminator for 100 epochs. The first is said to give random "
        "pictures, the fourth the first recognisable digits.",
    ),
    "R3": (
        "Small targets",
        "GANs of a hand-written layer library learn a point, a drawing and ten glyphs. The "
        "smallest discriminator finds the point best; on the glyphs dense and convolutional "
        "networks end in mode collapse, the latter with an overpowering discriminator. Better "
        "optimisers, initialisers and minibatch discrimination are wished for.",
    ),
    "R4": (
        "Dense against convolutional",
        "A base of dense networks for 30 epochs, and variants of it: narrow layers, dropout in "
        "either network, SGD for the discriminator, images left at 0 to 255, batch normalisation, "
        "uniform latents, a convolutional generator. Loss curves alone are said not to tell a good "
        "GAN from a bad one.",
    ),
    "R5": (
        "A tutorial GAN and its changes",
        "A convolutional GAN of a well-known tutorial, 100 epochs in 79 minutes. With tanh it "
        "failed, the discriminator always right; half the latent lost nothing; with smoothed "
        "labels the discriminator's accuracy on real images was 0 % and the pictures were good; "
        "batch normalisation balanced the two networks and took longer. The author asks how to "
        "cover more modes, and how to converge.",
    ),
}

CLAIMS = [
    Claim(
        "R1",
        "noise for the first 500 epochs",
        "correlation of samples with the mean seven below 0.3 until epoch 400",
        lambda at: at("r1-fc", "correlation_early") < 0.3,
        (("r1-fc", "correlation_early"),),
    ),
    Claim(
        "R1",
        "recognisable digits from 500 to 1,200",
        "between these epochs the judge calls half of the samples sevens, or their correlation "
        "with the mean seven is 0.5, on average",
        lambda at: at("r1-fc", "share_middle") >= 0.5 or at("r1-fc", "correlation_middle") >= 0.5,
        (("r1-fc", "share_middle"), ("r1-fc", "correlation_middle")),
    ),
    Claim(
        "R1",
        "after about 1,200 epochs the images deteriorate",
        "from the best three snapshots up to epoch 1,300 to the last three, the judge's share "
        "falls by 0.1 or the correlation with the mean seven by 0.05",
        _deteriorates,
        (("r1-fc", "share_fall"), ("r1-fc", "correlation_fall")),
    ),
    Claim(
        "R1",
        "(why?) a linear discriminator circles; penalties on its gradient damp that",
        "`r1-fc` deteriorates and `r1-damped`, by the same measure, does not, having come to a "
        "correlation of 0.5",
        lambda at: not _deteriorates(at, "r1-damped"),
        (
            *(
                (name, fall)
                for name in ("r1-fc", "r1-damped")
                for fall in ("share_fall", "correlation_fall")
            ),
            ("r1-damped", "correlation_last"),
        ),
        # What has learned nothing has nothing to lose.
        lambda at: _deteriorates(at) and at("r1-damped", "correlation_last") >= 0.5,
    ),
    Claim(
        "R1",
        "Adam is worse than the constant rate",
        "Frechet distance of `r1-adam` above that of `r1-fc`",
        lambda at: at("r1-adam", FRECHET) > at("r1-fc", FRECHET),
        (("r1-adam", FRECHET), ("r1-fc", FRECHET)),
    ),
    Claim(
        "R1",
        "a multi-layer perceptron fails",
        "the judge calls less than half of `r1-mlp`'s samples sevens",
        lambda at: at("r1-mlp", SHARE) < 0.5,
        (("r1-mlp", SHARE),),
    ),
    Claim(
        "R1",
        "(wish) convolutions with an adaptive rate do better",
        "Frechet distance of `r1-conv` below half of `r1-fc`'s",
        lambda at: at("r1-conv", FRECHET) < at("r1-fc", FRECHET) / 2,
        (("r1-conv", FRECHET), ("r1-fc", FRECHET)),
    ),
    Claim(
        "R2",
        "the baseline gives random pictures",
        f"coverage below {RECOGNISABLE:.0%}",
        lambda at: at(RUNGS[0], COVERAGE) < RECOGNISABLE,
        ((RUNGS[0], COVERAGE),),
    ),
    Claim(
        "R2",
        "the fourth rung gives the first recognisable digits",
        f"coverage below {RECOGNISABLE:.0%} on rungs 1 to 3 and above on rung 4",
        lambda at: (
            max(at(name, COVERAGE) for name in RUNGS[:3]) < RECOGNISABLE <= at(RUNGS[3], COVERAGE)
        ),
        tuple((name, COVERAGE) for name in RUNGS[:4]),
    ),
    *(
        better("R2", f"rung {n + 1} improves on rung {n}", RUNGS[n], RUNGS[n - 1])
        for n in range(1, len(RUNGS))
    ),
    Claim(
        "R3",
        "the smallest discriminator finds the point best",
        "target distance of `r3-point-a` below those of b, c and d",
        lambda at: (
            at("r3-point-a", DISTANCE) < min(at(f"r3-point-{letter}", DISTANCE) for letter in "bcd")
        ),
        tuple((f"r3-point-{letter}", DISTANCE) for letter in "abcd"),
    ),
    *(
        Claim(
            "R3",
            f"on ten glyphs {kind} networks end in mode collapse",
            f"`{name}` shows one, two or three of the ten glyphs",
            lambda at, name=name: 1 <= at(name, GLYPHS) <= 3,  # type: ignore[misc]
            ((name, GLYPHS), (name, "glyph_share")),
        )
        for kind, name in (("dense", "r3-digits-dense"), ("convolutional", "r3-digits-conv"))
    ),
    Claim(
        "R3",
        "there the discriminator overpowers: G's cost rises while D's falls",
        "in `r3-digits-conv`, G's mean loss in the last quarter is above that in the first, and "
        "D's below",
        lambda at: at("r3-digits-conv", "g_loss_rise") > 0 > at("r3-digits-conv", "d_loss_rise"),
        (("r3-digits-conv", "g_loss_rise"), ("r3-digits-conv", "d_loss_rise")),
    ),
    *(
        covers_more(
            "R3",
            f"(wish) {words} against collapse",
            f"r3-digits-{name}",
            "r3-digits-dense",
            GLYPHS,
        )
        for name, words in WISHES.items()
    ),
    better("R4", "dropout belongs in D, not in G", "r4-d-dropout-30", "r4-g-dropout"),
    better("R4", "dropout 0.3 in D improves on the base", "r4-d-dropout-30", "r4-base"),
    Claim(
        "R4",
        "0.3 is the dropout to keep, of 0.3, 0.4 and 0.5",
        "lowest Frechet distance of the three",
        lambda at: min(R4_DROPOUTS, key=lambda name: at(name, FRECHET)) == R4_DROPOUTS[0],
        tuple((name, FRECHET) for name in R4_DROPOUTS),
        learned(*R4_DROPOUTS),
    ),
    better("R4", "SGD for D is worse", "r4-base", "r4-sgd-d"),
    better("R4", "images left at 0 to 255 are worse", "r4-base", "r4-unscaled"),
    as_good("R4", "batch normalisation in G is no gain", "r4-base", "r4-batchnorm"),
    better("R4", "uniform latents are worse", "r4-base", "r4-uniform"),
    better(
        "R4",
        "a convolutional G is better after 100 epochs",
        "r4-conv-16-32-64",
        "r4-base",
        epochs=100,
    ),
    Claim(
        "R4",
        "convolutional losses stay almost fixed",
        "over the last half of `r4-conv-16-32-64`, both losses vary by less than a tenth of "
        "themselves (standard deviation over mean)",
        lambda at: (
            max(at("r4-conv-16-32-64", f"{loss}_variation") for loss in ("g_loss", "d_loss")) < 0.1
        ),
        (("r4-conv-16-32-64", "g_loss_variation"), ("r4-conv-16-32-64", "d_loss_variation")),
        learned("r4-conv-16-32-64"),
    ),
    Claim(
        "R4",
        "loss curves alone do not tell a good GAN from a bad one",
        "rank correlation of G's last loss with the Frechet distance over the ten dense variants "
        "between -0.5 and 0.5",
        lambda at: (
            abs(
                _rank_correlation(
                    [at(name, "g_loss") for name in R4_DENSE],
                    [at(name, FRECHET) for name in R4_DENSE],
                )
            )
            < 0.5
        ),
        tuple((name, "g_loss") for name in R4_DENSE),
        learned(*R4_DENSE),
    ),
    Claim(
        "R4",
        "at some epoch both losses drop suddenly, and garbage follows",
        "in `r4-base`, at one log line both losses are under half of their mean before",
        lambda at: at("r4-base", "sudden_drops") > 0,
        (("r4-base", "sudden_drops"),),
        epochs=30,
    ),
    Claim(
        "R5",
        "tanh fails totally, D at 100 % on both",
        "`r5-tanh`: D right on 99 % of real and fake, coverage below 1 %, while `r5-base` learns",
        lambda at: (
            min(at("r5-tanh", ON_REAL), at("r5-tanh", ON_FAKE)) >= 0.99
            and at("r5-tanh", COVERAGE) < 0.01
        ),
        (
            *(("r5-tanh", figure) for figure in (ON_REAL, ON_FAKE, COVERAGE)),
            ("r5-base", COVERAGE),
        ),
        learned("r5-base"),
    ),
    as_good("R5", "half the latent loses no quality", "r5-latent-50", "r5-base"),
    Claim(
        "R5",
        "with smoothed labels D's thresholded accuracy on real is 0 %",
        "`r5-smooth`: rounded outputs match the smoothed labels on less than 1 % of real images, "
        "while D is right on more than half of them against 0 and 1",
        lambda at: at("r5-smooth", "d_match_real") < 0.01 and at("r5-smooth", ON_REAL) > 0.5,
        (("r5-smooth", "d_match_real"), ("r5-smooth", ON_REAL)),
    ),
    Claim(
        "R5",
        "and 100 % on fake",
        "`r5-smooth`: D right on 99 % of the fakes",
        lambda at: at("r5-smooth", ON_FAKE) >= 0.99,
        (("r5-smooth", ON_FAKE), ("r5-smooth", "d_match_fake")),
        learned("r5-smooth"),
    ),
    as_good("R5", "and yet the images are good", "r5-smooth", "r5-base"),
    Claim(
        "R5",
        "batch normalisation balances the two networks",
        "D's mean accuracy nearer to 50 % in `r5-batchnorm` than in `r5-base`",
        lambda at: (
            abs(at("r5-batchnorm", ON_REAL) + at("r5-batchnorm", ON_FAKE) - 1)
            < abs(at("r5-base", ON_REAL) + at("r5-base", ON_FAKE) - 1)
        ),
        tuple((name, side) for name in ("r5-batchnorm", "r5-base") for side in (ON_REAL, ON_FAKE)),
        learned("r5-base", "r5-batchnorm"),
    ),
    Claim(
        "R5",
        "batch normalisation is slower",
        "minutes above `r5-base`'s, timed by `--write-minutes`",
        lambda at: at("r5-batchnorm", "minutes") > at("r5-base", "minutes"),
        (("r5-batchnorm", "minutes"), ("r5-base", "minutes")),
    ),
    *(
        covers_more("R5", f"(question) {idea} covers more modes", recipe, "r5-base")
        for idea, recipe in (
            ("Wasserstein's loss with a gradient penalty", "r5-wgan-gp"),
            ("unrolling", "r5-unrolled"),
            ("minibatch discrimination", "r5-minibatch-discrimination"),
        )
    ),
    better("R5", "(question) noise on D's inputs helps", "r5-instance-noise", "r5-base"),
]
