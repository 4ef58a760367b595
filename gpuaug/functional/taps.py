"""Small kernels of each sample by its own numbers, all on one grid of taps, for `filter2d`."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = [
    "advanced_kernel",
    "box_kernel",
    "defocus_kernel",
    "emboss_kernel",
    "motion_kernel",
    "sharpen_kernel",
    "unsharp_kernel",
]

SMALL_DISK = 8
"""Radius up to which a disk has a grid of 17 taps, and its rim is blurred by 3 taps instead of 5, as in ImageNet-C."""


def _offsets(largest: int, like: Tensor) -> Tensor:
    """Return the distances of taps from the middle, (largest,)."""
    return torch.arange(largest, device=like.device, dtype=like.dtype) - largest // 2


def box_kernel(size: Tensor, largest: int) -> Tensor:
    """Return squares of equal weights, (B, largest, largest), for odd sizes (B,)."""
    side = (_offsets(largest, size).abs() <= size[:, None] / 2).to(size.dtype) / size[:, None]
    return side[:, :, None] * side[:, None, :]


def motion_kernel(
    size: Tensor, angle: Tensor, direction: Tensor, shift_x: Tensor, shift_y: Tensor, *, largest: int
) -> Tensor:
    """Return lines through squares of odd sizes, of equal weights: (B, largest, largest).

    A line has as many points as its square has columns, rounded to taps; points on one tap count once.
    """
    half = (size - 1) / 2
    start = -half * (1 - direction.clamp(min=0))
    end = half * (1 + direction.clamp(max=0))
    count = torch.arange(largest, device=size.device, dtype=size.dtype)
    share = torch.minimum(count, size[:, None] - 1) / (size[:, None] - 1).clamp(min=1)
    along = start[:, None] + share * (end - start)[:, None]
    turn = angle * (math.pi / 180)
    points = []
    for part, shift in ((torch.sin(turn), shift_y), (torch.cos(turn), shift_x)):
        place = torch.round(part[:, None] * along + (shift * half / 2)[:, None])
        points.append(torch.minimum(torch.maximum(place, -half[:, None]), half[:, None]) + largest // 2)
    flat = (points[0] * largest + points[1]).to(torch.int64)
    line = torch.zeros((size.shape[0], largest * largest), device=size.device, dtype=size.dtype).scatter(1, flat, 1.0)
    return (line / line.sum(dim=1, keepdim=True)).view(-1, largest, largest)


def disk_taps(radius: int) -> int:
    """Return how many taps along an axis the kernels of disks up to a radius have."""
    return 2 * max(SMALL_DISK, radius) + 1


def defocus_kernel(radius: Tensor, alias_blur: Tensor, largest: int) -> Tensor:
    """Return disks of whole radii with rims blurred by a Gaussian, (B, n, n), n the taps of the `largest` radius."""
    n = disk_taps(largest)
    grid = _offsets(n, radius)
    limit = radius.clamp(min=SMALL_DISK)[:, None, None]
    # The five taps of the Gaussian on either side of a place; beyond a disk's own grid they are mirrored back.
    tap = _offsets(5, radius)
    weight = torch.exp(-0.5 * (tap / alias_blur.clamp(min=1e-3)[:, None]).square())
    weight = weight * ((radius > SMALL_DISK)[:, None] | (tap.abs() <= 1))
    weight = weight / weight.sum(dim=1, keepdim=True)
    around = grid + tap[:, None]
    around = torch.where(around.abs() > limit, around.sign() * 2 * limit - around, around)  # (B, 5, n)
    rows = grid[:, None].square() + around[:, :, None].square() <= radius.square().view(-1, 1, 1, 1)
    rows = rows & (grid.abs() <= limit[:, :, 0])[:, None, :, None]
    lines = (rows * weight[:, :, None, None]).sum(dim=1)  # (B, y, x)
    index = (around + n // 2).clamp(0, n - 1).to(torch.int64).flatten(1)
    kernel = lines.gather(1, index[:, :, None].expand(-1, -1, n)).unflatten(1, (5, n))
    kernel = (kernel * weight[:, :, None, None]).sum(dim=1)
    inside = grid.abs() <= limit[:, :, 0]
    kernel = kernel * inside[:, :, None] * inside[:, None, :]
    disk = (grid.square() + grid[:, None].square() <= radius.square()[:, None, None]).to(radius.dtype)
    found: Tensor = kernel / disk.sum(dim=(1, 2), keepdim=True)
    return found


def _three(rows: list[list[Tensor]]) -> Tensor:
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def sharpen_kernel(alpha: Tensor, lightness: Tensor) -> Tensor:
    """Return 3 x 3 kernels that blend no change with the difference from the neighbours and `lightness`."""
    side = -alpha
    middle = 1 - alpha + alpha * (8 + lightness)
    return _three([[side, side, side], [side, middle, side], [side, side, side]])


def emboss_kernel(alpha: Tensor, strength: Tensor) -> Tensor:
    """Return 3 x 3 kernels that blend no change with a light from the upper left or the lower right."""
    zero, one, near, far = torch.zeros_like(alpha), torch.ones_like(alpha), alpha * strength, alpha * (1 + strength)
    return _three([[-far, -near, zero], [-near, one, near], [zero, near, far]])


def unsharp_kernel(alpha: Tensor, kernel_size: int, sigma: float) -> Tensor:
    """Return kernels that add `alpha` times the difference from a Gaussian blur."""
    axis = torch.exp(-0.5 * (_offsets(kernel_size, alpha) / sigma).square())
    axis = axis / axis.sum()
    middle = (_offsets(kernel_size, alpha) == 0).to(alpha.dtype)
    blend = alpha[:, None, None]
    return middle[:, None] * middle * (1 + blend) - axis[:, None] * axis * blend


def advanced_kernel(
    size: Tensor, sigma_x: Tensor, sigma_y: Tensor, angle: Tensor, beta: Tensor, *, noise: Tensor, largest: int
) -> Tensor:
    """Return turned generalised Gaussians on squares of odd sizes, times noise (B, largest * largest)."""
    turn = angle * (math.pi / 180)
    c, s = torch.cos(turn)[:, None, None], torch.sin(turn)[:, None, None]
    grid = _offsets(largest, size)
    x, y = grid, grid[:, None]
    # Offsets along the axes of the ellipse.
    u, v = (c * x + s * y) / sigma_x[:, None, None], (c * y - s * x) / sigma_y[:, None, None]
    distance = (u * u + v * v).clamp(min=1e-30)
    kernel = torch.exp(-0.5 * torch.exp(beta[:, None, None] * torch.log(distance)))
    inside = grid.abs() <= size[:, None] / 2
    kernel = kernel * inside[:, :, None] * inside[:, None, :] * noise.unflatten(1, (largest, largest))
    found: Tensor = kernel / kernel.sum(dim=(1, 2), keepdim=True)
    return found
