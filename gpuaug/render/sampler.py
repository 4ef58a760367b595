"""Read one image through any warp on the CPU with torch's grid sampler, by the same tent rule as `reading`.

One call of the grid sampler blends two neighbouring taps along each axis, in any proportion: two taps of weights a
and b are one reading at the place b / (a + b) between them, times a + b. A tent of half-width r takes ceil(r) such
pairs along an axis, so most pixels of a warp take one reading, and only those that shrink take more.

The image is laid into a frame whose last index is a power of two: normalising a coordinate then changes nothing but
its exponent, and the sampler sees the float32 position itself.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from gpuaug.render.plan import MAX_HALF_WIDTH, Canvas

__all__ = ["sample_image"]

Rows = list[list[float]]
_CHUNK = 16384
"""Positions that are read at a time: what a reading needs besides stays small, and in cache."""
_THREADS = 2
"""In how many parts a reading is given to the sampler, which works in parallel over its first dimension only."""


def sample_image(
    image: Tensor,
    m: Rows,
    canvas: Canvas,
    region: tuple[int, int, int, int],
    fill: tuple[float, ...],
    scale: float,
    work: torch.dtype,
    widen: bool,
) -> Tensor:
    """Return (1, C, h, w): the image (1, C, H, W) at the positions that `m` (output -> source) gives.

    Args:
        image: one image, in the source's units.
        m: rows of the homography.
        canvas: size of the output.
        region: x0, y0, x1, y1, the whole pixels of the source that are visible.
        fill: what is outside, in working units.
        scale: what values are divided by.
        work: working dtype.
        widen: whether the filter widens where the warp shrinks.
    """
    x0, y0, x1, y1 = region
    part = image[:, :, y0:y1, x0:x1]
    frame = (1 << max(part.shape[2] - 1, 1).bit_length(), 1 << max(part.shape[3] - 1, 1).bit_length())
    padded = torch.zeros((1, part.shape[1], frame[0] + 1, frame[1] + 1), dtype=work)
    inner = padded[:, :, : part.shape[2], : part.shape[3]]
    inner.copy_(part)
    if scale != 1:
        inner.div_(scale)
    if any(fill):  # sum w (v - fill) + fill: coverage needs no plane of its own
        for c in range(part.shape[1]):
            inner[:, c].sub_(fill[c if len(fill) > 1 else 0])
    position, width = _positions(m, canvas, (x0, y0), work, widen)
    out = torch.empty((part.shape[1], position.shape[1]), dtype=work)
    for start in range(0, position.shape[1], _CHUNK):
        some = slice(start, start + _CHUNK)
        if width.shape[1] == 1:  # affine: one width for all positions
            nx, ny = (math.ceil(w - 1e-4) for w in width.view(-1).tolist())
            out[:, some] = _read(padded, position[:, some], width, (nx, ny))
        else:
            out[:, some] = _read_by_group(padded, position[:, some], width[:, some])
    out = out.view(1, part.shape[1], *canvas)
    if any(fill):
        for c in range(part.shape[1]):
            out[:, c].add_(fill[c if len(fill) > 1 else 0])
    return out


def _positions(
    m: Rows, canvas: Canvas, origin: tuple[int, int], work: torch.dtype, widen: bool
) -> tuple[Tensor, Tensor]:
    """Return pixel indices (2, h * w), x and y, and the filter's half-widths, (2, h * w) or (2, 1)."""
    h, w = canvas
    gx = torch.arange(w, dtype=work).add_(0.5 - w / 2)
    gy = torch.arange(h, dtype=work).add_(0.5 - h / 2)
    # Coefficients about the middle of the output, where float32 is most precise; the last row's third is one.
    third = m[2][0] * (w / 2) + m[2][1] * (h / 2) + m[2][2]
    rows = [[row[0] / third, row[1] / third, (row[0] * (w / 2) + row[1] * (h / 2) + row[2]) / third] for row in m]
    a, b, c = torch.tensor(rows[:2], dtype=torch.float64).t().to(work)[:, :, None, None].unbind()
    shift = torch.tensor([origin[0] + 0.5, origin[1] + 0.5], dtype=work)[:, None, None]
    ad, bd = rows[2][:2]
    if ad == 0 and bd == 0:
        position = gx * a + (gy[:, None] * b + (c - shift))
        widths = [max(1.0, math.hypot(*row[:2])) if widen else 1.0 for row in rows[:2]]
        return position.view(2, -1), torch.tensor(widths, dtype=work)[:, None]
    d = gx * ad + (gy * bd + 1)[:, None]
    inverse = d.reciprocal().masked_fill_(d <= 1e-6, torch.nan)
    position = (gx * a + (gy[:, None] * b + c)).mul_(inverse)
    width = torch.ones((2, 1), dtype=work)
    if widen:
        dx, dy = a - position * ad, b - position * bd
        width = dx.square_().add_(dy.square_()).sqrt_().mul_(inverse)
        width = width.nan_to_num_(1.0).clamp_(1.0, MAX_HALF_WIDTH).view(2, -1)
    # A place behind the camera is put far outside the image.
    return position.sub_(shift).nan_to_num_(-1e6).view(2, -1), width


