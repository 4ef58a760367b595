"""The operator that measures the tiles of samples for CLAHE."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gpuaug.render.launch import SOURCE, Given, block, interpreting, on_device, options_for, register

__all__ = ["tiles"]

_GIVEN = len(Given._fields)


def _tiles(*args: Any) -> Tensor:
    from gpuaug.render.kernels.tiles import tiles_kernel

    given = Given(*args[:_GIVEN])
    program, constants, on, stop, clip, grid, limits = args[_GIVEN:]
    out = _fake(*args)
    size = block(given.size)
    if interpreting():  # whose time is by program: a tile at once
        size = block((given.size[0] // grid[0] + 1, given.size[1] // grid[1] + 1))
    arguments, _ = given.launched(size)
    rows = [given.split(numbers) for numbers in (program, limits)]
    for group, numbers, (planes, selected, _) in zip(given.grouped, *rows, strict=True):
        if not given.samples or not planes:
            continue
        with on_device(out):
            tiles_kernel[(given.samples * grid[0] * grid[1],)](
                *arguments,
                out,
                **given.constants,
                GROUP=group,
                PROGRAM=numbers,
                CONSTANTS=tuple(constants),
                STOP=stop,
                ON=on,
                CLIP=clip,
                CHANNELS=selected,
                PLANES=planes,
                GY=grid[0],
                GX=grid[1],
                BH=size[0],
                BW=size[1],
                **options_for(168),
            )
    return out


def _fake(*args: Any) -> Tensor:
    """Return tables (B, tiles, 256) to be written."""
    given, grid = Given(*args[:_GIVEN]), args[_GIVEN + 5]
    return given.x.new_empty((given.samples, grid[0] * grid[1], 256), dtype=torch.float32)


tiles = register(
    f"tiles({SOURCE}, int[] program, float[] constants, int on, int stop, int clip, int[] grid, int[] limits)"
    " -> Tensor",
    _tiles,
    _fake,
)
