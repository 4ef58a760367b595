"""Weighted sums of an image's lines on the CPU: what resizing and blurring along an axis are.

Torch's embedding bag sums rows of a table with a weight for each: one pass over memory at full width, several times as
fast as its resampler and its convolution. The planes of an image stand one below another in the table.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

__all__ = ["Bags", "bagged", "mirrored", "sum_lines"]

_SUM = 0
"""Torch's number for the mode of an embedding bag."""


@dataclass(frozen=True)
class Bags:
    """Which lines make each new line of every plane."""

    index: Tensor
    """(N,) lines, bag after bag and plane after plane."""
    start: Tensor
    """(C n,) where each bag begins."""
    weight: Tensor
    """(N,)."""


def bagged(index: Tensor, weight: Tensor, size: int, channels: int) -> Bags:
    """Return bags of the lines `index` (n, k) of planes of `size` lines; a weight of 0 is left out: it silences NaN."""
    taken = weight != 0
    count = taken.sum(1).repeat(channels)
    lines = (index[taken] + size * torch.arange(channels)[:, None]).flatten()
    return Bags(lines.to(torch.int32), (count.cumsum(0) - count).to(torch.int32), weight[taken].repeat(channels))


def mirrored(bags: Bags, size: int, channels: int) -> Bags:
    """Return bags of the same lines of planes of `size` lines, counted from the other end."""
    last = size - 1 + 2 * size * torch.arange(channels, dtype=torch.int32)[:, None]
    return replace(bags, index=(last - bags.index.view(channels, -1)).flatten())


def sum_lines(planes: Tensor, rows: Bags, columns: Bags) -> Tensor:
    """Return (C, n, m), of transposed strides: sums of rows, and then of columns, of planes (C, H, W)."""
    return _summed(_summed(planes, rows).transpose(1, 2), columns).transpose(1, 2)


def _summed(planes: Tensor, bags: Bags) -> Tensor:
    channels, lines, length = planes.shape
    table = planes.reshape(channels * lines, length)
    made = torch.embedding_bag(table, bags.index, bags.start, False, _SUM, False, bags.weight, False)[0]
    return made.view(channels, -1, length)
