"""Canvases: (height, width) of the whole batch, or of each sample where their sizes differ.

Transforms compute with `h, w = context.canvas` as numbers; for samples of different sizes these are tensors (B,), so
that the same arithmetic serves both. What has to be known on the host (limits, shapes) is asked of `hosts`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gpuaug.geometry.matrix import matrix_dtype

__all__ = [
    "Canvas",
    "Sizes",
    "along",
    "exact",
    "following",
    "hosts",
    "larger",
    "largest",
    "numbers",
    "ratio",
    "rectangle",
    "rounded",
    "scaled",
    "smaller",
    "spans",
    "whole",
]

Canvas = tuple[Any, Any]
"""(height, width): integers, or `Sizes`."""
Size = tuple[int, int]


class Sizes(tuple[Tensor, Tensor]):
    """Heights and widths (B,) of samples, on the device, and the same numbers on the host."""

    host: tuple[Size, ...]

    def __new__(cls, height: Tensor, width: Tensor, host: tuple[Size, ...]) -> Sizes:
        """Hold both."""
        made = super().__new__(cls, (height, width))
        made.host = host
        return made

    def __getnewargs__(self) -> Any:
        """Let it be copied and pickled."""
        return (*self, self.host)

    def to(self, dtype: torch.dtype) -> Sizes:
        """Return the numbers in another dtype."""
        return Sizes(self[0].to(dtype), self[1].to(dtype), self.host)


def hosts(canvas: Canvas) -> tuple[Size, ...]:
    """Return the sizes that occur, as numbers."""
    return tuple(dict.fromkeys(canvas.host)) if isinstance(canvas, Sizes) else (canvas,)


def exact(canvas: Canvas) -> Canvas:
    """Return sizes that are tensors in the dtype of matrices."""
    return canvas.to(matrix_dtype(canvas[0].device)) if isinstance(canvas, Sizes) else canvas


def numbers(canvas: Canvas) -> tuple[Any, ...]:
    """Return a canvas as plain numbers: (height, width), or one such pair for each sample."""
    return canvas.host if isinstance(canvas, Sizes) else canvas


def largest(canvas: Canvas) -> Size:
    """Return the largest height and width."""
    have = hosts(canvas)
    return max(h for h, _ in have), max(w for _, w in have)


def following(canvas: Canvas, size: Callable[[Canvas], Canvas]) -> Canvas:
    """Return the canvas after a step, given how the step changes one."""
    after = size(canvas)
    if after is canvas or isinstance(after, Sizes) or not isinstance(after[0], Tensor):
        return after
    assert isinstance(canvas, Sizes)
    return Sizes(after[0], after[1], tuple(size(one) for one in canvas.host))


def along(number: Any, dims: int) -> Any:
    """Return a number as it is, or one for each sample (B,) as (B, 1, ...)."""
    return number.view(-1, *[1] * dims) if isinstance(number, Tensor) else number


def scaled(canvas: Canvas, factor: Any) -> Canvas:
    """Return a canvas times a factor, in whole pixels, at least one."""
    return (larger(rounded(canvas[0] * factor), 1), larger(rounded(canvas[1] * factor), 1))


def rectangle(canvas: Canvas, like: Tensor) -> Tensor:
    """Return 0, 0, width, height as (4,), or (B, 4), without a copy from the host."""
    h, w = canvas
    if isinstance(h, Tensor):
        zero = torch.zeros_like(h)
        return torch.stack((zero, zero, w, h), dim=-1).to(like.dtype)
    corner = like.new_zeros(4)
    corner[2].fill_(w)
    corner[3].fill_(h)
    return corner


def spans(canvas: Canvas, like: Tensor) -> Tensor:
    """Return width and height (2,) of a canvas of one size, made on the device."""
    return torch.linspace(float(canvas[1]), float(canvas[0]), 2, dtype=like.dtype, device=like.device)


def larger(a: Any, b: Any) -> Any:
    """Return the larger of two numbers."""
    if isinstance(a, Tensor):
        return torch.maximum(a, b) if isinstance(b, Tensor) else a.clamp(min=b)
    return larger(b, a) if isinstance(b, Tensor) else max(a, b)


def smaller(a: Any, b: Any) -> Any:
    """Return the smaller of two numbers."""
    if isinstance(a, Tensor):
        return torch.minimum(a, b) if isinstance(b, Tensor) else a.clamp(max=b)
    return smaller(b, a) if isinstance(b, Tensor) else min(a, b)


def ratio(a: Any, b: Any) -> Any:
    """Return a / b; torch divides a number by a tensor by its reciprocal, which rounds twice."""
    if isinstance(b, Tensor) and not isinstance(a, Tensor):
        a = torch.full_like(b, a)
    return a / b


def rounded(a: Any) -> Any:
    """Return the nearest whole number, halves to even."""
    return torch.round(a) if isinstance(a, Tensor) else round(a)


def whole(a: Any) -> Any:
    """Return the whole number below."""
    return torch.floor(a) if isinstance(a, Tensor) else int(a // 1)
