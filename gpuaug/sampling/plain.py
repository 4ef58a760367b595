"""Tensors as plain values, exactly, for JSON."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

__all__ = ["from_plain", "to_plain"]


def to_plain(tensor: Tensor) -> dict[str, Any]:
    """Return a tensor as a dict of plain values: numbers as Python writes them, which is exact."""
    numbers = [
        x if not isinstance(x, float) or math.isfinite(x) else repr(x) for x in tensor.detach().cpu().flatten().tolist()
    ]
    return {"dtype": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape), "data": numbers}


def from_plain(plain: Any, owner: str) -> Tensor:
    """Return the tensor that `to_plain` wrote, or raise."""
    try:
        dtype, shape = getattr(torch, plain["dtype"]), [int(n) for n in plain["shape"]]
        if min(shape, default=0) < 0:
            raise ValueError
        numbers = [float(x) if isinstance(x, str) else x for x in plain["data"]]
        if set(plain) == {"dtype", "shape", "data"} and isinstance(dtype, torch.dtype):
            return torch.tensor(numbers, dtype=dtype).reshape(shape)
    except (TypeError, ValueError, KeyError, AttributeError, RuntimeError, OverflowError):
        pass
    raise ValueError(f"{owner}: a tensor must have dtype, shape and data that fit, got {plain!r:.80}")
