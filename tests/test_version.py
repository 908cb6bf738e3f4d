from __future__ import annotations

import os
import re
from importlib import metadata
from pathlib import Path

import pytest

import gancli

CHANGELOG = Path(__file__).parents[1] / "CHANGELOG.md"


def test_the_version_is_the_newest_entry_of_the_changelog() -> None:
    if not CHANGELOG.is_file():
        pytest.skip("the tests run away from the source tree")
    versions = re.findall(r"^## (\S+)", CHANGELOG.read_text(), re.MULTILINE)
    assert versions[0] == gancli.__version__
    assert versions == sorted(versions, key=lambda v: [int(n) for n in v.split(".")], reverse=True)


def test_the_installed_package_has_the_version_of_the_code() -> None:
    assert metadata.version("gancli") == gancli.__version__


@pytest.mark.skipif("GANCLI_EXPECT_WHEEL" not in os.environ, reason="only where a wheel is tested")
def test_the_wheel_is_what_is_tested() -> None:
    assert "site-packages" in Path(gancli.__file__).parts
