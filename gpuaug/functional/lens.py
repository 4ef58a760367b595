"""Readings of each sample by its own numbers: zoomed, by colour, scattered, on a coarser grid."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gpuaug.functional._door import pixelwise

__all__ = [
    "aberrated",
    "aberrated_one",
    "chromatic_aberration",
    "coarse",
    "coarse_one",
    "coarse_size",
    "downscale",
    "mean_taps",
    "zoom_blur",
    "zoomed",
    "zoomed_one",
]


def _axis(n: int, like: Tensor) -> Tensor:
    """Return the centres of pixels from the middle of an axis, (n,)."""
    return torch.arange(n, device=like.device, dtype=like.dtype) + (0.5 - n / 2)


def _picked(x: Tensor, place: Tensor, axis: int) -> Tensor:
    """Return the lines of (B, C, H, W) along an axis at whole places (B, n), or (n,) of one sample."""
    if place.dim() == 1:
        return x.index_select(axis, place)
    sample = torch.arange(x.shape[0], device=x.device)[:, None]
    if axis == 2:
        return x.transpose(1, 2)[sample, place].transpose(1, 2)
    return x.permute(0, 3, 1, 2)[sample, place].permute(0, 2, 3, 1)


def _between(x: Tensor, position: Tensor, size: Any, axis: int) -> Tensor:
    """Return values along an axis at positions in pixels from the first one, (B, n) or (n,); the border is repeated."""
    first = torch.floor(position)
    share = position - first
    limit = size - 1
    low, high = (_held(place, limit).to(torch.int64) for place in (first, first + 1))
    share = share.view(-1, 1, share.shape[-1], 1) if axis == 2 else share.view(-1, 1, 1, share.shape[-1])
    a, b = _picked(x, low, axis), _picked(x, high, axis)
    return a * (1 - share) + b * share


def _held(place: Tensor, limit: Any) -> Tensor:
    """Return places from 0 to a limit, which is a number or one for each sample (B, 1)."""
    place = place.clamp(min=0)
    return torch.minimum(place, limit) if isinstance(limit, Tensor) else place.clamp(max=limit)


def zoomed(image: Tensor, count: Tensor, step: Tensor, *, most: int) -> Tensor:
    """Return the mean of working images (twice) and of readings zoomed by 1 + k step, k from 1 below `count` (B,)."""
    h, w = image.shape[2:]
    y, x = _axis(h, image), _axis(w, image)
    total = image * 2
    n, s = count.to(image.dtype), step.to(image.dtype)
    for k in range(1, most):
        inverse = (1 / (1 + k * s))[:, None]
        lines = _between(image, y * inverse + (h - 1) / 2, h, 2)
        part = _between(lines, x * inverse + (w - 1) / 2, w, 3)
        total = total + torch.where((k < n).view(-1, 1, 1, 1), part, 0.0)
    return total / (n + 1).view(-1, 1, 1, 1)


def _grid(image: Tensor) -> Tensor:
    """Return the centres of pixels as torch's sampler takes them: (1, H, W, 2), x and y from -1 to 1."""
    h, w = image.shape[2:]
    y, x = _axis(h, image) * (2 / h), _axis(w, image) * (2 / w)
    return torch.stack((x.expand(h, w), y[:, None].expand(h, w)), dim=-1)[None]


def _sampled(image: Tensor, grid: Tensor) -> Tensor:
    return F.grid_sample(image, grid, padding_mode="border", align_corners=False)


def zoomed_one(image: Tensor, count: Tensor, step: Tensor, *, most: int) -> Tensor:
    """Return the same for one sample (1, C, H, W) whose numbers may be read."""
    grid, total = _grid(image), image * 2
    n, s = int(count), float(step)
    for k in range(1, min(n, most)):
        total += _sampled(image, grid / (1 + k * s))
    return total.div_(n + 1)


