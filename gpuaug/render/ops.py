"""Pixel operations that make their own noise from a key for each sample, or a pattern from a few numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from gpuaug import functional as F
from gpuaug.functional import occlude
from gpuaug.functional._door import Pixels, planar, row, split
from gpuaug.functional.color import rgb
from gpuaug.sampling.noise import normal_noise, uniform_noise

__all__ = [
    "add_line_noise",
    "add_noise",
    "count_photons",
    "drop_grid",
    "drop_pixels",
    "erase_by_mask",
    "erase_with_color",
    "erase_with_noise",
    "erase_with_value",
    "lay_snow",
    "make_iso_noise",
    "mask_grid",
    "multiply_by_noise",
    "put_salt_and_pepper",
    "scatter",
]


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


@planar
def put_salt_and_pepper(x: Pixels, amount: Tensor, salt: Tensor, key: Tensor) -> Tensor:
    """Make pixels white or black, drawn from `key` (B,)."""
    noise = uniform_noise(key, 1, *split(x)[0].shape[1:])
    out: Tensor = F.salt_and_pepper.working(x, amount, salt, noise)
    return out


@planar
def multiply_by_noise(
    x: Pixels, low: Tensor, high: Tensor, key: Tensor, *, per_channel: bool, elementwise: bool
) -> Tensor:
    """Multiply by uniform noise from `low` to `high` (B,): of each channel, of each pixel, or of both."""
    planes = split(x)
    h, w = planes[0].shape[1:] if elementwise else (1, 1)
    noise = uniform_noise(key, len(planes) if per_channel else 1, h, w).to(planes[0].dtype)
    first, last = (v.to(noise.dtype).view(-1, 1, 1, 1) for v in (low, high))
    out: Tensor = F.multiplicative_noise.working(x, first + (last - first) * noise)
    return out


@planar
def drop_pixels(
    x: Pixels, prob: Tensor, key: Tensor, color_key: Tensor, *, per_channel: bool, value: tuple[float, ...]
) -> Tensor:
    """Replace pixels with one value, or one for each channel; with none by a colour drawn from `color_key` (B,)."""
    count, (h, w) = len(split(x)), split(x)[0].shape[1:]
    noise = uniform_noise(key, count if per_channel else 1, h, w)
    values = row(x, value) if value else uniform_noise(color_key, count, 1, 1)
    out: Tensor = F.pixel_dropout.working(x, prob, noise, values)
    return out


@planar
def count_photons(x: Pixels, scale: Tensor, key: Tensor) -> Tensor:
    """Draw counts of photons from `key` (B,)."""
    out: Tensor = F.shot_noise.working(x, scale, _noise(x, key))
    return out


@planar
def make_iso_noise(x: Pixels, color_shift: Tensor, intensity: Tensor, key: Tensor) -> Tensor:
    """Turn hues and raise lightness by noise drawn from `key` (B,)."""
    plane = split(x)[0]
    noise = normal_noise(key, 2, *plane.shape[1:]).to(plane.dtype)
    out: Tensor = F.iso_noise.working(x, color_shift, intensity, noise)
    return out


make_iso_noise.needs_rgb = True  # type: ignore[attr-defined]


@planar
def add_line_noise(x: Pixels, sigma: Tensor, key: Tensor, *, columns: bool, per_channel: bool) -> Tensor:
    """Shift rows, or columns, by normal noise drawn from `key` (B,)."""
    planes = split(x)
    h, w = planes[0].shape[1:]
    noise = normal_noise(key, len(planes) if per_channel else 1, *((1, w) if columns else (h, 1)))
    out: Tensor = F.line_noise.working(x, sigma, noise)
    return out


@planar
def mask_grid(x: Pixels, unit: Tensor, hole: Tensor, shift: Tensor, turn: Tensor, *, fill: tuple[float, ...]) -> Tensor:
    """Fill the squares of a turned grid with one value, or one for each channel."""
    h, w = split(x)[0].shape[1:]
    out: Tensor = occlude.put(x, occlude.turned_grid(unit, hole, shift, turn, h, w), row(x, fill))
    return out


@planar
def erase_by_mask(x: Pixels, where: Tensor, *, value: tuple[float, ...]) -> Tensor:
    """Fill what masks (B, H, W) or larger ones name with one value, or one for each channel."""
    h, w = split(x)[0].shape[1:]
    out: Tensor = occlude.put(x, where[:, :h, :w], row(x, value))
    return out
