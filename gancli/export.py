"""Samples, or real images in their place, to files: a grid, single pictures, NPZ or IDX.

All but the grid stream. A grid has words and neighbours beside its images on request.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import re
import struct
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

import gancli
from gancli import files
from gancli.data import ImageSet, labels_file_name
from gancli.errors import ConfigError, DataError, memory_advice
from gancli.metrics.memorisation import nearest_pixels
from gancli.pictures.blocks import DARK, LIGHT, Block, draw_blocks, natural_width, pair
from gancli.pictures.film import MAX_SIDE
from gancli.pictures.frames import spell_epoch
from gancli.pictures.grid import BACKGROUND, Images, default_columns, make_grid, save_png
from gancli.pictures.layout import Size
from gancli.pictures.sheet import draw_sheet
from gancli.sampling import Trained

_OWN_NAME = re.compile(r"(seed|real)-\d{6,}\.png")
MOST_TILES = 10_000
SUFFIXES = (".png", ".svg", ".npz", ".idx")
PRINT_CENTIMETRES = 16
"""The width at which a picture is as fine as asked by dots an inch: that of text on A4."""

_PORTION = 1_024
_LARGEST_BYTE = 255

Portion = tuple[Sequence[int], Tensor]


@dataclasses.dataclass(frozen=True)
class Look:
    """What a picture of samples shows besides them, and how large it is.

    Attributes:
        numbers: the seed under each.
        labels: run and epoch over all, the class over each column, the seeds beside each row.
        with_real: as many real images beside them, of the same classes, that were not trained on.
        with_nearest: under each the training image nearest to it, and how far it is.
        light: dark words on white paper.
        scale: pixels per pixel; None for 1 without words, and else for about 1100 in width.
        dpi: dots an inch, of a picture 16 cm wide or a little more.
    """

    numbers: bool = False
    labels: bool = False
    with_real: bool = False
    with_nearest: bool = False
    light: bool = False
    scale: int | None = None
    dpi: int | None = None

    @property
    def plain(self) -> bool:
        """Whether there is nothing but images."""
        return not (
            self.numbers or self.labels or self.with_real or self.with_nearest or self.light
        )

    @property
    def asked(self) -> str | None:
        """The first option of a picture that was asked for."""
        options = [word for word, value in vars(self).items() if value]
        return f"--{options[0].replace('_', '-')}" if options else None


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What is to be drawn.

    Attributes:
        trained: by which generator.
        seeds: which images.
        digit: of which class, if the generator is conditional.
        truncation: how far from the middle of the latents.
        interpolate: pairs of seeds to go between instead, equally many images each.
        count: how many images in all.
        real: real images to write in place of drawn ones; the seeds are their numbers then.
    """

    trained: Trained
    seeds: Sequence[int]
    digit: int | None
    truncation: float
    interpolate: Sequence[tuple[int, int]]
    count: int
    real: ImageSet | None = None
    look: Look = Look()

    @property
    def each(self) -> int:
        """How many images are on each way between two seeds."""
        return self.count // len(self.interpolate)

    @property
    def name(self) -> str:
        """A file name that tells requests apart."""
        parts = [] if self.digit is None else [f"digit-{self.digit}"]
        if self.interpolate:
            ways = [f"from-{start}-to-{end}" for start, end in self.interpolate]
            more = [f"and-{len(ways) - 3}-more", _mark(ways)] if len(ways) > 3 else []
            parts += [*ways[:3], *more, f"in-{self.each}"]
        else:
            spelled = _spelled(self.seeds)
            parts.append(f"{'seeds' if self.real is None else 'real'}-{spelled}")
            parts += [_mark(self.seeds)] if spelled.endswith("more") else []
        if self.truncation != 1:
            parts.append(f"truncation-{self.truncation:g}")
        for word, value in vars(self.look).items():
            if value:
                parts.append(word.replace("_", "-") + ("" if value is True else f"-{value}"))
        if not self.trained.is_last:
            parts.append(f"step-{self.trained.step}")
        return "-".join(parts)

    def labels(self) -> npt.NDArray[np.uint8 | np.int64] | None:
        """Return the class of each image, where it is known: uint8 [count], int64 beyond 255."""
        known = self._classes()
        if known is None:
            return None
        fits = int(known.max()) <= _LARGEST_BYTE
        numbers: npt.NDArray[np.uint8 | np.int64] = known.to(
            torch.uint8 if fits else torch.int64
        ).numpy()
        return numbers

    def _classes(self) -> Tensor | None:
        if self.real is not None:
            known = self.real.labels
            return None if known is None else known[list(self.seeds)]
        seeds = self.seeds
        if self.interpolate:
            seeds = [start for start, _ in self.interpolate for _ in range(self.each)]
        labels = self.trained.labels(seeds, self.digit)
        trained_on = self.trained.config.data.digit
        if labels is None and trained_on is not None:
            return torch.full((self.count,), trained_on)
        return labels

    def portions(self) -> Iterator[Portion]:
        """Yield seeds with uint8 images [n, channels, size, size], or points, in bounded memory."""
        if self.real is not None:
            for start in range(0, self.count, _PORTION):
                chosen = self.seeds[start : start + _PORTION]
                yield chosen, self.real.images[list(chosen)]
            return
        if self.interpolate:
            for row, (start, end) in enumerate(self.interpolate):
                images = self.trained.interpolate(
                    start, end, self.each, digit=self.digit, truncation=self.truncation
                )
                yield range(row * self.each, (row + 1) * self.each), images
            return
        yield from self.trained.stream(self.seeds, digit=self.digit, truncation=self.truncation)

    def metadata(self, seeds: str) -> dict[str, str]:
        """Return what every picture says about itself."""
        if self.real is not None:
            return {
                "run": self.trained.name,
                "real": f"image {seeds} of {self.trained.config.data.source}, not trained on",
                "version": gancli.__version__,
            }
        about = {"run": self.trained.name, "recipe": self.trained.config.recipe}
        if self.interpolate:
            ways = [f"{start},{end}" for start, end in self.interpolate]
            about["interpolate"] = f"{' '.join(ways)} in {self.each}"
        else:
            about["seed" if seeds.isdigit() else "seeds"] = seeds
        if self.digit is not None:
            about["digit"] = str(self.digit)
        if self.truncation != 1:
            about["truncation"] = f"{self.truncation:g}"
        return {**about, "step": str(self.trained.step), "version": gancli.__version__}


