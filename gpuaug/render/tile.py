"""Canvases made of tiles, one sample at a time on the CPU: only what a tile reaches is read for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from gpuaug.geometry import matrix as mat
from gpuaug.render.mixes import inside
from gpuaug.render.plan import Pass
from gpuaug.render.sampler import sample_image
from gpuaug.render.warp import Warp

__all__ = ["exchanged", "in_tiles"]

_CHUNK = 8192
"""Pixels for which it is decided at a time whether a tile is seen there."""
Read = Callable[[Tensor, float, Pass, torch.dtype], Tensor]


def exchanged(
    image: Tensor, step: Pass, scale: float, work: torch.dtype, read: Read, into: Tensor | None = None
) -> Tensor:
    """Return one image (1, C, H, W) whose parts exchange their places, in the same unit; it may be written `into`."""
    warp = step.warp
    assert warp is not None and warp.tiles is not None
    tiles, m = warp.tiles, warp.matrix[0].tolist()
    still = m == [[1, 0, 0], [0, 1, 0], [0, 0, 1]] and warp.soft is None and warp.hard is None
    if not still or tuple(step.canvas) != tuple(image.shape[2:]):
        return in_tiles([image] * tiles.matrix.shape[1], step, scale, work, read)
    whole = [0, 0, *reversed(step.canvas)]
    cells = [
        ([round(side) for side in rectangle], round(place[0][2]), round(place[1][2]))
        for rectangle, place in zip(tiles.rectangle[0].tolist(), tiles.matrix[0].tolist(), strict=True)
        if rectangle[2] > rectangle[0] and rectangle[3] > rectangle[1]
    ]
    if cells == [(whole, 0, 0)]:
        return image
    out = torch.empty_like(image) if into is None else into
    source, target = _array(image), _array(out)  # slices of arrays take a fifth of the time of those of tensors
    for (x0, y0, x1, y1), dx, dy in cells:
        target[..., y0:y1, x0:x1] = source[..., y0 - dy : y1 - dy, x0 - dx : x1 - dx]
    return out


def _array(image: Tensor) -> Any:
    """Return an image's memory as NumPy's, which has no bfloat16."""
    return (image.detach().view(torch.int16) if image.dtype == torch.bfloat16 else image.detach()).numpy()


def in_tiles(
    images: Sequence[Tensor], step: Pass, scale: float, work: torch.dtype, read: Read, whole: bool = False
) -> Tensor:
    """Return one canvas of tiles; only the part of the output that a tile reaches is read for it.

    It is in the images' unit: in working precision, or in pixels as they are where none is blended, or where they
    shall be `whole` (uint8).

    Args:
        images: what each tile shows, (1, C, H, W).
        step: the pass of one sample.
        scale: what pixels are divided by to get working values.
        work: working dtype.
        read: how one of them is read through a warp without tiles.
        whole: whether pixels are rounded.
    """
    warp, x = step.warp, images[0]
    assert warp is not None and warp.tiles is not None
    h, w = step.canvas
    lines = max(1, _CHUNK // w)
    straight = warp.kind != "warp" and not warp.transposes
    back = mat.inverse(warp.matrix)
    channels = x.shape[1]
    fills = [warp.reading.fill[c if len(warp.reading.fill) > 1 else 0] * scale for c in range(channels)]
    # Pixels stay as they are until some are blended.
    kept = whole or x.dtype.is_floating_point or all(abs(fill - round(fill)) < 1e-6 for fill in fills)
    out = torch.empty((1, channels, h, w), dtype=x.dtype if kept else work)
    for c, fill in enumerate(fills):
        out[:, c].fill_(fill if out.dtype.is_floating_point else round(fill))
    rectangles, sources = warp.tiles.within(warp.soft, warp.hard)
    for k, image in enumerate(images):
        place, rectangle, source = warp.tiles.matrix[:, k], rectangles[:, k], sources[:, k]
        area = _reach(warp, rectangle, h, w)
        if area is None:
            continue
        x0, y0, x1, y1 = area
        shift = mat.scale_shift(1.0, -float(x0), 1.0, -float(y0), torch.zeros_like(warp.matrix[:, 0, 0]))
        one = replace(warp, matrix=shift @ warp.matrix @ place, tiles=None, soft=None, hard=source)
        size = (y1 - y0, x1 - x0)
        if warp.kind == "lattice" or warp.reading.interpolation != "bilinear" or not warp.reading.antialias:
            part = read(image, scale, replace(step, warp=one, canvas=size), work)
            if whole and part.dtype != x.dtype:
                part = part.clamp(0, 255).round_().to(x.dtype)
        else:
            part = _sampled(image, one, size, torch.uint8 if whole else work, work)
        if part.dtype != out.dtype:
            out = out.to(work)
        view = out[:, :, y0:y1, x0:x1]
        if straight:
            view.copy_(part)
            continue
        for start in range(0, y1 - y0, lines):  # some lines at a time: positions are wider than pixels
            rows = slice(start, min(start + lines, y1 - y0))
            seen = _seen(back, rectangle, (x0, y0 + rows.start, x1, y0 + rows.stop))
            view[:, :, rows] = torch.where(seen, part[:, :, rows], view[:, :, rows])
    return out


def _sampled(image: Tensor, warp: Warp, size: tuple[int, int], dtype: torch.dtype, work: torch.dtype) -> Tensor:
    """Return an image (1, C, H, W) through a warp, the tent cut at its window and normalised, in the image's unit."""
    assert warp.hard is not None
    x0, y0, x1, y1 = (math.ceil(v - 0.5 - 1e-6) for v in warp.hard[0].tolist())
    region = max(x0, 0), max(y0, 0), min(x1, image.shape[3]), min(y1, image.shape[2])
    if region[2] <= region[0] or region[3] <= region[1]:
        return torch.zeros((1, image.shape[1], *size), dtype=dtype)
    back = mat.inverse(warp.matrix)[0].tolist()
    into = torch.empty((1, image.shape[1], *size), dtype=dtype)
    return sample_image(image, back, size, region, (0.0,), work, warp.shrink > 1, {}, into, cut=True)


