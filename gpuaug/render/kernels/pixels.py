"""The pixel operations of a program, each beside its definition in `functional`, on four planes of a tile."""

import triton
import triton.language as tl

from gpuaug.render.kernels.grain import speckle
from gpuaug.render.kernels.head import clamp, rint
from gpuaug.render.kernels.hue import from_hue, hue_of
from gpuaug.render.kernels.light import shine
from gpuaug.render.kernels.operands import constant, entry, lanes, number
from gpuaug.render.kernels.statistics import level, mean_of, partials
from gpuaug.render.kernels.tints import tint

__all__ = ["operate"]

RED = tl.constexpr(0.2989)
GREEN = tl.constexpr(0.587)
BLUE = tl.constexpr(0.114)


@triton.jit
def luma(a, b, c, C: tl.constexpr):
    """Return the gray value."""
    if C == 1:
        return a
    else:
        return a * RED + b * GREEN + c * BLUE


@triton.jit
def _blend(v, factor, rest):
    return clamp(v * factor + rest)


@triton.jit
def _blend_all(a, b, c, d, factor, rest, C: tl.constexpr):
    a = _blend(a, factor, rest)
    if C > 1:
        b = _blend(b, factor, rest)
    if C > 2:
        c = _blend(c, factor, rest)
    if C > 3:
        d = _blend(d, factor, rest)
    return a, b, c, d


@triton.jit
def _power(v, exponent, gain):
    lit = v > 0.0
    raised = tl.exp2(tl.log2(tl.where(lit, v, 1.0)) * exponent) * gain
    return clamp(tl.where(lit, raised, 0.0 * v))


@triton.jit
def _solarize(v, threshold):
    return tl.where(v >= threshold - 5e-7, 1.0 - v, v)


@triton.jit
def _solarize_add(v, addition):
    return tl.where(v < 0.5, tl.minimum(v + addition, 1.0), v)


@triton.jit
def _posterize(v, bits, LEVELS: tl.constexpr):
    if LEVELS > 0:
        step = tl.exp2(rint(8.0 - bits))
        return tl.floor(rint(v * LEVELS) / step) * step / LEVELS
    else:
        steps = tl.exp2(rint(bits))
        return tl.maximum(tl.minimum(tl.floor(v * steps), steps - 1.0), 0.0) / steps


@triton.jit
def _stretch(v, low, high):
    flat = high == low
    return clamp(tl.where(flat, v, (v - low) / tl.where(flat, 1.0, high - low)))


@triton.jit
def _stretched(ops, strides, sample, v, k: tl.constexpr, C: tl.constexpr, AT: tl.constexpr, PARTS: tl.constexpr):
    low = tl.min(partials(ops, strides, AT, sample, k, PARTS, 2 * C), 0)
    high = tl.max(partials(ops, strides, AT, sample, C + k, PARTS, 2 * C), 0)
    return _stretch(v, low, high)


@triton.jit
def _looked_up(ops, strides, sample, v, k: tl.constexpr, AT: tl.constexpr):
    return tl.load(ops[AT] + sample * strides[AT] + k * 256 + level(v))


@triton.jit
def _permuted(ops, strides, sample, a, b, c, d, k: tl.constexpr, AT: tl.constexpr, C: tl.constexpr):
    source = tl.load(ops[AT] + sample * strides[AT] + k)
    v = a
    if C > 1:
        v = tl.where(source == 1, b, v)
    if C > 2:
        v = tl.where(source == 2, c, v)
    if C > 3:
        v = tl.where(source == 3, d, v)
    return v


@triton.jit
def _scaled(ops, strides, sample, v, k: tl.constexpr, AT: tl.constexpr):
    """Normalise: mean and std are operands AT and AT + 1."""
    inverse = 1.0 / entry(ops, strides, AT + 1, sample, k)
    return v * inverse - entry(ops, strides, AT, sample, k) * inverse


@triton.jit
def _by_image(
    ops, strides, sample, v, k: tl.constexpr, h, w, C: tl.constexpr, MODE: tl.constexpr, STAT: tl.constexpr,
    PARTS: tl.constexpr,
):  # fmt: skip
    """Normalise by the sample's own mean and deviation (modes 0, 1 by channel) or extremes (2, 3)."""
    if MODE < 2:
        mean = mean_of(ops, strides, sample, k, h, w, C, STAT, PARTS, MODE == 1)
        square = mean_of(ops, strides, sample, k, h, w, C, STAT + 1, PARTS, MODE == 1)
        return (v - mean) / (tl.sqrt(square + 1e-20) + 1e-4)
    else:
        if MODE == 3:
            low = tl.min(partials(ops, strides, STAT, sample, k, PARTS, 2 * C), 0)
            high = tl.max(partials(ops, strides, STAT, sample, C + k, PARTS, 2 * C), 0)
        else:
            low = tl.min(partials(ops, strides, STAT, sample, 0, PARTS, 2 * C), 0)
            high = tl.max(partials(ops, strides, STAT, sample, C, PARTS, 2 * C), 0)
            for i in tl.static_range(1, C):
                low = tl.minimum(low, tl.min(partials(ops, strides, STAT, sample, i, PARTS, 2 * C), 0))
                high = tl.maximum(high, tl.max(partials(ops, strides, STAT, sample, C + i, PARTS, 2 * C), 0))
        return (v - low) / (high - low + 1e-4)


