"""Small arithmetic in the form that makes a compiler launch least: run operation by operation it is what torch has."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad

__all__ = ["exact", "in_memory", "kept", "product", "stacked"]

_WIDE: dict[torch.dtype, Any] = {torch.float32: np.float32, torch.float64: np.float64}

AUTOCAST = ("cpu", "cuda", "mps", "xpu")
"""The devices that have it, by name: Dynamo of torch 2.8 does not trace `torch.amp.is_autocast_available`."""


def exact(device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which autocast rounds no product of matrices."""
    return torch.autocast(device.type, enabled=False) if device.type in AUTOCAST else nullcontext()


def kept(table: Tensor) -> Tensor:
    """Return the same, which a compiler has to keep in memory: it would compute it again for whatever reads a part."""
    return table.as_strided(table.shape, table.stride())


def stacked(parts: Sequence[Tensor | float], like: Tensor | None = None) -> Tensor:
    """Stack tensors of one shape, and numbers, along a new last dimension; `like` is given where some are numbers.

    A compiler writes each part of a stack by a kernel of its own; chosen by their place they become part of whatever
    reads them.
    """
    if not torch.compiler.is_compiling():
        first = like if like is not None else next(part for part in parts if isinstance(part, Tensor))
        if first.dtype in _WIDE and in_memory(first) and all(_alike(part, first) for part in parts):
            return _written(parts, first)
        constants: dict[float, Tensor] = {}
        for part in parts:
            if not isinstance(part, Tensor) and part not in constants:
                assert like is not None
                constants[part] = torch.full_like(like, part)
        return torch.stack([part if isinstance(part, Tensor) else constants[part] for part in parts], dim=-1)
    first = like if like is not None else next(part for part in parts if isinstance(part, Tensor))
    place = torch.arange(len(parts), device=first.device)
    out = first[..., None].expand(*first.shape, len(parts))
    for i, part in enumerate(parts):
        out = torch.where(place == i, part[..., None] if isinstance(part, Tensor) else part, out)
    return out


def in_memory(tensor: Tensor) -> bool:
    """Tell whether a tensor is numbers in the host's memory that nobody traces or differentiates: NumPy may read it."""
    plain = type(tensor) is Tensor and tensor.device.type == "cpu" and not tensor.requires_grad
    watched = torch._C._are_functorch_transforms_active() or torch._C._len_torch_dispatch_stack() > 0
    return plain and not watched and forward_ad._current_level < 0


def _alike(part: Tensor | float, like: Tensor) -> bool:
    if not isinstance(part, Tensor):
        return True
    return part is like or (part.dtype == like.dtype and part.shape == like.shape and in_memory(part))


def _written(parts: Sequence[Tensor | float], like: Tensor) -> Tensor:
    """Stack numbers of the host by NumPy: for columns of a batch each part costs a tenth of an operation of torch."""
    out = np.empty((*like.shape, len(parts)), dtype=_WIDE[like.dtype])
    for i, part in enumerate(parts):
        out[..., i] = part.numpy() if isinstance(part, Tensor) else part
    return torch.from_numpy(out)


def product(a: Tensor, b: Tensor) -> Tensor:
    """Return the product of (..., 3, 3) and (..., 3, 3); a compiler makes it part of what is around it."""
    if not torch.compiler.is_compiling():
        return a @ b
    return (a[..., :, :, None] * b[..., None, :, :]).sum(-2)
