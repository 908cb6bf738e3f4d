from __future__ import annotations

import base64
import dataclasses
import io
import shutil
import tracemalloc
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from tiny import TinyConfig, TrainRun

import gancli
from gancli import api, data, export, sampling
from gancli.errors import ConfigError, DataError, StorageError
from gancli.idx import read_idx
from gancli.pictures.grid import make_grid, read_metadata
from gancli.runs import RunDirectory


@pytest.fixture
def run(tiny_run: RunDirectory) -> RunDirectory:
    return RunDirectory(Path(shutil.copytree(tiny_run.path, "checkpoints/tiny")))


def drawn(run: RunDirectory, seeds: Any, **wanted: Any) -> Any:
    return sampling.load(run.path).sample(seeds, **wanted).numpy()


def pixels(path: Path) -> Any:
    with Image.open(path) as picture:
        return np.asarray(picture)


def wrong(**wanted: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        api.sample("tiny", **wanted)
    return str(caught.value)


# PNG.


def test_a_grid_is_the_images_of_its_seeds(run: RunDirectory) -> None:
    made = api.sample("tiny", seeds=[4, 0, 9], grid=(1, 3), out="grid.png")
    assert (made.path, made.count, made.run, made.step) == (Path("grid.png"), 3, "tiny", 12)
    expected = make_grid(drawn(run, [4, 0, 9]), 3)
    np.testing.assert_array_equal(pixels(made.path), np.asarray(expected))
    assert read_metadata(made.path) == {
        "run": "tiny",
        "recipe": "tiny",
        "seeds": "4,0,9",
        "step": "12",
        "version": gancli.__version__,
    }


@pytest.mark.parametrize(
    ("wanted", "size", "name"),
    [
        ({}, (8, 3), "seeds-0-23.png"),  # eight rows of every class
        ({"n": 5}, (2, 3), "seeds-0-4.png"),
        ({"n": 10, "digit": 1}, (3, 4), "digit-1-seeds-0-9.png"),
        ({"digit": 2}, (8, 8), "digit-2-seeds-0-63.png"),
        ({"grid": (2, 5)}, (2, 5), "seeds-0-9-2x5.png"),
        ({"interpolate": (3, 4)}, (1, 10), "from-3-to-4-in-10.png"),
        ({"n": 4, "truncation": 0.5}, (2, 3), "seeds-0-3-truncation-0.5.png"),
    ],
    ids=str,
)
def test_by_default_a_grid_goes_among_the_samples_of_the_run(
    run: RunDirectory, wanted: dict[str, Any], size: tuple[int, int], name: str
) -> None:
    made = api.sample("tiny", **wanted)
    assert made.path == run.samples / name
    rows, columns = size
    assert pixels(made.path).shape == (rows * 10 + 2, columns * 10 + 2)


def test_lists_that_are_cut_keep_names_of_their_own(run: RunDirectory) -> None:
    lists = [[*range(11), *range(first, first + 9)] for first in (20, 40)]
    paths = [api.sample("tiny", seeds=seeds).path for seeds in (*lists, lists[0])]
    assert paths[0] != paths[1]
    assert paths[0] == paths[2]
    assert "seeds-0,1,2" in paths[0].name
    looks: list[dict[str, Any]] = [{}, {"scale": 2}, {"dpi": 90}, {"labels": True}, {"light": True}]
    assert len({api.sample("tiny", n=4, **look).path for look in looks}) == len(looks)


def test_a_picture_of_a_way_names_its_ends(run: RunDirectory) -> None:
    made = api.sample("tiny", interpolate=[(3, 8), (1, 2)], digit=1, truncation=0.5, out="w.png")
    about = read_metadata(made.path)
    assert about["interpolate"] == "3,8 1,2 in 10"
    assert (about["digit"], about["truncation"]) == ("1", "0.5")
    assert "seeds" not in about


def test_single_files_hold_one_seed_each(run: RunDirectory) -> None:
    made = api.sample("tiny", seeds=[12, 3, 2**63 - 1], separate=True, out="folder")
    names = sorted(path.name for path in made.path.iterdir())
    assert names == [f"seed-{seed:019d}.png" for seed in (3, 12, 2**63 - 1)]
    for name in names:
        seed = int(name[5:-4])
        np.testing.assert_array_equal(pixels(made.path / name), drawn(run, [seed])[0, 0])
        about = read_metadata(made.path / name)
        assert (about["seed"], about["run"], "seeds" in about) == (str(seed), "tiny", False)


def test_several_ways_are_rows(run: RunDirectory) -> None:
    made = api.sample("tiny", interpolate=[(3, 4), (5, 6)], n=5)
    assert made.path == run.samples / "from-3-to-4-from-5-to-6-in-5.png"
    assert made.count == 10
    trained = sampling.load(run.path)
    ways = [trained.interpolate(start, end, 5).numpy() for start, end in ((3, 4), (5, 6))]
    expected = make_grid(np.concatenate(ways), 5)
    np.testing.assert_array_equal(pixels(made.path), np.asarray(expected))


@pytest.mark.parametrize(("wanted", "scale"), [({"scale": 7}, 7), ({"dpi": 300}, 60)])
def test_a_plain_grid_is_enlarged_by_whole_pixels(
    run: RunDirectory, wanted: dict[str, int], scale: int
) -> None:
    made = api.sample("tiny", grid=(1, 3), out="a.png", **wanted)
    small = np.asarray(make_grid(drawn(run, range(3)), 3))
    np.testing.assert_array_equal(pixels(made.path), small.repeat(scale, 0).repeat(scale, 1))
    with Image.open(made.path) as picture:
        if "dpi" in wanted:
            assert picture.info["dpi"] == pytest.approx((300, 300), abs=0.01)
            assert 16 <= picture.width / 300 * 2.54 < 17
        assert read_metadata(made.path)["run"] == "tiny"


def blocks_of(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return a list that will hold the blocks which are drawn."""
    seen: list[Any] = []
    draw = export.draw_blocks

    def record(blocks: Any, **options: Any) -> Any:
        seen.extend(blocks)
        return draw(blocks, **options)

    monkeypatch.setattr(export, "draw_blocks", record)
    return seen


def test_words_say_which_seeds_and_classes(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = blocks_of(monkeypatch)
    api.sample("tiny", seeds=[4, 0, 9], out="a.png", numbers=True)
    api.sample("tiny", grid=(2, 3), out="b.png", labels=True)
    api.sample("tiny", seeds=[4, 0, 9], grid=(1, 3), out="c.png", labels=True)
    api.sample("tiny", grid=(2, 2), out="d.png", labels=True)
    api.sample("tiny", interpolate=[(3, 4), (5, 6)], n=4, out="e.png", labels=True)
    assert seen[0].notes == ["4", "0", "9"]
    assert [block.columns_named for block in seen[1:4]] == [["0", "1", "2"], ["1", "0", "0"], []]
    assert seen[4].rows_named == ["3 to 4", "5 to 6"]
    assert (seen[4].images == pixels_of_ways(run)).all()


def pixels_of_ways(run: RunDirectory) -> np.ndarray:
    trained = sampling.load(run.path)
    ways = [trained.interpolate(start, end, 4).numpy() for start, end in ((3, 4), (5, 6))]
    return np.concatenate(ways)


def test_real_images_beside_are_unseen_and_of_the_same_classes(
    tiny_config: TinyConfig, train_run: TrainRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train_run(tiny_config({"data.holdout": 12}), Path("checkpoints/tiny")).run
    seen = blocks_of(monkeypatch)
    api.sample("tiny", seeds=[4, 0, 9, 5, 1, 2], out="a.png", with_real=True)
    samples, real = seen
    np.testing.assert_array_equal(samples.images, drawn(run, [4, 0, 9, 5, 1, 2]))
    unseen = sampling.load(run.path).splits().unseen
    assert unseen is not None
    assert unseen.labels is not None
    known = {
        image.numpy().tobytes(): int(label)
        for image, label in zip(unseen.images, unseen.labels, strict=True)
    }
    assert [known[image.tobytes()] for image in real.images] == [1, 0, 0, 2, 1, 2]
    assert len({image.tobytes() for image in real.images}) == 6


def test_a_class_of_which_none_is_unseen_has_no_real_image_beside(
    tiny_config: TinyConfig, train_run: TrainRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train_run(tiny_config({"data.holdout": 12}), Path("checkpoints/tiny")).run
    trained = sampling.load(run.path)
    splits = trained.splits()
    assert splits.holdout is not None
    ones = dataclasses.replace(splits, holdout=splits.holdout.of_class(1))
    monkeypatch.setattr(sampling.Trained, "splits", lambda _: ones)
    api.sample("tiny", seeds=[1, 4], out="ones.png", with_real=True)
    with pytest.raises(DataError, match="no image of class 0 was withheld from training"):
        api.sample("tiny", seeds=[1, 3], out="a.png", with_real=True)
    assert not Path("a.png").exists()


@pytest.mark.parametrize("numbers", [False, True])
def test_the_nearest_training_image_stands_under_each(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch, numbers: bool
) -> None:
    seen = blocks_of(monkeypatch)
    made = api.sample("tiny", n=5, with_nearest=True, numbers=numbers)
    assert made.path.name == f"seeds-0-4{'-numbers' if numbers else ''}-with-nearest.png"
    samples, tiles = drawn(run, range(5)), seen[0].images
    np.testing.assert_array_equal(tiles[:, :, :8], samples)
    train = sampling.load(run.path).splits().train.images.numpy()
    for seed, sample in enumerate(samples):
        distances = np.sqrt(((train / 255.0 - sample / 255.0) ** 2).sum((1, 2, 3)))
        np.testing.assert_array_equal(tiles[seed, :, 10:], train[distances.argmin()])
        number = f"{seed}: " if numbers else ""
        assert seen[0].notes[seed] == f"{number}{distances.min():.2f}"


def test_svg_holds_the_same_pixels_and_words(run: RunDirectory) -> None:
    made = api.sample("tiny", n=3, out="a.svg", numbers=True, light=True, scale=9)
    root = ElementTree.fromstring(made.path.read_text())
    space = "{http://www.w3.org/2000/svg}"
    assert [words.text for words in root.iter(f"{space}text")] == ["0", "1", "2"]
    found = []
    for image in root.iter(f"{space}image"):
        assert image.attrib["width"] == "72"
        content = base64.b64decode(image.attrib["href"].partition(",")[2])
        found.append(np.asarray(Image.open(io.BytesIO(content))))
    np.testing.assert_array_equal(np.stack(found), drawn(run, range(3))[:, 0])
    assert "tiny" in (root.findtext(f"{space}desc") or "")


# NPZ and IDX.


def test_npz_holds_images_labels_and_seeds_without_pickles(run: RunDirectory) -> None:
    wanted = [*range(30), 7, 2**63 - 1]
    api.sample("tiny", seeds=wanted, out="some.npz")
    with np.load("some.npz") as archive:  # allow_pickle is False unless asked
        found = {name: archive[name] for name in archive.files}
    assert found["images"].dtype == found["labels"].dtype == np.uint8
    np.testing.assert_array_equal(found["images"], drawn(run, wanted)[:, 0], strict=True)
    assert found["labels"].tolist() == [seed % 3 for seed in wanted]
    assert found["seeds"].tolist() == wanted
    assert '"run": "tiny"' in str(found["about"])


def test_npz_of_one_digit_knows_its_label(run: RunDirectory, tiny_digit_run: RunDirectory) -> None:
    for name, wanted in ((tiny_digit_run.path, {}), (run.path, {"digit": 1})):
        api.sample(name, n=4, out="some.npz", **wanted)
        with np.load("some.npz") as archive:
            assert archive["labels"].tolist() == [1] * 4


def test_npz_of_an_interpolation_has_one_class_and_no_seeds(run: RunDirectory) -> None:
    api.sample("tiny", interpolate=(4, 5), n=6, out="path.npz")
    with np.load("path.npz") as archive:
        assert archive["labels"].tolist() == [1] * 6
        assert "seeds" not in archive.files
        assert archive["images"].shape == (6, 8, 8)


def test_idx_is_read_back_as_a_data_set(run: RunDirectory) -> None:
    api.sample("tiny", n=30, out="some.idx")
    np.testing.assert_array_equal(read_idx(Path("some.idx")), drawn(run, range(30))[:, 0])
    splits = data.load("some.idx", image_size=8)
    assert splits.train.labels is not None
    np.testing.assert_array_equal(splits.train.images, drawn(run, range(30)))
    assert splits.train.labels.tolist() == [seed % 3 for seed in range(30)]


def test_images_without_labels_leave_none_of_others_beside_them(
    run: RunDirectory, tiny_config: TinyConfig, train_run: TrainRun
) -> None:
    free = train_run(tiny_config({"data.conditional": False}), Path("checkpoints/free")).run
    api.sample("tiny", n=6, out="some.idx")
    assert Path("some.labels.idx").exists()
    api.sample("free", n=6, out="some.idx")
    loaded = data.load("some.idx", image_size=8).train
    np.testing.assert_array_equal(loaded.images, drawn(free, range(6)))
    assert loaded.labels is None


def test_a_suffix_in_capitals_names_labels_beside_the_images(run: RunDirectory) -> None:
    api.sample("tiny", n=6, out="LOUD.IDX")
    assert sorted(path.name for path in Path().glob("LOUD*")) == ["LOUD.IDX", "LOUD.labels.idx"]
    loaded = data.load("LOUD.IDX", image_size=8).train
    np.testing.assert_array_equal(loaded.images, drawn(run, range(6)))
    assert loaded.labels is not None
    assert loaded.labels.tolist() == [0, 1, 2, 0, 1, 2]


def test_classes_beyond_a_byte_keep_their_numbers(
    tiny_config: TinyConfig, train_run: TrainRun
) -> None:
    for label in range(301):
        Path(f"set/{label:03d}").mkdir(parents=True)
        Image.new("L", (8, 8), label % 256).save(f"set/{label:03d}/0.png")
    for copy in range(1, 16):
        shutil.copy("set/300/0.png", f"set/300/{copy}.png")
    wanted = tiny_config({"data.source": str(Path("set").resolve()), "data.digit": 300})
    train_run(wanted, Path("checkpoints/tiny"))
    api.sample("tiny", n=3, out="some.npz")
    with np.load("some.npz") as archive:
        assert archive["labels"].tolist() == [300] * 3
    assert "labels in IDX files end at 255, and these go to 300; give a name ending in .npz" in (
        wrong(n=3, out="some.idx")
    )
    assert not list(Path().glob("some*.idx"))


def test_colours_have_a_last_dimension_of_three(
    tiny_config: TinyConfig, train_run: TrainRun
) -> None:
    run = train_run(tiny_config({"data.channels": 3}), Path("checkpoints/tiny")).run
    expected = drawn(run, range(5)).transpose(0, 2, 3, 1)
    assert expected.shape == (5, 8, 8, 3)
    api.sample("tiny", n=5, out="some.npz")
    api.sample("tiny", n=5, out="some.idx")
    with np.load("some.npz") as archive:
        np.testing.assert_array_equal(archive["images"], expected)
    np.testing.assert_array_equal(read_idx(Path("some.idx")), expected)
    loaded = data.load("some.idx", image_size=8, channels=3).train.images
    np.testing.assert_array_equal(loaded, drawn(run, range(5)))
    assert pixels(api.sample("tiny", n=4).path).shape[2] == 3


@pytest.mark.parametrize("suffix", ["npz", "idx"])
def test_many_samples_stream_in_bounded_memory(run: RunDirectory, suffix: str) -> None:
    tracemalloc.start()
    made = api.sample("tiny", n=50_000, out=f"many.{suffix}")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert made.path.stat().st_size > 50_000 * 64
    assert peak < 2.5e6  # of Python and numpy; the images alone are 3.2 MB


# What cannot be.


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"n": 0}, "-n 0 is out of range: it must be 1 to 10,000,000"),
        ({"n": 10_000_001}, "-n 10000001 is out of range"),
        ({"truncation": float("nan")}, "--truncation nan is out of range"),
        ({"truncation": -0.1}, "--truncation -0.1 is out of range"),
        ({"truncation": 2.1}, "it must be 0 to 2"),
        ({"n": 7, "grid": (2, 3)}, "--grid 2x3 has no room for 7 samples"),
        ({"seeds": range(7), "grid": (2, 3)}, "--grid 2x3 has no room for 7 samples"),
        ({"interpolate": (1, 2), "n": 10, "grid": (2, 4)}, "has no room for 10 samples"),
        ({"interpolate": (1, 2), "n": 10, "grid": (2, 5), "labels": True}, "have a row of their"),
        ({"grid": (0, 3)}, "--grid 0x3 is out of range"),
        ({"seeds": [3, 3, 4], "separate": True}, "--seeds names one twice"),
        ({"seeds": []}, "--seeds names no seed"),
        ({"seeds": [1, 2], "n": 3}, "-n 3 contradicts --seeds, which are 2"),
        ({"seeds": [1], "interpolate": (1, 2)}, "leave --seeds out"),
        ({"seeds": [0, -5, 3]}, "seed -5 is out of range"),
        ({"seeds": [0, 2**63, 3]}, "seed 9223372036854775808 is out of range"),
        ({"seeds": range(-1, 3)}, "seed -1 is out of range"),
        ({"interpolate": (0, 2**64)}, "seed 18446744073709551616 is out of range"),
        ({"digit": 3}, "tiny cannot draw --digit 3 on request; give --digit 0 to 2"),
        ({"digit": -1}, "cannot draw --digit -1"),
        ({"out": "a.jpg"}, "--out a.jpg: samples are written as .png, .svg, .npz, .idx"),
        ({"out": "a.npz", "numbers": True}, "--numbers is for a picture"),
        ({"out": "a.idx", "dpi": 300}, "--dpi is for a picture"),
        ({"separate": True, "with_nearest": True}, "--with-nearest is for one picture"),
        ({"interpolate": (1, 2), "numbers": True}, "most of an interpolation has none"),
        ({"real": True, "with_real": True}, "leave --interpolate, --truncation and --with-real"),
        ({"scale": 0}, "--scale 0 is out of range"),
        ({"dpi": 3000}, "--dpi 3000 is out of range"),
        ({"scale": 2, "dpi": 300}, "--scale and --dpi contradict each other"),
        ({"scale": 900}, "the picture would be 28800x73800"),
        ({"scale": 900, "light": True}, "8,192 pixels a side are the most"),
        ({"out": "a"}, "--out a: samples are written as"),
        ({"grid": (9**9, 9), "out": "a.npz"}, "at most 10,000,000 samples"),
        ({"n": 10_001}, "a grid of 10,001 samples is too large to look at"),
        ({"interpolate": (1, 2), "separate": True}, "--separate takes seeds"),
    ],
    ids=str,
)
def test_a_request_that_makes_no_sense_is_refused(
    run: RunDirectory, wanted: dict[str, Any], words: str
) -> None:
    assert words in wrong(**wanted)
    assert not run.samples.exists() or not any(run.samples.iterdir())


def test_a_missing_folder_is_named_and_a_failed_write_leaves_what_was_there(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StorageError, match=r"cannot write gone/a\.png: its folder does not exist"):
        api.sample("tiny", out="gone/a.png")
    for suffix in ("npz", "idx", "png"):
        path = api.sample("tiny", n=3, out=f"a.{suffix}").path
        before = path.read_bytes()

        def refuse(*_: Any, **__: Any) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", refuse)
            with pytest.raises(StorageError, match="the disk is full"):
                api.sample("tiny", n=9, out=path)
        assert path.read_bytes() == before
    left = sorted(path.name for path in Path().iterdir() if path.is_file())
    assert left == ["a.idx", "a.labels.idx", "a.npz", "a.png"]
