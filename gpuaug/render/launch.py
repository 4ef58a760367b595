"""What every launch of a kernel needs: sizes of tiles, strides, and programs as constants."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "GEOMETRY",
    "ROW",
    "STATISTICS",
    "block",
    "encoding",
    "head_of",
    "interpreting",
    "new_images",
    "on_device",
    "operands_of",
    "options_for",
    "parts_of",
    "placed",
    "power",
    "processors",
    "source_of",
    "tiling",
]

ROW = 12
"""Numbers of one row of a program, see `lowering`."""
STATISTICS = {"gray": 0, "sums": 1, "extremes": 2, "histogram": 3, "squares": 4, "squares_of_all": 5}
PARTS = 32
"""Most parts in which a sample is measured."""
GEOMETRY = 20
"""Numbers that `prepare` leaves for each sample."""


@lru_cache(maxsize=1)
def interpreting() -> bool:
    """Tell whether kernels run in Triton's interpreter, as in tests without a GPU."""
    import triton

    from gpuaug.render.kernels.passes import render_kernel

    return not isinstance(render_kernel, triton.JITFunction)


def block(canvas: tuple[int, int], height: int = 16, width: int = 32) -> tuple[int, int]:
    """Return the size of a tile; the interpreter's time is by program, whatever its size."""
    if interpreting():
        return power(canvas[0]), power(canvas[1])
    return height, width


def power(n: int) -> int:
    """Return the next power of two."""
    return 1 << max(n - 1, 0).bit_length()


def parts_of(canvas: tuple[int, int]) -> int:
    """Return in how many parts a sample is measured: a matter of the canvas alone."""
    return min(PARTS, power((canvas[0] * canvas[1] + 4095) // 4096))


def source_of(x: Tensor, scale: float) -> tuple[Any, ...]:
    """Return the arguments of a kernel that say where pixels come from."""
    return (x, *x.stride(), x.shape[2], x.shape[3], 1.0 / scale)


def placed(x: Tensor, geo: Tensor | None, field: Tensor | None, head: list[int], shrink: float) -> tuple[Any, ...]:
    """Return those that say through which warp."""
    strides = (0, 0, 0) if field is None else field.stride()[:3]
    return (x if geo is None else geo, x if field is None else field, *strides, float(shrink), head[7])


def operands_of(x: Tensor, operands: list[Tensor]) -> tuple[Any, Any]:
    """Return operands and their strides from sample to sample; a kernel takes at least one."""
    given = operands or [x]
    return tuple(given), tuple(0 if t.dim() == 0 else t.stride(0) for t in given)


def head_of(head: list[int]) -> tuple[int, ...]:
    """Return what a kernel is made for."""
    # The number of taps is a constant of the kernel only where its loop is unrolled.
    return (*head[:7], 0) if head[3] else tuple(head)


def encoding(mode: int, dtype: torch.dtype) -> tuple[float, ...]:
    """Return how values are rounded: not at all, from 0..1 to white, or on the scale of an integer dtype."""
    if mode == 0:
        return (0, 0.0, 0.0)
    limits = torch.iinfo(dtype)
    return (mode, float(limits.min), float(limits.max))


def tiling(canvas: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Return how many tiles of a size lie across a canvas, and how many cover it."""
    across = -(-canvas[1] // size[1])
    return across, -(-canvas[0] // size[0]) * across


def new_images(x: Tensor, channels: int, canvas: Any, dtype: torch.dtype, channels_last: bool) -> Tensor:
    """Return images to be written."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return torch.empty((x.shape[0], channels, *canvas), dtype=dtype, device=x.device, memory_format=layout)


def options_for(registers: int) -> dict[str, Any]:
    """Return how a kernel is compiled: 128 threads, and as many registers for each as it may take.

    Left to itself the assembler sometimes spills a few for the sake of more programs at a time.
    """
    return {"num_warps": 4, "maxnreg": registers} if torch.version.hip is None else {"num_warps": 4}


def on_device(x: Tensor) -> Any:
    """Return a context in which kernels are launched where the batch is."""
    return torch.cuda.device(x.device) if x.device.type == "cuda" else torch.no_grad()


@lru_cache(maxsize=64)
def processors(device: torch.device) -> int:
    """Return how many multiprocessors a device has."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1
