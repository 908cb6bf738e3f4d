"""A trained generator: seeds (and labels) to images."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from gancli import checkpoints, data, files
from gancli.config import RunConfig
from gancli.data import DataSplits, ImageSet
from gancli.errors import CheckpointError, ConfigError, DataError, memory_advice
from gancli.latents import latents_between, latents_of_seeds
from gancli.networks import Generator, build_generator, place
from gancli.runs import RunDirectory, Status, find_run

# Kernels may round differently for other batches, so every forward has this many rows: that is
# what makes a seed the same image, bit for bit, whatever else is drawn beside it.
BLOCK_IMAGES = 64


@dataclasses.dataclass(frozen=True)
class Trained:
    """A generator with what is known of it.

    Attributes:
        generator: ready to draw, on ``device``.
        config: the config it was trained by.
        step: how many steps it was trained.
        epoch: the same in epochs.
        checkpoint: the file it was read from.
        data_fingerprint: SHA-256 of the data it was trained on.
        run: its run, unless it was read from a file elsewhere.
    """

    generator: Generator
    config: RunConfig
    step: int
    epoch: float
    checkpoint: Path
    data_fingerprint: str
    run: RunDirectory | None

    @property
    def name(self) -> str:
        """The run's name, or that of the checkpoint file."""
        return self.run.name if self.run else self.checkpoint.stem

    @property
    def is_last(self) -> bool:
        """Whether it is what its run has come to, not one on the way there or the best."""
        return self.run is None or self.checkpoint in checkpoints.states(self.run.path)[:1]

    def splits(self) -> DataSplits:
        """Load the data it was trained on, all classes of them.

        Raises:
            DataError: they are gone, or have changed since.
        """
        wanted = self.config.data
        splits = data.load_for(dataclasses.replace(wanted, digit=None))
        if self._learned_from(splits).fingerprint() != self.data_fingerprint:
            raise DataError(
                f"{wanted.source} does not hold the data that {self.name} was trained on "
                "(the fingerprint differs); put the old data back, or train anew"
            )
        return splits

    def training_images(self) -> ImageSet:
        """Load the images it learned from.

        Raises:
            DataError: they are gone, or have changed since.
        """
        return self._learned_from(self.splits())

    def _learned_from(self, splits: DataSplits) -> ImageSet:
        digit = self.config.data.digit
        return splits.train if digit is None else splits.train.of_class(digit)

    def labels(self, seeds: Sequence[int], digit: int | None = None) -> Tensor | None:
        """Return the label each seed is drawn with: ``digit``, or the classes in turn.

        Raises:
            ConfigError: the generator takes no labels, or has no such class.
        """
        classes = self.generator.classes
        if digit is not None and not 0 <= digit < classes:
            trained_on = self.config.data.digit
            if trained_on == digit:
                return None
            draws = "all it was trained on" if trained_on is None else f"the digit {trained_on}"
            fix = f"--digit 0 to {classes - 1}" if classes else f"no --digit: it draws {draws}"
            raise ConfigError(f"{self.name} cannot draw --digit {digit} on request; give {fix}")
        if not classes:
            return None
        if digit is not None:
            return torch.full((len(seeds),), digit)
        return torch.tensor([seed % classes for seed in seeds], dtype=torch.int64)

    def labels_like(self, images: ImageSet, seeds: Sequence[int]) -> Tensor | None:
        """Return labels for seeds, int64 [n], each class as often as among some images.

        Classes in turn, as in a sheet of samples, would put a perfect generator of uneven classes
        far from its data. Where it is told no class, or of the images none is known: None.
        """
        if not self.generator.classes or images.labels is None:
            return None
        count = len(images)
        mixed = torch.randperm(count, generator=torch.Generator().manual_seed(0))
        return images.labels[mixed[torch.tensor(seeds) % count]]

    def sample(
        self,
        seeds: Sequence[int],
        *,
        digit: int | None = None,
        labels: Tensor | None = None,
        truncation: float = 1.0,
    ) -> Tensor:
        """Draw the images of seeds: uint8 [n, channels, size, size], or points float32 [n, 2].

        Args:
            seeds: each from 0 to 2**63 - 1; a seed always gives the same image.
            digit: the class to draw, of a conditional generator.
            labels: int64 [n], the class of each instead.
            truncation: latents are multiplied by this; below 1 is safer and more alike.
        """
        latents = latents_of_seeds(seeds, self.config.latent) * truncation
        if labels is None:
            labels = self.labels(seeds, digit)
        return draw(self.generator, latents, labels, self.config)

    def stream(
        self, seeds: Sequence[int], *, digit: int | None = None, truncation: float = 1.0
    ) -> Iterator[tuple[Sequence[int], Tensor]]:
        """Yield the same as :meth:`sample` in portions, so that memory stays bounded."""
        portion = 16 * BLOCK_IMAGES
        for start in range(0, len(seeds), portion):
            chosen = seeds[start : start + portion]
            yield chosen, self.sample(chosen, digit=digit, truncation=truncation)

    def interpolate(
        self, start: int, end: int, count: int, *, digit: int | None = None, truncation: float = 1.0
    ) -> Tensor:
        """Draw ``count`` images on the way from one seed to another, ends included."""
        first, last = latents_of_seeds([start, end], self.config.latent) * truncation
        fraction = torch.linspace(0, 1, count)
        latents = latents_between(first, last, fraction, self.config.latent)
        # One class all the way: an interpolation is between latents, not between labels.
        labels = self.labels([start], digit)
        return draw(
            self.generator, latents, None if labels is None else labels.repeat(count), self.config
        )


