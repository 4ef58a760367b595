"""Read one image along its axes on the CPU: crops that are resized, and whatever else turns nothing.

The taps are those of `reading`; where a window fills the canvas, which is what a crop and a resize are, they depend on
whole numbers alone and are kept.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gpuaug.functional._bags import Bags, bagged, mirrored, sum_lines
from gpuaug.functional._door import store
from gpuaug.geometry.canvas import Canvas
from gpuaug.render.reading import kernel, support, tap_count
from gpuaug.render.settings import Interpolation, Reading

__all__ = ["read_axes"]

_CLOSE = 1e-6
_KEPT = 1024
Window = tuple[float, float] | None
Axis = tuple[float, float]
Rule = tuple[Interpolation, bool]
"""How lines are weighed: interpolation, and whether antialiased."""


class _Line(NamedTuple):
    """An axis to be read: where output i of n lies, slope (i + 1/2) + shift, in a source of a size with windows."""

    slope: float
    shift: float
    size: int
    n: int
    soft: Window
    hard: Window


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
    rule = (reading.interpolation, reading.antialias)
    (height, width), channels = image.shape[2:], image.shape[1]
    near, far = (None if s is None else (s[1], s[3]) for s in (soft, hard))
    top, lines, rows, down = _axis(_Line(*axes[0], height, canvas[0], near, far), rule, channels, work)
    near, far = (None if s is None else (s[0], s[2]) for s in (soft, hard))
    left, length, columns, across = _axis(_Line(*axes[1], width, canvas[1], near, far), rule, channels, work)
    part = image[0, :, top : top + lines, left : left + length]
    out = sum_lines(part.to(work), rows, columns)
    if any(fill):
        bare = 1 - (down[:, None] * across).to(work)
        out = out + bare * torch.tensor(fill, dtype=work).view(-1, 1, 1)
    if into is None:
        return out.contiguous()[None]
    store(into[0], out.clamp_(0, 255).round_().contiguous() if into.dtype == torch.uint8 else out)
    return into


def _axis(line: _Line, rule: Rule, channels: int, work: torch.dtype) -> tuple[int, int, Bags, Tensor]:
    """Return the first source line that is read, how many are, their bags and how far each output line is covered."""
    slope, shift, size, n, soft, hard = line
    if hard is not None:
        low, high = round(hard[0]), round(hard[1])
        whole = abs(hard[0] - low) < _CLOSE and abs(hard[1] - high) < _CLOSE
        ends = (low, high) if slope > 0 else (high, low)
        fits = abs(shift - ends[0]) < _CLOSE and abs(shift + slope * n - ends[1]) < _CLOSE
        seen = 0 <= low < high <= size and (soft is None or (soft[0] <= low and soft[1] >= high))
        if whole and fits and seen:
            return low, high - low, *_resized(high - low, n, slope < 0, rule, channels, work)
    return 0, size, *_made(line, rule, channels, work)


@functools.lru_cache(maxsize=_KEPT)
def _resized(size: int, n: int, flipped: bool, rule: Rule, channels: int, work: torch.dtype) -> tuple[Bags, Tensor]:
    """Return the bags of a whole axis that becomes `n` long, mirrored or not."""
    if flipped:
        bags, cover = _resized(size, n, False, rule, channels, work)
        return mirrored(bags, size, channels), cover
    return _made(_Line(size / n, 0.0, size, n, None, (0.0, float(size))), rule, channels, work)


def _made(line: _Line, rule: Rule, channels: int, work: torch.dtype) -> tuple[Bags, Tensor]:
    reading, (slope, shift, size, n, soft, hard) = Reading(*rule), line
    # The rule of `reading.taps`, with NumPy: of arrays this small it takes a fraction of torch's time.
    position = slope * (np.arange(n) + 0.5)[:, None] + shift
    shrink = max(1.0, abs(slope))
    width = shrink if reading.antialias else 1.0
    place = np.floor(position - 0.5 - support(reading) * width) + 1 + np.arange(tap_count(reading, shrink))
    weight = kernel(torch.from_numpy(np.abs(place + 0.5 - position) / width), reading).numpy()
    if hard is not None and reading.antialias:
        weight *= (place + 0.5 > hard[0]) & (place + 0.5 < hard[1])
    elif hard is not None:
        place = np.clip(place, math.ceil(hard[0] - 0.5), math.ceil(hard[1] - 0.5) - 1)
    if hard is not None or width > 1:
        total = weight.sum(1, keepdims=True)
        weight /= np.where(total == 0, 1.0, total)
    if hard is not None:
        weight *= (position >= hard[0]) & (position <= hard[1])
    weight *= (place >= 0) & (place < size)
    if soft is not None:
        weight *= (place + 0.5 > soft[0]) & (place + 0.5 < soft[1])
    return bagged(place, weight, size, channels, work), torch.from_numpy(weight.sum(1))
