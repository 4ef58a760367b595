"""Move classes: every output pixel takes one pixel of the source, whatever its dtype, or the fill."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from gpuaug.geometry import bend
from gpuaug.geometry import matrix as mat
from gpuaug.geometry.canvas import Canvas, smaller
from gpuaug.render.backend import uses_triton
from gpuaug.render.flat import Flat
from gpuaug.render.mixes import Blend, blended, covers, tiled
from gpuaug.render.packed import Packed
from gpuaug.render.plan import Pass
from gpuaug.render.reading import over
from gpuaug.render.values import movable
from gpuaug.render.warp import Warp

__all__ = ["part_of", "pick", "pick_at_once"]


def pick(x: Tensor | Packed, passes: list[Pass], fill: float, source: Canvas, backend: str | None = None) -> Tensor:
    """Return (B, C, h, w) of the dtype of (B, C, H, W): the warps of some passes, nearest to the centre.

    Planes whose resolution is a fraction of that of the `source` canvas keep it: the output's height is that fraction
    of the canvas's height, rounded, and spans it whole; so is the width. Planes of several sizes have those of their
    images, which the first pass puts on one canvas.
    """
    if isinstance(x, Packed):
        first = passes[0]
        assert first.warp is not None
        blank = _blank(x, fill)
        whole = _through_tiles(x.view(blank.dtype), first.warp, source, first.canvas, (1.0, 1.0), blank).view(x.dtype)
        return pick(whole, passes[1:], fill, first.canvas, backend)
    fraction = (x.shape[2] / source[0], x.shape[3] / source[1])
    if uses_triton(x, backend) and _suits_triton(x, passes, fraction):
        from gpuaug.render.lowering_pick import run_pick

        return run_pick(x, passes, fill, source)
    out, blank = movable(x), _blank(x, fill)
    for step in passes:
        if step.index is not None:
            out = out.index_select(0, step.index)
        if step.warp is not None:
            out = _through(out, step.warp, source, step.canvas, fraction, blank)
            source = step.canvas
        elif step.blend is not None:
            out = _over(out, step.blend, step.canvas, fraction)
    return out if out.dtype == x.dtype else out.view(x.dtype)


def pick_at_once(
    x: Tensor | Flat, passes: list[Pass], fill: float, source: Canvas, backend: str | None
) -> Tensor | None:
    """Return masks whose sizes differ, before or after the passes, in a launch for each; None where kernels cannot.

    Returns:
        As `backend.render_at_once`.
    """
    whole = (1.0, 1.0) if isinstance(x, Flat) else (x.shape[2] / source[0], x.shape[3] / source[1])
    if whole != (1.0, 1.0) or not uses_triton(x, backend) or not _suits_triton(x, passes, whole):
        return None
    from gpuaug.render.lowering_pick import run_pick

    return run_pick(x, passes, fill, source)


def _blank(x: Tensor | Packed, fill: float) -> Tensor:
    """Return what is seen outside planes, 0-d, in the dtype in which they are moved."""
    return movable(torch.full((), fill, dtype=x.dtype, device=x.device))


def part_of(canvas: Canvas, fraction: tuple[float, float]) -> tuple[int, int]:
    """Return the size of planes at a fraction of a canvas's resolution."""
    return max(1, round(canvas[0] * fraction[0])), max(1, round(canvas[1] * fraction[1]))


def _suits_triton(x: Tensor | Flat, passes: list[Pass], fraction: tuple[float, float]) -> bool:
    """Tell whether the kernel can move classes: a field is read at its own resolution only."""
    if any(step.mixes or step.tiled for step in passes):
        return False
    bent = any(step.warp is not None and step.warp.field is not None for step in passes)
    pixels = x.values if isinstance(x, Flat) else x
    return not (torch.is_grad_enabled() and pixels.requires_grad) and not (bent and fraction != (1.0, 1.0))


def _centres(canvas: Canvas, size: tuple[int, int], x: Tensor | Packed) -> tuple[Tensor, Tensor]:
    """Return the positions x (w) and y (h) of the centres of planes of a size that span a canvas."""
    work = mat.matrix_dtype(x.device)
    gx, gy = (
        (torch.arange(n, device=x.device, dtype=work) + 0.5) * (span / n)
        for n, span in ((size[1], canvas[1]), (size[0], canvas[0]))
    )
    return gx, gy


def _over(x: Tensor, blend: Blend, canvas: Canvas, fraction: tuple[float, float]) -> Tensor:
    """Return classes with another sample's over them: the one of which more is seen; probabilities are blended."""
    size = (x.shape[2], x.shape[3])
    other = x.index_select(0, blend.index)
    if blend.matrix is not None:
        other = _through(other, over(blend, *canvas), canvas, canvas, fraction, other.new_zeros(()))
    work = x.dtype if x.dtype.is_floating_point else torch.float32
    share = covers(blend, *_centres(canvas, size, x), work)[:, None]
    soft = x.dtype.is_floating_point and x.shape[1] > 1
    return blended(x, other, share, blend.whole or not soft)


