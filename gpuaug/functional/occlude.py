"""Noise and occlusion of each sample."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gpuaug.functional._door import Pixels, each, pixelwise, planar, split

__all__ = ["erase", "gaussian_noise"]


@pixelwise
@planar
def gaussian_noise(
    image: Tensor, mean: Tensor | float, sigma: Tensor | float, noise: Tensor, clip: bool = True
) -> Tensor:
    """Add given standard normal noise to each sample, scaled and shifted.

    Args:
        image: (B, C, H, W).
        mean: (B,) or a number, on the scale black = 0, white = 1; 0 is neutral.
        sigma: likewise; 0 is neutral.
        noise: (B, C, H, W) standard normal values.
        clip: whether the result is clamped to black and white.

    Shape:
        (B, C, H, W) to the same.

    Source: torchvision.transforms.v2.functional.gaussian_noise, with the noise given.

    Example:
        >>> import torch
        >>> from gpuaug.functional import gaussian_noise
        >>> gaussian_noise(torch.zeros(1, 1, 1, 1), 0.0, 0.5, torch.ones(1, 1, 1, 1)).item()
        0.5
    """

    def add(value: Tensor, shift: Tensor, scale: Tensor, normal: Tensor) -> Tensor:
        out = value + (shift + scale * normal)
        return out.clamp(0, 1) if clip else out

    return each(image, add, mean, sigma, noise)  # type: ignore[no-any-return]


@pixelwise
@planar
def erase(image: Tensor, boxes: Tensor, values: Tensor) -> Tensor:
    """Replace rectangles of each sample.

    Args:
        image: (B, C, H, W).
        boxes: (B, R, 4) integers: top, left, height, width; a height of 0 is no rectangle; later ones lie on top.
        values: on the scale black = 0, white = 1, broadcastable to (B, C, H, W); or (B, R, C, 1, 1), one colour for
            each rectangle.

    Shape:
        (B, C, H, W) to the same.

    Source: torchvision.transforms.v2.functional.erase.

    Example:
        >>> import torch
        >>> from gpuaug.functional import erase
        >>> erase(torch.ones(1, 1, 2, 2), torch.tensor([[[0, 0, 1, 2]]]), torch.zeros(1, 1, 1, 1)).flatten().tolist()
        [0.0, 0.0, 1.0, 1.0]
    """
    h, w = split(image)[0].shape[1:]
    y = torch.arange(h, device=boxes.device)[:, None]
    x = torch.arange(w, device=boxes.device)
    top, left, height, width = boxes[:, :, None, None].unbind(-1)
    covered: Tensor | None = None
    for r in range(boxes.shape[1]):
        rows = (y >= top[:, r]) & (y < top[:, r] + height[:, r])
        inside = rows & (x >= left[:, r]) & (x < left[:, r] + width[:, r])
        if values.dim() == 5:
            image = put(image, inside, values[:, r])
        else:
            covered = inside if covered is None else covered | inside
    return image if covered is None else put(image, covered, values)


def put(image: Pixels, where: Tensor, values: Tensor) -> Any:
    """Return the image with `values` (broadcastable to it) where a mask (B, H, W) says so."""
    return each(image, lambda old, mask, new: torch.where(mask, new, old), where, values)