@pixelwise
def zoom_blur(image: Tensor, count: Tensor | float, step: Tensor | float, most: int = 32) -> Tensor:
    """Average each sample with readings of itself that are zoomed in more and more.

    Args:
        image: (B, C, H, W).
        count: (B,) or a number: readings, zoomed by 1, 1 + step, 1 + 2 step and so on; 1 is neutral.
        step: (B,) or a number: what is added to the zoom from one reading to the next.
        most: bound of the counts.

    Shape:
        (B, C, H, W) to the same.

    Source: albumentations.ZoomBlur, with readings between pixels instead of crops of whole ones.

    Example:
        >>> import torch
        >>> from gpuaug.functional import zoom_blur
        >>> zoom_blur(torch.rand(2, 3, 8, 9), torch.tensor([3.0, 5.0]), 0.05, most=5).shape
        torch.Size([2, 3, 8, 9])
    """
    given = [_each(v, image) for v in (count, step)]
    return zoomed(image, *given, most=most)


def aberrated(image: Tensor, red: Tensor, blue: Tensor) -> Tensor:
    """Return working images (B, 3, H, W) with the outer channels bent by coefficients (B, 2) of r^2 and r^4."""
    h, w = image.shape[2:]
    y, x = _axis(h, image)[:, None], _axis(w, image)
    r2 = (x / w).square() + (y / h).square()
    planes = []
    for c, bend in ((0, red), (2, blue)):
        k = bend.to(image.dtype)[:, :, None, None]
        more = (k[:, 0] + k[:, 1] * r2) * r2
        planes.append(_at(image[:, c], y + y * more + (h - 1) / 2, x + x * more + (w - 1) / 2))
    return torch.stack((planes[0], image[:, 1], planes[1]), dim=1)


def aberrated_one(image: Tensor, red: Tensor, blue: Tensor) -> Tensor:
    """Return the same for one sample (1, 3, H, W) on the CPU."""
    grid = _grid(image)
    r2 = grid.square().sum(dim=-1, keepdim=True) / 4
    planes = []
    for c, bend in ((0, red), (2, blue)):
        near, far = bend[0].tolist()
        planes.append(_sampled(image[:, c : c + 1], grid * (1 + (near + far * r2) * r2)))
    return torch.cat((planes[0], image[:, 1:2], planes[1]), dim=1)


