"""Rotated boxes and polygons: corners (..., 4, 2), outlines (..., K, 2), rectangles (..., 5) cx, cy, w, h, angle.

The angle is torchvision's: degrees, counter-clockwise as seen on the screen, of the first side, from the first corner
to the second. Corners are ordered as torchvision's: top left, top right, bottom right, bottom left of the upright box.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gpuaug.geometry.canvas import Canvas, along

__all__ = ["area", "axis", "clip", "corners", "direction", "mirror", "rectangle", "subdivide"]


def axis(degrees: Tensor) -> Tensor:
    """Return unit vectors (..., 2) of directions (...), in degrees counter-clockwise; y points down."""
    turn = degrees * (math.pi / 180)
    return torch.stack((torch.cos(turn), -torch.sin(turn)), dim=-1)


def direction(vectors: Tensor) -> Tensor:
    """Return degrees (...), counter-clockwise, above -180 up to 180, of vectors (..., 2)."""
    x, y = vectors.unbind(-1)
    return torch.atan2(-y + 0.0, x) * (180 / math.pi)  # + 0.0: the angle of (-1, 0) is 180, not -180


def corners(rectangles: Tensor) -> Tensor:
    """Return the corners (..., 4, 2) of rectangles (..., 5)."""
    middle, size = rectangles[..., :2], rectangles[..., 2:4]
    u = axis(rectangles[..., 4])
    v = torch.stack((-u[..., 1], u[..., 0]), dim=-1)  # the second side, a quarter turn clockwise from the first
    a, b = u * size[..., :1] / 2, v * size[..., 1:] / 2
    return torch.stack((middle - a - b, middle + a - b, middle + a + b, middle - a + b), dim=-2)


def rectangle(quads: Tensor, points: Tensor | None = None) -> Tensor:
    """Return the rectangles (..., 5) along the longer sides of corners (..., 4, 2) that enclose points (..., K, 2).

    The direction is that of the line between the middles of the two shorter sides. Without `points` the corners are
    enclosed; those of a rectangle give it back.
    """
    points = quads if points is None else points
    a, b, c, d = quads.unbind(-2)
    first, second = b + c - a - d, c + d - a - b
    turned = torch.stack((second[..., 1], -second[..., 0]), dim=-1)  # what the first side is if the second is longer
    along = torch.where((first.norm(dim=-1) >= second.norm(dim=-1))[..., None], first, turned)
    length = along.norm(dim=-1, keepdim=True)
    right = torch.zeros_like(along)
    right[..., 0] = 1
    u = torch.where(length > 0, along / length.clamp(min=1e-30), right)[..., None, :]
    x = (points * u).sum(-1)
    y = points[..., 1] * u[..., 0] - points[..., 0] * u[..., 1]
    low = torch.stack((x.amin(-1), y.amin(-1)), dim=-1)
    high = torch.stack((x.amax(-1), y.amax(-1)), dim=-1)
    (mx, my), u = ((low + high) / 2).unbind(-1), u[..., 0, :]
    middle = torch.stack((mx * u[..., 0] - my * u[..., 1], mx * u[..., 1] + my * u[..., 0]), dim=-1)
    return torch.cat((middle, high - low, direction(along)[..., None]), dim=-1)


def mirror(quads: Tensor) -> Tensor:
    """Return the corners (..., 4, 2) of a mirrored box in their order again: first and second, third and fourth."""
    swapped: Tensor = quads.unflatten(-2, (2, 2)).flip(-2).flatten(-3, -2)
    return swapped


def subdivide(quads: Tensor, per_side: int) -> Tensor:
    """Return points (..., 4 * per_side, 2) along the sides; each corner is the first of its side."""
    if per_side == 1:
        return quads
    part = torch.arange(per_side, device=quads.device, dtype=quads.dtype)[:, None] / per_side
    following = torch.roll(quads, -1, -2)
    return (quads[..., None, :] + (following - quads)[..., None, :] * part).flatten(-3, -2)


def area(points: Tensor) -> Tensor:
    """Return the areas (...) of polygons (..., K, 2)."""
    points = points - points[..., :1, :]  # small numbers: a polygon far away loses no digits
    x, y = points.unbind(-1)
    following_x, following_y = torch.roll(x, -1, -1), torch.roll(y, -1, -1)
    doubled: Tensor = (x * following_y - y * following_x).sum(-1).abs()
    return doubled / 2


def clip(points: Tensor, canvas: Canvas) -> Tensor:
    """Return what of convex polygons (B, ..., K, 2) lies in a canvas (height, width): (B, ..., K + 4, 2).

    Sutherland and Hodgman's, one side of the canvas after the other; a side adds at most one point. Points that are
    not needed repeat another; nothing left is one point, repeated.
    """
    h, w = (along(n, points.dim() - 2) for n in canvas)
    for coordinate, sign, limit in ((0, 1, 0), (0, -1, w), (1, 1, 0), (1, -1, h)):
        points = _half(points, points[..., coordinate] * sign + limit)
    return points


def _half(points: Tensor, depth: Tensor) -> Tensor:
    """Return the part of polygons (..., K, 2) where a linear function, given at their points, is not negative."""
    k = points.shape[-2]
    following, other = torch.roll(points, -1, -2), torch.roll(depth, -1, -1)
    keep, crosses = depth >= 0, (depth >= 0) != (other >= 0)
    part = torch.where(crosses, depth / torch.where(crosses, depth - other, torch.ones_like(depth)), 0.0)
    found = torch.stack((points, points + (following - points) * part[..., None]), dim=-2).flatten(-3, -2)
    kept = torch.stack((keep, crosses), dim=-1).flatten(-2)
    place = torch.where(kept, torch.cumsum(kept, -1) - 1, k + 1).clamp(max=k + 1)  # slot k + 1 is thrown away
    some = kept.to(torch.uint8).argmax(-1, keepdim=True)[..., None].expand(*kept.shape[:-1], 1, 2)
    room = torch.gather(found, -2, some).expand(*kept.shape[:-1], k + 2, 2)
    return torch.scatter(room, -2, place[..., None].expand_as(found), found)[..., : k + 1, :]
