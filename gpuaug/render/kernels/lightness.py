"""Lightness of a colour, and the same colour in another light: see `functional/lightness.py`."""

import triton
import triton.language as tl

from gpuaug.render.kernels.head import clamp, rint

__all__ = ["level_of_light", "relit", "roots_of"]


@triton.jit
def _power(v, exponent: tl.constexpr):
    """Return a power of what is not negative; that of zero is zero."""
    return tl.where(v > 0.0, tl.exp2(tl.log2(tl.maximum(v, 1e-30)) * exponent), 0.0 * v)


@triton.jit
def _linear(v):
    return tl.where(v > 0.04045, _power((v + 0.055) / 1.055, 2.4), v / 12.92)


@triton.jit
def _gamma(v):
    v = clamp(v)
    return tl.where(v > 0.0031308, 1.055 * _power(v, 1.0 / 2.4) - 0.055, 12.92 * v)


@triton.jit
def _root(v):
    return tl.where(v > 0.008856, _power(v, 1.0 / 3.0), 7.787 * v + 16.0 / 116.0)


@triton.jit
def _cube(v):
    return tl.where(v > 0.206893, v * v * v, (v - 16.0 / 116.0) / 7.787)


@triton.jit
def roots_of(a, b, c):
    """Return the roots of X, Y and Z, and the lightness, 0 to 1."""
    a, b, c = _linear(clamp(a)), _linear(clamp(b)), _linear(clamp(c))
    x = (a * 0.412453 + b * 0.357580 + c * 0.180423) / 0.950456
    y = a * 0.212671 + b * 0.715160 + c * 0.072169
    z = (a * 0.019334 + b * 0.119193 + c * 0.950227) / 1.088754
    root = _root(y)
    return _root(x), root, _root(z), tl.where(y > 0.008856, 1.16 * root - 0.16, 9.033 * y)


@triton.jit
def relit(x, y, z, light):
    """Return red, green and blue from roots, with another lightness."""
    more = (light + 0.16) / 1.16 - y
    x, z = _cube(x + more) * 0.950456, _cube(z + more) * 1.088754
    y = tl.where(light > 0.08, _cube(y + more), light / 9.033)
    a = _gamma(x * 3.240479 + y * -1.53715 + z * -0.498535)
    b = _gamma(x * -0.969256 + y * 1.875991 + z * 0.041556)
    c = _gamma(x * 0.055648 + y * -0.204043 + z * 1.057311)
    return a, b, c


@triton.jit
def level_of_light(light):
    """Return which of 256 levels a lightness is nearest to."""
    v = rint(tl.where(light == light, light, 0.0) * 255.0)
    return tl.minimum(tl.maximum(v, 0.0), 255.0).to(tl.int32)
