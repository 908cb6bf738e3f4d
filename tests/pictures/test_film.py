from __future__ import annotations

import itertools
import os
import re
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image, ImageColor

from gancli import data
from gancli.errors import ConfigError, DataError, MissingPartError, StorageError
from gancli.palette import SKY, VERMILLION
from gancli.pictures import film as films
from gancli.pictures.film import Film, Scene, scene_of
from gancli.pictures.frames import Frame, frame_path, list_frames, read_frame
from gancli.pictures.grid import make_grid, save_png
from gancli.pictures.strip import Curve, Strip

MakeFrames = Callable[..., list[Frame]]
SUFFIXES = (".gif", ".webp", ".mp4")


def write_film(
    frames: list[Frame], target: Path, *, captions: Sequence[str] | None = None, **wanted: Any
) -> Film:
    scene = scene_of(frames, [[words] for words in captions or ()])
    return films.write_film([scene], target, **wanted)


def pillow_frames(path: Path) -> tuple[list[np.ndarray], list[int]]:
    """Decode a GIF or WebP: RGB [h, w, 3] and milliseconds of each frame."""
    pictures, delays = [], []
    with Image.open(path) as film:
        for index in range(film.n_frames):
            film.seek(index)
            film.load()
            pictures.append(np.asarray(film.convert("RGB")))
            delays.append(film.info["duration"])
    return pictures, delays


