from __future__ import annotations

from commands import lab

__all__ = ["lab"]
