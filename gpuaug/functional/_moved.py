"""The door of the functions that move pixels: a matrix for each sample, and the renderer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gpuaug.data.batch import Batch, open_door
from gpuaug.geometry import matrix as mat
from gpuaug.render.backend import render
from gpuaug.render.plan import Plan
from gpuaug.render.settings import Reading, as_fill, as_interpolation
from gpuaug.render.warp import Kind

__all__ = ["Canvas", "Number", "moved", "samples"]

Number = Tensor | float
Canvas = tuple[int, int]


def samples(value: Number, like: Tensor, name: str, argument: str) -> Tensor:
    """Return (B,) of numbers given for each sample, or of one for all."""
    if isinstance(value, (tuple, list)):
        value = torch.tensor(value)
    if not isinstance(value, Tensor):
        return torch.full_like(like, float(value))
    if value.shape not in ((), like.shape):
        raise ValueError(
            f"{name}: {argument} must be a number or have one for each of the {like.shape[0]} samples, got shape "
            f"{tuple(value.shape)}"
        )
    return value.to(like).expand_as(like)


def moved(
    name: str,
    image: Tensor,
    matrix: Callable[[Tensor, Canvas], Tensor],
    size: Canvas | None = None,
    kind: Kind = "warp",
    *,
    interpolation: Any = "bilinear",
    fill: Any = 0.0,
    antialias: bool = True,
    window: Callable[[Tensor], Tensor] | None = None,
    **settings: Any,
) -> Tensor:
    """Read images through the matrix (B, 3, 3) that a function makes of zeros (B,) and the canvas."""
    batch, write = open_door((image,), name)
    x = batch.image
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}: images must be one tensor (B, C, H, W), got images of several sizes")
    like = torch.zeros(x.shape[0], dtype=mat.matrix_dtype(x.device), device=x.device)
    plan = Plan(batch.canvas, x.shape[1], x.dtype)
    if x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous():
        plan.layout = torch.channels_last
    values = as_fill(fill, name) or (0.0,)
    if len(values) not in (1, x.shape[1]):
        raise ValueError(f"{name}: fill must be one number or {x.shape[1]} numbers, got {fill!r}")
    reading = Reading(as_interpolation(interpolation, name) or "bilinear", antialias, plan.working(values))
    plan.warp(
        matrix(like, batch.canvas),
        size or batch.canvas,
        kind,
        reading,
        window=None if window is None else window(like),
        **settings,
    )
    out: Tensor = write(Batch(render(x, plan)))
    return out
