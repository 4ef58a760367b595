"""Walk a batch on the CPU sample by sample: the same passes, in cache, doing only what each sample asks for.

Parameters are read as Python numbers here (on the CPU that synchronises nothing), so that a flip is a copy, a crop
and resize is two sums of lines, and a pixel operation that a gate leaves out costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from gpuaug.functional._door import store
from gpuaug.geometry import matrix as mat
from gpuaug.geometry.canvas import Canvas
from gpuaug.render.lattice import axes_of, exchanged_window, is_lattice, is_whole, limits, move_pixels, moved_at_once
from gpuaug.render.plan import Choice, Pass, Plan
from gpuaug.render.reading import read
from gpuaug.render.resample import read_axes
from gpuaug.render.sampler import Frames, nearest_pixels, sample_image
from gpuaug.render.table import ALIKE, MEASURING, tabled
from gpuaug.render.tile import exchanged
from gpuaug.render.values import quantize
from gpuaug.render.warp import MAX_HALF_WIDTH

__all__ = ["walk", "warp_one"]

Rows = list[list[float]]


@dataclass
class _Host:
    """What the walk needs of a pass as Python numbers."""

    back: list[Rows]
    soft: list[list[float]] | None
    hard: list[list[float]] | None
    gates: list[list[list[bool] | None]]
    orders: list[list[list[int]] | None]
    filter: list[bool] | None
    chains: list[list[_Host]] = field(default_factory=list)
    weights: Rows = field(default_factory=list)
    frames: Frames = field(default_factory=dict)


def walk(x: Tensor, plan: Plan, passes: list[Pass], work: torch.dtype) -> Tensor:
    """Return the batch after the passes."""
    rows = passes[0].index.tolist() if passes and passes[0].index is not None else range(x.shape[0])
    canvas = passes[-1].canvas if passes else (x.shape[2], x.shape[3])
    out = torch.empty((len(rows), plan.out_channels, *canvas), dtype=plan.out_dtype, memory_format=plan.layout)
    with torch.inference_mode():  # nothing here has gradients: without their bookkeeping a call takes a tenth less
        _write(out, x, rows, plan, passes, work)
    return out


def _write(out: Tensor, x: Tensor, rows: Sequence[int], plan: Plan, passes: list[Pass], work: torch.dtype) -> None:
    passes, last = _without_last(passes, plan, work)
    hosts = [_host(step) for step in passes]
    scale = plan.scale
    # A warp that nothing follows may write its pixels where they belong.
    alike = bool(passes) and not plan.rounds and plan.out_dtype == x.dtype and x.dtype in (torch.uint8, work)
    rounds = plan.out_dtype == torch.uint8 and not plan.normalized
    gate = None if last is None or last.on is None else last.on.tolist()
    buffer = torch.empty((1, *out.shape[1:]), dtype=work) if last is not None and out.dtype != work else None
    if passes and passes[0].index is None:
        step, host = passes[0], hosts[0]
        whole = alike and len(passes) == 1 and last is None and all(_only_warps(step, host, b) for b in rows)
        there = (host.back, host.soft, host.hard, scale, out if whole else None)
        moved = None if step.warp is None else moved_at_once(x, step.warp, step.canvas, *there)
        if moved is not None and whole:
            if moved is not out:
                out.copy_(moved)
            return
        if moved is not None:
            x, passes = moved, [replace(step, warp=None), *passes[1:]]
    if last is not None and not passes and _written_at_once(out, x, scale, last, gate, rows):
        return
    sources, ends = x.split(1), out.split(1)
    given = [] if last is None else list(zip(*(t.split(1) for t in last.operands), strict=True))
    for b, row in enumerate(rows):
        ending = last is not None and (gate is None or gate[b])
        direct = alike and not ending and _only_warps(passes[-1], hosts[-1], b)
        image, unit, end = sources[row], scale, ends[b]
        if passes:
            into, rounded = end if direct else None, rounds and not ending
            image, unit = _through(image, unit, b, plan, passes, hosts, work, into, rounded)
        if ending and last is not None and last.write_one is not None:
            operands = given[b] if given else ()
            if buffer is None:
                last.write_one(end, image, unit, *operands, **last.static)
            elif last.level_one is not None and image.dtype == torch.uint8:
                last.level_one(end, image, *operands, **last.static)
            elif last.move_one is not None and (moved := _moved(image, unit, last, b)) is not None:
                store(end, _encoded(moved, unit, plan, x.dtype, work))
            else:
                last.write_one(buffer, image, unit, *operands, **last.static)
                store(end, buffer.clamp_(0, 1).mul_(plan.scale).round_())
        elif not (direct and image.data_ptr() == end.data_ptr()):
            store(end, _encoded(image, unit, plan, x.dtype, work))


def _written_at_once(
    out: Tensor, x: Tensor, unit: float, last: Choice, gate: list[bool] | None, rows: Sequence[int]
) -> bool:
    """Write what one operation makes of all samples, if that is all there is to do, and tell whether it was done.

    Samples that a gate leaves out are put back, if they are few.
    """
    off = [] if gate is None else [b for b, on in enumerate(gate) if not on]
    levels = out.dtype == torch.uint8
    known = x.dtype == torch.uint8 if levels else x.dtype in (torch.uint8, out.dtype)
    if not (last.together and known and isinstance(rows, range) and 2 * len(off) < len(rows)):
        return False
    if off and (x.dtype != out.dtype or not (levels or unit == 1)):
        return False
    if not levels and last.write_one is not None:
        last.write_one(out, x, unit, *last.operands, **last.static)
    elif last.level_one is not None:
        last.level_one(out, x, *last.operands, **last.static)
    else:
        return False
    for b in off:
        out[b].copy_(x[b])
    return True


def _through(
    image: Tensor,
    unit: float,
    b: int,
    plan: Plan,
    passes: list[Pass],
    hosts: list[_Host],
    work: torch.dtype,
    into: Tensor | None = None,
    rounds: bool = False,
) -> tuple[Tensor, float]:
    """Return one image after passes, and what its values are divided by to get working ones.

    A last warp may write its pixels `into` the output; an image of 8 bits may be rounded at the end if it `rounds`.
    """
    scale, table = plan.scale, None
    for step, host in zip(passes, hosts, strict=True):
        filtering = step.filter is not None and (host.filter is None or host.filter[b])
        if table is not None and (step.warp is not None or step.mix is not None or filtering):
            image, unit, table = table.pixels(), 1.0, None
        if step.warp is not None:
            there = into if step is passes[-1] and unit == scale else None
            image = _warp(image, unit, b, step, host, work, there)
        if step.mix is not None:
            first, *weights = host.weights[b]
            total = _working(image, unit, work) * first
            for chain, chain_hosts, weight in zip(step.mix.chains, host.chains, weights, strict=True):
                done, white = _through(image, unit, b, plan, chain, chain_hosts, work)
                total.add_(done.to(work), alpha=weight / white)
            image, unit = total, 1.0
        if filtering and step.filter is not None:
            image, unit = _filtered(image, unit, step.filter, b, plan.levels, work)
        for slot, gates, orders in zip(step.program, host.gates, host.orders, strict=True):
            for number in range(len(gates)) if orders is None else orders[b]:
                choice, gate = slot.choices[number], gates[number]
                if gate is None or gate[b]:
                    moved = _moved(image, unit, choice, b) if table is None and choice.move_one is not None else None
                    if moved is not None:
                        image = moved
                        continue
                    made = tabled(image, unit, table, choice, b, plan.levels, work)
                    if made is not None:
                        table = made
                        continue
                    image = _working(image, unit, work) if table is None else table.pixels()
                    image, unit, table = _apply(image, choice, b, plan.levels), 1.0, None
        if plan.rounds_after(step):
            if table is not None:
                image, table = table.rounded(), None
            elif image.dtype == work:
                image, unit = quantize(image / unit, plan.dtype, step.own), scale
    if table is None:
        return image, unit
    return (table.rounded(), unit) if rounds else (table.pixels(), 1.0)


def _without_last(passes: list[Pass], plan: Plan, work: torch.dtype) -> tuple[list[Pass], Choice | None]:
    """Split off the last operation where it can write into the output itself, or where that is rounded next."""
    whole = plan.out_dtype == torch.uint8 and plan.scale == 255 and not plan.normalized
    if not (plan.out_dtype == work or whole) or not passes or not passes[-1].program:
        return passes, None
    *slots, slot = passes[-1].program
    last, *others = slot.choices
    if others or last.write_one is None or last.channels is not None or plan.rounds_after(passes[-1]):
        return passes, None
    if whole and last.name in ALIKE | MEASURING and (slots or last.level_one is None):  # a table
        return passes, None
    rest = replace(passes[-1], program=slots)
    return ([*passes[:-1]] if rest.empty else [*passes[:-1], rest]), last


def _encoded(image: Tensor, unit: float, plan: Plan, dtype: torch.dtype, work: torch.dtype) -> Tensor:
    """Return an image in the output's dtype, or in one that copies to it as it is."""
    if image.dtype == dtype and plan.out_dtype == dtype and unit == plan.scale:
        return image
    if plan.out_dtype == torch.uint8 and plan.scale == 255 and not plan.normalized:
        levels = image * (255 / unit) if image.dtype == work else image.to(work).mul_(255 / unit)
        return levels.clamp_(0, 255).round_()
    return plan.encode(_working(image, unit, work))