@triton.jit
def _inside(box, y, x):
    top, left = tl.load(box), tl.load(box + 1)
    return (y >= top) & (y < top + tl.load(box + 2)) & (x >= left) & (x < left + tl.load(box + 3))


@triton.jit
def _holes(ops, strides, sample, place, axis: tl.constexpr, AT: tl.constexpr):
    """Tell which places along an axis lie in holes: unit, hole and shift are operands AT to AT + 2."""
    unit = entry(ops, strides, AT, sample, axis)
    rest = place.to(tl.float32) - entry(ops, strides, AT + 2, sample, axis)
    hole = entry(ops, strides, AT + 1, sample, axis)
    return (rest >= 0.0) & (rest - unit * tl.floor(rest / unit) < hole)


@triton.jit
def operate(
    a, b, c, d, ops, strides, sample, y, x, h, w,
    CODE: tl.constexpr, AT: tl.constexpr, STAT: tl.constexpr, EXTRA: tl.constexpr, FIRST: tl.constexpr,
    PARTS: tl.constexpr, C: tl.constexpr, CONSTANTS: tl.constexpr, COLUMNS: tl.constexpr, SEEN: tl.constexpr,
):  # fmt: skip
    """Return the planes after one operation.

    Where:
        a, b, c, d: planes (BH, BW), of which C count.
        ops: pointers of the operands, with their strides from sample to sample.
        y: rows (BH, 1) and x columns (1, BW) of the tile, in a canvas of h x w.
        CODE: which operation, see `render/lowering.py`.
        AT: first operand; STAT the first measured one, of PARTS parts.
        EXTRA: one number that the operation knows how to read.
        FIRST: where its constants begin.
        C: how many of the planes it sees.
        COLUMNS: which columns of its operands are theirs, seven bits each, of SEEN.
    """
    K0: tl.constexpr = COLUMNS & 127
    K1: tl.constexpr = (COLUMNS >> 7) & 127
    K2: tl.constexpr = (COLUMNS >> 14) & 127
    K3: tl.constexpr = (COLUMNS >> 21) & 127
    if CODE == 1:  # adjust_brightness
        factor = number(ops, strides, AT, sample)
        a, b, c, d = _blend_all(a, b, c, d, factor, 0.0, C)
    elif CODE == 2:  # adjust_contrast
        factor = number(ops, strides, AT, sample)
        mean = tl.sum(partials(ops, strides, STAT, sample, 0, PARTS, 1), 0) / (h * w).to(tl.float32)
        a, b, c, d = _blend_all(a, b, c, d, factor, mean * (1.0 - factor), C)
    elif CODE == 3:  # adjust_saturation
        if C > 1:
            factor = number(ops, strides, AT, sample)
            a, b, c, d = _blend_all(a, b, c, d, factor, luma(a, b, c, C) * (1.0 - factor), 3)
    elif CODE == 4:  # adjust_hue
        if C > 1:
            hue, value, chroma = hue_of(a, b, c)
            a, b, c = from_hue(hue + number(ops, strides, AT, sample) * 6.0, value, chroma)
    elif CODE == 5:  # adjust_hue_saturation_value
        up = number(ops, strides, AT + 2, sample) / 255.0
        if C == 1:
            a = clamp(a + up)
        else:
            hue, value, chroma = hue_of(clamp(a), clamp(b), clamp(c))
            saturation = chroma / tl.where(value == 0.0, 1.0, value)
            saturation = clamp(saturation + number(ops, strides, AT + 1, sample) / 255.0)
            value = clamp(value + up)
            turned = hue + number(ops, strides, AT, sample) * (6.0 / 180.0)
            a, b, c = from_hue(turned, value, value * saturation)
    elif CODE == 6:  # rgb_to_grayscale
        a = luma(a, b, c, C)
        b, c = a, a
    elif CODE == 7:  # brightness_contrast
        shift = number(ops, strides, AT, sample)
        if EXTRA == 0:
            shift *= mean_of(ops, strides, sample, 0, h, w, SEEN, STAT, PARTS, False)
        a, b, c, d = _blend_all(a, b, c, d, 1.0 + number(ops, strides, AT + 1, sample), shift, C)
    elif CODE == 8:  # permute_channels
        p = _permuted(ops, strides, sample, a, b, c, d, 0, AT, C)
        q, r, s = b, c, d
        if C > 1:
            q = _permuted(ops, strides, sample, a, b, c, d, 1, AT, C)
        if C > 2:
            r = _permuted(ops, strides, sample, a, b, c, d, 2, AT, C)
        if C > 3:
            s = _permuted(ops, strides, sample, a, b, c, d, 3, AT, C)
        a, b, c, d = p, q, r, s
    elif CODE == 9:  # drop_channels
        fill = CONSTANTS[FIRST]
        a = tl.where(entry(ops, strides, AT, sample, K0) != 0.0, fill, a)
        if C > 1:
            b = tl.where(entry(ops, strides, AT, sample, K1) != 0.0, fill, b)
        if C > 2:
            c = tl.where(entry(ops, strides, AT, sample, K2) != 0.0, fill, c)
        if C > 3:
            d = tl.where(entry(ops, strides, AT, sample, K3) != 0.0, fill, d)
    elif CODE == 10:  # adjust_gamma
        gamma, gain = number(ops, strides, AT, sample), CONSTANTS[FIRST]
        a = _power(a, gamma, gain)
        if C > 1:
            b = _power(b, gamma, gain)
        if C > 2:
            c = _power(c, gamma, gain)
        if C > 3:
            d = _power(d, gamma, gain)
    elif CODE == 11:  # invert
        a, b, c, d = 1.0 - a, 1.0 - b, 1.0 - c, 1.0 - d
    elif CODE == 12:  # solarize
        threshold = number(ops, strides, AT, sample)
        a = _solarize(a, threshold)
        if C > 1:
            b = _solarize(b, threshold)
        if C > 2:
            c = _solarize(c, threshold)
        if C > 3:
            d = _solarize(d, threshold)
    elif CODE == 13:  # posterize
        bits = number(ops, strides, AT, sample)
        a = _posterize(a, bits, EXTRA)
        if C > 1:
            b = _posterize(b, bits, EXTRA)
        if C > 2:
            c = _posterize(c, bits, EXTRA)
        if C > 3:
            d = _posterize(d, bits, EXTRA)
    elif CODE == 14:  # autocontrast
        a = _stretched(ops, strides, sample, a, K0, SEEN, STAT, PARTS)
        if C > 1:
            b = _stretched(ops, strides, sample, b, K1, SEEN, STAT, PARTS)
        if C > 2:
            c = _stretched(ops, strides, sample, c, K2, SEEN, STAT, PARTS)
        if C > 3:
            d = _stretched(ops, strides, sample, d, K3, SEEN, STAT, PARTS)
    elif CODE == 15:  # equalize
        a = _looked_up(ops, strides, sample, a, K0, STAT)
        if C > 1:
            b = _looked_up(ops, strides, sample, b, K1, STAT)
        if C > 2:
            c = _looked_up(ops, strides, sample, c, K2, STAT)
        if C > 3:
            d = _looked_up(ops, strides, sample, d, K3, STAT)
    elif CODE == 16:  # normalize
        a = _scaled(ops, strides, sample, a, K0 if EXTRA > 1 else 0, AT)
        if C > 1:
            b = _scaled(ops, strides, sample, b, K1 if EXTRA > 1 else 0, AT)
        if C > 2:
            c = _scaled(ops, strides, sample, c, K2 if EXTRA > 1 else 0, AT)
        if C > 3:
            d = _scaled(ops, strides, sample, d, K3 if EXTRA > 1 else 0, AT)
    elif CODE == 17:  # normalize_by_image
        a = _by_image(ops, strides, sample, a, K0, h, w, SEEN, EXTRA, STAT, PARTS)
        if C > 1:
            b = _by_image(ops, strides, sample, b, K1, h, w, SEEN, EXTRA, STAT, PARTS)
        if C > 2:
            c = _by_image(ops, strides, sample, c, K2, h, w, SEEN, EXTRA, STAT, PARTS)
        if C > 3:
            d = _by_image(ops, strides, sample, d, K3, h, w, SEEN, EXTRA, STAT, PARTS)
    elif CODE == 18:  # gaussian_noise
        shift, scale = number(ops, strides, AT, sample), number(ops, strides, AT + 1, sample)
        n0, n1, n2, n3 = lanes(tl.load(ops[AT + 2] + sample * strides[AT + 2]), y * w + x, K0, K1, K2, K3)
        a = a + (shift + scale * n0)
        b = b + (shift + scale * n1)
        c = c + (shift + scale * n2)
        d = d + (shift + scale * n3)
        if EXTRA == 1:
            a, b, c, d = clamp(a), clamp(b), clamp(c), clamp(d)
    elif CODE == 19:  # erase: rectangles and how many values, among the constants
        covered = (y < 0) & (x < 0)
        for i in range(EXTRA // 64):
            covered = covered | _inside(ops[AT] + sample * strides[AT] + i * 4, y, x)
        VALUES: tl.constexpr = EXTRA % 64
        a = tl.where(covered, constant(CONSTANTS, FIRST, VALUES, K0), a)
        if C > 1:
            b = tl.where(covered, constant(CONSTANTS, FIRST, VALUES, K1), b)
        if C > 2:
            c = tl.where(covered, constant(CONSTANTS, FIRST, VALUES, K2), c)
        if C > 3:
            d = tl.where(covered, constant(CONSTANTS, FIRST, VALUES, K3), d)
    elif CODE == 20:  # erase_noise
        covered = (y < 0) & (x < 0)
        for i in range(EXTRA):
            covered = covered | _inside(ops[AT] + sample * strides[AT] + i * 4, y, x)
        if tl.max(tl.max(covered.to(tl.int32), 1), 0) > 0:
            n0, n1, n2, n3 = lanes(tl.load(ops[AT + 1] + sample * strides[AT + 1]), y * w + x, K0, K1, K2, K3)
            a = tl.where(covered, n0, a)
            b = tl.where(covered, n1, b)
            c = tl.where(covered, n2, c)
            d = tl.where(covered, n3, d)
    elif CODE == 21:  # erase_color
        key = tl.load(ops[AT + 1] + sample * strides[AT + 1])
        for i in range(EXTRA):
            covered = _inside(ops[AT] + sample * strides[AT] + i * 4, y, x)
            n0, n1, n2, n3 = lanes(key, tl.zeros((1, 1), tl.int32) + i, K0, K1, K2, K3)
            a = tl.where(covered, n0, a)
            b = tl.where(covered, n1, b)
            c = tl.where(covered, n2, c)
            d = tl.where(covered, n3, d)
    elif CODE == 22:  # grid_dropout
        covered = _holes(ops, strides, sample, y, 0, AT) & _holes(ops, strides, sample, x, 1, AT)
        a = tl.where(covered, constant(CONSTANTS, FIRST, EXTRA, K0), a)
        if C > 1:
            b = tl.where(covered, constant(CONSTANTS, FIRST, EXTRA, K1), b)
        if C > 2:
            c = tl.where(covered, constant(CONSTANTS, FIRST, EXTRA, K2), c)
        if C > 3:
            d = tl.where(covered, constant(CONSTANTS, FIRST, EXTRA, K3), d)
    elif CODE == 23:  # to_unit, and back: EXTRA slopes, and as many shifts
        a = a * constant(CONSTANTS, FIRST, EXTRA, K0) + constant(CONSTANTS, FIRST + EXTRA, EXTRA, K0)
        if C > 1:
            b = b * constant(CONSTANTS, FIRST, EXTRA, K1) + constant(CONSTANTS, FIRST + EXTRA, EXTRA, K1)
        if C > 2:
            c = c * constant(CONSTANTS, FIRST, EXTRA, K2) + constant(CONSTANTS, FIRST + EXTRA, EXTRA, K2)
        if C > 3:
            d = d * constant(CONSTANTS, FIRST, EXTRA, K3) + constant(CONSTANTS, FIRST + EXTRA, EXTRA, K3)
    elif CODE == 24:  # solarize_add
        addition = number(ops, strides, AT, sample)
        a = _solarize_add(a, addition)
        if C > 1:
            b = _solarize_add(b, addition)
        if C > 2:
            c = _solarize_add(c, addition)
        if C > 3:
            d = _solarize_add(d, addition)
    elif CODE >= 32 and CODE < 64:
        a, b, c, d = tint(
            a, b, c, d, ops, strides, sample, y, x, h, w,
            CODE, AT, STAT, EXTRA, FIRST, PARTS, C, CONSTANTS, COLUMNS, SEEN,
        )  # fmt: skip
    elif CODE >= 64 and CODE < 96:
        a, b, c, d = shine(
            a, b, c, d, ops, strides, sample, y, x, h, w,
            CODE, AT, STAT, EXTRA, FIRST, PARTS, C, CONSTANTS, COLUMNS, SEEN,
        )  # fmt: skip
    elif CODE >= 96:
        a, b, c, d = speckle(
            a, b, c, d, ops, strides, sample, y, x, h, w,
            CODE, AT, STAT, EXTRA, FIRST, PARTS, C, CONSTANTS, COLUMNS, SEEN,
        )  # fmt: skip
    return a, b, c, d
