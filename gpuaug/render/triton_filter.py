"""The operator that renders through a neighbourhood filter."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gpuaug.render.launch import (
    SOURCE,
    Given,
    block,
    encoding,
    interpreting,
    on_device,
    options_for,
    power,
    processors,
    register,
)
from gpuaug.render.triton import ENDS, rendered

__all__ = ["filtered"]

_GIVEN = len(Given._fields)


def _filtered(*args: Any) -> Tensor:
    from gpuaug.render.kernels.filter import filter_kernel

    given = Given(*args[:_GIVEN])
    before, filter, after, constants, channels, dtype, _, encode = args[_GIVEN:]
    out = rendered(*args)
    if not out.numel() or not given.samples:
        return out
    reach_x, reach_y = filter[3], filter[4]
    tile = block(given.size, 32, 64)
    pitch, lines = tile[1] + 2 * reach_x, tile[0] + 2 * reach_y
    size = (power(lines), power(pitch)) if interpreting() else (16, 32)
    tile = (max(tile[0], size[0]), max(tile[1], size[1])) if interpreting() else tile
    pitch, lines = tile[1] + 2 * reach_x, tile[0] + 2 * reach_y
    arguments, tiles = given.launched(tile)
    total = given.samples * tiles
    programs = min(total, 3 * processors(out.device))
    planes = pitch * lines
    half = planes * filter[6]
    whole = half + pitch * tile[0] * filter[6]
    scratch = torch.empty(programs * whole, dtype=torch.float32, device=out.device)
    with on_device(out):
        filter_kernel[(programs,)](
            *arguments,
            tiles,
            given.into(out),
            scratch,
            pitch,
            planes,
            half,
            pitch * tile[0],
            whole,
            total,
            **given.constants,
            OUT=channels,
            BEFORE=tuple(before),
            AFTER=tuple(after),
            CONSTANTS=tuple(constants),
            ENCODE=encoding(encode, dtype),
            FILTER=(*filter, power(max(reach_x, reach_y) + 1)),
            TH=tile[0],
            TW=tile[1],
            BH=size[0],
            BW=size[1],
            num_stages=1,
            **options_for(168),
        )
    return out


filtered = register(
    f"filtered({SOURCE}, int[] before, int[] filter, int[] after, float[] constants, {ENDS}) -> Tensor",
    _filtered,
    rendered,
)
