"""Every gancli command that the README shows is one that works."""

from __future__ import annotations

import re
import shlex
import shutil
import struct
from pathlib import Path

import pytest
from commands import Lab, call, lab
from PIL import Image

__all__ = ["lab"]

ROOT = Path(__file__).parent.parent
README, GALLERY = ROOT / "README.md", ROOT / "docs" / "gallery.md"
FENCE = re.compile(r"^```(?:sh|shell|bash|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(gancli [a-z][^`]*)`")


def commands(page: Path = README) -> list[str]:
    """Return the commands of a page, from its blocks and from its sentences."""
    text = page.read_text(encoding="utf-8")
    found = []
    for block in FENCE.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            # `for d in ...; do gancli train ... || ...; done` is a command too, as is what others
            # start: torchrun, GNU parallel and Slurm.
            before = r"(?:^|[;&|(]|\bdo|\$|torchrun .* -m|parallel -j \d+|--wrap=')"
            matches = re.finditer(before + r"\s*(?:\S*/)?(gancli (?:(?! :::)[^;|&>#)'])*)", line)
            found += [match[1].strip() for match in matches]
    found += [" ".join(words.split()) for words in INLINE.findall(text)]
    return list(dict.fromkeys(found))


def test_fakes_and_real_images_are_handed_to_torch_fidelity() -> None:
    lines = README.read_text(encoding="utf-8").splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("fidelity "))
    handed = re.findall(r"--input\d (\S+)", lines[at])
    exports = [shlex.split(line) for line in lines[at - 2 : at]]
    assert [words[words.index("--out") + 1] for words in exports] == handed
    assert ["--real" in words for words in exports] == [False, True]
    assert all(words[:2] == ["gancli", "sample"] and "--separate" in words for words in exports)
    assert len({words[words.index("-n") + 1] for words in exports}) == 1


def test_the_readme_shows_every_command() -> None:
    shown = {shlex.split(line)[1] for line in commands()}
    assert shown >= {
        "train",
        "sample",
        "show",
        "animate",
        "evaluate",
        "judge",
        "doctor",
        "plot",
        "compare",
        "report",
        "recipes",
    }
    assert len(commands()) >= 10


@pytest.fixture
def workplace(lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with the runs and files that the README talks about."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gancli.metrics.classifier.JUDGE_LEAST_STEPS", 20)
    run = lab.copy(lab.digit, Path("checkpoints"))
    run.rename(run.with_name("digit-7")) if run.name != "digit-7" else None
    *many, snapshot = sorted(Path("checkpoints/digit-7/snapshots").glob("*.safetensors"))
    for path in many[1:]:
        path.unlink()  # `evaluate --history` would take long over them
    for suffix in ("", ".sha256"):  # as if it had been trained with --score-every
        shutil.copy(f"{snapshot}{suffix}", f"checkpoints/digit-7/best.safetensors{suffix}")
    lab.copy(lab.held_out, Path("checkpoints")).rename("checkpoints/all-digits")
    Path("checkpoints/digit-7/run.json").touch()  # the newest
    for name in ("my-pictures", "pictures"):
        for label in ("a", "b"):
            (Path(name) / label).mkdir(parents=True)
            for number in range(64):
                Image.new("L", (28, 28), number).save(f"{name}/{label}/{number}.png")
    pixels = bytes(64 * 28 * 28)
    header = struct.pack(">HBB3I", 0, 8, 3, 64, 28, 28)
    Path("images.idx").write_bytes(header + pixels)
    Path("mine.toml").write_text('extends = "digit"\n')
    return tmp_path


@pytest.mark.parametrize("line", commands())
def test_a_command_of_the_readme_works(workplace: Path, line: str) -> None:
    works(workplace, line)


@pytest.mark.parametrize("line", sorted({*commands(GALLERY)} - {*commands()}))
def test_a_command_of_the_gallery_works(workplace: Path, line: str) -> None:
    if line.startswith("gancli animate"):
        for name in re.findall(r"r\d-\S+-preview", line):
            shutil.copytree("checkpoints/digit-7", f"checkpoints/{name}")
    works(workplace, line)


@pytest.mark.parametrize("page", [README, GALLERY])
def test_what_a_page_links_to_is_there(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
    here = [link for link in links if "://" not in link]
    assert here
    assert [link for link in here if not (page.parent / link).is_file()] == []


def test_the_gallery_is_small_and_shows_all_that_there_is() -> None:
    pictures = {*(GALLERY.parent / "gallery").iterdir()}
    assert sum(path.stat().st_size for path in pictures) < 6_000_000
    shown = re.findall(r"!\[(.+?)\]\((gallery/.+?)\)", GALLERY.read_text(encoding="utf-8"))
    assert {GALLERY.parent / link for _, link in shown} == pictures
    for path in pictures:
        with Image.open(path) as picture:
            assert min(picture.size) > 300
            assert (getattr(picture, "n_frames", 1) > 5) == (path.suffix == ".gif")
            assert path.suffix != ".gif" or picture.info["loop"] == 0  # for ever


def works(workplace: Path, line: str) -> None:
    line = re.sub(r"\$\w+|\{\d\}", "7", line).replace("RUN", "digit-7")
    words = shlex.split(line, comments=True)[1:]
    if words[0] == "train":
        words += ["--dry-run", "--threads", "1"]
        if not {"--resume", "--runs-dir"} & set(words):
            words += ["--runs-dir", "new"]  # the runs that lie about are tiny ones of those names
        if "--resume" in words:
            (workplace / "checkpoints/digit-7/run.json").touch()
    elif words[0] == "evaluate" and not {"-n", "--history"} & set(words):
        words += ["-n", "1100"]
    elif words[0] == "sample" and "-n" in words:
        words[words.index("-n") + 1] = "12"
    elif "--digits" in words:
        for digit in {*range(10)} - {7}:
            shutil.copytree("checkpoints/digit-7", f"checkpoints/digit-{digit}")
    elif words[0] == "judge":
        words += ["--epochs", "1"]
    done = call(*words)
    assert done.code == 0, done.stderr
    assert done.stdout
