"""Images of several sizes in one flat buffer, as the renderer takes and gives them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gpuaug.geometry.canvas import Sizes

__all__ = ["WORDS", "Flat", "front", "table_of"]

WORDS = 3
"""Of 8 bytes for each image, at the front of a buffer: height, width, and where its pixels begin."""
_ALIGNED = 16


@dataclass(frozen=True)
class Flat:
    """All pixels, one image (C, H, W) after another, and where each lies."""

    values: Tensor
    """Flat, of the images' dtype."""
    table: Tensor
    """(B, 3) int64: heights, widths, offsets."""
    channels: int

    @property
    def dtype(self) -> torch.dtype:
        """Of the pixels."""
        return self.values.dtype

    @property
    def device(self) -> torch.device:
        """Where they are."""
        return self.values.device


def front(count: int) -> int:
    """Return the bytes in front of the pixels of as many images."""
    return -(-count * WORDS * 8 // _ALIGNED) * _ALIGNED


def table_of(sizes: Sizes, channels: int) -> Tensor:
    """Return heights, widths and offsets (B, 3) of images laid one after another."""
    h, w = (size.to(torch.int64) for size in sizes)
    ends = (h * w).mul_(channels).cumsum(0)
    return torch.stack((h, w, ends - h * w * channels), dim=1)
