"""Read a source through a warp: `render/reading.py` for a tile of output pixels, taps in a loop of runtime length."""

import triton
import triton.language as tl

__all__ = ["GEOMETRY", "clamp", "floor_int", "read", "rint"]

GEOMETRY = 20
"""Numbers that `prepare` leaves for each sample: 9 of the map, 2 widths, 4 and 4 of the windows, 1 free."""


@triton.jit
def rint(v):
    """Round to the nearest whole number, halves to even, of |v| < 2**22."""
    return (v + 12582912.0) - 12582912.0


@triton.jit
def clamp(v):
    """Return values between black and white; NaN stays."""
    return tl.minimum(tl.maximum(v, 0.0, propagate_nan=tl.PropagateNan.ALL), 1.0, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def floor_int(v):
    """Return a whole float as an integer."""
    return v.to(tl.int32)


@triton.jit
def _weight(t, INTERPOLATION: tl.constexpr, ANTIALIAS: tl.constexpr):
    """Return the filter's weight at distance t >= 0: a triangle (1) or a cubic (2)."""
    if INTERPOLATION == 1:
        return tl.maximum(1.0 - t, 0.0)
    else:
        # Pillow and torchvision use -0.5 when antialiasing and -0.75 when not.
        a: tl.constexpr = -0.5 if ANTIALIAS else -0.75
        near = ((a + 2.0) * t - (a + 3.0)) * t * t + 1.0
        far = ((a * t - 5.0 * a) * t + 8.0 * a) * t - 4.0 * a
        return tl.where(t <= 1.0, near, tl.where(t < 2.0, far, 0.0))


@triton.jit
def _tap(
    place, position, narrow, low, high, size, soft_low, soft_high,
    INTERPOLATION: tl.constexpr, ANTIALIAS: tl.constexpr, WIDEN: tl.constexpr, SOFT: tl.constexpr, HARD: tl.constexpr,
):  # fmt: skip
    """Return the index of a tap, its weight, and its weight before what is not there is left out."""
    if INTERPOLATION == 0:
        weight = tl.full(place.shape, 1.0, tl.float32)
    else:
        distance = tl.abs(place + 0.5 - position)
        if WIDEN:
            distance = distance * narrow
        weight = _weight(distance, INTERPOLATION, ANTIALIAS)
    if HARD:
        if ANTIALIAS:
            weight = tl.where((place + 0.5 > low) & (place + 0.5 < high), weight, 0.0)
        else:  # the window's border pixel is repeated
            place = tl.minimum(tl.maximum(place, tl.ceil(low - 0.5)), tl.ceil(high - 0.5) - 1.0)
    there = (place >= 0.0) & (place < size)
    if SOFT:
        there = there & (place + 0.5 > soft_low) & (place + 0.5 < soft_high)
    return place, tl.where(there, weight, 0.0), weight


@triton.jit
def _map(geo, gx, gy, field, fc, fh, y, x, KIND: tl.constexpr):
    """Return source positions of output pixels, x and y, before any perspective, and the depth."""
    m0, m1, m2 = tl.load(geo), tl.load(geo + 1), tl.load(geo + 2)
    m3, m4, m5 = tl.load(geo + 3), tl.load(geo + 4), tl.load(geo + 5)
    if KIND == 1:
        px = m0 * gx + m2
        py = m4 * gy + m5
    else:
        px = m0 * gx + m1 * gy + m2
        py = m3 * gx + m4 * gy + m5
    if KIND == 4:
        at = field + y * fh + x
        px += tl.load(at).to(tl.float32)
        py += tl.load(at + fc).to(tl.float32)
    return px, py


@triton.jit
def _field_width(geo, gx, gy, field, fc, fh, y, x, h, w, shrink):
    """Return the half-widths of the filter under a field: norms of the differences of positions to the neighbours."""
    x0, x1 = tl.maximum(x - 1, 0), tl.minimum(x + 1, w - 1)
    y0, y1 = tl.maximum(y - 1, 0), tl.minimum(y + 1, h - 1)
    ax, ay = _map(geo, gx + (x0 - x).to(tl.float32), gy, field, fc, fh, y, x0, 4)
    bx, by = _map(geo, gx + (x1 - x).to(tl.float32), gy, field, fc, fh, y, x1, 4)
    cx, cy = _map(geo, gx, gy + (y0 - y).to(tl.float32), field, fc, fh, y0, x, 4)
    dx, dy = _map(geo, gx, gy + (y1 - y).to(tl.float32), field, fc, fh, y1, x, 4)
    across = 1.0 / tl.maximum(x1 - x0, 1).to(tl.float32)
    down = 1.0 / tl.maximum(y1 - y0, 1).to(tl.float32)
    ux, uy = (bx - ax) * across, (by - ay) * across
    vx, vy = (dx - cx) * down, (dy - cy) * down
    rx = tl.sqrt(tl.minimum(tl.maximum(ux * ux + vx * vx, 1.0), shrink * shrink))
    ry = tl.sqrt(tl.minimum(tl.maximum(uy * uy + vy * vy, 1.0), shrink * shrink))
    return rx, ry


@triton.jit
def _filled(value, cover, FILL: tl.constexpr, c: tl.constexpr):
    if len(FILL) == 1:
        return value + (1.0 - cover) * FILL[0]
    else:
        return value + (1.0 - cover) * FILL[c]


@triton.jit
def read(
    src, sc, sh, sw, rows, cols, inverse_scale,
    geo, field, fc, fh, shrink, taps,
    y, x, h, w,
    GROUP: tl.constexpr, HEAD: tl.constexpr, FILL: tl.constexpr, BH: tl.constexpr, BW: tl.constexpr,
):  # fmt: skip
    """Return four planes (BH, BW) in working units: the channels that `GROUP` names, and others that do not count.

    Where:
        src: the sample's first value; sc, sh, sw its strides, rows and cols its size.
        inverse_scale: what values are multiplied by to get working units.
        geo: the sample's row of `prepare`.
        field: the sample's displacements, with the strides fc and fh.
        shrink: bound of the half-widths; taps the bound of taps that follows.
        y: output rows (BH, 1), inside the canvas h x w.
        x: output columns (1, BW).
        HEAD: kind (0 none, 1 axis, 2 affine, 3 projective, 4 field), interpolation (0 nearest, 1 bilinear,
            2 bicubic), antialias, widen, soft, hard, normalise, static taps.
        FILL: values outside, one or one for each channel; empty for zero.
    """
    C: tl.constexpr = len(GROUP)
    src += GROUP[0] * sc
    s1, s2, s3 = 0, 0, 0
    if C > 1:
        s1 = (GROUP[1] - GROUP[0]) * sc
    if C > 2:
        s2 = (GROUP[2] - GROUP[0]) * sc
    if C > 3:
        s3 = (GROUP[3] - GROUP[0]) * sc
    KIND: tl.constexpr = HEAD[0]
    INTERPOLATION: tl.constexpr = HEAD[1]
    ANTIALIAS: tl.constexpr = HEAD[2]
    WIDEN: tl.constexpr = HEAD[3]
    SOFT: tl.constexpr = HEAD[4]
    HARD: tl.constexpr = HEAD[5]
    NORMALISE: tl.constexpr = HEAD[6]
    TAPS: tl.constexpr = HEAD[7]
    if KIND == 0:
        offset = y * sh + x * sw
        a = tl.load(src + offset).to(tl.float32)
        b, c, d = a, a, a
        if C > 1:
            b = tl.load(src + offset + s1).to(tl.float32)
        if C > 2:
            c = tl.load(src + offset + s2).to(tl.float32)
        if C > 3:
            d = tl.load(src + offset + s3).to(tl.float32)
        return a * inverse_scale, b * inverse_scale, c * inverse_scale, d * inverse_scale
    else:
        gx = x.to(tl.float32) + (0.5 - 0.5 * w)
        gy = y.to(tl.float32) + (0.5 - 0.5 * h)
        px, py = _map(geo, gx, gy, field, fc, fh, y, x, KIND)
        rx, ry = tl.load(geo + 9), tl.load(geo + 10)
        if KIND == 3:
            m6, m7, m8 = tl.load(geo + 6), tl.load(geo + 7), tl.load(geo + 8)
            depth = m6 * gx + m7 * gy + m8
            seen = depth > 1e-6
            inverse = 1.0 / tl.where(seen, depth, 1.0)
            # A place behind the camera is put far outside the image.
            px = tl.where(seen, px * inverse, -1e6)
            py = tl.where(seen, py * inverse, -1e6)
            if WIDEN:
                ux, uy = tl.load(geo) - px * m6, tl.load(geo + 1) - px * m7
                vx, vy = tl.load(geo + 3) - py * m6, tl.load(geo + 4) - py * m7
                rx = tl.minimum(tl.maximum(tl.sqrt(ux * ux + uy * uy) * inverse, 1.0), shrink)
                ry = tl.minimum(tl.maximum(tl.sqrt(vx * vx + vy * vy) * inverse, 1.0), shrink)
        if KIND == 4 and WIDEN:
            rx, ry = _field_width(geo, gx, gy, field, fc, fh, y, x, h, w, shrink)
        sx0, sy0, sx1, sy1 = tl.load(geo + 11), tl.load(geo + 12), tl.load(geo + 13), tl.load(geo + 14)
        hx0, hy0, hx1, hy1 = tl.load(geo + 15), tl.load(geo + 16), tl.load(geo + 17), tl.load(geo + 18)
        if INTERPOLATION == 0:
            first_x, first_y = tl.floor(px), tl.floor(py)
        else:
            support: tl.constexpr = 1.0 if INTERPOLATION == 1 else 2.0
            if WIDEN:
                first_x = tl.floor(px - 0.5 - support * rx) + 1.0
                first_y = tl.floor(py - 0.5 - support * ry) + 1.0
            else:
                first_x = tl.floor(px - (0.5 + support)) + 1.0
                first_y = tl.floor(py - (0.5 + support)) + 1.0
        zero = tl.zeros((BH, BW), tl.float32)
        a, b, c, d = zero, zero, zero, zero
        seen_x, seen_y = tl.zeros(px.shape, tl.float32), tl.zeros(py.shape, tl.float32)
        total_x, total_y = seen_x, seen_y
        nx, ny = 1.0 / rx, 1.0 / ry
        if WIDEN:
            if KIND >= 3:
                count_x = tl.minimum(tl.ceil(2 * support * tl.max(tl.max(rx, 1), 0) - 1e-4).to(tl.int32), taps)
                count_y = tl.minimum(tl.ceil(2 * support * tl.max(tl.max(ry, 1), 0) - 1e-4).to(tl.int32), taps)
            else:
                count_x = tl.minimum(tl.ceil(2 * support * rx - 1e-4).to(tl.int32), taps)
                count_y = tl.minimum(tl.ceil(2 * support * ry - 1e-4).to(tl.int32), taps)
            for k in range(count_x):
                _, weight, raw = _tap(
                    first_x + k, px, nx, hx0, hx1, cols, sx0, sx1, INTERPOLATION, ANTIALIAS, WIDEN, SOFT, HARD
                )
                seen_x += weight
                total_x += raw
            for j in range(count_y):
                row, weight_y, raw = _tap(
                    first_y + j, py, ny, hy0, hy1, rows, sy0, sy1, INTERPOLATION, ANTIALIAS, WIDEN, SOFT, HARD
                )
                seen_y += weight_y
                total_y += raw
                line = floor_int(row) * sh
                for k in range(count_x):
                    column, weight_x, _ = _tap(
                        first_x + k, px, nx, hx0, hx1, cols, sx0, sx1, INTERPOLATION, ANTIALIAS, WIDEN, SOFT, HARD
                    )
                    weight = weight_y * weight_x
                    at = src + (line + floor_int(column) * sw)
                    mask = weight != 0.0  # a tap of weight zero is not read
                    a += weight * tl.load(at, mask=mask, other=0).to(tl.float32)
                    if C > 1:
                        b += weight * tl.load(at + s1, mask=mask, other=0).to(tl.float32)
                    if C > 2:
                        c += weight * tl.load(at + s2, mask=mask, other=0).to(tl.float32)
                    if C > 3:
                        d += weight * tl.load(at + s3, mask=mask, other=0).to(tl.float32)
        else:
            if NORMALISE or len(FILL) > 0:
                for k in tl.static_range(TAPS):
                    _, weight, raw = _tap(
                        first_x + k, px, nx, hx0, hx1, cols, sx0, sx1, INTERPOLATION, ANTIALIAS, WIDEN, SOFT, HARD
                    )
                    seen_x += weight
                    total_x += raw
            for j in tl.static_range(TAPS):
                row, weight_y, raw = _tap(
                    first_y + j, py, ny, hy0, hy1, rows, sy0, sy1, INTERPOLATION, ANTIALIAS, WIDEN, SOFT, HARD
                )
                seen_y += weight_y
                total_y += raw
                line = floor_int(row) * sh
                for k in tl.static_range(TAPS):
                    column, weight_x, _ = _tap(
                        first_x + k, px, nx, hx0, hx1, cols, sx0, sx1, INTERPOLATION, ANTIALIAS, WIDEN, SOFT, HARD
                    )
                    weight = weight_y * weight_x
                    at = src + (line + floor_int(column) * sw)
                    mask = weight != 0.0
                    a += weight * tl.load(at, mask=mask, other=0).to(tl.float32)
                    if C > 1:
                        b += weight * tl.load(at + s1, mask=mask, other=0).to(tl.float32)
                    if C > 2:
                        c += weight * tl.load(at + s2, mask=mask, other=0).to(tl.float32)
                    if C > 3:
                        d += weight * tl.load(at + s3, mask=mask, other=0).to(tl.float32)
        factor = tl.full((1, 1), 1.0, tl.float32)
        if NORMALISE:
            total_x = 1.0 / tl.where(total_x == 0.0, 1.0, total_x)
            total_y = 1.0 / tl.where(total_y == 0.0, 1.0, total_y)
            factor = total_x * total_y
        if HARD:  # a position outside the window shows nothing of it
            inside = (px >= hx0) & (px <= hx1) & (py >= hy0) & (py <= hy1)
            factor = tl.where(inside, factor, 0.0)
        cover = seen_x * seen_y * factor
        factor = factor * inverse_scale
        a = a * factor
        b = b * factor
        c = c * factor
        d = d * factor
        if len(FILL) > 0:
            a = _filled(a, cover, FILL, GROUP[0])
            if C > 1:
                b = _filled(b, cover, FILL, GROUP[1])
            if C > 2:
                c = _filled(c, cover, FILL, GROUP[2])
            if C > 3:
                d = _filled(d, cover, FILL, GROUP[3])
        return a, b, c, d
