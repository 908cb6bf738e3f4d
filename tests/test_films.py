from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gancli import api, films, sampling
from gancli.errors import CheckpointError, ConfigError, DataError, StorageError
from gancli.films import evolution
from gancli.pictures.film import Film
from gancli.pictures.frames import Frame, frame_path, list_frames
from gancli.pictures.grid import make_grid, save_png
from gancli.pictures.sheet import draw_sheet
from gancli.runs import RunDirectory


@pytest.fixture
def run(tiny_run: RunDirectory) -> RunDirectory:
    return RunDirectory(Path(shutil.copytree(tiny_run.path, "checkpoints/tiny")))


@pytest.fixture
def digit_run(tiny_digit_run: RunDirectory) -> RunDirectory:
    return RunDirectory(Path(shutil.copytree(tiny_digit_run.path, "checkpoints/tiny-digit-1")))


def film(*names: str, **wanted: Any) -> Film:
    """Make one lossless film of bare pixels."""
    options = {"out": ["a.webp"], "scale": 1, "caption": False, **wanted}
    return api.animate(list(names) or None, **options)[0]


def shown(path: str = "a.webp") -> list[np.ndarray]:
    pictures = []
    with Image.open(path) as opened:
        for index in range(opened.n_frames):
            opened.seek(index)
            pictures.append(np.asarray(opened.convert("L")))
    return pictures


def sheet(run: RunDirectory, seeds: Any, columns: int, **wanted: Any) -> np.ndarray:
    samples = sampling.load(run.path).sample(seeds, **wanted)
    return np.asarray(draw_sheet(samples, "mnist", columns))


def jumps(pictures: list[np.ndarray]) -> list[float]:
    """Return how far each picture is from the one before, the first from the last."""
    pixels = [picture.astype(float) for picture in pictures]
    return [
        float(np.abs(b - a).mean()) for a, b in zip([pixels[-1], *pixels], pixels, strict=False)
    ]


# What is drawn


def test_a_walk_starts_at_the_samples_and_ends_where_it_began(digit_run: RunDirectory) -> None:
    made = film("tiny-digit-1", kind="walk", fps=20, seconds=4)
    assert (made.frames, made.seconds) == (80, 4)
    pictures = shown()
    for stop in range(4):  # at rest at each of its four seeds
        expected = sheet(digit_run, range(16 * stop, 16 * stop + 16), 4)
        assert (pictures[20 * stop] == expected).all()
    moved = jumps(pictures)
    assert moved[0] < 2 * sorted(moved)[40]  # the seam is a step like any other
    slow, fast = np.mean(moved[1:3]), np.mean(moved[9:12])
    assert slow < 0.5 * fast


def test_a_walk_visits_the_seeds_that_are_named_in_every_class(run: RunDirectory) -> None:
    made = film(kind="walk", seeds=[5, 9], fps=10, seconds=2)
    assert (made.width, made.height) == (3 * 10 + 2, 12)
    trained = sampling.load(run.path)
    for seed, picture in ((5, shown()[0]), (9, shown()[10])):
        tiles = np.concatenate([trained.sample([seed], digit=digit).numpy() for digit in range(3)])
        assert (picture == np.asarray(make_grid(tiles, 3))).all()


def test_a_sweep_of_truncation_begins_where_all_are_alike(run: RunDirectory) -> None:
    film(kind="truncation", grid=(2, 3), fps=10, seconds=2)
    pictures = shown()
    assert len(pictures) == 20
    assert (pictures[0] == sheet(run, range(6), 3, truncation=0.0)).all()
    assert (pictures[10] == sheet(run, range(6), 3, truncation=1.5)).all()
    assert (pictures[0][:12] == pictures[0][10:]).all()  # both rows are the same
    for before, after in zip(pictures[1:10], pictures[:10:-1], strict=True):
        assert (before == after).all()  # the way back is the way there


def test_a_morph_passes_through_every_class(run: RunDirectory) -> None:
    film(kind="morph", grid=(2, 2), fps=10, seconds=3)
    pictures = shown()
    for digit in range(3):
        assert (pictures[10 * digit] == sheet(run, range(4), 2, digit=digit)).all()
    moved = jumps(pictures)
    assert max(moved) < 0.5 * np.abs(pictures[0].astype(float) - pictures[10]).mean()


