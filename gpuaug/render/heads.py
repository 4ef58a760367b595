"""From warps and canvases to what operators of the Triton backend take."""

from __future__ import annotations

import torch
from torch import Tensor

from gpuaug.geometry.canvas import Canvas, Sizes
from gpuaug.render.flat import WORDS
from gpuaug.render.reading import tap_count
from gpuaug.render.values import ValueRange
from gpuaug.render.warp import MAX_HALF_WIDTH, Warp

__all__ = ["Numbers", "bound", "head_of", "inner", "own_rows", "room_of", "shrink_of", "unit_rows"]

Numbers = tuple[float, ...]

_INTERPOLATIONS = {"nearest": 0, "bilinear": 1, "bicubic": 2}


def head_of(warp: Warp | None) -> list[int]:
    """Return what the kernels must know of a warp: see `kernels/head.py`."""
    if warp is None:
        return [0] * 8
    reading = warp.reading
    interpolation = _INTERPOLATIONS[reading.interpolation]
    straight = warp.kind != "warp" and not warp.transposes
    if warp.kind == "lattice" and warp.hard is None:  # pixels go to pixels: nothing is blended
        interpolation = 0
    shrink = shrink_of(warp)
    taps = tap_count(reading, shrink) if interpolation else 1
    widen = bool(interpolation) and reading.antialias and shrink > 1
    kind = 4 if warp.field is not None else 3 if warp.projective else 1 if straight else 2
    return [
        kind,
        interpolation,
        int(reading.antialias),
        int(widen),
        int(warp.soft is not None),
        int(warp.hard is not None),
        int(bool(interpolation) and (widen or warp.hard is not None)),
        taps,
    ]


def shrink_of(warp: Warp) -> float:
    """Return the bound of the half-widths, which perspectives do not have of their own."""
    return min(warp.shrink, MAX_HALF_WIDTH) if warp.projective else warp.shrink


def inner(t: Tensor) -> Tensor:
    """Return a tensor whose rows lie in order, whatever lies between them."""
    stride = 1
    for size, step in zip(reversed(t.shape[1:]), reversed(t.stride()[1:]), strict=True):
        if size != 1 and step != stride:
            return t.contiguous()
        stride *= size
    return t


def room_of(canvas: Canvas, channels: int, before: int) -> tuple[int, ...]:
    """Return where values begin in a flat buffer, and how many there are; nothing where canvases do not differ."""
    return (before, channels * sum(h * w for h, w in canvas.host)) if isinstance(canvas, Sizes) else ()


def bound(flat: Tensor, table: Tensor | None) -> Tensor:
    """Return the bytes of a flat buffer, with the table written in front."""
    assert table is not None
    buffer = flat.view(torch.uint8)
    buffer[: table.shape[0] * WORDS * 8].view(torch.int64).view(-1, WORDS).copy_(table)
    return buffer


def unit_rows(values: ValueRange) -> tuple[Numbers, Numbers]:
    """Return slope and shift from an image's own scale to 0..1."""
    slope = tuple(1 / (w - b) for b, w in zip(values.black, values.white, strict=True))
    return slope, tuple(-b * s for b, s in zip(values.black, slope, strict=True))


def own_rows(values: ValueRange) -> tuple[Numbers, Numbers]:
    """Return slope and shift back to an image's own scale."""
    return tuple(w - b for b, w in zip(values.black, values.white, strict=True)), values.black
