"""What a page shows, as plain data; the template turns it into HTML and knows nothing else."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping
from typing import Any

_WIDE = 600  # CSS pixels that no picture but one of large pixels is enlarged beyond


@dataclasses.dataclass(frozen=True)
class Missing:
    """A part that a run has nothing for yet.

    Attributes:
        sentence: what is missing.
        commands: those that make it.
    """

    sentence: str
    commands: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Picture:
    """A PNG inside the page.

    Attributes:
        png: the file's content.
        width: of it, in its own pixels.
        height: the same.
        alt: what is to be seen, for those who cannot see it.
    """

    png: bytes
    width: int
    height: int
    alt: str

    @property
    def base64(self) -> str:
        """The content as letters."""
        return base64.b64encode(self.png).decode()

    @property
    def source(self) -> str:
        """The content as the address of an image."""
        return f"data:image/png;base64,{self.base64}"

    @property
    def scale(self) -> int:
        """CSS pixels to a pixel, so that pixels stay squares where there is room."""
        return max(1, _WIDE // self.width)


@dataclasses.dataclass(frozen=True)
class Frame:
    """A frame of a film.

    Attributes:
        epoch: after which it was drawn.
        words: epoch, losses and the score last logged before it.
        picture: the frame.
    """

    epoch: float
    words: str
    picture: Picture


@dataclasses.dataclass(frozen=True)
class Film:
    """Frames in the order of their epochs.

    Attributes:
        frames: at least one; the last is the run's last.
        total: how many frames the run has.
        note: which of the frames and of their tiles these are, in words; empty for all.
    """

    frames: tuple[Frame, ...]
    total: int
    note: str

    @property
    def data(self) -> dict[str, Any]:
        """What the page's script plays."""
        return {
            "epochs": [frame.epoch for frame in self.frames],
            "words": [frame.words for frame in self.frames],
            "pngs": [frame.picture.base64 for frame in self.frames],
        }


@dataclasses.dataclass(frozen=True)
class Tick:
    """A mark on an axis: where it stands, in units of the drawing, and what it says."""

    at: float
    label: str


@dataclasses.dataclass(frozen=True)
class Series:
    """A curve.

    Attributes:
        name: what it is.
        role: names its colour: ``generator``, ``discriminator``, ``real``, ``fake``.
        dashed: told apart by more than its colour.
        path: of the line, as SVG writes it.
        band: of the area around it; empty for none.
        spelled: the value at every point of the chart's axis; a dash where there is none.
        dots: points to be marked, where there are few.
    """

    name: str
    role: str
    dashed: bool
    path: str
    band: str
    spelled: tuple[str, ...]
    dots: tuple[tuple[float, float], ...]