def load(
    name: str | Path | None = None,
    *,
    runs_dir: str | Path = "checkpoints",
    device: str = "cpu",
    weights: str = "last",
) -> Trained:
    """Load the generator of a run, by name or path, or of one checkpoint file.

    Args:
        name: a run's name or folder, or a ``.safetensors`` file; None is the newest run.
        runs_dir: where runs are looked for by name.
        device: a torch device.
        weights: ``last``, or ``best`` by a run's quick scores.

    Raises:
        CheckpointError: no such run, none of its checkpoints is whole, or weights are no numbers.
        StorageError: the device has no memory left.
    """
    if name is not None and str(name).endswith(".safetensors"):
        path = files.user_path(name)
        folder = path.parent.parent if path.parent.name == "snapshots" else path.parent
        run = RunDirectory(folder)
        return _trained(checkpoints.load(path), run if run.exists() else None, device)
    run = find_run(None if name is None else str(name), Path(runs_dir))
    if weights == "best":
        path = checkpoints.best_path(run.path)
        if not path.exists():
            raise CheckpointError(
                f"{run.path} has no best weights: it was trained without quick scores; start it "
                "with --score-every 1, or take --weights last"
            )
        return _trained(checkpoints.load(path), run, device)
    failure: CheckpointError | None = None
    for path in checkpoints.states(run.path):
        try:
            return _trained(checkpoints.load(path), run, device)
        except CheckpointError as error:
            failure = failure or error
    if failure is not None:
        kept = checkpoints.snapshots(run.path)
        way = f"take {kept[-1]}, which was kept" if kept else run.remedy()
        raise CheckpointError(f"{failure}; {way}") from failure
    finished = run.status() is Status.FINISHED
    if finished and (unvouched := checkpoints.unvouched(run.path)) is not None:
        return _trained(checkpoints.load(unvouched), run, device)  # which says what it lacks
    lacks = "has lost its checkpoints" if finished else "has no checkpoint yet"
    raise CheckpointError(f"{run.path} {lacks}; {run.remedy()}")


def _trained(checkpoint: checkpoints.Checkpoint, run: RunDirectory | None, device: str) -> Trained:
    tensors = checkpoint.tensors
    if checkpoint.kind == "state":
        average = checkpoints.part(tensors, "average.")
        tensors = average or checkpoints.part(tensors, "generator.")
    try:
        with torch.device("meta"):
            expected = build_generator(checkpoint.config).state_dict()
        checkpoints.check_tensors(expected, tensors, checkpoint.path)
        generator = build_generator(checkpoint.config)
    except ConfigError as error:
        raise CheckpointError(f"{checkpoint.path}: {error}") from error
    checkpoints.check_finite(tensors, checkpoint.path)
    with memory_advice("free some of the device's, or take --device cpu"):
        place(generator, device)
    generator.load_state_dict(tensors)
    return Trained(
        generator.eval().requires_grad_(False),
        checkpoint.config,
        checkpoint.step,
        checkpoint.epoch,
        checkpoint.path,
        checkpoint.data_fingerprint,
        run,
    )


@torch.inference_mode()
def draw(generator: Generator, latents: Tensor, labels: Tensor | None, config: RunConfig) -> Tensor:
    """Draw latents [n, size] on the CPU: uint8 [n, channels, size, size], or points float32 [n, 2].

    Labels are of either kind that the generator takes. It is used in evaluation mode and left in
    the mode it was in.
    """
    device = next(generator.parameters()).device
    points, samples = config.data.is_points, []
    was_training = generator.training
    generator.eval()
    for start in range(0, len(latents), BLOCK_IMAGES):
        rows = latents[start : start + BLOCK_IMAGES]
        block = torch.zeros(BLOCK_IMAGES, latents.shape[1])
        block[: len(rows)] = rows
        block_labels = None
        if labels is not None:
            block_labels = torch.zeros(BLOCK_IMAGES, *labels.shape[1:], dtype=labels.dtype)
            block_labels[: len(rows)] = labels[start : start + BLOCK_IMAGES]
            block_labels = block_labels.to(device)
        drawn = generator(block.to(device), block_labels)[: len(rows)]
        samples.append(drawn.cpu() if points else to_pixels(drawn, config.data.pixel_range).cpu())
    generator.train(was_training)
    if samples:
        return torch.cat(samples)
    dtype = torch.float32 if points else torch.uint8
    return torch.empty(0, *generator.sample_shape, dtype=dtype)


def to_pixels(images: Tensor, pixel_range: str) -> Tensor:
    """Turn what networks draw into uint8, 0 to 255."""
    scaled = {
        "signed": lambda: (images + 1) * 127.5,
        "unit": lambda: images * 255,
        "raw": lambda: images,
    }[pixel_range]()
    return scaled.round().clamp(0, 255).to(torch.uint8)


def from_pixels(images: Tensor, pixel_range: str) -> Tensor:
    """Turn uint8 images into what networks see: float32 in the pixel range; points stay."""
    if images.is_floating_point():
        return images
    pixels = images.float()
    if pixel_range == "signed":
        return pixels.div_(127.5).sub_(1)
    return pixels.div_(255) if pixel_range == "unit" else pixels
