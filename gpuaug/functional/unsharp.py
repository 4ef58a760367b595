"""Unsharp masks of each sample by its own numbers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gpuaug.functional._bags import blurred
from gpuaug.functional._door import pixelwise
from gpuaug.functional.blur import blur_axis

__all__ = ["gaussian_taps", "mask_one", "mask_unsharp", "unsharp_mask"]

BINOMIAL = {3: (0.5, 0.25), 5: (0.375, 0.25, 0.0625), 7: (0.28125, 0.21875, 0.109375, 0.03125)}
"""Weights from the middle on that OpenCV gives small kernels where no sigma is asked for."""

FEW = 8
"""Pixels up to which the blur of a mask of them is laid pixel by pixel."""


def gaussian_taps(size: Tensor, sigma: Tensor, largest: int) -> Tensor:
    """Return weights from the middle on, (B, largest // 2 + 1); a sigma of 0 takes the one that suits the size."""
    auto = sigma <= 0
    wide = torch.where(auto, 0.15 * size + 0.35, sigma)
    place = torch.arange(largest // 2 + 1, device=size.device, dtype=size.dtype)
    weights = torch.exp(-0.5 * (place / wide[:, None]).square()) * (place <= size[:, None] / 2)
    weights = weights / (2 * weights.sum(dim=1, keepdim=True) - weights[:, :1])
    for odd, row in BINOMIAL.items():
        if odd <= largest:
            table = torch.zeros_like(place)
            for k, weight in enumerate(row):
                table = torch.where(place == k, weight, table)
            weights = torch.where((auto & (size == odd))[:, None], table, weights)
    return weights


def _masked(image: Tensor, blur: Callable[[Tensor], Tensor], alpha: Any, threshold: float) -> Tensor:
    residual = image - blur(image)
    soft = blur((residual.abs() * 255 > threshold).to(image.dtype))
    sharp = (image + alpha * residual).clamp(0, 1)
    return torch.lerp(image, sharp, soft).clamp(0, 1)


def mask_unsharp(image: Tensor, taps: Tensor, alpha: Tensor, *, threshold: float) -> Tensor:
    """Return working images sharpened where they differ from their blur, whose weights are `taps` (B, reach + 1)."""
    weights = [w.view(-1, 1, 1, 1) for w in taps.to(image.dtype).unbind(1)]
    along = partial(blur_axis, weights=weights)
    return _masked(image, lambda x: along(along(x, axis=2), axis=3), alpha.to(image.dtype).view(-1, 1, 1, 1), threshold)


def mask_one(image: Tensor, taps: Tensor, alpha: Tensor, *, threshold: float) -> Tensor:
    """Return the same for one sample (1, C, H, W) whose numbers may be read: without the second blur where it is known.

    Where nearly all pixels are marked, or nearly none, the blurred mask is made of the few exceptions.
    """
    weights = taps[0].tolist()
    while len(weights) > 1 and weights[-1] == 0:
        weights.pop()
    image, share = image.contiguous(), float(alpha)
    h, w = image.shape[2:]
    residual = torch.empty_like(image)
    torch.sub(image, blurred(image, weights, weights), out=residual)
    marked = np.greater(residual.abs().mul_(255).numpy(), threshold)
    count = int(np.count_nonzero(marked))
    many = 2 * count > marked.size
    if min(count, marked.size - count) <= FEW:
        out = torch.add(image, residual, alpha=share) if many else image.clone()
        out.clamp_(0, 1)
        for place in np.flatnonzero(marked != many).tolist():
            c, y, x = place // (h * w), place // w % h, place % w
            rows, down = _spread(y, h, weights, image.dtype)
            columns, across = _spread(x, w, weights, image.dtype)
            before, rest = (t[0, c, rows, columns] for t in (image, residual))
            change = torch.add(before, rest, alpha=share).clamp_(0, 1).sub_(before).mul_(down[:, None] * across)
            out[0, c, rows, columns].add_(change, alpha=-1 if many else 1).clamp_(0, 1)
        return out
    soft = blurred(torch.from_numpy(marked.astype(np.float32)).to(image.dtype), weights, weights)
    sharp = residual.mul_(share).add_(image).clamp_(0, 1)
    return torch.lerp(image, sharp, soft, out=sharp).clamp_(0, 1)


def _spread(at: int, size: int, weights: list[float], dtype: torch.dtype) -> tuple[slice, Tensor]:
    """Return which places of a line a blur spreads one place to, and its weight in each."""
    reach = len(weights) - 1
    first, last = max(at - reach, 0), min(at + reach + 1, size)
    step = np.arange(-reach, reach + 1)
    source = (size - 1) - np.abs((size - 1) - np.abs(np.arange(first, last)[:, None] + step))
    total = ((source == at) * np.array(weights)[np.abs(step)]).sum(1)
    return slice(first, last), torch.from_numpy(total).to(dtype)


@pixelwise
def unsharp_mask(
    image: Tensor,
    size: Tensor | float,
    sigma: Tensor | float = 0.0,
    alpha: Tensor | float = 0.5,
    threshold: float = 10,
    largest: int = 7,
) -> Tensor:
    """Add to each sample its difference from a Gaussian blur, where that is large.

    Args:
        image: (B, C, H, W).
        size: (B,) or a number: odd number of taps of the blur.
        sigma: (B,) or a number: standard deviation of the blur in pixels; 0 takes the one that suits the size.
        alpha: (B,) or a number: share of the difference that is added; 0 is neutral.
        threshold: difference on a scale of 255 above which a pixel is sharpened; the mask is blurred likewise.
        largest: odd bound of the sizes.

    Shape:
        (B, C, H, W) to the same; the border is reflected; clamped to black and white.

    Source: albumentations.UnsharpMask, to 1e-5.

    Example:
        >>> import torch
        >>> from gpuaug.functional import unsharp_mask
        >>> unsharp_mask(torch.rand(2, 3, 8, 9), torch.tensor([3.0, 7.0]), alpha=0.4).shape
        torch.Size([2, 3, 8, 9])
    """
    given = [
        v.to(image.dtype) if isinstance(v, Tensor) else image.new_full((image.shape[0],), float(v))
        for v in (size, sigma, alpha)
    ]
    return mask_unsharp(image, gaussian_taps(given[0], given[1], largest), given[2], threshold=threshold)