def _host(step: Pass) -> _Host:
    warp = step.warp
    gates = [[None if c.on is None else c.on.tolist() for c in slot.choices] for slot in step.program]
    orders = [None if slot.order is None else slot.order.tolist() for slot in step.program]
    filter_on = None if step.filter is None or step.filter.on is None else step.filter.on.tolist()
    if warp is None:
        mix = step.mix
        if mix is None:
            return _Host([], None, None, gates, orders, filter_on)
        chains = [[_host(one) for one in chain] for chain in mix.chains]
        return _Host([], None, None, gates, orders, filter_on, chains, mix.weights.tolist())
    back = mat.inverse(warp.matrix)
    return _Host(
        back.tolist(),
        None if warp.soft is None else warp.soft.tolist(),
        None if warp.hard is None else warp.hard.tolist(),
        gates,
        orders,
        filter_on,
    )


def _only_warps(step: Pass, host: _Host, b: int) -> bool:
    """Return whether nothing follows the warp of a pass for a sample."""
    if step.mix is not None or (step.filter is not None and (host.filter is None or host.filter[b])):
        return False
    return not any(gate is None or gate[b] for gates in host.gates for gate in gates)


def _working(image: Tensor, unit: float, work: torch.dtype) -> Tensor:
    if unit == 1:
        return image.to(work)
    return image.to(work) / unit if image.dtype == work else image.to(work).div_(unit)


