"""Numbers that calls need on the batch's device."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gpuaug.geometry.matrix import matrix_dtype

__all__ = ["Constants"]


class Constants:
    """Numbers that every call needs on the batch's device: copied there once."""

    def __init__(self, rows: Any, dtype: torch.dtype = torch.float32) -> None:
        """Keep them on the host; a tensor with its own dtype."""
        self._host = self._there = rows.clone() if isinstance(rows, Tensor) else torch.tensor(rows, dtype=dtype)

    @property
    def count(self) -> int:
        """How many rows."""
        return len(self._host)

    def __repr__(self) -> str:
        """Show the first."""
        return f"{self._host.tolist()!r:.40}"

    def on(self, device: torch.device) -> Tensor:
        """Return them on a device."""
        if self._host.device == device:  # a compiler need not look at where else they have been
            return self._host
        if self._there.device != device:
            exact = self._host.dtype == torch.float64
            self._there = self._host.to(device, matrix_dtype(device) if exact else self._host.dtype)
        return self._there
