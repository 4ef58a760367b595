"""Objects with unsigned integers of 16 bits and more, from which torch 2.8 neither picks nor chooses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gpuaug.render.values import movable

if TYPE_CHECKING:
    from gpuaug.data.batch import Batch, Write
    from gpuaug.data.instances import Instances

__all__ = ["held_signed"]

_WIDER = {torch.uint16: torch.int32, torch.uint32: torch.int64, torch.uint64: torch.int64}


def held_signed(batch: Batch, write: Write) -> tuple[Batch, Write]:
    """Return a batch whose objects are in other integers, and what writes them in their own again.

    Masks keep their bits: what they are compared with are zero and the numbers of rows. Classes and columns are wider.
    """
    rows = batch.instances
    if rows is None or all(dtype not in _WIDER for dtype in _dtypes(rows).values()):
        return batch, write
    own = _dtypes(rows)
    held = _mapped(rows, lambda name, t: movable(t) if name == "masks" else t.to(_WIDER.get(t.dtype, t.dtype)))
    kinds = _dtypes(held)

    def back(name: str, t: Tensor) -> Tensor:
        if name not in own or own[name] not in _WIDER or t.dtype != kinds[name]:  # index maps of many rows grow wider
            return t
        return t.view(own[name]) if name == "masks" else t.to(own[name])

    def written(out: Batch) -> object:
        return write(out if out.instances is None else replace(out, instances=_mapped(out.instances, back)))

    return replace(batch, instances=held), written


def _mapped(rows: Instances, function: Callable[[str, Tensor], Tensor]) -> Instances:
    """Return objects with a function of name and tensor applied to what may be unsigned."""
    given = {name: getattr(rows, name) for name in ("labels", "masks")}
    fields = {name: function(name, t) if isinstance(t, Tensor) else t for name, t in given.items()}
    return replace(rows, **fields, columns={key: function(key, t) for key, t in rows.columns.items()})


def _dtypes(rows: Instances) -> dict[str, torch.dtype]:
    found: dict[str, torch.dtype] = {}

    def note(name: str, t: Tensor) -> Tensor:
        found[name] = t.dtype
        return t

    _mapped(rows, note)
    return found
