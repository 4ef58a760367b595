"""Move classes: every output pixel takes one pixel of the source, whatever its dtype, or the fill."""

from __future__ import annotations

import torch
from torch import Tensor

from gpuaug.geometry import bend
from gpuaug.geometry import matrix as mat
from gpuaug.geometry.canvas import Canvas
from gpuaug.render.backend import uses_triton
from gpuaug.render.flat import Flat
from gpuaug.render.plan import Pass, Warp

__all__ = ["part_of", "pick", "pick_at_once"]


def pick(x: Tensor, passes: list[Pass], fill: float, source: Canvas, backend: str | None = None) -> Tensor:
    """Return (B, C, h, w) of the dtype of (B, C, H, W): the warps of some passes, nearest to the centre.

    Planes whose resolution is a fraction of that of the `source` canvas keep it: the output's height is that fraction
    of the canvas's height, rounded, and spans it whole; so is the width.
    """
    fraction = (x.shape[2] / source[0], x.shape[3] / source[1])
    if uses_triton(x, backend) and _suits_triton(x, passes, fraction):
        from gpuaug.render.lowering_pick import run_pick

        return run_pick(x, passes, fill, source)
    for step in passes:
        if step.index is not None:
            x = x.index_select(0, step.index)
        if step.warp is not None:
            x = _through(x, step.warp, source, step.canvas, fraction, fill)
            source = step.canvas
    return x


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


def part_of(canvas: Canvas, fraction: tuple[float, float]) -> tuple[int, int]:
    """Return the size of planes at a fraction of a canvas's resolution."""
    return max(1, round(canvas[0] * fraction[0])), max(1, round(canvas[1] * fraction[1]))


def _suits_triton(x: Tensor | Flat, passes: list[Pass], fraction: tuple[float, float]) -> bool:
    """Tell whether the kernel can move classes: a field is read at its own resolution only."""
    bent = any(step.warp is not None and step.warp.field is not None for step in passes)
    pixels = x.values if isinstance(x, Flat) else x
    return not (torch.is_grad_enabled() and pixels.requires_grad) and not (bent and fraction != (1.0, 1.0))


def _through(
    x: Tensor, warp: Warp, source: Canvas, canvas: Canvas, fraction: tuple[float, float], fill: float
) -> Tensor:
    h, w = part_of(canvas, fraction)
    rows, cols = x.shape[2:]
    # Pixels of the planes in pixels of the source, and of the output in pixels of its canvas; all ones mostly.
    row_step, col_step, y_step, x_step = source[0] / rows, source[1] / cols, canvas[0] / h, canvas[1] / w
    work = mat.matrix_dtype(x.device)
    m = mat.inverse(warp.matrix)[:, :, :, None, None]
    gx = (torch.arange(w, device=x.device, dtype=work) + 0.5) * x_step
    gy = (torch.arange(h, device=x.device, dtype=work)[:, None] + 0.5) * y_step
    if warp.kind != "warp" and not warp.transposes:  # axis by axis: (B, 1, w) and (B, h, 1)
        px, py = m[:, 0, 0] * gx + m[:, 0, 2], m[:, 1, 1] * gy + m[:, 1, 2]
    else:
        px = m[:, 0, 0] * gx + m[:, 0, 1] * gy + m[:, 0, 2]
        py = m[:, 1, 0] * gx + m[:, 1, 1] * gy + m[:, 1, 2]
    if warp.field is not None:
        moved = warp.field
        if (h, w) != canvas:
            places = torch.stack((gx.expand(h, w), gy.expand(h, w)), dim=-1).flatten(0, 1).expand(x.shape[0], -1, -1)
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
            x0, y0, x1, y1 = window.to(work).expand(x.shape[0], 4)[:, :, None, None].unbind(1)
            # A pixel is in a window if its centre is; at another resolution the position itself decides.
            own = (rows, cols) == source
            at_x, at_y = (column + 0.5, row + 0.5) if own else (px, py)
            seen_x = seen_x & (at_x > x0) & (at_x < x1)
            seen_y = seen_y & (at_y > y0) & (at_y < y1)
    index = row.nan_to_num().clamp(0, rows - 1).to(torch.int64) * cols + column.nan_to_num().clamp(0, cols - 1).to(
        torch.int64
    )
    index = index.expand(-1, h, w).reshape(x.shape[0], 1, h * w).expand(-1, x.shape[1], -1)
    value = torch.gather(x.flatten(2), 2, index).unflatten(2, (h, w))
    return torch.where((seen_x & seen_y)[:, None], value, torch.full((), fill, dtype=x.dtype, device=x.device))