def real_images(trained: Trained, digit: int | None) -> ImageSet:
    """Return the real images that a generator was not trained on, of the class it draws.

    Args:
        trained: the generator.
        digit: the class; None for the one it was trained on, or all.

    Raises:
        DataError: the data are gone or changed, have no such class, or have nothing held out.
    """
    wanted = trained.config.data
    splits = trained.splits()
    digit = wanted.digit if digit is None else digit
    real = (splits if digit is None else splits.of_class(digit)).unseen
    if real is None:
        raise DataError(
            f"--real: all images of {wanted.source} were trained on; train with "
            "`--set data.holdout=N`"
        )
    return real


@memory_advice("draw fewer at a time (-n), or on another --device")
def write(wanted: Wanted, out: Path | None, separate: bool, grid: tuple[int, int] | None) -> Path:
    """Draw and write samples.

    Args:
        wanted: what to draw.
        out: where to; None is a file among the run's samples.
        separate: one PNG a seed, in a folder.
        grid: rows and columns of the picture.

    Returns:
        The file, or the folder of single files.

    Raises:
        ConfigError: nothing writes this suffix, a grid would be too large to look at, or there are
            not so many real images.
        StorageError: it cannot be written, or memory runs out.
    """
    if wanted.real is not None and max(wanted.seeds) >= len(wanted.real):
        raise ConfigError(
            f"--real: there are {len(wanted.real):,} images that {wanted.trained.name} was not "
            f"trained on, numbered from 0; give -n {len(wanted.real)} or fewer"
        )
    if out is None:
        run = wanted.trained.run
        folder = run.samples if run is not None else Path("samples")
        shape = f"-{grid[0]}x{grid[1]}" if grid and grid[1] != _columns(wanted) else ""
        out = files.make_folder(folder) / (wanted.name if separate else f"{wanted.name}{shape}.png")
    if separate and wanted.look.asked:
        raise ConfigError(f"{wanted.look.asked} is for one picture; leave it or --separate out")
    if separate:
        return _write_separate(wanted, out)
    suffix = out.suffix.lower()
    if suffix in (".npz", ".idx") and wanted.look.asked:
        raise ConfigError(f"{wanted.look.asked} is for a picture; write .png or .svg, or leave it")
    if suffix == ".idx" and wanted.trained.config.data.is_points:
        raise ConfigError(
            f"--out {out}: IDX holds images, and these are points; write .npz or .png"
        )
    if suffix not in SUFFIXES:
        raise ConfigError(
            f"--out {out}: samples are written as {', '.join(SUFFIXES)}, or with --separate "
            "into a folder"
        )
    files.need_folder_of(out)
    {".png": _write_grid, ".svg": _write_grid, ".npz": _write_npz, ".idx": _write_idx}[suffix](
        wanted, out, grid
    )
    return out


