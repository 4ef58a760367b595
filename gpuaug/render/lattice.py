"""Copy pixels to pixels on the CPU: maps that turn by quarters, mirror, crop and shift by whole pixels."""

from __future__ import annotations

import math

from torch import Tensor

from gpuaug.geometry.canvas import Canvas
from gpuaug.render.warp import Warp

__all__ = ["INTEGER", "axes_of", "exchanged_window", "is_lattice", "is_whole", "limits", "move_pixels", "moved_at_once"]

INTEGER = 1e-6
Rows = list[list[float]]


def axes_of(m: Rows) -> tuple[list[tuple[float, float]], bool]:
    """Return slope and shift of rows and columns where a map turns by quarters only, and whether it exchanges axes.

    There are none for other maps.
    """
    if abs(m[2][0]) >= 1e-12 or abs(m[2][1]) >= 1e-12:
        return [], False
    if abs(m[0][1]) < 1e-9 and abs(m[1][0]) < 1e-9:
        return [(m[1][1], m[1][2]), (m[0][0], m[0][2])], False
    if abs(m[0][0]) < 1e-9 and abs(m[1][1]) < 1e-9:
        return [(m[0][1], m[0][2]), (m[1][0], m[1][2])], True
    return [], False


def is_lattice(axes: list[tuple[float, float]]) -> bool:
    """Return whether pixels go to pixels."""
    return all(abs(abs(slope) - 1) < 1e-9 and is_whole(shift) for slope, shift in axes)


def is_whole(value: float) -> bool:
    """Return whether a number is an integer, but for rounding."""
    return abs(value - round(value)) < INTEGER


def exchanged_window(window: list[float] | None) -> list[float] | None:
    """Return a window of the transposed image."""
    return None if window is None else [window[1], window[0], window[3], window[2]]


def limits(axis: int, size: int, soft: list[float] | None, hard: list[float] | None) -> tuple[int, int]:
    """Return the range of source pixels along an axis (0 rows, 1 columns) that windows leave visible."""
    low, high = 0, size
    for window in (soft, hard):
        if window is not None:
            low = max(low, math.ceil(window[1 - axis] - 0.5 - INTEGER))
            high = min(high, math.ceil(window[3 - axis] - 0.5 - INTEGER))
    return low, high


def move_pixels(
    image: Tensor,
    axes: list[tuple[float, float]],
    canvas: Canvas,
    soft: list[float] | None,
    hard: list[float] | None,
    fill: tuple[float, ...],
    into: Tensor | None,
) -> Tensor:
    """Return images (B, C, h, w) whose pixels are copied: flips, quarter turns, integer crops and shifts.

    What is padded may be written `into` the output.
    """
    source: list[slice] = []
    target: list[slice] = []
    flips: list[int] = []
    for axis, (slope, shift) in enumerate(axes):
        low, high = limits(axis, image.shape[2 + axis], soft, hard)
        offset = round(shift)
        # Output i shows source offset + i, or offset - 1 - i when mirrored.
        first = max(0, low - offset if slope > 0 else offset - high)
        last = min(canvas[axis], high - offset if slope > 0 else offset - low)
        last = max(first, last)
        target.append(slice(first, last))
        source.append(slice(offset + first, offset + last) if slope > 0 else slice(offset - last, offset - first))
        if slope < 0:
            flips.append(2 + axis)
        if last == first:
            source[-1] = slice(0, 0)
    part = image[:, :, source[0], source[1]]
    if flips:
        part = part.flip(flips)
    if (part.shape[2], part.shape[3]) == tuple(canvas):
        return part
    out = image.new_empty((*image.shape[:2], *canvas)) if into is None or into.dtype != image.dtype else into
    (top, bottom), (left, right) = ((side.start, side.stop) for side in target)
    for c in range(image.shape[1]):
        value = fill[c if len(fill) > 1 else 0]
        value = value if image.dtype.is_floating_point else round(value)
        between = out[:, c, top:bottom]
        for margin in (out[:, c, :top], out[:, c, bottom:], between[:, :, :left], between[:, :, right:]):
            if margin.numel():
                margin.fill_(value)
    out[:, :, target[0], target[1]] = part
    return out


def moved_at_once(
    x: Tensor,
    warp: Warp,
    canvas: Canvas,
    back: list[Rows],
    soft: Rows | None,
    hard: Rows | None,
    scale: float,
    into: Tensor | None,
) -> Tensor | None:
    """Return the whole batch after a warp by which all samples go alike from pixels to pixels; None where they do not.

    What is padded may be written `into` the output.
    """
    if warp.kind != "lattice" or warp.field is not None or warp.tiles is not None or len(x) < 2:
        return None
    windows = [rows for rows in (soft, hard) if rows is not None]
    if any(m != back[0] for m in back) or any(row != rows[0] for rows in windows for row in rows):
        return None
    axes, turned = axes_of(back[0])
    if not axes or not is_lattice(axes):
        return None
    near, far = (None if rows is None else rows[0] for rows in (soft, hard))
    if turned:
        x, near, far = x.transpose(2, 3), exchanged_window(near), exchanged_window(far)
    return move_pixels(x, axes, canvas, near, far, tuple(f * scale for f in warp.reading.fill), into)