def _filtered(
    image: Tensor, unit: float, choice: Choice, b: int, levels: int | None, work: torch.dtype
) -> tuple[Tensor, float]:
    """Return an image after a filter, and what its values are divided by to get working ones."""
    moved = _moved(image, unit, choice, b)
    if moved is not None:
        return moved, unit
    if choice.sum_one is not None and choice.channels is None and image.dtype == torch.uint8:
        summed = choice.sum_one(image, *(t[b : b + 1] for t in choice.operands), **choice.static)
        if summed is not None:
            return summed[0], unit * summed[1]
    return _apply(_working(image, unit, work), choice, b, levels), 1.0


def _moved(image: Tensor, unit: float, choice: Choice, b: int) -> Tensor | None:
    """Return an image of the same dtype and unit after an operation that only moves values, if it is one there."""
    known = image.dtype == torch.uint8 or image.dtype.is_floating_point  # of wider integers torch cannot do all
    if choice.channels is not None or choice.move_one is None or not known:
        return None
    return choice.move_one(image, unit, *(t[b : b + 1] for t in choice.operands), **choice.static)


def _apply(image: Tensor, choice: Choice, b: int, levels: int | None) -> Tensor:
    operands = [t[b : b + 1] for t in choice.operands]
    static = dict(choice.static, levels=levels) if choice.levels else choice.static
    apply = choice.apply_one or choice.apply
    if choice.channels is None:
        return apply(image, *operands, **static)
    index = list(choice.channels)
    out = image.clone()
    out[:, index] = apply(image[:, index], *operands, **static)
    return out


