"""Objects where samples of a batch meet: whose are seen, and what of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from gpuaug.data.instances import BboxParams, Instances, KeypointParams
from gpuaug.geometry import masks as msk
from gpuaug.geometry import points as pts
from gpuaug.geometry import polygons as poly
from gpuaug.geometry.canvas import Canvas, Sizes, rectangle
from gpuaug.render.mixes import inside
from gpuaug.render.pick import pick
from gpuaug.render.plan import Pass
from gpuaug.render.settings import Reading
from gpuaug.render.values import rows_of
from gpuaug.render.warp import Warp
from gpuaug.transforms.move import move
from gpuaug.transforms.track import Stage, Track

__all__ = ["Group", "gather", "grouped", "measured_again", "merged", "placed", "uncovered"]


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
    """(B, H, W) bool on the canvas: pixels where something else lies over it; its keypoints there are hidden."""
    chosen: Tensor | None = None
    """(B, N) bool: which rows of that sample come along; None is all."""
    below: Tensor | None = None
    """(B,) bool: where objects of earlier groups stay on top in an index map; None is nowhere."""
    tight: bool = False
    """Whether boxes are those of the masks on the canvas."""

    def each(self) -> list[Group]:
        """Return a group for each of K samples."""
        if self.index is None or self.index.dim() == 1:
            return [self]
        return [self.map(partial(torch.select, dim=1, index=k)) for k in range(self.index.shape[1])]

    def map(self, function: Callable[[Tensor], Tensor]) -> Group:
        """Return a group of which a function was applied to what there is of K samples."""
        index, matrix, within = (None if v is None else function(v) for v in (self.index, self.matrix, self.within))
        return Group(index, matrix, within)


def gather(rows: Instances, index: Tensor) -> Instances:
    """Return the objects of the samples `index` (B,)."""
    return rows.map(lambda t: rows_of(t, index))


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
        count, flat = group.index.shape[1], group.map(lambda t: t.flatten(0, 1))
        each = like.new_empty(like.shape[0] * count)
        found = _part(rows, flat, canvas, keypoint, mirror_labels, each, measured)
        return found.map(lambda t: t.unflatten(0, (-1, count)).flatten(1, 2))
    if group.index is not None:
        rows = gather(rows, group.index)
    if group.chosen is not None:
        rows = rows.with_(valid=rows.valid & group.chosen)
    narrow = None if rows.boxes is None else rows.boxes.dtype
    if rows.boxes is not None and narrow != like.dtype:  # once, and back at the end
        rows = rows.with_(boxes=rows.boxes.to(like.dtype))
    if group.matrix is not None:
        path = Track([Stage(canvas, group.matrix, cuts=False, straight=True)], group.matrix)
        form = "xyxyxyxy" if rows.boxes is not None and rows.boxes.shape[-1] == 8 else "xyxy"
        rows = move(rows, path, BboxParams(format=form), keypoint, mirror_labels, None, form)
    if rows.keypoints is not None and rows.visible is None:
        rows = rows.with_(visible=torch.full_like(rows.keypoints[..., 0], 2).to(torch.int64))
    within = rectangle(canvas, like).expand(like.shape[0], 4) if group.within is None else group.within
    found = _seen(rows, within, group.hole, group.hidden, measured)
    return found if found.boxes is None or narrow is None else found.with_(boxes=found.boxes.to(narrow))


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
        visible = torch.where(there, rows.visible, torch.zeros_like(rows.visible))
        if hidden is not None:
            covered = pts.read(hidden, points.flatten(1, 2)).view(there.shape)
            below = visible & ~covered if visible.dtype == torch.bool else visible.clamp(max=1)
            visible = torch.where(covered, below, visible)
        rows = rows.with_(visible=visible)
    return rows


def _left(rows: Instances, seen: Tensor, whole: Tensor, measured: bool) -> Instances:
    """Return objects of whose `whole` area (B, N) some is `seen`: without those of which nothing is."""
    if not measured:
        return rows.with_(valid=rows.valid & (seen > 1e-6 * whole))
    part = (seen / whole.clamp(min=1e-12)).to(torch.float32)
    rows = rows.with_(valid=rows.valid & (part > 1e-6))
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


def placed(masks: Tensor, group: Group, canvas: Canvas, after: Canvas, backend: str | None) -> Tensor:
    """Return the masks of a group's samples, planes (B, N, h, w) or an index map (B, h, w), on the canvas after."""
    if group.index is not None:
        masks = rows_of(masks, group.index)
    if group.matrix is None:
        return masks
    planes = masks if masks.dim() == 4 else masks[:, None]
    warp = Warp(group.matrix, "axis", Reading("nearest", False))
    moved = pick(planes, [Pass(after, warp=warp)], 0, canvas, backend)
    return moved if masks.dim() == 4 else moved[:, 0]


