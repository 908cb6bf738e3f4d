"""The command-line lab for GANs on small images, from Python.

>>> import gancli
>>> outcome = gancli.train(digit=7)                       # doctest: +SKIP
>>> images = gancli.load("digit-7").sample(range(64))     # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gancli.api import (
        animate,
        compare,
        diagnose,
        evaluate,
        judge,
        list_recipes,
        load,
        plot,
        sample,
        train,
        write_report,
    )

__version__ = "0.1.0"
__all__ = [
    "animate",
    "compare",
    "diagnose",
    "evaluate",
    "judge",
    "list_recipes",
    "load",
    "plot",
    "sample",
    "train",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("gancli.api"), name)
    raise AttributeError(f"module 'gancli' has no attribute '{name}'")