def _read(padded: Tensor, position: Tensor, width: Tensor, counts: tuple[int, int]) -> Tensor:
    """Return (C, N): the tent at positions (2, N), by counts[0] readings along x times counts[1] along y each."""
    nx, ny = counts
    n = position.shape[1]
    frame = torch.tensor([2.0 / (padded.shape[3] - 1), 2.0 / (padded.shape[2] - 1)], dtype=position.dtype)[:, None]
    if nx == ny == 1:
        parts = _THREADS if n % _THREADS == 0 else 1
        grid = position.mul(frame).sub_(1).t().contiguous().view(parts, 1, -1, 2)
        value = _sampled(padded.expand(parts, -1, -1, -1), grid)
        return value.view(parts, padded.shape[1], -1).transpose(0, 1).reshape(padded.shape[1], n)
    most = max(counts)
    step = width.reciprocal()
    first = torch.floor(position - width).add_(1)
    k = torch.arange(2 * most, dtype=position.dtype)[:, None, None]
    # Weights of the taps (2 * most, 2, N), and of neighbours together.
    weights = (((first - position) * step) + k * step).abs_().neg_().add_(1).clamp_(min=0)
    far = weights[1::2]
    both = weights[0::2] + far
    place = (far / both.clamp(min=1e-20)).add_(k[0::2]).add_(first).mul_(frame).sub_(1)
    both /= both.sum(0)
    grid = torch.empty((ny, nx, n, 2), dtype=position.dtype)
    grid[..., 0] = place[None, :nx, 0]
    grid[..., 1] = place[:ny, None, 1]
    value = _sampled(padded.expand(ny * nx, -1, -1, -1), grid.view(ny * nx, 1, n, 2))
    weight = (both[:ny, None, 1] * both[None, :nx, 0]).view(ny * nx, 1, n)
    return value.view(ny * nx, padded.shape[1], n).mul_(weight).sum(0)


def _sampled(source: Tensor, grid: Tensor) -> Tensor:
    return F.grid_sample(source, grid, mode="bilinear", padding_mode="zeros", align_corners=True)


def _read_by_group(padded: Tensor, position: Tensor, width: Tensor) -> Tensor:
    """Return (C, N), where positions take different numbers of readings.

    All positions are read as most of them need it; the few that need more are read again. (A position that needs
    fewer gets weights of zero.)
    """
    counts = torch.ceil(width - 1e-4).to(torch.uint8)
    code = counts[0] * 8 + counts[1]
    n = position.shape[1]
    groups = [(c // 8, c % 8, size) for c, size in enumerate(torch.bincount(code).tolist()) if size]
    most = max(g[0] for g in groups), max(g[1] for g in groups)

    def cost(base: tuple[int, int]) -> float:
        rest = sum(size for nx, ny, size in groups if nx > base[0] or ny > base[1])
        # Picking positions out and putting them back costs about two readings of them.
        return float(n * base[0] * base[1] + rest * (most[0] * most[1] + 2))

    base = min(((x, y) for x in range(1, most[0] + 1) for y in range(1, most[1] + 1)), key=cost)
    out = _read(padded, position, width, base)
    if base != most:
        index = ((counts[0] > base[0]) | (counts[1] > base[1])).nonzero().view(-1)
        if index.shape[0] % _THREADS:  # repeat the last one, so that the parts are equal
            index = torch.cat((index, index[-1:]))
        out.index_copy_(1, index, _read(padded, position[:, index], width[:, index], most))
    return out
