"""Pixel operations that make their own noise from a key for each sample, or a pattern from a few numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from gpuaug import functional as F
from gpuaug.functional import occlude
from gpuaug.functional._door import Pixels, planar, row, split
from gpuaug.functional.color import rgb
from gpuaug.sampling.noise import normal_noise, uniform_noise

__all__ = ["add_noise", "drop_grid", "erase_with_color", "erase_with_noise", "erase_with_value", "lay_snow", "scatter"]


def _noise(x: Pixels, key: Tensor) -> Tensor:
    planes = split(x)
    return normal_noise(key, len(planes), *planes[0].shape[1:])


@planar
def add_noise(x: Pixels, mean: Tensor, std: Tensor, key: Tensor, *, clip: bool) -> Tensor:
    """Add normal noise drawn from `key` (B,)."""
    out: Tensor = F.gaussian_noise.working(x, mean, std, _noise(x, key), clip=clip)
    return out


@planar
@rgb
def lay_snow(x: Pixels, amount: Tensor, texture: Tensor, key: Tensor, *, coefficient: float) -> Tensor:
    """Let snow lie, with sparkles drawn from `key` (B,)."""
    noise = normal_noise(key, 1, *split(x)[0].shape[1:])
    out: Tensor = F.snow_texture.working(x, amount, texture, noise, coefficient=coefficient)
    return out


@planar
def erase_with_value(x: Pixels, boxes: Tensor, *, value: tuple[float, ...]) -> Tensor:
    """Fill rectangles with one value, or one for each channel."""
    out: Tensor = F.erase.working(x, boxes, row(x, value))
    return out


@planar
def erase_with_noise(x: Pixels, boxes: Tensor, key: Tensor) -> Tensor:
    """Fill rectangles with normal noise, pixel by pixel."""
    out: Tensor = F.erase.working(x, boxes, _noise(x, key))
    return out


@planar
def erase_with_color(x: Pixels, boxes: Tensor, key: Tensor) -> Tensor:
    """Fill each rectangle with a colour of normal components."""
    colors = normal_noise(key, len(split(x)), boxes.shape[1], 1)  # (B, C, R, 1)
    out: Tensor = F.erase.working(x, boxes, colors.transpose(1, 2)[..., None])
    return out


@planar
def drop_grid(x: Pixels, unit: Tensor, hole: Tensor, shift: Tensor, *, fill: tuple[float, ...]) -> Tensor:
    """Fill a grid of holes with one value, or one for each channel."""
    out: Tensor = occlude.drop_grid(x, unit, hole, shift, row(x, fill))
    return out


def scatter(x: Tensor, key: Tensor, *, max_delta: int, iterations: int) -> Tensor:
    """Show at each pixel one that lies a few steps away, each drawn from `key` (B,) where the last one led."""
    b, channels, h, w = x.shape
    noise = uniform_noise(key, 2 * iterations, h, w).flatten(2)
    line = torch.arange(h, device=x.device)[:, None].expand(h, w).reshape(1, -1).expand(b, -1)
    column = torch.arange(w, device=x.device).expand(h, w).reshape(1, -1).expand(b, -1)
    place = torch.arange(h * w, device=x.device).expand(b, -1)
    for step in noise.unflatten(1, (iterations, 2)).unbind(1):
        dy, dx = (torch.floor(part.gather(1, place) * (2 * max_delta)).to(torch.int64) for part in step.unbind(1))
        line, column = (line + dy - max_delta).clamp(0, h - 1), (column + dx - max_delta).clamp(0, w - 1)
        place = line * w + column
    return x.flatten(2).gather(2, place[:, None].expand(-1, channels, -1)).view_as(x)
