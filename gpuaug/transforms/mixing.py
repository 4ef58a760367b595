"""Objects where samples of a batch meet: whose are seen, and what of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gpuaug.data.instances import BboxParams, Instances, KeypointParams
from gpuaug.geometry import masks as msk
from gpuaug.geometry import points as pts
from gpuaug.geometry import polygons as poly
from gpuaug.geometry.canvas import Canvas, Sizes, rectangle
from gpuaug.transforms.move import move
from gpuaug.transforms.track import Stage, Track

__all__ = ["Group", "boxed_again", "gather", "grouped", "merged", "uncovered"]


@dataclass
class Group:
    """The objects of one sample, its own or another's, on the canvas after a mix: a row of samples (B,).

    Or those of K samples in a row: then `index`, `matrix` and `within` are (B, K, ...), and nothing else is given.
    """

    index: Tensor | None = None
    """(B,) int64: whose; None is each sample's own."""
    matrix: Tensor | None = None
    """(B, 3, 3): positions on that sample -> on the canvas; None is the identity. Axes stay axes."""
    within: Tensor | None = None
    """(B, 4): the part of the canvas where that sample is seen; one without area drops all; None is all of it."""
    hole: Tensor | None = None
    """(B, 4): a part of the canvas where it is not seen."""
    hidden: Tensor | None = None
    """(B, H, W) bool on the canvas: pixels where it is not seen."""
    chosen: Tensor | None = None
    """(B, N) bool: which rows of that sample come along; None is all."""
    below: Tensor | None = None
    """(B,) bool: where objects of earlier groups stay on top in an index map; None is nowhere."""

    def each(self) -> list[Group]:
        """Return a group for each of K samples."""
        if self.index is None or self.index.dim() == 1:
            return [self]
        places = range(self.index.shape[1])
        return [
            Group(*(None if v is None else v[:, k] for v in (self.index, self.matrix, self.within))) for k in places
        ]


def gather(rows: Instances, index: Tensor) -> Instances:
    """Return the objects of the samples `index` (B,)."""
    return rows.map(lambda t: t.index_select(0, index))


def grouped(
    rows: Instances,
    groups: Sequence[Group],
    canvas: Canvas,
    keypoint: KeypointParams,
    mirror_labels: dict[int, int],
    like: Tensor,
    measured: bool = True,
) -> Instances:
    """Return the objects of all groups on a canvas, one group's rows after another's; masks move elsewhere.

    Only where it is `measured` they know how much is left of them.
    """
    parts = [_part(rows.with_(masks=None), group, canvas, keypoint, mirror_labels, like, measured) for group in groups]
    if len(parts) == 1:
        return parts[0]
    fields: dict[str, Any] = {}
    for name in ("valid", "boxes", "labels", "keypoints", "visible", "share"):
        values = [getattr(part, name) for part in parts]
        fields[name] = None if values[0] is None else torch.cat(values, dim=1)
    columns = {key: torch.cat([part.columns[key] for part in parts], dim=1) for key in rows.columns}
    return Instances(**fields, columns=columns)


def _part(
    rows: Instances,
    group: Group,
    canvas: Canvas,
    keypoint: KeypointParams,
    mirror_labels: dict[int, int],
    like: Tensor,
    measured: bool,
) -> Instances:
    if group.index is not None and group.index.dim() == 2:
        count, several = group.index.shape[1], (group.index, group.matrix, group.within)
        flat = Group(*(None if v is None else v.flatten(0, 1) for v in several))
        each = like.new_empty(like.shape[0] * count)
        found = _part(rows, flat, canvas, keypoint, mirror_labels, each, measured)
        return found.map(lambda t: t.unflatten(0, (-1, count)).flatten(1, 2))
    if group.index is not None:
        rows = gather(rows, group.index)
    if group.chosen is not None:
        rows = rows.with_(valid=rows.valid & group.chosen)
    if group.matrix is not None:
        path = Track([Stage(canvas, group.matrix, cuts=False)], group.matrix)
        form = "xyxyxyxy" if rows.boxes is not None and rows.boxes.shape[-1] == 8 else "xyxy"
        rows = move(rows, path, BboxParams(format=form), keypoint, mirror_labels, None, form)
    if rows.keypoints is not None and rows.visible is None:
        rows = rows.with_(visible=torch.full_like(rows.keypoints[..., 0], 2).to(torch.int64))
    within = rectangle(canvas, like).expand(like.shape[0], 4) if group.within is None else group.within
    return _seen(rows, within, group.hole, group.hidden, measured)


