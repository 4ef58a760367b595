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
    SOURCE,
    STATISTICS,
    Given,
    block,
    encoding,
    forms,
    on_device,
    options_for,
    register,
)

__all__ = ["ENDS", "measure", "prepare", "render", "rendered", "table"]

ENDS = "SymInt channels, ScalarType dtype, bool channels_last, int encode"
"""The arguments that operators which write images end with."""
_GIVEN = len(Given._fields)


def _prepare(
    matrix: Tensor,
    soft: Tensor | None,
    hard: Tensor | None,
    canvas: list[int],
    sizes: Tensor | None,
    shrink: float,
    projective: bool,
    exact: bool,
) -> Tensor:
    from gpuaug.render.kernels.passes import prepare_kernel

    out = _prepared(matrix, soft, hard, canvas, sizes, shrink, projective, exact)
    batch, lanes = matrix.shape[0], 32
    if batch:
        with on_device(matrix):
            prepare_kernel[(-(-batch // lanes),)](
                matrix,
                *matrix.stride(),
                matrix if soft is None else soft,
                *((0, 0) if soft is None else soft.stride()),
                matrix if hard is None else hard,
                *((0, 0) if hard is None else hard.stride()),
                out,
                batch,
                canvas[0],
                canvas[1],
                matrix if sizes is None else sizes,
                float(shrink),
                PROJECTIVE=projective,
                SOFT=soft is not None,
                HARD=hard is not None,
                EXACT=exact,
                SIZED=sizes is not None,
                BLOCK=lanes,
                num_warps=1,
            )
    return out


def _prepared(matrix: Tensor, *rest: Any) -> Tensor:
    return matrix.new_empty((matrix.shape[0], GEOMETRY), dtype=torch.float64 if rest[-1] else torch.float32)


def _render(*args: Any) -> Tensor:
    from gpuaug.render.kernels.passes import render_kernel

    given = Given(*args[:_GIVEN])
    program, constants, channels, dtype, channels_last, encode = args[_GIVEN:]
    out = given.new(channels, dtype, channels_last)
    size = block(given.size)
    arguments, tiles = given.launched(size)
    if out.numel() and given.samples:
        with on_device(out):
            render_kernel[(given.samples * tiles,)](
                *arguments,
                tiles,
                given.into(out),
                **given.constants,
                GROUPS=tuple(given.grouped),
                ONTO=tuple(given.onto(channels)),
                PROGRAMS=tuple(given.split(program)),
                CONSTANTS=tuple(constants),
                ENCODE=encoding(encode, dtype),
                BH=size[0],
                BW=size[1],
                **options_for(128),
            )
    return out


def rendered(*args: Any) -> Tensor:
    """Say what operators give that write images."""
    channels, dtype, channels_last, _ = args[-4:]
    return Given(*args[:_GIVEN]).new(channels, dtype, channels_last)


def _measure(*args: Any) -> Tensor:
    from gpuaug.render.kernels.passes import measure_kernel

    given = Given(*args[:_GIVEN])
    program, constants, kind, on, stop, stat, seen, limits = args[_GIVEN:]
    out = _measured(*args)
    if kind == STATISTICS["histogram"]:
        out.zero_()
    size = block(given.size)
    arguments, _ = given.launched(size)
    rows = [given.split(given_) for given_ in (program, limits)]
    for group, numbers, (planes, selected, columns) in zip(given.grouped, *rows, strict=True):
        if not given.samples or not planes:
            continue
        with on_device(out):
            measure_kernel[(given.samples * given.parts,)](
                *arguments,
                out,
                **given.constants,
                GROUP=group,
                PROGRAM=numbers,
                CONSTANTS=tuple(constants),
                STOP=stop,
                KIND=kind,
                ON=on,
                STAT=stat,
                SEEN=seen,
                CHANNELS=selected,
                COLUMNS=columns,
                PLANES=planes,
                PARTS=given.parts,
                BH=size[0],
                BW=size[1],
                **options_for(128),
            )
    return out


def _measured(*args: Any) -> Tensor:
    given = Given(*args[:_GIVEN])
    kind, seen = args[_GIVEN + 2], args[_GIVEN + 6]
    if kind == STATISTICS["histogram"]:
        return given.x.new_empty((given.samples, seen, 256), dtype=torch.int32)
    width = {0: 1, 2: 2 * seen, 6: seen * seen, 7: 1, 8: 1}.get(kind, seen)
    return given.x.new_empty((given.samples, given.parts, width), dtype=torch.float32)


def _table(histogram: Tensor, canvas: list[int], sizes: Tensor | None) -> Tensor:
    from gpuaug.render.kernels.passes import table_kernel

    out = torch.empty_like(histogram, dtype=torch.float32)
    if histogram.numel():
        where = (canvas[0], canvas[1], histogram if sizes is None else sizes)
        head = (0,) * 8 + forms(None, None, sizes)
        with on_device(histogram):
            table_kernel[(histogram.shape[0] * histogram.shape[1],)](
                histogram, out, where, histogram.shape[1], HEAD=head, num_warps=4
            )
    return out


prepare = register(
    "prepare(Tensor matrix, Tensor? soft, Tensor? hard, SymInt[] canvas, Tensor? sizes, float shrink, bool projective,"
    " bool exact) -> Tensor",
    _prepare,
    _prepared,
)
render = register(f"render({SOURCE}, int[] program, float[] constants, {ENDS}) -> Tensor", _render, rendered)
measure = register(
    f"measure({SOURCE}, int[] program, float[] constants, int kind, int on, int stop, int stat, int seen,"
    " int[] limits) -> Tensor",
    _measure,
    _measured,
)
table = register(
    "table(Tensor histogram, SymInt[] canvas, Tensor? sizes) -> Tensor",
    _table,
    lambda histogram, canvas, sizes: torch.empty_like(histogram, dtype=torch.float32),
)
