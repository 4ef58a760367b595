"""From the warps of a plan to the operator that moves classes."""

from __future__ import annotations

import torch
from torch import Tensor

from gpuaug.geometry.canvas import Canvas, Sizes, largest
from gpuaug.geometry.matrix import scale_shift
from gpuaug.render import triton as ops
from gpuaug.render.flat import Flat, front, table_of
from gpuaug.render.heads import bound, head_of, inner, room_of
from gpuaug.render.pick import part_of
from gpuaug.render.plan import Pass
from gpuaug.render.settings import Reading
from gpuaug.render.triton_pick import pick
from gpuaug.render.warp import Warp

__all__ = ["run_pick"]


def run_pick(x: Tensor | Flat, passes: list[Pass], fill: float, source: Canvas) -> Tensor:
    """Return classes after the warps of some passes: `pick.pick`, or the buffer of masks that differ in size."""
    bands = x.channels if isinstance(x, Flat) else x.shape[1]
    values, table = (x.values, x.table) if isinstance(x, Flat) else (x, None)
    fraction = (1.0, 1.0) if isinstance(x, Flat) else (x.shape[2] / source[0], x.shape[3] / source[1])
    moving = [step for step in passes if step.warp is not None or step.index is not None]
    for step in moving:
        warp, sizes = step.warp or _still(step), None
        canvas = step.canvas
        spans = [*largest(source), *largest(canvas)]
        size = list(part_of((spans[2], spans[3]), fraction))
        if isinstance(canvas, Sizes):
            sizes = table_of(canvas, bands)
            before = front(len(canvas.host)) // values.dtype.itemsize if step is moving[-1] else 0
            size = [*size, *room_of(canvas, bands, before)]
        geo = ops.prepare(warp.matrix, warp.soft, warp.hard, spans[2:], sizes, 1.0, warp.projective, True)
        bent = None if warp.field is None else inner(warp.field)
        index = None if step.index is None else step.index.contiguous()
        values = pick(values, index, table, sizes, bands, geo, bent, head_of(warp), spans, size, float(fill))
        table, source = sizes, canvas
    return values if table is None or not moving else bound(values, table)


def _still(step: Pass) -> Warp:
    """Return the warp of a pass that only says which rows are read."""
    assert step.index is not None
    like = torch.zeros_like(step.index, dtype=torch.float64)
    return Warp(scale_shift(1.0, 0.0, 1.0, 0.0, like), "lattice", Reading("nearest", False))
