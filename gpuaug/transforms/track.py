"""What a pipeline does to annotations: the composed maps, cut where crops cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gpuaug.data.instances import BboxParams, Instances, KeypointParams
from gpuaug.geometry import bend
from gpuaug.geometry import matrix as mat
from gpuaug.geometry import points as pts
from gpuaug.geometry.canvas import Canvas, following

if TYPE_CHECKING:
    from gpuaug.transforms.layer import Context, Node

__all__ = ["Track", "move", "moves", "track"]

FOLD = 0.25
"""Pixels: a point that Newton's method leaves farther off lies in a fold of its field."""


def moves(values: dict[str, Tensor]) -> bool:
    """Tell whether what was drawn for a transform moves pixels."""
    return "matrix" in values or "field" in values


@dataclass
class _Stage:
    """A map, after which everything outside the canvas is gone: a matrix (B, 3, 3) or a displacement field."""

    canvas: Canvas
    matrix: Tensor | None = None
    field: Tensor | None = None

    def points(self, points: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return points (B, M, 2) after the map, and which of them have a place; None for all."""
        if self.field is None:
            assert self.matrix is not None
            return mat.apply(self.matrix, points), None
        moved, rest = bend.forward(self.field, points)
        return moved, rest <= FOLD

    def boxes(self, boxes: Tensor, method: str) -> Tensor:
        """Return boxes (B, N, 4) around boxes after the map."""
        if self.matrix is not None:
            return (pts.bounds if method == "largest_box" else pts.ellipse_bounds)(self.matrix, boxes)
        outline = pts.outline(boxes, method)  # (B, N, K, 2)
        moved, ok = self.points(outline.flatten(1, 2))
        assert ok is not None
        moved, seen = moved.unflatten(1, outline.shape[1:3]), ok.unflatten(1, outline.shape[1:3])[..., None]
        far = torch.full_like(moved, torch.inf)
        low, high = torch.where(seen, moved, far).amin(-2), torch.where(seen, moved, -far).amax(-2)
        return torch.cat((low, torch.maximum(low, high)), dim=-1).nan_to_num(0.0, 0.0, 0.0)


@dataclass
class Track:
    """The maps of a pipeline, in order; the last canvas is the output's."""

    stages: list[_Stage]
    total: Tensor
    """(B, 3, 3): all of them."""

    def move_points(self, points: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Return points (B, M, 2) in the output, and which of those `seen` (B, M) are still seen."""
        out = points.to(self.total.dtype)
        for stage in self.stages:
            out, placed = stage.points(out)
            seen = seen & pts.inside(out, stage.canvas)
            if placed is not None:
                seen = seen & placed
        return out.to(points.dtype), seen

    def move_boxes(self, boxes: Tensor, valid: Tensor, params: BboxParams) -> tuple[Tensor, Tensor]:
        """Return boxes (B, N, 4) in the output, and which of those `valid` (B, N) are still objects."""
        out = whole = boxes.to(self.total.dtype)
        for stage in self.stages:
            out = pts.clip(stage.boxes(out, params.rotate_method), stage.canvas)
        width, height = out[..., 2] - out[..., 0], out[..., 3] - out[..., 1]
        left = width * height
        valid = valid & (width > 0) & (height > 0) & (left >= params.min_area)
        if params.min_size > 0:
            valid = valid & (torch.minimum(width, height) >= params.min_size)
        if params.max_aspect is not None:
            valid = valid & (torch.maximum(width, height) <= params.max_aspect * torch.minimum(width, height))
        if params.min_visibility > 0:
            for stage in self.stages:
                whole = stage.boxes(whole, params.rotate_method)
            valid = valid & (left >= (params.min_visibility - 1e-6) * pts.area(whole))
        return out.to(boxes.dtype), valid

    def mirrored(self) -> Tensor:
        """Tell which samples (B,) are mirrored."""
        m = self.total
        negative: Tensor = (m[..., 0, :] * torch.linalg.cross(m[..., 1, :], m[..., 2, :])).sum(-1) < 0
        return negative


def track(nodes: Sequence[Node], contexts: Sequence[Context], drawn: dict[str, dict[str, Tensor]]) -> Track | None:
    """Follow a pipeline; None where nothing moves."""
    canvas: Canvas = (0, 0)
    stages: list[_Stage] = []
    pending: Tensor | None = None
    total: Tensor | None = None
    for node, context in zip(nodes, contexts, strict=False):
        transform: Any = node.transform
        values = drawn[node.name]
        if not moves(values):
            continue
        if "field" in values:  # a pass of its own, which cuts on both sides
            if pending is not None:
                stages.append(_Stage(context.canvas, pending))
            pending = None
            canvas = context.canvas
            stages.append(_Stage(canvas, field=values["field"]))
            identity = mat.scale_shift(1.0, 0.0, 1.0, 0.0, context.like)
            total = identity if total is None else total
            continue
        if transform.pads and pending is not None:  # what is outside now is not shown later
            stages.append(_Stage(context.canvas, pending))
            pending = None
        matrix = values["matrix"]
        pending = matrix if pending is None else matrix @ pending
        total = matrix if total is None else matrix @ total
        canvas = following(context.canvas, transform.output_canvas)
        if transform.cuts:
            stages.append(_Stage(canvas, pending))
            pending = None
    if pending is not None:
        stages.append(_Stage(canvas, pending))
    return None if total is None else Track(stages, total)


def move(
    instances: Instances,
    path: Track,
    bbox: BboxParams,
    keypoint: KeypointParams,
    mirror_labels: dict[int, int] | None,
) -> Instances:
    """Return the objects in the output: boxes, keypoints and labels; masks are pixels, and move elsewhere."""
    out = instances
    mirrored = path.mirrored()[:, None] if mirror_labels or keypoint.flip_pairs else None
    if out.boxes is not None:
        boxes, valid = path.move_boxes(out.boxes, out.valid, bbox)
        out = out.with_(boxes=boxes, valid=valid)
    if out.keypoints is not None:
        b, n, k, _ = out.keypoints.shape
        known = out.visible if out.visible is not None else torch.full_like(out.keypoints[..., 0], 2).to(torch.int64)
        points, seen = path.move_points(out.keypoints.flatten(1, 2), (known > 0).flatten(1))
        visible = torch.where(seen.view(b, n, k), known, torch.zeros_like(known))
        points = points.view(b, n, k, 2)
        if mirrored is not None and keypoint.flip_pairs:
            order = keypoint.permutation(k)
            points = torch.where(mirrored[..., None, None], torch.stack([points[:, :, i] for i in order], 2), points)
            visible = torch.where(mirrored[..., None], torch.stack([visible[:, :, i] for i in order], 2), visible)
        out = out.with_(keypoints=points, visible=visible)
    if mirror_labels and mirrored is not None and out.labels is not None:
        labels = out.labels
        both = {**mirror_labels, **{v: k for k, v in mirror_labels.items()}}
        swapped = labels
        for old, new in both.items():
            swapped = torch.where(labels == old, torch.full_like(labels, new), swapped)
        out = out.with_(labels=torch.where(mirrored, swapped, labels))
    return out if bbox.max_objects is None else out.first(bbox.max_objects)
