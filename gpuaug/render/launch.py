"""What every launch of a kernel needs: sizes of tiles, strides, and programs as constants."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

__all__ = [
    "GEOMETRY",
    "ROW",
    "SOURCE",
    "STATISTICS",
    "Given",
    "block",
    "encoding",
    "forms",
    "interpreting",
    "on_device",
    "options_for",
    "parts_of",
    "power",
    "processors",
    "register",
    "source_of",
    "tiling",
]

ROW = 14
"""Numbers of one row of a program, see `lowering`."""
STATISTICS = {
    "gray": 0,
    "sums": 1,
    "extremes": 2,
    "histogram": 3,
    "squares": 4,
    "squares_of_all": 5,
    "products": 6,
    "lightness": 7,
    "lightness_squares": 8,
}
PARTS = 32
"""Most parts in which a sample is measured."""
GEOMETRY = 20
"""Numbers that `prepare` leaves for each sample."""
SOURCE = (
    "Tensor x, Tensor? rows, Tensor? table, Tensor? sizes, SymInt bands, int[] groups, float scale, Tensor? geo,"
    " Tensor? field, Tensor[] operands, int[] head, float[] fill, float shrink, SymInt[] canvas"
)
"""`Given`, in the signature of an operator."""

_library: Any = torch.library.Library("gpuaug", "FRAGMENT")


def register(signature: str, run: Callable[..., Any], fake: Callable[..., Any]) -> Any:
    """Define an operator by what it does and by what comes out; return it."""
    name = signature.split("(")[0]
    _library.define(signature, tags=(torch.Tag.pt2_compliant_tag,))
    _library.impl(name, run, "CompositeExplicitAutograd")
    torch.library.register_fake(f"gpuaug::{name}", fake, lib=_library)
    return getattr(torch.ops.gpuaug, name).default


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


def parts_of(canvas: tuple[int, int], differing: bool = False) -> int:
    """Return in how many parts a sample is measured: a matter of the canvas alone, or a constant where they differ."""
    return PARTS if differing else min(PARTS, power((canvas[0] * canvas[1] + 4095) // 4096))


class Given(NamedTuple):
    """The arguments that every operator on pixels begins with: what is read, through which warp, onto which canvas."""

    x: Tensor
    """(B, C, H, W), or one flat buffer."""
    rows: Tensor | None
    """(B,) int64: which row each sample reads, where not its own."""
    table: Tensor | None
    """(B, 3) int64: heights, widths and offsets in a flat buffer."""
    sizes: Tensor | None
    """The same of what is written, where canvases differ."""
    bands: int
    """Channels of the source."""
    groups: list[int]
    """Those that are in registers together, one group after another, each followed by -1."""
    scale: float
    geo: Tensor | None
    field: Tensor | None
    operands: list[Tensor]
    head: list[int]
    fill: list[float]
    shrink: float
    canvas: list[int]
    """Height and width; of canvases that differ the largest, then the first value's place and the number of values."""

    @property
    def samples(self) -> int:
        """How many samples are written."""
        own = self.x if self.table is None else self.table
        return own.shape[0] if self.rows is None else self.rows.shape[0]

    @property
    def size(self) -> tuple[int, int]:
        """The canvas, or the largest one."""
        return self.canvas[0], self.canvas[1]

    @property
    def parts(self) -> int:
        """In how many parts a sample is measured."""
        return parts_of(self.size, self.sizes is not None)

    def new(self, channels: int, dtype: torch.dtype, channels_last: bool = False) -> Tensor:
        """Return images to be written, or a flat buffer of them."""
        if self.sizes is not None:
            return self.x.new_empty(self.canvas[2] + self.canvas[3], dtype=dtype)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        shape = (self.samples, channels, *self.size)
        return torch.empty(shape, dtype=dtype, device=self.x.device, memory_format=layout)

    def launched(self, tile: tuple[int, int]) -> tuple[tuple[Any, ...], int]:
        """Return the arguments of a kernel up to the canvas, and how many tiles cover the largest."""
        x, warp = self.x, self.field
        strides = (0, 0, 0) if warp is None else warp.stride()[:3]
        warped = (x if self.geo is None else self.geo, x if warp is None else warp, *strides, float(self.shrink))
        ops = self.operands or [x]  # a kernel takes at least one
        steps = tuple(0 if t.dim() == 0 else t.stride(0) for t in ops)
        source = source_of(x, self.rows, self.table, self.scale)
        return (source, (*warped, self.head[7]), tuple(ops), steps, self.where), tiling(self.size, tile)

    @property
    def where(self) -> tuple[Any, ...]:
        """The canvas as kernels take it."""
        return (*self.size, self.x if self.sizes is None else self.sizes)

    def into(self, out: Tensor) -> tuple[Any, ...]:
        """Return what is written, with its strides."""
        return (out, *out.stride()) if self.sizes is None else (out[self.canvas[2] :], 0, 0, 0, 0)

    @property
    def constants(self) -> dict[str, Any]:
        """What a kernel is made for."""
        return {"HEAD": self.kind, "FILL": tuple(self.fill)}

    @property
    def grouped(self) -> list[tuple[int, ...]]:
        """The groups of channels."""
        found: list[tuple[int, ...]] = [()]
        for c in self.groups:
            found.append(()) if c < 0 else found.append((*found.pop(), c))
        return found[:-1]

    def onto(self, channels: int) -> list[tuple[int, ...]]:
        """Return for each group which channels of the output it writes."""
        return self.grouped if len(self.grouped) > 1 else [tuple(range(channels))]

    def split(self, numbers: list[int]) -> list[tuple[int, ...]]:
        """Return what is given for one group after another, group by group."""
        size = len(numbers) // len(self.grouped)
        return [tuple(numbers[n * size : (n + 1) * size]) for n in range(len(self.grouped))]

    @property
    def kind(self) -> tuple[int, ...]:
        """The head of `kernels/head.py`, then whether rows are indexed, sources ragged, and canvases too."""
        # The number of taps is a constant of the kernel only where its loop is unrolled.
        return (*self.head[:7], 0 if self.head[3] else self.head[7], *forms(self.rows, self.table, self.sizes))


def forms(rows: Tensor | None, table: Tensor | None, sizes: Tensor | None) -> tuple[int, int, int]:
    """Return whether rows are indexed, sources ragged, and canvases too, as kernels are made for."""
    return int(rows is not None), int(table is not None), int(sizes is not None)


def source_of(x: Tensor, rows: Tensor | None, table: Tensor | None, scale: float = 1.0) -> tuple[Any, ...]:
    """Return what says where pixels come from."""
    places = (*x.stride(), x.shape[2], x.shape[3]) if table is None else (0,) * 6
    return (x, *places, 1.0 / scale, x if rows is None else rows, x if table is None else table)


def encoding(mode: int, dtype: torch.dtype) -> tuple[float, ...]:
    """Return how values are rounded: not at all, from 0..1 to white, or on the scale of an integer dtype."""
    if mode == 0:
        return (0, 0.0, 0.0)
    limits = torch.iinfo(dtype)
    return (mode, float(limits.min), float(limits.max))


def tiling(canvas: tuple[int, int], size: tuple[int, int]) -> int:
    """Return how many tiles of a size cover a canvas."""
    return -(-canvas[0] // size[0]) * -(-canvas[1] // size[1])


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
    """Return how many multiprocessors a device has; those of an H200, for a tensor that stands for one on a GPU."""
    if device.type == "cuda" and torch.cuda.is_available():
        return torch.cuda.get_device_properties(device).multi_processor_count
    return 1 if device.type == "cpu" else 132
