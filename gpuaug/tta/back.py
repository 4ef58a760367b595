"""Predictions of a view, back in the frame of the images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gpuaug.data.instances import KeypointParams
from gpuaug.functional._moved import moved
from gpuaug.geometry import matrix as mat
from gpuaug.geometry.canvas import spans
from gpuaug.geometry.points import bounds, clip
from gpuaug.sampling.params import Params

__all__ = ["Frame"]

Size = tuple[int, int]


@dataclass(frozen=True)
class Frame:
    """How a view shows images: their canvas, the view's, and the map from one to the other."""

    source: Size
    view: Size
    matrix: Tensor
    """(B, 3, 3), from images to the view."""
    kind: Any
    projective: bool
    transposes: bool

    @classmethod
    def of(cls, params: Params, view: Size) -> Frame:
        """Return the frame of what was drawn.

        Raises:
            ValueError: where the view bends, or shuffles cells: there is no one map back.
        """
        if any("cells" in drawn for drawn in params.values.values()):
            raise ValueError("TTA: a view that shuffles cells has no one map back; use it with outputs='label' only")
        if any("field" in drawn for drawn in params.values.values()):
            raise ValueError("TTA: a view that bends has no way back for positions; use it with outputs='label' only")
        g = params.geometry
        return cls((params.canvas[0], params.canvas[1]), view, params.matrix, g.kind, g.projective, g.transposes)

    def rows(self, first: int, last: int) -> Frame:
        """Return the frame of some samples."""
        return Frame(self.source, self.view, self.matrix[first:last], self.kind, self.projective, self.transposes)

    def size_of(self, prediction: Tensor) -> Size:
        """Return the size in the images' frame of maps that have a fraction of the view's resolution."""
        h, w = prediction.shape[-2:]
        if self.kind == "lattice" and sorted(self.view) == sorted(self.source):
            return (w, h) if self.transposes and self.view != self.source else (h, w)
        sizes = (self.source[0] * h / self.view[0], self.source[1] * w / self.view[1])
        return (max(round(sizes[0]), 1), max(round(sizes[1]), 1))

    def maps(self, prediction: Tensor, size: Size) -> tuple[Tensor, Tensor]:
        """Return maps (B, C, h, w) on a canvas, and (B, 1, *size) how far each place was in view.

        Values are divided by that share: the border of a view takes nothing from outside it.
        """
        h, w = prediction.shape[-2:]
        like = torch.zeros_like(self.matrix[:, 0, 0])
        to_view = mat.scale_shift(self.view[1] / w, 0.0, self.view[0] / h, 0.0, like)
        to_output = mat.scale_shift(size[1] / self.source[1], 0.0, size[0] / self.source[0], 0.0, like)
        matrix = to_output @ mat.inverse(self.matrix) @ to_view
        shrinks = h * w > size[0] * size[1]
        ones = torch.ones_like(prediction[:, :1])
        out = moved(
            "TTA",
            torch.cat((prediction, ones), dim=1),
            lambda like, canvas: matrix.to(like),
            size,
            "warp" if self.kind == "warp" else "axis",
            shrink=4.0 if shrinks or self.kind == "warp" else 1.0,
            projective=self.projective,
            transposes=self.transposes,
            pads=True,
        )
        seen = out[:, -1:]
        return out[:, :-1] / seen.clamp(min=1e-6), torch.where(seen > 1e-3, seen, 0.0)

    def points(self, points: Tensor, scaled: bool, keypoints: KeypointParams) -> Tensor:
        """Return points (B, K, 2 or more), of which a mirror exchanged left and right."""
        wide = points[..., :2].to(self.matrix.dtype)
        shift = 0.5 if keypoints.origin == "center" and not scaled else 0.0
        if scaled:
            wide = wide * spans(self.view, wide)
        back = mat.apply(mat.inverse(self.matrix), wide + shift) - shift
        if scaled:
            back = back / spans(self.source, back)
        out = torch.cat((back.to(points.dtype), points[..., 2:]), dim=-1)
        if keypoints.flip_pairs:
            mirrored = torch.linalg.det(self.matrix[:, :2, :2]) < 0
            out = torch.where(mirrored[:, None, None], out[:, keypoints.permutation(out.shape[1])], out)
        return out

    def boxes(self, boxes: Tensor) -> Tensor:
        """Return boxes (B, N, 4) xyxy, boxed again, within the images."""
        back = bounds(mat.inverse(self.matrix), boxes.to(self.matrix.dtype))
        return clip(back, self.source).to(boxes.dtype)
