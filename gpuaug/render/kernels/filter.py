"""Render through a neighbourhood filter: tile by tile, in the cache."""

import triton
import triton.language as tl

from gpuaug.render.kernels.head import clamp
from gpuaug.render.kernels.program import put, run, write
from gpuaug.render.kernels.source import look, room_of, size_of

__all__ = ["filter_kernel"]


@triton.jit
def _reflect(place, size):
    """Return places mirrored at the outermost pixels, and kept inside where a tile goes on beyond what is needed."""
    place = tl.abs(place)
    place = tl.where(place >= size, 2 * (size - 1) - place, place)
    return tl.minimum(tl.maximum(place, 0), size - 1)


@triton.jit
def _taps_total(sigma, REACH: tl.constexpr, SIZE: tl.constexpr):
    k = tl.arange(0, SIZE).to(tl.float32)
    weight = tl.exp(-0.5 * (k / sigma) * (k / sigma))
    return tl.sum(tl.where(k <= REACH, tl.where(k == 0, weight, 2.0 * weight), 0.0), 0)


@triton.jit
def _reach(sigma, MOST: tl.constexpr):
    # All taps beyond weigh less than 1e-6 together.
    return tl.minimum(tl.ceil(5.2 * sigma).to(tl.int32), MOST)


@triton.jit
def _blur_down(store, y, x, mask, reach, sigma, inverse, pitch):
    """Blur a block of one plane of the scratch along its columns, into its upper rows.

    Blocks go down the plane: those below read none of the rows that are written here.
    """
    at = store + (y + reach) * pitch + x
    total = tl.load(at, mask=mask, other=0.0) * inverse
    for k in range(1, reach + 1):
        weight = tl.exp(-0.5 * (k / sigma) * (k / sigma)) * inverse
        total += weight * (
            tl.load(at - k * pitch, mask=mask, other=0.0) + tl.load(at + k * pitch, mask=mask, other=0.0)
        )
    tl.debug_barrier()
    tl.store(store + y * pitch + x, total, mask=mask)


@triton.jit
def _blur_across(store, y, x, mask, reach, sigma, inverse, pitch):
    at = store + y * pitch + x + reach
    total = tl.load(at, mask=mask, other=0.0) * inverse
    for k in range(1, reach + 1):
        weight = tl.exp(-0.5 * (k / sigma) * (k / sigma)) * inverse
        total += weight * (tl.load(at - k, mask=mask, other=0.0) + tl.load(at + k, mask=mask, other=0.0))
    return total


@triton.jit
def _sharpened(store, y, x, row, column, mask, factor, h, w, pitch):
    """Blend with the mean of a 3 x 3 neighbourhood (weights 1, the middle 5, over 13); outermost pixels stay."""
    at = store + (y + 1) * pitch + (x + 1)
    middle = tl.load(at, mask=mask, other=0.0)
    box = middle
    for i in tl.static_range(-1, 2):
        for j in tl.static_range(-1, 2):
            if i != 0 or j != 0:
                box += tl.load(at + i * pitch + j, mask=mask, other=0.0)
    smooth = (box + 4.0 * middle) / 13.0
    changed = smooth + factor * (middle - smooth)
    inner = (row > 0) & (row < h - 1) & (column > 0) & (column < w - 1)
    sharp = clamp(tl.where(inner, changed, middle))
    return tl.where((h > 2) & (w > 2), sharp, middle)


@triton.jit
def _convolved(store, y, x, mask, kernel, REACH_X: tl.constexpr, REACH_Y: tl.constexpr, pitch):
    """Return a block of a plane under the sample's kernel, of which taps of zero are not read."""
    total = tl.zeros(mask.shape, tl.float32)
    for i in range(2 * REACH_Y + 1):
        for j in range(2 * REACH_X + 1):
            weight = tl.load(kernel + i * (2 * REACH_X + 1) + j).to(tl.float32)
            if weight != 0.0:
                total += weight * tl.load(store + (y + i) * pitch + (x + j), mask=mask, other=0.0)
    return total


