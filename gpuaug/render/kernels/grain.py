"""Pixel operations of noise, sensor and occlusion, each beside its definition in `functional`: codes from 96."""

import triton
import triton.language as tl

__all__ = ["speckle"]


@triton.jit
def speckle(
    a, b, c, d, ops, strides, sample, y, x, h, w,
    CODE: tl.constexpr, AT: tl.constexpr, STAT: tl.constexpr, EXTRA: tl.constexpr, FIRST: tl.constexpr,
    PARTS: tl.constexpr, C: tl.constexpr, CONSTANTS: tl.constexpr, COLUMNS: tl.constexpr, SEEN: tl.constexpr,
):  # fmt: skip
    """Return the planes after one operation: see `pixels.operate`."""
    return a, b, c, d
