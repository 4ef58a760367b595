"""The operator that moves classes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gpuaug.render.launch import block, forms, on_device, options_for, register, source_of, tiling

__all__ = ["pick"]


def _pick(
    x: Tensor,
    index: Tensor | None,
    table: Tensor | None,
    sizes: Tensor | None,
    bands: int,
    geo: Tensor,
    field: Tensor | None,
    head: list[int],
    spans: list[int],
    size: list[int],
    fill: float,
) -> Tensor:
    from gpuaug.render.kernels.pick import pick_kernel

    out = _picked(x, index, table, sizes, bands, geo, field, head, spans, size, fill)
    if out.numel() == 0 or geo.shape[0] == 0:
        return out
    tile = block((size[0], size[1]))
    tiles = tiling((size[0], size[1]), tile)
    plain, into = (t.view(torch.uint8) if x.dtype == torch.bool else t for t in (x, out))
    value = fill if x.dtype.is_floating_point else int(fill)
    strides = (0, 0, 0) if field is None else field.stride()[:3]
    # Planes of images that differ in size are of the images' resolution.
    own = table is not None or list(x.shape[2:]) == spans[:2]
    scaled = not own or (sizes is None and size[:2] != spans[2:])
    with on_device(x):
        pick_kernel[(geo.shape[0] * tiles,)](
            source_of(plain, index, table),
            geo,
            geo if field is None else field,
            *strides,
            (size[0], size[1], x if sizes is None else sizes),
            tiles,
            (into, *into.stride()) if sizes is None else (into[size[2] :], 0, 0, 0, 0),
            bands,
            tuple(spans),
            KIND=head[0],
            SOFT=head[4],
            HARD=head[5],
            FILL=int(bool(value)) if x.dtype == torch.bool else value,
            HEAD=(*head[:8], *forms(index, table, sizes)),
            OWN=own,
            SCALED=scaled,
            BH=tile[0],
            BW=tile[1],
            **options_for(128),
        )
    return out


def _picked(x: Tensor, *rest: Any) -> Tensor:
    sizes, bands, geo, size = rest[2], rest[3], rest[4], rest[8]
    if sizes is not None:
        return x.new_empty(size[2] + size[3])
    return x.new_empty((geo.shape[0], bands, size[0], size[1]))


pick = register(
    "pick(Tensor x, Tensor? index, Tensor? table, Tensor? sizes, SymInt bands, Tensor geo, Tensor? field, int[] head,"
    " SymInt[] spans, SymInt[] size, float fill) -> Tensor",
    _pick,
    _picked,
)
