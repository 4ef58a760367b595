"""What stands out in an image."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from gpuaug.functional.color import rgb_to_grayscale
from gpuaug.geometry.matrix import matrix_dtype

__all__ = ["spectral_residual", "spectral_saliency"]

WIDTH, SIGMA = 64, 2.5
"""Of the map that is computed, in its pixels."""
FLOOR = 1e-4
"""Least amplitude, as a share of the largest one: beneath those of photographs."""


def spectral_saliency(image: Tensor) -> Tensor:
    """Return how much each place of each sample stands out, by the spectral residual of its gray image.

    What the logarithm of the amplitudes of an image has beyond its local average, taken back with the image's phases,
    is what is unusual in it. Computed at a width of 64 pixels, or the image's where that is less.

    Args:
        image: (B, C, H, W), of any dtype and scale.

    Shape:
        (B, C, H, W) to (B, H, W) in float32, the largest value of a sample 1; without gradients.

    Source: Hou & Zhang 2007, "Saliency Detection: A Spectral Residual Approach", and the authors' sigma of 2.5 pixels.

    Example:
        >>> import torch
        >>> from gpuaug.functional import spectral_saliency
        >>> image = torch.zeros(1, 3, 40, 60)
        >>> image[:, :, 10:14, 40:44] = 1
        >>> row, column = divmod(int(spectral_saliency(image).argmax()), 60)
        >>> 10 <= row < 14 and 40 <= column < 44
        True
    """
    if image.dim() != 4:
        raise ValueError(f"spectral_saliency: image must have shape (B, C, H, W), got {tuple(image.shape)}")
    found = F.interpolate(spectral_residual(image)[:, None], image.shape[2:], mode="bilinear")[:, 0]
    return (found / found.amax((1, 2), keepdim=True).clamp(min=1e-30)).to(torch.float32)


def spectral_residual(image: Tensor) -> Tensor:
    """Return the map (B, h, w) at the resolution at which it is computed, not scaled."""
    # In float64 the peak does not depend on the batch or the device by rounding, and autocast leaves it alone.
    x = image.detach().to(matrix_dtype(image.device))
    gray = rgb_to_grayscale.working(x) if x.shape[1] == 3 else x.mean(1, keepdim=True)
    h, w = gray.shape[2:]
    if w > WIDTH:
        gray = F.interpolate(gray, (max(1, round(h * WIDTH / w)), WIDTH), mode="bilinear", antialias=True)
    if gray.shape[0] == 0:  # of which MKL makes an error
        return gray[:, 0]
    waves = torch.fft.fft2(gray)
    size = waves.abs()
    # A frequency that is not there at all, as in drawn shapes, would pull down the average around it without bound.
    size = torch.maximum(size, size.amax((2, 3), keepdim=True) * FLOOR).clamp(min=1e-12)
    log = torch.log(size)
    residual = log - F.avg_pool2d(F.pad(log, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    shown = torch.fft.ifft2(torch.exp(residual) * (waves / size)).abs().square()[:, 0]
    smooth: Tensor = _smoother(shown.shape[1], x) @ shown @ _smoother(shown.shape[2], x).T
    return smooth


def _smoother(n: int, like: Tensor) -> Tensor:
    """Return (n, n), a Gaussian average along an axis, to which what lies outside adds nothing."""
    place = torch.arange(n, device=like.device, dtype=like.dtype)
    weight = torch.exp(((place[:, None] - place) / SIGMA).square() * -0.5)
    return weight * (1 / (SIGMA * math.sqrt(2 * math.pi)))
