"""Read what measuring passes found."""

import triton
import triton.language as tl

from gpuaug.render.kernels.head import clamp

__all__ = ["level", "lightness", "mean_of", "partials"]


@triton.jit
def partials(ops, strides, AT: tl.constexpr, sample, k: tl.constexpr, PARTS: tl.constexpr, WIDTH: tl.constexpr):
    """Return what the parts of a measuring pass found, number k of WIDTH."""
    return tl.load(ops[AT] + sample * strides[AT] + tl.arange(0, PARTS) * WIDTH + k)


@triton.jit
def level(v):
    """Return which of 256 levels a value falls into, as torchvision cuts them."""
    v = tl.minimum(tl.maximum(tl.where(v == v, v, 0.0), 0.0), 1.0)
    return tl.floor(v * 255.999).to(tl.int32)


@triton.jit
def lightness(a, b, c, C: tl.constexpr):
    """Return the middle of the largest and the smallest of the channels."""
    a = clamp(a)
    if C == 1:
        return a
    else:
        b, c = clamp(b), clamp(c)
        return 0.5 * (tl.maximum(tl.maximum(a, b), c) + tl.minimum(tl.minimum(a, b), c))


@triton.jit
def _mean(ops, strides, sample, k: tl.constexpr, count, AT: tl.constexpr, PARTS: tl.constexpr, WIDTH: tl.constexpr):
    return tl.sum(partials(ops, strides, AT, sample, k, PARTS, WIDTH), 0) / count


@triton.jit
def mean_of(
    ops, strides, sample, k: tl.constexpr, h, w, C: tl.constexpr, AT: tl.constexpr, PARTS: tl.constexpr,
    ALONE: tl.constexpr,
):  # fmt: skip
    """Return the mean of a channel (ALONE) or of all, from sums by channel."""
    count = (h * w).to(tl.float32)
    if ALONE:
        return _mean(ops, strides, sample, k, count, AT, PARTS, C)
    else:
        total = _mean(ops, strides, sample, 0, count, AT, PARTS, C)
        for i in tl.static_range(1, C):
            total += _mean(ops, strides, sample, i, count, AT, PARTS, C)
        return total / C
