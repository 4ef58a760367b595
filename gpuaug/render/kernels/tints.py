"""Pixel operations of tone and colour of the catalogue, each beside its definition in `functional`: codes from 32."""

import triton
import triton.language as tl

from gpuaug.render.kernels.head import clamp
from gpuaug.render.kernels.hue import from_hue, hue_of
from gpuaug.render.kernels.lightness import level_of_light, relit, roots_of
from gpuaug.render.kernels.operands import entry, number
from gpuaug.render.kernels.statistics import level

__all__ = ["tint"]


@triton.jit
def _own(ops, strides, AT: tl.constexpr, sample, k: tl.constexpr, WIDE: tl.constexpr):
    """Return a sample's operand, or, where it is WIDE, that of a channel."""
    if WIDE:
        return entry(ops, strides, AT, sample, k)
    else:
        return number(ops, strides, AT, sample)


@triton.jit
def _row(ops, strides, AT: tl.constexpr, sample, a, b, c, d, R: tl.constexpr, C: tl.constexpr):
    """Return what row R of a matrix makes of the planes; what it adds comes last."""
    v = a * entry(ops, strides, AT, sample, R * (C + 1)) + entry(ops, strides, AT, sample, R * (C + 1) + C)
    if C > 1:
        v += b * entry(ops, strides, AT, sample, R * (C + 1) + 1)
    if C > 2:
        v += c * entry(ops, strides, AT, sample, R * (C + 1) + 2)
    if C > 3:
        v += d * entry(ops, strides, AT, sample, R * (C + 1) + 3)
    return v


@triton.jit
def _mixed(ops, strides, AT: tl.constexpr, sample, a, b, c, d, C: tl.constexpr):
    """Return the planes after an affine map of them, row by row."""
    p = _row(ops, strides, AT, sample, a, b, c, d, 0, C)
    q, r, s = b, c, d
    if C > 1:
        q = _row(ops, strides, AT, sample, a, b, c, d, 1, C)
    if C > 2:
        r = _row(ops, strides, AT, sample, a, b, c, d, 2, C)
    if C > 3:
        s = _row(ops, strides, AT, sample, a, b, c, d, 3, C)
    return p, q, r, s


@triton.jit
def _looked_up(ops, strides, AT: tl.constexpr, sample, v, k: tl.constexpr, LAST: tl.constexpr, WIDE: tl.constexpr):
    """Return the value of a table of LAST + 1 entries, a straight line between two of them."""
    place = clamp(v) * LAST
    below = tl.minimum(tl.where(place == place, place, 0.0).to(tl.int32), LAST - 1)
    at = ops[AT] + sample * strides[AT] + (k * (LAST + 1) if WIDE else 0) + below
    low, high = tl.load(at).to(tl.float32), tl.load(at + 1).to(tl.float32)
    return low + (high - low) * (place - below.to(tl.float32))


@triton.jit
def _matched(ops, strides, AT: tl.constexpr, sample, v, k: tl.constexpr, share):
    """Return a share of what the level of a value becomes."""
    return v + (tl.load(ops[AT] + sample * strides[AT] + k * 256 + level(v)) - v) * share