def test_runs_walk_side_by_side_through_the_same_seeds(
    run: RunDirectory, digit_run: RunDirectory
) -> None:
    wanted = {"kind": "truncation", "grid": (2, 2), "fps": 5, "seconds": 1}
    film("tiny", "tiny-digit-1", **wanted)
    both = shown()[1]
    for name in ("tiny", "tiny-digit-1"):
        film(name, **wanted, out=[f"{name}.webp"])
        alone = shown(f"{name}.webp")[1]
        places = [
            (top, left)
            for top in range(both.shape[0] - 21)
            for left in range(both.shape[1] - 21)
            if (both[top : top + 22, left : left + 22] == alone).all()
        ]
        assert len(places) == 1


# What was left by a training


def frames_at(*epochs: float) -> list[Frame]:
    return [Frame(Path(), epoch) for epoch in epochs]


def in_step(*lists: list[Frame], monkeypatch: pytest.MonkeyPatch) -> list[list[float]]:
    listed = dict(zip(map(Path, "abc"), lists, strict=False))
    monkeypatch.setattr(evolution, "list_frames", lambda folder: listed[folder.parent])
    runs = [RunDirectory(path) for path in listed]
    return [[frame.epoch for frame in frames] for frames in evolution.frames_of(runs)]


def test_runs_of_the_same_length_are_shown_at_the_same_epochs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uneven = (0, 0.049, 0.098, 0.147, 0.15)
    found = in_step(frames_at(*uneven), frames_at(*uneven), monkeypatch=monkeypatch)
    assert found == [list(uneven), list(uneven)]


def test_runs_of_different_lengths_end_together(monkeypatch: pytest.MonkeyPatch) -> None:
    found = in_step(
        frames_at(0, 1, 2, 3, 4),
        frames_at(0, 50, 100),
        frames_at(0),
        monkeypatch=monkeypatch,
    )
    assert found == [[0, 1, 2, 3, 4], [0, 0, 50, 50, 100], [0] * 5]


def test_beside_a_run_that_is_told_classes_tiles_stand_in_rows_of_as_many(
    run: RunDirectory, digit_run: RunDirectory
) -> None:
    assert evolution._small_grid([run, digit_run]) == (4, 3)
    assert evolution._small_grid([digit_run, digit_run]) == (4, 4)
    tiles = np.random.default_rng(0).integers(50, 256, (16, 1, 8, 8), np.uint8)
    frame = make_grid(tiles, 8)
    # 8 columns, or two rows, are too few
    asked = (((4, 10), [*range(16)]), ((1, 12), [*range(12)]), ((3, 4), [*range(12)]))
    for grid, kept in asked:
        part = evolution._part(digit_run, grid)
        assert part is not None
        assert (np.asarray(part(frame)) == np.asarray(make_grid(tiles[kept], grid[1]))).all()
    part = evolution._part(digit_run, (2, 3))
    assert part is not None
    corner = make_grid(tiles[[0, 1, 2, 8, 9, 10]], 3)
    assert (np.asarray(part(frame)) == np.asarray(corner)).all()


def test_captions_tell_what_was_logged_last_and_when_it_was_scored(run: RunDirectory) -> None:
    logged = [
        {"step": step, "epoch": step / 2, "g_loss": step, "d_loss": 2 * step}
        for step in range(1, 5)
    ]
    rest = {"d_accuracy_real": 1, "d_accuracy_fake": 1}
    run.log_path.write_text("".join(json.dumps({**each, **rest}) + "\n" for each in logged))
    run.append_quality({"step": 2, "epoch": 1.0, "score": 12345.6})
    frames = frames_at(0, 1, 2)
    told = evolution._captions(run, frames, alone=True, losses=False)
    assert told == [
        ["tiny", "epoch 0"],
        ["tiny", "epoch 1", "loss of G 2.00", "of D 4.00", "score 12,346"],
        ["tiny", "epoch 2", "loss of G 4.00", "of D 8.00", "score 12,346 (epoch 1)"],
    ]
    short = evolution._captions(run, frames, alone=False, losses=True)
    assert short[1] == ["epoch 1", "score 12,346"]
    strip = evolution._strip(run, frames)
    assert strip.places == [0.25, 0.5, 0.75, 1.0]
    assert [curve.values for curve in strip.curves] == [[1, 2, 3, 4], [2, 4, 6, 8]]
    assert strip.now == pytest.approx([0, 0.5, 1], abs=1e-3)