def _write_grid(wanted: Wanted, out: Path, grid: tuple[int, int] | None) -> None:
    tiles = max(wanted.count, grid[0] * grid[1] if grid else 0)
    data = wanted.trained.config.data
    if tiles > MOST_TILES and not data.is_points:
        raise ConfigError(
            f"a grid of {tiles:,} samples is too large to look at (at most {MOST_TILES:,}); "
            "give --separate, or --out samples.npz or samples.idx"
        )
    samples = torch.cat([samples for _, samples in wanted.portions()])
    columns = grid[1] if grid else _columns(wanted)
    look, about, svg = (
        wanted.look,
        wanted.metadata(_spelled(wanted.seeds)),
        out.suffix.lower() == ".svg",
    )
    if data.is_points and (svg or not look.plain):
        option = look.asked or ".svg"
        raise ConfigError(f"{option} is of images, and {wanted.trained.name} draws points")
    if look.plain and not svg:
        sheet = draw_sheet(samples, data.source, columns)
        scale = _scale(look, sheet.width) or 1
        _check_size((scale * sheet.width, scale * sheet.height))
        save_png(sheet, out, about, scale=scale, dpi=look.dpi)
        return
    blocks = _blocks(wanted, samples, columns)
    drawn = draw_blocks(
        blocks,
        scale=_scale(look, natural_width(blocks, beside=True)),
        heading=_heading(wanted) if look.labels else "",
        beside=True,
        paper=LIGHT if look.light else DARK,
    )
    _check_size(drawn.size)
    if svg:
        files.write_text(out, drawn.svg(about))
    else:
        save_png(drawn.picture(), out, about, dpi=look.dpi)


def _check_size(size: Size) -> None:
    if max(size) > MAX_SIDE:
        raise ConfigError(
            f"the picture would be {size[0]}x{size[1]}, and {MAX_SIDE:,} pixels a side are the "
            "most; lower --scale or --dpi, or draw fewer (-n)"
        )


def _scale(look: Look, width: int) -> int | None:
    """Return pixels per pixel of a picture that is so wide unenlarged; None for what is usual."""
    if look.dpi is None:
        return look.scale
    return look.scale or math.ceil(look.dpi * PRINT_CENTIMETRES / 2.54 / width)


def _heading(wanted: Wanted) -> str:
    words = [wanted.trained.name]
    if wanted.real is None:
        words.append(f"epoch {spell_epoch(wanted.trained.epoch)}")
    if wanted.truncation != 1:
        words.append(f"truncation {wanted.truncation:g}")
    return " · ".join(words)


