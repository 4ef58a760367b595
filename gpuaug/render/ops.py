"""Pixel operations that make their own noise from a key for each sample, or a pattern from a few numbers."""

from __future__ import annotations

from torch import Tensor

from gpuaug import functional as F
from gpuaug.functional import occlude
from gpuaug.functional._door import Pixels, planar, row, split
from gpuaug.sampling.noise import normal_noise

__all__ = ["add_noise", "drop_grid", "erase_with_color", "erase_with_noise", "erase_with_value"]


def _noise(x: Pixels, key: Tensor) -> Tensor:
    planes = split(x)
    return normal_noise(key, len(planes), *planes[0].shape[1:])


@planar
def add_noise(x: Pixels, mean: Tensor, std: Tensor, key: Tensor, *, clip: bool) -> Tensor:
    """Add normal noise drawn from `key` (B,)."""
    out: Tensor = F.gaussian_noise.working(x, mean, std, _noise(x, key), clip=clip)
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
