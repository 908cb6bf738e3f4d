"""Files and folders that are there whole or not at all."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from gancli import files
from gancli.errors import StorageError


def replace(target: Path) -> None:
    with files.atomic_folder(target, lambda _: False):
        pass


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_folder_behind_a_link_is_written_where_it_is(tmp_path: Path) -> None:
    real, link = tmp_path / "disk" / "real", tmp_path / "link"
    real.mkdir(parents=True)
    link.symlink_to(real)
    with files.atomic_folder(link, lambda _: True) as folder:
        (folder / "0.png").write_text("new")
    assert link.is_symlink()
    assert [path.name for path in real.iterdir()] == ["0.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "link"]
    assert [path.name for path in real.parent.iterdir()] == ["real"]


def test_a_folder_that_cannot_be_replaced_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "fakes"
    with files.atomic_folder(target, lambda _: True) as folder:
        (folder / "0.png").write_text("old")
    replace = Path.replace

    def replace_some(path: Path, to: Path) -> Path:
        if (path / "1.png").exists():  # the new folder
            raise OSError(5, "Input/output error")
        return replace(path, to)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace_some)
        with (
            pytest.raises(StorageError),
            files.atomic_folder(target, lambda _: True) as folder,
        ):
            (folder / "1.png").write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["fakes"]
    assert (target / "0.png").read_text() == "old"
    with files.atomic_folder(target, lambda _: True) as folder:
        (folder / "1.png").write_text("new")
    assert [path.name for path in target.iterdir()] == ["1.png"]


def test_what_was_left_of_a_folder_days_ago_goes(tmp_path: Path) -> None:
    days_of = {".gancli-0123456789ab": 2, ".gancli-ba9876543210": 0.5, "mine": 9}
    for name, days in {**days_of, ".gancli-cache": 9}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").write_text("half")
        then = time.time() - 86_400 * days
        os.utime(tmp_path / name, (then, then))
    with files.atomic_folder(tmp_path / "fakes", lambda _: True) as folder:
        (folder / "0.png").write_text("whole")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {".gancli-ba9876543210", ".gancli-cache", "mine", "fakes"}
    files.remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".gancli-cache", "mine", "fakes"}


def test_the_folder_that_one_is_in_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a/b")
    for target in (".", "..", tmp_path / "a/b"):
        words = "the folder that you are in" if target != ".." else "b lies in it"
        with (
            pytest.raises(StorageError, match=words),
            files.atomic_folder(Path(target), lambda _: False),
        ):
            pass
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "b"]


def test_a_name_that_is_too_long_is_refused_in_words(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 300) / "a.png"
    with pytest.raises(StorageError, match="the name is too long"):
        files.need_folder_of(long)
    with (
        pytest.raises(StorageError, match="the name is too long"),
        files.atomic_folder(long, lambda _: True),
    ):
        pass
    with pytest.raises(StorageError, match="the name is too long; choose a shorter one"):
        files.write_text(tmp_path / ("x" * 300), "")
