"""Small arithmetic in the form that makes a compiler launch least: run operation by operation it is what torch has."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

__all__ = ["exact", "kept", "product", "stacked"]

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


def product(a: Tensor, b: Tensor) -> Tensor:
    """Return the product of (..., 3, 3) and (..., 3, 3); a compiler makes it part of what is around it."""
    if not torch.compiler.is_compiling():
        return a @ b
    return (a[..., :, :, None] * b[..., None, :, :]).sum(-2)
