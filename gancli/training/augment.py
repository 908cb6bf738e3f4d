"""Changes of images, so that few of them are not learned by heart."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate, pad

# So many points of an image, along each side, are pulled by chance; what lies between follows.
PULLED = 3


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


def bent(images: Tensor, pulls: Tensor, pixel_range: tuple[float, float]) -> Tensor:
    """Bend each image smoothly, as a rubber sheet that is pulled at some points.

    The elastic distortions of Simard, Steinkraus and Platt (2003), *Best Practices for
    Convolutional Neural Networks Applied to Visual Document Analysis*, by which few images of
    handwriting become many. Beyond an image's edge the edge goes on.

    Args:
        images: float [n, channels, size, size].
        pulls: float [n, 2, PULLED, PULLED], to the right and down, of points spread evenly from
            edge to edge, as shares of an image's width.
        pixel_range: the least and the most that a pixel may be.

    Returns:
        In the shape of the images.
    """
    if images.device.type == "mps":  # where kernels of some versions know no cubic way
        return bent(images.cpu(), pulls.cpu(), pixel_range).to(images.device)
    size = images.shape[-2:]
    still = torch.eye(2, 3, device=images.device).expand(len(images), 2, 3)
    places = affine_grid(still, list(images.shape), align_corners=False)
    # Where an image is sampled, its width is 2.
    pulled = 2 * interpolate(pulls, size, mode="bicubic", align_corners=True)
    places = places - pulled.permute(0, 2, 3, 1)
    # By a linear way between pixels images would be blurred, and G would learn that.
    found = grid_sample(images, places, mode="bicubic", padding_mode="border", align_corners=False)
    return found.clamp(*pixel_range)
