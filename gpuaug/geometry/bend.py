"""Displacement fields: output position q shows source position q + D(q), D given at the centres of pixels."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["forward", "sample", "widths"]

STEPS = 6


def sample(field: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Return D (B, M, 2) at points (B, M, 2), and its Jacobian (B, M, 2, 2): rows x and y, columns d/dx and d/dy.

    Bilinear between centres; beyond the outermost centres it goes on as it ends there.
    """
    h, w = field.shape[2:]
    place = points.nan_to_num() - 0.5
    limit = place.new_zeros(2)
    limit[0].fill_(max(w - 2, 0))
    limit[1].fill_(max(h - 2, 0))
    corner = torch.minimum(place.floor().clamp(min=0), limit)
    part = (place - corner).clamp(-0.5, 1.5)
    x, y = corner.to(torch.int64).unbind(-1)
    flat = field.to(points.dtype).flatten(2).transpose(1, 2)  # (B, h * w, 2)

    def at(column: Tensor, row: Tensor) -> Tensor:
        index = (row.clamp(max=h - 1) * w + column.clamp(max=w - 1))[..., None].expand(-1, -1, 2)
        return torch.gather(flat, 1, index)

    a, b, c, d = at(x, y), at(x + 1, y), at(x, y + 1), at(x + 1, y + 1)
    fx, fy = part[..., :1], part[..., 1:]
    value = (a * (1 - fx) + b * fx) * (1 - fy) + (c * (1 - fx) + d * fx) * fy
    along_x = (b - a) * (1 - fy) + (d - c) * fy
    along_y = (c - a) * (1 - fx) + (d - b) * fx
    return value, torch.stack((along_x, along_y), dim=-1)


def forward(field: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Return where source points (B, M, 2) are seen, by Newton's method, and how far off each is still (B, M).

    Where the field folds there is no one answer; the residual tells.
    """
    value, _ = sample(field, points)
    q = points - value
    ahead, _ = sample(field, q)
    # A strong lens takes this guess to the other side of the image: then the point itself is nearer.
    farther = (ahead - value).norm(dim=-1) > value.norm(dim=-1)
    q = torch.where(farther[..., None], points, q)
    for _ in range(STEPS):
        value, jacobian = sample(field, q)
        rest = q + value - points
        a, b = 1 + jacobian[..., 0, 0], jacobian[..., 0, 1]
        c, d = jacobian[..., 1, 0], 1 + jacobian[..., 1, 1]
        det = a * d - b * c
        safe = torch.where(det.abs() < 0.05, torch.ones_like(det), det)
        step = torch.stack((d * rest[..., 0] - b * rest[..., 1], a * rest[..., 1] - c * rest[..., 0]), dim=-1)
        q = q - step / safe[..., None]
    value, _ = sample(field, q)
    return q, (q + value - points).norm(dim=-1)


def widths(px: Tensor, py: Tensor, most: float) -> tuple[Tensor, Tensor]:
    """Return the half-widths of the filter (B, h, w) along x and y where source positions are given."""
    found = []
    for p in (px, py):
        total = torch.zeros_like(p)
        for dim in (1, 2):
            if p.shape[dim] > 1:
                total = total + torch.gradient(p, dim=dim)[0].square()
        found.append(total.clamp(1.0, most * most).sqrt())
    return found[0], found[1]
