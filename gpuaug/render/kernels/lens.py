"""What reads an image in several places for each pixel: unsharp masks, zooms, aberration, scattering, coarser grids."""

import triton
import triton.language as tl

from gpuaug.render.kernels.head import clamp
from gpuaug.sampling.kernels import as_uniform, philox

__all__ = ["lens_kernel"]


@triton.jit
def _hold(place, size):
    return tl.minimum(tl.maximum(place, 0), size - 1)


@triton.jit
def _mirror(place, size):
    place = tl.abs(place)
    return _hold(tl.where(place >= size, 2 * (size - 1) - place, place), size)


@triton.jit
def _at(plane, y, x, down, across, scale):
    """Return values of a plane, given as working units."""
    return tl.load(plane + y.to(tl.int64) * down + x.to(tl.int64) * across).to(tl.float32) * scale


@triton.jit
def _between(plane, y, x, high, wide, down, across, scale):
    """Return values at positions between pixels; the border is repeated."""
    top, left = tl.floor(y), tl.floor(x)
    v, u = y - top, x - left
    y0, x0 = top.to(tl.int32), left.to(tl.int32)
    y1, x1 = _hold(y0 + 1, high), _hold(x0 + 1, wide)
    y0, x0 = _hold(y0, high), _hold(x0, wide)
    a, b = _at(plane, y0, x0, down, across, scale), _at(plane, y0, x1, down, across, scale)
    c, d = _at(plane, y1, x0, down, across, scale), _at(plane, y1, x1, down, across, scale)
    return (a * (1.0 - u) + b * u) * (1.0 - v) + (c * (1.0 - u) + d * u) * v


@triton.jit
def _blurred(plane, y, x, high, wide, down, across, scale, taps, REACH: tl.constexpr, OVER: tl.constexpr):
    """Return sums under 2 REACH + 1 weights along both axes, with OVER from 0 on of where values are above it."""
    total = tl.zeros(y.shape, tl.float32) + tl.zeros(x.shape, tl.float32)
    for i in range(2 * REACH + 1):
        weight = tl.load(taps + i)
        if weight != 0.0:
            row = _mirror(y + i - REACH, high)
            line = tl.zeros(total.shape, tl.float32)
            for j in range(2 * REACH + 1):
                value = _at(plane, row, _mirror(x + j - REACH, wide), down, across, scale)
                if OVER >= 0:
                    value = (tl.abs(value) * 255.0 > OVER).to(tl.float32)
                line += tl.load(taps + j) * value
            total += weight * line
    return total


@triton.jit
def _zoomed(plane, y, x, high, wide, down, across, scale, given, MOST: tl.constexpr):
    """Return the mean of the pixel, twice, and of readings zoomed about the middle."""
    count, step = tl.load(given).to(tl.int32), tl.load(given + 1)
    total = 2.0 * _at(plane, y, x, down, across, scale)
    cy, cx = (high - 1) * 0.5, (wide - 1) * 0.5
    for k in range(1, tl.minimum(count, MOST)):
        inverse = 1.0 / (1.0 + k * step)
        total += _between(plane, (y - cy) * inverse + cy, (x - cx) * inverse + cx, high, wide, down, across, scale)
    return total / (count + 1).to(tl.float32)


@triton.jit
def _aberrated(plane, y, x, high, wide, down, across, scale, given):
    """Return what a channel with coefficients of r^2 and r^4 shows."""
    near, far = tl.load(given), tl.load(given + 1)
    qy, qx = y - (high - 1) * 0.5, x - (wide - 1) * 0.5
    ry, rx = qy / high, qx / wide
    r2 = rx * rx + ry * ry
    more = (near + far * r2) * r2
    return _between(
        plane, qy + qy * more + (high - 1) * 0.5, qx + qx * more + (wide - 1) * 0.5, high, wide, down, across, scale
    )


