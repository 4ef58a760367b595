"""Objects on a canvas whose cells exchange their places: those that lie in several come out in pieces."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gpuaug.data.instances import Instances
from gpuaug.data.ragged import Ragged
from gpuaug.geometry import polygons as poly
from gpuaug.geometry.cells import Cells, box_pieces, components, quad_pieces

__all__ = ["masks_in_pieces", "pieces"]


def pieces(rows: Instances, cells: Cells, measured: bool) -> tuple[Instances, Tensor]:
    """Return the parts of objects after an exchange, K blocks of N rows, and which part each cell shows.

    Pieces that touch are one part. The first block holds the largest part of each object, at its row; in the others
    are what further parts there are. Masks are left out. Only where it is `measured` parts know how much of their
    object they are.

    Returns:
        The objects, (B, K * N), and (B, N, K): the block of the part that is seen in each cell, -1 where none is.
    """
    assert rows.boxes is not None
    boxes = rows.boxes.to(cells.shift.dtype)
    count = cells.shift.shape[1]
    if boxes.shape[-1] == 4:
        cut, area = box_pieces(boxes, cells)
        member, place = components(cut, area)
        far = torch.full_like(cut[..., None, :, :], torch.inf)
        inner, seen = cut[..., None, :, :].expand(*member.shape, 4), member[..., None]
        low = torch.where(seen, inner, far)[..., :2].amin(-2)
        high = torch.where(seen, inner, -far)[..., 2:].amax(-2)
        there = member.any(-1)
        found = torch.where(there[..., None], torch.cat((low, high), dim=-1), torch.zeros_like(cut))
        whole = ((boxes[..., 2:] - boxes[..., :2]).clamp(min=0)).prod(-1)
    else:
        quads = boxes.unflatten(-1, (4, 2))
        found, area, member, place = _turned_parts(quads, cells)
        there, whole = member.any(-1), poly.area(quads)
    part = (member * area[..., None, :]).sum(-1) / whole[..., None].clamp(min=1e-12)
    there = there & (part > 1e-6) & rows.valid[..., None]
    out = rows.with_(masks=None, share=None).map(lambda t: t.repeat(1, count, *[1] * (t.dim() - 2)))
    out = out.with_(boxes=_blocks(found).to(rows.boxes.dtype), valid=_blocks(there))
    if measured:
        share = part.to(torch.float32)
        out = out.with_(share=_blocks(share if rows.share is None else share * rows.share[..., None]))
    if rows.keypoints is not None:
        points, visible = _points(rows, cells, place)
        out = out.with_(keypoints=points, visible=visible)
    return out, place


def _blocks(parts: Tensor) -> Tensor:
    """Return (B, N, K, ...) as (B, K * N, ...)."""
    return parts.transpose(1, 2).flatten(1, 2)


def _turned_parts(quads: Tensor, cells: Cells) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return corners (B, N, K, 8) of the rectangles around parts, along the object's; areas, members, places."""
    cut, area = quad_pieces(quads, cells)
    bounds = torch.cat((cut.amin(-2), cut.amax(-2)), dim=-1)
    member, place = components(bounds, area)
    # Of each part the points of its pieces, and one of them again for those that are not its.
    points = cut[..., None, :, :, :].expand(*member.shape, *cut.shape[-2:])
    own = member.to(torch.uint8).argmax(-1)[..., None, None, None].expand(*member.shape[:-1], 1, *cut.shape[-2:])
    points = torch.where(member[..., None, None], points, torch.gather(points, -3, own)).flatten(-3, -2)
    shaped = quads[:, :, None].expand(*points.shape[:-2], 4, 2)
    around = poly.corners(poly.rectangle(shaped, points))
    # What is in one piece and lost nothing keeps its corners.
    first = member.to(torch.uint8).argmax(-1)
    shift = torch.gather(cells.shift[:, None].expand(*area.shape, 2), 2, first[..., None].expand(*first.shape, 2))
    moved = shaped + shift[..., None, :]
    kept = torch.gather(area, -1, first) >= (1 - 1e-6) * poly.area(quads)[..., None]
    return torch.where(kept[..., None, None], moved, around).flatten(-2), area, member, place


def _points(rows: Instances, cells: Cells, place: Tensor) -> tuple[Tensor, Tensor]:
    """Return keypoints (B, K * N, P, 2) after an exchange, each seen with the part of its object where it is."""
    assert rows.keypoints is not None
    b, n, p, _ = rows.keypoints.shape
    given, count = rows.keypoints.to(cells.shift.dtype).flatten(1, 2), cells.shift.shape[1]
    cell = cells.place(given).view(b, n, p)
    moved = cells.points(given)[0].view(b, n, p, 2).to(rows.keypoints.dtype)
    visible = torch.full_like(moved[..., 0], 2).to(torch.int64) if rows.visible is None else rows.visible
    part = torch.where(cell >= 0, torch.gather(place, 2, cell.clamp(min=0)), -1)
    # A point beside its object's box goes with the largest part.
    part = torch.where((cell >= 0) & (part < 0), 0, part)
    block = torch.arange(count, device=part.device).view(1, count, 1, 1)
    seen = torch.where(part[:, None] == block, visible[:, None], torch.zeros_like(visible[:, None]))
    return moved.repeat(1, count, 1, 1), seen.flatten(1, 2)


def masks_in_pieces(masks: Any, cells: Cells, place: Tensor) -> Any:
    """Return masks after an exchange, of all parts (B, K * N, h, w), or an index map (B, h, w) of their rows."""
    if isinstance(masks, Ragged):
        parts = []
        for i, one in enumerate(masks):
            own = Cells(cells.rectangle[i : i + 1], cells.shift[i : i + 1], (one.shape[1], one.shape[2]))
            parts.append(masks_in_pieces(one[None], own, place[i : i + 1])[0])
        return Ragged.pack(parts)
    h, w = masks.shape[-2:]
    n, count = place.shape[1:]
    cell = cells.at(h, w)
    if masks.dim() == 4:
        part = torch.gather(place, 2, cell[:, None].expand(-1, n, -1)).view(-1, 1, n, h, w)
        block = torch.arange(count, device=masks.device).view(1, count, 1, 1, 1)
        # What lies beside the object's box goes with its largest part.
        shown = torch.where(part.clamp(min=0) == block, masks[:, None], torch.zeros_like(masks[:, None]))
        return shown.flatten(1, 2)
    if not masks.is_floating_point() and (masks.dtype == torch.bool or n * count > torch.iinfo(masks.dtype).max):
        masks = masks.to(torch.int32)  # more rows than its numbers reach
    flat = masks.flatten(1).to(torch.int64)
    known = (flat > 0) & (flat <= n)
    row = torch.where(known, flat - 1, 0)
    part = torch.gather(place.flatten(1), 1, row * count + cell).clamp(min=0) if n else row
    return torch.where(known, part * n + row + 1, 0).view(masks.shape).to(masks.dtype)
