"""What kernels do with one of several groups of channels.

Triton 3.4 takes an entry of a tuple as a constant only where it is named as one, and a name in a loop has one value; so
the group's number is handed on, and the entry named inside.
"""

import triton
import triton.language as tl

from gpuaug.render.kernels.head import read
from gpuaug.render.kernels.program import run, write
from gpuaug.render.kernels.source import look

__all__ = ["fill_group", "look_group", "read_group", "run_group", "write_group"]


@triton.jit
def look_group(
    source, warp, sample, y, x, h, w,
    GROUPS: tl.constexpr, G: tl.constexpr, HEAD: tl.constexpr, FILL: tl.constexpr, BH: tl.constexpr, BW: tl.constexpr,
):  # fmt: skip
    """Look at a group."""
    GROUP: tl.constexpr = GROUPS[G]
    return look(source, warp, sample, y, x, h, w, GROUP, HEAD, FILL, BH, BW)


@triton.jit
def read_group(
    src, sc, sh, sw, rows, cols, inverse_scale, geo, field, fc, fh, shrink, taps,
    y, x, h, w,
    GROUPS: tl.constexpr, G: tl.constexpr, HEAD: tl.constexpr, FILL: tl.constexpr, BH: tl.constexpr, BW: tl.constexpr,
):  # fmt: skip
    """Read a group from one image."""
    GROUP: tl.constexpr = GROUPS[G]
    return read(
        src, sc, sh, sw, rows, cols, inverse_scale, geo, field, fc, fh, shrink, taps,
        y, x, h, w, GROUP, HEAD, FILL, BH, BW,
    )  # fmt: skip


@triton.jit
def fill_group(GROUPS: tl.constexpr, G: tl.constexpr, FILL: tl.constexpr, BH: tl.constexpr, BW: tl.constexpr):
    """Return what a group shows where there is no image."""
    GROUP: tl.constexpr = GROUPS[G]
    zero = tl.zeros((BH, BW), tl.float32)
    a, b, c, d = zero, zero, zero, zero
    if len(FILL) > 0:
        a += FILL[GROUP[0] % len(FILL)]
        if len(GROUP) > 1:
            b += FILL[GROUP[1] % len(FILL)]
        if len(GROUP) > 2:
            c += FILL[GROUP[2] % len(FILL)]
        if len(GROUP) > 3:
            d += FILL[GROUP[3] % len(FILL)]
    return a, b, c, d


@triton.jit
def run_group(
    a, b, c, d, ops, strides, sample, y, x, h, w, PROGRAMS: tl.constexpr, G: tl.constexpr, CONSTANTS: tl.constexpr
):  # fmt: skip
    """Run a group's program."""
    PROGRAM: tl.constexpr = PROGRAMS[G]
    return run(a, b, c, d, ops, strides, sample, y, x, h, w, PROGRAM, CONSTANTS, -1)


@triton.jit
def write_group(out, offset, oc, mask, a, b, c, d, ONTO: tl.constexpr, G: tl.constexpr, ENCODE: tl.constexpr):
    """Write a group."""
    GROUP: tl.constexpr = ONTO[G]
    write(out, offset, oc, mask, a, b, c, d, GROUP, ENCODE)
