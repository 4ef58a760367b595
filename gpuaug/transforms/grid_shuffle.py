"""RandomGridShuffle: the cells of a grid exchange their places."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from gpuaug.functional.shuffle import laid, tiles_of
from gpuaug.geometry.canvas import Canvas
from gpuaug.geometry.cells import Cells
from gpuaug.geometry.matrix import matrix_dtype
from gpuaug.render.plan import Plan
from gpuaug.render.settings import Reading
from gpuaug.render.warp import Kind
from gpuaug.sampling.distributions import Uniform
from gpuaug.sampling.law import Number
from gpuaug.transforms.base import Drawn, Transform
from gpuaug.transforms.layer import Context, Node

__all__ = ["RandomGridShuffle"]

MAX_CELLS = 256


class RandomGridShuffle(Transform):
    """Cut each sample into the cells of a grid, and let these exchange their places in an order drawn for it.

    Every pixel stays as it is. Where the size is no multiple of the grid's, some rows or columns are a pixel larger,
    which ones is drawn; cells exchange their places with those of their own size. Warps that follow join the pass;
    they do not blend across the borders of cells.

    Args:
        grid: rows and columns of the grid.
        p: probability for each sample; 0 is neutral.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        Masks and keypoints go with their cells. A box that lies in several comes out in parts: pieces that touch
        after the exchange are one box around them, with the labels of the object. There are rows * columns blocks of N
        rows; the first block has the largest part of each object, in its row, and keypoints and masks come with the
        part in which they are. Most rows of the other blocks are not valid: `BboxParams(max_objects=)` bounds them,
        and `min_visibility` and `min_area` drop small parts. Of a rotated box a part is the rectangle along it. Masks
        and keypoints of objects that have no boxes stay one row.

    Raises:
        ValueError: for a grid that is not two whole numbers from 1, or has more than 256 cells.

    Source: albumentations.RandomGridShuffle.

    Example:
        >>> import torch, gpuaug as ga
        >>> shuffle = ga.RandomGridShuffle((2, 2), p=1.0)
        >>> out = shuffle({"image": torch.zeros(3, 3, 24, 32), "boxes": torch.rand(3, 5, 4) * 20})
        >>> out["image"].shape, out["boxes"].shape
        (torch.Size([3, 3, 24, 32]), torch.Size([3, 20, 4]))
    """

    regroups: ClassVar[bool] = True
    kind: ClassVar[Kind] = "lattice"
    projective: ClassVar[bool] = False
    transposes: ClassVar[bool] = False

    def __init__(self, grid: tuple[int, int] = (3, 3), p: Number = 0.5) -> None:
        """See the class."""
        super().__init__(p)
        sides = tuple(grid) if isinstance(grid, (tuple, list)) else ()
        if len(sides) != 2 or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in sides):
            raise ValueError(f"RandomGridShuffle: grid must be (rows, columns), whole numbers from 1, got {grid!r}")
        if sides[0] * sides[1] > MAX_CELLS:
            raise ValueError(f"RandomGridShuffle: grid must have at most {MAX_CELLS} cells, got {grid!r}")
        self.grid: tuple[int, int] = sides
        u = Uniform(0.0, 1.0)
        self.declare(_rows=(u, sides[0]), _columns=(u, sides[1]), _cells=(u, sides[0] * sides[1]))

    def settle(self, raw: Drawn, gate: Tensor | None, context: Context) -> Drawn:
        """Return where each cell goes, and the cells."""
        work = matrix_dtype(context.like.device)
        rows, columns, cells = (as_columns(raw[name]) for name in ("_rows", "_columns", "_cells"))
        heights, tall = _sizes(rows, context.canvas[0], work)
        widths, broad = _sizes(columns, context.canvas[1], work)
        kind = (tall[:, :, None] * 2 + broad[:, None]).flatten(1).to(torch.float32)
        # Cells by kind in a random order take the places of cells by kind in their own.
        mixed = torch.argsort(kind + cells.to(torch.float32) * 0.5, dim=1, stable=True)
        order = torch.zeros_like(mixed).scatter(1, mixed, torch.argsort(kind, dim=1, stable=True))
        values = {"order": order}
        if gate is not None:
            own = torch.arange(order.shape[1], device=order.device)
            values["order"] = order = torch.where(gate[:, None], order, own)
            values["gate"] = gate
        found = laid(order, heights, widths, context.canvas, gate)
        values["cells"], values["cell_shift"] = found.rectangle, found.shift
        return values

    def exchange(self, values: Drawn, canvas: Canvas) -> Cells:
        """Return the cells of a canvas, and how far each goes."""
        return Cells(values["cells"], values["cell_shift"], canvas)

    def contribute(self, plan: Plan, values: Drawn, context: Context, node: Node) -> None:
        """Begin a pass that reads each cell where it was."""
        reading = plan.reading or Reading()
        plan.tile(tiles_of(self.exchange(values, context.canvas)), context.canvas, "lattice", reading)


def as_columns(u: Tensor) -> Tensor:
    """Return numbers (B, count): a single column comes as (B,)."""
    return u if u.dim() == 2 else u[:, None]


def _sizes(u: Tensor, length: Any, work: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return how long the (B, count) parts of a length are, and which of them are a pixel longer than others."""
    count = u.shape[1]
    rank = torch.argsort(torch.argsort(u, dim=1, stable=True), dim=1)
    if isinstance(length, Tensor):
        span = length.to(work)[:, None]
        least = torch.floor(span / count)
        longer = rank < span - least * count
    else:
        least, longer = length // count, rank < length % count
    return longer.to(work) + least, longer
