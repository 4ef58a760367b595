"""The choice of a backend, and the torch backend: run the passes of a plan on a batch.

`render` takes whole batches through plain tensor operations (the definition: differentiable, any device, and what
a compiler traces) or, on the CPU in eager mode without gradients, walks the batch sample by sample, in cache,
skipping what gates leave out.
"""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from gpuaug.functional._door import Pixels, each, join, split
from gpuaug.render.flat import Flat
from gpuaug.render.groups import channel_groups, choices_of
from gpuaug.render.meet import walk_together
from gpuaug.render.mixes import Blend, blended, covers
from gpuaug.render.packed import Packed
from gpuaug.render.plan import Choice, Pass, Plan, Slot
from gpuaug.render.reading import over, read_planes
from gpuaug.render.registry import HEADS, has_kernel
from gpuaug.render.values import quantize
from gpuaug.render.walk import walk
from gpuaug.sampling.generator import TRITON

__all__ = ["BACKENDS", "apply_choice", "render", "render_at_once", "unrolled", "uses_triton"]

BACKENDS = (None, "torch", "triton")
SMALL = 48 * 48
"""Pixels of an image below which a batch is not walked."""


def render(x: Tensor | Packed, plan: Plan, *, walking: bool | None = None) -> Tensor:
    """Return the batch (B, C, H, W) after the passes of `plan`.

    Args:
        x: source images; of several sizes where the first pass puts them on one canvas.
        plan: what to do.
        walking: force the sample-by-sample walk (True) or the batched definition (False).
    """
    passes = plan.finish()
    if isinstance(x, Tensor) and not passes and plan.out_dtype == x.dtype and not plan.relaid:
        return x
    if walking is None and isinstance(x, Tensor) and uses_triton(x, plan.backend) and _suits_triton(x, plan, passes):
        from gpuaug.render.lowering import run

        return run(x, plan, passes)
    if x.dtype in (torch.uint16, torch.int16):  # of which torch has few operations
        x = x.to(torch.float32)
    if walking is None:
        walking = _can_walk(x, passes) and _worth_walking(x, passes)
    work = torch.float64 if x.dtype == torch.float64 else torch.float32
    if not walking:
        return _batched(x, plan, passes, work)
    if isinstance(x, Packed) or any(step.mixes for step in passes):
        return walk_together(x, plan, passes, work)
    return walk(x, plan, passes, work)


def render_at_once(x: Tensor | Flat, plan: Plan) -> Tensor | None:
    """Return images whose sizes differ, before or after the passes, in a few launches; None where kernels cannot.

    Returns:
        The batch (B, C, H, W), or the buffer of a `data.Ragged` where they differ after the passes.
    """
    passes = plan.finish()
    if not uses_triton(x, plan.backend) or not _suits_triton(x, plan, passes):
        return None
    if not all(has_kernel(choice) and choice.name not in HEADS for choice in choices_of(passes)):
        return None  # what has no kernel, or one of its own, takes images of one size
    from gpuaug.render.lowering import run

    return run(x, plan, passes)


def uses_triton(x: Tensor | Flat, backend: str | None) -> bool:
    """Tell whether the Triton backend is wanted for a batch; raise where it was asked for and cannot run at all."""
    device = x.device.type
    if backend == "triton":
        _check_triton(device)
        return True
    return backend is None and device == "cuda" and TRITON


def _suits_triton(x: Tensor | Flat, plan: Plan, passes: list[Pass]) -> bool:
    """Tell whether the kernels can render a batch: no float64, no gradients, no more channels than go in groups.

    Kernels hold four channels of a pixel in registers. More go in groups of four, up to 32, unless an operation on all
    of them needs more than four at once, as a permutation does; of that, and of whatever they do not suit, torch is the
    backend.
    """
    few = plan.out_channels <= max(plan.channels, 4) and channel_groups(plan.channels, passes) is not None
    return few and x.dtype != torch.float64 and not _needs_gradients(x, passes)


def _check_triton(device: str) -> None:
    if not TRITON:
        raise RuntimeError("Compose: backend='triton' needs Triton, which is not installed; backend=None needs nothing")
    if device in ("cuda", "meta") or (device == "cpu" and torch.compiler.is_compiling()):
        return
    if device != "cpu" or os.environ.get("TRITON_INTERPRET") != "1":
        raise ValueError(
            f"Compose: backend='triton' needs images on a CUDA device, got {device}"
            " (with TRITON_INTERPRET=1 tests run on the CPU)"
        )


def _needs_gradients(x: Tensor | Flat | Packed, passes: list[Pass]) -> bool:
    pixels = x if isinstance(x, Tensor) else x.values
    return torch.is_grad_enabled() and any(t.requires_grad for t in (pixels, *_tensors(passes)))


def _can_walk(x: Tensor | Packed, passes: list[Pass]) -> bool:
    pixels = x.values if isinstance(x, Packed) else x
    if torch.compiler.is_compiling() or x.device.type != "cpu" or isinstance(pixels, FakeTensor):
        return False
    return not _needs_gradients(x, passes)


def _worth_walking(x: Tensor | Packed, passes: list[Pass]) -> bool:
    """Tell whether images are large enough that skipping work pays for a Python step per sample.

    A matter of the canvases alone: a sample must not come out differently in a larger batch.
    """
    sizes = [(x.shape[2], x.shape[3])] if isinstance(x, Tensor) else []  # of several sizes: those of their canvas
    canvases = [*sizes, *(step.canvas for step in passes)]
    return any(h * w >= SMALL for h, w in canvases)


