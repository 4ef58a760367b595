"""Weighted sums of an image's lines on the CPU: what resizing and blurring along an axis are.

Torch's embedding bag sums rows of a table with a weight for each: one pass over memory at full width, several times as
fast as its resampler and its convolution. The planes of an image stand one below another in the table.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["Bags", "bagged", "blurred", "correlated", "mirrored", "sum_lines"]

Array = npt.NDArray[Any]
_SUM = 0
"""Torch's number for the mode of an embedding bag."""
_KEPT = 256


@dataclass(frozen=True)
class Bags:
    """Which lines make each new line of every plane."""

    index: Tensor
    """(N,) lines, bag after bag and plane after plane."""
    start: Tensor
    """(C n,) where each bag begins."""
    weight: Tensor
    """(N,)."""


def bagged(index: Array, weight: Array, size: int, channels: int, work: torch.dtype) -> Bags:
    """Return bags of the lines `index` (n, k) of planes of `size` lines; a weight of 0 is left out: it silences NaN."""
    taken = weight != 0
    count = np.tile(taken.sum(1), channels)
    first = (np.cumsum(count) - count).astype(np.int32)
    rows = (index[taken] + size * np.arange(channels)[:, None]).astype(np.int32).ravel()
    shares = np.tile(weight[taken], channels)
    return Bags(torch.from_numpy(rows), torch.from_numpy(first), torch.from_numpy(shares).to(work))


def mirrored(bags: Bags, size: int, channels: int) -> Bags:
    """Return bags of the same lines of planes of `size` lines, counted from the other end."""
    last = size - 1 + 2 * size * torch.arange(channels, dtype=torch.int32)[:, None]
    return replace(bags, index=(last - bags.index.view(channels, -1)).flatten())


def sum_lines(planes: Tensor, rows: Bags | None, columns: Bags | None) -> Tensor:
    """Return (C, n, m): sums of rows, and then of columns, of planes (C, H, W); strides are transposed after columns.

    None leaves an axis as it is.
    """
    summed = planes if rows is None else _summed(planes, rows)
    return summed if columns is None else _summed(summed.transpose(1, 2), columns).transpose(1, 2)


def blurred(image: Tensor, down: list[float], across: list[float]) -> Tensor:
    """Return an image (1, C, H, W) under a symmetric kernel along each axis; the border is reflected.

    Weights are those of the middle tap and of its neighbours on one side.
    """
    sides = [
        _around(side, image.shape[1], n, image.dtype) for side, n in zip((down, across), image.shape[2:], strict=True)
    ]
    return sum_lines(image[0], *sides).contiguous()[None]


def _around(side: list[float], channels: int, size: int, dtype: torch.dtype) -> Bags | None:
    """Return the bags of a symmetric kernel on every line."""
    if len(side) == 1 and side[0] == 1:
        return None
    index, start = _neighbours(size, len(side) - 1, channels)
    row = torch.tensor([*side[:0:-1], *side], dtype=dtype)
    return Bags(index, start, row.expand(channels * size, -1).flatten())


@functools.lru_cache(maxsize=_KEPT)
def _neighbours(size: int, reach: int, channels: int) -> tuple[Tensor, Tensor]:
    """Return the lines up to `reach` from each of `size`, reflected at the ends, and where each line's begin."""
    place = torch.arange(size)[:, None] + torch.arange(-reach, reach + 1)
    place = (size - 1) - ((size - 1) - place.abs()).abs()
    lines = place + size * torch.arange(channels)[:, None, None]
    start = torch.arange(channels * size, dtype=torch.int32) * (2 * reach + 1)
    return lines.flatten().to(torch.int32), start


def _summed(planes: Tensor, bags: Bags) -> Tensor:
    channels, lines, length = planes.shape
    table = planes.reshape(channels * lines, length).contiguous()  # of other strides torch sums in another way
    return _of(table, bags).view(channels, -1, length)


def _of(table: Tensor, bags: Bags) -> Tensor:
    """Return the sum of each bag, (n, W), of lines (N, W)."""
    return torch.embedding_bag(table, bags.index, bags.start, False, _SUM, False, bags.weight, False)[0]


def correlated(padded: Tensor, taps: list[tuple[int, int]], weights: list[float], h: int, w: int) -> Tensor:
    """Return (1, C, h, w): weighted sums of a padded image (1, C, H, W) moved by `taps`, of rows and columns.

    The image moved by each column of taps stands in the table once; rows of taps are lines of it.
    """
    channels, high, wide = padded.shape[1:]
    columns = sorted({j for _, j in taps})
    flat, size = padded.reshape(-1), channels * high
    # Of a moved image the end is missing, which is beyond the last pixel that is asked for.
    table = flat.new_empty((len(columns), size * wide))
    for line, j in zip(table, columns, strict=True):
        line[: flat.numel() - j].copy_(flat[j:])
        line[flat.numel() - j :].zero_()
    place = np.array([columns.index(j) * size + i for i, j in taps])
    lines = np.arange(channels)[:, None] * high + np.arange(h)
    index = (lines.reshape(-1, 1) + place).astype(np.int32).ravel()
    start = np.arange(0, index.size, len(taps), dtype=np.int32)
    share = torch.tensor(weights, dtype=padded.dtype).expand(channels * h, -1).flatten()
    made = _of(table.view(-1, wide), Bags(torch.from_numpy(index), torch.from_numpy(start), share))
    return made.view(1, channels, h, wide)[..., :w]
