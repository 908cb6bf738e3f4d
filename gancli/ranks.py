"""Which of the processes that train one GAN together this one is, as torchrun tells each of them.

Cheap to ask: the first process alone speaks to the person, and that is decided before any import.
"""

from __future__ import annotations

import dataclasses
import os

_PLACE = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
_MEETING_POINT = ("MASTER_ADDR", "MASTER_PORT")


@dataclasses.dataclass(frozen=True)
class Place:
    """One process among those that train together.

    Attributes:
        rank: its number, from 0; the first alone writes and speaks.
        size: how many there are.
        local_rank: its number on its machine.
        local_size: how many there are on its machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1


def here() -> Place:
    """Return this process's place; a process that torchrun did not start is alone."""
    words = [os.environ.get(name, "") for name in _PLACE]
    meets = all(os.environ.get(name) for name in _MEETING_POINT)
    if not (meets and all(word.isdecimal() for word in words)):
        return Place()
    return Place(*map(int, words))
