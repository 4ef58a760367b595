"""What transforms share that cut a rectangle of each sample, or look at its objects before they do."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from gpuaug._arrays import arrays, cast
from gpuaug._compiling import stacked
from gpuaug.geometry import matrix as mat
from gpuaug.geometry import points as pts
from gpuaug.geometry.canvas import Canvas, ratio
from gpuaug.render.warp import Kind
from gpuaug.transforms.base import Drawn, Geometric, Transform
from gpuaug.transforms.layer import Context

__all__ = ["Window", "as_rank", "first_of", "pick_one", "seen_boxes"]


def _rectangle(values: Drawn) -> tuple[Tensor, ...]:
    """Return top, left, height and width in the dtype of matrices, by one conversion."""
    return mat.wide(stacked([values[k] for k in ("top", "left", "height", "width")])).unbind(-1)


class Window(Geometric):
    """Cut a rectangle of each sample, `top`, `left`, `height` and `width`, and resize it to one canvas."""

    kind: ClassVar[Kind] = "axis"
    cuts: ClassVar[bool] = True
    size: tuple[int, int] | None = None
    """The canvas; None keeps the present one."""

    def output_canvas(self, canvas: Canvas) -> Canvas:
        """Return the size."""
        return self.size or canvas

    def shrink(self, canvas: tuple[int, int]) -> float:
        """Return the factor of a rectangle that is the whole canvas."""
        h, w = self.output_canvas(canvas)
        return max(1.0, float(canvas[0] / h), float(canvas[1] / w))

    def settle(self, raw: Drawn, gate: Tensor | None, context: Context) -> Drawn:
        """Compute the matrix; of samples that the gate leaves out the rectangle is the whole canvas."""
        values = Transform.settle(self, raw, gate, context)
        if gate is not None:
            whole = {"top": 0.0, "left": 0.0, "height": context.canvas[0], "width": context.canvas[1]}
            for name, value in whole.items():
                values[name] = torch.where(gate, values[name], value).to(values[name].dtype)
        values["matrix"] = self.matrix(values, context)
        return values

    def matrix(self, values: Drawn, context: Context) -> Tensor:
        """Return the map of the rectangle onto the output."""
        h, w = self.output_canvas(context.canvas)
        given = [values[k] for k in ("top", "left", "height", "width")]
        if isinstance(h, Tensor) or arrays(context.like, *given)[0] is torch:
            top, left, height, width = _rectangle(values)
        else:
            top, left, height, width = (cast(v, context.like.dtype) for v in arrays(*given)[1])
        sy, sx = ratio(h, height), ratio(w, width)
        return mat.scale_shift(sx, -left * sx, sy, -top * sy, context.like)

    def window(self, values: Drawn, context: Context) -> Tensor:
        """Return the rectangle."""
        top, left, height, width = _rectangle(values)
        return stacked((left, top, left + width, top + height))


def seen_boxes(context: Context, clipped: bool = True) -> tuple[Tensor, Tensor] | None:
    """Return what of the boxes (B, N, 4) lies in the canvas, and which (B, N) are there; None for a batch without.

    Without `clipped` the boxes are returned whole, also what lies outside.
    """
    rows = context.objects
    if rows is None or rows.boxes is None or rows.boxes.shape[1] == 0:
        return None
    boxes = mat.wide(rows.boxes)
    if boxes.shape[-1] == 8:  # rotated ones: what they fill of the axes
        corners = boxes.unflatten(-1, (4, 2))
        boxes = torch.cat((corners.amin(-2), corners.amax(-2)), dim=-1)
    seen = pts.clip(boxes, context.canvas)
    there = rows.valid & (seen[..., 2] > seen[..., 0]) & (seen[..., 3] > seen[..., 1])
    return seen if clipped else boxes, there


def pick_one(counts: Tensor, rank: Tensor) -> tuple[Tensor, Tensor]:
    """Return in which of N groups the thing of a rank lies, and its rank there.

    Args:
        counts: (B, N) how many things each group holds.
        rank: (B,) whole numbers from 0 to below the sum of the counts.
    """
    below = torch.cumsum(counts, dim=1)
    index = (below <= rank[:, None]).sum(1).clamp(max=max(counts.shape[1] - 1, 0))
    before = torch.gather(below - counts, 1, index[:, None])[:, 0]
    return index, rank - before


def first_of(fits: Any) -> Any:
    """Return the first true entry of each row (..., N), and no other, of a tensor or an array."""
    if not isinstance(fits, Tensor):
        return fits & (np.cumsum(fits, -1) == 1)
    if not torch.compiler.is_compiling():
        return fits & (torch.cumsum(fits, -1, dtype=torch.int32) == 1)
    place = torch.arange(fits.shape[-1], device=fits.device)  # a compiler makes this part of what is around it
    return place == torch.where(fits, place, fits.shape[-1]).amin(-1, keepdim=True)


def as_rank(u: Tensor, total: Tensor) -> Tensor:
    """Return whole numbers evenly from 0 to below `total` (B,), of uniforms (B,); 0 where there is nothing."""
    return torch.minimum(torch.floor(mat.wide(u) * total).to(total.dtype), total - 1).clamp(min=0)
