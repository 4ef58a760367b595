"""What a pipeline does to annotations: the composed maps, cut where crops cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gpuaug.data.instances import BboxParams, Instances, KeypointParams
from gpuaug.geometry import matrix as mat
from gpuaug.geometry import points as pts
from gpuaug.sampling.params import Params

if TYPE_CHECKING:
    from gpuaug.transforms.layer import Context, Node

__all__ = ["Track", "move", "track"]

Canvas = tuple[int, int]


@dataclass
class _Stage:
    """A map (B, 3, 3), after which everything outside the canvas is gone."""

    matrix: Tensor
    canvas: Canvas


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
            out = mat.apply(stage.matrix, out)
            seen = seen & pts.inside(out, stage.canvas)
        return out.to(points.dtype), seen

    def move_boxes(self, boxes: Tensor, valid: Tensor, params: BboxParams) -> tuple[Tensor, Tensor]:
        """Return boxes (B, N, 4) in the output, and which of those `valid` (B, N) are still objects."""
        around = pts.bounds if params.rotate_method == "largest_box" else pts.ellipse_bounds
        out = boxes.to(self.total.dtype)
        for stage in self.stages:
            out = pts.clip(around(stage.matrix, out), stage.canvas)
        width, height = out[..., 2] - out[..., 0], out[..., 3] - out[..., 1]
        left = width * height
        valid = valid & (width > 0) & (height > 0) & (left >= params.min_area)
        if params.min_size > 0:
            valid = valid & (torch.minimum(width, height) >= params.min_size)
        if params.max_aspect is not None:
            valid = valid & (torch.maximum(width, height) <= params.max_aspect * torch.minimum(width, height))
        if params.min_visibility > 0:
            whole = pts.area(around(self.total, boxes.to(self.total.dtype)))
            valid = valid & (left >= (params.min_visibility - 1e-6) * whole)
        return out.to(boxes.dtype), valid

    def mirrored(self) -> Tensor:
        """Tell which samples (B,) are mirrored."""
        m = self.total
        negative: Tensor = (m[..., 0, :] * torch.linalg.cross(m[..., 1, :], m[..., 2, :])).sum(-1) < 0
        return negative


def track(nodes: Sequence[Node], contexts: Sequence[Context], params: Params) -> Track | None:
    """Follow a pipeline; None where nothing moves."""
    canvas = (0, 0)
    stages: list[_Stage] = []
    pending: Tensor | None = None
    total: Tensor | None = None
    for node, context in zip(nodes, contexts, strict=True):
        transform: Any = node.transform
        if "matrix" not in params.values[node.name]:
            continue
        if transform.pads and pending is not None:  # what is outside now is not shown later
            stages.append(_Stage(pending, context.canvas))
            pending = None
        matrix = params.values[node.name]["matrix"]
        pending = matrix if pending is None else matrix @ pending
        total = matrix if total is None else matrix @ total
        canvas = transform.output_canvas(context.canvas)
        if transform.cuts:
            stages.append(_Stage(pending, canvas))
            pending = None
    if pending is not None:
        stages.append(_Stage(pending, canvas))
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
