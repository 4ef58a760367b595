"""The kernels of a pass: prepare the maps, render, measure, and make a table of what was measured."""

import triton
import triton.language as tl

from gpuaug.render.kernels.grouped import look_group, run_group, write_group
from gpuaug.render.kernels.pixels import luma
from gpuaug.render.kernels.program import run, select
from gpuaug.render.kernels.source import look, room_of, size_of
from gpuaug.render.kernels.statistics import level, lightness, mean_of, partials

__all__ = ["measure_kernel", "prepare_kernel", "render_kernel", "table_kernel"]


@triton.jit
def prepare_kernel(
    matrix, s0, s1, s2, soft, f0, f1, hard, h0, h1, out, batch, h, w, sizes, shrink,
    PROJECTIVE: tl.constexpr, SOFT: tl.constexpr, HARD: tl.constexpr, EXACT: tl.constexpr, SIZED: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Leave for each sample the map from output to source, about the middle of the output, its widths and windows.

    EXACT keeps float64 and the corner as origin, which is what masks are read by.
    """
    b = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = b < batch
    at = matrix + b.to(tl.int64) * s0
    one = tl.where(mask, 0.0, 1.0).to(tl.float64)  # lanes beyond the batch invert something that has an inverse
    a = tl.load(at, mask=mask, other=0).to(tl.float64) + one
    b1 = tl.load(at + s2, mask=mask, other=0).to(tl.float64)
    c = tl.load(at + 2 * s2, mask=mask, other=0).to(tl.float64)
    d = tl.load(at + s1, mask=mask, other=0).to(tl.float64)
    e = tl.load(at + s1 + s2, mask=mask, other=0).to(tl.float64) + one
    f = tl.load(at + s1 + 2 * s2, mask=mask, other=0).to(tl.float64)
    g = tl.load(at + 2 * s1, mask=mask, other=0).to(tl.float64)
    i = tl.load(at + 2 * s1 + s2, mask=mask, other=0).to(tl.float64)
    j = tl.load(at + 2 * s1 + 2 * s2, mask=mask, other=0).to(tl.float64) + one
    m0, m1, m2 = e * j - f * i, c * i - b1 * j, b1 * f - c * e
    m3, m4, m5 = f * g - d * j, a * j - c * g, c * d - a * f
    m6, m7, m8 = d * i - e * g, b1 * g - a * i, a * e - b1 * d
    det = a * m0 + b1 * m3 + c * m6
    m0, m1, m2 = m0 / det, m1 / det, m2 / det
    m3, m4, m5 = m3 / det, m4 / det, m5 / det
    m6, m7, m8 = m6 / det, m7 / det, m8 / det
    rx, ry = tl.sqrt(m0 * m0 + m1 * m1), tl.sqrt(m3 * m3 + m4 * m4)
    rx, ry = tl.minimum(tl.maximum(rx, 1.0), shrink), tl.minimum(tl.maximum(ry, 1.0), shrink)
    if not EXACT:
        if SIZED:
            half_h = tl.load(sizes + b.to(tl.int64) * 3, mask=mask, other=0).to(tl.float32) * 0.5
            half_w = tl.load(sizes + b.to(tl.int64) * 3 + 1, mask=mask, other=0).to(tl.float32) * 0.5
        else:
            half_h, half_w = h * 0.5, w * 0.5
        m2 += m0 * half_w + m1 * half_h
        m5 += m3 * half_w + m4 * half_h
        m8 += m6 * half_w + m7 * half_h
        if PROJECTIVE:
            # Depth one in the middle, but its sign is kept: beyond a horizon nothing is seen.
            depth = tl.maximum(tl.abs(m8), 1e-12)
            m0, m1, m2 = m0 / depth, m1 / depth, m2 / depth
            m3, m4, m5 = m3 / depth, m4 / depth, m5 / depth
            m6, m7, m8 = m6 / depth, m7 / depth, m8 / depth
    row = out + b.to(tl.int64) * 20
    tl.store(row, m0, mask=mask)
    tl.store(row + 1, m1, mask=mask)
    tl.store(row + 2, m2, mask=mask)
    tl.store(row + 3, m3, mask=mask)
    tl.store(row + 4, m4, mask=mask)
    tl.store(row + 5, m5, mask=mask)
    tl.store(row + 6, m6, mask=mask)
    tl.store(row + 7, m7, mask=mask)
    tl.store(row + 8, m8, mask=mask)
    tl.store(row + 9, rx, mask=mask)
    tl.store(row + 10, ry, mask=mask)
    for k in tl.static_range(4):
        if SOFT:
            tl.store(row + 11 + k, tl.load(soft + b.to(tl.int64) * f0 + k * f1, mask=mask, other=0), mask=mask)
        if HARD:
            tl.store(row + 15 + k, tl.load(hard + b.to(tl.int64) * h0 + k * h1, mask=mask, other=0), mask=mask)


@triton.jit
def render_kernel(
    source, warp, ops, strides, canvas, tiles, out,
    GROUPS: tl.constexpr, ONTO: tl.constexpr, HEAD: tl.constexpr, FILL: tl.constexpr,
    PROGRAMS: tl.constexpr, CONSTANTS: tl.constexpr, ENCODE: tl.constexpr,
    BH: tl.constexpr, BW: tl.constexpr,
):  # fmt: skip
    """Render a tile of a sample: read it through the warp, run the program, write it in its last form.

    More than four channels go in groups, each with its program, one after another; the taps are in the cache.
    """
    sample = (tl.program_id(0) // tiles).to(tl.int64)
    tile = tl.program_id(0) % tiles
    h, w = size_of(canvas, sample, HEAD)
    tiles_x = (w + BW - 1) // BW
    top, left = (tile // tiles_x) * BH, (tile % tiles_x) * BW
    if top < h:  # tiles are those of the largest canvas
        y = top + tl.arange(0, BH)[:, None]
        x = left + tl.arange(0, BW)[None, :]
        mask = (y < h) & (x < w)
        y, x = tl.minimum(y, h - 1), tl.minimum(x, w - 1)
        into, oc, oh, ow = room_of(out, canvas, sample, h, w, HEAD)
        for g in tl.static_range(len(GROUPS)):
            a, b, c, d = look_group(source, warp, sample, y, x, h, w, GROUPS, g, HEAD, FILL, BH, BW)
            a, b, c, d = run_group(a, b, c, d, ops, strides, sample, y, x, h, w, PROGRAMS, g, CONSTANTS)
            write_group(into, y * oh + x * ow, oc, mask, a, b, c, d, ONTO, g, ENCODE)


@triton.jit
def _total(v):
    return tl.sum(tl.sum(v, 1), 0)


@triton.jit
def _histogram(v, valid, missing, BINS: tl.constexpr, SIZE: tl.constexpr):
    """Count levels; what is not there falls into the first bin, and is taken out of it."""
    levels = tl.reshape(tl.where(valid, level(v), 0), (SIZE,))
    return tl.histogram(levels, BINS) - tl.where(tl.arange(0, BINS) == 0, missing, 0)


@triton.jit
def _twice(at, v, ROW: tl.constexpr, COLUMN: tl.constexpr, SEEN: tl.constexpr):
    """Write an entry of a symmetric matrix."""
    tl.store(at + ROW * SEEN + COLUMN, v)
    tl.store(at + COLUMN * SEEN + ROW, v)


@triton.jit
def measure_kernel(
    source, warp, ops, strides, canvas, out,
    GROUP: tl.constexpr, HEAD: tl.constexpr, FILL: tl.constexpr, PROGRAM: tl.constexpr, CONSTANTS: tl.constexpr,
    STOP: tl.constexpr, KIND: tl.constexpr, ON: tl.constexpr, STAT: tl.constexpr, SEEN: tl.constexpr,
    CHANNELS: tl.constexpr, COLUMNS: tl.constexpr, PLANES: tl.constexpr, PARTS: tl.constexpr,
    BH: tl.constexpr, BW: tl.constexpr,
):  # fmt: skip
    """Reduce a part of a sample, read as `render_kernel` does and taken through the beginning of its program.

    Of channels that go in groups it measures one: PLANES planes, which are the COLUMNS of SEEN.
    KIND: 0 sum of gray values, 1 sums by channel, 2 extremes by channel, 3 histograms (added to `out`), 4 and 5 sums of
    squares about the mean of each channel, or of all, 6 sums of products about the means of all pairs of channels, of
    which all are planes, 7 sum of lightness, 8 sum of its squares about the mean. Parts are stored one by one: a sum
    that does not depend on the order in which programs end.
    """
    K0: tl.constexpr = COLUMNS & 127
    K1: tl.constexpr = (COLUMNS >> 7) & 127
    K2: tl.constexpr = (COLUMNS >> 14) & 127
    K3: tl.constexpr = (COLUMNS >> 21) & 127
    far = (tl.program_id(0) // PARTS).to(tl.int64)
    part = tl.program_id(0) % PARTS
    h, w = size_of(canvas, far, HEAD)
    tiles_x = (w + BW - 1) // BW
    tiles = (h + BH - 1) // BH * tiles_x
    wanted = tl.full((), 1, tl.int32)
    if ON >= 0:
        wanted = tl.load(ops[ON] + far * strides[ON]).to(tl.int32)
    if wanted != 0:
        start = 0.0
        if KIND == 2:
            start = float("inf")
        s0 = tl.full((BH, BW), start, tl.float32)
        s1, s2, s3 = s0, s0, s0
        t0, t1, t2, t3 = -s0, -s0, -s0, -s0
        if KIND == 6:
            aa, ab, ac, ad, bb, bc, bd, cc, cd, dd = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        if KIND == 3:
            bins: tl.constexpr = 256
            n0 = tl.zeros((256,), tl.int32)
            n1, n2, n3 = n0, n0, n0
        for tile in range(part, tiles, PARTS):
            y = (tile // tiles_x) * BH + tl.arange(0, BH)[:, None]
            x = (tile % tiles_x) * BW + tl.arange(0, BW)[None, :]
            valid = (y < h) & (x < w)
            y, x = tl.minimum(y, h - 1), tl.minimum(x, w - 1)
            a, b, c, d = look(source, warp, far, y, x, h, w, GROUP, HEAD, FILL, BH, BW)
            a, b, c, d = run(a, b, c, d, ops, strides, far, y, x, h, w, PROGRAM, CONSTANTS, STOP)
            a, b, c, d = select(a, b, c, d, CHANNELS)
            if KIND == 0:
                s0 += tl.where(valid, luma(a, b, c, PLANES), 0.0)
            elif KIND >= 7:
                v = lightness(a, b, c, PLANES)
                if KIND == 8:
                    v -= tl.sum(partials(ops, strides, STAT, far, 0, PARTS, 1), 0) / (h * w).to(tl.float32)
                    v = v * v
                s0 += tl.where(valid, v, 0.0)
            elif KIND == 2:
                s0, t0 = tl.minimum(s0, tl.where(valid, a, start)), tl.maximum(t0, tl.where(valid, a, -start))
                s1, t1 = tl.minimum(s1, tl.where(valid, b, start)), tl.maximum(t1, tl.where(valid, b, -start))
                s2, t2 = tl.minimum(s2, tl.where(valid, c, start)), tl.maximum(t2, tl.where(valid, c, -start))
                s3, t3 = tl.minimum(s3, tl.where(valid, d, start)), tl.maximum(t3, tl.where(valid, d, -start))
            elif KIND == 3:
                missing = BH * BW - _total(valid.to(tl.int32))
                n0 += _histogram(a, valid, missing, bins, BH * BW)
                if PLANES > 1:
                    n1 += _histogram(b, valid, missing, bins, BH * BW)
                if PLANES > 2:
                    n2 += _histogram(c, valid, missing, bins, BH * BW)
                if PLANES > 3:
                    n3 += _histogram(d, valid, missing, bins, BH * BW)
            elif KIND == 6:
                a = tl.where(valid, a - mean_of(ops, strides, far, 0, h, w, SEEN, STAT, PARTS, True), 0.0)
                aa += _total(a * a)
                if PLANES > 1:
                    b = tl.where(valid, b - mean_of(ops, strides, far, 1, h, w, SEEN, STAT, PARTS, True), 0.0)
                    ab += _total(a * b)
                    bb += _total(b * b)
                if PLANES > 2:
                    c = tl.where(valid, c - mean_of(ops, strides, far, 2, h, w, SEEN, STAT, PARTS, True), 0.0)
                    ac += _total(a * c)
                    bc += _total(b * c)
                    cc += _total(c * c)
                if PLANES > 3:
                    d = tl.where(valid, d - mean_of(ops, strides, far, 3, h, w, SEEN, STAT, PARTS, True), 0.0)
                    ad += _total(a * d)
                    bd += _total(b * d)
                    cd += _total(c * d)
                    dd += _total(d * d)
            else:
                if KIND >= 4:
                    a -= mean_of(ops, strides, far, K0, h, w, SEEN, STAT, PARTS, KIND == 4)
                    a = a * a
                    if PLANES > 1:
                        b -= mean_of(ops, strides, far, K1, h, w, SEEN, STAT, PARTS, KIND == 4)
                        b = b * b
                    if PLANES > 2:
                        c -= mean_of(ops, strides, far, K2, h, w, SEEN, STAT, PARTS, KIND == 4)
                        c = c * c
                    if PLANES > 3:
                        d -= mean_of(ops, strides, far, K3, h, w, SEEN, STAT, PARTS, KIND == 4)
                        d = d * d
                s0 += tl.where(valid, a, 0.0)
                s1 += tl.where(valid, b, 0.0)
                s2 += tl.where(valid, c, 0.0)
                s3 += tl.where(valid, d, 0.0)
        if KIND == 3:
            at = out + far * (SEEN * 256) + tl.arange(0, 256)
            tl.atomic_add(at + K0 * 256, n0)
            if PLANES > 1:
                tl.atomic_add(at + K1 * 256, n1)
            if PLANES > 2:
                tl.atomic_add(at + K2 * 256, n2)
            if PLANES > 3:
                tl.atomic_add(at + K3 * 256, n3)
        elif KIND == 0 or KIND >= 7:
            tl.store(out + far * PARTS + part, _total(s0))
        elif KIND == 6:
            at = out + (far * PARTS + part) * (SEEN * SEEN)
            tl.store(at, aa)
            if PLANES > 1:
                _twice(at, ab, 0, 1, SEEN)
                _twice(at, bb, 1, 1, SEEN)
            if PLANES > 2:
                _twice(at, ac, 0, 2, SEEN)
                _twice(at, bc, 1, 2, SEEN)
                _twice(at, cc, 2, 2, SEEN)
            if PLANES > 3:
                _twice(at, ad, 0, 3, SEEN)
                _twice(at, bd, 1, 3, SEEN)
                _twice(at, cd, 2, 3, SEEN)
                _twice(at, dd, 3, 3, SEEN)
        elif KIND == 2:
            at = out + (far * PARTS + part) * (2 * SEEN)
            tl.store(at + K0, tl.min(tl.min(s0, 1), 0))
            tl.store(at + SEEN + K0, tl.max(tl.max(t0, 1), 0))
            if PLANES > 1:
                tl.store(at + K1, tl.min(tl.min(s1, 1), 0))
                tl.store(at + SEEN + K1, tl.max(tl.max(t1, 1), 0))
            if PLANES > 2:
                tl.store(at + K2, tl.min(tl.min(s2, 1), 0))
                tl.store(at + SEEN + K2, tl.max(tl.max(t2, 1), 0))
            if PLANES > 3:
                tl.store(at + K3, tl.min(tl.min(s3, 1), 0))
                tl.store(at + SEEN + K3, tl.max(tl.max(t3, 1), 0))
        else:
            at = out + (far * PARTS + part) * SEEN
            tl.store(at + K0, _total(s0))
            if PLANES > 1:
                tl.store(at + K1, _total(s1))
            if PLANES > 2:
                tl.store(at + K2, _total(s2))
            if PLANES > 3:
                tl.store(at + K3, _total(s3))


@triton.jit
def table_kernel(histogram, out, canvas, channels, HEAD: tl.constexpr):
    """Turn a histogram of 256 levels into the table that equalizes it, in working units."""
    level_ = tl.arange(0, 256)
    h, w = size_of(canvas, (tl.program_id(0) // channels).to(tl.int64), HEAD)
    pixels = h * w
    at = tl.program_id(0) * 256 + level_
    count = tl.load(histogram + at)
    before = tl.cumsum(count, 0) - count
    brightest = tl.max(tl.where(count > 0, level_, 0), 0)
    step = (pixels - tl.sum(tl.where(level_ == brightest, count, 0), 0)) // 255
    divisor = tl.maximum(step, 1)
    table = tl.minimum((before + step // 2) // divisor, 255)
    table = tl.where((step == 0) | (level_ == 0), tl.where(step == 0, level_, 0), table)
    tl.store(out + at, table.to(tl.float32) / 255.0)
