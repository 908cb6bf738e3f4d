from __future__ import annotations

import pytest

from gancli import data


@pytest.fixture(scope="session")
def mnist() -> data.DataSplits:
    return data.load("mnist")
