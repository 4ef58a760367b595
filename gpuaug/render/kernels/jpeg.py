"""JPEG compression: `functional/jpeg.py` in whole numbers, first what a file holds of each plane, then its pixels."""

import triton
import triton.language as tl

from gpuaug.render.kernels.head import clamp

__all__ = ["code_kernel", "show_kernel"]


@triton.jit
def _level(at, mask, inverse_scale):
    """Return values as levels 0 to 255."""
    return tl.floor(clamp(tl.load(at, mask=mask, other=0).to(tl.float32) * inverse_scale) * 255.0 + 0.5).to(tl.int32)


@triton.jit
def _across(x, basis, SHIFT: tl.constexpr):
    """Return rows of blocks (N, 8, 8) under a matrix (8, 8), from second to first index."""
    return (tl.sum(x[:, :, None, :] * basis[None, None, :, :], 3) + (1 << (SHIFT - 1))) >> SHIFT


@triton.jit
def _down(x, basis, SHIFT: tl.constexpr):
    """Return columns of blocks (N, 8, 8) under a matrix (8, 8), from second to first index."""
    return (tl.sum(x[:, None, :, :] * basis[None, :, :, None], 2) + (1 << (SHIFT - 1))) >> SHIFT


@triton.jit
def _quantised(x, steps):
    """Return 8 times coefficients as multiples of their steps, halves away from zero."""
    count = (tl.abs(x) + 4 * steps) // (8 * steps)
    return tl.where(x < 0, -count, count) * steps


