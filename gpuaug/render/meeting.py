"""Passes in which samples meet, on the Triton backend: their operators, and what those take of a plan."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from gpuaug.render import triton as ops
from gpuaug.render.heads import head_of, inner, shrink_of
from gpuaug.render.launch import SOURCE, Given, block, encoding, on_device, options_for, register
from gpuaug.render.mixes import Blend
from gpuaug.render.reading import over
from gpuaug.render.warp import Warp

__all__ = ["blended", "tiled"]

_GIVEN = len(Given._fields)
_ENDS = f"int[] program, float[] constants, {ops.ENDS}"


def _launch(kernel: Any, samples: int, args: tuple[Any, ...], more: tuple[Any, ...], **constants: Any) -> Tensor:
    """Launch a kernel that writes images."""
    given = Given(*args[:_GIVEN])
    program, numbers, channels, dtype, channels_last, encode = args[-6:]
    out = _new(given, samples, channels, dtype, channels_last)
    size = block(given.size)
    arguments, tiles = given.launched(size)
    if out.numel() and samples:
        with on_device(out):
            kernel[(samples * tiles,)](
                *arguments,
                tiles,
                given.into(out),
                *more,
                **given.constants,
                GROUPS=tuple(given.grouped),
                ONTO=tuple(given.onto(channels)),
                PROGRAMS=tuple(given.split(program)),
                CONSTANTS=tuple(numbers),
                ENCODE=encoding(encode, dtype),
                BH=size[0],
                BW=size[1],
                **constants,
                **options_for(168),
            )
    return out


def _new(given: Given, samples: int, channels: int, dtype: torch.dtype, channels_last: bool) -> Tensor:
    if given.sizes is not None:
        return given.new(channels, dtype)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    shape = (samples, channels, *given.size)
    return torch.empty(shape, dtype=dtype, device=given.x.device, memory_format=layout)


def _blend(*args: Any) -> Tensor:
    from gpuaug.render.kernels.meet import blend_kernel

    share, window, alpha, whole = args[_GIVEN : _GIVEN + 4]
    more = (
        share,
        share.stride(0),
        share if window is None else window,
        0 if window is None else window.stride(0),
        share if alpha is None else alpha,
        (0, 0, 0) if alpha is None else alpha.stride(),
    )
    kinds = {"WINDOW": window is not None, "ALPHA": alpha is not None, "WHOLE": whole}
    return _launch(blend_kernel, share.shape[0], args, more, **kinds)


def _blended(*args: Any) -> Tensor:
    return _new(Given(*args[:_GIVEN]), args[_GIVEN].shape[0], *args[-4:-1])


def _tile(*args: Any) -> Tensor:
    from gpuaug.render.kernels.meet import tile_kernel

    rectangles, places = args[_GIVEN : _GIVEN + 2]
    return _launch(tile_kernel, places.shape[0], args, (rectangles, places, rectangles.shape[1]))


def _tiled(*args: Any) -> Tensor:
    return _new(Given(*args[:_GIVEN]), args[_GIVEN + 1].shape[0], *args[-4:-1])


_blend_op = register(
    f"blend({SOURCE}, Tensor share, Tensor? window, Tensor? alpha, bool whole, {_ENDS}) -> Tensor", _blend, _blended
)
_tile_op = register(f"tile({SOURCE}, Tensor rectangles, Tensor places, {_ENDS}) -> Tensor", _tile, _tiled)


def blended(given: tuple[Any, ...], blend: Blend, *ends: Any) -> Tensor:
    """Return images with others over them, given what operators begin and end with."""
    start = Given(*given)._replace(rows=blend.index.contiguous())
    if blend.matrix is not None:
        warp = over(blend, *start.size)
        shrink = shrink_of(warp)
        geo = ops.prepare(warp.matrix, None, warp.hard, start.canvas, None, shrink, False, False)
        start = start._replace(geo=geo, head=head_of(warp), shrink=shrink)
    window, alpha = (None if t is None else inner(t) for t in (blend.rectangle, blend.alpha))
    out: Tensor = _blend_op(*start, blend.share, window, alpha, blend.whole, *ends)
    return out


def tiled(given: tuple[Any, ...], warp: Warp, *ends: Any) -> Tensor:
    """Return canvases of several images, or of parts of one, given what operators begin and end with."""
    tiles = warp.tiles
    assert tiles is not None
    start = Given(*given)
    count = tiles.matrix.shape[1]
    rectangles, sources = tiles.within(warp.soft, warp.hard)
    matrix = (warp.matrix[:, None] @ tiles.matrix).flatten(0, 1)
    # Pixels that go to pixels are in a tile or not: none is cut.
    hard = None if tiles.index is None and warp.kind == "lattice" else sources.flatten(0, 1)
    shrink, canvas, deep = shrink_of(warp), start.canvas, warp.projective
    index, sizes = tiles.index, start.sizes
    if index is None:
        own = torch.arange(matrix.shape[0] // count, device=matrix.device) if start.rows is None else start.rows
        index = own[:, None].expand(-1, count)
    each = None if sizes is None else sizes.repeat_interleave(count, 0)
    start = start._replace(
        rows=index.contiguous(),
        geo=ops.prepare(matrix, None, hard, canvas, each, shrink, deep, False),
        head=head_of(replace(warp, tiles=None, soft=None, hard=hard)),
    )
    places = ops.prepare(warp.matrix, None, None, canvas, sizes, 1.0, deep, False)
    out: Tensor = _tile_op(*start, rectangles.to(torch.float32).contiguous(), places, *ends)
    return out