def _seen(rows: Instances, within: Tensor, hole: Tensor | None, hidden: Tensor | None, measured: bool) -> Instances:
    """Return objects of which only the part within rectangles (B, 4) and not in a hole is seen."""
    if rows.boxes is not None and rows.boxes.shape[-1] == 4:
        boxes = rows.boxes.to(within.dtype)
        left = _clipped(boxes, within)
        seen = pts.area(left)
        if hole is not None:
            lost = pts.area(_clipped(left, hole))
            left, seen = _without(left, hole), seen - lost
        rows = _left(rows.with_(boxes=left.to(rows.boxes.dtype)), seen, pts.area(boxes), measured)
    elif rows.boxes is not None:
        quads = rows.boxes.to(within.dtype).unflatten(-1, (4, 2))
        seen = _polygon_area(quads, within)
        if hole is not None:
            low = torch.maximum(within[:, :2], hole[:, :2])
            seen = seen - _polygon_area(quads, torch.cat((low, torch.minimum(within[:, 2:], hole[:, 2:])), dim=-1))
        rows = _left(rows, seen, poly.area(quads), measured)
    else:
        rows = rows.with_(valid=rows.valid & (within[:, None, 2:] > within[:, None, :2]).all(-1))
    if rows.keypoints is not None and rows.visible is not None:
        points = rows.keypoints.to(within.dtype)
        there = _holds(within, points)
        if hole is not None:
            there = there & ~_holds(hole, points)
        if hidden is not None:
            there = there & ~pts.read(hidden, points.flatten(1, 2)).view(there.shape)
        rows = rows.with_(visible=torch.where(there, rows.visible, torch.zeros_like(rows.visible)))
    return rows


def _left(rows: Instances, seen: Tensor, whole: Tensor, measured: bool) -> Instances:
    """Return objects of whose `whole` area (B, N) some is `seen`: without those of which nothing is."""
    rows = rows.with_(valid=rows.valid & (seen > 1e-6 * whole))
    if not measured:
        return rows
    part = (seen / whole.clamp(min=1e-12)).to(torch.float32)
    return rows.with_(share=part if rows.share is None else rows.share * part)


def _clipped(boxes: Tensor, within: Tensor) -> Tensor:
    """Return the part of boxes (B, N, 4) within rectangles (B, 4); of no area where there is none."""
    low = torch.maximum(boxes[..., :2], within[:, None, :2])
    high = torch.minimum(boxes[..., 2:], within[:, None, 2:])
    return torch.cat((low, torch.maximum(low, high)), dim=-1)


def _without(boxes: Tensor, hole: Tensor) -> Tensor:
    """Return the boxes around what is left of boxes (B, N, 4) without rectangles (B, 4)."""
    x0, y0, x1, y1 = boxes.unbind(-1)
    a, b, c, d = hole[:, None].unbind(-1)
    tall, wide = (b <= y0) & (d >= y1), (a <= x0) & (c >= x1)
    # A hole over the whole height cuts the box from a side; one in the middle leaves it as it is.
    left = torch.where(tall & (a <= x0) & (c > x0), torch.minimum(c, x1), x0)
    right = torch.where(tall & (c >= x1) & (a < x1), torch.maximum(a, x0), x1)
    top = torch.where(wide & (b <= y0) & (d > y0), torch.minimum(d, y1), y0)
    bottom = torch.where(wide & (d >= y1) & (b < y1), torch.maximum(b, y0), y1)
    return torch.stack((left, top, torch.maximum(left, right), torch.maximum(top, bottom)), dim=-1)


