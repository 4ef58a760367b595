"""Build, compose and invert (B, 3, 3) matrices that map source positions to output positions.

Positions are continuous and edge-origin: an image spans [0, W] x [0, H], pixel (i, j) has its centre at
(j + 0.5, i + 0.5). Everything is float64 (float32 where the device has no float64), because a product of
float32 matrices drifts by more than the hundredth of a pixel that the library promises.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gpuaug._arrays import arrays
from gpuaug._compiling import stacked

__all__ = [
    "affine",
    "apply",
    "bounds_of",
    "from_entries",
    "inverse",
    "matrix_dtype",
    "perspective",
    "quarter_turn",
    "scale_shift",
]

Number = Tensor | float


def matrix_dtype(device: torch.device) -> torch.dtype:
    """Return the dtype of matrices on a device: float64, or float32 where there is none."""
    return torch.float32 if device.type == "mps" else torch.float64


def wide(value: Tensor) -> Tensor:
    """Return per-sample numbers in the dtype of matrices."""
    return value.to(matrix_dtype(value.device))


def from_entries(entries: Sequence[Number], like: Tensor) -> Tensor:
    """Stack nine row-major entries, tensors (B,) or numbers, into (B, 3, 3) of the dtype and device of `like` (B,).

    Where `like` is numbers of the host entries may be arrays.
    """
    kept = like.dtype
    parts = [entry.to(kept) if isinstance(entry, Tensor) and entry.dtype != kept else entry for entry in entries]
    return stacked(parts, like).view(-1, 3, 3)


def scale_shift(sx: Number, tx: Number, sy: Number, ty: Number, like: Tensor) -> Tensor:
    """Return the matrix of x -> sx x + tx, y -> sy y + ty."""
    return from_entries((sx, 0.0, tx, 0.0, sy, ty, 0.0, 0.0, 1.0), like)


def quarter_turn(turns: Tensor, height: Number, width: Number) -> Tensor:
    """Return the matrix of `turns` (B,) counter-clockwise quarter turns, built from integers so that it is exact."""
    k = wide(turns)
    odd = k - 2 * torch.floor(k / 2)
    cos = (1 - k) * (1 - odd)  # 1, 0, -1, 0
    sin = (2 - k) * odd  # 0, 1, 0, -1
    # On a screen whose y axis points down, counter-clockwise is x' = cos x + sin y, y' = -sin x + cos y.
    # The shift brings the turned rectangle back to the origin.
    tx = torch.where(cos < 0, width, 0.0) + torch.where(sin < 0, height, 0.0)
    ty = torch.where(cos < 0, height, 0.0) + torch.where(sin > 0, width, 0.0)
    return from_entries((cos, sin, tx, -sin, cos, ty, 0.0, 0.0, 1.0), k)


def affine(
    angle: Tensor,
    translate: tuple[Number, Number],
    scale: tuple[Number, Number],
    shear: tuple[Tensor, Tensor] | None,
    center: tuple[Number, Number],
) -> Tensor:
    """Return torchvision's affine matrix for a clockwise angle and shears in degrees, about `center`."""
    rot = wide(angle) * (math.pi / 180)
    x, y = scale
    same = x is y
    x = wide(x) if isinstance(x, Tensor) else x
    y = x if same else wide(y) if isinstance(y, Tensor) else y
    if shear is None:
        a, c = torch.cos(rot), torch.sin(rot)
        if same:
            a, c = (a, c) if isinstance(x, float) and x == 1 else (a * x, c * x)
            b, d = -c, a
        else:
            a, b, c, d = a * x, -c * y, c * x, a * y
    else:
        sx, sy = (wide(s) * (math.pi / 180) for s in shear)
        a = torch.cos(rot - sy) / torch.cos(sy)
        b = -(a * torch.tan(sx) + torch.sin(rot))
        c = torch.sin(rot - sy) / torch.cos(sy)
        d = torch.cos(rot) - c * torch.tan(sx)
        a, b, c, d = a * x, b * y, c * x, d * y
    cx, cy = center
    tx, ty = (wide(t) if isinstance(t, Tensor) else t for t in translate)
    if not any(isinstance(t, Tensor) for t in (cx, cy, tx, ty)):
        _, (a, b, c, d) = arrays(a, b, c, d)
    return from_entries((a, b, cx + tx - a * cx - b * cy, c, d, cy + ty - c * cx - d * cy, 0.0, 0.0, 1.0), rot)


def perspective(start: Tensor, end: Tensor) -> Tensor:
    """Return the homography that takes four points (B, 4, 2) to four others, by the adjugate construction."""

    def basis(points: Tensor) -> Tensor:
        # Columns scaled so that the projective frame (e1, e2, e3, e1 + e2 + e3) goes to the four points.
        ones = torch.ones_like(points[..., :1])
        columns = torch.cat((points, ones), dim=-1).transpose(-1, -2)  # (B, 3, 4)
        frame, last = columns[..., :3], columns[..., 3:]
        return frame * (adjugate(frame) @ last).transpose(-1, -2)

    h = basis(wide(end)) @ adjugate(basis(wide(start)))
    return h / h[..., 2:, 2:]


def adjugate(m: Tensor) -> Tensor:
    """Return the adjugate of (B, 3, 3): the inverse times the determinant, by cross products of rows."""
    rows = m.unbind(dim=-2)
    columns = [
        torch.linalg.cross(rows[1], rows[2]),
        torch.linalg.cross(rows[2], rows[0]),
        torch.linalg.cross(rows[0], rows[1]),
    ]
    return torch.stack(columns, dim=-1)


def inverse(m: Tensor) -> Tensor:
    """Invert (B, 3, 3) homographies, normalised so that the last entry is one where it was."""
    adj = adjugate(m)
    det = (m[..., 0, :] * adj[..., :, 0]).sum(-1)
    return adj / det[..., None, None]


def apply(m: Tensor, points: Tensor) -> Tensor:
    """Map points (B, N, 2) by (B, 3, 3)."""
    xy = points.to(m.dtype) @ m[..., :2, :2].transpose(-1, -2) + m[..., None, :2, 2]
    w = points.to(m.dtype) @ m[..., 2:, :2].transpose(-1, -2) + m[..., None, 2:, 2]
    return xy / w


def bounds_of(m: Tensor, rectangle: Tensor) -> Tensor:
    """Return the bounding rectangles (B, 4) x0, y0, x1, y1 of rectangles (B, 4) or (4,) after (B, 3, 3)."""
    x0, y0, x1, y1 = rectangle.to(m.dtype).expand(m.shape[0], 4).unbind(-1)
    corners = torch.stack((x0, y0, x1, y0, x1, y1, x0, y1), -1).unflatten(-1, (4, 2))
    mapped = apply(m, corners)
    return torch.cat((mapped.amin(-2), mapped.amax(-2)), dim=-1)
