"""The operators of the Triton backend: what each gives, and how its kernel is launched.

They are opaque to a compiler and have no derivative. Kernels are imported at the first launch, so that Triton is
needed only where they run; on `meta` and fake tensors an operator only says what comes out.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gpuaug.render.launch import (
    GEOMETRY,
    STATISTICS,
    block,
    encoding,
    head_of,
    interpreting,
    new_images,
    on_device,
    operands_of,
    options_for,
    parts_of,
    placed,
    power,
    processors,
    source_of,
    tiling,
)

__all__ = ["filtered", "measure", "pick", "prepare", "render", "table"]

_library: Any = torch.library.Library("gpuaug", "FRAGMENT")


def _prepare(
    matrix: Tensor,
    soft: Tensor | None,
    hard: Tensor | None,
    canvas: list[int],
    shrink: float,
    projective: bool,
    exact: bool,
) -> Tensor:
    from gpuaug.render.kernels.passes import prepare_kernel

    out = _prepare_fake(matrix, soft, hard, canvas, shrink, projective, exact)
    batch, block = matrix.shape[0], 32
    if batch:
        with on_device(matrix):
            prepare_kernel[(-(-batch // block),)](
                matrix,
                *matrix.stride(),
                matrix if soft is None else soft,
                *((0, 0) if soft is None else soft.stride()),
                matrix if hard is None else hard,
                *((0, 0) if hard is None else hard.stride()),
                out,
                batch,
                *canvas,
                float(shrink),
                PROJECTIVE=projective,
                SOFT=soft is not None,
                HARD=hard is not None,
                EXACT=exact,
                BLOCK=block,
                num_warps=1,
            )
    return out


def _prepare_fake(
    matrix: Tensor,
    soft: Tensor | None,
    hard: Tensor | None,
    canvas: list[int],
    shrink: float,
    projective: bool,
    exact: bool,
) -> Tensor:
    return matrix.new_empty((matrix.shape[0], GEOMETRY), dtype=torch.float64 if exact else torch.float32)


# -- render


def _render(
    x: Tensor,
    scale: float,
    geo: Tensor | None,
    field: Tensor | None,
    operands: list[Tensor],
    head: list[int],
    fill: list[float],
    shrink: float,
    canvas: list[int],
    program: list[int],
    constants: list[float],
    channels: int,
    dtype: torch.dtype,
    channels_last: bool,
    encode: int,
) -> Tensor:
    from gpuaug.render.kernels.passes import render_kernel

    out = new_images(x, channels, canvas, dtype, channels_last)
    size = block((canvas[0], canvas[1]))
    tiles_x, tiles = tiling((canvas[0], canvas[1]), size)
    if out.numel():
        with on_device(x):
            render_kernel[(x.shape[0] * tiles,)](
                *source_of(x, scale),
                *placed(x, geo, field, head, shrink),
                *operands_of(x, operands),
                out,
                *out.stride(),
                *canvas,
                tiles_x,
                tiles,
                C=x.shape[1],
                OUT=channels,
                HEAD=head_of(head),
                FILL=tuple(fill),
                PROGRAM=tuple(program),
                CONSTANTS=tuple(constants),
                ENCODE=encoding(encode, dtype),
                BH=size[0],
                BW=size[1],
                **options_for(128),
            )
    return out


def _rendered_fake(x: Tensor, *rest: Any) -> Tensor:
    """Say what `render` and `filtered` give: the canvas, and the last four arguments but one, decide."""
    canvas, (channels, dtype, channels_last, _) = rest[7], rest[-4:]
    return new_images(x, channels, canvas, dtype, channels_last)


# -- measure


def _measure(
    x: Tensor,
    scale: float,
    geo: Tensor | None,
    field: Tensor | None,
    operands: list[Tensor],
    head: list[int],
    fill: list[float],
    shrink: float,
    canvas: list[int],
    program: list[int],
    constants: list[float],
    kind: int,
    on: int,
    stop: int,
    stat: int,
    seen: int,
    channels: int,
) -> Tensor:
    from gpuaug.render.kernels.passes import measure_kernel

    parts = parts_of((canvas[0], canvas[1]))
    out = _measured(x, parts, kind, seen)
    if kind == STATISTICS["histogram"]:
        out.zero_()
    size = block((canvas[0], canvas[1]))
    tiles_x, tiles = tiling((canvas[0], canvas[1]), size)
    if x.shape[0]:
        with on_device(x):
            measure_kernel[(x.shape[0] * parts,)](
                *source_of(x, scale),
                *placed(x, geo, field, head, shrink),
                *operands_of(x, operands),
                out,
                *canvas,
                tiles_x,
                tiles,
                C=x.shape[1],
                HEAD=head_of(head),
                FILL=tuple(fill),
                PROGRAM=tuple(program),
                CONSTANTS=tuple(constants),
                STOP=stop,
                KIND=kind,
                ON=on,
                STAT=stat,
                SEEN=seen,
                CHANNELS=channels,
                PARTS=parts,
                BH=size[0],
                BW=size[1],
                **options_for(128),
            )
    return out


def _measured(x: Tensor, parts: int, kind: int, seen: int) -> Tensor:
    if kind == STATISTICS["histogram"]:
        return x.new_empty((x.shape[0], seen, 256), dtype=torch.int32)
    return x.new_empty((x.shape[0], parts, {0: 1, 2: 2 * seen}.get(kind, seen)), dtype=torch.float32)


def _measure_fake(x: Tensor, *rest: Any) -> Tensor:
    """Say what `measure` gives."""
    canvas, kind, seen = rest[7], rest[-6], rest[-2]
    return _measured(x, parts_of((canvas[0], canvas[1])), kind, seen)


def _table(histogram: Tensor, pixels: int) -> Tensor:
    from gpuaug.render.kernels.passes import table_kernel

    out = _table_fake(histogram, pixels)
    if histogram.numel():
        with on_device(histogram):
            table_kernel[(histogram.shape[0] * histogram.shape[1],)](histogram, out, pixels, num_warps=4)
    return out


def _table_fake(histogram: Tensor, pixels: int) -> Tensor:
    return torch.empty_like(histogram, dtype=torch.float32)


# -- filter


def _filtered(
    x: Tensor,
    scale: float,
    geo: Tensor | None,
    field: Tensor | None,
    operands: list[Tensor],
    head: list[int],
    fill: list[float],
    shrink: float,
    canvas: list[int],
    before: list[int],
    filter: list[int],
    after: list[int],
    constants: list[float],
    channels: int,
    dtype: torch.dtype,
    channels_last: bool,
    encode: int,
) -> Tensor:
    from gpuaug.render.kernels.filter import filter_kernel

    out = new_images(x, channels, canvas, dtype, channels_last)
    if not out.numel():
        return out
    reach_x, reach_y = filter[3], filter[4]
    tile = block((canvas[0], canvas[1]), 32, 64)
    pitch, lines = tile[1] + 2 * reach_x, tile[0] + 2 * reach_y
    size = (power(lines), power(pitch)) if interpreting() else (16, 32)
    tile = (max(tile[0], size[0]), max(tile[1], size[1])) if interpreting() else tile
    pitch, lines = tile[1] + 2 * reach_x, tile[0] + 2 * reach_y
    tiles_x, tiles = tiling((canvas[0], canvas[1]), tile)
    total = x.shape[0] * tiles
    programs = min(total, 3 * processors(x.device))
    planes = pitch * lines
    half = planes * filter[6]
    whole = half + pitch * tile[0] * filter[6]
    scratch = torch.empty(programs * whole, dtype=torch.float32, device=x.device)
    with on_device(x):
        filter_kernel[(programs,)](
            *source_of(x, scale),
            *placed(x, geo, field, head, shrink),
            *operands_of(x, operands),
            scratch,
            pitch,
            planes,
            half,
            pitch * tile[0],
            whole,
            out,
            *out.stride(),
            *canvas,
            tiles_x,
            tiles,
            total,
            C=x.shape[1],
            OUT=channels,
            HEAD=head_of(head),
            FILL=tuple(fill),
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


# -- pick


def _pick(
    x: Tensor,
    geo: Tensor,
    field: Tensor | None,
    head: list[int],
    canvases: list[int],
    size: list[int],
    fill: float,
) -> Tensor:
    from gpuaug.render.kernels.pick import pick_kernel

    out = _pick_fake(x, geo, field, head, canvases, size, fill)
    if out.numel() == 0:
        return out
    tile = block((size[0], size[1]))
    tiles_x, tiles = tiling((size[0], size[1]), tile)
    plain = x.view(torch.uint8) if x.dtype == torch.bool else x
    value = fill if x.dtype.is_floating_point else int(fill)
    strides = (0, 0, 0) if field is None else field.stride()[:3]
    own = list(x.shape[2:]) == canvases[:2]
    with on_device(x):
        pick_kernel[(x.shape[0] * tiles,)](
            plain,
            *plain.stride(),
            *x.shape[2:],
            geo,
            geo if field is None else field,
            *strides,
            out.view(torch.uint8) if x.dtype == torch.bool else out,
            x.shape[1],
            *size,
            *canvases,
            tiles_x,
            tiles,
            KIND=head[0],
            SOFT=head[4],
            HARD=head[5],
            FILL=int(bool(value)) if x.dtype == torch.bool else value,
            OWN=own,
            SCALED=not own or list(size) != canvases[2:],
            BH=tile[0],
            BW=tile[1],
            **options_for(128),
        )
    return out


def _pick_fake(x: Tensor, *rest: Any) -> Tensor:
    return x.new_empty((x.shape[0], x.shape[1], *rest[4]))


_SOURCE = (
    "Tensor x, float scale, Tensor? geo, Tensor? field, Tensor[] operands, int[] head, float[] fill, float shrink, "
    "SymInt[] canvas"
)
_ENDS = "SymInt channels, ScalarType dtype, bool channels_last, int encode"
for _signature, _run, _fake in (
    (
        "prepare(Tensor matrix, Tensor? soft, Tensor? hard, SymInt[] canvas, float shrink, bool projective,"
        " bool exact)",
        _prepare,
        _prepare_fake,
    ),
    (f"render({_SOURCE}, int[] program, float[] constants, {_ENDS})", _render, _rendered_fake),
    (
        f"measure({_SOURCE}, int[] program, float[] constants, int kind, int on, int stop, int stat, int seen,"
        " int channels)",
        _measure,
        _measure_fake,
    ),
    ("table(Tensor histogram, SymInt pixels)", _table, _table_fake),
    (
        f"filtered({_SOURCE}, int[] before, int[] filter, int[] after, float[] constants, {_ENDS})",
        _filtered,
        _rendered_fake,
    ),
    (
        "pick(Tensor x, Tensor geo, Tensor? field, int[] head, SymInt[] canvases, SymInt[] size, float fill)",
        _pick,
        _pick_fake,
    ),
):
    _library.define(f"{_signature} -> Tensor", tags=(torch.Tag.pt2_compliant_tag,))
    _name = _signature.split("(")[0]
    _library.impl(_name, _run, "CompositeExplicitAutograd")
    torch.library.register_fake(f"gpuaug::{_name}", _fake, lib=_library)

prepare: Any = torch.ops.gpuaug.prepare.default
render: Any = torch.ops.gpuaug.render.default
measure: Any = torch.ops.gpuaug.measure.default
table: Any = torch.ops.gpuaug.table.default
filtered: Any = torch.ops.gpuaug.filtered.default
pick: Any = torch.ops.gpuaug.pick.default