def _at(plane: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Return values of (B, H, W) at positions (B, h, w) in pixels from the first one; the border is repeated."""
    h, w = plane.shape[1:]
    top, left = torch.floor(y), torch.floor(x)
    down, across = y - top, x - left
    flat = plane.flatten(1)
    rows = [_held(t, h - 1) * w for t in (top, top + 1)]
    columns = [_held(t, w - 1) for t in (left, left + 1)]
    found = [[flat.gather(1, (r + c).to(torch.int64).flatten(1)).view_as(y) for c in columns] for r in rows]
    lines = [a * (1 - across) + b * across for a, b in found]
    return lines[0] * (1 - down) + lines[1] * down


@pixelwise
def chromatic_aberration(image: Tensor, red: Tensor, blue: Tensor) -> Tensor:
    """Bend the red and the blue of each sample apart, as a lens does.

    Args:
        image: (B, 3, H, W).
        red: (B, 2): coefficients k1 and k2 of a map of the red channel, which at position q from the middle shows
            q (1 + k1 r^2 + k2 r^4), r being q over the size of the image; 0 is neutral.
        blue: likewise for the blue channel.

    Shape:
        (B, 3, H, W) to the same; the border is repeated.

    Source: albumentations.ChromaticAberration, about the middle of the image instead of half a pixel off it.

    Example:
        >>> import torch
        >>> from gpuaug.functional import chromatic_aberration
        >>> chromatic_aberration(torch.rand(2, 3, 8, 9), torch.full((2, 2), 0.1), torch.zeros(2, 2)).shape
        torch.Size([2, 3, 8, 9])
    """
    if image.shape[1] != 3:
        raise ValueError(f"chromatic_aberration: image must have 3 channels, got {image.shape[1]}")
    return aberrated(image, red, blue)


def coarse_size(n: int, scale: Tensor) -> Tensor:
    """Return the size of an axis on a coarser grid, for each sample."""
    return torch.round(n * scale).clamp(1, n)


def mean_taps(n: int, lowest: float) -> int:
    """Return how many pixels of an axis one of a coarser grid can touch."""
    return math.ceil(n / max(round(n * lowest - 1e-3), 1)) + 1


def _resampled(x: Tensor, own: Any, other: Any, n: int, axis: int, mode: str, taps: int) -> Tensor:
    """Return an axis of `own` pixels for each sample (B, 1) on one of `other` pixels, of which n are computed."""
    ratio = own / other
    at = torch.arange(n, device=x.device, dtype=x.dtype)
    if mode == "nearest":
        # Whole products, then one quotient: what falls right between two pixels is not rounded to the one before.
        return _picked(x, _held(torch.floor((at + 0.5) * own / other), own - 1).to(torch.int64), axis)
    if mode == "bilinear":
        return _between(x, (at + 0.5) * ratio - 0.5, own, axis)
    start, end = at * ratio, (at + 1) * ratio
    first = torch.floor(start)
    total = torch.zeros((), dtype=x.dtype, device=x.device)
    for t in range(taps):
        share = (torch.minimum(end, first + t + 1) - torch.maximum(start, first + t)).clamp(min=0) / ratio
        share = share.view(-1, 1, n, 1) if axis == 2 else share.view(-1, 1, 1, n)
        total = total + share * _picked(x, _held(first + t, own - 1).to(torch.int64), axis)
    return total


def coarse(image: Tensor, scale: Tensor, *, down: str, up: str, lowest: float) -> Tensor:
    """Return working images on a grid that is coarser by `scale` (B,), at least `lowest`, and back on their own."""
    h, w = image.shape[2:]
    s = scale.to(image.dtype)[:, None]
    small = image
    for axis, n in ((2, h), (3, w)):
        own, taps = torch.full_like(s, n), mean_taps(n, lowest)
        small = _resampled(small, own, coarse_size(n, s), n, axis, down, taps)
    for axis, n in ((2, h), (3, w)):
        small = _resampled(small, coarse_size(n, s), float(n), n, axis, up, 0)
    return small


def coarse_one(image: Tensor, scale: Tensor, *, down: str, up: str, lowest: float) -> Tensor:
    """Return the same for one sample (1, C, H, W) whose scale may be read."""
    share = scale.to(image.dtype)
    sizes = [(axis, n, int(coarse_size(n, share))) for axis, n in ((2, image.shape[2]), (3, image.shape[3]))]
    small = image
    if down == "area":
        for axis, n, few in sizes:
            small = _resampled(small, float(n), float(few), few, axis, down, mean_taps(n, few / n))
    else:
        small = _gridded(small, sizes, down)
    return _gridded(small, [(axis, few, n) for axis, n, few in sizes], up)


def _gridded(x: Tensor, sizes: list[tuple[int, int, int]], mode: str) -> Tensor:
    """Return one sample on another grid, whose axes have been of one size and get another."""
    # An odd number of halves of a pixel is a whole number of pixels where the own size is the more even one.
    tied = any((own & -own) > (other & -other) for _, own, other in sizes)
    if mode == "bilinear" or not tied:
        return F.interpolate(x, size=[other for _, _, other in sizes], mode=_MODES[mode])
    for axis, own, other in sizes:
        x = _resampled(x, float(own), float(other), other, axis, mode, 0)
    return x


_MODES = {"nearest": "nearest-exact", "bilinear": "bilinear"}
"""What torch calls them; its nearest pixels are those of a rounded ratio, so that ties fall either way."""


@pixelwise
def downscale(
    image: Tensor, scale: Tensor | float, down: str = "nearest", up: str = "nearest", lowest: float = 0.1
) -> Tensor:
    """Show each sample as it would be seen on a coarser grid.

    Args:
        image: (B, C, H, W).
        scale: (B,) or a number up to 1, which is neutral: size of the coarser grid, rounded to whole pixels.
        down: how pixels go onto the coarser grid: "nearest", "bilinear" or "area".
        up: how they come back: "nearest" or "bilinear".
        lowest: bound of the scales.

    Shape:
        (B, C, H, W) to the same.

    Source: cv2.resize there and back with INTER_NEAREST_EXACT, INTER_LINEAR and INTER_AREA, to 1e-5.

    Example:
        >>> import torch
        >>> from gpuaug.functional import downscale
        >>> downscale(torch.rand(2, 3, 8, 9), torch.tensor([0.25, 0.5])).shape
        torch.Size([2, 3, 8, 9])
    """
    return coarse(image, _each(scale, image), down=down, up=up, lowest=lowest)


def _each(value: Tensor | float, image: Tensor) -> Tensor:
    """Return one number for each sample."""
    if isinstance(value, Tensor):
        return value.to(image.dtype)
    return image.new_full((image.shape[0],), float(value))
