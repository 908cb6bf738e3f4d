"""StackedMNIST: three random digits as the channels of a colour image, a thousand modes.

After Metz et al., "Unrolled Generative Adversarial Networks" (2017). Published tests learn from
60,000 such images or more; here they are as many as MNIST has digits, so that each digit comes
about three times: 141 MB, made in half a second. The rarest mode, 555, has about 44 of them.
"""

from __future__ import annotations

import torch
from torch import Tensor

CHANNELS = 3
DIGITS = 10
MODES = DIGITS**CHANNELS
# The seeds are 0 for the training split and 1 for the test split, as of other made data.
TRAIN_IMAGES = 60_000
TEST_IMAGES = 10_000


def stack(images: Tensor, labels: Tensor, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Put random digits into the channels of colour images, each digit drawn independently.

    Args:
        images: uint8 [n, 1, height, width], the digits to draw from.
        labels: int64 [n], 0 to 9.
        count: how many images to make.
        seed: of the draw, with putting back.

    Returns:
        uint8 [count, 3, height, width] and the modes, int64 [count], as :func:`modes_of` numbers
        them.
    """
    chosen = torch.randint(
        len(images), (count, CHANNELS), generator=torch.Generator().manual_seed(seed)
    )
    return images[chosen, 0], modes_of(labels[chosen])


def modes_of(digits: Tensor) -> Tensor:
    """Return the mode of three digits, int64 [n, 3] to int64 [n]: red 4, green 0, blue 7 is 407."""
    return (digits * torch.tensor([100, 10, 1])).sum(dim=1)
