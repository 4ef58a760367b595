"""What pixel operations read: operands of a sample, maps, constants, and noise."""

import triton
import triton.language as tl

from gpuaug.sampling.kernels import normal_lanes, uniform_lanes

__all__ = ["component", "constant", "entry", "laid", "lanes", "number", "uniforms"]


@triton.jit
def number(ops, strides, AT: tl.constexpr, sample):
    """Return a sample's operand."""
    return tl.load(ops[AT] + sample * strides[AT]).to(tl.float32)


@triton.jit
def entry(ops, strides, AT: tl.constexpr, sample, c: tl.constexpr):
    """Return a sample's operand for a channel."""
    return tl.load(ops[AT] + sample * strides[AT] + c).to(tl.float32)


@triton.jit
def constant(CONSTANTS: tl.constexpr, FIRST: tl.constexpr, COUNT: tl.constexpr, k: tl.constexpr):
    """Return a constant for a channel: one for all, or one for each."""
    if COUNT == 1:
        return CONSTANTS[FIRST]
    else:
        return CONSTANTS[FIRST + k]


@triton.jit
def lanes(key, pixel, K0: tl.constexpr, K1: tl.constexpr, K2: tl.constexpr, K3: tl.constexpr):
    """Return the noise of four channels; each is drawn with its group, where they are not one."""
    if K0 % 4 == 0 and K1 == K0 + 1 and K2 == K0 + 2 and K3 == K0 + 3:
        return normal_lanes(key, pixel, K0 // 4)
    else:
        return lane(key, pixel, K0), lane(key, pixel, K1), lane(key, pixel, K2), lane(key, pixel, K3)


@triton.jit
def lane(key, pixel, K: tl.constexpr):
    n0, n1, n2, n3 = normal_lanes(key, pixel, K // 4)
    return n0 if K % 4 == 0 else (n1 if K % 4 == 1 else (n2 if K % 4 == 2 else n3))


@triton.jit
def component(ops, strides, AT: tl.constexpr, sample, k):
    """Return number k of a sample's operand."""
    return tl.load(ops[AT] + sample * strides[AT] + k).to(tl.float32)


@triton.jit
def _along(place, size, NODES: tl.constexpr):
    """Return between which nodes of a map places along an axis lie, and how far from the first."""
    step = (NODES - 1.0) / tl.maximum(size - 1, 1).to(tl.float32)
    at = place.to(tl.float32) * step
    first = tl.minimum(at.to(tl.int32), NODES - 1)
    return first, tl.minimum(first + 1, NODES - 1), at - first.to(tl.float32)


@triton.jit
def laid(ops, strides, AT: tl.constexpr, sample, y, x, h, w, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Read a map of ROWS x COLUMNS at the pixels of a tile."""
    y0, y1, fy = _along(y, h, ROWS)
    x0, x1, fx = _along(x, w, COLUMNS)
    at = ops[AT] + sample * strides[AT]
    top = tl.load(at + y0 * COLUMNS + x0) * (1.0 - fx) + tl.load(at + y0 * COLUMNS + x1) * fx
    bottom = tl.load(at + y1 * COLUMNS + x0) * (1.0 - fx) + tl.load(at + y1 * COLUMNS + x1) * fx
    return (top * (1.0 - fy) + bottom * fy).to(tl.float32)


@triton.jit
def uniforms(key, pixel, K0: tl.constexpr, K1: tl.constexpr, K2: tl.constexpr, K3: tl.constexpr):
    """Return uniform noise of four channels, as `lanes` does normal noise."""
    if K0 % 4 == 0 and K1 == K0 + 1 and K2 == K0 + 2 and K3 == K0 + 3:
        return uniform_lanes(key, pixel, K0 // 4)
    else:
        return uniform(key, pixel, K0), uniform(key, pixel, K1), uniform(key, pixel, K2), uniform(key, pixel, K3)


@triton.jit
def uniform(key, pixel, K: tl.constexpr):
    u0, u1, u2, u3 = uniform_lanes(key, pixel, K // 4)
    return u0 if K % 4 == 0 else (u1 if K % 4 == 1 else (u2 if K % 4 == 2 else u3))