def _reach(warp: Warp, rectangle: Tensor, h: int, w: int) -> tuple[int, int, int, int] | None:
    """Return the output's pixels whose centre a rectangle of the tiles' canvas may hold; None where there are none."""
    x0, y0, x1, y1 = rectangle[0].tolist()
    if x1 <= x0 or y1 <= y0:
        return None
    low, high = [0, 0], [w, h]
    m = warp.matrix[0].tolist()
    corners = []
    for x, y in ((x0, y0), (x1, y0), (x0, y1), (x1, y1)):
        depth = m[2][0] * x + m[2][1] * y + m[2][2]
        if depth <= 1e-6:
            return 0, 0, w, h
        corners.append([(row[0] * x + row[1] * y + row[2]) / depth for row in m[:2]])
    for axis in (0, 1):
        values = [corner[axis] for corner in corners]
        low[axis] = max(0, math.ceil(min(values) - 0.5 - 1e-6))
        high[axis] = min(high[axis], math.ceil(max(values) - 0.5 - 1e-6))
    return (low[0], low[1], high[0], high[1]) if high[0] > low[0] and high[1] > low[1] else None


def _seen(back: Tensor, rectangle: Tensor, area: tuple[int, int, int, int]) -> Tensor:
    x0, y0, x1, y1 = area
    gx = torch.arange(x0, x1, dtype=back.dtype) + 0.5
    gy = torch.arange(y0, y1, dtype=back.dtype)[:, None] + 0.5
    m = back[0]
    depth = m[2, 0] * gx + m[2, 1] * gy + m[2, 2]
    depth = torch.where(depth > 1e-6, depth, torch.full_like(depth, torch.nan))
    x, y = ((row[0] * gx + row[1] * gy + row[2]) / depth for row in m[:2])
    return inside(rectangle, x[None], y[None])[:, None]
