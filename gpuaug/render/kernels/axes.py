"""The kernel that finds the principal axes of small symmetric matrices: see `functional/_axes.py`."""

import triton
import triton.language as tl

__all__ = ["axes_kernel"]


@triton.jit
def _dot(a, b):
    """Return the product of two matrices (N, N)."""
    return tl.sum(a[:, :, None] * b[None, :, :], 1)


@triton.jit
def _at(a, i, j, p: tl.constexpr, q: tl.constexpr):
    return tl.sum(tl.sum(tl.where((i == p) & (j == q), a, 0.0), 1), 0)


@triton.jit
def axes_kernel(matrix, values, vectors, C: tl.constexpr, N: tl.constexpr, SWEEPS: tl.constexpr):
    """Turn one matrix (C, C) by Jacobi's rotations until it is diagonal; the largest value comes first."""
    sample = tl.program_id(0).to(tl.int64)
    i, j = tl.arange(0, N)[:, None], tl.arange(0, N)[None, :]
    inside = (i < C) & (j < C)
    a = tl.load(matrix + sample * (C * C) + i * C + j, mask=inside, other=0.0).to(tl.float32)
    a = tl.where(tl.abs(a) < 1e30, a, 0.0)  # what is no number is none of these
    v = tl.where(i == j, 1.0, 0.0)
    for _ in range(SWEEPS):
        for p in tl.static_range(C - 1):
            for q in tl.static_range(p + 1, C):
                bent = 2.0 * _at(a, i, j, p, q)
                gap = _at(a, i, j, q, q) - _at(a, i, j, p, p)
                tangent = bent / tl.maximum(tl.abs(gap) + tl.sqrt(gap * gap + bent * bent), 1e-30)
                tangent = tl.where(gap < 0.0, -tangent, tangent)
                cosine = 1.0 / tl.sqrt(tangent * tangent + 1.0)
                sine = tangent * cosine
                turn = tl.where(i == j, tl.where((i == p) | (i == q), cosine, 1.0), 0.0)
                turn += tl.where((i == p) & (j == q), sine, 0.0) - tl.where((i == q) & (j == p), sine, 0.0)
                back = tl.where(i == j, turn, -turn)
                a, v = _dot(back, _dot(a, turn)), _dot(v, turn)
    down = tl.where(i < C, tl.sum(tl.where(i == j, a, 0.0), 1)[:, None], float("-inf"))
    across = tl.where(j < C, tl.sum(tl.where(i == j, a, 0.0), 0)[None, :], float("-inf"))
    rank = tl.sum(((down > across) | ((down == across) & (i < j))).to(tl.int32), 0)[None, :]
    tl.store(vectors + sample * (C * C) + i * C + rank, v, mask=inside)
    tl.store(values + sample * C + rank, across, mask=j < C)
