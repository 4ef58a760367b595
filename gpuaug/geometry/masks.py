"""Boxes of masks, and index maps: masks of all objects of a sample in one plane, values 1 + the row, 0 for none."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["at_size", "boxes", "count", "renumber", "union"]

Canvas = tuple[int, int]


def _bounds(seen: Tensor) -> tuple[Tensor, Tensor]:
    """Return first index and last + 1 (...) of what is set in (..., L); where nothing is, L and 0."""
    length = seen.shape[-1]
    place = torch.arange(length, device=seen.device, dtype=torch.float32).expand_as(seen)
    first = torch.where(seen, place, torch.full_like(place, length)).amin(-1)
    last = torch.where(seen, place + 1, torch.zeros_like(place)).amax(-1)
    return first, last


def _known(index: Tensor, rows: int) -> Tensor:
    """Return the values (B, h * w) of an index map, 0 where they name no row."""
    flat = index.flatten(1).to(torch.int64)
    return torch.where((flat > 0) & (flat <= rows), flat, torch.zeros_like(flat))


def _by_value(index: Tensor, rows: int, source: Tensor, start: float, how: str) -> Tensor:
    """Reduce source (h * w) over the places of each value of an index map (B, h, w): (B, rows)."""
    flat = _known(index, rows)
    out = torch.full((index.shape[0], rows + 1), start, dtype=torch.float32, device=index.device)
    return torch.scatter_reduce(out, 1, flat, source.expand_as(flat), how)[:, 1:]


def boxes(masks: Tensor, rows: int, canvas: Canvas) -> Tensor:
    """Return xyxy (B, rows, 4) in pixels of a canvas, around masks (B, rows, h, w) or an index map (B, h, w).

    Edges of pixels: x1 is the last column + 1. An object without a pixel has a box of no size.
    """
    h, w = masks.shape[-2:]
    if masks.dim() == 4:
        seen = masks != 0
        (x0, x1), (y0, y1) = _bounds(seen.any(-2)), _bounds(seen.any(-1))
    else:
        column = torch.arange(w, device=masks.device, dtype=torch.float32).expand(h, w).flatten()
        row = torch.arange(h, device=masks.device, dtype=torch.float32)[:, None].expand(h, w).flatten()
        x0, y0 = (_by_value(masks, rows, place, float(max(h, w)), "amin") for place in (column, row))
        x1, y1 = (_by_value(masks, rows, place + 1, 0.0, "amax") for place in (column, row))
    found = torch.stack((x0 * (canvas[1] / w), y0 * (canvas[0] / h), x1 * (canvas[1] / w), y1 * (canvas[0] / h)), -1)
    return torch.where((x1 > x0)[..., None], found, torch.zeros_like(found))


def count(masks: Tensor, rows: int) -> Tensor:
    """Return the number of pixels (B, rows) of masks (B, rows, h, w) or an index map (B, h, w)."""
    if masks.dim() == 4:
        return (masks != 0).sum((-2, -1)).to(torch.float32)
    ones = torch.ones(1, dtype=torch.float32, device=masks.device)
    return _by_value(masks, rows, ones, 0.0, "sum")


def renumber(index: Tensor, place: Tensor) -> Tensor:
    """Return an index map (B, h, w) whose values name the new places (B, N) of rows; negative ones become 0."""
    table = torch.nn.functional.pad(place.clamp(min=-1) + 1, (1, 0))
    return torch.gather(table, 1, _known(index, place.shape[1])).view(index.shape).to(index.dtype)


def union(masks: Tensor, chosen: Tensor) -> Tensor:
    """Return where (B, h, w) any of the chosen rows (B, N) of masks (B, N, h, w) or an index map (B, h, w) is."""
    if masks.dim() == 3:
        table = torch.nn.functional.pad(chosen, (1, 0))
        return torch.gather(table, 1, _known(masks, chosen.shape[1])).view(masks.shape)
    return ((masks != 0) & chosen[:, :, None, None]).any(1)


def at_size(where: Tensor, size: Sequence[int]) -> Tensor:
    """Return bool planes (B, H, W) at another resolution: each pixel is what lies under its centre."""
    if tuple(where.shape[1:]) == tuple(size):
        return where
    return torch.nn.functional.interpolate(where[:, None].float(), tuple(size), mode="nearest-exact")[:, 0] > 0
