"""Noise and occlusion of each sample."""

from __future__ import annotations

import torch
from torch import Tensor

from gpuaug.functional._door import column, pixelwise

__all__ = ["erase", "gaussian_noise"]


@pixelwise
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
    out = image + (column(mean, image) + column(sigma, image) * noise)  # type: ignore[arg-type]
    return out.clamp(0, 1) if clip else out


@pixelwise
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
    h, w = image.shape[2:]
    y = torch.arange(h, device=image.device)[:, None]
    x = torch.arange(w, device=image.device)
    top, left, height, width = boxes[:, :, None, None].unbind(-1)
    out = image
    covered: Tensor | None = None
    for r in range(boxes.shape[1]):
        rows = (y >= top[:, r]) & (y < top[:, r] + height[:, r])
        inside = rows & (x >= left[:, r]) & (x < left[:, r] + width[:, r])
        if values.dim() == 5:
            out = torch.where(inside[:, None], values[:, r].to(image.dtype), out)
        else:
            covered = inside if covered is None else covered | inside
    if covered is not None:
        out = torch.where(covered[:, None], values.to(image.dtype), out)
    return out
