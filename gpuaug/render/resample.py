"""Read one image along its axes on the CPU: crops that are resized, and whatever else turns nothing.

The taps are those of `reading`; where a window fills the canvas, which is what a crop and a resize are, they depend on
whole numbers alone and are kept.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from gpuaug.functional._bags import Bags, bagged, mirrored, sum_lines
from gpuaug.geometry.canvas import Canvas
from gpuaug.render.reading import tap_count, taps
from gpuaug.render.settings import Reading

__all__ = ["read_axes"]

_CLOSE = 1e-6
_KEPT = 1024
Window = tuple[float, float] | None
Axis = tuple[float, float]


def read_axes(
    image: Tensor,
    axes: list[Axis],
    canvas: Canvas,
    soft: list[float] | None,
    hard: list[float] | None,
    fill: tuple[float, ...],
    reading: Reading,
    work: torch.dtype,
    into: Tensor | None,
) -> Tensor:
    """Return (1, C, h, w): an image (1, C, H, W) read along its axes.

    Args:
        image: one image.
        axes: slope and shift of the source position, of rows and of columns.
        canvas: size of the output.
        soft: x0, y0, x1, y1 of the source, beyond which is fill.
        hard: the same, where the filter is cut and normalised.
        fill: in the image's units.
        reading: linear or cubic.
        work: working dtype.
        into: where to write: of the working dtype, or of uint8, for which values are rounded; None makes a new one.
    """
    rule = Reading(reading.interpolation, reading.antialias)
    bags, covers = [], []
    for axis, (slope, shift) in enumerate(axes):
        size, sides = (
            image.shape[2 + axis],
            tuple(None if s is None else (s[1 - axis], s[3 - axis]) for s in (soft, hard)),
        )
        low, count, made, cover = _axis(
            slope, shift, size, canvas[axis], sides[0], sides[1], rule, image.shape[1], work
        )
        image = image.narrow(2 + axis, low, count)
        bags.append(made)
        covers.append(cover)
    out = sum_lines(image[0].to(work), *bags)
    if any(fill):
        bare = 1 - (covers[0][:, None] * covers[1]).to(work)
        out = out + bare * torch.tensor(fill, dtype=work).view(-1, 1, 1)
    if into is None:
        return out.contiguous()[None]
    into[0] = out.clamp_(0, 255).round_() if into.dtype == torch.uint8 else out
    return into


def _axis(
    slope: float,
    shift: float,
    size: int,
    n: int,
    soft: Window,
    hard: Window,
    reading: Reading,
    channels: int,
    work: torch.dtype,
) -> tuple[int, int, Bags, Tensor]:
    """Return the first source line that is read, how many are, their bags and how far each output line is covered."""
    if hard is not None and all(abs(side - round(side)) < _CLOSE for side in hard):
        low, high = round(hard[0]), round(hard[1])
        ends = (low, high) if slope > 0 else (high, low)
        fits = abs(shift - ends[0]) < _CLOSE and abs(shift + slope * n - ends[1]) < _CLOSE
        seen = 0 <= low < high <= size and (soft is None or (soft[0] <= low and soft[1] >= high))
        if fits and seen:
            return low, high - low, *_resized(high - low, n, slope < 0, reading, channels, work)
    return 0, size, *_made(slope, shift, size, n, soft, hard, reading, channels, work)


@functools.lru_cache(maxsize=_KEPT)
def _resized(
    size: int, n: int, flipped: bool, reading: Reading, channels: int, work: torch.dtype
) -> tuple[Bags, Tensor]:
    """Return the bags of a whole axis that becomes `n` long, mirrored or not."""
    if flipped:
        bags, cover = _resized(size, n, False, reading, channels, work)
        return mirrored(bags, size, channels), cover
    return _made(size / n, 0.0, size, n, None, (0.0, float(size)), reading, channels, work)


def _made(
    slope: float,
    shift: float,
    size: int,
    n: int,
    soft: Window,
    hard: Window,
    reading: Reading,
    channels: int,
    work: torch.dtype,
) -> tuple[Bags, Tensor]:
    position = slope * (torch.arange(n, dtype=torch.float64)[:, None] + 0.5) + shift
    shrink = max(1.0, abs(slope))
    width = torch.full_like(position, shrink) if reading.antialias and shrink > 1 else None
    count = tap_count(reading, shrink)
    limits = (_limits(soft), _limits(hard))
    (index,), (weight,) = taps(position, width, size, count, reading, *limits, joined=True)
    return bagged(index, weight.to(work), size, channels), weight.sum(1)


def _limits(window: Window) -> tuple[Tensor, Tensor] | None:
    if window is None:
        return None
    low, high = window
    return torch.scalar_tensor(low, dtype=torch.float64), torch.scalar_tensor(high, dtype=torch.float64)
