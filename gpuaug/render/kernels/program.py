"""Take the planes of a tile through a program, and write them: what all kernels of a pass share."""

import triton
import triton.language as tl

from gpuaug.render.kernels.head import clamp, rint
from gpuaug.render.kernels.pixels import operate

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
    a, b, c, d, ops, strides, sample, y, x, h, w, PROGRAM: tl.constexpr, AT: tl.constexpr, CONSTANTS: tl.constexpr
):
    """Return the planes after the operation whose row begins at AT, on the channels that it is limited to."""
    CODE: tl.constexpr = PROGRAM[AT]
    FIRST: tl.constexpr = PROGRAM[AT + 2]
    STAT: tl.constexpr = PROGRAM[AT + 3]
    EXTRA: tl.constexpr = PROGRAM[AT + 4]
    NUMBERS: tl.constexpr = PROGRAM[AT + 5]
    C: tl.constexpr = PROGRAM[AT + 9]
    CHANNELS: tl.constexpr = PROGRAM[AT + 10]
    PARTS: tl.constexpr = PROGRAM[AT + 11]
    COLUMNS: tl.constexpr = PROGRAM[AT + 12]
    SEEN: tl.constexpr = PROGRAM[AT + 13]
    p, q, r, s = select(a, b, c, d, CHANNELS)
    p, q, r, s = operate(
        p,
        q,
        r,
        s,
        ops,
        strides,
        sample,
        y,
        x,
        h,
        w,
        CODE,
        FIRST,
        STAT,
        EXTRA,
        NUMBERS,
        PARTS,
        C,
        CONSTANTS,
        COLUMNS,
        SEEN,
    )
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
def _gated(
    a, b, c, d, ops, strides, sample, y, x, h, w, PROGRAM: tl.constexpr, AT: tl.constexpr, CONSTANTS: tl.constexpr
):
    """Return the planes after a row of the program, if it applies to the sample: a branch that a whole tile takes."""
    ON: tl.constexpr = PROGRAM[AT + 1]
    CODE: tl.constexpr = PROGRAM[AT]
    DEAR: tl.constexpr = CODE == 18 or CODE == 20 or CODE == 71 or CODE == 73 or (CODE >= 96 and CODE <= 101)
    if ON < 0 and not DEAR:
        a, b, c, d = _chosen(a, b, c, d, ops, strides, sample, y, x, h, w, PROGRAM, AT, CONSTANTS)
    else:
        # What is dear always has a branch: of several operations it would else be computed ahead, and kept.
        on = h
        if ON >= 0:
            on = tl.load(ops[ON] + sample * strides[ON])
        if on != 0:
            a, b, c, d = _chosen(a, b, c, d, ops, strides, sample, y, x, h, w, PROGRAM, AT, CONSTANTS)
    return a, b, c, d


@triton.jit
def _in_order(
    a, b, c, d, ops, strides, sample, y, x, h, w,
    PROGRAM: tl.constexpr, AT: tl.constexpr, CONSTANTS: tl.constexpr, STOP: tl.constexpr,
):  # fmt: skip
    """Return the planes after a group of rows in an order of its own for each sample, up to the member STOP."""
    ORDER: tl.constexpr = PROGRAM[AT + 6]
    COUNT: tl.constexpr = PROGRAM[AT + 8]
    going = 1
    for n in range(COUNT):
        member = tl.load(ops[ORDER] + sample * strides[ORDER] + n).to(tl.int32)
        going = tl.where(member == STOP, 0, going)
        for m in tl.static_range(COUNT):
            if m != STOP:
                if (member == m) & (going == 1):
                    a, b, c, d = _gated(a, b, c, d, ops, strides, sample, y, x, h, w, PROGRAM, AT + m * 14, CONSTANTS)
    return a, b, c, d


@triton.jit
def run(
    a, b, c, d, ops, strides, sample, y, x, h, w,
    PROGRAM: tl.constexpr, CONSTANTS: tl.constexpr, STOP: tl.constexpr,
):  # fmt: skip
    """Return the planes after a program: rows of 14 numbers, one after another (see `lowering`)."""
    for k in tl.static_range(len(PROGRAM) // 14):
        if PROGRAM[k * 14 + 6] < 0:
            a, b, c, d = _gated(a, b, c, d, ops, strides, sample, y, x, h, w, PROGRAM, k * 14, CONSTANTS)
        elif PROGRAM[k * 14 + 7] == 0:
            a, b, c, d = _in_order(a, b, c, d, ops, strides, sample, y, x, h, w, PROGRAM, k * 14, CONSTANTS, STOP)
    return a, b, c, d


@triton.jit
def _store(out, offset, mask, v, ENCODE: tl.constexpr):
    if ENCODE[0] == 1:
        v = rint(clamp(v) * ENCODE[2])
    elif ENCODE[0] == 2:
        v = tl.minimum(tl.maximum(rint(v), ENCODE[1]), ENCODE[2])
    tl.store(out + offset, v.to(out.dtype.element_ty), mask=mask)


@triton.jit
def write(out, offset, oc, mask, a, b, c, d, GROUP: tl.constexpr, ENCODE: tl.constexpr):
    """Write the planes of a tile in their last form, to the channels that `GROUP` names."""
    _store(out, offset + GROUP[0] * oc, mask, a, ENCODE)
    if len(GROUP) > 1:
        _store(out, offset + GROUP[1] * oc, mask, b, ENCODE)
    if len(GROUP) > 2:
        _store(out, offset + GROUP[2] * oc, mask, c, ENCODE)
    if len(GROUP) > 3:
        _store(out, offset + GROUP[3] * oc, mask, d, ENCODE)
