"""Noise and occlusion of each sample."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gpuaug.functional._door import Pixels, each, pixelwise, planar, split

__all__ = ["erase", "gaussian_noise", "grid_dropout", "grid_mask"]


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
        values: in the image's unit, broadcastable to (B, C, H, W); or (B, R, C, 1, 1), one colour for each rectangle.

    Shape:
        (B, C, H, W) to the same.

    Source: torchvision.transforms.v2.functional.erase.

    Example:
        >>> import torch
        >>> from gpuaug.functional import erase
        >>> erase(torch.ones(1, 1, 2, 2), torch.tensor([[[0, 0, 1, 2]]]), torch.zeros(1, 1, 1, 1)).flatten().tolist()
        [0.0, 0.0, 1.0, 1.0]
    """
    if boxes.shape[1] == 0:
        return image
    h, w = split(image)[0].shape[1:]
    if values.dim() < 5:
        return put(image, rectangles(boxes, h, w), values)  # type: ignore[no-any-return]
    for r in range(boxes.shape[1]):
        image = put(image, rectangles(boxes[:, r : r + 1], h, w), values[:, r])
    return image


FEW = 6
"""Rectangles up to which each is compared with every pixel; more are summed up from their corners."""


def rectangles(boxes: Tensor, h: int, w: int) -> Tensor:
    """Return where (B, h, w) rectangles (B, R, 4) of top, left, height and width lie within a canvas."""
    top, left, height, width = boxes.unbind(-1)
    if boxes.shape[1] > FEW:
        return _summed(top, left, height, width, h, w)
    y = torch.arange(h, device=boxes.device)[:, None]
    x = torch.arange(w, device=boxes.device)
    covered = torch.zeros((boxes.shape[0], h, w), dtype=torch.bool, device=boxes.device) if not boxes.shape[1] else None
    for t, s, n, m in zip(*(v[:, :, None, None].unbind(1) for v in (top, left, height, width)), strict=True):
        inside = (y >= t) & (y < t + n) & (x >= s) & (x < s + m)
        covered = inside if covered is None else covered | inside
    assert covered is not None
    return covered


def _summed(top: Tensor, left: Tensor, height: Tensor, width: Tensor, h: int, w: int) -> Tensor:
    """Count the rectangles over each pixel: one more at their corners and one less beyond, summed along both axes."""
    y0, y1 = top.clamp(0, h), (top + height).clamp(0, h)
    x0, x1 = left.clamp(0, w), (left + width).clamp(0, w)
    there = ((height > 0) & (width > 0)).to(torch.int32)
    corners = torch.cat([y * (w + 1) + x for y, x in ((y0, x0), (y1, x1), (y0, x1), (y1, x0))], dim=1)
    steps = torch.cat((there, there, -there, -there), dim=1)
    counts = torch.zeros((top.shape[0], (h + 1) * (w + 1)), dtype=torch.int32, device=top.device)
    counts = counts.scatter_add(1, corners.to(torch.int64), steps).view(-1, h + 1, w + 1)
    summed = counts.cumsum(1, dtype=torch.int32).cumsum(2, dtype=torch.int32)
    return summed[:, :h, :w] > 0


@pixelwise
@planar
def grid_dropout(image: Tensor, unit: Tensor, hole: Tensor, shift: Tensor, fill: float = 0.0) -> Tensor:
    """Replace a regular grid of rectangles of each sample.

    Args:
        image: (B, C, H, W).
        unit: (B, 2), height and width of a cell in pixels.
        hole: (B, 2), height and width of the rectangle in a cell's top left corner.
        shift: (B, 2), where the first cell begins, down and to the right; what lies before it stays.
        fill: value in the image's unit: 0..255 for uint8.

    Shape:
        (B, C, H, W) to the same.

    Source: albumentations.GridDropout.

    Example:
        >>> import torch
        >>> from gpuaug.functional import grid_dropout
        >>> two, one = torch.full((1, 2), 2.0), torch.ones(1, 2)
        >>> grid_dropout(torch.ones(1, 1, 1, 4), two, one, torch.zeros(1, 2)).flatten().tolist()
        [0.0, 1.0, 0.0, 1.0]
    """
    plane = split(image)[0]
    values = torch.full((1, 1, 1, 1), fill, dtype=plane.dtype, device=plane.device)
    return drop_grid(image, unit, hole, shift, values)  # type: ignore[no-any-return]


