"""How tests read SVG figures: their words, their lines and the pictures inside."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
from PIL import Image

_SVG, _LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"


def texts(path: Path) -> list[str]:
    """Return what a person reads in a figure; it must be well-formed XML."""
    root = ElementTree.parse(path).getroot()
    assert root.tag == f"{_SVG}svg"
    return ["".join(node.itertext()) for node in root.iter(f"{_SVG}text")]


def lines(path: Path, colour: str) -> int:
    """Count the lines of a colour."""
    return len(re.findall(rf"stroke: {colour}", path.read_text(), re.IGNORECASE))


def dots(path: Path) -> list[str]:
    """Return the colours of the dots of all scatters in the order they are drawn."""
    root = ElementTree.parse(path).getroot()
    groups = [g for g in root.iter(f"{_SVG}g") if g.get("id", "").startswith("PathCollection")]
    styles = [use.get("style", "") for group in groups for use in group.iter(f"{_SVG}use")]
    found = [re.search(r"fill: (#\w{6})", style) for style in styles]
    return [match[1] if match else "#000000" for match in found]  # black is SVG's own default


def pictures(path: Path) -> list[npt.NDArray[np.uint8]]:
    """Return the embedded pictures, grey, in the order they are drawn."""
    found = []
    for node in ElementTree.parse(path).getroot().iter(f"{_SVG}image"):
        content = base64.b64decode(node.attrib[f"{_LINK}href"].partition("base64,")[2])
        picture = Image.open(io.BytesIO(content)).convert("L")
        # matplotlib stores them bottom up, with a transform that turns them over.
        upside_down = "matrix(1 0 0 -1" in node.get("transform", "") or "scale(1 -1)" in node.get(
            "transform", ""
        )
        found.append(np.asarray(picture)[:: -1 if upside_down else 1])
    return found


def cells(picture: npt.NDArray[np.uint8], rows: int, columns: int) -> npt.NDArray[np.uint8]:
    """Return the pixel in the middle of each cell of a picture: uint8 [rows, columns]."""
    height, width = picture.shape
    down = ((np.arange(rows) + 0.5) * height / rows).astype(int)
    across = ((np.arange(columns) + 0.5) * width / columns).astype(int)
    return picture[np.ix_(down, across)]
