"""How a page spells numbers and names."""

from __future__ import annotations

import math

NOTHING = "–"  # noqa: RUF001 - the dash of a table's empty cell

_NAMES = {
    "d_loss": "loss of D",
    "g_loss": "loss of G",
    "d_accuracy_real": "D right on real",
    "d_accuracy_fake": "D right on fakes",
    "images_per_second": "images a second",
    "cas": "CAS",
    "reverse_cas": "reverse CAS",
    "copying_z": "copying z score",
    "reverse_kl": "reverse KL divergence",
    "class_balance_kl": "KL divergence of class balance",
}


def spell(value: float, share: bool = False) -> str:
    """Spell a number short enough for a table: four digits, or a share as a percentage."""
    if not math.isfinite(value):
        return NOTHING
    if share:
        return f"{100 * value:.3g} %" if abs(value) < 0.9995 else f"{100 * value:.0f} %"
    if value and abs(value) < 1e-3:
        return f"{value:.1e}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def spell_name(figure: str) -> str:
    """Turn a figure's name for programs into one for people."""
    if figure in _NAMES:
        return _NAMES[figure]
    stem, _, features = figure.rpartition("_")
    if stem and features in ("judge", "random"):
        where = "judge" if features == "judge" else "random features"
        return f"{spell_name(stem)} ({where})"
    return figure.replace("_", " ").replace("frechet", "Fréchet")


def sentence_case(words: str) -> str:
    """Begin with a capital, and leave the rest as it is."""
    return words[:1].upper() + words[1:]