def _polygon_area(quads: Tensor, within: Tensor) -> Tensor:
    """Return the area (B, N) of polygons (B, N, 4, 2) within rectangles (B, 4)."""
    size = (within[:, 2:] - within[:, :2]).clamp(min=0)
    canvas = Sizes(size[:, 1], size[:, 0], ())
    return poly.area(poly.clip(quads - within[:, None, None, :2], canvas))


def _holds(rectangles: Tensor, points: Tensor) -> Tensor:
    """Tell which points (B, N, K, 2) lie in rectangles (B, 4), their border included; none in one without area."""
    low, high = rectangles[:, None, None, :2], rectangles[:, None, None, 2:]
    held: Tensor = ((points >= low) & (points <= high) & (high > low)).all(-1)
    return held


def merged(parts: Sequence[Tensor], groups: Sequence[Group], rows: int) -> Tensor:
    """Return masks of all groups: planes (B, N, h, w) one after another, or one index map (B, h, w) of all rows."""
    if parts[0].dim() == 4:
        return torch.cat(list(parts), dim=1)
    out = parts[0]
    if not out.is_floating_point() and (out.dtype == torch.bool or rows * len(parts) > torch.iinfo(out.dtype).max):
        out = out.to(torch.int32)  # more rows than its numbers reach
    for number, (part, group) in enumerate(zip(parts[1:], groups[1:], strict=True), 1):
        place = torch.arange(number * rows, (number + 1) * rows, device=part.device)
        part = msk.renumber(part.to(out.dtype), place.expand(part.shape[0], rows))
        on_top = part != 0
        if group.below is not None:
            on_top = on_top & (~group.below[:, None, None] | (out == 0))
        out = torch.where(on_top, part, out)
    return out


def uncovered(masks: Tensor, group: Group, canvas: Canvas) -> Tensor:
    """Return masks (B, N, h, w) or an index map (B, h, w), cleared where a group is not seen or not chosen."""
    h, w = masks.shape[-2:]
    if group.chosen is not None and masks.dim() == 4:
        masks = masks * group.chosen[:, :, None, None].to(masks.dtype)
    elif group.chosen is not None:
        place = torch.arange(group.chosen.shape[1], device=masks.device).expand_as(group.chosen)
        masks = msk.renumber(masks, torch.where(group.chosen, place, torch.full_like(place, -1)))
    hidden = group.hidden
    if group.hole is not None:
        sides = ((w, canvas[1]), (h, canvas[0]))
        gx, gy = ((torch.arange(n, device=masks.device) + 0.5) * (span / n) for n, span in sides)
        hole = group.hole[:, :, None, None]
        covered = (gx >= hole[:, 0]) & (gx < hole[:, 2]) & (gy[:, None] >= hole[:, 1]) & (gy[:, None] < hole[:, 3])
        hidden = covered if hidden is None else hidden | covered
    if hidden is None:
        return masks
    if tuple(hidden.shape[1:]) != (h, w):
        hidden = torch.nn.functional.interpolate(hidden[:, None].float(), (h, w), mode="nearest-exact")[:, 0] > 0
    return torch.where(hidden if masks.dim() == 3 else hidden[:, None], torch.zeros_like(masks), masks)


def boxed_again(rows: Instances, masks: Tensor, groups: Sequence[Group], canvas: Canvas) -> Instances:
    """Return objects of groups that lost single pixels with the boxes of what their masks have left."""
    if rows.boxes is None or rows.boxes.shape[-1] == 8 or all(group.hidden is None for group in groups):
        return rows
    count = rows.valid.shape[1]
    boxes = msk.boxes(masks, count, canvas).to(rows.boxes.dtype)
    each = count // len(groups)
    new, valid = [], []
    for number, group in enumerate(groups):
        part = slice(number * each, (number + 1) * each)
        ok = rows.valid[:, part]
        if group.hidden is None:
            new.append(rows.boxes[:, part])
        else:
            new.append(boxes[:, part])
            ok = ok & (boxes[:, part, 2] > boxes[:, part, 0])
        valid.append(ok)
    return rows.with_(boxes=torch.cat(new, dim=1), valid=torch.cat(valid, dim=1))