def drop_grid(image: Pixels, unit: Tensor, hole: Tensor, shift: Tensor, values: Tensor) -> Any:
    """Put values (1, C, 1, 1) where the grid of holes is."""
    h, w = split(image)[0].shape[1:]
    return put(image, grid(unit, hole, shift, h, w), values)


def grid(unit: Tensor, hole: Tensor, shift: Tensor, h: int, w: int) -> Tensor:
    """Return where (B, h, w) the holes of a grid are."""
    inside = []
    for axis, n in enumerate((h, w)):
        place = torch.arange(n, device=unit.device, dtype=unit.dtype) - shift[:, axis, None]
        size = unit[:, axis, None]
        inside.append((place >= 0) & (place - size * torch.floor(place / size) < hole[:, axis, None]))
    return inside[0][:, :, None] & inside[1][:, None, :]


@pixelwise
@planar
def grid_mask(
    image: Tensor, unit: Tensor, hole: Tensor, shift: Tensor, degrees: Tensor | float = 0.0, fill: float = 0.0
) -> Tensor:
    """Replace the squares of a turned grid of each sample.

    Args:
        image: (B, C, H, W).
        unit: (B,), side of a cell in pixels.
        hole: (B,), side of the square in a cell's corner, in cells; 0 is neutral.
        shift: (B, 2), where a cell begins, down and to the right, in cells.
        degrees: (B,) or a number, by which the grid is turned about the image's top left corner, clockwise.
        fill: value in the image's unit: 0..255 for uint8.

    Shape:
        (B, C, H, W) to the same.

    Source: Chen et al., "GridMask Data Augmentation" (2020).

    Example:
        >>> import torch
        >>> from gpuaug.functional import grid_mask
        >>> two, half = torch.tensor([2.0]), torch.tensor([0.5])
        >>> grid_mask(torch.ones(1, 1, 1, 4), two, half, torch.zeros(1, 2)).flatten().tolist()
        [0.0, 1.0, 0.0, 1.0]
    """
    plane = split(image)[0]
    angle = torch.as_tensor(degrees, dtype=torch.float32, device=plane.device).expand(unit.shape[0]).deg2rad()
    turn = torch.stack((torch.cos(angle), torch.sin(angle)), dim=-1)
    values = torch.full((1, 1, 1, 1), fill, dtype=plane.dtype, device=plane.device)
    return put(image, turned_grid(unit, hole, shift, turn, *plane.shape[1:]), values)  # type: ignore[no-any-return]


def turned_grid(unit: Tensor, hole: Tensor, shift: Tensor, turn: Tensor, h: int, w: int) -> Tensor:
    """Return where (B, h, w) the squares of a grid are, turned by an angle whose cosine and sine are `turn` (B, 2)."""
    y = torch.arange(h, device=unit.device, dtype=torch.float32)[:, None] + 0.5
    x = torch.arange(w, device=unit.device, dtype=torch.float32) + 0.5
    cosine, sine = (t.view(-1, 1, 1) for t in turn.unbind(1))
    down, across = (t.view(-1, 1, 1) for t in shift.unbind(1))
    side, share = unit.view(-1, 1, 1), hole.view(-1, 1, 1)
    u = (x * cosine + y * sine) / side - across
    v = (y * cosine - x * sine) / side - down
    return (u - torch.floor(u) < share) & (v - torch.floor(v) < share)


def put(image: Pixels, where: Tensor, values: Tensor) -> Any:
    """Return the image with `values` (broadcastable to it) where a mask (B, H, W) says so."""
    return each(image, lambda old, mask, new: torch.where(mask, new, old), where, values)