def _blocks(wanted: Wanted, samples: Tensor, columns: int) -> list[Block]:
    """Return the samples with what stands beside them, and the words that are asked for."""
    look, tiles = wanted.look, samples.numpy()
    # Beside the names of classes, a bare number could be taken for one.
    word = "seed " if look.labels and wanted.real is None else ""
    notes = [f"{word}{seed}" for seed in wanted.seeds] if look.numbers else []
    if look.numbers and wanted.interpolate:
        raise ConfigError("--numbers are of seeds, and most of an interpolation has none; --labels")
    drawn = "samples" if wanted.real is None else "real images"
    title = drawn if look.with_real else ""
    if look.with_nearest:
        train = wanted.trained.training_images().images
        with memory_advice("leave --with-nearest out"):
            found = nearest_pixels(samples, train)
        ground = 255 if look.light else BACKGROUND
        tiles = pair(tiles, train[found.indices].numpy(), ground)
        distances = [f"{distance:.2f}" for distance in found.distances.tolist()]
        known = [f"{seed}: " for seed in wanted.seeds] if look.numbers else [""] * len(distances)
        notes = [f"{seed}{far}" for seed, far in zip(known, distances, strict=True)]
        title = f"{drawn}, over the training image nearest to each and how far it is"
    classes = _classes_of_columns(wanted, columns) if look.labels else []
    rows = [f"{start} to {end}" for start, end in wanted.interpolate] if look.labels else []
    blocks = [Block(tiles, columns, title, notes, classes, rows)]
    if look.with_real:
        real = _real_beside(wanted, len(samples))
        blocks.append(Block(real, columns, "real images, not trained on", (), classes))
    return blocks


def _classes_of_columns(wanted: Wanted, columns: int) -> list[str]:
    """Return the class of each column, where each has one."""
    labels = wanted.labels()
    if labels is None or wanted.interpolate:
        return []
    grids = [labels[column::columns] for column in range(min(columns, len(labels)))]
    if any(len(set(column.tolist())) > 1 for column in grids) or len(set(labels.tolist())) == 1:
        return []
    return [str(column[0]) for column in grids]


def _real_beside(wanted: Wanted, count: int) -> Images:
    """Return real images that were not trained on, of the classes that the samples are of."""
    real = real_images(wanted.trained, None)
    labels = wanted.labels()
    if labels is None or real.labels is None:
        chosen = torch.arange(count)
    else:
        chosen = torch.zeros(count, dtype=torch.int64)
        for label in set(labels.tolist()):
            places = torch.from_numpy(labels == label).nonzero()[:, 0]
            known = (real.labels == label).nonzero()[:, 0]
            if not len(known):
                raise DataError(
                    f"--with-real: no image of class {label} was withheld from training; "
                    "leave the option out, or train with a larger data.holdout"
                )
            chosen[places] = known[torch.arange(len(places)) % len(known)]
    images: Images = real.images[chosen % len(real)].numpy()
    return images


def _columns(wanted: Wanted) -> int:
    """Give every class its column where seeds go through the classes in turn, and ways a row."""
    if wanted.interpolate:
        return wanted.each
    classes = wanted.trained.generator.classes if wanted.real is None else 0
    if classes and wanted.digit is None and wanted.count >= classes:
        return min(classes, 16)
    return default_columns(wanted.count)


def _write_separate(wanted: Wanted, folder: Path) -> Path:
    if wanted.trained.config.data.is_points:
        raise ConfigError("--separate writes images one by one, and these are points; leave it out")
    listed = not isinstance(wanted.seeds, range)
    if listed and len(set(wanted.seeds)) < len(wanted.seeds):
        raise ConfigError("--separate writes a file a seed, and --seeds names one twice")
    if wanted.interpolate:
        raise ConfigError("--separate takes seeds, and --interpolate has none between its two")
    files.make_folder(folder.parent)
    digits = max(6, len(str(max(wanted.seeds))))
    word = "seed" if wanted.real is None else "real"
    # What was drawn here before goes: nobody wants to judge a mixture of two generators.
    with files.atomic_folder(folder, lambda name: _OWN_NAME.fullmatch(name) is not None) as made:
        for seeds, images in wanted.portions():
            for seed, image in zip(seeds, images, strict=True):
                path = made / f"{word}-{seed:0{digits}d}.png"
                sheet = make_grid(image[None].numpy(), 1, margin=0)
                save_png(sheet, path, wanted.metadata(str(seed)))
    return folder


