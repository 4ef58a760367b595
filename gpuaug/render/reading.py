"""Read a source through a warp: the one rule for every warp, as plain tensor operations.

The filter is a triangle (or cubic) in source pixels whose half-width along a source axis is max(1, r), r the norm
of that axis's row of the Jacobian output -> source; it is cut at the window and normalised. Taps are unrolled under
a static bound. Written by plane, from per-sample scalars, so that a compiler makes one kernel of it.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from gpuaug._compiling import kept
from gpuaug.geometry import bend
from gpuaug.geometry import matrix as mat
from gpuaug.geometry.canvas import Canvas, rectangle
from gpuaug.render.mixes import Blend, tiled
from gpuaug.render.packed import Packed
from gpuaug.render.settings import Reading
from gpuaug.render.warp import MAX_HALF_WIDTH, Warp

__all__ = ["kernel", "over", "read", "read_planes", "support", "tap_count", "taps"]


def support(reading: Reading) -> float:
    """Return the half-width of the filter before it is widened."""
    return {"nearest": 0.5, "bilinear": 1.0, "bicubic": 2.0}[reading.interpolation]


def kernel(t: Tensor, reading: Reading) -> Tensor:
    """Return the filter's weight at distance t >= 0."""
    if reading.interpolation == "bilinear":
        return (1 - t).clamp(min=0)
    # Pillow and torchvision use -0.5 when antialiasing and -0.75 when not.
    a = -0.5 if reading.antialias else -0.75
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return torch.where(t <= 1, near, torch.where(t < 2, far, torch.zeros_like(t)))


def tap_count(reading: Reading, shrink: float) -> int:
    """Return how many taps an axis can need under a bound of the shrinkage."""
    if reading.interpolation == "nearest":
        return 1
    half = support(reading) * max(1.0, shrink if reading.antialias else 1.0)
    return math.ceil(2 * half - 1e-4)


def read(x: Tensor, warp: Warp, canvas: Canvas, work: torch.dtype, scale: float) -> Tensor:
    """Return (B, C, h, w) in the working dtype: the source (B, C, H, W) seen through a warp, divided by `scale`."""
    return torch.stack(read_planes(x, warp, canvas, work, scale), dim=1)


def read_planes(x: Tensor | Packed, warp: Warp, canvas: Canvas, work: torch.dtype, scale: float) -> list[Tensor]:
    """Return the same as C planes (B, h, w)."""
    if warp.tiles is not None:
        return _read_tiles(x, warp, canvas, work, scale)
    back = mat.inverse(warp.matrix)
    shrink = min(warp.shrink, MAX_HALF_WIDTH) if warp.projective else warp.shrink
    if isinstance(x, Tensor) and warp.kind != "warp" and not warp.transposes:
        return _read_by_axis(x, warp, back, canvas, work, scale, shrink)
    return _read_by_point(x, warp, back, canvas, work, scale, shrink)


def over(blend: Blend, height: int, width: int) -> Warp:
    """Return how the other image of a blend is read."""
    assert blend.matrix is not None
    edge = rectangle((height, width), blend.matrix).expand(blend.matrix.shape[0], 4)
    return Warp(blend.matrix, blend.kind, blend.reading or Reading(), blend.shrink, hard=edge)


def _read_tiles(x: Tensor | Packed, warp: Warp, canvas: Canvas, work: torch.dtype, scale: float) -> list[Tensor]:
    """Read every tile, each cut at its border, and take the one that a pixel is in."""
    assert warp.tiles is not None
    shape = (warp.matrix.shape[0], *canvas)
    channels = x.channels if isinstance(x, Packed) else x.shape[1]
    start = [torch.full((), _fill(warp.reading, c), dtype=work, device=x.device).expand(shape) for c in range(channels)]

    def one(index: Tensor | None, matrix: Tensor, source: Tensor) -> list[Tensor]:
        single = replace(warp, matrix=matrix, tiles=None, soft=None, hard=source)
        if index is None and warp.kind == "lattice":  # pixels that go to pixels are in a tile or not: none is cut
            single = replace(single, reading=replace(warp.reading, interpolation="nearest"), hard=None)
        return read_planes(x if index is None else x.index_select(0, index), single, canvas, work, scale)

    return tiled(warp.tiles, warp.matrix, canvas, (warp.soft, warp.hard), one, start)


