"""What a pipeline does to annotations: the composed maps, cut where crops cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gpuaug.data.instances import BboxParams
from gpuaug.geometry import bend
from gpuaug.geometry import matrix as mat
from gpuaug.geometry import points as pts
from gpuaug.geometry import polygons as poly
from gpuaug.geometry.canvas import Canvas, following, largest, numbers
from gpuaug.geometry.cells import Cells
from gpuaug.render.warp import RANKS
from gpuaug.sampling.params import Geometry

if TYPE_CHECKING:
    from gpuaug.transforms.layer import Context, Node

__all__ = ["Check", "Clamp", "Hide", "Stage", "Track", "count_of", "geometry_of", "moves", "still", "track"]

FOLD = 0.25
"""Pixels: a point that Newton's method leaves farther off lies in a fold of its field."""


def moves(node: Node, drawn: dict[str, dict[str, Tensor]]) -> bool:
    """Tell whether a transform moves pixels, or mixes those of samples, by what was drawn."""
    values = drawn[node.name]
    return not node.transform.mute and any(key in values for key in ("matrix", "field", "partner", "cells"))


def count_of(drawn: dict[str, dict[str, Tensor]], usual: int) -> int:
    """Return for how many samples something was drawn; a batch may have rows of earlier ones beside them."""
    for values in drawn.values():  # not `next` of a generator, which Dynamo of torch 2.8 cannot trace
        for value in values.values():
            return value.shape[0]
    return usual


