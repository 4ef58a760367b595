"""Images of several sizes in one buffer, as a canvas of tiles reads them: any sample may read any image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

__all__ = ["Packed"]


@dataclass(frozen=True)
class Packed:
    """One image for each sample, wherever it lies in a buffer of images one after another."""

    values: Tensor
    """All pixels."""
    start: Tensor
    """(B,) int64: where each image begins."""
    height: Tensor
    """(B,) int64."""
    width: Tensor
    channels: int
    views: Sequence[Tensor]
    """The images (C, H, W) of the buffer, for those who know their numbers on the host."""

    @property
    def dtype(self) -> torch.dtype:
        """Of the pixels."""
        return self.values.dtype

    @property
    def device(self) -> torch.device:
        """Where the pixels are."""
        return self.values.device

    @property
    def requires_grad(self) -> bool:
        """Whether the pixels do."""
        return self.values.requires_grad

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Heights and widths of the images of the buffer."""
        return [(view.shape[1], view.shape[2]) for view in self.views]

    def to(self, dtype: torch.dtype) -> Packed:
        """Return the same in another dtype."""
        return replace(self, values=self.values.to(dtype), views=[view.to(dtype) for view in self.views])

    def view(self, dtype: torch.dtype) -> Packed:
        """Return the same bits in another dtype of that size."""
        return replace(self, values=self.values.view(dtype), views=[view.view(dtype) for view in self.views])

    def index_select(self, dim: int, index: Tensor) -> Packed:
        """Return the images `index` (B,), without moving them."""
        start, height, width = (t.index_select(dim, index) for t in (self.start, self.height, self.width))
        return replace(self, start=start, height=height, width=width)

    def limits(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return heights and widths (B, 1, 1) to compare positions with."""
        return self.height.to(dtype)[:, None, None], self.width.to(dtype)[:, None, None]

    def at(self, channel: int, row: Tensor, column: Tensor) -> Tensor:
        """Return the pixels (B, h, w) of a channel at rows and columns (B, h, w), all of them inside."""
        start, height, width = (t[:, None, None] for t in (self.start, self.height, self.width))
        place = start + (channel * height + row) * width + column
        return torch.ops.aten._unsafe_index(self.values, [place])  # type: ignore[no-any-return]