def _tensors(passes: list[Pass]) -> list[Tensor]:
    found = []
    for step in passes:
        if step.warp is not None:
            found.append(step.warp.matrix)
            if step.warp.field is not None:
                found.append(step.warp.field)
        if step.blend is not None:
            found.append(step.blend.share)
        for choice in [c for slot in step.program for c in slot.choices] + ([step.filter] if step.filter else []):
            found.extend(choice.operands)
        if step.mix is not None:
            found.extend([step.mix.weights, *(t for chain in step.mix.chains for t in _tensors(chain))])
    return found


def _batched(x: Tensor | Packed, plan: Plan, passes: list[Pass], work: torch.dtype) -> Tensor:
    index = passes[0].index if passes else None
    given: Any = x if index is None else x.index_select(0, index)
    image = _through(given, True, plan, passes, work)
    return _whole(each(image, plan.encode)).contiguous(memory_format=plan.layout)


def _through(image: Any, raw: bool, plan: Plan, passes: list[Pass], work: torch.dtype) -> Any:
    """Return working values after passes; `raw` images are still in their own unit."""
    scale = plan.scale
    # A compiler makes one kernel of planes; operation by operation, whole images need fewer calls.
    by_plane = torch.compiler.is_compiling()

    def working(values: Pixels) -> Any:
        return each(values, lambda v: v.to(work) / scale if scale != 1 else v.to(work))

    for step in passes:
        if step.warp is not None:
            planes = read_planes(_whole(image), step.warp, step.canvas, work, scale if raw else 1.0)
            image = planes if by_plane else torch.stack(planes, dim=1)
        elif step.mix is not None:
            weights = step.mix.weights.to(work).unbind(1)
            total = each(working(image) if raw else image, torch.mul, weights[0])
            for chain, weight in zip(step.mix.chains, weights[1:], strict=True):
                total = _added(total, _through(image, raw, plan, chain, work), weight)
            image = total
        elif raw:
            image = working(image)
        raw = False
        if step.blend is not None:
            image = _over(_whole(image), step.blend, work)
        if step.filter is not None:
            image = apply_choice(image, step.filter, plan.levels)
        if by_plane:
            image = split(image)
        for slot in step.program:
            for choice in unrolled(slot):
                image = apply_choice(image, choice, plan.levels)
        if plan.rounds_after(step):
            image = each(image, partial(quantize, dtype=plan.dtype, own=step.own))
            image = each(image, lambda v: v / scale)
    return working(image) if raw else image


def _added(total: Pixels, more: Pixels, weight: Tensor) -> Any:
    """Return total + weight (B,) * more."""
    sums = [a + b * weight.view(-1, 1, 1) for a, b in zip(split(total), split(more), strict=True)]
    return join(sums, total)


def _over(image: Tensor, blend: Blend, work: torch.dtype) -> Tensor:
    """Return working images (B, C, H, W) with others of them over each."""
    other, (h, w) = image.index_select(0, blend.index), image.shape[2:]
    if blend.matrix is not None:
        other = torch.stack(read_planes(other, over(blend, h, w), (h, w), work, 1.0), dim=1)
    gx, gy = (torch.arange(n, device=image.device, dtype=work) + 0.5 for n in (w, h))
    return blended(image, other, covers(blend, gx, gy, work)[:, None], blend.whole)


def _whole(image: Pixels) -> Tensor:
    return torch.stack(image, dim=1) if isinstance(image, list) else image


def apply_choice(image: Pixels, choice: Choice, levels: int | None) -> Any:
    """Return images after one operation, for the samples where it applies, by its torch definition."""
    if isinstance(image, list) and not getattr(choice.apply, "planar", False):
        return split(apply_choice(_whole(image), choice, levels))
    if choice.channels is not None:
        planes = list(split(image))
        chosen = join([planes[c] for c in choice.channels], image)
        changed = _applied(chosen, choice, levels)
        for c, plane in zip(choice.channels, split(changed), strict=True):
            planes[c] = plane
        merged: Pixels = join(planes, image)
        return merged
    return _applied(image, choice, levels)


def _applied(image: Pixels, choice: Choice, levels: int | None) -> Any:
    """Return images after one operation on all their channels."""
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


def unrolled(slot: Slot) -> list[Choice]:
    """Return a sequence of choices that holds every order of a slot's, each with the samples where it applies."""
    if slot.order is None:
        return slot.choices
    place = torch.argsort(slot.order, dim=1).unbind(1)
    numbers = sorted(range(len(slot.choices)), key=lambda n: slot.choices[n].measures)
    return [_where(slot.choices[n], conditions, place) for n, conditions in _in_any_order(numbers)]


def _in_any_order(numbers: list[int]) -> list[tuple[int, tuple[tuple[int, int], ...]]]:
    """Return places (number, conditions): it applies where, for each condition (a, b), a comes before b.

    The last number stands once, in the middle; the others stand on both sides of it, and apply on one.
    """
    if not numbers:
        return []
    pivot, rest = numbers[-1], _in_any_order(numbers[:-1])
    before = [(number, ((number, pivot), *conditions)) for number, conditions in rest]
    after = [(number, ((pivot, number), *conditions)) for number, conditions in rest]
    return [*before, (pivot, ()), *after]


def _where(choice: Choice, conditions: tuple[tuple[int, int], ...], place: tuple[Tensor, ...]) -> Choice:
    on = choice.on
    for first, second in conditions:
        holds = place[first] < place[second]
        on = holds if on is None else on & holds
    return choice.where(on)
