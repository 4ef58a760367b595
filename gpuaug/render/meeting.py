"""The operators of passes in which samples meet, on the Triton backend: see `triton.py`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gpuaug.render.launch import (
    block,
    encoding,
    head_of,
    new_images,
    on_device,
    operands_of,
    options_for,
    source_of,
    tiling,
)

__all__ = ["blend", "tile"]

_library: Any = torch.library.Library("gpuaug", "FRAGMENT")


def _ends(
    x: Tensor, canvas: list[int], operands: list[Tensor], channels: int, dtype: torch.dtype, channels_last: bool
) -> tuple[Tensor, tuple[int, int], tuple[int, int], tuple[Any, ...]]:
    """Return where a kernel writes, its tiles, and the arguments that say so."""
    out = new_images(x, channels, canvas, dtype, channels_last)
    size = block((canvas[0], canvas[1]))
    across = tiling((canvas[0], canvas[1]), size)
    return out, size, across, (*operands_of(x, operands), out, *out.stride(), *canvas, *across)


def _blend(
    x: Tensor,
    scale: float,
    geo: Tensor | None,
    operands: list[Tensor],
    head: list[int],
    shrink: float,
    canvas: list[int],
    index: Tensor,
    share: Tensor,
    window: Tensor | None,
    alpha: Tensor | None,
    whole: bool,
    program: list[int],
    constants: list[float],
    channels: int,
    dtype: torch.dtype,
    channels_last: bool,
    encode: int,
) -> Tensor:
    from gpuaug.render.kernels.meet import blend_kernel

    out, size, (_, tiles), ends = _ends(x, canvas, operands, channels, dtype, channels_last)
    if out.numel():
        with on_device(x):
            blend_kernel[(x.shape[0] * tiles,)](
                *source_of(x, scale),
                x if geo is None else geo,
                float(shrink),
                head[7],
                index,
                share,
                share.stride(0),
                share if window is None else window,
                0 if window is None else window.stride(0),
                share if alpha is None else alpha,
                *((0, 0, 0) if alpha is None else alpha.stride()),
                *ends,
                C=x.shape[1],
                OUT=channels,
                HEAD=head_of(head),
                WINDOW=window is not None,
                ALPHA=alpha is not None,
                WHOLE=whole,
                PROGRAM=tuple(program),
                CONSTANTS=tuple(constants),
                ENCODE=encoding(encode, dtype),
                BH=size[0],
                BW=size[1],
                **options_for(128),
            )
    return out


def _tile(
    x: Tensor,
    scale: float,
    geo: Tensor,
    operands: list[Tensor],
    head: list[int],
    fill: list[float],
    shrink: float,
    canvas: list[int],
    index: Tensor,
    rectangles: Tensor,
    places: Tensor,
    projective: bool,
    program: list[int],
    constants: list[float],
    channels: int,
    dtype: torch.dtype,
    channels_last: bool,
    encode: int,
) -> Tensor:
    from gpuaug.render.kernels.meet import tile_kernel

    like = x.new_empty(()).expand(index.shape[0], *x.shape[1:])
    out, size, (_, tiles), ends = _ends(like, canvas, operands, channels, dtype, channels_last)
    if out.numel():
        with on_device(x):
            tile_kernel[(index.shape[0] * tiles,)](
                *source_of(x, scale),
                geo,
                float(shrink),
                head[7],
                index,
                rectangles,
                places,
                index.shape[1],
                *ends,
                C=x.shape[1],
                OUT=channels,
                HEAD=head_of(head),
                FILL=tuple(fill),
                PROJECTIVE=projective,
                PROGRAM=tuple(program),
                CONSTANTS=tuple(constants),
                ENCODE=encoding(encode, dtype),
                BH=size[0],
                BW=size[1],
                **options_for(168),
            )
    return out


def _blend_fake(x: Tensor, *rest: Any) -> Tensor:
    return new_images(x, rest[-4], rest[5], rest[-3], rest[-2])


def _tile_fake(x: Tensor, *rest: Any) -> Tensor:
    like = x.new_empty(()).expand(rest[7].shape[0], *x.shape[1:])
    return new_images(like, rest[-4], rest[6], rest[-3], rest[-2])


_PROGRAM = "int[] program, float[] constants, SymInt channels, ScalarType dtype, bool channels_last, int encode"
for _name, _arguments, _run, _fake in (
    (
        "blend",
        "Tensor x, float scale, Tensor? geo, Tensor[] operands, int[] head, float shrink, SymInt[] canvas,"
        " Tensor index, Tensor share, Tensor? window, Tensor? alpha, bool whole",
        _blend,
        _blend_fake,
    ),
    (
        "tile",
        "Tensor x, float scale, Tensor geo, Tensor[] operands, int[] head, float[] fill, float shrink, SymInt[] canvas,"
        " Tensor index, Tensor rectangles, Tensor places, bool projective",
        _tile,
        _tile_fake,
    ),
):
    _library.define(f"{_name}({_arguments}, {_PROGRAM}) -> Tensor", tags=(torch.Tag.pt2_compliant_tag,))
    _library.impl(_name, _run, "CompositeExplicitAutograd")
    torch.library.register_fake(f"gpuaug::{_name}", _fake, lib=_library)

blend: Any = torch.ops.gpuaug.blend.default
tile: Any = torch.ops.gpuaug.tile.default
