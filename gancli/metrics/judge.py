"""Judges: small classifiers that tell which class a picture shows.

The one that ships knows digits and was trained on the MNIST training split alone
(bench/train_judge.py makes it); `gancli judge` trains others on other data. A judge also gives the
features that the Frechet distance is taken in: such distances carry its name and must not be
compared with published Inception distances, nor with those of another judge.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from gancli import checkpoints, files
from gancli.data import DataSplits, ImageSet
from gancli.data.catalogue import cache_folder
from gancli.errors import CheckpointError

WEIGHTS = Path(__file__).with_name("judge.safetensors")
SIDE = 28
FEATURES = 64
CLASSES = 10
# Below, the last convolution would have no pixel left.
SMALLEST_SIDE = 12
# One block size for all callers: the same image then meets the same arithmetic.
BLOCK = 250
# Data are digits when the shipped judge calls this share of real images by their labels. A guess
# would be right on a tenth of them; it is right on 99 % of MNIST's.
DIGITS_SHARE = 0.8
_ASKED = 1_000


class Judge(nn.Module):
    """A convolutional classifier of square images with 64 features before its last layer.

    Args:
        classes: how many it tells apart.
        channels: 1 for grey, 3 for colour.
        side: height and width of what it sees, a multiple of 4 and at least 12.
    """

    def __init__(self, classes: int = CLASSES, channels: int = 1, side: int = SIDE) -> None:
        super().__init__()
        self.classes, self.channels, self.side = classes, channels, side
        self.body = nn.Sequential(
            *_convolution(channels, 16, stride=1, padding=1),
            *_convolution(16, 32, stride=2, padding=1),
            *_convolution(32, 64, stride=1, padding=1),
            *_convolution(64, 64, stride=2, padding=1),
            *_convolution(64, 80, stride=1, padding=0),
            nn.Flatten(),
            nn.Dropout(0.2),
            # No activation after it: clipped features would have a singular covariance.
            nn.Linear(80 * (side // 4 - 2) ** 2, FEATURES),
        )
        self.head = nn.Sequential(nn.LeakyReLU(0.1), nn.Linear(FEATURES, classes))
        # Twice as fast on a CPU; torch's own types do not know this use of `to`.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def of(cls, data: ImageSet, classes: int) -> Judge:
        """Return an untrained judge of the colour and size of some images."""
        channels, height, width = data.images.shape[1:]
        side = max(SMALLEST_SIDE, 4 * math.ceil(max(height, width) / 4))
        return cls(classes, channels, side)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Judge images.

        Args:
            images: float32 [n, channels, side, side], 0 (background) to 1 (ink).

        Returns:
            The features [n, 64] and the logits [n, classes], both float32.
        """
        features: Tensor = self.body(images)
        return features, self.head(features)

    def prepared(self, images: Tensor) -> Tensor:
        """Bring uint8 images of any size and colour to what the judge is trained on."""
        prepared = images.float() / 255
        if images.shape[1] == 3 and self.channels == 1:
            luma = torch.tensor([0.299, 0.587, 0.114])  # ITU-R BT.601, as in every "L" picture
            prepared = (prepared * luma.view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
        prepared = prepared.expand(-1, self.channels, -1, -1)
        if tuple(images.shape[2:]) != (self.side, self.side):
            prepared = interpolate(
                prepared, (self.side, self.side), mode="bilinear", antialias=True
            )
        return prepared.contiguous(memory_format=torch.channels_last)


def _convolution(inputs: int, outputs: int, stride: int, padding: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, 3, stride, padding, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]


@dataclasses.dataclass(frozen=True)
class Judged:
    """What a judge says of n images.

    Attributes:
        features: float64 [n, 64], before the last activation, in no physical unit.
        probabilities: float64 [n, classes], each row adding up to 1.
    """

    features: Tensor
    probabilities: Tensor

    @property
    def classes(self) -> Tensor:
        """The most probable class of each image, int64 [n]."""
        return self.probabilities.argmax(dim=1)


def judged(images: Tensor, judge: Judge | None = None) -> Judged:
    """Show images to a judge.

    Args:
        images: uint8 [n, channels, height, width], 0 to 255, light ink on a dark ground. Colour
            is turned to grey and other sizes to the judge's first.
        judge: the one that ships by default.
    """
    judge = judge or load_judge()
    features, probabilities = [], []
    with torch.inference_mode():
        for block in torch.split(images, BLOCK):
            block_features, logits = judge(judge.prepared(block))
            features.append(block_features.double())
            probabilities.append(logits.double().softmax(dim=1))
        return Judged(torch.cat(features), torch.cat(probabilities))


@functools.lru_cache(maxsize=1)
def load_judge() -> Judge:
    """Return the shipped judge, ready to judge: in evaluation mode, on the CPU, frozen.

    Raises:
        CheckpointError: the weights are missing or differ from their checksum.
    """
    return read_judge(WEIGHTS)


def read_judge(weights: Path) -> Judge:
    """Read a judge that :func:`write_judge` wrote, ready to judge.

    Raises:
        CheckpointError: the weights are missing, differ from their checksum, or are no judge's.
    """
    try:
        tensors = safetensors.torch.load(_verified(weights))
        channels = tensors["body.0.weight"].shape[1]
        side = 4 * (math.isqrt(tensors["body.17.weight"].shape[1] // 80) + 2)
        classes = len(tensors["head.1.weight"])
        # The initial weights, drawn and thrown away, must not move a training's random state.
        with torch.random.fork_rng(devices=[]):
            judge = Judge(classes, channels, side)
        judge.load_state_dict(tensors)
    except (safetensors.SafetensorError, KeyError, IndexError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{weights} holds no judge; {_remedy(weights)}") from error
    checkpoints.check_finite(tensors, weights)
    return judge.eval().requires_grad_(False)


def write_judge(judge: Judge, weights: Path) -> str:
    """Write a judge's weights, then their checksum beside them, and return the checksum.

    Raises:
        StorageError: they cannot be written.
    """
    # safetensors knows no channels_last.
    tensors = {name: value.contiguous() for name, value in judge.state_dict().items()}
    content = safetensors.torch.save(tensors)
    return files.write_with_checksum(weights, content)


def judge_sha256(weights: Path = WEIGHTS) -> str:
    """Return the SHA-256 of a judge's weights, in hexadecimal: numbers of one judge compare.

    Raises:
        CheckpointError: the weights are missing or differ from their checksum.
    """
    return hashlib.sha256(_verified(weights)).hexdigest()


def _verified(weights: Path) -> bytes:
    """Return the bytes of a weights file after a look at the checksum beside it."""
    try:
        content = weights.read_bytes()
        whole = files.has_checksum(weights, content)
    except OSError as error:
        raise CheckpointError(
            f"the judge's weights cannot be read ({error.strerror}: {error.filename}); "
            f"{_remedy(weights)}"
        ) from error
    if not whole:
        raise CheckpointError(f"{weights} does not match its checksum; {_remedy(weights)}")
    return content


def _remedy(weights: Path) -> str:
    if weights == WEIGHTS:
        return "install gancli again"
    return "train one: gancli judge --network cnn"


def trained_path(train: ImageSet) -> Path:
    """Return where the judge that `gancli judge` trained on these very images is kept."""
    return cache_folder() / "judges" / f"{train.fingerprint()}.safetensors"


@dataclasses.dataclass(frozen=True)
class Appointed:
    """The judge of a data set.

    Attributes:
        judge: ready to judge.
        sha256: of its weights.
        knows_classes: whether its classes are the data's; else its features alone say something.
        words: which it is, and how often it is right on real images.
    """

    judge: Judge
    sha256: str
    knows_classes: bool
    words: str


def appoint(splits: DataSplits, weights: Path | None = None) -> Appointed:
    """Choose who judges generators of a data set.

    Digits are judged by the shipped judge: data of ten classes are digits when it calls 80 % of
    1,000 random real images by their labels. Other data with labels are judged by the judge that
    was trained on them, if there is one. Else the shipped judge gives its features alone.

    Args:
        splits: the data, all classes of them.
        weights: of a judge to be taken whatever the rule says.

    Raises:
        CheckpointError: weights are damaged or missing, or of a judge of other classes.
    """
    if weights is not None:
        return _trained(weights, splits)
    right = _share_right(load_judge(), splits)
    colour = ", without their colours" if splits.train.images.shape[1] == 3 else ""
    if right >= DIGITS_SHARE:
        words = f"the digit judge that ships, right on {right:.1%} of real images{colour}"
        return Appointed(load_judge(), judge_sha256(), True, words)
    if splits.classes and (kept := trained_path(splits.train)).is_file():
        return _trained(kept, splits)
    words = "features of the digit judge that ships, which does not know what these data show"
    words += colour
    return Appointed(load_judge(), judge_sha256(), False, words)


def _trained(weights: Path, splits: DataSplits) -> Appointed:
    judge = read_judge(weights)
    if splits.classes not in (0, judge.classes):
        raise CheckpointError(
            f"{weights} tells {judge.classes} classes apart, and the data have {splits.classes}; "
            f"{_remedy(weights)}"
        )
    words = f"the judge in {weights}"
    if splits.classes:
        words += f", right on {_share_right(judge, splits):.1%} of real images"
    return Appointed(judge, judge_sha256(weights), splits.classes > 0, words)


def _share_right(judge: Judge, splits: DataSplits) -> float:
    """Return the share of random real images, unseen ones if there are, called by their labels."""
    for real in (splits.test, splits.holdout, splits.train):
        if real is not None and real.labels is not None and splits.classes == judge.classes:
            generator = torch.Generator().manual_seed(0)
            asked = torch.randperm(len(real), generator=generator)[:_ASKED]
            hits = judged(real.images[asked], judge).classes == real.labels[asked]
            return float(hits.double().mean())
    return 0.0
