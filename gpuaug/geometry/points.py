"""Points and boxes through homographies: positions (B, M, 2), boxes (B, N, 4) as x0, y0, x1, y1."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gpuaug.geometry import matrix as mat
from gpuaug.geometry.canvas import Canvas, along, smaller, spans

__all__ = ["area", "bounds", "centred", "clip", "ellipse_bounds", "inside", "outline", "read", "straight_bounds"]


def bounds(m: Tensor, boxes: Tensor) -> Tensor:
    """Return the boxes around boxes (B, N, 4) after (B, 3, 3)."""
    x0, y0, x1, y1 = boxes.to(m.dtype).unbind(-1)
    corners = torch.stack((x0, y0, x1, y0, x1, y1, x0, y1), dim=-1).unflatten(-1, (4, 2))  # (B, N, 4, 2)
    moved = mat.apply(m, corners.flatten(1, 2)).unflatten(1, (-1, 4))
    return torch.cat((moved.amin(-2), moved.amax(-2)), dim=-1)


def straight_bounds(m: Tensor, boxes: Tensor) -> Tensor:
    """Return boxes (B, N, 4) after (B, 3, 3) that only scale and shift; what mirrors exchanges their sides."""
    scale, shift = torch.diagonal(m[..., :2, :2], dim1=-2, dim2=-1), m[..., :2, 2]
    corners = torch.addcmul(shift[:, None, None], boxes.to(m.dtype).unflatten(-1, (2, 2)), scale[:, None, None])
    return torch.cat((corners.amin(-2), corners.amax(-2)), dim=-1)


def ellipse_bounds(m: Tensor, boxes: Tensor) -> Tensor:
    """Return the boxes around the ellipses in boxes (B, N, 4) after (B, 3, 3), exactly.

    A homography M takes the dual conic D of an ellipse to M D M^T, whose entries are the tangents' equations.
    """
    x0, y0, x1, y1 = boxes.to(m.dtype).unbind(-1)
    zero, one = torch.zeros_like(x0), torch.ones_like(x0)
    # Columns: the half axes, and the centre; D = columns diag(1, 1, -1) columns^T.
    columns = torch.stack(
        ((x1 - x0) / 2, zero, (x0 + x1) / 2, zero, (y1 - y0) / 2, (y0 + y1) / 2, zero, zero, one), dim=-1
    ).unflatten(-1, (3, 3))
    moved = m[:, None] @ columns
    a, b, c = moved.unbind(-1)  # each (B, N, 3)
    third = a[..., 2] ** 2 + b[..., 2] ** 2 - c[..., 2] ** 2
    sides = []
    for axis in (0, 1):
        mixed = a[..., axis] * a[..., 2] + b[..., axis] * b[..., 2] - c[..., axis] * c[..., 2]
        own = a[..., axis] ** 2 + b[..., axis] ** 2 - c[..., axis] ** 2
        reach = (mixed**2 - own * third).clamp(min=0).sqrt() / third.abs()
        sides.append((mixed / third - reach, mixed / third + reach))
    (left, right), (top, bottom) = sides
    return torch.stack((left, top, right, bottom), dim=-1)


def outline(boxes: Tensor, method: str, per_side: int = 8) -> Tensor:
    """Return points (B, N, K, 2) along the sides of boxes (B, N, 4), or along the ellipses in them."""
    count = 4 * per_side
    turn = torch.arange(count, device=boxes.device, dtype=boxes.dtype) * (2 * math.pi / count)
    x, y = torch.cos(turn), torch.sin(turn)
    if method == "largest_box":  # blown up to the unit square
        reach = torch.maximum(x.abs(), y.abs())
        x, y = x / reach, y / reach
    half, middle = (boxes[..., 2:] - boxes[..., :2]) / 2, (boxes[..., 2:] + boxes[..., :2]) / 2
    return middle[:, :, None] + half[:, :, None] * torch.stack((x, y), dim=-1)


def clip(boxes: Tensor, canvas: Canvas) -> Tensor:
    """Return what of the boxes lies in a canvas (height, width)."""
    if not isinstance(canvas[0], Tensor):
        return torch.minimum(boxes.unflatten(-1, (2, 2)).clamp(min=0), spans(canvas, boxes)).flatten(-2)
    h, w = (along(n, boxes.dim() - 1) for n in canvas)
    x, y = smaller(boxes[..., 0::2].clamp(min=0), w), smaller(boxes[..., 1::2].clamp(min=0), h)
    return torch.stack((x[..., 0], y[..., 0], x[..., 1], y[..., 1]), dim=-1)


def area(boxes: Tensor) -> Tensor:
    """Return the areas (B, N)."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def inside(points: Tensor, canvas: Canvas) -> Tensor:
    """Tell which points (..., 2) lie in a canvas, its border included; NaN does not."""
    x, y = points[..., 0], points[..., 1]
    h, w = (along(n, x.dim() - 1) for n in canvas)
    seen: Tensor = (x >= 0) & (x <= w) & (y >= 0) & (y <= h)
    return seen


def centred(boxes: Tensor, rectangle: Tensor) -> Tensor:
    """Tell which boxes (B, N, 4) have their centre within a rectangle (B, 4), its border excluded."""
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    return ((centre > rectangle[:, None, :2]) & (centre < rectangle[:, None, 2:])).all(-1)


def read(where: Tensor, points: Tensor) -> Tensor:
    """Return the values (B, M) of pixels (B, H, W) bool at points (B, M, 2); false outside and at NaN."""
    h, w = where.shape[1:]
    column, row = (torch.floor(points[..., i]).nan_to_num(-1.0) for i in (0, 1))
    index = row.clamp(0, h - 1).to(torch.int64) * w + column.clamp(0, w - 1).to(torch.int64)
    there = (column >= 0) & (column < w) & (row >= 0) & (row < h)
    return there & torch.gather(where.flatten(1), 1, index)
