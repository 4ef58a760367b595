"""The operators that compress images as JPEG does: planes as a file would give them back, and pixels from planes."""

from __future__ import annotations

import torch
from torch import Tensor

from gpuaug.functional.jpeg import BASIS, FACTORS, tables
from gpuaug.render.launch import block, interpreting, on_device, options_for, power, register, tiling
from gpuaug.render.program import Choice

__all__ = ["compressed"]


def _sides(x: Tensor, down: int, across: int) -> tuple[int, int]:
    """Return the size of a plane of chroma."""
    return -(-x.shape[2] // down), -(-x.shape[3] // across)


def _planes(x: Tensor, on: Tensor | None, basis: Tensor, steps: Tensor, scale: float, down: int, across: int) -> Tensor:
    h, w = x.shape[2:]
    ch, cw = _sides(x, down, across)
    return x.new_empty((x.shape[0], h * w + (2 * ch * cw if x.shape[1] == 3 else 0)), dtype=torch.uint8)


def _code(x: Tensor, on: Tensor | None, basis: Tensor, steps: Tensor, scale: float, down: int, across: int) -> Tensor:
    from gpuaug.render.kernels.jpeg import code_kernel

    out = _planes(x, on, basis, steps, scale, down, across)
    (h, w), (ch, cw) = x.shape[2:], _sides(x, down, across)
    if not out.numel():
        return out
    for chroma in range(min(x.shape[1], 2)):
        ph, pw = (ch, cw) if chroma else (h, w)
        blocks = -(-ph // 8) * -(-pw // 8)
        size = power(blocks) if interpreting() else 8
        with on_device(x):
            code_kernel[(x.shape[0], -(-blocks // size), 1 + chroma)](
                x,
                *x.stride(),
                1.0 / scale,
                x if on is None else on,
                0 if on is None else on.stride(0),
                basis,
                steps,
                out,
                out.shape[1],
                h,
                w,
                ch,
                cw,
                blocks,
                CHROMA=chroma == 1,
                C=x.shape[1],
                DOWN=down,
                ACROSS=across,
                GATED=on is not None,
                N=size,
                **options_for(128),
            )
    return out


def _shown(x: Tensor, planes: Tensor, on: Tensor | None, scale: float, down: int, across: int) -> Tensor:
    return x.new_empty(x.shape, dtype=torch.uint8 if x.dtype == torch.uint8 else torch.float32)


def _show(x: Tensor, planes: Tensor, on: Tensor | None, scale: float, down: int, across: int) -> Tensor:
    from gpuaug.render.kernels.jpeg import show_kernel

    out = _shown(x, planes, on, scale, down, across)
    h, w = int(x.shape[2]), int(x.shape[3])
    size = block((h, w))
    tiles = tiling((h, w), size)
    if out.numel():
        with on_device(x):
            show_kernel[(x.shape[0] * tiles,)](
                x,
                *x.stride(),
                1.0 / scale,
                x if on is None else on,
                0 if on is None else on.stride(0),
                planes,
                planes.shape[1],
                out,
                h,
                w,
                *_sides(x, down, across),
                tiles,
                C=x.shape[1],
                DOWN=down,
                ACROSS=across,
                GATED=on is not None,
                WORKING=out.dtype != torch.uint8,
                BH=size[0],
                BW=size[1],
                **options_for(128),
            )
    return out


_coded = register(
    "jpeg_coded(Tensor x, Tensor? on, Tensor basis, Tensor steps, float scale, int down, int across) -> Tensor",
    _code,
    _planes,
)
_pixels = register(
    "jpeg_shown(Tensor x, Tensor planes, Tensor? on, float scale, int down, int across) -> Tensor", _show, _shown
)


def compressed(images: Tensor, scale: float, choice: Choice) -> Tensor:
    """Return images after the choice `jpeg`: working float32 ones, or, of uint8, uint8."""
    down, across = FACTORS[choice.static["subsampling"]]
    steps = tables(choice.operands[0]).to(torch.int32)
    basis = BASIS.on(images.device).to(torch.int32)
    on = choice.on
    planes = _coded(images, on, basis, steps, scale, down, across)
    out: Tensor = _pixels(images, planes, on, scale, down, across)
    return out