@dataclasses.dataclass(frozen=True)
class Chart:
    """Curves over the epochs.

    Attributes:
        title: what they are of.
        note: how to read them; may be empty.
        width: of the drawing; the template draws in these units.
        height: the same.
        left: where the field of the curves begins, from the left.
        right: where it ends.
        top: where it begins, from above.
        bottom: where it ends.
        first: the epoch at the field's left edge.
        last: the epoch at its right edge.
        series: the curves.
        x_ticks: epochs.
        y_ticks: values.
        level: where a dashed line stands across, from above; None for none.
        at: of each point on the axis, where it stands from the left.
        epochs: of each point, spelled.
        words: what the curves do, for those who cannot see them.
    """

    title: str
    note: str
    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    first: float
    last: float
    series: tuple[Series, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    level: float | None
    at: tuple[float, ...]
    epochs: tuple[str, ...]
    words: str

    @property
    def data(self) -> dict[str, Any]:
        """What the page's script shows at the pointer."""
        return {
            "first": self.first,
            "last": self.last,
            "left": self.left,
            "right": self.right,
            "at": self.at,
            "epochs": self.epochs,
            "values": [series.spelled for series in self.series],
        }


@dataclasses.dataclass(frozen=True)
class Score:
    """A row of the score card.

    Attributes:
        name: of the figure.
        better: which way is better, in words.
        value: of the fakes, spelled, and its 95 % interval.
        interval: the ends of the latter.
        real: the same figure of real images.
        real_interval: and its interval.
        protocol: how it was taken.
    """

    name: str
    better: str
    value: str
    interval: str
    real: str
    real_interval: str
    protocol: str


@dataclasses.dataclass(frozen=True)
class ScoreCard:
    """What ``gancli evaluate`` found.

    Attributes:
        words: of how many samples, by which judge, at which step.
        stale: says that the run was trained further since; empty where it was not.
        scores: the figures, in the order to be read.
        shares: those of the classes, which are many and small.
    """

    words: str
    stale: str
    scores: tuple[Score, ...]
    shares: tuple[Score, ...]


@dataclasses.dataclass(frozen=True)
class Finding:
    """What the doctor found.

    Attributes:
        severity: ``failure``, ``warning`` or ``note``.
        name: a few words.
        since: the epoch, spelled.
        evidence: what in the log shows it.
        remedy: the options that change it; may be empty.
    """

    severity: str
    name: str
    since: str
    evidence: str
    remedy: str


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The doctor's opinion: ``healthy`` or the worst severity, a headline, and all findings."""

    severity: str
    headline: str
    findings: tuple[Finding, ...]


@dataclasses.dataclass(frozen=True)
class Neighbour:
    """A sample above the training image nearest to it, and how far they are apart."""

    seed: int
    distance: str
    picture: Picture


@dataclasses.dataclass(frozen=True)
class Neighbours:
    """Samples with their nearest training images.

    Attributes:
        pairs: of the first seeds.
        among: of how many training images the nearest was looked for.
        closest: the picture that ``gancli evaluate`` drew of the closest pairs of all; None
            where it did not, or before the run was trained further.
    """

    pairs: tuple[Neighbour, ...]
    among: int
    closest: Picture | None


@dataclasses.dataclass(frozen=True)
class Layer:
    """A box of a network's diagram: a layer, those that follow without weights, shape, weights."""

    name: str
    followers: str
    shape: str
    weights: str


@dataclasses.dataclass(frozen=True)
class Wire:
    """A weight, drawn as a line from one neuron to another, in units of the drawing."""

    x1: float
    y1: float
    x2: float
    y2: float
    width: float
    positive: bool
    words: str


@dataclasses.dataclass(frozen=True)
class Neuron:
    """A neuron, in units of the drawing, and its bias, spelled; empty for an input."""

    x: float
    y: float
    bias: str


@dataclasses.dataclass(frozen=True)
class Wiring:
    """A network of few neurons, every weight a line."""

    width: int
    height: int
    wires: tuple[Wire, ...]
    neurons: tuple[Neuron, ...]


@dataclasses.dataclass(frozen=True)
class Network:
    """A network's diagram.

    Attributes:
        name: ``Generator`` or ``Discriminator``.
        role: names its colour.
        weights: how many numbers it learns, spelled.
        entry: what goes in.
        layers: boxes from the first to the last.
        wiring: its neurons, where they are few enough to be drawn.
    """

    name: str
    role: str
    weights: str
    entry: str
    layers: tuple[Layer, ...]
    wiring: Wiring | None


@dataclasses.dataclass(frozen=True)
class Run:
    """All that a page shows of one run.

    Attributes:
        name: the run's.
        headline: its recipe's idea in a few words; may be empty.
        state: where it stands, in a sentence.
        facts: what was run, as names and values.
        provenance: what it was run with: versions, device, fingerprint of the data.
        given: the command that trained it; empty where it was not recorded.
        repeat: the command that repeats it anywhere.
        toml: the resolved config.
        verdict: the doctor's.
        film: its frames.
        curves: losses and accuracies.
        quality: the course of quick scores and of kept generators.
        scores: its score card.
        samples: a grid.
        samples_words: which samples these are.
        neighbours: None for points in the plane.
        networks: both of them.
    """

    name: str
    headline: str
    state: str
    facts: Mapping[str, str]
    provenance: Mapping[str, str]
    given: str
    repeat: str
    toml: str
    verdict: Verdict
    film: Film | Missing
    curves: tuple[Chart, ...] | Missing
    quality: tuple[Chart, ...] | Missing
    scores: ScoreCard | Missing
    samples: Picture | Missing
    samples_words: str
    neighbours: Neighbours | Missing | None
    networks: tuple[Network, ...]

    @property
    def toml_source(self) -> str:
        """The config as the address of a file."""
        return f"data:application/toml;base64,{base64.b64encode(self.toml.encode()).decode()}"


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the comparison.

    Attributes:
        name: of the figure or setting.
        cells: one a run, spelled.
        best: whether each is the best of its row.
        real: the same figure of real images; empty where there is none.
    """

    name: str
    cells: tuple[str, ...]
    best: tuple[bool, ...]
    real: str


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of figures under columns of runs, or of groups of runs."""

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def has_real(self) -> bool:
        """Whether a row has a figure of real images."""
        return any(row.real for row in self.rows)


@dataclasses.dataclass(frozen=True)
class Page:
    """A report.

    Attributes:
        title: of the page.
        version: of gancli.
        runs: one or more.
        tables: that compare them; none for one run.
    """

    title: str
    version: str
    runs: tuple[Run, ...]
    tables: tuple[Table, ...]

    @property
    def has_films(self) -> bool:
        """Whether films can stand side by side."""
        return sum(isinstance(run.film, Film) for run in self.runs) > 1
