"""The torch backend: run the passes of a plan on a batch.

`render` takes whole batches through plain tensor operations (the definition: differentiable, any device, and what
a compiler traces) or, on the CPU in eager mode without gradients, walks the batch sample by sample, in cache,
skipping what gates leave out.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from gpuaug.functional._door import Pixels, each, join, split
from gpuaug.render.plan import Choice, Pass, Plan
from gpuaug.render.reading import read_planes
from gpuaug.render.values import quantize
from gpuaug.render.walk import walk

__all__ = ["render"]

SMALL = 48 * 48
"""Pixels of an image below which a batch is not walked."""


def render(x: Tensor, plan: Plan, *, walking: bool | None = None) -> Tensor:
    """Return the batch (B, C, H, W) after the passes of `plan`.

    Args:
        x: source images.
        plan: what to do.
        walking: force the sample-by-sample walk (True) or the batched definition (False).
    """
    passes = plan.finish()
    if not passes and plan.out_dtype == x.dtype and not plan.relaid:
        return x
    if x.dtype in (torch.uint16, torch.int16):  # of which torch has few operations
        x = x.to(torch.float32)
    if walking is None:
        walking = _can_walk(x, passes) and _worth_walking(x, passes)
    work = torch.float64 if x.dtype == torch.float64 else torch.float32
    return walk(x, plan, passes, work) if walking else _batched(x, plan, passes, work)


def _can_walk(x: Tensor, passes: list[Pass]) -> bool:
    if torch.compiler.is_compiling() or x.device.type != "cpu" or isinstance(x, FakeTensor):
        return False
    return not (torch.is_grad_enabled() and any(t.requires_grad for t in (x, *_tensors(passes))))


def _worth_walking(x: Tensor, passes: list[Pass]) -> bool:
    """Tell whether images are large enough that skipping work pays for a Python step per sample.

    A matter of the canvases alone: a sample must not come out differently in a larger batch.
    """
    canvases = [(x.shape[2], x.shape[3]), *(step.canvas for step in passes)]
    return any(h * w >= SMALL for h, w in canvases)


def _tensors(passes: list[Pass]) -> list[Tensor]:
    found = []
    for step in passes:
        if step.warp is not None:
            found.append(step.warp.matrix)
            if step.warp.field is not None:
                found.append(step.warp.field)
        for choice in [c for slot in step.program for c in slot.choices] + ([step.filter] if step.filter else []):
            found.extend(choice.operands)
    return found


def _batched(x: Tensor, plan: Plan, passes: list[Pass], work: torch.dtype) -> Tensor:
    scale = plan.scale
    image: Pixels = x
    # A compiler makes one kernel of planes; operation by operation, whole images need fewer calls.
    by_plane = torch.compiler.is_compiling()
    raw = True
    for step in passes:
        if step.warp is not None:
            planes = read_planes(_whole(image), step.warp, step.canvas, work, scale if raw else 1.0)
            image = planes if by_plane else torch.stack(planes, dim=1)
        elif raw:
            image = each(image, lambda v: v.to(work) / scale if scale != 1 else v.to(work))
        raw = False
        if step.filter is not None:
            image = _apply(image, step.filter, plan.levels)
        if by_plane:
            image = split(image)
        for slot in step.program:
            for choice in slot.choices:
                image = _apply(image, choice, plan.levels)
        if plan.rounds and not plan.dtype.is_floating_point and not step.normalized:
            image = each(image, partial(quantize, dtype=plan.dtype, own=step.own))
            image = each(image, lambda v: v / scale)
    if raw:
        image = each(image, lambda v: v.to(work) / scale if scale != 1 else v.to(work))
    return _whole(each(image, plan.encode)).contiguous(memory_format=plan.layout)


def _whole(image: Pixels) -> Tensor:
    return torch.stack(image, dim=1) if isinstance(image, list) else image


def _apply(image: Pixels, choice: Choice, levels: int | None) -> Pixels:
    if isinstance(image, list) and not getattr(choice.apply, "planar", False):
        return split(_apply(_whole(image), choice, levels))
    if choice.channels is not None:
        planes = list(split(image))
        chosen = join([planes[c] for c in choice.channels], image)
        changed = _apply(chosen, replace(choice, channels=None), levels)
        for c, plane in zip(choice.channels, split(changed), strict=True):
            planes[c] = plane
        merged: Pixels = join(planes, image)
        return merged
    static = dict(choice.static, levels=levels) if choice.levels else choice.static
    if choice.on is None:
        done: Pixels = choice.apply(image, *choice.operands, **static)
        return done
    on = choice.on
    if torch.is_grad_enabled() and any(t.requires_grad for t in (split(image)[0], *choice.operands)):
        # Rows that are left out see a harmless input, so that no gradient of theirs can be NaN.
        given = each(image, lambda v, o: torch.where(o, v, 0.5), on)
    else:
        given = image
    changed = choice.apply(given, *choice.operands, **static)
    if isinstance(image, list):
        return [torch.where(on.view(-1, 1, 1), new, old) for new, old in zip(changed, image, strict=True)]
    return torch.where(on.view(-1, 1, 1, 1), changed, image)