@triton.jit
def code_kernel(
    x, xb, xc, xh, xw, inverse_scale, on, step, basis, steps, planes, each, h, w, ch, cw, blocks,
    CHROMA: tl.constexpr, C: tl.constexpr, DOWN: tl.constexpr, ACROSS: tl.constexpr, GATED: tl.constexpr,
    N: tl.constexpr,
):  # fmt: skip
    """Write what becomes of one plane: N of its 8 x 8 blocks.

    Where:
        x: images with their strides and size h x w, and what their values are multiplied by.
        on: which samples are compressed, where `GATED`, every `step` values.
        basis: (8, 8) int32, the cosine transform; steps: (B, 2, 8, 8) int32.
        planes: (B, each) uint8: luma h x w, then two planes of chroma ch x cw, about 128.
        blocks: of the plane; a chroma value is a mean of DOWN x ACROSS pixels.
    """
    sample = tl.program_id(0).to(tl.int64)
    if GATED:
        if tl.load(on + sample * step) == 0:
            return
    ph, pw = h, w
    if CHROMA:
        ph, pw = ch, cw
    number = tl.program_id(1) * N + tl.arange(0, N)[:, None, None]
    i, j = tl.arange(0, 8)[None, :, None], tl.arange(0, 8)[None, None, :]
    wide = (pw + 7) // 8
    row, column = (number // wide) * 8 + i, (number % wide) * 8 + j
    inside = (number < blocks) & (i >= 0) & (j >= 0)
    source = x + sample * xb
    first = tl.minimum(row, ph - 1)
    if CHROMA:
        blue = tl.program_id(2) == 0
        r, g, b = tl.where(blue, -11059, 32768), tl.where(blue, -21709, -27439), tl.where(blue, 32768, -5329)
        value = tl.zeros((N, 8, 8), tl.int32)
        for v in tl.static_range(DOWN):
            for u in tl.static_range(ACROSS):
                y, z = tl.minimum(first * DOWN + v, h - 1), tl.minimum(column * ACROSS + u, w - 1)
                at = source + y * xh + z * xw
                red, green, azure = (
                    _level(at, inside, inverse_scale),
                    _level(at + xc, inside, inverse_scale),
                    _level(at + 2 * xc, inside, inverse_scale),
                )
                value += (red * r + green * g + azure * b + 32767) >> 16
        if ACROSS == 2:
            value = (value + (column & 1) + (DOWN - 1)) >> DOWN
    else:
        at = source + first * xh + tl.minimum(column, w - 1) * xw
        value = _level(at, inside, inverse_scale)
        if C == 3:
            value = value * 19595 + 32768
            value += _level(at + xc, inside, inverse_scale) * 38470
            value += _level(at + 2 * xc, inside, inverse_scale) * 7471
            value = value >> 16
        value -= 128
    k, n = tl.arange(0, 8)[:, None], tl.arange(0, 8)[None, :]
    forward, backward = tl.load(basis + k * 8 + n), tl.load(basis + n * 8 + k)
    table = tl.load(steps + sample * 128 + (64 if CHROMA else 0) + k * 8 + n)
    value = _quantised(_down(_across(value, forward, 11), forward, 15), table[None, :, :])
    value = _across(_down(value, backward, 11), backward, 18)
    out = planes + sample * each + row * pw + column
    if CHROMA:
        out += h * w + tl.program_id(2) * ch * cw
    seen = inside & (row < ph) & (column < pw)
    tl.store(out, tl.minimum(tl.maximum(value + 128, 0), 255).to(tl.uint8), mask=seen)


@triton.jit
def _part(plane, y, x, cw, mask):
    return tl.load(plane + y * cw + x, mask=mask, other=0).to(tl.int32)


@triton.jit
def _chroma(plane, y, x, ch, cw, mask, DOWN: tl.constexpr, ACROSS: tl.constexpr):
    """Return chroma about 0 at pixels: three parts of the nearest value and one of the next, along both axes."""
    near_x = x // ACROSS
    near_y = y // DOWN
    value = _part(plane, near_y, near_x, cw, mask)
    if ACROSS == 2:
        odd = x & 1
        far_x = tl.minimum(tl.maximum(near_x + 2 * odd - 1, 0), cw - 1)
        side = _part(plane, near_y, far_x, cw, mask)
        if DOWN == 2:
            far_y = tl.minimum(tl.maximum(near_y + 2 * (y & 1) - 1, 0), ch - 1)
            middle = 3 * value + _part(plane, far_y, near_x, cw, mask)
            beside = 3 * side + _part(plane, far_y, far_x, cw, mask)
            smooth = (3 * middle + beside + 8 - odd) >> 4
        else:
            smooth = (3 * value + side + 1 + odd) >> 2
        value = tl.where(cw <= 2, value, smooth)
    return value - 128


@triton.jit
def _write(at, level, mask, WORKING: tl.constexpr):
    level = tl.minimum(tl.maximum(level, 0), 255)
    if WORKING:
        tl.store(at, level.to(tl.float32) / 255.0, mask=mask)
    else:
        tl.store(at, level.to(tl.uint8), mask=mask)


@triton.jit
def show_kernel(
    x, xb, xc, xh, xw, inverse_scale, on, step, planes, each, out, h, w, ch, cw, tiles,
    C: tl.constexpr, DOWN: tl.constexpr, ACROSS: tl.constexpr, GATED: tl.constexpr, WORKING: tl.constexpr,
    BH: tl.constexpr, BW: tl.constexpr,
):  # fmt: skip
    """Write the pixels of a tile from planes, in working units where `WORKING`, else as uint8.

    Samples that are left out are copied.
    """
    sample, tile = (tl.program_id(0) // tiles).to(tl.int64), tl.program_id(0) % tiles
    across = (w + BW - 1) // BW
    y = (tile // across) * BH + tl.arange(0, BH)[:, None]
    z = (tile % across) * BW + tl.arange(0, BW)[None, :]
    mask = (y < h) & (z < w)
    into = out + sample * C * h * w + y * w + z
    coded = tl.full((), 1, tl.int32)
    if GATED:
        coded = tl.load(on + sample * step).to(tl.int32)
    if coded == 0:
        at = x + sample * xb + y * xh + z * xw
        for c in tl.static_range(C):
            value = tl.load(at + c * xc, mask=mask, other=0)
            if WORKING:
                value = value.to(tl.float32) * inverse_scale
            tl.store(into + c * h * w, value, mask=mask)
    else:
        plane = planes + sample * each
        level = _part(plane, y, z, w, mask)
        if C == 1:
            _write(into, level, mask, WORKING)
        else:
            cb = _chroma(plane + h * w, y, z, ch, cw, mask, DOWN, ACROSS)
            cr = _chroma(plane + h * w + ch * cw, y, z, ch, cw, mask, DOWN, ACROSS)
            _write(into, level + ((cr * 91881 + 32768) >> 16), mask, WORKING)
            _write(into + h * w, level + ((32768 - cb * 22554 - cr * 46802) >> 16), mask, WORKING)
            _write(into + 2 * h * w, level + ((cb * 116130 + 32768) >> 16), mask, WORKING)
