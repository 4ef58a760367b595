"""The operators of the Triton backend: what each gives, and how its kernel is launched.

They are opaque to a compiler and have no derivative. Kernels are imported at the first launch, so that Triton is
needed only where they run; on `meta` and fake tensors an operator only says what comes out.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

__all__ = ["ROW", "STATISTICS", "filtered", "measure", "pick", "prepare", "render", "table"]

ROW = 12
"""Numbers of one row of a program, see `lowering`."""
STATISTICS = {"gray": 0, "sums": 1, "extremes": 2, "histogram": 3, "squares": 4, "squares_of_all": 5}
PARTS = 32
"""Most parts in which a sample is measured."""
_GEOMETRY = 20

_library: Any = torch.library.Library("gpuaug", "FRAGMENT")


@lru_cache(maxsize=1)
def _interpreting() -> bool:
    import triton

    from gpuaug.render.kernels.passes import render_kernel

    return not isinstance(render_kernel, triton.JITFunction)


def _block(canvas: tuple[int, int], height: int = 16, width: int = 32) -> tuple[int, int]:
    """Return the size of a tile; the interpreter's time is by program, whatever its size."""
    if _interpreting():
        return _power(canvas[0]), _power(canvas[1])
    return height, width


def _power(n: int) -> int:
    return 1 << max(n - 1, 0).bit_length()


