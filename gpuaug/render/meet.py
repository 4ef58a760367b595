"""Walk a batch on the CPU through passes in which samples meet: they split the walk, each needs all before it done."""

from __future__ import annotations

import copy as copying
import math
from dataclasses import replace

import torch
from torch import Tensor

from gpuaug.functional._door import store
from gpuaug.geometry import matrix as mat
from gpuaug.render.mixes import Blend, blended, covers
from gpuaug.render.packed import Packed
from gpuaug.render.plan import Pass, Plan
from gpuaug.render.reading import over, read
from gpuaug.render.tile import in_tiles
from gpuaug.render.walk import walk, warp_one

__all__ = ["parted", "walk_together"]


def walk_together(x: Tensor | Packed, plan: Plan, passes: list[Pass], work: torch.dtype) -> Tensor:
    """Return the batch after the passes, some of which mix samples."""
    places = [i for i, step in enumerate(passes) if step.mixes]
    starts = ([] if places and places[0] == 0 else [0]) + places
    for start, stop in zip(starts, [*starts[1:], len(passes)], strict=True):
        x, plan = _part(x, plan, passes[start:stop], stop == len(passes), work)
    assert isinstance(x, Tensor)
    return x


def parted(plan: Plan, dtype: torch.dtype, count: int) -> tuple[Plan, Plan]:
    """Return a finished plan for images of a dtype as two: its first passes, and those that follow."""
    work = torch.float64 if dtype == torch.float64 else torch.float32
    first = _between(plan, dtype, plan.passes[:count], work)
    second = _from(first, plan)
    first.passes, second.passes = plan.passes[:count], plan.passes[count:]
    first.canvas = first.passes[-1].canvas
    return first, second


def _part(x: Tensor | Packed, plan: Plan, steps: list[Pass], last: bool, work: torch.dtype) -> tuple[Tensor, Plan]:
    """Return the batch after some passes of which the first may mix, and the plan for what follows."""
    after = plan if last else _between(plan, x.dtype, steps, work)
    if not steps[0].mixes:
        assert isinstance(x, Tensor)
        return walk(x, after, steps, work), _from(after, plan)
    batch = steps[0].blend.share.shape[0] if steps[0].blend is not None else steps[0].warp.matrix.shape[0]  # type: ignore[union-attr]
    shape = (batch, after.out_channels, *steps[-1].canvas)
    out = torch.empty(shape, dtype=after.out_dtype, memory_format=after.layout)
    # What is all there is to do is rounded at once.
    alone = last and len(steps) == 1 and not steps[0].program and steps[0].filter is None
    whole = alone and x.dtype == torch.uint8 == after.out_dtype and plan.scale == 255
    if (
        alone
        and steps[0].blend is not None
        and _plain(steps[0].blend)
        and after.out_dtype == x.dtype in (work, torch.uint8)
    ):
        assert isinstance(x, Tensor)
        _blend_into(out, x, steps[0].blend)
        return out, _from(after, plan)
    for b in range(batch):
        step = steps[0].of(b)
        if step.blend is not None:
            assert isinstance(x, Tensor)
            image = _blend(x, b, step.blend, plan.scale, work)
        else:
            image = _tile(x, step, plan.scale, work, whole)
        own = copying.copy(after)
        if image.dtype != x.dtype or plan.scale == 1:
            own.scale = 1.0
        rest = [replace(step, warp=None, blend=None), *(one.of(b) for one in steps[1:])]
        out[b] = walk(image, own, rest, work)[0]
    return out, _from(after, plan)


def _between(plan: Plan, dtype: torch.dtype, steps: list[Pass], work: torch.dtype) -> Plan:
    """Return a plan whose output is not the pipeline's: working values, or pixels as they are where they only move."""
    part = copying.copy(plan)
    part.layout, part.out_channels = torch.contiguous_format, steps[-1].channels
    kept = all(_keeps(step) for step in steps)
    part.out_dtype = dtype if kept else work
    return part


def _keeps(step: Pass) -> bool:
    moved = step.warp is None or (step.warp.kind == "lattice" and step.warp.tiles is None)
    return moved and step.filter is None and not step.program and _chooses(step.blend)


def _chooses(blend: Blend | None) -> bool:
    """Tell whether every pixel stays as it is in one of two images."""
    return blend is None or (blend.whole and blend.matrix is None)


def _from(part: Plan, plan: Plan) -> Plan:
    """Return the plan for what follows a part."""
    following = copying.copy(plan)
    if part.out_dtype.is_floating_point:
        following.scale = 1.0
    return following