@triton.jit
def _scattered(plane, y, x, high, wide, down, across, scale, key, delta, TURNS: tl.constexpr):
    """Return pixels that lie a few drawn steps away, each step drawn where the last one led."""
    y, x = y + tl.zeros(x.shape, tl.int32), x + tl.zeros(y.shape, tl.int32)
    k0, k1 = (key & 0xFFFFFFFF).to(tl.uint32), ((key >> 32) & 0xFFFFFFFF).to(tl.uint32)
    zero = tl.zeros(y.shape, tl.uint32)
    for turn in tl.static_range(TURNS):
        pixel = (y * wide + x).to(tl.uint32)
        a, b, c, d = philox(pixel, zero + turn // 2, zero, zero, k0, k1)
        if turn % 2 == 0:
            first, second = as_uniform(a), as_uniform(b)
        else:
            first, second = as_uniform(c), as_uniform(d)
        y = _hold(y + tl.floor(first * 2.0 * delta).to(tl.int32) - delta, high)
        x = _hold(x + tl.floor(second * 2.0 * delta).to(tl.int32) - delta, wide)
    return _at(plane, y, x, down, across, scale)


@triton.jit
def _regridded(plane, y, x, high, wide, down, across, scale, h, w, MODE: tl.constexpr, TAPS: tl.constexpr):
    """Return pixels of another grid, of h rows and w columns in all: nearest, bilinear, or a mean."""
    fy, fx = y.to(tl.float32), x.to(tl.float32)
    ry, rx = high * 1.0 / h, wide * 1.0 / w
    if MODE == 0:
        near_y, near_x = (2 * y + 1) * high // (2 * h), (2 * x + 1) * wide // (2 * w)
        return _at(plane, _hold(near_y, high), _hold(near_x, wide), down, across, scale)
    elif MODE == 1:
        return _between(plane, (fy + 0.5) * ry - 0.5, (fx + 0.5) * rx - 0.5, high, wide, down, across, scale)
    else:
        top, left = tl.floor(fy * ry), tl.floor(fx * rx)
        total = tl.zeros(y.shape, tl.float32) + tl.zeros(x.shape, tl.float32)
        for i in range(TAPS):
            rows = tl.minimum((fy + 1.0) * ry, top + i + 1.0) - tl.maximum(fy * ry, top + i)
            line = tl.zeros(total.shape, tl.float32)
            for j in range(TAPS):
                columns = tl.minimum((fx + 1.0) * rx, left + j + 1.0) - tl.maximum(fx * rx, left + j)
                place_y, place_x = _hold(top.to(tl.int32) + i, high), _hold(left.to(tl.int32) + j, wide)
                line += tl.maximum(columns, 0.0) / rx * _at(plane, place_y, place_x, down, across, scale)
            total += tl.maximum(rows, 0.0) / ry * line
        return total


@triton.jit
def lens_kernel(
    source, sb, sc, sy, sx, scale, between, gate, numbers, per, keys, out,
    channels, high, wide, h, w, tiles,
    KIND: tl.constexpr, LAST: tl.constexpr, A: tl.constexpr, B: tl.constexpr, BH: tl.constexpr, BW: tl.constexpr,
):  # fmt: skip
    """Write tiles of float32 images (h, w), each plane by itself.

    Where:
        source: images (high, wide) by their strides, times `scale`.
        between: what a first step left, (h, w) float32, where there is one and this is the second.
        gate: which samples are changed; of others the last step copies the source.
        numbers: `per` float32 numbers of each sample; keys: one for each.
        KIND: 0 and 1 unsharp masks (the difference from a blur; the blend by it), 2 zooms, 3 aberration, 4 scattering,
            5 and 6 to a coarser grid and back.
        LAST: whether this is the last step. A, B: numbers of the kind (`triton_lens`).
    """
    job = tl.program_id(0)
    plane, tile = job // tiles, job % tiles
    b, c = (plane // channels).to(tl.int64), plane % channels
    across = (w + BW - 1) // BW
    y = (tile // across) * BH + tl.arange(0, BH)[:, None]
    x = (tile % across) * BW + tl.arange(0, BW)[None, :]
    mask = (y < h) & (x < w)
    y, x = tl.minimum(y, h - 1), tl.minimum(x, w - 1)
    own, given = source + b * sb + c * sc, numbers + b * per
    first = (b * channels + c) * h * w
    target = out + first + y * w + x
    if tl.load(gate + b).to(tl.int32) == 0:
        if LAST:
            tl.store(target, _at(own, y, x, sy, sx, scale), mask=mask)
    else:
        if KIND == 0:
            here = _at(own, y, x, sy, sx, scale)
            value = here - _blurred(own, y, x, h, w, sy, sx, scale, given, A, -1.0)
        elif KIND == 1:
            step = between + first
            here = _at(own, y, x, sy, sx, scale)
            soft = _blurred(step, y, x, h, w, w, 1, 1.0, given, A, B)
            sharp = clamp(here + tl.load(given + 2 * A + 1) * _at(step, y, x, w, 1, 1.0))
            value = clamp(sharp * soft + here * (1.0 - soft))
        elif KIND == 2:
            value = _zoomed(own, y, x, h, w, sy, sx, scale, given, A)
        elif KIND == 3:
            if c == 1:
                value = _at(own, y, x, sy, sx, scale)
            else:
                value = _aberrated(own, y, x, h, w, sy, sx, scale, given + c)
        elif KIND == 4:
            value = _scattered(own, y, x, h, w, sy, sx, scale, tl.load(keys + b), A, B)
        else:
            # Sizes of the coarser grid, whatever is computed of it.
            rows, columns = tl.load(given).to(tl.int32), tl.load(given + 1).to(tl.int32)
            value = tl.zeros((BH, BW), tl.float32)
            if KIND == 5:
                mask = mask & (y < rows) & (x < columns)
                if ((tile // across) * BH < rows) & ((tile % across) * BW < columns):
                    value = _regridded(own, y, x, high, wide, sy, sx, scale, rows, columns, A, B)
            else:
                step = between + (b * channels + c) * high * wide
                value = _regridded(step, y, x, rows, columns, wide, 1, 1.0, h, w, A, B)
        tl.store(target, value, mask=mask)