def test_a_long_log_is_thinned_and_its_end_kept(run: RunDirectory) -> None:
    rest = {"g_loss": 1, "d_loss": 1, "d_accuracy_real": 1, "d_accuracy_fake": 1}
    lines = [json.dumps({"step": n, "epoch": n / 10, **rest}) for n in range(1, 12_346)]
    run.log_path.write_text("\n".join(lines) + "\n")
    strip = evolution._strip(run, frames_at(0, 1234.5))
    assert 900 < len(strip.places) <= 1_001
    assert strip.places[-1] == 1


def test_losses_move_under_the_frames(run: RunDirectory) -> None:
    bare = film("tiny", out=["bare.webp"], scale=8)
    with_strip = film("tiny", out=["strip.webp"], scale=8, losses=True)
    assert with_strip.frames == bare.frames
    assert with_strip.height - bare.height == max(36, bare.width // 8)
    strips = [picture[bare.height :] for picture in shown("strip.webp")]
    assert len({strip.tobytes() for strip in strips}) == len(strips)
    run.log_path.write_text("")
    with pytest.raises(CheckpointError, match="no line in its log"):
        film("tiny", losses=True)


@pytest.fixture
def ten(digit_run: RunDirectory) -> list[RunDirectory]:
    """Ten runs whose frames are each of one grey."""
    found = []
    for digit in range(10):
        folder = Path(shutil.copytree(digit_run.path, f"checkpoints/mine-digit-{digit}-seed-1"))
        for frame in list_frames(folder / "frames"):
            grey = np.full((16, 1, 8, 8), 20 * digit + 30, np.uint8)
            save_png(make_grid(grey, 4), frame.path, {})
        found.append(RunDirectory(folder))
    return found


@pytest.mark.parametrize("name", [None, "mine-digit-4-seed-1"])
def test_ten_digits_are_one_film_of_two_rows(ten: list[RunDirectory], name: str | None) -> None:
    for run in ten:
        (run.path / "run.json").touch()
    made = api.animate(name, digits=True, out=["a.webp"])[0]
    assert made.width > 1.2 * made.height
    picture = shown()[0]
    levels = {}
    for digit in range(10):
        places = np.argwhere(picture == 20 * digit + 30)
        inside = places[np.abs(places - np.median(places, 0)).max(1) < 40]
        levels[digit] = inside.mean(0)
    rows = [[levels[digit] for digit in row] for row in (range(5), range(5, 10))]
    for row in rows:
        assert np.ptp([place[0] for place in row]) < 3
        assert np.diff([place[1] for place in row]).min() > 20
    assert rows[1][0][0] - rows[0][0][0] > 20
    assert all(abs(a[1] - b[1]) < 3 for a, b in zip(*rows, strict=True))


def test_a_digit_that_is_missing_is_named_with_its_command(ten: list[RunDirectory]) -> None:
    shutil.rmtree(ten[3].path)
    with pytest.raises(CheckpointError, match=r"has no mine-digit-3-seed-1.*train --digit 0-9"):
        api.animate("mine-digit-4-seed-1", digits=True)
    with pytest.raises(CheckpointError, match=r"no none-digit-0 and 9 more"):
        api.animate("none", digits=True)
    with pytest.raises(ConfigError, match="one name"):
        api.animate(["a", "b"], digits=True)


# Posters


def test_a_poster_shows_first_middle_best_and_last(run: RunDirectory) -> None:
    greys = (40, 80, 120, 160, 200)
    shutil.rmtree(run.frames)
    run.frames.mkdir()
    for epoch, grey in enumerate(greys):
        image = np.full((1, 1, 30, 30), grey, np.uint8)
        save_png(make_grid(image, 1, margin=0), frame_path(run.frames, epoch), {})
    film("tiny", poster="p.png")
    assert order_of(Path("p.png"), greys) == [40, 120, 200]
    for epoch, score in ((1, 5.0), (3, 2.0), (4, 3.0)):
        run.append_quality({"step": epoch, "epoch": epoch, "score": score})
    film("tiny", poster="p.png")
    assert order_of(Path("p.png"), greys) == [40, 120, 160, 200]


def order_of(path: Path, greys: tuple[int, ...]) -> list[int]:
    """Return which greys fill the panels of a poster, from left to right."""
    with Image.open(path) as opened:
        pixels = np.asarray(opened.convert("L"))
    found = {grey: np.argwhere(pixels == grey) for grey in greys}
    large = {grey: places[:, 1].mean() for grey, places in found.items() if len(places) > 40_000}
    return sorted(large, key=large.__getitem__)


# What cannot be


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"kind": "wlak"}, "did you mean 'walk'"),
        ({"kind": "walk", "losses": True}, "--losses is for the frames of a training"),
        ({"kind": "walk", "smooth": 2}, "--smooth is for the frames of a training"),
        ({"seeds": [1, 2]}, "--seeds is for --walk"),
        ({"weights": "best"}, "--weights is for --walk"),
        ({"grid": (40, 1)}, "--grid 40x1 asks for more than the"),
        ({"kind": "walk", "seeds": [1]}, "through 2 to 1,000 seeds"),
        ({"kind": "walk", "seeds": [1, 2], "grid": (2, 2)}, "--grid: a walk with --seeds"),
        ({"kind": "walk", "grid": (0, 2)}, "--grid 0x2 is out of range"),
        ({"kind": "walk", "grid": (40, 40)}, "up to 1,000 images"),
        ({"kind": "morph", "seeds": range(10), "grid": (2, 3)}, "no room for 10 --seeds"),
        ({"kind": "truncation", "seeds": [0], "grid": (1, 9**9)}, "up to 1,000 images"),
        ({"kind": "walk", "seconds": 1e9}, "more than 100,000 frames"),
        ({"kind": "walk", "seconds": float("nan")}, "--seconds nan is out of range"),
        ({"kind": "walk", "fps": 0.0}, "--fps 0"),
        ({"seconds": 0.01}, "--seconds 0.01 makes"),
        ({"kind": "walk", "weights": "bst"}, "did you mean 'best'"),
        ({"smooth": -1}, "--smooth -1 is out of range"),
        ({"smooth": 9}, "--smooth 9 at 10 frames a second makes 100"),
        ({"smooth": 61}, "--smooth 61 is out of range"),
        ({"out": ["a.avi"]}, ".gif, .webp, .mp4, or into a folder"),
        ({"poster": "p.jpg"}, "posters are written as .png"),
        ({"kind": "walk", "seeds": [-1, 2]}, "seed -1 is out of range"),
    ],
    ids=str,
)
def test_a_request_that_makes_no_sense_is_refused(
    run: RunDirectory, wanted: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        api.animate("tiny", **{"out": ["a.gif"], **wanted})
    assert words in str(caught.value)
    assert [path.name for path in Path().iterdir()] == ["checkpoints"]
    assert not run.films.exists()


def test_a_run_without_labels_does_not_morph(digit_run: RunDirectory) -> None:
    with pytest.raises(ConfigError, match=r"--morph needs a generator that is told"):
        api.animate("tiny-digit-1", kind="morph", out=["a.gif"])


def test_too_many_runs_and_missing_parts_are_named(run: RunDirectory) -> None:
    with pytest.raises(ConfigError, match="1 to 12 runs, not 13"):
        api.animate(["tiny"] * 13, out=["a.gif"])
    with pytest.raises(StorageError, match=r"nowhere/p\.png: its folder does not exist"):
        api.animate("tiny", out=["a.gif"], poster="nowhere/p.png")
    shutil.rmtree(run.frames)
    with pytest.raises(DataError, match="gancli train"):
        api.animate("tiny", out=["a.gif"])
    for path in run.path.glob("state-*"):
        path.unlink()
    with pytest.raises(CheckpointError, match="lost its checkpoints"):
        api.animate("tiny", kind="walk", out=["a.gif"])
    assert [path.name for path in Path().iterdir()] == ["checkpoints"]


@pytest.mark.parametrize("kind", films.KINDS)
def test_default_films_lie_among_those_of_the_run(run: RunDirectory, kind: str) -> None:
    short = {} if kind == "evolution" else {"seconds": 0.2}
    made = api.animate("tiny", kind=kind, scale=1, **short)
    assert [each.path for each in made] == [run.films / f"{kind}.gif", run.films / f"{kind}.mp4"]


def test_default_films_of_several_lie_here(run: RunDirectory, digit_run: RunDirectory) -> None:
    made = api.animate(["tiny", "tiny-digit-1"], scale=1)
    assert [str(each.path) for each in made] == [
        "evolution-side-by-side.gif",
        "evolution-side-by-side.mp4",
    ]
    assert not run.films.exists()


def test_progress_counts_all_films(run: RunDirectory) -> None:
    seen: list[tuple[int, int]] = []
    api.animate(
        "tiny",
        kind="walk",
        seconds=0.2,
        scale=1,
        out=["a.gif", "b.webp"],
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(done, 8) for done in range(1, 9)]