def _plain(blend: Blend) -> bool:
    """Tell whether the other image lies over a sample's own as it is, with one share or in a rectangle."""
    return blend.matrix is None and blend.alpha is None and (blend.whole or blend.rectangle is None)


def _blend_into(out: Tensor, x: Tensor, blend: Blend) -> None:
    """Write samples with others over them, of the same dtype."""
    h, w = x.shape[2:]
    rectangles = None if blend.rectangle is None else blend.rectangle.split(1)
    sources, ends = x.split(1), out.split(1)
    for b, (share, j) in enumerate(zip(blend.share.tolist(), blend.index.tolist(), strict=True)):
        own, other, end = sources[b], sources[j], ends[b]
        if 0 < share < 1 and not blend.whole:
            _mix_into(end, own, other, share)
        elif rectangles is not None and share > 0:
            x0, y0, x1, y1 = _within(rectangles[b], h, w)
            end.copy_(own)[:, :, y0:y1, x0:x1] = other[:, :, y0:y1, x0:x1]
        else:
            end.copy_(other if share > 0 else own)


def _mix_into(out: Tensor, own: Tensor, other: Tensor, share: float) -> None:
    """Write own with a share of other, rounded where they are of 8 bits."""
    if own.dtype.is_floating_point:
        torch.lerp(own, other, share, out=out)
    else:
        store(out, own.to(torch.float32).lerp_(other.to(torch.float32), share).round_())


def _blend(x: Tensor, b: int, blend: Blend, scale: float, work: torch.dtype) -> Tensor:
    """Return one image, as it is or in working values."""
    own, share, j = x[b : b + 1], float(blend.share[0]), int(blend.index[0])
    if share == 0:
        return own
    h, w = own.shape[2:]
    chosen = blend.whole or share == 1
    if chosen and blend.matrix is None and blend.alpha is None:
        if blend.rectangle is None:
            return x[j : j + 1]
        x0, y0, x1, y1 = _within(blend.rectangle, h, w)
        out = own.clone()
        out[:, :, y0:y1, x0:x1] = x[j : j + 1, :, y0:y1, x0:x1]
        return out
    if chosen and blend.rectangle is not None and blend.matrix is not None and blend.alpha is None:
        x0, y0, x1, y1 = _within(blend.rectangle, h, w)
        if x1 <= x0 or y1 <= y0:
            return own
        shift = mat.scale_shift(1.0, -float(x0), 1.0, -float(y0), torch.zeros_like(blend.matrix[:, 0, 0]))
        part = replace(over(blend, h, w), matrix=shift @ blend.matrix)
        out = _working(own, scale, work)
        out = out.clone() if out is own else out
        out[:, :, y0:y1, x0:x1] = read(_working(x[j : j + 1], scale, work), part, (y1 - y0, x1 - x0), work, 1.0)
        return out
    if blend.rectangle is None and _plain(blend):
        mixed = torch.lerp(own.to(work), x[j : j + 1].to(work), share)
        return mixed if scale == 1 else mixed.div_(scale)
    mine, other = (_working(v, scale, work) for v in (own, x[j : j + 1]))
    if blend.matrix is not None:
        other = read(other, over(blend, h, w), (h, w), work, 1.0)
    gx, gy = (torch.arange(n, dtype=work) + 0.5 for n in (w, h))
    return blended(mine, other, covers(blend, gx, gy, work)[:, None], blend.whole)


def _within(rectangle: Tensor, h: int, w: int) -> tuple[int, int, int, int]:
    """Return the pixels of a canvas whose centres lie in a rectangle (1, 4)."""
    x0, y0, x1, y1 = (max(0, math.ceil(v - 0.5)) for v in rectangle[0].tolist())
    return x0, y0, min(x1, w), min(y1, h)


def _working(x: Tensor, scale: float, work: torch.dtype) -> Tensor:
    return x.to(work) / scale if scale != 1 else x.to(work)


def _tile(x: Tensor | Packed, step: Pass, scale: float, work: torch.dtype, whole: bool) -> Tensor:
    """Return one canvas of tiles, in working values, or in pixels as they are where they are not blended or `whole`."""
    assert step.warp is not None and step.warp.tiles is not None and step.warp.tiles.index is not None
    rows = step.warp.tiles.index[0].tolist()
    images = [x.views[j][None] if isinstance(x, Packed) else x[j : j + 1] for j in rows]
    out = in_tiles(images, step, scale, work, warp_one, whole)
    return out if out.dtype == x.dtype else out.div_(scale)
