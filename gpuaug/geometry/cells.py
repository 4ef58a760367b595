"""Cells of a canvas that exchange their places: rectangles (B, K, 4) that do not overlap, each with a shift (B, K, 2).

A cell without area holds nothing. Boxes that lie in several cells come out in pieces.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gpuaug.geometry import polygons as poly
from gpuaug.geometry.canvas import Canvas, Sizes, along

__all__ = ["Cells", "box_pieces", "components", "quad_pieces"]


@dataclass
class Cells:
    """Rectangles of a canvas, and how far each one goes."""

    rectangle: Tensor
    """(B, K, 4): x0, y0, x1, y1 before the exchange."""
    shift: Tensor
    """(B, K, 2): x and y in pixels."""
    canvas: Canvas

    @property
    def shown(self) -> Tensor:
        """The rectangles after the exchange."""
        return self.rectangle + torch.cat((self.shift, self.shift), dim=-1)

    def place(self, points: Tensor) -> Tensor:
        """Return the numbers (B, M) of the cells that hold points (B, M, 2), before the exchange; -1 where none does.

        A point on a border is of the cell to its right and below, on the border of the canvas of the last one.
        """
        p, low, high = points[:, :, None], self.rectangle[:, None, :, :2], self.rectangle[:, None, :, 2:]
        h, w = (along(n, 2) for n in self.canvas)
        held = []
        for axis, size in ((0, w), (1, h)):
            x, end = p[..., axis], high[..., axis]
            held.append((x >= low[..., axis]) & ((x < end) | ((x == end) & (x == size))))
        inside = held[0] & held[1]
        found: Tensor = torch.where(inside.any(-1), inside.to(torch.uint8).argmax(-1), -1)
        return found

    def points(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return points (B, M, 2) after the exchange, and which of them lay in a cell."""
        place = self.place(points)
        index = place.clamp(min=0)[..., None].expand(-1, -1, 2)
        there = place >= 0
        moved = points + torch.gather(self.shift.to(points.dtype), 1, index)
        return torch.where(there[..., None], moved, points), there

    def at(self, height: int, width: int) -> Tensor:
        """Return which cell (B, height * width) is seen after the exchange at the centres of pixels of planes."""
        shown = self.shown
        h, w = (along(n, 1) for n in self.canvas)
        sides = []
        for count, span, axis in ((width, w, 0), (height, h, 1)):
            centre = (torch.arange(count, device=shown.device, dtype=shown.dtype) + 0.5) * (span / count)
            centre = centre.expand(shown.shape[0], count)[:, None]
            sides.append((centre >= shown[..., axis : axis + 1]) & (centre < shown[..., axis + 2 : axis + 3]))
        seen = (sides[1][..., None] & sides[0][..., None, :]).flatten(2)  # (B, K, height * width)
        found: Tensor = seen.to(torch.uint8).argmax(1)
        return found


def box_pieces(boxes: Tensor, cells: Cells) -> tuple[Tensor, Tensor]:
    """Return the pieces (B, N, K, 4) of boxes (B, N, 4) after the exchange, and their areas (B, N, K)."""
    low = torch.maximum(boxes[:, :, None, :2], cells.rectangle[:, None, :, :2])
    high = torch.minimum(boxes[:, :, None, 2:], cells.rectangle[:, None, :, 2:])
    size = (high - low).clamp(min=0)
    shift = cells.shift[:, None]
    return torch.cat((low + shift, low + size + shift), dim=-1), size[..., 0] * size[..., 1]


def quad_pieces(quads: Tensor, cells: Cells) -> tuple[Tensor, Tensor]:
    """Return the pieces (B, N, K, 8, 2) of convex polygons (B, N, 4, 2) after the exchange, and their areas."""
    count = cells.shift.shape[1]
    low = cells.rectangle[:, :, None, None, :2]
    size = (cells.rectangle[..., 2:] - cells.rectangle[..., :2]).clamp(min=0).flatten(0, 1)
    cut = poly.clip((quads[:, None] - low).flatten(0, 1), Sizes(size[:, 1], size[:, 0], ()))
    cut = cut.unflatten(0, (-1, count))
    return (cut + low + cells.shift[:, :, None, None]).transpose(1, 2), poly.area(cut).transpose(1, 2)


def components(bounds: Tensor, area: Tensor) -> tuple[Tensor, Tensor]:
    """Join the pieces of each object that touch, be it in a corner.

    Args:
        bounds: (B, N, K, 4), around the pieces.
        area: (B, N, K); pieces without any are none.

    Returns:
        Member (B, N, K, K) bool: which pieces the k-th part of an object has, the largest part first; a part without
        members is none. And the part (B, N, K) that each piece is of; -1 for those that are none.
    """
    count = area.shape[-1]
    some = area > 0
    low, high = bounds[..., :2], bounds[..., 2:]
    meet = (low[..., :, None, :] <= high[..., None, :, :]) & (low[..., None, :, :] <= high[..., :, None, :])
    linked = meet.all(-1) & some[..., :, None] & some[..., None, :]
    for _ in range(max(count - 1, 1).bit_length()):  # paths of twice the length
        wide = linked.to(torch.float32)
        linked = (wide @ wide) > 0
    number = torch.arange(count, device=area.device)
    first = torch.where(linked, number, count).amin(-1)  # of each piece the first that it hangs together with
    whole = (linked * area[..., None, :]).sum(-1)
    size = torch.where(first == number, whole, torch.full_like(whole, -1.0))
    order = torch.argsort(size, dim=-1, descending=True, stable=True)
    there = torch.gather(size, -1, order) > 0
    member = torch.gather(linked, -2, order[..., None].expand_as(linked)) & there[..., None]
    part = torch.gather(torch.argsort(order, dim=-1), -1, first.clamp(max=count - 1))
    return member, torch.where(some, part, -1)
