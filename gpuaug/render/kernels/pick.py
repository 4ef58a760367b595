"""Move classes: `render/pick.py` for a tile of output pixels, whatever the dtype."""

import triton
import triton.language as tl

__all__ = ["pick_kernel"]


@triton.jit
def pick_kernel(
    src, sb, sc, sh, sw, rows, cols, geo, field, fb, fc, fh, out, channels, h, w, tiles_x, tiles,
    KIND: tl.constexpr, SOFT: tl.constexpr, HARD: tl.constexpr, FILL: tl.constexpr,
    BH: tl.constexpr, BW: tl.constexpr,
):  # fmt: skip
    """Write a tile of all channels of a sample: the source pixel under each centre, or the fill.

    Places are float64, as in the definition: classes are not blended, so a last bit is a whole pixel.
    """
    sample = (tl.program_id(0) // tiles).to(tl.int64)
    tile = tl.program_id(0) % tiles
    y = (tile // tiles_x) * BH + tl.arange(0, BH)[:, None]
    x = (tile % tiles_x) * BW + tl.arange(0, BW)[None, :]
    mask = (y < h) & (x < w)
    geo += sample * 20
    gx, gy = x.to(tl.float64) + 0.5, y.to(tl.float64) + 0.5
    if KIND == 1:  # axis by axis
        px = tl.load(geo) * gx + tl.load(geo + 2)
        py = tl.load(geo + 4) * gy + tl.load(geo + 5)
    else:
        px = tl.load(geo) * gx + tl.load(geo + 1) * gy + tl.load(geo + 2)
        py = tl.load(geo + 3) * gx + tl.load(geo + 4) * gy + tl.load(geo + 5)
    if KIND == 4:
        at = field + sample * fb + y * fh + x
        px += tl.load(at, mask=mask, other=0).to(tl.float64)
        py += tl.load(at + fc, mask=mask, other=0).to(tl.float64)
    seen = mask
    if KIND == 3:
        depth = tl.load(geo + 6) * gx + tl.load(geo + 7) * gy + tl.load(geo + 8)
        seen = seen & (depth > 1e-6)
        px, py = px / depth, py / depth
    column, row = tl.floor(px), tl.floor(py)
    seen = seen & (column >= 0) & (column < cols) & (row >= 0) & (row < rows)
    if SOFT:
        seen = seen & (column + 0.5 > tl.load(geo + 11)) & (column + 0.5 < tl.load(geo + 13))
        seen = seen & (row + 0.5 > tl.load(geo + 12)) & (row + 0.5 < tl.load(geo + 14))
    if HARD:
        seen = seen & (column + 0.5 > tl.load(geo + 15)) & (column + 0.5 < tl.load(geo + 17))
        seen = seen & (row + 0.5 > tl.load(geo + 16)) & (row + 0.5 < tl.load(geo + 18))
    at = src + sample * sb + tl.where(seen, row, 0).to(tl.int32) * sh + tl.where(seen, column, 0).to(tl.int32) * sw
    into = out + sample * channels * h * w + y * w + x
    for c in range(channels):
        value = tl.load(at + c * sc, mask=seen, other=0)
        value = tl.where(seen, value, tl.full((1, 1), FILL, src.dtype.element_ty))
        tl.store(into + c * h * w, value, mask=mask)
