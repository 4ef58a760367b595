"""Small arithmetic by NumPy where its numbers lie in the host's memory: a call of it costs a third of one of torch.

Only what both round alike, to the last bit: sums, products, quotients, roots, comparisons and choices.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from gpuaug._compiling import in_memory

__all__ = ["arrays", "cast", "tensor"]

_DTYPES = {torch.float32: np.float32, torch.float64: np.float64}


def arrays(*tensors: Tensor | Any) -> tuple[Any, tuple[Any, ...]]:
    """Return the library that is to compute with some tensors, NumPy or torch, and the tensors as it takes them.

    It is torch where a compiler traces, or where one of them is anything but numbers of the host.

    Example:
        >>> library, (x,) = arrays(torch.ones(2))
        >>> library.__name__, tensor(library.floor(x / 2)).tolist()
        ('numpy', [0.0, 0.0])
    """
    if torch.compiler.is_compiling() or not all(isinstance(t, Tensor) and in_memory(t) for t in tensors):
        return torch, tensors
    return np, tuple(t.numpy() for t in tensors)


def cast(values: Any, dtype: torch.dtype) -> Any:
    """Return numbers of either library in a dtype."""
    return values.to(dtype) if isinstance(values, Tensor) else values.astype(_DTYPES[dtype])


def tensor(values: Any) -> Tensor:
    """Return numbers of either library as a tensor."""
    return values if isinstance(values, Tensor) else torch.from_numpy(values)