def parts_of(canvas: tuple[int, int]) -> int:
    """Return in how many parts a sample is measured: a matter of the canvas alone."""
    return min(PARTS, _power((canvas[0] * canvas[1] + 4095) // 4096))


@lru_cache(maxsize=1024)
def _rows(program: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    return tuple(program[i : i + ROW] for i in range(0, len(program), ROW))


def _source(x: Tensor, scale: float) -> tuple[Any, ...]:
    return (x, *x.stride(), x.shape[2], x.shape[3], 1.0 / scale)


def _placed(x: Tensor, geo: Tensor | None, field: Tensor | None, head: list[int], shrink: float) -> tuple[Any, ...]:
    strides = (0, 0, 0) if field is None else field.stride()[:3]
    return (x if geo is None else geo, x if field is None else field, *strides, float(shrink), head[7])


def _operands(x: Tensor, operands: list[Tensor]) -> tuple[Any, Any]:
    given = operands or [x]
    return tuple(given), tuple(0 if t.dim() == 0 else t.stride(0) for t in given)


def _head(head: list[int]) -> tuple[int, ...]:
    # The number of taps is a constant of the kernel only where its loop is unrolled.
    return (*head[:7], 0) if head[3] else tuple(head)


def _encoding(mode: int, dtype: torch.dtype) -> tuple[float, ...]:
    """Return how values are rounded: not at all, from 0..1 to white, or on the scale of an integer dtype."""
    if mode == 0:
        return (0, 0.0, 0.0)
    limits = torch.iinfo(dtype)
    return (mode, float(limits.min), float(limits.max))


def _tiles(canvas: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    across = -(-canvas[1] // size[1])
    return across, -(-canvas[0] // size[0]) * across


def _new(x: Tensor, channels: int, canvas: Any, dtype: torch.dtype, channels_last: bool) -> Tensor:
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return torch.empty((x.shape[0], channels, *canvas), dtype=dtype, device=x.device, memory_format=layout)


# -- prepare


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
        with _on(matrix):
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
    return matrix.new_empty((matrix.shape[0], _GEOMETRY), dtype=torch.float64 if exact else torch.float32)


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

    out = _new(x, channels, canvas, dtype, channels_last)
    size = _block((canvas[0], canvas[1]))
    tiles_x, tiles = _tiles((canvas[0], canvas[1]), size)
    if out.numel():
        with _on(x):
            render_kernel[(x.shape[0] * tiles,)](
                *_source(x, scale),
                *_placed(x, geo, field, head, shrink),
                *_operands(x, operands),
                out,
                *out.stride(),
                *canvas,
                tiles_x,
                tiles,
                C=x.shape[1],
                OUT=channels,
                HEAD=_head(head),
                FILL=tuple(fill),
                PROGRAM=_rows(tuple(program)),
                CONSTANTS=tuple(constants),
                ENCODE=_encoding(encode, dtype),
                BH=size[0],
                BW=size[1],
                num_warps=4,
            )
    return out


def _render_fake(
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
    return _new(x, channels, canvas, dtype, channels_last)


def _on(x: Tensor) -> Any:
    """Return a context in which kernels are launched where the batch is."""
    return torch.cuda.device(x.device) if x.device.type == "cuda" else torch.no_grad()


# -- measure


def _width(kind: int, seen: int) -> int:
    return {0: 1, 2: 2 * seen}.get(kind, seen)


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
    size = _block((canvas[0], canvas[1]))
    tiles_x, tiles = _tiles((canvas[0], canvas[1]), size)
    if x.shape[0]:
        with _on(x):
            measure_kernel[(x.shape[0] * parts,)](
                *_source(x, scale),
                *_placed(x, geo, field, head, shrink),
                *_operands(x, operands),
                out,
                *canvas,
                tiles_x,
                tiles,
                C=x.shape[1],
                HEAD=_head(head),
                FILL=tuple(fill),
                PROGRAM=_rows(tuple(program)),
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
                num_warps=4,
            )
    return out


def _measured(x: Tensor, parts: int, kind: int, seen: int) -> Tensor:
    if kind == STATISTICS["histogram"]:
        return x.new_empty((x.shape[0], seen, 256), dtype=torch.int32)
    return x.new_empty((x.shape[0], parts, _width(kind, seen)), dtype=torch.float32)


def _measure_fake(
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
    return _measured(x, parts_of((canvas[0], canvas[1])), kind, seen)


def _table(histogram: Tensor, pixels: int) -> Tensor:
    from gpuaug.render.kernels.passes import table_kernel

    out = _table_fake(histogram, pixels)
    if histogram.numel():
        with _on(histogram):
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
    from gpuaug.render.kernels.passes import filter_kernel

    out = _new(x, channels, canvas, dtype, channels_last)
    if not out.numel():
        return out
    reach_x, reach_y = filter[3], filter[4]
    tile = _block((canvas[0], canvas[1]), 32, 64)
    pitch, lines = tile[1] + 2 * reach_x, tile[0] + 2 * reach_y
    size = (_power(lines), _power(pitch)) if _interpreting() else (16, 32)
    tile = (max(tile[0], size[0]), max(tile[1], size[1])) if _interpreting() else tile
    pitch, lines = tile[1] + 2 * reach_x, tile[0] + 2 * reach_y
    tiles_x, tiles = _tiles((canvas[0], canvas[1]), tile)
    total = x.shape[0] * tiles
    programs = min(total, 3 * _processors(x.device))
    planes = pitch * lines
    half = planes * filter[6]
    whole = half + pitch * tile[0] * filter[6]
    scratch = torch.empty(programs * whole, dtype=torch.float32, device=x.device)
    with _on(x):
        filter_kernel[(programs,)](
            *_source(x, scale),
            *_placed(x, geo, field, head, shrink),
            *_operands(x, operands),
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
            HEAD=_head(head),
            FILL=tuple(fill),
            BEFORE=_rows(tuple(before)),
            AFTER=_rows(tuple(after)),
            CONSTANTS=tuple(constants),
            ENCODE=_encoding(encode, dtype),
            FILTER=(*filter, _power(max(reach_x, reach_y) + 1)),
            TH=tile[0],
            TW=tile[1],
            BH=size[0],
            BW=size[1],
            num_warps=4,  # with eight, sm_80 and sm_90 spill
            num_stages=1,
        )
    return out


@lru_cache(maxsize=64)
def _processors(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1


def _filtered_fake(
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
    return _new(x, channels, canvas, dtype, channels_last)


# -- pick


def _pick(x: Tensor, geo: Tensor, field: Tensor | None, head: list[int], canvas: list[int], fill: float) -> Tensor:
    from gpuaug.render.kernels.pick import pick_kernel

    out = _pick_fake(x, geo, field, head, canvas, fill)
    if out.numel() == 0:
        return out
    size = _block((canvas[0], canvas[1]))
    tiles_x, tiles = _tiles((canvas[0], canvas[1]), size)
    plain = x.view(torch.uint8) if x.dtype == torch.bool else x
    value = fill if x.dtype.is_floating_point else int(fill)
    strides = (0, 0, 0) if field is None else field.stride()[:3]
    with _on(x):
        pick_kernel[(x.shape[0] * tiles,)](
            plain,
            *plain.stride(),
            *x.shape[2:],
            geo,
            geo if field is None else field,
            *strides,
            out.view(torch.uint8) if x.dtype == torch.bool else out,
            x.shape[1],
            *canvas,
            tiles_x,
            tiles,
            KIND=head[0],
            SOFT=head[4],
            HARD=head[5],
            FILL=int(bool(value)) if x.dtype == torch.bool else value,
            BH=size[0],
            BW=size[1],
            num_warps=4,
        )
    return out


def _pick_fake(x: Tensor, geo: Tensor, field: Tensor | None, head: list[int], canvas: list[int], fill: float) -> Tensor:
    return x.new_empty((x.shape[0], x.shape[1], *canvas))


_SOURCE = (
    "Tensor x, float scale, Tensor? geo, Tensor? field, Tensor[] operands, int[] head, float[] fill, float shrink, "
    "SymInt[] canvas"
)
_ENDS = "SymInt channels, ScalarType dtype, bool channels_last, int encode"
for _signature, _run, _fake in (
    (
        "prepare(Tensor matrix, Tensor? soft, Tensor? hard, SymInt[] canvas, float shrink, bool projective, bool exact)",
        _prepare,
        _prepare_fake,
    ),
    (f"render({_SOURCE}, int[] program, float[] constants, {_ENDS})", _render, _render_fake),
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
        _filtered_fake,
    ),
    (
        "pick(Tensor x, Tensor geo, Tensor? field, int[] head, SymInt[] canvas, float fill)",
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
