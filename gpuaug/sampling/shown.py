"""Drawn values as they are printed: plain Python, short numbers, names for what counts."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

__all__ = ["named", "plain"]


def named(number: Any, names: tuple[str, ...]) -> Any:
    """Return the names of numbers, in lists of any depth."""
    return [named(n, names) for n in number] if isinstance(number, list) else names[number]


def plain(value: Tensor) -> Any:
    """Return a tensor as numbers to read; of bools in a row, which are true."""
    if value.dtype == torch.bool and value.dim() == 1:  # which of several
        value = value.nonzero()[:, 0]
    return _short(value.tolist())


def _short(value: Any) -> Any:
    if isinstance(value, list):
        return [_short(v) for v in value]
    if not isinstance(value, float) or not math.isfinite(value):
        return value
    return int(value) if value == int(value) else float(f"{value:.5g}")
