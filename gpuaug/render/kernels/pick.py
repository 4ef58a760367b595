"""Move classes: `render/pick.py` for a tile of output pixels, whatever the dtype."""

import triton
import triton.language as tl

from gpuaug.render.kernels.source import room_of, row_of, size_of

__all__ = ["pick_kernel"]


@triton.jit
def pick_kernel(
    source, geo, field, fb, fc, fh, canvas, tiles, out, channels, spans,
    KIND: tl.constexpr, SOFT: tl.constexpr, HARD: tl.constexpr, FILL: tl.constexpr, HEAD: tl.constexpr,
    OWN: tl.constexpr, SCALED: tl.constexpr, BH: tl.constexpr, BW: tl.constexpr,
):  # fmt: skip
    """Write a tile of all channels of a sample: the source pixel under each centre, or the fill.

    Places are float64, as in the definition: classes are not blended, so a last bit is a whole pixel.
    `spans` are the height and width of the image before and after, of which planes may have a fraction.
    """
    sample = (tl.program_id(0) // tiles).to(tl.int64)
    tile = tl.program_id(0) % tiles
    h, w = size_of(canvas, sample, HEAD)
    src, sc, sh, sw, rows, cols = row_of(source, sample, HEAD)
    into, oc, oh, ow = room_of(out, canvas, sample, h, w, HEAD)
    tiles_x = (w + BW - 1) // BW
    y = (tile // tiles_x) * BH + tl.arange(0, BH)[:, None]
    x = (tile % tiles_x) * BW + tl.arange(0, BW)[None, :]
    mask = (y < h) & (x < w)
    geo += sample * 20
    gx, gy = x.to(tl.float64) + 0.5, y.to(tl.float64) + 0.5
    if SCALED:  # planes of another resolution: their pixels in pixels of the canvases
        one = tl.full((1, 1), 1.0, tl.float64)
        gx, gy = gx * (one * spans[3] / w), gy * (one * spans[2] / h)
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
    if SCALED:
        column, row = tl.floor(px / (one * spans[1] / cols)), tl.floor(py / (one * spans[0] / rows))
    else:
        column, row = tl.floor(px), tl.floor(py)
    seen = seen & (column >= 0) & (column < cols) & (row >= 0) & (row < rows)
    if OWN:  # a pixel is in a window if its centre is; at another resolution the position itself decides
        px, py = column + 0.5, row + 0.5
    if SOFT:
        seen = seen & (px > tl.load(geo + 11)) & (px < tl.load(geo + 13))
        seen = seen & (py > tl.load(geo + 12)) & (py < tl.load(geo + 14))
    if HARD:
        seen = seen & (px > tl.load(geo + 15)) & (px < tl.load(geo + 17))
        seen = seen & (py > tl.load(geo + 16)) & (py < tl.load(geo + 18))
    at = src + tl.where(seen, row, 0).to(tl.int32) * sh + tl.where(seen, column, 0).to(tl.int32) * sw
    into += y * oh + x * ow
    for c in range(channels):
        value = tl.load(at + c * sc, mask=seen, other=0)
        value = tl.where(seen, value, tl.full((1, 1), FILL, source[0].dtype.element_ty))
        tl.store(into + c * oc, value, mask=mask)
