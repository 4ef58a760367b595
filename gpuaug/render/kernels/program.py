"""Take the planes of a tile through a program, and write them: what all kernels of a pass share."""

import triton
import triton.language as tl

from gpuaug.render.kernels.head import rint
from gpuaug.render.kernels.pixels import clamp, operate

__all__ = ["put", "run", "select", "write"]


@triton.jit
def plane(a, b, c, d, k: tl.constexpr):
    """Return plane k."""
    if k == 0:
        return a
    elif k == 1:
        return b
    elif k == 2:
        return c
    else:
        return d


@triton.jit
def put(a, b, c, d, v, k: tl.constexpr):
    """Return the planes with plane k exchanged."""
    if k == 0:
        a = v
    elif k == 1:
        b = v
    elif k == 2:
        c = v
    else:
        d = v
    return a, b, c, d


@triton.jit
def select(a, b, c, d, CHANNELS: tl.constexpr):
    """Return the planes that `CHANNELS` (two bits each) names; all for -1."""
    if CHANNELS < 0:
        return a, b, c, d
    else:
        p = plane(a, b, c, d, CHANNELS & 3)
        q = plane(a, b, c, d, (CHANNELS >> 2) & 3)
        r = plane(a, b, c, d, (CHANNELS >> 4) & 3)
        s = plane(a, b, c, d, (CHANNELS >> 6) & 3)
        return p, q, r, s


@triton.jit
def _chosen(
    a, b, c, d, ops, strides, sample, y, x, h, w, ROW: tl.constexpr, CONSTANTS: tl.constexpr
):  # fmt: skip
    """Return the planes after the operation of a row of the program, on the channels that it is limited to."""
    C: tl.constexpr = ROW[9]
    CHANNELS: tl.constexpr = ROW[10]
    p, q, r, s = select(a, b, c, d, CHANNELS)
    p, q, r, s = operate(
        p, q, r, s, ops, strides, sample, y, x, h, w,
        ROW[0], ROW[2], ROW[3], ROW[4], ROW[5], ROW[11], C, CONSTANTS,
    )  # fmt: skip
    if CHANNELS < 0:
        return p, q, r, s
    else:
        a, b, c, d = put(a, b, c, d, p, CHANNELS & 3)
        if C > 1:
            a, b, c, d = put(a, b, c, d, q, (CHANNELS >> 2) & 3)
        if C > 2:
            a, b, c, d = put(a, b, c, d, r, (CHANNELS >> 4) & 3)
        if C > 3:
            a, b, c, d = put(a, b, c, d, s, (CHANNELS >> 6) & 3)
        return a, b, c, d


@triton.jit
def _gated(a, b, c, d, ops, strides, sample, y, x, h, w, ROW: tl.constexpr, CONSTANTS: tl.constexpr):
    """Return the planes after a row of the program, if it applies to the sample: a branch that a whole tile takes."""
    if ROW[1] < 0:
        a, b, c, d = _chosen(a, b, c, d, ops, strides, sample, y, x, h, w, ROW, CONSTANTS)
    else:
        on = tl.load(ops[ROW[1]] + sample * strides[ROW[1]])
        if on != 0:
            a, b, c, d = _chosen(a, b, c, d, ops, strides, sample, y, x, h, w, ROW, CONSTANTS)
    return a, b, c, d


@triton.jit
def run(
    a, b, c, d, ops, strides, sample, y, x, h, w,
    PROGRAM: tl.constexpr, CONSTANTS: tl.constexpr, STOP: tl.constexpr,
):  # fmt: skip
    """Return the planes after a program.

    A group in an order of its own for each sample is a loop over that order; it ends where the member STOP would come.
    """
    for k in tl.static_range(len(PROGRAM)):
        if PROGRAM[k][6] < 0:
            a, b, c, d = _gated(a, b, c, d, ops, strides, sample, y, x, h, w, PROGRAM[k], CONSTANTS)
        elif PROGRAM[k][7] == 0:
            going = 1
            for n in range(PROGRAM[k][8]):
                member = tl.load(ops[PROGRAM[k][6]] + sample * strides[PROGRAM[k][6]] + n).to(tl.int32)
                going = tl.where(member == STOP, 0, going)
                for m in tl.static_range(PROGRAM[k][8]):
                    if m != STOP:
                        if (member == m) & (going == 1):
                            a, b, c, d = _gated(a, b, c, d, ops, strides, sample, y, x, h, w, PROGRAM[k + m], CONSTANTS)
    return a, b, c, d


@triton.jit
def _store(out, offset, mask, v, ENCODE: tl.constexpr):
    if ENCODE[0] == 1:
        v = rint(clamp(v) * ENCODE[2])
    elif ENCODE[0] == 2:
        v = tl.minimum(tl.maximum(rint(v), ENCODE[1]), ENCODE[2])
    tl.store(out + offset, v.to(out.dtype.element_ty), mask=mask)


@triton.jit
def write(out, offset, oc, mask, a, b, c, d, OUT: tl.constexpr, ENCODE: tl.constexpr):
    """Write the planes of a tile in their last form."""
    _store(out, offset, mask, a, ENCODE)
    if OUT > 1:
        _store(out, offset + oc, mask, b, ENCODE)
    if OUT > 2:
        _store(out, offset + 2 * oc, mask, c, ENCODE)
    if OUT > 3:
        _store(out, offset + 3 * oc, mask, d, ENCODE)
