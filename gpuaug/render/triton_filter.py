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
    tiling,
)
from gpuaug.render.triton import ENDS, rendered

__all__ = ["filtered"]

_GIVEN = len(Given._fields)
_ROOM = 116 * 2**20
"""Bytes of images to be written from which the scratch of three programs for each multiprocessor is a small part."""


def _tile(given: Given, reach: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the size of a tile, and of the blocks that it and what lies around it are made of."""
    if given.x.device.type != "cpu" or not interpreting():
        return (32, 64), (16, 32)
    tile = block(given.size)
    blocks = power(tile[0] + 2 * reach[1]), power(tile[1] + 2 * reach[0])
    return (max(tile[0], blocks[0]), max(tile[1], blocks[1])), blocks


def _scratch(given: Given, filter: list[int], out: Tensor) -> Tensor:
    """Return the scratch of each program: the planes of a tile and of what lies around it."""
    reach = filter[3], filter[4]
    tile, _ = _tile(given, reach)
    each = 3 if out.numel() * out.element_size() >= _ROOM else 2
    programs = torch.sym_min(given.samples * tiling(given.size, tile), each * processors(out.device))
    planes = (max(filter[6::7]), tile[0] + 2 * reach[1], tile[1] + 2 * reach[0])
    return out.new_empty((programs, *planes), dtype=torch.float32)


def _filtered(*args: Any) -> tuple[Tensor, Tensor]:
    from gpuaug.render.kernels.filter import filter_kernel

    given = Given(*args[:_GIVEN])
    before, filter, after, constants, channels, dtype, _, encode = args[_GIVEN:]
    out, scratch = _fake(*args)
    if not out.numel() or not given.samples:
        return out, scratch
    tile, size = _tile(given, (filter[3], filter[4]))
    arguments, tiles = given.launched(tile)
    for group, onto, first, last, own in zip(
        given.grouped, given.onto(channels), *(given.split(n) for n in (before, after, filter)), strict=True
    ):
        with on_device(out):
            filter_kernel[(scratch.shape[0],)](
                *arguments,
                tiles,
                given.into(out),
                scratch,
                scratch.shape[3],
                scratch.stride(1),
                given.samples * tiles,
                **given.constants,
                GROUP=group,
                ONTO=onto,
                BEFORE=first,
                AFTER=last,
                CONSTANTS=tuple(constants),
                ENCODE=encoding(encode, dtype),
                FILTER=(*own, power(max(own[3], own[4]) + 1)),
                TH=tile[0],
                TW=tile[1],
                BH=size[0],
                BW=size[1],
                num_stages=1,
                **options_for(168),
            )
    return out, scratch


def _fake(*args: Any) -> tuple[Tensor, Tensor]:
    """Return images to be written, and a scratch, which is returned so that whoever counts memory sees it."""
    out = rendered(*args)
    return out, _scratch(Given(*args[:_GIVEN]), args[_GIVEN + 1], out)


filtered = register(
    f"filtered({SOURCE}, int[] before, int[] filter, int[] after, float[] constants, {ENDS}) -> (Tensor, Tensor)",
    _filtered,
    _fake,
)
