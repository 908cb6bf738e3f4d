"""A folder of pictures as training data: any size, any mode, classes by subfolder if there are."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from gancli.errors import DataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm"})


def read_folder(
    folder: Path, image_size: int, channels: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64] | None, list[str]]:
    """Read every picture of a folder, or of its subfolders as classes.

    Returns:
        Images uint8 [n, channels, image_size, image_size]; labels int64 [n], or None when the
        pictures lie in the folder itself; the names of the classes in label order, which is that
        of the names, by number where all are numbers.

    Raises:
        DataError: no pictures, or one that cannot be read (it is named).
    """
    classes = [entry for entry in list_folder(folder) if entry.is_dir() and _pictures(entry)]
    if all(entry.name.isdecimal() for entry in classes):
        classes.sort(key=lambda entry: int(entry.name))
    paths = _pictures(folder)
    if paths and classes:
        raise DataError(
            f"{folder} holds pictures both beside and inside subfolders; "
            "use subfolders as classes for all of them, or for none"
        )
    labelled = [(path, label) for label, entry in enumerate(classes) for path in _pictures(entry)]
    if not paths and not labelled:
        raise DataError(f"{folder} holds no pictures ({', '.join(sorted(SUFFIXES))})")
    paths = paths or [path for path, _ in labelled]
    pictures = [_read_picture(path, image_size, channels) for path in paths]
    images = np.ascontiguousarray(np.stack(pictures))  # a stack of views keeps their layout
    labels = np.array([label for _, label in labelled], dtype=np.int64) if labelled else None
    return images, labels, [entry.name for entry in classes]


def lacks_classes(folder: Path) -> bool:
    """Tell whether pictures lie in a folder itself: there are no labels to learn then.

    Raises:
        DataError: it cannot be read.
    """
    return bool(_pictures(folder))


def list_folder(folder: Path) -> list[Path]:
    """Return what lies in a folder, in order of name.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"cannot read {folder}: {error.strerror or error}") from error


def _pictures(folder: Path) -> list[Path]:
    return [path for path in list_folder(folder) if path.suffix.lower() in SUFFIXES]


def _read_picture(path: Path, image_size: int, channels: int) -> npt.NDArray[np.uint8]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as file:
                file.load()
                _check_range(file)
                ImageOps.exif_transpose(file, in_place=True)
                picture: Image.Image = file
                if picture.mode.startswith("I"):  # 16 bits a pixel: Pillow would clip, not scale
                    deep = np.asarray(picture, dtype=np.float64)
                    picture = Image.fromarray((deep / 257).round().clip(0, 255).astype(np.uint8))
                elif picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
                    clear = picture.convert("RGBA")
                    black = Image.new("RGBA", clear.size, "black")
                    picture = Image.alpha_composite(black, clear)
                converted = picture.convert("L" if channels == 1 else "RGB")
                if converted.size != (image_size, image_size):
                    converted = converted.resize((image_size, image_size), Image.Resampling.BOX)
    except MemoryError:
        raise
    except Exception as error:  # a decoder fed with garbage may raise anything
        raise DataError(f"cannot read the picture {path}: {error}") from error
    pixels = np.asarray(converted, dtype=np.uint8).reshape(image_size, image_size, channels)
    return pixels.transpose(2, 0, 1)


def _check_range(file: Image.Image) -> None:
    """Refuse fractions, and 32 bits that no format promises to be 16."""
    if file.mode == "F" or (file.mode == "I" and file.format not in ("PNG", "PPM")):
        raise ValueError("nothing says which of its numbers is white; save it with 8 or 16 bits")
