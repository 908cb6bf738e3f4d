"""How long each kind of film takes, and how large it is: 60 and 1,000 frames of a run of digits.

python bench/films.py checkpoints/all-digits              # a table in Markdown
python bench/films.py checkpoints/all-digits --frames 60  # the short films alone

The frames of the run are repeated until there are enough of them.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from report_page import machine

from gancli import films
from gancli.pictures.frames import frame_path, list_frames
from gancli.runs import RunDirectory

SUFFIXES = (".gif", ".webp", ".mp4", "")


def lengthened(run: RunDirectory, count: int, folder: Path) -> RunDirectory:
    """Return a copy of a run with its frames over and over until they are ``count``."""
    copy = RunDirectory(folder / f"{run.name}-{count}")
    ignored = shutil.ignore_patterns("frames", "films", "samples", "plots", "snapshots")
    shutil.copytree(run.path, copy.path, ignore=ignored)
    copy.frames.mkdir()
    last = list_frames(run.frames)[-1].epoch
    frames = itertools.islice(itertools.cycle(list_frames(run.frames)), count)
    for number, frame in enumerate(frames):
        epoch = last * number / max(count - 1, 1) if last > count / 1000 else number
        shutil.copy(frame.path, frame_path(copy.frames, epoch))
    return copy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--frames", type=int, nargs="+", default=[60, 1000])
    asked = parser.parse_args()
    run = RunDirectory(asked.run)
    conditional = run.read_config().data.conditional is True
    print(f"{run.name}, {machine()}, {torch.get_num_threads()} threads\n")
    print("| film | frames | pixels | " + " | ".join(s or "PNGs" for s in SUFFIXES) + " |")
    print("|---" * (3 + len(SUFFIXES)) + "|")
    for count in asked.frames:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            copy = lengthened(run, count, folder)
            seconds = {"seconds": count / 20}
            kinds: dict[str, tuple[list[RunDirectory], str, dict[str, Any]]] = {
                "evolution": ([copy], "evolution", {}),
                "evolution, losses": ([copy], "evolution", {"losses": True}),
                "evolution, four to a frame": ([copy], "evolution", {"smooth": 3}),
                "two side by side": ([copy, copy], "evolution", {}),
                "ten side by side": ([copy] * 10, "evolution", {}),
                "walk": ([copy], "walk", seconds),
                "truncation": ([copy], "truncation", seconds),
            }
            if conditional:
                kinds["morph"] = ([copy], "morph", seconds)
            for word, (runs, kind, options) in kinds.items():
                cells = []
                for suffix in SUFFIXES:
                    began = time.perf_counter()
                    (film,) = films.make(runs, kind, [folder / f"film{suffix}"], **options)
                    took = time.perf_counter() - began
                    cells.append(f"{took:.1f} s, {film.bytes / 1e6:.2f} MB")
                shown = f"{film.frames} | {film.width} x {film.height}"
                print(f"| {word} | {shown} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
