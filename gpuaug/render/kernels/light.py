"""Pixel operations of light and weather, each beside its definition in `functional`: codes from 64."""

import triton
import triton.language as tl

from gpuaug.render.kernels.head import clamp
from gpuaug.render.kernels.operands import component, constant, laid
from gpuaug.render.kernels.statistics import mean_of
from gpuaug.render.kernels.weather import weather

__all__ = ["shine"]


@triton.jit
def polynomial(ops, strides, AT: tl.constexpr, sample, u, v, ORDER: tl.constexpr):
    """Return a polynomial of u (1, BW) and v (BH, 1), whose coefficients are an operand: see `functional.shade`."""
    q = tl.zeros_like(u + v)
    for k in tl.static_range(ORDER + 1):
        i = ORDER - k
        start = i * (ORDER + 1) - i * (i - 1) // 2
        inner = tl.zeros_like(v) + component(ops, strides, AT, sample, start + k)
        for m in tl.static_range(k):
            inner = inner * v + component(ops, strides, AT, sample, start + k - 1 - m)
        q = q * u + inner
    return q


@triton.jit
def sine(turns):
    """Return sin(2 pi turns), by its series up to the 11th power of a quarter of a turn at most: to 6e-8."""
    part = turns - tl.floor(turns + 0.5)
    part = tl.where(part > 0.25, 0.5 - part, tl.where(part < -0.25, -0.5 - part, part))
    r = part * 6.283185307179586
    s = r * r
    series = 1.0 - s * (1.0 / 72.0) * (1.0 - s * (1.0 / 110.0))
    series = 1.0 - s * (1.0 / 20.0) * (1.0 - s * (1.0 / 42.0) * series)
    return r * (1.0 - s * (1.0 / 6.0) * series)


@triton.jit
def formula(ops, strides, AT: tl.constexpr, sample, y, x, PROFILE: tl.constexpr, ORDER: tl.constexpr):
    """Return a + b * profile(q): frame, coefficients and (a, b) are the operands from AT on."""
    u = (x.to(tl.float32) - component(ops, strides, AT, sample, 0)) * component(ops, strides, AT, sample, 2)
    v = (y.to(tl.float32) - component(ops, strides, AT, sample, 1)) * component(ops, strides, AT, sample, 3)
    q = polynomial(ops, strides, AT + 1, sample, u, v, ORDER)
    if PROFILE == 1 or PROFILE == 3:
        q = tl.sqrt(tl.maximum(q, 1e-12))
    if PROFILE == 2:
        q = tl.exp(q)
    elif PROFILE == 3:
        q = tl.exp(-q)
    elif PROFILE == 4:
        q = 1.0 / (1.0 + tl.exp(tl.minimum(-q, 80.0)))
    elif PROFILE == 5:
        q = sine(q)
    return component(ops, strides, AT + 2, sample, 0) + component(ops, strides, AT + 2, sample, 1) * q


@triton.jit
def _to_color(v, gain, color, CLIP: tl.constexpr):
    v = color + (v - color) * gain
    return clamp(v) if CLIP else v


@triton.jit
def shine(
    a, b, c, d, ops, strides, sample, y, x, h, w,
    CODE: tl.constexpr, AT: tl.constexpr, STAT: tl.constexpr, EXTRA: tl.constexpr, FIRST: tl.constexpr,
    PARTS: tl.constexpr, C: tl.constexpr, CONSTANTS: tl.constexpr, COLUMNS: tl.constexpr, SEEN: tl.constexpr,
):  # fmt: skip
    """Return the planes after one operation: see `pixels.operate`."""
    K0: tl.constexpr = COLUMNS & 127
    K1: tl.constexpr = (COLUMNS >> 7) & 127
    K2: tl.constexpr = (COLUMNS >> 14) & 127
    K3: tl.constexpr = (COLUMNS >> 21) & 127
    if CODE == 64:  # shade: profile, clip, order and how many colours, four bits each
        gain = formula(ops, strides, AT, sample, y, x, EXTRA & 15, (EXTRA >> 8) & 15)
        CLIP: tl.constexpr = (EXTRA >> 4) & 15
        COLORS: tl.constexpr = EXTRA >> 12
        if COLORS == 0:
            a, b, c, d = a * gain, b * gain, c * gain, d * gain
            if CLIP:
                a, b, c, d = clamp(a), clamp(b), clamp(c), clamp(d)
        else:
            a = _to_color(a, gain, constant(CONSTANTS, FIRST, COLORS, K0), CLIP)
            if C > 1:
                b = _to_color(b, gain, constant(CONSTANTS, FIRST, COLORS, K1), CLIP)
            if C > 2:
                c = _to_color(c, gain, constant(CONSTANTS, FIRST, COLORS, K2), CLIP)
            if C > 3:
                d = _to_color(d, gain, constant(CONSTANTS, FIRST, COLORS, K3), CLIP)
    elif CODE == 65:  # shade_by_map: mode (4 bits), how many colours (8), rows and columns of the map (13 each)
        by = laid(ops, strides, AT, sample, y, x, h, w, (EXTRA >> 12) & 8191, EXTRA >> 25)
        MODE: tl.constexpr = EXTRA & 15
        COLORED: tl.constexpr = (EXTRA >> 4) & 255
        if MODE == 0:
            a, b, c, d = clamp(a * by), clamp(b * by), clamp(c * by), clamp(d * by)
        elif MODE == 1:
            a, b, c, d = clamp(a + by), clamp(b + by), clamp(c + by), clamp(d + by)
        else:
            a = clamp(a + (constant(CONSTANTS, FIRST, COLORED, K0) - a) * by)
            if C > 1:
                b = clamp(b + (constant(CONSTANTS, FIRST, COLORED, K1) - b) * by)
            if C > 2:
                c = clamp(c + (constant(CONSTANTS, FIRST, COLORED, K2) - c) * by)
            if C > 3:
                d = clamp(d + (constant(CONSTANTS, FIRST, COLORED, K3) - d) * by)
    elif CODE == 66:  # contrast_by_map
        by = laid(ops, strides, AT, sample, y, x, h, w, EXTRA & 8191, EXTRA >> 13)
        mean = mean_of(ops, strides, sample, 0, h, w, SEEN, STAT, PARTS, False)
        a, b, c, d = a + (a - mean) * by, b + (b - mean) * by, c + (c - mean) * by, d + (d - mean) * by
        a, b, c, d = clamp(a), clamp(b), clamp(c), clamp(d)
    else:
        a, b, c, d = weather(
            a, b, c, d, ops, strides, sample, y, x, h, w, CODE, AT, EXTRA, FIRST, C, CONSTANTS, COLUMNS, SEEN
        )  # fmt: skip
    return a, b, c, d
