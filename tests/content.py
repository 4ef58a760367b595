"""Images whose content says where they are: the judge of every map."""

from __future__ import annotations

import torch
from torch import Tensor

H, W = 48, 66


def coordinates(batch: int, h: int = H, w: int = W) -> Tensor:
    """Images (B, 3, h, w) float64 of the position of each pixel's centre, in hundreds of pixels, and of ones."""
    y, x = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing="ij")
    return torch.stack((x / 100, y / 100, torch.ones_like(x))).double().expand(batch, -1, -1, -1)


def read_at(image: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Return the values (N, C) read bilinearly at points (N, 2), and where all four taps are inside and no fill."""
    h, w = image.shape[1:]
    place = points - 0.5
    corner = place.floor().long()
    fraction = place - corner
    ok = (corner >= 0).all(1) & (corner[:, 0] < w - 1) & (corner[:, 1] < h - 1)
    x, y = corner[:, 0].clamp(0, w - 2), corner[:, 1].clamp(0, h - 2)
    taps = [(image[:, y + j, x + i], (i, j)) for j in (0, 1) for i in (0, 1)]
    value = torch.zeros_like(taps[0][0])
    for tap, (i, j) in taps:
        wx = fraction[:, 0] if i else 1 - fraction[:, 0]
        wy = fraction[:, 1] if j else 1 - fraction[:, 1]
        value = value + tap * wx * wy
        ok = ok & (tap[2] > 1 - 1e-9)  # no fill is blended in
    return value[:2].T, ok
