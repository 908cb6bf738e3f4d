"""Changes of images that D sees and G feels, so that few images are not learned by heart."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad


def shifted(images: Tensor, shifts: Tensor, reach: int, background: float) -> Tensor:
    """Move each image by whole pixels; what comes in from outside is background.

    A translation as in Zhao et al. (2020), *Differentiable Augmentation for Data-Efficient GAN
    Training*: applied to real and generated images alike, and differentiable, D cannot know images
    by their place, and G need not draw them moved.

    Args:
        images: [n, channels, height, width].
        shifts: int64 [n, 2], down and to the right.
        reach: the most pixels of a shift; told, for an accelerator is not to be waited for.
        background: the pixel's value outside.

    Returns:
        In the shape of the images.
    """
    n, channels, height, width = images.shape
    framed = pad(images, (reach,) * 4, value=background)
    rows = torch.arange(height, device=images.device) + reach - shifts[:, :1]
    columns = torch.arange(width, device=images.device) + reach - shifts[:, 1:]
    places = rows[:, :, None] * framed.shape[-1] + columns[:, None, :]
    places = places.view(n, 1, -1).expand(-1, channels, -1)
    return framed.flatten(2).gather(2, places).view(images.shape)
