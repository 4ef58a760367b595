"""How large a canvas must be to hold every affine map of some ranges: numbers of the host."""

from __future__ import annotations

import math
from itertools import product

__all__ = ["extent"]

Range = tuple[float, float]


def _reach(p: float, q: float, angles: Range) -> float:
    """Return the largest p cos t + q sin t of a range of angles, in radians."""
    low, high = angles
    peak = math.atan2(q, p)
    peak += 2 * math.pi * math.ceil((low - peak) / (2 * math.pi))
    at = [low, high, *([peak] if peak <= high else [])]
    return max(p * math.cos(t) + q * math.sin(t) for t in at)


def extent(
    canvas: tuple[int, int],
    degrees: Range,
    scale: Range = (1.0, 1.0),
    shear_x: Range = (0.0, 0.0),
    shear_y: Range = (0.0, 0.0),
) -> tuple[int, int]:
    """Return (height, width) of the smallest canvas about the middle that holds a canvas after any map of the ranges.

    Entries of torchvision's affine matrix are linear in each shear's tangent and in the cosine and the sine of the
    angle: the largest value of a corner stands at an end of both shears, and at an end or at the peak of the angle.
    """
    h, w = canvas
    angles = (math.radians(degrees[0]), math.radians(degrees[1]))
    tangents = [[math.tan(math.radians(v)) for v in ends] for ends in (shear_x, shear_y)]
    width = height = 0.0
    for x, y, right, down in product(*tangents, (w, -w), (h, -h)):
        # a = cos + y sin, b = -x a - sin, c = sin - y cos, d = cos - x c
        width = max(width, _reach(right - down * x, right * y - down * (x * y + 1), angles))
        height = max(height, _reach(down * (1 + x * y) - right * y, right - down * x, angles))
    return tuple(math.ceil(n * scale[1] - 1e-6) for n in (height, width))  # type: ignore[return-value]  # two
