"""How good the fakes are: features -> statistics -> number, with what real images would get."""

from __future__ import annotations

from gancli.metrics.balance import class_shares, kl_divergence
from gancli.metrics.frechet import Gaussian, frechet_distance
from gancli.metrics.intervals import (
    Interval,
    centred_interval,
    draws_interval,
    frechet_interval,
    kl_interval,
    mean_interval,
    share_interval,
)
from gancli.metrics.judge import Judge, Judged, judge_sha256, judged, load_judge
from gancli.metrics.modes import score_modes
from gancli.metrics.scores import Draw, Figure, Progress, ScoreCard, score
from gancli.metrics.stacked import STACKED_SAMPLES, score_stacked

__all__ = [
    "STACKED_SAMPLES",
    "Draw",
    "Figure",
    "Gaussian",
    "Interval",
    "Judge",
    "Judged",
    "Progress",
    "ScoreCard",
    "centred_interval",
    "class_shares",
    "draws_interval",
    "frechet_distance",
    "frechet_interval",
    "judge_sha256",
    "judged",
    "kl_divergence",
    "kl_interval",
    "load_judge",
    "mean_interval",
    "score",
    "score_modes",
    "score_stacked",
    "share_interval",
]
