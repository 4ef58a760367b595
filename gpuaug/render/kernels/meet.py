"""The kernels of passes in which samples meet: one image over another, and several side by side."""

import triton
import triton.language as tl

from gpuaug.render.kernels.grouped import fill_group, look_group, read_group, run_group, write_group
from gpuaug.render.kernels.source import room_of, row_of, size_of

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
    source, warp, ops, strides, canvas, tiles, out,
    shares, share_step, window, window_step, alpha, alpha_steps,
    GROUPS: tl.constexpr, ONTO: tl.constexpr, HEAD: tl.constexpr, FILL: tl.constexpr,
    WINDOW: tl.constexpr, ALPHA: tl.constexpr, WHOLE: tl.constexpr,
    PROGRAMS: tl.constexpr, CONSTANTS: tl.constexpr, ENCODE: tl.constexpr, BH: tl.constexpr, BW: tl.constexpr,
):  # fmt: skip
    """Render a tile of a sample and of the one over it; the other is read only where it is seen."""
    sample = (tl.program_id(0) // tiles).to(tl.int64)
    tile = tl.program_id(0) % tiles
    h, w = size_of(canvas, sample, HEAD)
    tiles_x = (w + BW - 1) // BW
    y = (tile // tiles_x) * BH + tl.arange(0, BH)[:, None]
    x = (tile % tiles_x) * BW + tl.arange(0, BW)[None, :]
    mask = (y < h) & (x < w)
    y, x = tl.minimum(y, h - 1), tl.minimum(x, w - 1)
    into, oc, oh, ow = room_of(out, canvas, sample, h, w, HEAD)
    OWN: tl.constexpr = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)  # read as it is
    share = tl.zeros((BH, BW), tl.float32) + tl.load(shares + sample * share_step).to(tl.float32)
    if WINDOW:
        at = window + sample * window_step
        gx, gy = x.to(tl.float32) + 0.5, y.to(tl.float32) + 0.5
        inside = (gx >= tl.load(at).to(tl.float32)) & (gx < tl.load(at + 2).to(tl.float32))
        inside = inside & (gy >= tl.load(at + 1).to(tl.float32)) & (gy < tl.load(at + 3).to(tl.float32))
        share = tl.where(inside, share, 0.0)
    if ALPHA:
        place = sample * alpha_steps[0] + y * alpha_steps[1] + x * alpha_steps[2]
        share = share * tl.load(alpha + place).to(tl.float32)
    some = tl.max(tl.max(share, 1), 0) > 0.0
    for g in tl.static_range(len(GROUPS)):
        a, b, c, d = look_group(source, warp, sample, y, x, h, w, GROUPS, g, OWN, FILL, BH, BW)
        if some:
            p, q, r, s = look_group(source, warp, sample, y, x, h, w, GROUPS, g, HEAD, FILL, BH, BW)
            a, b = _over(a, p, share, WHOLE), _over(b, q, share, WHOLE)
            c, d = _over(c, r, share, WHOLE), _over(d, s, share, WHOLE)
        a, b, c, d = run_group(a, b, c, d, ops, strides, sample, y, x, h, w, PROGRAMS, g, CONSTANTS)
        write_group(into, y * oh + x * ow, oc, mask, a, b, c, d, ONTO, g, ENCODE)


@triton.jit
def tile_kernel(
    source, warp, ops, strides, canvas, tiles, out,
    rectangles, places, count,
    GROUPS: tl.constexpr, ONTO: tl.constexpr, HEAD: tl.constexpr, FILL: tl.constexpr,
    PROGRAMS: tl.constexpr, CONSTANTS: tl.constexpr, ENCODE: tl.constexpr, BH: tl.constexpr, BW: tl.constexpr,
):  # fmt: skip
    """Render a tile of a sample that is a canvas of several images: each pixel reads the one that it lies in.

    `warp` and the index of `source` have a row for each image of each sample; `places` is the map to their canvas.
    """
    sample = (tl.program_id(0) // tiles).to(tl.int64)
    tile = tl.program_id(0) % tiles
    h, w = size_of(canvas, sample, HEAD)
    tiles_x = (w + BW - 1) // BW
    y = (tile // tiles_x) * BH + tl.arange(0, BH)[:, None]
    x = (tile % tiles_x) * BW + tl.arange(0, BW)[None, :]
    mask = (y < h) & (x < w)
    y, x = tl.minimum(y, h - 1), tl.minimum(x, w - 1)
    into, oc, oh, ow = room_of(out, canvas, sample, h, w, HEAD)
    m = places + sample * 20
    gx, gy = x.to(tl.float32) + (0.5 - 0.5 * w), y.to(tl.float32) + (0.5 - 0.5 * h)
    px = tl.load(m) * gx + tl.load(m + 1) * gy + tl.load(m + 2)
    py = tl.load(m + 3) * gx + tl.load(m + 4) * gy + tl.load(m + 5)
    if HEAD[0] == 3:
        depth = tl.load(m + 6) * gx + tl.load(m + 7) * gy + tl.load(m + 8)
        seen = depth > 1e-6
        inverse = 1.0 / tl.where(seen, depth, 1.0)
        px, py = tl.where(seen, px * inverse, -1e6), tl.where(seen, py * inverse, -1e6)
    for g in tl.static_range(len(GROUPS)):
        a, b, c, d = fill_group(GROUPS, g, FILL, BH, BW)
        for k in range(count):
            row = sample * count + k
            at = rectangles + row * 4
            inside = (px >= tl.load(at)) & (px < tl.load(at + 2)) & (py >= tl.load(at + 1)) & (py < tl.load(at + 3))
            if tl.max(tl.max(inside.to(tl.int32), 1), 0) > 0:
                src, sc, sh, sw, rows, cols = row_of(source, row, HEAD)
                p, q, r, s = read_group(
                    src, sc, sh, sw, rows, cols, source[7], warp[0] + row * 20, warp[1], 0, 0, warp[5], warp[6],
                    y, x, h, w, GROUPS, g, HEAD, FILL, BH, BW,
                )  # fmt: skip
                a, b = tl.where(inside, p, a), tl.where(inside, q, b)
                c, d = tl.where(inside, r, c), tl.where(inside, s, d)
        a, b, c, d = run_group(a, b, c, d, ops, strides, sample, y, x, h, w, PROGRAMS, g, CONSTANTS)
        write_group(into, y * oh + x * ow, oc, mask, a, b, c, d, ONTO, g, ENCODE)
