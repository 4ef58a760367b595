"""Hue, there and back, as Pillow and torchvision have it."""

import triton
import triton.language as tl

from gpuaug.render.kernels.head import clamp, rint

__all__ = ["from_hue", "hue_of"]


@triton.jit
def hue_of(a, b, c):
    """Return hue in sixths of the circle, value and chroma."""
    value = tl.maximum(tl.maximum(a, b), c)
    chroma = value - tl.minimum(tl.minimum(a, b), c)
    size = (b + c - a - (value - chroma)) / tl.maximum(chroma, 1e-12) + 1.0
    return tl.where(b - c < 0.0, -tl.abs(size), tl.abs(size)), value, chroma


@triton.jit
def from_hue(hue, value, chroma):
    """Return the three planes of a hue."""
    hue = hue - 6.0 * rint(hue * 0.16666666666666666)
    a = value - chroma * clamp(tl.abs(hue) - 1.0)
    b = value - chroma * clamp(2.0 - tl.abs(hue + 1.0))
    c = value - chroma * clamp(2.0 - tl.abs(hue - 1.0))
    return a, b, c