def _warp(
    image: Tensor, unit: float, b: int, step: Pass, host: _Host, work: torch.dtype, into: Tensor | None
) -> Tensor:
    """Return one image after the warp of a pass, in the same unit; in its own dtype where nothing is blended.

    It may be written `into` the output, where that is of the same unit.
    """
    warp = step.warp
    assert warp is not None
    if warp.tiles is not None:
        return exchanged(image, step.of(b), unit, work, warp_one, into)
    m = host.back[b]
    soft = host.soft[b] if host.soft is not None else None
    hard = host.hard[b] if host.hard is not None else None
    fill = tuple(f * unit for f in warp.reading.fill)
    region = _region(image, soft, hard)
    if warp.field is not None and warp.reading.interpolation == "bilinear" and region is not None:
        widen, bent_by, most = warp.reading.antialias and warp.shrink > 1, warp.field[b : b + 1], warp.shrink
        return sample_image(image, m, step.canvas, region, fill, work, widen, host.frames, into, False, bent_by, most)
    if warp.field is not None:
        bent = replace(warp, reading=replace(warp.reading, fill=fill), matrix=warp.matrix[b : b + 1])
        return read(image, replace(bent, field=warp.field[b : b + 1]), step.canvas, work, 1.0)
    axes, turned = axes_of(m)
    affine = abs(m[2][0]) < 1e-12 and abs(m[2][1]) < 1e-12
    if axes:
        if turned:  # exchange the axes of the source, and go on as for a straight one
            image, soft, hard = image.transpose(2, 3), exchanged_window(soft), exchanged_window(hard)
        if is_lattice(axes):
            return move_pixels(image, axes, step.canvas, soft, hard, fill, into)
        if warp.reading.interpolation != "nearest":
            return read_axes(image, axes, step.canvas, soft, hard, fill, warp.reading, work, into)
    region = _region(image, soft, hard)  # of axes that may have been exchanged
    if not axes and warp.reading.interpolation == "bilinear" and region is not None:
        widen = warp.reading.antialias and warp.shrink > 1
        return sample_image(image, m, step.canvas, region, fill, work, widen, host.frames, into)
    if not axes and affine and warp.reading.interpolation == "nearest" and region is not None:
        return nearest_pixels(image, m, step.canvas, region, fill, work, into)
    local = _shrink(m, step.canvas, warp.projective)
    one = replace(
        warp,
        reading=replace(warp.reading, fill=fill),
        matrix=mat.inverse(torch.tensor([[m[1], m[0], m[2]]], dtype=torch.float64))
        if turned
        else warp.matrix[b : b + 1],
        kind="axis" if axes else "warp",
        transposes=False,
        shrink=max(local, 1.0) * (1 + 1e-6),
        soft=None if soft is None else torch.tensor([soft], dtype=torch.float64),
        hard=None if hard is None else torch.tensor([hard], dtype=torch.float64),
    )
    return read(image, one, step.canvas, work, 1.0)


def warp_one(image: Tensor, unit: float, step: Pass, work: torch.dtype) -> Tensor:
    """Return one image (1, C, H, W) after the warp of a pass of one sample, in the same unit."""
    return _warp(image, unit, 0, step, _host(step), work, None)


def _shrink(m: Rows, canvas: Canvas, projective: bool) -> float:
    """Return the largest number of source pixels that an output pixel spans, along a source axis."""
    if not projective:
        return max(math.hypot(m[0][0], m[0][1]), math.hypot(m[1][0], m[1][1]))
    largest = 0.0
    h, w = canvas
    for x, y in ((0.5, 0.5), (w - 0.5, 0.5), (0.5, h - 0.5), (w - 0.5, h - 0.5)):
        d = m[2][0] * x + m[2][1] * y + m[2][2]
        if d <= 1e-6:
            return MAX_HALF_WIDTH
        for row in m[:2]:
            p = (row[0] * x + row[1] * y + row[2]) / d
            largest = max(largest, math.hypot(row[0] - p * m[2][0], row[1] - p * m[2][1]) / d)
    return min(largest, MAX_HALF_WIDTH)


def _region(image: Tensor, soft: list[float] | None, hard: list[float] | None) -> tuple[int, int, int, int] | None:
    """Return the visible source pixels x0, y0, x1, y1, or None where a window is not made of whole pixels."""
    if hard is not None or (soft is not None and not all(is_whole(v) for v in soft)):
        return None
    (y0, y1), (x0, x1) = (limits(axis, image.shape[2 + axis], soft, None) for axis in (0, 1))
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None
