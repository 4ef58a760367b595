"""The kernels of passes in which samples meet: one image over another, and several side by side."""

import triton
import triton.language as tl

from gpuaug.render.kernels.head import read
from gpuaug.render.kernels.program import run, write

__all__ = ["blend_kernel", "tile_kernel"]


@triton.jit
def _over(own, other, share, WHOLE: tl.constexpr):
    """Return own with a share of other over it; where it is 0 or 1 the one that is not seen may be NaN."""
    if WHOLE:
        return tl.where(share > 0.5, other, own)
    else:
        mixed = own * (1.0 - share) + other * share
        return tl.where(share > 0.0, tl.where(share < 1.0, mixed, other), own)


@triton.jit
def blend_kernel(
    src, sb, sc, sh, sw, rows, cols, inverse_scale,
    geo, shrink, taps,
    index, shares, share_step, window, window_step, alpha, ab, ah, aw,
    ops, strides,
    out, ob, oc, oh, ow, h, w, tiles_x, tiles,
    C: tl.constexpr, OUT: tl.constexpr, HEAD: tl.constexpr, WINDOW: tl.constexpr, ALPHA: tl.constexpr,
    WHOLE: tl.constexpr, PROGRAM: tl.constexpr, CONSTANTS: tl.constexpr, ENCODE: tl.constexpr,
    BH: tl.constexpr, BW: tl.constexpr,
):  # fmt: skip
    """Render a tile of a sample and of the one over it; the other is read only where it is seen."""
    sample = tl.program_id(0) // tiles
    tile = tl.program_id(0) % tiles
    far = sample.to(tl.int64)
    y = (tile // tiles_x) * BH + tl.arange(0, BH)[:, None]
    x = (tile % tiles_x) * BW + tl.arange(0, BW)[None, :]
    mask = (y < h) & (x < w)
    y, x = tl.minimum(y, h - 1), tl.minimum(x, w - 1)
    # The own image is read as it is.
    NONE: tl.constexpr = (0, 0, 0, 0, 0, 0, 0, 0)
    EMPTY: tl.constexpr = ()
    a, b, c, d = read(
        src + far * sb, sc, sh, sw, rows, cols, inverse_scale, geo, geo, 0, 0, shrink, taps, y, x, h, w,
        C, NONE, EMPTY, BH, BW,
    )  # fmt: skip
    share = tl.zeros((BH, BW), tl.float32) + tl.load(shares + far * share_step).to(tl.float32)
    if WINDOW:
        at = window + far * window_step
        gx, gy = x.to(tl.float32) + 0.5, y.to(tl.float32) + 0.5
        inside = (gx >= tl.load(at).to(tl.float32)) & (gx < tl.load(at + 2).to(tl.float32))
        inside = inside & (gy >= tl.load(at + 1).to(tl.float32)) & (gy < tl.load(at + 3).to(tl.float32))
        share = tl.where(inside, share, 0.0)
    if ALPHA:
        share = share * tl.load(alpha + far * ab + y * ah + x * aw).to(tl.float32)
    if tl.max(tl.max(share, 1), 0) > 0.0:
        other = tl.load(index + far).to(tl.int64)
        p, q, r, s = read(
            src + other * sb, sc, sh, sw, rows, cols, inverse_scale, geo + far * 20, geo, 0, 0, shrink, taps,
            y, x, h, w, C, HEAD, EMPTY, BH, BW,
        )  # fmt: skip
        a, b = _over(a, p, share, WHOLE), _over(b, q, share, WHOLE)
        c, d = _over(c, r, share, WHOLE), _over(d, s, share, WHOLE)
    a, b, c, d = run(a, b, c, d, ops, strides, far, y, x, h, w, PROGRAM, CONSTANTS, -1)
    write(out + far * ob, y * oh + x * ow, oc, mask, a, b, c, d, OUT, ENCODE)


@triton.jit
def tile_kernel(
    src, sb, sc, sh, sw, rows, cols, inverse_scale,
    geo, shrink, taps,
    index, rectangles, places, count,
    ops, strides,
    out, ob, oc, oh, ow, h, w, tiles_x, tiles,
    C: tl.constexpr, OUT: tl.constexpr, HEAD: tl.constexpr, FILL: tl.constexpr, PROJECTIVE: tl.constexpr,
    PROGRAM: tl.constexpr, CONSTANTS: tl.constexpr, ENCODE: tl.constexpr, BH: tl.constexpr, BW: tl.constexpr,
):  # fmt: skip
    """Render a tile of a sample that is a canvas of several images: each pixel reads the one that it lies in."""
    sample = tl.program_id(0) // tiles
    tile = tl.program_id(0) % tiles
    far = sample.to(tl.int64)
    y = (tile // tiles_x) * BH + tl.arange(0, BH)[:, None]
    x = (tile % tiles_x) * BW + tl.arange(0, BW)[None, :]
    mask = (y < h) & (x < w)
    y, x = tl.minimum(y, h - 1), tl.minimum(x, w - 1)
    m = places + far * 20
    gx, gy = x.to(tl.float32) + (0.5 - 0.5 * w), y.to(tl.float32) + (0.5 - 0.5 * h)
    px = tl.load(m) * gx + tl.load(m + 1) * gy + tl.load(m + 2)
    py = tl.load(m + 3) * gx + tl.load(m + 4) * gy + tl.load(m + 5)
    if PROJECTIVE:
        depth = tl.load(m + 6) * gx + tl.load(m + 7) * gy + tl.load(m + 8)
        seen = depth > 1e-6
        inverse = 1.0 / tl.where(seen, depth, 1.0)
        px, py = tl.where(seen, px * inverse, -1e6), tl.where(seen, py * inverse, -1e6)
    zero = tl.zeros((BH, BW), tl.float32)
    a, b, c, d = zero, zero, zero, zero
    if len(FILL) > 0:
        a += FILL[0]
        b += FILL[1 % len(FILL)]
        c += FILL[2 % len(FILL)]
        d += FILL[3 % len(FILL)]
    for k in range(count):
        row = far * count + k
        at = rectangles + row * 4
        inside = (px >= tl.load(at)) & (px < tl.load(at + 2)) & (py >= tl.load(at + 1)) & (py < tl.load(at + 3))
        if tl.max(tl.max(inside.to(tl.int32), 1), 0) > 0:
            other = tl.load(index + row).to(tl.int64)
            p, q, r, s = read(
                src + other * sb, sc, sh, sw, rows, cols, inverse_scale, geo + row * 20, geo, 0, 0, shrink, taps,
                y, x, h, w, C, HEAD, FILL, BH, BW,
            )  # fmt: skip
            a, b = tl.where(inside, p, a), tl.where(inside, q, b)
            c, d = tl.where(inside, r, c), tl.where(inside, s, d)
    a, b, c, d = run(a, b, c, d, ops, strides, far, y, x, h, w, PROGRAM, CONSTANTS, -1)
    write(out + far * ob, y * oh + x * ow, oc, mask, a, b, c, d, OUT, ENCODE)
