"""Pixel operations that make their own noise from a key for each sample, or a pattern from a few numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from gpuaug import functional as F
from gpuaug.sampling.noise import normal_noise

__all__ = ["add_noise", "drop_grid", "erase_with_color", "erase_with_noise", "erase_with_value"]


def add_noise(x: Tensor, mean: Tensor, std: Tensor, key: Tensor, *, clip: bool) -> Tensor:
    """Add normal noise drawn from `key` (B,)."""
    noise = normal_noise(key, *x.shape[1:]).to(x.dtype)
    out: Tensor = F.gaussian_noise.working(x, mean, std, noise, clip=clip)
    return out


def erase_with_value(x: Tensor, boxes: Tensor, *, value: tuple[float, ...]) -> Tensor:
    """Fill rectangles with one value, or one for each channel."""
    channels = x.shape[1]
    row = torch.stack(
        [torch.full((), value[c if len(value) > 1 else 0], dtype=x.dtype, device=x.device) for c in range(channels)]
    )
    out: Tensor = F.erase.working(x, boxes, row.view(1, channels, 1, 1))
    return out


def erase_with_noise(x: Tensor, boxes: Tensor, key: Tensor) -> Tensor:
    """Fill rectangles with normal noise, pixel by pixel."""
    out: Tensor = F.erase.working(x, boxes, normal_noise(key, *x.shape[1:]).to(x.dtype))
    return out


def erase_with_color(x: Tensor, boxes: Tensor, key: Tensor) -> Tensor:
    """Fill each rectangle with a colour of normal components."""
    colors = normal_noise(key, x.shape[1], boxes.shape[1], 1).to(x.dtype)  # (B, C, R, 1)
    out: Tensor = F.erase.working(x, boxes, colors.transpose(1, 2)[..., None])
    return out


def drop_grid(x: Tensor, unit: Tensor, hole: Tensor, shift: Tensor, *, fill: tuple[float, ...]) -> Tensor:
    """Fill a grid of holes: `unit`, `hole` and `shift` (B, 2) are heights and widths in pixels."""
    inside = []
    for axis, n in enumerate(x.shape[2:]):
        place = torch.arange(n, device=x.device, dtype=unit.dtype) - shift[:, axis, None]
        size = unit[:, axis, None]
        inside.append((place >= 0) & (place - size * torch.floor(place / size) < hole[:, axis, None]))
    mask = inside[0][:, :, None] & inside[1][:, None, :]
    planes = [
        torch.where(mask, torch.full((), fill[c if len(fill) > 1 else 0], dtype=x.dtype, device=x.device), x[:, c])
        for c in range(x.shape[1])
    ]
    return torch.stack(planes, dim=1)
