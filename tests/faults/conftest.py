from __future__ import annotations

from pathlib import Path

import pytest
from commands import lab

__all__ = ["lab"]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GANCLI_DEBUG", raising=False)