def taps(
    position: Tensor,
    width: Tensor | None,
    size: int | Tensor,
    count: int,
    reading: Reading,
    soft: tuple[Tensor, Tensor] | None,
    hard: tuple[Tensor, Tensor] | None,
    stored: bool = False,
) -> tuple[list[Tensor], list[Tensor]]:
    """Return indices and weights of the taps around positions along one axis.

    Where they are `stored`, they are computed all at once, each as it would be alone.
    """
    if reading.interpolation == "nearest":
        first = torch.floor(position)
    else:
        half = support(reading) if width is None else support(reading) * width
        first = torch.floor(position - 0.5 - half) + 1
    places, weights = [], []
    steps: Any = range(count)
    if stored:
        steps = [torch.arange(count, dtype=first.dtype, device=first.device).view(-1, 1, 1)]
    for k in steps:
        place = first + k
        if reading.interpolation == "nearest":
            weight = torch.ones_like(place)
        else:
            distance = (place + 0.5 - position).abs()
            weight = kernel(distance if width is None else distance / width, reading)
        if hard is not None and reading.antialias:
            weight = weight * ((place + 0.5 > hard[0]) & (place + 0.5 < hard[1]))
        elif hard is not None:  # as torch.nn.functional.interpolate: the window's border pixel is repeated
            place = torch.minimum(torch.maximum(place, torch.ceil(hard[0] - 0.5)), torch.ceil(hard[1] - 0.5) - 1)
        places.append(place)
        weights.append(weight)
    if reading.interpolation != "nearest" and (width is not None or hard is not None):
        parts = weights[0].unbind() if stored else weights
        total = sum(parts[1:], parts[0])  # one by one: a reduction's order may depend on the size of the batch
        inverse = 1 / torch.where(total == 0, torch.ones_like(total), total)
        weights = [weight * inverse for weight in weights]
    if hard is not None:  # a position outside the window shows nothing of it
        inside = (position >= hard[0]) & (position <= hard[1])
        weights = [weight * inside for weight in weights]
    indices = []
    for k, place in enumerate(places):
        inside = (place >= 0) & (place < size)
        if soft is not None:
            inside = inside & (place + 0.5 > soft[0]) & (place + 0.5 < soft[1])
        weights[k] = weights[k] * inside
        nearest = torch.minimum(place.clamp(min=0), size - 1) if isinstance(size, Tensor) else place.clamp(0, size - 1)
        indices.append(nearest.to(torch.int32))
    if stored:
        return list(kept(indices[0]).unbind()), list(kept(weights[0]).unbind())
    return indices, weights


def _weighted(value: Tensor, weight: Tensor, guard: bool) -> Tensor:
    """Return weight * value, where a weight of zero silences even NaN."""
    if guard:
        # The gradient of a weight is the value, so that it is kept where it is finite; without one zero will do.
        needed = torch.is_grad_enabled() and weight.requires_grad
        value = torch.where(weight != 0, value, torch.nan_to_num(value) if needed else 0.0)
    return weight * value


def _fill(reading: Reading, channel: int) -> float:
    return reading.fill[channel if len(reading.fill) > 1 else 0]


def _sides(rectangle: Tensor | None, axis: int, work: torch.dtype, dims: int) -> tuple[Tensor, Tensor] | None:
    if rectangle is None:
        return None
    low, high = rectangle[:, axis].to(work), rectangle[:, axis + 2].to(work)
    shape = (-1,) + (1,) * dims
    return low.view(shape), high.view(shape)


def _centres(n: int, like: Tensor | Packed, work: torch.dtype) -> Tensor:
    return torch.arange(n, device=like.device, dtype=work) + (0.5 - n / 2)


def _read_by_axis(
    x: Tensor, warp: Warp, back: Tensor, canvas: Canvas, work: torch.dtype, scale: float, shrink: float
) -> list[Tensor]:
    """Read axis by axis: rows first, then columns."""
    h, w = canvas
    reading = warp.reading
    batch, channels, rows, cols = x.shape
    count = tap_count(reading, shrink)
    axes = []
    for axis, n, size in ((1, h, rows), (0, w, cols)):
        slope, shift = back[:, axis, axis], back[:, axis, 2]
        middle = (shift + slope * (n / 2)).to(work)[:, None]
        position = slope.to(work)[:, None] * _centres(n, x, work) + middle
        width = slope.abs().clamp(min=1).to(work)[:, None] if count > 1 and reading.antialias and shrink > 1 else None
        soft, hard = _sides(warp.soft, axis, work, 1), _sides(warp.hard, axis, work, 1)
        axes.append(taps(position, width, size, count, reading, soft, hard, stored=True))
    (iy, wy), (ix, wx) = axes
    guard = x.dtype.is_floating_point
    sample = torch.arange(batch, device=x.device)[:, None]
    line = torch.arange(h, device=x.device)
    cover = None
    if any(reading.fill):
        cover = sum(wy[1:], wy[0])[:, :, None] * sum(wx[1:], wx[0])[:, None, :]
    planes = []
    for c in range(channels):
        plane = x[:, c]
        lines = None
        for index, weight in zip(iy, wy, strict=True):
            value = torch.ops.aten._unsafe_index(plane, [sample, index]).to(work)
            term = _weighted(value, weight[:, :, None], guard)
            lines = term if lines is None else lines + term
        assert lines is not None
        out = None
        for index, weight in zip(ix, wx, strict=True):
            value = torch.ops.aten._unsafe_index(lines, [sample[:, :, None], line[None, :, None], index[:, None, :]])
            term = _weighted(value, weight[:, None, :], guard)
            out = term if out is None else out + term
        assert out is not None
        if scale != 1:
            out = out / scale
        planes.append(out if cover is None else out + (1 - cover) * _fill(reading, c))
    return planes


