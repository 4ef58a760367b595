"""Objects in the output of a pipeline: boxes, rotated boxes, keypoints, directions and labels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gpuaug.data.instances import BboxParams, Instances, KeypointParams
from gpuaug.data.ragged import Ragged
from gpuaug.geometry import masks as msk
from gpuaug.geometry import points as pts
from gpuaug.geometry import polygons as poly
from gpuaug.geometry.canvas import Canvas
from gpuaug.transforms.track import Check, Clamp, Stage, Track, gated, passed

__all__ = ["move"]

PER_SIDE = 8
"""Points along each side of a rotated box, where a displacement field bends sides."""


def move(
    instances: Instances,
    path: Track,
    bbox: BboxParams,
    keypoint: KeypointParams,
    mirror_labels: dict[int, int] | None,
    masks: Any = None,
    box_format: str = "xyxy",
    source: Canvas | None = None,
    way: Track | None = None,
) -> Instances:
    """Return the objects in the output; their masks are pixels, which move elsewhere.

    Args:
        instances: the objects in the input.
        path: the maps of the pipeline.
        bbox: which objects survive, and how boxes are boxed again.
        keypoint: which keypoints a mirror exchanges, and what their direction is called.
        mirror_labels: classes that a mirror exchanges.
        masks: the moved masks; None leaves those of `instances`.
        box_format: what the boxes are written as: with "xyxyxyxy" moved corners are kept as they are.
        source: canvas of the input, for boxes of masks.
        way: the keypoints' path, where it is not that of the boxes.
    """
    out = instances if masks is None else instances.with_(masks=masks)
    rotated = out.boxes is not None and out.boxes.shape[-1] == 8
    mirrored = path.mirrored()[:, None] if mirror_labels or keypoint.flip_pairs or rotated else None
    columns = dict(out.columns)
    if out.boxes is not None:
        if bbox.angle in columns:
            middle = out.boxes.unflatten(-1, (-1, 2)).mean(-2)
            columns[bbox.angle] = _turned(path, middle, columns[bbox.angle])
        if rotated:
            boxes, valid = _move_quads(path, out.boxes, out.valid, bbox, box_format == "xyxyxyxy", out.share)
        elif bbox.rotate_method == "mask" and masks is not None and source is not None:
            boxes, valid = _box_masks(path, instances, masks, source, bbox)
        else:
            boxes, valid = path.move_boxes(out.boxes, out.valid, bbox, out.share)
        out = out.with_(boxes=boxes, valid=valid)
    if out.keypoints is not None:
        b, n, k, _ = out.keypoints.shape
        known = out.visible if out.visible is not None else torch.full_like(out.keypoints[..., 0], 2).to(torch.int64)
        given = out.keypoints.flatten(1, 2)
        points, seen = (way or path).move_points(given, (known > 0).flatten(1))
        found = {"visible": torch.where(seen.view(b, n, k), known, torch.zeros_like(known))}
        found["points"] = points.view(b, n, k, 2)
        if keypoint.angle in columns:
            found["angle"] = _turned(path, given, columns[keypoint.angle].flatten(1)).view(b, n, k)
        if mirrored is not None and keypoint.flip_pairs:
            order = keypoint.permutation(k)
            for name, value in found.items():
                other = torch.stack([value[:, :, i] for i in order], 2)
                found[name] = gated(mirrored[:, 0], other, value)
        if keypoint.angle in columns:
            columns[keypoint.angle] = found["angle"]
        out = out.with_(keypoints=found["points"], visible=found["visible"])
    if mirror_labels and mirrored is not None and out.labels is not None:
        labels = out.labels
        both = {**mirror_labels, **{v: k for k, v in mirror_labels.items()}}
        swapped = labels
        for old, new in both.items():
            swapped = torch.where(labels == old, torch.full_like(labels, new), swapped)
        out = out.with_(labels=torch.where(mirrored, swapped, labels))
    out = out.with_(columns=columns)
    return out if bbox.max_objects is None else out.first(bbox.max_objects)


def _turned(path: Track, points: Tensor, degrees: Tensor) -> Tensor:
    moved = path.move_angles(points, degrees)
    return moved.to(degrees.dtype if degrees.is_floating_point() else torch.float32)


def _move_quads(
    path: Track, boxes: Tensor, valid: Tensor, params: BboxParams, as_corners: bool, share: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return rotated boxes (B, N, 8) in the output, and which of those `valid` (B, N) are still objects.

    Three polygons go along: the whole box; what the canvases have left of it; and what is returned, which is the
    whole box unless it was clamped.
    """
    quads = boxes.to(path.total.dtype).unflatten(-1, (4, 2))
    bends = any(stage.field is not None for stage in path.stages)
    side = PER_SIDE if bends else 1
    whole = left = shape = poly.subdivide(quads, side)

    for step in path.steps:
        if isinstance(step, Check):
            here, rest = (step.shapes(shape), step.shapes(left))
            size = poly.rectangle(here[..., ::side, :], here)[..., 2:4].amin(-1)
            valid = valid & passed(step, size, poly.area(poly.clip(rest, step.canvas)))
        elif isinstance(step, Clamp):
            if step.hard:
                raise ValueError("ClampBoundingBoxes: clamping_mode must be 'soft' for rotated boxes, got 'hard'")
            inner = poly.rectangle(shape[..., ::side, :], poly.clip(shape, step.canvas))
            shape = gated(step.gate, poly.subdivide(poly.corners(inner), side), shape)
        elif isinstance(step, Stage):
            if step.keeps is not None:
                valid = valid & pts.centred(torch.cat((whole.amin(-2), whole.amax(-2)), dim=-1), step.keeps)
            moved = step.shapes(whole)
            shape = moved if shape is whole else step.shapes(shape)
            left = poly.clip(step.shapes(left), step.canvas) if step.cuts else step.shapes(left)
            whole = moved
    corners = shape[..., ::side, :]
    mirrored = path.mirrored()[:, None, None, None]
    corners = torch.where(mirrored, poly.mirror(corners), corners)
    box = poly.rectangle(corners, shape)
    if bends and not as_corners:
        corners = poly.corners(box)
    size, seen, all_ = box[..., 2:4], poly.area(left), poly.area(whole)
    valid = valid & (seen > 1e-9 * all_) & (seen >= params.min_area)
    shown = seen if share is None else seen * share
    valid = valid & (shown >= (params.min_visibility - 1e-6) * all_)
    if params.min_size > 0:
        valid = valid & (size.amin(-1) >= params.min_size)
    if params.max_aspect is not None:
        valid = valid & (size.amax(-1) <= params.max_aspect * size.amin(-1))
    return corners.flatten(-2).to(boxes.dtype), valid