def _through_tiles(
    x: Tensor | Packed, warp: Warp, source: Canvas, canvas: Canvas, fraction: tuple[float, float], blank: Tensor
) -> Tensor:
    assert warp.tiles is not None
    size = part_of(canvas, fraction)
    channels = x.channels if isinstance(x, Packed) else x.shape[1]
    start = blank.expand(warp.matrix.shape[0], channels, *size)

    def one(index: Tensor | None, matrix: Tensor, _: Tensor) -> list[Tensor]:
        single = replace(warp, matrix=matrix, tiles=None, soft=None, hard=None)
        found = _through(x if index is None else x.index_select(0, index), single, source, canvas, fraction, blank)
        return list(found.unbind(1))

    if channels == 0:
        return start
    windows = (warp.soft, warp.hard)
    centres = _centres(canvas, size, x)
    return torch.stack(tiled(warp.tiles, warp.matrix, canvas, windows, one, list(start.unbind(1)), centres), dim=1)


def _through(
    x: Tensor | Packed, warp: Warp, source: Canvas, canvas: Canvas, fraction: tuple[float, float], blank: Tensor
) -> Tensor:
    h, w = part_of(canvas, fraction)
    if warp.tiles is not None:
        return _through_tiles(x, warp, source, canvas, fraction, blank)
    work = mat.matrix_dtype(x.device)
    rows: int | Tensor
    cols: int | Tensor
    row_step = col_step = 1.0
    if isinstance(x, Packed):
        rows, cols = x.limits(work)
    else:
        rows, cols = x.shape[2:]
        # Pixels of the planes in pixels of the source: ones mostly.
        row_step, col_step = source[0] / rows, source[1] / cols
    m = mat.inverse(warp.matrix)[:, :, :, None, None]
    gx, gy = _centres(canvas, (h, w), x)
    gy = gy[:, None]
    if warp.kind != "warp" and not warp.transposes:  # axis by axis: (B, 1, w) and (B, h, 1)
        px, py = m[:, 0, 0] * gx + m[:, 0, 2], m[:, 1, 1] * gy + m[:, 1, 2]
    else:
        px = m[:, 0, 0] * gx + m[:, 0, 1] * gy + m[:, 0, 2]
        py = m[:, 1, 0] * gx + m[:, 1, 1] * gy + m[:, 1, 2]
    if warp.field is not None:
        moved = warp.field
        if (h, w) != canvas:
            places = (
                torch.stack((gx.expand(h, w), gy.expand(h, w)), dim=-1)
                .flatten(0, 1)
                .expand(warp.matrix.shape[0], -1, -1)
            )
            moved = bend.sample(moved, places)[0].transpose(1, 2).unflatten(2, (h, w))
        px, py = px + moved[:, 0], py + moved[:, 1]
    if warp.projective:
        depth = m[:, 2, 0] * gx + m[:, 2, 1] * gy + m[:, 2, 2]
        depth = torch.where(depth > 1e-6, depth, torch.full_like(depth, torch.nan))
        px, py = px / depth, py / depth
    column, row = torch.floor(px / col_step), torch.floor(py / row_step)
    seen_x, seen_y = (column >= 0) & (column < cols), (row >= 0) & (row < rows)
    for window in (warp.soft, warp.hard):
        if window is not None:
            x0, y0, x1, y1 = window.to(work).expand(warp.matrix.shape[0], 4)[:, :, None, None].unbind(1)
            # A pixel is in a window if its centre is; at another resolution the position itself decides.
            own = (rows, cols) == source
            at_x, at_y = (column + 0.5, row + 0.5) if own else (px, py)
            seen_x = seen_x & (at_x > x0) & (at_x < x1)
            seen_y = seen_y & (at_y > y0) & (at_y < y1)
    row, column = (
        smaller(p.nan_to_num().clamp(min=0), n - 1).to(torch.int64) for p, n in ((row, rows), (column, cols))
    )
    shown = (seen_x & seen_y)[:, None]
    if isinstance(x, Packed):
        value = torch.stack([x.at(c, row, column) for c in range(x.channels)], dim=1)
    else:
        index = (row * cols + column).expand(-1, h, w).reshape(x.shape[0], 1, h * w).expand(-1, x.shape[1], -1)
        value = torch.gather(x.flatten(2), 2, index).unflatten(2, (h, w))
    return torch.where(shown, value, blank)
