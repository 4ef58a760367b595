"""Cells of a grid that exchange their places, with the exchange given."""

from __future__ import annotations

import torch
from torch import Tensor

from gpuaug.data.batch import Batch, open_door
from gpuaug.geometry import matrix as mat
from gpuaug.geometry.canvas import Canvas
from gpuaug.geometry.cells import Cells
from gpuaug.render.backend import render
from gpuaug.render.mixes import Tiles
from gpuaug.render.plan import Plan
from gpuaug.render.settings import Reading

__all__ = ["grid_shuffle", "laid", "tiles_of"]


def grid_shuffle(image: Tensor, order: Tensor, heights: Tensor, widths: Tensor) -> Tensor:
    """Let the cells of a grid exchange their places in each sample.

    Args:
        image: (B, C, H, W).
        order: (B, rows * columns) int64: the cell to which each one goes, counted row by row; a permutation that
            exchanges cells of one size only.
        heights: (B, rows) heights of the rows of the grid in whole pixels, H together.
        widths: (B, columns) widths of its columns, W together.

    Shape:
        (B, C, H, W) to the same, every pixel as it is.

    Source: albumentations.RandomGridShuffle.

    Example:
        >>> import torch
        >>> from gpuaug.functional import grid_shuffle
        >>> image = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
        >>> ones = torch.ones(1, 2)
        >>> grid_shuffle(image, torch.tensor([[3, 0, 2, 1]]), ones, ones)[0, 0].tolist()
        [[2.0, 4.0], [3.0, 1.0]]
    """
    name = "grid_shuffle"
    if not isinstance(image, Tensor) or image.dim() != 4:
        got = str(tuple(image.shape)) if isinstance(image, Tensor) else type(image).__name__
        raise ValueError(f"{name}: image must have shape (B, C, H, W), got {got}")
    batch, _ = open_door((image,), name)
    for argument, value in (("heights", heights), ("widths", widths)):
        if not isinstance(value, Tensor) or value.dim() != 2 or value.shape[0] != len(batch):
            shown = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"{name}: {argument} must have shape ({len(batch)}, count), got {shown}")
    count = heights.shape[1] * widths.shape[1]
    if not isinstance(order, Tensor) or order.dtype != torch.int64 or order.shape != (len(batch), count):
        got = f"{order.dtype} of {tuple(order.shape)}" if isinstance(order, Tensor) else type(order).__name__
        raise ValueError(f"{name}: order must be int64 of ({len(batch)}, {count}), got {got}")
    work = mat.matrix_dtype(image.device)
    cells = laid(order, heights.to(work), widths.to(work), batch.canvas)
    plan = Plan(batch.canvas, batch.channels, image.dtype)
    if image.is_contiguous(memory_format=torch.channels_last) and not image.is_contiguous():
        plan.layout = torch.channels_last
    plan.tile(tiles_of(cells), batch.canvas, "lattice", Reading())
    return render(Batch(image).image, plan)


def laid(order: Tensor, heights: Tensor, widths: Tensor, canvas: Canvas, gate: Tensor | None = None) -> Cells:
    """Return the cells of grids, and how far each goes.

    Args:
        order: (B, rows * columns) int64: to which cell each goes.
        heights: (B, rows) in the dtype of matrices.
        widths: (B, columns), likewise.
        canvas: of the samples.
        gate: (B,), for whom it is done: the others have one cell with all that is there, which stays.
    """
    sides = []
    for size in (widths, heights):
        end = size.cumsum(1)
        sides.append((end - size, end))
    (left, right), (top, bottom) = sides
    shape = (order.shape[0], heights.shape[1], widths.shape[1])
    edges = [
        side.expand(shape).flatten(1) for side in (left[:, None], top[:, :, None], right[:, None], bottom[:, :, None])
    ]
    rectangle = torch.stack(edges, dim=-1)
    corner = rectangle[..., :2]
    shift = torch.gather(corner, 1, order[..., None].expand_as(corner)) - corner
    if gate is not None:
        whole = torch.zeros_like(rectangle)
        whole[:, 0, 2], whole[:, 0, 3] = right[:, -1], bottom[:, -1]
        on = gate[:, None, None]
        rectangle, shift = torch.where(on, rectangle, whole), torch.where(on, shift, torch.zeros_like(shift))
    return Cells(rectangle, shift, canvas)


def tiles_of(cells: Cells) -> Tiles:
    """Return the cells of each sample as tiles that show its own image."""
    eye = torch.eye(3, dtype=cells.shift.dtype, device=cells.shift.device)
    matrix = eye.repeat(*cells.shift.shape[:2], 1, 1)
    matrix[..., :2, 2] = cells.shift
    return Tiles(None, matrix, cells.shown)
