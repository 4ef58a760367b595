"""The torch backend: run the passes of a plan on a batch.

`render` takes whole batches through plain tensor operations (the definition: differentiable, any device, and what
a compiler traces) or, on the CPU in eager mode without gradients, walks the batch sample by sample, in cache,
skipping what gates leave out.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from gpuaug.render.plan import Choice, Pass, Plan
from gpuaug.render.reading import read
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
    return max(h * w for h, w in canvases) >= SMALL


def _tensors(passes: list[Pass]) -> list[Tensor]:
    found = []
    for step in passes:
        if step.warp is not None:
            found.append(step.warp.matrix)
        for choice in [c for slot in step.program for c in slot.choices] + ([step.filter] if step.filter else []):
            found.extend(choice.operands)
    return found


def _batched(x: Tensor, plan: Plan, passes: list[Pass], work: torch.dtype) -> Tensor:
    scale = float(plan.levels or 1)
    raw = True
    for step in passes:
        if step.warp is not None:
            x = read(x, step.warp, step.canvas, work, scale if raw else 1.0)
        elif raw:
            x = x.to(work) / scale if scale != 1 else x.to(work)
        raw = False
        if step.filter is not None:
            x = _apply(x, step.filter, plan.levels)
        for slot in step.program:
            for choice in slot.choices:
                x = _apply(x, choice, plan.levels)
        if plan.rounds and plan.levels and not step.normalized:
            x = torch.round(x.clamp(0, 1) * plan.levels) / plan.levels
    if raw:
        x = x.to(work) / scale if scale != 1 else x.to(work)
    return plan.encode(x)


def _apply(x: Tensor, choice: Choice, levels: int | None) -> Tensor:
    part = x if choice.channels is None else torch.stack([x[:, c] for c in choice.channels], dim=1)
    static = dict(choice.static, levels=levels) if choice.levels else choice.static
    if choice.on is None:
        changed = choice.apply(part, *choice.operands, **static)
    else:
        on = choice.on.view(-1, 1, 1, 1)
        # Rows that are left out see a harmless input, so that neither values nor gradients of theirs can be NaN.
        safe = torch.where(on, part, torch.full((), 0.5, dtype=part.dtype, device=part.device))
        changed = torch.where(on, choice.apply(safe, *choice.operands, **static), part)
    if choice.channels is None:
        return changed
    place = {c: i for i, c in enumerate(choice.channels)}
    return torch.stack([changed[:, place[c]] if c in place else x[:, c] for c in range(x.shape[1])], dim=1)