def _positions(
    warp: Warp, back: Tensor, canvas: Canvas, x: Tensor | Packed, work: torch.dtype, shrink: float
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Return source positions and filter widths (None for 1) of every output pixel."""
    h, w = canvas
    # About the middle of the output, where float32 is most precise.
    centred = torch.cat((back[:, :, :2], back[:, :, 2:] + back[:, :, :1] * (w / 2) + back[:, :, 1:2] * (h / 2)), dim=-1)
    if warp.projective:
        # Depth one in the middle, but its sign is kept: beyond a horizon nothing is seen.
        centred = centred / centred[:, 2:, 2:].abs().clamp(min=1e-12)
    m = centred.to(work)[:, :, :, None, None].unbind(1)
    gx, gy = _centres(w, x, work), _centres(h, x, work)[:, None]
    px = m[0][:, 0] * gx + m[0][:, 1] * gy + m[0][:, 2]
    py = m[1][:, 0] * gx + m[1][:, 1] * gy + m[1][:, 2]
    widen = warp.reading.antialias and shrink > 1
    if warp.field is not None:
        px, py = px + warp.field[:, 0].to(work), py + warp.field[:, 1].to(work)
        return (px, py, *bend.widths(px, py, shrink)) if widen else (px, py, None, None)
    if not warp.projective:
        if not widen:
            return px, py, None, None
        norms = torch.linalg.vector_norm(back[:, :2, :2], dim=-1).clamp(1, shrink).to(work)[:, :, None, None]
        return px, py, norms[:, 0], norms[:, 1]
    d = m[2][:, 0] * gx + m[2][:, 1] * gy + m[2][:, 2]
    seen = d > 1e-6
    inv = 1 / torch.where(seen, d, torch.ones_like(d))
    # A place behind the camera is put far outside the image.
    px = torch.where(seen, px * inv, torch.full_like(d, -1e6))
    py = torch.where(seen, py * inv, torch.full_like(d, -1e6))
    if not widen:
        return px, py, None, None
    widths = []
    for row, p in ((m[0], px), (m[1], py)):
        dx, dy = row[:, 0] - p * m[2][:, 0], row[:, 1] - p * m[2][:, 1]
        widths.append((torch.sqrt(dx * dx + dy * dy) * inv).clamp(1, shrink))
    return px, py, widths[0], widths[1]


def _read_by_point(
    x: Tensor | Packed, warp: Warp, back: Tensor, canvas: Canvas, work: torch.dtype, scale: float, shrink: float
) -> list[Tensor]:
    """Read point by point: taps around a position in the plane."""
    reading = warp.reading
    rows: int | Tensor
    cols: int | Tensor
    if isinstance(x, Packed):
        channels, (rows, cols) = x.channels, x.limits(work)
    else:
        channels, rows, cols = x.shape[1:]
    count = tap_count(reading, shrink)
    px, py, rx, ry = _positions(warp, back, canvas, x, work, shrink)
    iy, wy = taps(py, ry, rows, count, reading, _sides(warp.soft, 1, work, 2), _sides(warp.hard, 1, work, 2))
    ix, wx = taps(px, rx, cols, count, reading, _sides(warp.soft, 0, work, 2), _sides(warp.hard, 0, work, 2))
    guard = x.dtype.is_floating_point
    sample = torch.arange(warp.matrix.shape[0], device=x.device)[:, None, None]
    sums: list[Tensor | None] = [None] * channels
    for ky, row in enumerate(iy):
        for kx, column in enumerate(ix):
            weight = wy[ky] * wx[kx]
            for c in range(channels):
                if isinstance(x, Packed):
                    value = x.at(c, row, column).to(work)
                else:
                    value = torch.ops.aten._unsafe_index(x[:, c], [sample, row, column]).to(work)
                term = _weighted(value, weight, guard)
                held = sums[c]
                sums[c] = term if held is None else held + term
    cover = sum(wy[1:], wy[0]) * sum(wx[1:], wx[0]) if any(reading.fill) else None
    planes = []
    for c, plane in enumerate(sums):
        assert plane is not None
        if scale != 1:
            plane = plane / scale
        planes.append(plane if cover is None else plane + (1 - cover) * _fill(reading, c))
    return planes
