"""The judge: a small digit classifier, trained on the MNIST training split alone.

It tells which digit a picture shows and gives the features that the Frechet distance is taken
in. It is ours (bench/train_judge.py makes it), so its distances carry its name and must not be
compared with published Inception distances.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from gancli.errors import CheckpointError

WEIGHTS = Path(__file__).with_name("judge.safetensors")
SIDE = 28
FEATURES = 64
CLASSES = 10
# One block size for all callers: the same image then meets the same arithmetic.
BLOCK = 250


class Judge(nn.Module):
    """A convolutional classifier of 28x28 grey digits with 64 features before its last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_convolution(1, 16, stride=1, padding=1),
            *_convolution(16, 32, stride=2, padding=1),
            *_convolution(32, 64, stride=1, padding=1),
            *_convolution(64, 64, stride=2, padding=1),
            *_convolution(64, 80, stride=1, padding=0),
            nn.Flatten(),
            nn.Dropout(0.2),
            # No activation after it: clipped features would have a singular covariance.
            nn.Linear(80 * 5 * 5, FEATURES),
        )
        self.head = nn.Sequential(nn.LeakyReLU(0.1), nn.Linear(FEATURES, CLASSES))
        # Twice as fast on a CPU; torch's own types do not know this use of `to`.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Judge images.

        Args:
            images: float32 [n, 1, 28, 28], 0 (background) to 1 (ink).

        Returns:
            The features [n, 64] and the logits [n, 10], both float32.
        """
        features: Tensor = self.body(images)
        return features, self.head(features)


def _convolution(inputs: int, outputs: int, stride: int, padding: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, 3, stride, padding, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]


@dataclasses.dataclass(frozen=True)
class Judged:
    """What the judge says of n images.

    Attributes:
        features: float64 [n, 64], before the last activation, in no physical unit.
        probabilities: float64 [n, 10], each row adding up to 1.
    """

    features: Tensor
    probabilities: Tensor

    @property
    def digits(self) -> Tensor:
        """The most probable digit of each image, int64 [n], 0 to 9."""
        return self.probabilities.argmax(dim=1)


def judged(images: Tensor) -> Judged:
    """Show images to the judge.

    Args:
        images: uint8 [n, channels, height, width], 0 to 255, light ink on a dark ground. Colour
            is turned to grey and other sizes to 28x28 first.
    """
    judge = load_judge()
    features, probabilities = [], []
    with torch.inference_mode():
        for block in torch.split(images, BLOCK):
            block_features, logits = judge(_prepared(block))
            features.append(block_features.double())
            probabilities.append(logits.double().softmax(dim=1))
        return Judged(torch.cat(features), torch.cat(probabilities))


def _prepared(images: Tensor) -> Tensor:
    """Bring uint8 images of any size and colour to what the judge was trained on."""
    prepared = images.float() / 255
    if images.shape[1] == 3:
        luma = torch.tensor([0.299, 0.587, 0.114])  # ITU-R BT.601, as in every "L" picture
        prepared = (prepared * luma.view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    if tuple(images.shape[2:]) != (SIDE, SIDE):
        prepared = interpolate(prepared, (SIDE, SIDE), mode="bilinear", antialias=True)
    return prepared.contiguous(memory_format=torch.channels_last)


@functools.lru_cache(maxsize=1)
def load_judge(weights: Path = WEIGHTS) -> Judge:
    """Return the shipped judge, ready to judge: in evaluation mode, on the CPU, frozen.

    Raises:
        CheckpointError: the weights are missing or differ from their checksum.
    """
    # The initial weights, drawn and thrown away, must not move a training run's random state.
    with torch.random.fork_rng(devices=[]):
        judge = Judge()
    judge.load_state_dict(safetensors.torch.load(_verified(weights)))
    return judge.eval().requires_grad_(False)


def judge_sha256() -> str:
    """Return the SHA-256 of the shipped weights, in hexadecimal: numbers of one judge compare.

    Raises:
        CheckpointError: the weights are missing or differ from their checksum.
    """
    return hashlib.sha256(_verified(WEIGHTS)).hexdigest()


def _verified(weights: Path) -> bytes:
    """Return the bytes of a weights file after a look at the checksum beside it."""
    try:
        content = weights.read_bytes()
        expected = checksum_path(weights).read_text(encoding="ascii").strip()
    except OSError as error:
        raise CheckpointError(
            f"the judge's weights cannot be read ({error.strerror}: {error.filename}); "
            "install gancli again"
        ) from error
    if hashlib.sha256(content).hexdigest() != expected:
        raise CheckpointError(f"{weights} does not match its checksum; install gancli again")
    return content


def checksum_path(weights: Path) -> Path:
    """Return where the SHA-256 of a weights file is kept: beside it."""
    return weights.with_name(f"{weights.name}.sha256")
