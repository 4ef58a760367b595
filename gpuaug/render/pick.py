"""Move classes: every output pixel takes one pixel of the source, whatever its dtype, or the fill."""

from __future__ import annotations

import torch
from torch import Tensor

from gpuaug.geometry import matrix as mat
from gpuaug.geometry.canvas import Canvas
from gpuaug.render.backend import uses_triton
from gpuaug.render.plan import Pass, Warp

__all__ = ["pick"]


def pick(x: Tensor, passes: list[Pass], fill: float, backend: str | None = None) -> Tensor:
    """Return (B, C, h, w) of the dtype of (B, C, H, W): the warps of some passes, nearest to the centre."""
    if uses_triton(x, backend) and not (torch.is_grad_enabled() and x.requires_grad):
        from gpuaug.render.lowering import run_pick

        return run_pick(x, passes, fill)
    for step in passes:
        if step.warp is not None:
            x = _through(x, step.warp, step.canvas, fill)
    return x


def _through(x: Tensor, warp: Warp, canvas: Canvas, fill: float) -> Tensor:
    (h, w), (rows, cols) = canvas, x.shape[2:]
    work = mat.matrix_dtype(x.device)
    m = mat.inverse(warp.matrix)[:, :, :, None, None]
    gx = torch.arange(w, device=x.device, dtype=work) + 0.5
    gy = torch.arange(h, device=x.device, dtype=work)[:, None] + 0.5
    if warp.kind != "warp" and not warp.transposes:  # axis by axis: (B, 1, w) and (B, h, 1)
        px, py = m[:, 0, 0] * gx + m[:, 0, 2], m[:, 1, 1] * gy + m[:, 1, 2]
    else:
        px = m[:, 0, 0] * gx + m[:, 0, 1] * gy + m[:, 0, 2]
        py = m[:, 1, 0] * gx + m[:, 1, 1] * gy + m[:, 1, 2]
    if warp.field is not None:
        px, py = px + warp.field[:, 0], py + warp.field[:, 1]
    if warp.projective:
        depth = m[:, 2, 0] * gx + m[:, 2, 1] * gy + m[:, 2, 2]
        depth = torch.where(depth > 1e-6, depth, torch.full_like(depth, torch.nan))
        px, py = px / depth, py / depth
    column, row = torch.floor(px), torch.floor(py)
    seen_x, seen_y = (column >= 0) & (column < cols), (row >= 0) & (row < rows)
    for window in (warp.soft, warp.hard):
        if window is not None:
            x0, y0, x1, y1 = window.to(work).expand(x.shape[0], 4)[:, :, None, None].unbind(1)
            seen_x = seen_x & (column + 0.5 > x0) & (column + 0.5 < x1)
            seen_y = seen_y & (row + 0.5 > y0) & (row + 0.5 < y1)
    index = row.nan_to_num().clamp(0, rows - 1).to(torch.int64) * cols + column.nan_to_num().clamp(0, cols - 1).to(
        torch.int64
    )
    index = index.expand(-1, h, w).reshape(x.shape[0], 1, h * w).expand(-1, x.shape[1], -1)
    value = torch.gather(x.flatten(2), 2, index).unflatten(2, (h, w))
    return torch.where((seen_x & seen_y)[:, None], value, torch.full((), fill, dtype=x.dtype, device=x.device))