def _box_masks(path: Track, rows: Instances, masks: Any, source: Canvas, params: BboxParams) -> tuple[Tensor, Tensor]:
    """Return the boxes (B, N, 4) of moved masks, and which objects still have a pixel and pass."""
    assert rows.boxes is not None and rows.masks is not None
    count, canvas = rows.valid.shape[1], path.stages[-1].canvas
    if isinstance(masks, Ragged):
        boxes = torch.stack([msk.boxes(one[None], count, (one.shape[1], one.shape[2]))[0] for one in masks])
        area = torch.stack([msk.count(one[None], count)[0] for one in masks])
    else:
        boxes = msk.boxes(masks, count, canvas)
        area = msk.count(masks, count) * (canvas[0] * canvas[1] / (masks.shape[-2] * masks.shape[-1]))
    width, height = boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]
    valid = rows.valid & (width > 0) & (area >= params.min_area)
    if any(isinstance(step, Check) for step in path.steps):
        valid = valid & path.move_boxes(rows.boxes, rows.valid, BboxParams())[1]
    if params.min_size > 0:
        valid = valid & (torch.minimum(width, height) >= params.min_size)
    if params.max_aspect is not None:
        valid = valid & (torch.maximum(width, height) <= params.max_aspect * torch.minimum(width, height))
    if params.min_visibility > 0:  # of the pixels of the original mask, those whose centre is still in view
        h, w = rows.masks.shape[-2:]
        x = (torch.arange(w, device=masks.device, dtype=path.total.dtype) + 0.5) * (source[1] / w)
        y = (torch.arange(h, device=masks.device, dtype=path.total.dtype) + 0.5) * (source[0] / h)
        centres = torch.stack((x.expand(h, w), y[:, None].expand(h, w)), dim=-1).flatten(0, 1)
        centres = centres.expand(masks.shape[0], -1, -1)
        _, seen = path.move_points(centres, torch.ones_like(centres[..., 0], dtype=torch.bool))
        view = seen.view(-1, 1, h, w) if rows.masks.dim() == 4 else seen.view(-1, h, w)
        before, left = rows.masks, torch.where(view, rows.masks, torch.zeros_like(rows.masks))
        shown = msk.count(left, count) if rows.share is None else msk.count(left, count) * rows.share
        valid = valid & (shown >= (params.min_visibility - 1e-6) * msk.count(before, count))
    return boxes.to(rows.boxes.dtype), valid