@dataclass
class Stage:
    """A map: a matrix (B, 3, 3), a displacement field or cells; if it `cuts`, what is outside the canvas is gone."""

    canvas: Canvas
    matrix: Tensor | None = None
    field: Tensor | None = None
    cells: Cells | None = None
    cuts: bool = True
    keeps: Tensor | None = None
    """(B, 4): a rectangle before the map, outside which the centre of no object may lie."""
    straight: bool = False
    """Whether the matrix only scales and shifts, so that boxes stay boxes."""

    def points(self, points: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return points (B, M, 2) after the map, and which of them have a place; None for all."""
        if self.cells is not None:
            return self.cells.points(points)
        if self.field is None:
            assert self.matrix is not None
            return mat.apply(self.matrix, points), None
        moved, rest = bend.forward(self.field, points)
        return moved, rest <= FOLD

    def shapes(self, points: Tensor) -> Tensor:
        """Return polygons (B, N, K, 2) after the map."""
        moved, _ = self.points(points.flatten(1, 2))
        shaped: Tensor = moved.unflatten(1, points.shape[1:3])
        return shaped

    def boxes(self, boxes: Tensor, method: str) -> Tensor:
        """Return boxes (B, N, 4) around boxes after the map."""
        if self.matrix is not None and self.straight:
            return pts.straight_bounds(self.matrix, boxes)
        if self.matrix is not None:
            return (pts.bounds if method == "largest_box" else pts.ellipse_bounds)(self.matrix, boxes)
        outline = pts.outline(boxes, method)  # (B, N, K, 2)
        moved, ok = self.points(outline.flatten(1, 2))
        assert ok is not None
        moved, seen = moved.unflatten(1, outline.shape[1:3]), ok.unflatten(1, outline.shape[1:3])[..., None]
        far = torch.full_like(moved, torch.inf)
        low, high = torch.where(seen, moved, far).amin(-2), torch.where(seen, moved, -far).amax(-2)
        return torch.cat((low, torch.maximum(low, high)), dim=-1).nan_to_num(0.0, 0.0, 0.0)

    def directions(self, points: Tensor, vectors: Tensor) -> Tensor:
        """Return where vectors (B, M, 2) at points (B, M, 2) point after the map; their lengths mean nothing."""
        if self.cells is not None:
            return vectors
        if self.field is None:
            assert self.matrix is not None
            m = self.matrix
            moved = vectors @ m[..., :2, :2].transpose(-1, -2)
            place = points @ m[..., :2, :2].transpose(-1, -2) + m[..., None, :2, 2]
            depth = points @ m[..., 2:, :2].transpose(-1, -2) + m[..., None, 2:, 2]
            return moved * depth - place * (vectors @ m[..., 2:, :2].transpose(-1, -2))
        _, jacobian = bend.sample(self.field, bend.forward(self.field, points)[0])
        a, b = 1 + jacobian[..., 0, 0], jacobian[..., 0, 1]
        c, d = jacobian[..., 1, 0], 1 + jacobian[..., 1, 1]
        x, y = vectors.unbind(-1)
        return torch.stack((d * x - b * y, a * y - c * x), dim=-1) * (a * d - b * c).sign()[..., None]


@dataclass
class Check:
    """A place of the pipeline where objects that are too small then are no longer valid; nothing moves."""

    canvas: Canvas
    matrix: Tensor | None
    """(B, 3, 3) since the last stage; None is the identity."""
    min_size: float
    min_area: float
    gate: Tensor | None = None

    def shapes(self, points: Tensor) -> Tensor:
        """Return polygons (B, N, K, 2) at this place."""
        return points if self.matrix is None else Stage(self.canvas, self.matrix).shapes(points)


@dataclass
class Clamp:
    """A place of the pipeline where boxes, and only they, are cut at the canvas."""

    canvas: Canvas
    gate: Tensor | None = None
    hard: bool = False


@dataclass
class Hide:
    """A place of the pipeline where points are lost; nothing moves."""

    occluded: Tensor
    """(B, H, W) bool."""


@dataclass
class Track:
    """The maps of a pipeline, in order; the last canvas is the output's."""

    steps: list[Stage | Check | Clamp | Hide]
    total: Tensor
    """(B, 3, 3): all of them."""

    @property
    def stages(self) -> list[Stage]:
        """The maps alone."""
        return [step for step in self.steps if isinstance(step, Stage)]

    def move_angles(self, points: Tensor, degrees: Tensor) -> Tensor:
        """Return directions (B, M), degrees counter-clockwise, at points (B, M, 2) of the input, in the output."""
        place, vectors = points.to(self.total.dtype), poly.axis(degrees.to(self.total.dtype))
        for stage in self.stages:
            vectors = stage.directions(place, vectors)
            place, _ = stage.points(place)
        return poly.direction(vectors)

    def move_points(self, points: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Return points (B, M, 2) in the output, and which of those `seen` (B, M) are still seen."""
        out = points.to(self.total.dtype)
        for step in self.steps:
            if isinstance(step, Hide):
                seen = seen & ~pts.read(step.occluded, out)
            elif isinstance(step, Stage):
                out, placed = step.points(out)
                if step.cuts:
                    seen = seen & pts.inside(out, step.canvas)
                if placed is not None:
                    seen = seen & placed
        return out.to(points.dtype), seen

    def move_boxes(
        self, boxes: Tensor, valid: Tensor, params: BboxParams, share: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return boxes (B, N, 4) in the output, and which of those `valid` (B, N) are still objects.

        Of an object only a `share` (B, N) may be left already.
        """
        out = whole = boxes.to(self.total.dtype)
        method = "largest_box" if params.rotate_method == "mask" else params.rotate_method
        valid = valid & (boxes[..., 2:] > boxes[..., :2]).all(-1)  # a map would turn an inverted box into a whole one
        for step in self.steps:
            if isinstance(step, Check):
                here = out if step.matrix is None else Stage(step.canvas, step.matrix).boxes(out, method)
                here = pts.clip(here, step.canvas)
                width, height = here[..., 2] - here[..., 0], here[..., 3] - here[..., 1]
                valid = valid & passed(step, torch.minimum(width, height), width * height)
            elif isinstance(step, Clamp):
                out = gated(step.gate, pts.clip(out, step.canvas), out)
            elif isinstance(step, Stage):
                if step.keeps is not None:
                    valid = valid & pts.centred(out, step.keeps)
                moved = step.boxes(out, method)
                if params.min_visibility > 0:
                    whole = moved if whole is out else step.boxes(whole, method)
                out = pts.clip(moved, step.canvas) if step.cuts else moved
        valid = valid & (out[..., 2:] > out[..., :2]).all(-1)
        if not params.filters:
            return out.to(boxes.dtype), valid
        width, height = out[..., 2] - out[..., 0], out[..., 3] - out[..., 1]
        left, shorter = width * height, None
        if params.min_area > 0:
            valid = valid & (left >= params.min_area)
        if params.min_size > 0:
            shorter = torch.minimum(width, height)
            valid = valid & (shorter >= params.min_size)
        if params.max_aspect is not None:
            shorter = torch.minimum(width, height) if shorter is None else shorter
            valid = valid & (torch.maximum(width, height) <= params.max_aspect * shorter)
        if params.min_visibility > 0:
            shown = left if share is None else left * share
            valid = valid & (shown >= (params.min_visibility - 1e-6) * pts.area(whole))
        return out.to(boxes.dtype), valid

    def mirrored(self) -> Tensor:
        """Tell which samples (B,) are mirrored."""
        m = self.total
        negative: Tensor = (m[..., 0, :] * torch.linalg.cross(m[..., 1, :], m[..., 2, :])).sum(-1) < 0
        return negative


def gated(gate: Tensor | None, new: Tensor, old: Tensor) -> Tensor:
    """Return the new values of the samples that a gate takes."""
    return new if gate is None else torch.where(gate.view(-1, *([1] * (new.dim() - 1))), new, old)


def passed(step: Check, size: Tensor, area: Tensor) -> Tensor:
    """Tell which objects (B, N) are large enough for a check: their shorter side, and their area."""
    ok = (size >= step.min_size) & (area >= step.min_area)
    return gated(step.gate, ok, torch.ones_like(ok))


def still(canvas: Canvas, like: Tensor) -> Track:
    """Return the track of a pipeline that moves nothing; `like` is (B,) in the dtype of matrices."""
    identity = mat.scale_shift(1.0, 0.0, 1.0, 0.0, like)
    return Track([Stage(canvas, identity)], identity)


def track(
    nodes: Sequence[Node],
    contexts: Sequence[Context],
    drawn: dict[str, dict[str, Tensor]],
    hiding: bool = False,
) -> Track | None:
    """Follow a pipeline; None where nothing moves and no box is treated.

    With `hiding` also note what hides keypoints: not for boxes.
    """
    canvas: Canvas = (0, 0)
    stages: list[Stage | Check | Clamp | Hide] = []
    pending: Tensor | None = None
    total: Tensor | None = None
    for node, context in zip(nodes, contexts[: len(nodes)], strict=True):
        transform: Any = node.transform
        values = drawn[node.name]
        if transform.treats_boxes:
            canvas = context.canvas
            step = transform.step(canvas, pending, values.get("gate"))
            if isinstance(step, Clamp) and pending is not None:
                stages.append(Stage(canvas, pending, cuts=False))
                pending = None
            if step is not None:
                stages.append(step)
            continue
        if hiding and transform.hide_keypoints:
            canvas = context.canvas
            if pending is not None:
                stages.append(Stage(canvas, pending))
                pending = None
            stages.append(Hide(transform.occluded(values, largest(canvas))))
            continue
        if not moves(node, drawn):
            continue
        if "field" in values or "cells" in values:  # a pass of its own, which cuts on both sides
            if pending is not None:
                stages.append(Stage(context.canvas, pending))
            pending = None
            canvas = context.canvas
            cells = transform.exchange(values, canvas) if "cells" in values else None
            stages.append(Stage(canvas, field=values.get("field"), cells=cells))
            identity = mat.scale_shift(1.0, 0.0, 1.0, 0.0, context.like)
            total = identity if total is None else total
            continue
        keeps = transform.keeps(values, context)
        # What is outside now is not shown later; and centres are those of the boxes as they are now.
        if (transform.pads or keeps is not None) and pending is not None:
            stages.append(Stage(context.canvas, pending))
            pending = None
        matrix = values["matrix"]
        pending = matrix if pending is None else matrix @ pending
        total = matrix if total is None else matrix @ total
        canvas = following(context.canvas, transform.output_canvas)
        if transform.cuts:
            stages.append(Stage(canvas, pending, keeps=keeps))
            pending = None
    if stages and total is None:
        total = mat.scale_shift(1.0, 0.0, 1.0, 0.0, contexts[0].like)
    if total is not None and pending is None and not (isinstance(stages[-1], Stage) and stages[-1].cuts):
        pending = mat.scale_shift(1.0, 0.0, 1.0, 0.0, contexts[0].like)  # the output's canvas cuts
    if pending is not None:
        stages.append(Stage(canvas, pending))
    return None if total is None else Track(stages, total)


def geometry_of(nodes: Sequence[Node], drawn: dict[str, dict[str, Tensor]], canvas: Canvas) -> Geometry:
    """Return what is known of the composed map of a pipeline on a canvas without looking at its numbers."""
    moving: list[Any] = [node.transform for node in nodes if moves(node, drawn)]
    for transform in moving:
        canvas = following(canvas, transform.output_canvas)
    maps = [transform for transform in moving if not transform.mixes]
    return Geometry(
        tuple(RANKS)[max([0, *[RANKS[m.kind] for m in maps]])],  # Dynamo of torch 2.8 knows no max(key=)
        any(m.projective for m in maps),
        any(m.transposes for m in maps),
        numbers(canvas),
    )