@triton.jit
def _of_tiles(
    ops, strides, AT: tl.constexpr, sample, light, y, x, h, w, GY: tl.constexpr, GX: tl.constexpr
):  # fmt: skip
    """Return what the tables of the four nearest tiles make of a lightness, by how near they are."""
    more = tl.where((h % GY == 0) & (w % GX == 0), 0, 1)
    row = y.to(tl.float32) * (1.0 / (h // GY + more).to(tl.float32)) - 0.5
    column = x.to(tl.float32) * (1.0 / (w // GX + more).to(tl.float32)) - 0.5
    top, left = tl.floor(row), tl.floor(column)
    down, right = row - top, column - left
    t0, t1 = tl.maximum(top, 0.0).to(tl.int32), tl.minimum(top + 1.0, GY - 1.0).to(tl.int32)
    l0, l1 = tl.maximum(left, 0.0).to(tl.int32), tl.minimum(left + 1.0, GX - 1.0).to(tl.int32)
    at = ops[AT] + sample * strides[AT] + level_of_light(light)
    p, q = tl.load(at + (t0 * GX + l0) * 256), tl.load(at + (t0 * GX + l1) * 256)
    r, s = tl.load(at + (t1 * GX + l0) * 256), tl.load(at + (t1 * GX + l1) * 256)
    p, r = p + (q - p) * right, r + (s - r) * right
    return p + (r - p) * down


@triton.jit
def _lit(v):
    """Return light, of which some always goes through; what is no number stays so."""
    return tl.where(v < 1e-6, 1e-6, v)


@triton.jit
def _bent(v, low, high):
    t = clamp(v)
    rest = 1.0 - t
    return clamp(t + 3.0 * t * rest * (rest * (low - 1.0 / 3.0) + t * (high - 2.0 / 3.0)))


@triton.jit
def _plane(
    v, ops, strides, sample, CODE: tl.constexpr, AT: tl.constexpr, EXTRA: tl.constexpr, K: tl.constexpr
):  # fmt: skip
    """Return one plane after an operation that looks at no other, K its column of the operands."""
    if CODE == 33:  # look_up: the entries but one, twice that and one where each channel has its own
        v = _looked_up(ops, strides, AT, sample, v, K, EXTRA // 2, EXTRA % 2)
    elif CODE == 34:  # scale_shift
        factor = _own(ops, strides, AT, sample, K, EXTRA % 2)
        v = clamp(v * factor + _own(ops, strides, AT + 1, sample, K, EXTRA // 2))
    elif CODE == 35:  # adjust_tone_curve
        low = _own(ops, strides, AT, sample, K, EXTRA % 2)
        v = _bent(v, low, _own(ops, strides, AT + 1, sample, K, EXTRA // 2))
    return v


@triton.jit
def tint(
    a, b, c, d, ops, strides, sample, y, x, h, w,
    CODE: tl.constexpr, AT: tl.constexpr, STAT: tl.constexpr, EXTRA: tl.constexpr, FIRST: tl.constexpr,
    PARTS: tl.constexpr, C: tl.constexpr, CONSTANTS: tl.constexpr, COLUMNS: tl.constexpr, SEEN: tl.constexpr,
):  # fmt: skip
    """Return the planes after one operation: see `pixels.operate`."""
    K0: tl.constexpr = COLUMNS & 127
    K1: tl.constexpr = (COLUMNS >> 7) & 127
    K2: tl.constexpr = (COLUMNS >> 14) & 127
    K3: tl.constexpr = (COLUMNS >> 21) & 127
    if CODE == 32:  # color_matrix
        a, b, c, d = _mixed(ops, strides, AT, sample, a, b, c, d, C)
        if EXTRA == 1:
            a, b, c, d = clamp(a), clamp(b), clamp(c), clamp(d)
    elif CODE >= 33 and CODE <= 35:
        a = _plane(a, ops, strides, sample, CODE, AT, EXTRA, K0)
        if C > 1:
            b = _plane(b, ops, strides, sample, CODE, AT, EXTRA, K1)
        if C > 2:
            c = _plane(c, ops, strides, sample, CODE, AT, EXTRA, K2)
        if C > 3:
            d = _plane(d, ops, strides, sample, CODE, AT, EXTRA, K3)
    elif CODE == 36:  # scale_hsv
        gain = number(ops, strides, AT + 2, sample)
        if C == 1:
            a = clamp(clamp(a) * gain)
        else:
            hue, value, chroma = hue_of(clamp(a), clamp(b), clamp(c))
            purity = chroma / tl.where(value == 0.0, 1.0, value)
            purity = clamp(purity * number(ops, strides, AT + 1, sample))
            value = clamp(value * gain)
            a, b, c = from_hue(hue + number(ops, strides, AT, sample) * 6.0, value, value * purity)
    elif CODE == 37:  # fancy_pca
        a = clamp(a + entry(ops, strides, STAT, sample, 0))
        if C > 1:
            b = clamp(b + entry(ops, strides, STAT, sample, 1))
        if C > 2:
            c = clamp(c + entry(ops, strides, STAT, sample, 2))
        if C > 3:
            d = clamp(d + entry(ops, strides, STAT, sample, 3))
    elif CODE == 38:  # adapt_pixels
        p, q, r, s = _mixed(ops, strides, STAT, sample, a, b, c, d, C)
        share = number(ops, strides, AT + 1, sample)
        a, b = a + (clamp(p) - a) * share, b + (clamp(q) - b) * share
        c, d = c + (clamp(r) - c) * share, d + (clamp(s) - d) * share
    elif CODE == 40:  # clahe
        if C == 1:
            a = _of_tiles(ops, strides, STAT, sample, clamp(a), y, x, h, w, EXTRA // 256, EXTRA % 256)
        else:
            x_root, y_root, z_root, light = roots_of(a, b, c)
            light = _of_tiles(ops, strides, STAT, sample, light, y, x, h, w, EXTRA // 256, EXTRA % 256)
            a, b, c = relit(x_root, y_root, z_root, light)
    elif CODE == 41:  # restain
        gray = a * 0.299 + b * 0.587 + c * 0.114
        p, q, r = tl.log(_lit(a)), tl.log(_lit(b)), tl.log(_lit(c))
        i, j, k, _ = _mixed(ops, strides, AT, sample, p, q, r, d, 3)
        p, q, r, _ = _mixed(ops, strides, AT + 1, sample, p, q, r, d, 3)
        there = gray < 0.85
        a = clamp(tl.exp(tl.where(there, i, p)))
        b = clamp(tl.exp(tl.where(there, j, q)))
        c = clamp(tl.exp(tl.where(there, k, r)))
    elif CODE == 39:  # match_histogram
        share = number(ops, strides, AT + 1, sample)
        a = _matched(ops, strides, STAT, sample, a, K0, share)
        if C > 1:
            b = _matched(ops, strides, STAT, sample, b, K1, share)
        if C > 2:
            c = _matched(ops, strides, STAT, sample, c, K2, share)
        if C > 3:
            d = _matched(ops, strides, STAT, sample, d, K3, share)
    return a, b, c, d
