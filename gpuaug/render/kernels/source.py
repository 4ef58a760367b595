"""Where a sample is read from, and where it is written to: rows of a batch, or pieces of one flat buffer."""

import triton
import triton.language as tl

from gpuaug.render.kernels.head import read

__all__ = ["look", "room_of", "row_of", "size_of"]


@triton.jit
def size_of(canvas, sample, HEAD: tl.constexpr):
    """Return height and width of a sample's canvas: (h, w, table), the table for canvases that differ (HEAD[10])."""
    if HEAD[10]:
        h = tl.load(canvas[2] + sample * 3).to(tl.int32)
        w = tl.load(canvas[2] + sample * 3 + 1).to(tl.int32)
        return h, w
    else:
        return canvas[0], canvas[1]


@triton.jit
def room_of(out, canvas, sample, h, w, HEAD: tl.constexpr):
    """Return where a sample is written, with the strides of channels, rows and columns."""
    if HEAD[10]:
        return out[0] + tl.load(canvas[2] + sample * 3 + 2), h * w, w, 1
    else:
        return out[0] + sample * out[1], out[2], out[3], out[4]


@triton.jit
def row_of(source, sample, HEAD: tl.constexpr):
    """Return where a sample is read: its first value, strides of channels, rows and columns, height and width.

    The source is (values, strides of four dimensions, height, width, what values are multiplied by, index, table): with
    an index (HEAD[8]) a sample reads another row than its own, and with a table (HEAD[9]) rows are heights, widths and
    offsets in a flat buffer.
    """
    row = sample
    if HEAD[8]:
        row = tl.load(source[8] + sample).to(tl.int64)
    if HEAD[9]:
        rows = tl.load(source[9] + row * 3).to(tl.int32)
        cols = tl.load(source[9] + row * 3 + 1).to(tl.int32)
        return source[0] + tl.load(source[9] + row * 3 + 2), rows * cols, cols, 1, rows, cols
    else:
        return source[0] + row * source[1], source[2], source[3], source[4], source[5], source[6]


@triton.jit
def look(
    source, warp, sample, y, x, h, w,
    GROUP: tl.constexpr, HEAD: tl.constexpr, FILL: tl.constexpr, BH: tl.constexpr, BW: tl.constexpr,
):  # fmt: skip
    """Return planes of a tile of a sample: what a group of channels shows at rows y and columns x of its canvas h x w.

    The warp is (rows of `prepare`, displacements and their strides of samples, channels and rows, bound of the
    half-widths, bound of the taps).
    """
    src, sc, sh, sw, rows, cols = row_of(source, sample, HEAD)
    return read(
        src, sc, sh, sw, rows, cols, source[7], warp[0] + sample * 20, warp[1] + sample * warp[2], warp[3], warp[4],
        warp[5], warp[6], y, x, h, w, GROUP, HEAD, FILL, BH, BW,
    )  # fmt: skip
