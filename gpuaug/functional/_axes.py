"""Principal axes of small symmetric matrices, without asking the device whether it converged."""

from __future__ import annotations

import torch
from torch import Tensor

from gpuaug.render.launch import on_device, power, register
from gpuaug.sampling.generator import TRITON

__all__ = ["principal_axes"]

SWEEPS = 6
"""Of Jacobi's rotations, which converge quadratically: four reach float32 for matrices of 3, six for large ones."""
LARGEST = 8
"""Rows of the matrices that the kernel takes."""


def principal_axes(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return eigenvalues (B, C), the largest first, and eigenvectors (B, C, C) as columns; they have no derivative."""
    values, vectors = _axes(matrix.detach())
    return values, vectors


def jacobi(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return eigenvalues and eigenvectors by Jacobi's rotations, in plain tensor operations."""
    a = list(matrix.unbind(1))
    count = len(a)
    v = list(torch.eye(count, dtype=matrix.dtype, device=matrix.device).expand_as(matrix).unbind(1))
    for _ in range(SWEEPS if count > 1 else 0):
        for p in range(count - 1):
            for q in range(p + 1, count):
                off, gap = a[p][:, q], a[q][:, q] - a[p][:, p]
                # The smaller of the two angles that make the entry zero; none where it is zero.
                bent = 2 * off
                tangent = bent / (gap.abs() + torch.sqrt(gap * gap + bent * bent)).clamp(min=1e-30)
                tangent = torch.where(gap < 0, -tangent, tangent)
                cosine = torch.rsqrt(tangent * tangent + 1)[:, None]
                sine = tangent[:, None] * cosine
                a[p], a[q] = cosine * a[p] - sine * a[q], sine * a[p] + cosine * a[q]
                turned = torch.stack(a, dim=1)
                left, right = turned[:, :, p], turned[:, :, q]
                columns = list(turned.unbind(2))
                columns[p], columns[q] = cosine * left - sine * right, sine * left + cosine * right
                a = list(torch.stack(columns, dim=2).unbind(1))
                v[p], v[q] = cosine * v[p] - sine * v[q], sine * v[p] + cosine * v[q]
    values = torch.stack([row[:, n] for n, row in enumerate(a)], dim=1)
    order = torch.argsort(values, dim=1, descending=True)
    rows = torch.stack(v, dim=1)  # the rotations' product, transposed: eigenvectors lie in rows
    return values.gather(1, order), rows.gather(1, order[:, :, None].expand_as(rows)).transpose(1, 2).contiguous()


def by_kernel(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return the same by one program for each matrix."""
    from gpuaug.render.kernels.axes import axes_kernel

    given = matrix.to(torch.float32).contiguous()
    count = given.shape[1]
    values, vectors = given.new_empty(given.shape[:2]), torch.empty_like(given)
    if given.numel():
        with on_device(given):
            axes_kernel[(given.shape[0],)](given, values, vectors, C=count, N=power(count), SWEEPS=SWEEPS, num_warps=1)
    return values.to(matrix.dtype), vectors.to(matrix.dtype)


def _find(matrix: Tensor) -> tuple[Tensor, Tensor]:
    if matrix.device.type == "cuda" and TRITON and matrix.shape[1] <= LARGEST:
        return by_kernel(matrix)
    # What is not finite (of samples that a gate leaves out, anything) may not stop the others.
    finite = torch.nan_to_num(matrix, 0.0, 0.0, 0.0)
    if matrix.device.type != "cpu":
        return jacobi(finite)
    values, vectors = torch.linalg.eigh(finite.to(torch.float64))
    return values.flip(1).to(matrix.dtype), vectors.flip(2).to(matrix.dtype).contiguous()


_axes = register(
    "principal_axes(Tensor matrix) -> (Tensor, Tensor)",
    _find,
    lambda matrix: (
        matrix.new_empty(matrix.shape[:2]),
        torch.empty_like(matrix, memory_format=torch.contiguous_format),
    ),
)