def _write_npz(wanted: Wanted, out: Path, _: tuple[int, int] | None) -> None:
    """Write an NPZ as numpy would, but array by array and portion by portion."""
    with files.atomic_path(out) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        points = wanted.trained.config.data.is_points
        name = "points.npy" if points else "images.npy"
        with archive.open(name, "w", force_zip64=True) as file:
            _write_array_header(file, _shape(wanted), "<f4" if points else "|u1")
            _write_samples(wanted, file)
        about = wanted.metadata(_spelled(wanted.seeds))
        arrays = {
            "labels": wanted.labels(),
            "seeds": None
            if wanted.interpolate or wanted.real
            else np.array(wanted.seeds, dtype=np.int64),
            "about": np.array(json.dumps(about)),
        }
        for name, array in arrays.items():
            if array is not None:
                with archive.open(f"{name}.npy", "w") as file:
                    np.lib.format.write_array(file, array, allow_pickle=False)


def _write_array_header(file: IO[bytes], shape: tuple[int, ...], kind: str) -> None:
    header = {"descr": kind, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _write_idx(wanted: Wanted, out: Path, _: tuple[int, int] | None) -> None:
    labels = wanted.labels()
    if labels is not None and labels.dtype != np.uint8:
        raise ConfigError(
            f"--out {out}: labels in IDX files end at {_LARGEST_BYTE}, and these go to "
            f"{labels.max()}; give a name ending in .npz"
        )
    with contextlib.ExitStack() as stack:
        paths = [out] if labels is None else [out.with_name(labels_file_name(out.name)), out]
        *labels_paths, images_path = [stack.enter_context(files.atomic_path(p)) for p in paths]
        with open(images_path, "wb") as file:
            file.write(_idx_header(_shape(wanted)))
            _write_samples(wanted, file)
        for path in labels_paths:
            assert labels is not None
            path.write_bytes(_idx_header((wanted.count,)) + labels.tobytes())
    if labels is None:  # those of images that were here before would be read as of these
        out.with_name(labels_file_name(out.name)).unlink(missing_ok=True)


def _idx_header(shape: tuple[int, ...]) -> bytes:
    return struct.pack(f">HBB{len(shape)}I", 0, 0x08, len(shape), *shape)


def _shape(wanted: Wanted) -> tuple[int, ...]:
    """Return [n, height, width], with a fourth dimension of 3 for colour; [n, 2] of points."""
    data = wanted.trained.config.data
    if data.is_points:
        return wanted.count, 2
    shape = (wanted.count, data.image_size, data.image_size)
    return shape if data.channels == 1 else (*shape, data.channels)


def _write_samples(wanted: Wanted, file: IO[bytes]) -> None:
    for _, samples in wanted.portions():
        rows = samples if samples.ndim == 2 else samples.permute(0, 2, 3, 1)
        file.write(rows.contiguous().numpy().tobytes())


def _mark(words: Sequence[object]) -> str:
    """Return what tells a list apart from others that are cut to the same words."""
    return hashlib.sha256(repr(list(words)).encode()).hexdigest()[:8]


def _spelled(seeds: Sequence[int]) -> str:
    """Spell seeds as the command line takes them, such as ``0,3-9``; long lists are cut."""
    if isinstance(seeds, range) and seeds.step == 1:
        return f"{seeds[0]}-{seeds[-1]}" if len(seeds) > 1 else str(seeds[0])
    words = [str(seed) for seed in seeds]
    if len(words) > 12:
        words = [*words[:11], f"and-{len(words) - 11}-more"]
    return ",".join(words)