def ffmpeg_frames(path: Path) -> list[np.ndarray]:
    """Decode any film with ffmpeg: RGB [h, w, 3] of each frame."""
    size = re.search(r"Video: .* (\d+)x(\d+)", ffmpeg_description(path))
    assert size is not None
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", str(path)]
    command += ["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return list(np.frombuffer(raw, np.uint8).reshape(-1, int(size[2]), int(size[1]), 3))


def ffmpeg_description(path: Path) -> str:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-i", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


def pixels(frame: Frame, scale: int) -> np.ndarray:
    picture = np.asarray(read_frame(frame.path).convert("RGB")).astype(int)
    return picture.repeat(scale, axis=0).repeat(scale, axis=1)


def is_untouched(folder: Path, names: set[str]) -> bool:
    return {path.name for path in folder.iterdir()} == names


# What a film shows


@pytest.mark.parametrize("channels", [1, 3])
def test_webp_shows_every_pixel_as_it_was(
    tmp_path: Path, make_frames: MakeFrames, channels: int
) -> None:
    frames = make_frames(4, channels=channels)
    write_film(frames, tmp_path / "a.webp", scale=3)
    shown, _ = pillow_frames(tmp_path / "a.webp")
    assert len(shown) == 4
    for frame, picture in zip(frames, shown, strict=True):
        assert (picture == pixels(frame, 3)).all()


@pytest.mark.parametrize(("channels", "error"), [(1, 9), (3, 90)])
@pytest.mark.parametrize("decode", [ffmpeg_frames, lambda path: pillow_frames(path)[0]])
def test_gif_is_crisp_and_near_the_frames(
    tmp_path: Path,
    make_frames: MakeFrames,
    channels: int,
    error: int,
    decode: Callable[[Path], list[np.ndarray]],
) -> None:
    frames = make_frames(6, channels=channels)
    write_film(frames, tmp_path / "a.gif", scale=4)
    shown = decode(tmp_path / "a.gif")
    assert len(shown) == 6
    for frame, picture in zip(frames, shown, strict=True):
        assert np.abs(picture.astype(int) - pixels(frame, 4)).max() <= error
        small = picture[::4, ::4]
        assert (picture == small.repeat(4, axis=0).repeat(4, axis=1)).all()


def test_gif_keeps_what_stays_and_draws_what_moves(tmp_path: Path) -> None:
    for epoch in range(5):
        image = np.zeros((1, 1, 20, 20), np.uint8)
        image[..., epoch : epoch + 3] = 255
        save_png(make_grid(image, 1), frame_path(tmp_path, epoch), {})
    frames = list_frames(tmp_path)
    write_film(frames, tmp_path / "a.gif", scale=2)
    for frame, picture in zip(frames, ffmpeg_frames(tmp_path / "a.gif"), strict=True):
        assert np.abs(picture.astype(int) - pixels(frame, 2)).max() <= 9


@pytest.mark.parametrize("channels", [1, 3])
def test_mp4_plays_everywhere_and_is_near_the_frames(
    tmp_path: Path, make_frames: MakeFrames, channels: int
) -> None:
    frames = make_frames(5, channels=channels, side=9)  # 24 pixels, at scale 5 even
    film = write_film(frames, tmp_path / "a.mp4", scale=5, fps=10, hold_seconds=0)
    description = ffmpeg_description(film.path)
    assert re.search(r"Video: h264.*yuv420p", description)
    assert f"{film.width}x{film.height}" in description
    assert (film.width, film.height) == (120, 120)
    content = film.path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # plays while it loads
    shown = ffmpeg_frames(film.path)
    assert len(shown) == 5
    grey = [picture.mean(2) for picture in shown]
    for frame, picture in zip(frames, grey, strict=True):
        assert np.abs(picture.astype(int) - pixels(frame, 5).mean(2)).mean() < (
            8 if channels == 1 else 30
        )


@pytest.mark.parametrize("side", [4, 5, 8, 9])
def test_mp4_sides_are_even_and_the_picture_is_not_rescaled(tmp_path: Path, side: int) -> None:
    white = np.full((1, 1, side, side), 255, np.uint8)
    save_png(make_grid(white, 1, margin=0), frame_path(tmp_path, 0), {})
    film = write_film(list_frames(tmp_path), tmp_path / "a.mp4", scale=5)
    assert film.width == film.height == 5 * side + 5 * side % 2
    picture = ffmpeg_frames(film.path)[0].mean(2)
    assert picture[: 5 * side, : 5 * side].min() > 200
    assert picture.shape == (film.height, film.width)


@pytest.mark.parametrize(("side", "width"), [(28, 28 * 34), (242, 968), (970, 970), (1100, 1100)])
def test_the_automatic_scale_fills_a_screen(tmp_path: Path, side: int, width: int) -> None:
    save_png(Image.new("L", (side, 20)), frame_path(tmp_path, 0), {})
    film = write_film(list_frames(tmp_path), tmp_path / "a.webp")
    assert (film.width, film.height) == (width, 20 * (width // side))


# Captions


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("channels", "scale"), [(1, 1), (3, 8)])
def test_a_caption_stands_under_the_frame(
    tmp_path: Path, make_frames: MakeFrames, suffix: str, channels: int, scale: int
) -> None:
    frames = make_frames(2, channels=channels, side=20)  # 46 pixels
    captions = ["epoch 0", "epoch 1"]
    film = write_film(frames, tmp_path / f"a{suffix}", scale=scale, captions=captions)
    side = 46 * scale
    assert film.width == side
    assert side + 12 <= film.height <= side + 20 + side // 16
    shown = ffmpeg_frames(film.path) if suffix == ".mp4" else pillow_frames(film.path)[0]
    strips = [picture[side:] for picture in shown[:2]]
    for strip in strips:
        assert strip.max() > 150  # ink
        assert np.median(strip) < 60  # paper
    assert (strips[0] != strips[1]).any()
    if suffix == ".webp":
        assert (shown[1][:side] == pixels(frames[1], scale)).all()


@pytest.mark.parametrize("length", [1, 20, 60, 400])
def test_no_caption_leaves_its_strip(tmp_path: Path, make_frames: MakeFrames, length: int) -> None:
    frames = make_frames(1, side=20)
    film = write_film(frames, tmp_path / "a.webp", scale=5, captions=["M" * length])
    strip = pillow_frames(film.path)[0][0][230:].mean(2)
    inked = np.flatnonzero((strip > 40).any(0))
    assert inked.min() >= 1
    assert inked.max() <= film.width - 2
    lines = np.flatnonzero((strip > 40).any(1))
    assert lines.min() >= 1
    assert lines.max() <= len(strip) - 2
    assert len(lines) >= 5


def test_captions_must_be_as_many_as_frames(tmp_path: Path, make_frames: MakeFrames) -> None:
    with pytest.raises(ValueError, match="1 captions for 2 frames"):
        write_film(make_frames(2), tmp_path / "a.gif", captions=["one"])


# How long it plays


@pytest.mark.parametrize("fps", [0.5, 7, 12, 24, 30, 50])
@pytest.mark.parametrize("hold", [0, 0.75, 2])
def test_gif_and_webp_play_exactly_as_long_as_they_say(
    tmp_path: Path, make_frames: MakeFrames, fps: float, hold: float
) -> None:
    frames = make_frames(31, side=2)
    for suffix, tick in ((".gif", 10), (".webp", 1)):
        film = write_film(frames, tmp_path / f"a{suffix}", fps=fps, hold_seconds=hold, scale=1)
        _, delays = pillow_frames(film.path)
        assert len(delays) == film.frames == 31
        assert sum(delays) == pytest.approx(1000 * film.seconds, abs=1e-6)
        assert abs(sum(delays) - 1000 * (31 / fps + hold)) <= tick
        assert max(delays[:-1]) - min(delays[:-1]) <= tick
        starts = list(itertools.accumulate(delays[:-1]))
        ideal = [1000 * index / fps for index in range(1, 31)]
        assert max(abs(a - b) for a, b in zip(starts, ideal, strict=True)) <= tick / 2


@pytest.mark.parametrize(("fps", "hold", "held"), [(10, 0, 0), (24, 0.5, 12), (0.5, 1, 1)])
def test_mp4_plays_exactly_as_long_as_it_says(
    tmp_path: Path, make_frames: MakeFrames, fps: float, hold: float, held: int
) -> None:
    frames = make_frames(5)
    film = write_film(frames, tmp_path / "a.mp4", fps=fps, hold_seconds=hold)
    assert film.seconds == pytest.approx((5 + held) / fps)
    assert len(ffmpeg_frames(film.path)) == 5 + held
    duration = re.search(r"Duration: 00:00:(\d\d\.\d\d)", ffmpeg_description(film.path))
    assert duration is not None
    assert float(duration[1]) == pytest.approx(film.seconds, abs=0.011)


def mp4_seconds(path: Path) -> tuple[float, int]:
    """Read from an MP4's own tables, without ffmpeg, how long it plays and how many frames it has.

    ISO/IEC 14496-12: boxes of length, name and content; ``mdhd`` has the clock, ``stts`` the table
    of counts and durations.
    """

    def boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
        while content:
            length = struct.unpack(">I", content[:4])[0]
            yield content[4:8], content[8:length]
            content = content[length:]

    def find(content: bytes, *names: bytes) -> bytes:
        for name in names:
            content = dict(boxes(content))[name]
        return content

    media = find(path.read_bytes(), b"moov", b"trak", b"mdia")
    clock, _ = struct.unpack(">II", find(media, b"mdhd")[12:20])
    table = find(media, b"minf", b"stbl", b"stts")[8:]
    runs = list(struct.iter_unpack(">II", table))
    return sum(count * each for count, each in runs) / clock, sum(count for count, _ in runs)


def webp_delays(path: Path) -> list[int]:
    """Read from a WebP's own chunks, without Pillow, how many milliseconds each frame stays."""
    content, delays = path.read_bytes()[12:], []
    while content:
        length = struct.unpack("<I", content[4:8])[0]
        if content[:4] == b"ANMF":
            delays.append(int.from_bytes(content[8 + 12 : 8 + 15], "little"))
        content = content[8 + length + length % 2 :]
    return delays


@pytest.mark.parametrize(
    ("fps", "smooth", "hold"), [(10, 0, 1.5), (10, 3, 0.5), (7, 2, 0), (3, 5, 1)]
)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_other_decoders_find_the_same_duration(
    tmp_path: Path, make_frames: MakeFrames, suffix: str, fps: float, smooth: int, hold: float
) -> None:
    wanted = {"fps": fps, "smooth": smooth, "hold_seconds": hold}
    film = write_film(make_frames(6, side=4), tmp_path / f"a{suffix}", **wanted)
    assert film.frames == 5 * (smooth + 1) + 1
    tick = {".gif": 0.01, ".webp": 0.001, ".mp4": 1 / (fps * (smooth + 1))}[suffix]
    assert film.seconds == pytest.approx(6 / fps + hold, abs=tick)
    if suffix == ".mp4":
        seconds, frames = mp4_seconds(film.path)
        assert seconds == pytest.approx(film.seconds, abs=1e-6)
        assert frames == round(film.seconds * fps * (smooth + 1))
    elif suffix == ".gif":
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", str(film.path)]
        command += ["-fps_mode", "passthrough", "-enc_time_base", "1/100", "-f", "framecrc", "-"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        rows = [line.split(",") for line in said.splitlines() if not line.startswith("#")]
        assert len(rows) == film.frames
        last = 100 * film.seconds - float(rows[-1][1])  # what follows the start of the last
        assert last == pytest.approx(100 * (1 / fps + hold), abs=1)
    else:
        delays = webp_delays(film.path)
        assert len(delays) == film.frames
        assert sum(delays) == pytest.approx(1000 * film.seconds)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_still_is_a_film_of_the_right_length(
    tmp_path: Path, make_frames: MakeFrames, suffix: str
) -> None:
    for count in (1, 6):
        frames = make_frames(count, equal=True)
        film = write_film(frames, tmp_path / f"a{suffix}", fps=10, hold_seconds=1)
        assert film.still
        assert film.seconds == pytest.approx(count / 10 + 1)
        if suffix == ".mp4":
            assert len(ffmpeg_frames(film.path)) == count + 10
        elif count > 1:
            assert sum(pillow_frames(film.path)[1]) == 1600
        shown = ffmpeg_frames(film.path) if suffix == ".mp4" else pillow_frames(film.path)[0]
        assert all((picture == shown[0]).all() or suffix == ".mp4" for picture in shown)


def test_frames_that_move_are_no_still(tmp_path: Path, make_frames: MakeFrames) -> None:
    assert not write_film(make_frames(2), tmp_path / "a.webp").still


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_films_loop_for_ever(tmp_path: Path, make_frames: MakeFrames, suffix: str) -> None:
    film = write_film(make_frames(3), tmp_path / f"a{suffix}")
    with Image.open(film.path) as picture:
        assert picture.info["loop"] == 0


def test_progress_counts_every_frame(tmp_path: Path, make_frames: MakeFrames) -> None:
    seen: list[tuple[int, int]] = []
    write_film(make_frames(3), tmp_path / "a.gif", on_progress=lambda a, b: seen.append((a, b)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


# Between the frames, side by side, and in folders


def test_frames_fade_into_each_other(tmp_path: Path) -> None:
    for epoch, level in enumerate((0, 200, 100)):
        grey = np.full((1, 1, 4, 4), level, np.uint8)
        save_png(make_grid(grey, 1, margin=0), frame_path(tmp_path, epoch), {})
    write_film(list_frames(tmp_path), tmp_path / "a.webp", smooth=3, fps=5)
    shown, delays = pillow_frames(tmp_path / "a.webp")
    levels = [int(picture[0, 0, 0]) for picture in shown]
    assert levels == [0, 50, 100, 150, 200, 175, 150, 125, 100]
    assert delays == [50] * 8 + [2200]


def test_captions_change_with_their_frame_and_do_not_fade(
    tmp_path: Path, make_frames: MakeFrames
) -> None:
    frames = make_frames(3, side=20, equal=True)
    write_film(frames, tmp_path / "a.webp", smooth=2, scale=3, captions=["one", "two", "three"])
    strips = [picture[138:].tobytes() for picture in pillow_frames(tmp_path / "a.webp")[0]]
    assert len({strips[0], strips[3], strips[6]}) == 3
    assert strips[0] == strips[1] == strips[2]
    assert strips[3] == strips[4] == strips[5]


def test_scenes_stand_side_by_side_under_their_titles(
    tmp_path: Path, make_frames: MakeFrames
) -> None:
    frames = make_frames(3, side=10)
    scenes = [scene_of(frames[::step], title=word) for step, word in ((1, "up"), (-1, "down"))]
    film = films.write_film(scenes, tmp_path / "a.webp", scale=4)
    assert film.width > 2 * 26 * 4
    for picture, first, second in zip(
        pillow_frames(film.path)[0], frames, reversed(frames), strict=True
    ):
        for frame, columns in ((first, slice(0, film.width // 2)), (second, slice(None))):
            assert contains(picture[:, columns], pixels(frame, 4))
        assert contains(picture[:, film.width // 2 :], pixels(second, 4))


def contains(picture: np.ndarray, part: np.ndarray) -> bool:
    """Tell whether a part stands somewhere in a picture."""
    height, width = part.shape[:2]
    return any(
        (picture[top : top + height, left : left + width] == part).all()
        for top in range(len(picture) - height + 1)
        for left in range(picture.shape[1] - width + 1)
        if (picture[top + 8, left + 8 : left + 40] == part[8, 8:40]).all()
    )


def test_scenes_must_be_equally_long(tmp_path: Path, make_frames: MakeFrames) -> None:
    frames = make_frames(3)
    with pytest.raises(ValueError, match="2 pictures beside one of 3"):
        films.write_film([scene_of(frames), scene_of(frames[:2])], tmp_path / "a.gif")


def test_a_folder_has_a_png_for_each_picture(tmp_path: Path, make_frames: MakeFrames) -> None:
    frames = make_frames(3)
    film = write_film(frames, tmp_path / "film", scale=3, smooth=1, fps=10)
    paths = sorted(film.path.iterdir())
    assert [path.name for path in paths] == [f"film-{number:05d}.png" for number in range(5)]
    assert (film.frames, film.seconds) == (5, 0.25)
    assert film.bytes == sum(path.stat().st_size for path in paths)
    for frame, path in zip(frames, paths[::2], strict=True):
        assert (np.asarray(read_frame(path).convert("RGB")) == pixels(frame, 3)).all()
    write_film(frames[:2], tmp_path / "film")  # takes the place of the one before
    assert len(list(film.path.iterdir())) == 2


@pytest.mark.parametrize("fault", ["foreign", "numbered", "file", "parent", "truncated"])
def test_a_folder_that_cannot_be_is_left_as_it_was(
    tmp_path: Path, make_frames: MakeFrames, fault: str
) -> None:
    frames, target = make_frames(3), tmp_path / "film"
    if fault == "file":
        target.write_text("mine")
    elif fault == "parent":
        target = tmp_path / "missing" / "film"
    else:
        target.mkdir()
        foreign = {"foreign": "thesis.doc", "numbered": "00000.png"}
        (target / foreign.get(fault, "film-00000.png")).write_text("mine")
    if fault == "truncated":
        frames[2].path.write_bytes(frames[2].path.read_bytes()[:90])
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
    with pytest.raises(DataError if fault == "truncated" else StorageError) as caught:
        write_film(frames, target)
    names = {"foreign": "thesis.doc", "numbered": "00000.png", "truncated": "epoch-00002.png"}
    named = names.get(fault, str(target))
    assert named in str(caught.value)
    assert {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")} == before


def test_a_grey_film_with_curves_keeps_its_greys_and_shows_their_inks(
    tmp_path: Path, make_frames: MakeFrames
) -> None:
    frames = make_frames(4, side=40)
    curves = [Curve("G", SKY, [1, 2, 1, 2]), Curve("D", VERMILLION, [2, 1, 2, 1])]
    marks = [0.0, 0.3, 0.6, 1.0]
    scene = scene_of(frames, strip=Strip(marks, curves, marks))
    films.write_film([scene], tmp_path / "a.gif", scale=5)
    shown = ffmpeg_frames(tmp_path / "a.gif")
    for frame, picture in zip(frames, shown, strict=True):
        side = 86 * 5
        assert np.abs(picture[:side].astype(int) - pixels(frame, 5)).max() <= 12
        assert (picture[:side].max(2) == picture[:side].min(2)).all()  # no tinge of an ink
    for ink in (SKY, VERMILLION):
        assert (np.abs(shown[3][430:].astype(int) - ImageColor.getrgb(ink)).sum(2) < 12).any()


def test_a_film_in_colour_keeps_its_words_white_and_the_inks_of_its_curves(
    tmp_path: Path,
) -> None:
    """Noise in all colours needs more of them than a GIF has, and leaves none for a few words."""
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)
    marks, ink = [0.0], Curve("G", SKY, [1.0])
    scene = Scene(
        (60, 60),
        "RGB",
        1,
        lambda _: Image.fromarray(noise),
        captions=[["epoch 3"]],
        strip=Strip(marks, [ink], marks),
    )
    films.write_film([scene], tmp_path / "a.gif", scale=5)
    shown = ffmpeg_frames(tmp_path / "a.gif")[0].astype(int)
    assert np.abs(shown[:300] - noise.repeat(5, 0).repeat(5, 1)).mean() < 20
    words, curves = shown[300:-40], shown[-40:]
    assert np.ptp(words, 2).max() <= 16
    assert words.max() > 200
    assert (np.abs(curves - ImageColor.getrgb(SKY)).sum(2) < 12).any()


# How large it is


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> list[Frame]:
    """Sixty frames as a training makes them: noise at first, then digits that go on changing."""
    folder = tmp_path_factory.mktemp("training")
    test = data.load().test
    assert test is not None
    digits = test.images[:512].numpy().reshape(8, 64, 1, 28, 28).astype(np.float64)
    random = np.random.default_rng(0)
    for epoch in range(60):
        stage, share = divmod(epoch / 10, 1)
        image = (1 - share) * digits[int(stage)] + share * digits[int(stage) + 1]
        image += random.normal(0, 4 + 12 * np.exp(-epoch / 30), image.shape) * (image > 20)
        noise = np.exp(-epoch)
        image = (1 - noise) * image + noise * random.normal(127, 60, image.shape)
        tiles = np.clip(image, 0, 255).astype(np.uint8)
        save_png(make_grid(tiles, 8), frame_path(folder, epoch), {})
    return list_frames(folder)


@pytest.mark.parametrize(
    ("suffix", "least", "most"),
    [(".gif", 1_000_000, 5_000_000), (".webp", 500_000, 2_500_000), (".mp4", 150_000, 500_000)],
)
def test_sixty_frames_of_64_digits_are_small_enough_to_share(
    training: list[Frame], tmp_path: Path, suffix: str, least: int, most: int
) -> None:
    captions = [f"epoch {frame.epoch:g}" for frame in training]
    film = write_film(training, tmp_path / f"a{suffix}", captions=captions)
    assert film.width == 968
    assert least < film.bytes < most
    assert film.bytes == film.path.stat().st_size
    if suffix == ".mp4":  # small, and sharp all the same
        for index, picture in enumerate(itertools.islice(ffmpeg_frames(film.path), 60)):
            error = np.abs(picture[:968].astype(int) - pixels(training[index], 4)).mean()
            assert error < 4 if index < 5 else error < 2, index


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_memory_stays_flat(tmp_path: Path, make_frames: MakeFrames, suffix: str) -> None:
    # The same ten files over and over: 200 canvases of 480 kB would be 100 MB.
    frames = list(itertools.islice(itertools.cycle(make_frames(10, side=12)), 200))
    tracemalloc.start()
    film = write_film(frames, tmp_path / f"a{suffix}", scale=21, fps=50, hold_seconds=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert film.width * film.height * 200 > 75_000_000
    assert peak < 8_000_000


def test_resident_memory_of_a_long_film_stays_flat(tmp_path: Path, make_frames: MakeFrames) -> None:
    if sys.platform == "win32":
        pytest.skip("needs the resource module")
    make_frames(2, side=30)
    program = """
import resource, sys
from pathlib import Path
from gancli.pictures.film import scene_of, write_film
from gancli.pictures.frames import list_frames
frames = list_frames(Path(sys.argv[1]))
def peak(count):
    for suffix in (".gif", ".webp"):
        write_film([scene_of(frames * count)], Path(sys.argv[2]) / f"a{suffix}", scale=8, fps=50)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak(3), peak(200))
"""
    command = [sys.executable, "-c", program, str(tmp_path / "frames"), str(tmp_path)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    short, long = map(int, out.split())
    assert long < 1.25 * short


# What goes wrong


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf"), 1000, 1e-9])
def test_an_impossible_fps_names_option_and_range(
    tmp_path: Path, make_frames: MakeFrames, suffix: str, fps: float
) -> None:
    with pytest.raises(ConfigError, match=r"--fps .* 0\.01 to (50|120) "):
        write_film(make_frames(2), tmp_path / f"a{suffix}", fps=fps)
    assert is_untouched(tmp_path, {"frames"})


@pytest.mark.parametrize("hold", [-1, float("nan"), float("inf"), 1e6])
def test_an_impossible_hold_names_option_and_range(
    tmp_path: Path, make_frames: MakeFrames, hold: float
) -> None:
    with pytest.raises(ConfigError, match=r"--hold .* 0 to 60 "):
        write_film(make_frames(2), tmp_path / "a.gif", hold_seconds=hold)


@pytest.mark.parametrize("scale", [0, -3, 10**6])
def test_an_impossible_scale_names_option_and_range(
    tmp_path: Path, make_frames: MakeFrames, scale: int
) -> None:
    with pytest.raises(ConfigError, match=r"--scale .* 1 to 512 "):
        write_film(make_frames(2), tmp_path / "a.gif", scale=scale)


@pytest.mark.parametrize("name", ["film.avi", "film.png", "film.gif.part"])
def test_another_format_lists_those_that_work(
    tmp_path: Path, make_frames: MakeFrames, name: str
) -> None:
    with pytest.raises(ConfigError, match=r"\.gif, \.webp, \.mp4"):
        write_film(make_frames(2), tmp_path / name)


def test_capital_letters_are_a_format_too(tmp_path: Path, make_frames: MakeFrames) -> None:
    assert write_film(make_frames(2), tmp_path / "A.GIF").path.read_bytes().startswith(b"GIF89a")


def test_no_frames_make_no_film(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gancli train"):
        write_film([], tmp_path / "a.gif")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("fault", ["truncated", "empty", "other size", "colour"])
def test_a_bad_frame_is_named_and_the_old_film_stays(
    tmp_path: Path, make_frames: MakeFrames, suffix: str, fault: str
) -> None:
    frames = make_frames(9)
    bad = frames[5].path
    if fault == "truncated":
        bad.write_bytes(bad.read_bytes()[:90])
    elif fault == "empty":
        bad.write_bytes(b"")
    elif fault == "other size":
        save_png(Image.new("L", (30, 20)), bad, {})
    else:
        save_png(read_frame(bad).convert("RGB"), bad, {})
    target = tmp_path / f"film{suffix}"
    target.write_bytes(b"old")
    with pytest.raises(DataError, match=r"epoch-00005\.png") as caught:
        write_film(frames, target)
    if fault == "other size":
        assert "30x20" in str(caught.value)
        assert "16x16" in str(caught.value)
    assert target.read_bytes() == b"old"
    assert is_untouched(tmp_path, {"frames", target.name})


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_impossible_target_is_found_before_the_work(
    tmp_path: Path, make_frames: MakeFrames, suffix: str
) -> None:
    frames = make_frames(2)
    (tmp_path / f"folder{suffix}").mkdir()
    (tmp_path / "file").touch()

    def work(done: int, total: int) -> None:
        pytest.fail("the work began")

    for target in (f"folder{suffix}", f"missing/a{suffix}", f"file/a{suffix}"):
        with pytest.raises(StorageError, match=re.escape(str(tmp_path / target))):
            write_film(frames, tmp_path / target, on_progress=work)
    assert is_untouched(tmp_path, {"frames", "file", f"folder{suffix}"})


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_interruption_leaves_nothing(
    tmp_path: Path, make_frames: MakeFrames, suffix: str
) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_film(make_frames(4), tmp_path / f"a{suffix}", on_progress=interrupt)
    assert is_untouched(tmp_path, {"frames"})


@pytest.mark.skipif(os.name != "posix", reason="needs a shell script as ffmpeg")
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("head -c 300000 >/dev/null; kill -9 $$", "exit status -9"),
        ("head -c 300000 >/dev/null; exit 0", "exit status 0"),
        ("cat >/dev/null; echo 'one' >&2; echo 'No space left' >&2; exit 1", "No space left"),
    ],
)
def test_ffmpeg_that_dies_leaves_the_old_film(
    tmp_path: Path,
    make_frames: MakeFrames,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    reason: str,
) -> None:
    fake = tmp_path / "ffmpeg"
    # It writes to its last argument, the film, as the real one does.
    fake.write_text(f'#!/bin/sh\nfor film; do :; done\necho part >"$film"\n{script}\n')
    fake.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(fake))
    target = tmp_path / "film.mp4"
    target.write_bytes(b"old")
    with pytest.raises(StorageError, match=f"ffmpeg stopped.*{reason}"):
        write_film(make_frames(20), target)
    assert target.read_bytes() == b"old"
    assert is_untouched(tmp_path, {"frames", "ffmpeg", "film.mp4"})


def test_without_ffmpeg_an_mp4_is_refused_and_a_gif_is_not(
    tmp_path: Path, make_frames: MakeFrames, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "nothing"))
    frames = make_frames(2)
    with pytest.raises(MissingPartError, match="pip install imageio-ffmpeg"):
        write_film(frames, tmp_path / "a.mp4")
    (tmp_path / "frames" / "ffmpeg").write_bytes(b"\0not a program")
    (tmp_path / "frames" / "ffmpeg").chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "frames" / "ffmpeg"))
    with pytest.raises(MissingPartError, match="cannot be started"):
        write_film(frames, tmp_path / "a.mp4")
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(MissingPartError, match="pip install imageio-ffmpeg"):
        write_film(frames, tmp_path / "a.mp4")
    assert is_untouched(tmp_path, {"frames"})
    film: Film = write_film(frames, tmp_path / "a.gif")
    assert film.frames == 2
