"""The kernel that measures the tiles of a sample for CLAHE, and what its tables make of a pixel."""

import triton
import triton.language as tl

from gpuaug.render.kernels.head import clamp, rint
from gpuaug.render.kernels.lightness import level_of_light, roots_of
from gpuaug.render.kernels.program import run, select
from gpuaug.render.kernels.source import look, size_of

__all__ = ["tiles_kernel"]


@triton.jit
def _reflected(place, size):
    """Return which place is shown, where those beyond the end are reflected at the last."""
    period = tl.maximum(2 * size - 2, 1)
    place = place % period
    return tl.where(size == 1, 0, tl.minimum(place, period - place))


@triton.jit
def tiles_kernel(
    source, warp, ops, strides, canvas, out,
    GROUP: tl.constexpr, HEAD: tl.constexpr, FILL: tl.constexpr, PROGRAM: tl.constexpr, CONSTANTS: tl.constexpr,
    STOP: tl.constexpr, ON: tl.constexpr, CLIP: tl.constexpr, CHANNELS: tl.constexpr, PLANES: tl.constexpr,
    GY: tl.constexpr, GX: tl.constexpr, BH: tl.constexpr, BW: tl.constexpr,
):  # fmt: skip
    """Count the levels of a tile, limit the counts, and leave the table that equalizes it, in 0..1."""
    far = (tl.program_id(0) // (GY * GX)).to(tl.int64)
    tile = tl.program_id(0) % (GY * GX)
    h, w = size_of(canvas, far, HEAD)
    wanted = tl.full((), 1, tl.int32)
    if ON >= 0:
        wanted = tl.load(ops[ON] + far * strides[ON]).to(tl.int32)
    if wanted != 0:
        more = tl.where((h % GY == 0) & (w % GX == 0), 0, 1)
        th, tw = h // GY + more, w // GX + more
        top, left = (tile // GX) * th, (tile % GX) * tw
        across = (tw + BW - 1) // BW
        counts = tl.zeros((256,), tl.int32)
        for block in range((th + BH - 1) // BH * across):
            y = (block // across) * BH + tl.arange(0, BH)[:, None]
            x = (block % across) * BW + tl.arange(0, BW)[None, :]
            valid = (y < th) & (x < tw)
            y, x = _reflected(top + y, h), _reflected(left + x, w)
            a, b, c, d = look(source, warp, far, y, x, h, w, GROUP, HEAD, FILL, BH, BW)
            a, b, c, d = run(a, b, c, d, ops, strides, far, y, x, h, w, PROGRAM, CONSTANTS, STOP)
            a, b, c, d = select(a, b, c, d, CHANNELS)
            if PLANES > 1:
                _x, _y, _z, light = roots_of(a, b, c)
            else:
                light = clamp(a)
            levels = tl.reshape(tl.where(valid, level_of_light(light), 0), (BH * BW,))
            missing = BH * BW - tl.sum(tl.sum(valid.to(tl.int32), 1), 0)
            counts += tl.histogram(levels, 256) - tl.where(tl.arange(0, 256) == 0, missing, 0)
        pixels = (th * tw).to(tl.float32)
        clip = tl.load(ops[CLIP] + far * strides[CLIP]).to(tl.float32)
        limit = tl.maximum(tl.floor(clip * pixels / 256.0), 1.0).to(tl.int32)
        kept = tl.minimum(counts, limit)
        cut = tl.sum(counts - kept, 0)
        rest = cut % 256
        step = tl.maximum(256 // tl.maximum(rest, 1), 1)
        number = tl.arange(0, 256)
        spread = tl.where((number % step == 0) & (number // step < rest), 1, 0)
        total = tl.cumsum(kept + cut // 256 + spread, 0).to(tl.float32)
        table = tl.minimum(rint(total * (255.0 / pixels)), 255.0) / 255.0
        tl.store(out + (far * (GY * GX) + tile) * 256 + number, table)