def uncovered(masks: Tensor, group: Group, canvas: Canvas) -> Tensor:
    """Return masks (B, N, h, w) or an index map (B, h, w), cleared where a group is not seen or not chosen."""
    if group.chosen is not None and masks.dim() == 4:
        masks = masks * group.chosen[:, :, None, None].to(masks.dtype)
    elif group.chosen is not None:
        place = torch.arange(group.chosen.shape[1], device=masks.device).expand_as(group.chosen)
        masks = msk.renumber(masks, torch.where(group.chosen, place, torch.full_like(place, -1)))
    hidden = group.hidden
    if hidden is not None:
        hidden = msk.at_size(hidden, masks.shape[-2:])
    for rectangle_, outside in ((group.within, True), (group.hole, False)):
        if rectangle_ is not None:
            there = _covered(rectangle_, masks, canvas)
            there = ~there if outside else there
            hidden = there if hidden is None else hidden | there
    if hidden is None:
        return masks
    return torch.where(hidden if masks.dim() == 3 else hidden[:, None], torch.zeros_like(masks), masks)


def _covered(rectangles: Tensor, masks: Tensor, canvas: Canvas) -> Tensor:
    """Return where (B, h, w) the centres of the pixels of masks (..., h, w) on a canvas lie in rectangles (B, 4)."""
    h, w = masks.shape[-2:]
    sides = ((w, canvas[1]), (h, canvas[0]))
    gx, gy = ((torch.arange(n, device=masks.device, dtype=rectangles.dtype) + 0.5) * (span / n) for n, span in sides)
    return inside(rectangles, gx, gy[:, None])


def measured_again(
    rows: Instances, whole: Sequence[Tensor], left: Sequence[Tensor], groups: Sequence[Group], canvas: Canvas
) -> Instances:
    """Return objects of groups of which single pixels are covered, by what of their `whole` masks is `left`.

    Boxes are those of what is left of the masks that lost some, objects without a pixel left are gone; what masks
    at a lower resolution than the canvas's say of a box is cut at the box as it was.
    """
    each = rows.valid.shape[1] // len(groups)
    boxes, valid, share = [], [], []
    for number, (group, before, after) in enumerate(zip(groups, whole, left, strict=True)):
        part = slice(number * each, (number + 1) * each)
        ok, old = rows.valid[:, part], None if rows.boxes is None else rows.boxes[:, part]
        rest = torch.ones_like(ok, dtype=torch.float32) if rows.share is None else rows.share[:, part]
        if group.hidden is not None or group.tight:
            area = msk.count(after, each)
            lost = None
            if not group.tight:
                had = msk.count(before, each)
                lost = area < had
                rest = torch.where(lost, rest * (area / had.clamp(min=1)), rest)
            ok = ok & (area > 0 if lost is None else (area > 0) | ~lost)
            if old is not None and old.shape[-1] == 4:
                new = _tight(msk.boxes(after, each, canvas).to(old.dtype), old, tuple(after.shape[-2:]) == canvas)
                old = new if lost is None else torch.where(lost[..., None], new, old)
        valid.append(ok)
        share.append(rest)
        boxes.append(old)
    found = None if rows.boxes is None else torch.cat([one for one in boxes if one is not None], dim=1)
    return rows.with_(boxes=found, valid=torch.cat(valid, dim=1), share=torch.cat(share, dim=1))


def _tight(found: Tensor, old: Tensor, exact: bool) -> Tensor:
    """Return boxes (B, N, 4) of masks; masks of a lower resolution know them to their own pixels only."""
    if exact:
        return found
    low, high = torch.maximum(found[..., :2], old[..., :2]), torch.minimum(found[..., 2:], old[..., 2:])
    return torch.where((high > low).all(-1, keepdim=True), torch.cat((low, high), dim=-1), found)