@triton.jit
def _median(store, y, x, mask, size, pitch):
    """Return the medians of squares: between the ends of a span of taps, a part of which is left out at each turn.

    Those not above its middle are counted. That says which part the median is in, whose ends are taps again.
    """
    low, high = tl.full(mask.shape, float("inf"), tl.float32), tl.full(mask.shape, float("-inf"), tl.float32)
    strange = tl.zeros(mask.shape, tl.int1)
    for k in range(size * size):
        tap = tl.load(store + (y + k // size) * pitch + (x + k % size), mask=mask, other=0.0)
        low, high, strange = tl.minimum(low, tap), tl.maximum(high, tap), strange | (tap != tap)
    while tl.max(tl.max((low < high).to(tl.int32), 1), 0) > 0:
        # Of what is infinite there is no middle.
        least = tl.minimum(tl.maximum(low, -1e38), 1e38)
        most = tl.minimum(tl.maximum(high, -1e38), 1e38)
        middle = least + (most - least) * 0.5
        middle = tl.where((middle >= low) & (middle < high), middle, low)
        count = tl.zeros(mask.shape, tl.int32)
        below, above = tl.full(mask.shape, float("-inf"), tl.float32), tl.full(mask.shape, float("inf"), tl.float32)
        for k in range(size * size):
            tap = tl.load(store + (y + k // size) * pitch + (x + k % size), mask=mask, other=0.0)
            under = tap <= middle
            count += under.to(tl.int32)
            below = tl.where(under, tl.maximum(below, tap), below)
            above = tl.where(under, above, tl.minimum(above, tap))
        enough = 2 * count > size * size
        low, high = tl.where(enough, low, above), tl.where(enough, below, high)
    return tl.where(strange, float("nan"), high)


@triton.jit
def _keep(at, planes, mask, a, b, c, d, C: tl.constexpr):
    """Store the planes of a block in the scratch."""
    tl.store(at, a, mask=mask)
    if C > 1:
        tl.store(at + planes, b, mask=mask)
    if C > 2:
        tl.store(at + 2 * planes, c, mask=mask)
    if C > 3:
        tl.store(at + 3 * planes, d, mask=mask)


@triton.jit
def filter_kernel(
    source, warp, ops, strides, canvas, tiles, out,
    scratch, pitch, planes, total,
    GROUP: tl.constexpr, ONTO: tl.constexpr, HEAD: tl.constexpr, FILL: tl.constexpr,
    BEFORE: tl.constexpr, AFTER: tl.constexpr, CONSTANTS: tl.constexpr, ENCODE: tl.constexpr,
    FILTER: tl.constexpr, TH: tl.constexpr, TW: tl.constexpr, BH: tl.constexpr, BW: tl.constexpr,
):  # fmt: skip
    """Render tiles of samples through a neighbourhood filter, without an image in between.

    A program renders its tile and what lies around it as far as the sample's filter reaches into a scratch of its own,
    which stays in the cache, filters it there, and goes on to the next tile.

    Where:
        scratch: for each program its planes as rendered, `planes` values each, in rows of `pitch`.
        FILTER: kind (1 Gaussian, 2 sharpness, 3 a kernel, 4 the same clamped, 5 median), gate or -1, operand, reach
            along x and y, the channels it is limited to as bits, channels before it.
        TH, TW: size of a tile, made of blocks of BH x BW.
    """
    GAUSSIAN: tl.constexpr = FILTER[0] == 1
    MIDDLE: tl.constexpr = FILTER[6]
    store = scratch + tl.program_id(0).to(tl.int64) * (planes * MIDDLE)
    for job in range(tl.program_id(0), total, tl.num_programs(0)):
        far, tile = (job // tiles).to(tl.int64), job % tiles
        h, w = size_of(canvas, far, HEAD)
        into_out, oc, oh, ow = room_of(out, canvas, far, h, w, HEAD)
        tiles_x = (w + TW - 1) // TW
        top, left = (tile // tiles_x) * TH, (tile % tiles_x) * TW
        on = tl.full((), 1, tl.int32)
        if FILTER[1] >= 0:
            on = tl.load(ops[FILTER[1]] + far * strides[FILTER[1]]).to(tl.int32)
        if top >= h:  # tiles are those of the largest canvas
            on = tl.full((), -1, tl.int32)
        if on == 0:
            for block in range((TH // BH) * (TW // BW)):
                y = top + (block // (TW // BW)) * BH + tl.arange(0, BH)[:, None]
                x = left + (block % (TW // BW)) * BW + tl.arange(0, BW)[None, :]
                mask = (y < h) & (x < w)
                y, x = tl.minimum(y, h - 1), tl.minimum(x, w - 1)
                a, b, c, d = look(source, warp, far, y, x, h, w, GROUP, HEAD, FILL, BH, BW)
                a, b, c, d = run(a, b, c, d, ops, strides, far, y, x, h, w, BEFORE, CONSTANTS, -1)
                a, b, c, d = run(a, b, c, d, ops, strides, far, y, x, h, w, AFTER, CONSTANTS, -1)
                write(into_out, y * oh + x * ow, oc, mask, a, b, c, d, ONTO, ENCODE)
        elif on > 0:
            given = ops[FILTER[2]] + far * strides[FILTER[2]]
            value = tl.load(given).to(tl.float32)
            reach_x, reach_y = tl.full((), FILTER[3], tl.int32), tl.full((), FILTER[4], tl.int32)
            if GAUSSIAN:
                reach_x, reach_y = _reach(value, FILTER[3]), _reach(value, FILTER[4])
            if FILTER[0] == 5:
                reach_x = tl.minimum((value * 0.5).to(tl.int32), FILTER[3])
                reach_y = reach_x
            high, wide = TH + 2 * reach_y, TW + 2 * reach_x
            across = (wide + BW - 1) // BW
            for block in range(((high + BH - 1) // BH) * across):
                v = (block // across) * BH + tl.arange(0, BH)[:, None]
                u = (block % across) * BW + tl.arange(0, BW)[None, :]
                y, x = top - reach_y + v, left - reach_x + u
                if FILTER[0] == 5:  # its border is repeated
                    y, x = tl.minimum(tl.maximum(y, 0), h - 1), tl.minimum(tl.maximum(x, 0), w - 1)
                else:
                    y, x = _reflect(y, h), _reflect(x, w)
                a, b, c, d = look(source, warp, far, y, x, h, w, GROUP, HEAD, FILL, BH, BW)
                a, b, c, d = run(a, b, c, d, ops, strides, far, y, x, h, w, BEFORE, CONSTANTS, -1)
                _keep(store + v * pitch + u, planes, (v < high) & (u < wide), a, b, c, d, MIDDLE)
            tl.debug_barrier()
            if GAUSSIAN:
                inverse_y = 1.0 / _taps_total(value, FILTER[4], FILTER[7])
                inverse_x = 1.0 / _taps_total(value, FILTER[3], FILTER[7])
                for block in range((TH // BH) * across):
                    v = (block // across) * BH + tl.arange(0, BH)[:, None]
                    u = (block % across) * BW + tl.arange(0, BW)[None, :]
                    for k in range(MIDDLE):
                        if (FILTER[5] >> k) & 1 != 0:
                            _blur_down(
                                store + k * planes, v, u, (v < TH) & (u < wide), reach_y, value, inverse_y, pitch
                            )
                tl.debug_barrier()
            for block in range((TH // BH) * (TW // BW)):
                v = (block // (TW // BW)) * BH + tl.arange(0, BH)[:, None]
                u = (block % (TW // BW)) * BW + tl.arange(0, BW)[None, :]
                y, x = top + v, left + u
                mask = (y < h) & (x < w)
                y, x = tl.minimum(y, h - 1), tl.minimum(x, w - 1)
                zero = tl.zeros((BH, BW), tl.float32)
                a, b, c, d = zero, zero, zero, zero
                for k in tl.static_range(MIDDLE):
                    if (FILTER[5] >> k) & 1 == 0:
                        p = tl.load(store + k * planes + (v + reach_y) * pitch + u + reach_x, mask=mask, other=0.0)
                    elif GAUSSIAN:
                        p = _blur_across(store + k * planes, v, u, mask, reach_x, value, inverse_x, pitch)
                    elif FILTER[0] == 3 or FILTER[0] == 4:
                        p = _convolved(store + k * planes, v, u, mask, given, FILTER[3], FILTER[4], pitch)
                        if FILTER[0] == 4:
                            p = clamp(p)
                    elif FILTER[0] == 5:
                        p = _median(store + k * planes, v, u, mask, 2 * reach_x + 1, pitch)
                    else:
                        p = _sharpened(store + k * planes, v, u, y, x, mask, value, h, w, pitch)
                    a, b, c, d = put(a, b, c, d, p, k)
                a, b, c, d = run(a, b, c, d, ops, strides, far, y, x, h, w, AFTER, CONSTANTS, -1)
                write(into_out, y * oh + x * ow, oc, mask, a, b, c, d, ONTO, ENCODE)
            tl.debug_barrier()
