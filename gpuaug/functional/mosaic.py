"""Four images around a point of one canvas, with who is there given."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gpuaug.data.batch import Batch, open_door
from gpuaug.geometry import matrix as mat
from gpuaug.geometry.canvas import Canvas, Sizes, larger, ratio, scaled, smaller, spans
from gpuaug.render.backend import render
from gpuaug.render.mixes import Tiles
from gpuaug.render.plan import Plan
from gpuaug.render.settings import Reading, as_fill, as_interpolation

__all__ = ["FIT_MODES", "TILES", "fitted", "mosaic", "placed"]

FIT_MODES = ("contain", "cover")
TILES = 4


def mosaic(
    image: Tensor,
    partner: Tensor,
    center: Tensor,
    *,
    target_size: tuple[int, int] | None = None,
    cell_shape: tuple[int, int] | None = None,
    fit_mode: str = "contain",
    interpolation: Any = "bilinear",
    fill: Any = 0.0,
) -> Tensor:
    """Put four samples of the batch around a point of each canvas, each with a corner there.

    Args:
        image: (B, C, H, W).
        partner: (B, 4) int64: who is at the top left, top right, bottom left and bottom right of the point, by their
            places in the batch; the first is the sample itself in `Mosaic`.
        center: (B, 2), x and y of the point on the canvas, in pixels.
        target_size: (height, width) of the canvas; None keeps the input's.
        cell_shape: (height, width) that each image is fitted to; None keeps its size.
        fit_mode: "contain" makes an image as large as fits into the cell, "cover" as small as covers it; then what is
            beyond the cell is cut off.
        interpolation: "bilinear", "nearest" or "bicubic", where an image changes its size.
        fill: value where no tile is, in the input's unit.

    Shape:
        (B, C, H, W) to (B, C, *target_size).

    Source: albumentations.Mosaic; the geometry is YOLO's.

    Example:
        >>> import torch
        >>> from gpuaug.functional import mosaic
        >>> images = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 1, 2, 2)
        >>> mosaic(images[:], torch.tensor([[0, 1, 2, 3]] * 4), torch.ones(4, 2))[0, 0].tolist()
        [[0.0, 1.0], [2.0, 3.0]]
    """
    name = "mosaic"
    if not isinstance(image, Tensor) or image.dim() != 4:
        got = str(tuple(image.shape)) if isinstance(image, Tensor) else type(image).__name__
        raise ValueError(f"{name}: image must have shape (B, C, H, W), got {got}")
    batch, _ = open_door((image,), name)
    if fit_mode not in FIT_MODES:
        raise ValueError(f"{name}: fit_mode must be one of {', '.join(FIT_MODES)}, got {fit_mode!r}")
    for argument, value, columns in (("partner", partner, TILES), ("center", center, 2)):
        if not isinstance(value, Tensor) or value.shape != (len(batch), columns):
            shown = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"{name}: {argument} must have shape ({len(batch)}, {columns}), got {shown}")
    if partner.dtype != torch.int64:
        raise ValueError(f"{name}: partner must be int64, got {partner.dtype}")
    like = torch.zeros(len(batch), dtype=mat.matrix_dtype(image.device), device=image.device)
    source, after = batch.canvas, target_size or batch.canvas
    matrix, rectangles = placed(partner, center.to(like), source, after, cell_shape, fit_mode)
    inner = fitted(source, cell_shape, fit_mode)
    plan = Plan(source, batch.channels, image.dtype)
    if image.is_contiguous(memory_format=torch.channels_last) and not image.is_contiguous():
        plan.layout = torch.channels_last
    values = as_fill(fill, name) or (0.0,)
    reading = Reading(as_interpolation(interpolation, name) or "bilinear", True, plan.working(values))
    shrink = max([1.0, *(side / new for side, new in zip(source, inner, strict=True))])
    plan.tile(Tiles(partner, matrix, rectangles), after, "lattice" if inner == source else "axis", reading, shrink)
    return render(Batch(image).image, plan)


def fitted(canvas: Canvas, cell: tuple[int, int] | None, fit_mode: str) -> Canvas:
    """Return the size of images fitted to a cell."""
    if cell is None:
        return canvas
    factors = [ratio(want, side) for want, side in zip(cell, canvas, strict=True)]
    return scaled(canvas, (smaller if fit_mode == "contain" else larger)(*factors))


def _middle(after: Canvas, inner: Canvas, size: Tensor, whole: Tensor) -> Tensor:
    """Return the top left corners, as x and y, of images in the middle of a canvas."""
    if isinstance(after, Sizes) or isinstance(inner, Sizes):
        return torch.floor((size - whole) / 2)
    return spans(tuple((outer - side) // 2 for outer, side in zip(after, inner, strict=True)), size)


def placed(
    partner: Tensor,
    center: Tensor,
    canvas: Canvas,
    after: Canvas,
    cell: tuple[int, int] | None,
    fit_mode: str,
    gate: Tensor | None = None,
    size: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return (B, 4, 3, 3), positions in an image -> on the canvas, and (B, 4, 4), where each is seen.

    Args:
        partner: (B, 4) int64.
        center: (B, 2) in the dtype of matrices.
        canvas: of the images.
        after: of the mosaic.
        cell: what images are fitted to.
        fit_mode: how.
        gate: (B,), for whom it is done: the first image of others is seen whole, in the middle.
        size: `spans` of the mosaic's canvas, where it is known.
    """
    inner, size = fitted(canvas, cell, fit_mode), spans(after, center) if size is None else size
    if isinstance(canvas, Sizes):
        both = torch.stack((inner[1], inner[0], inner[1] / canvas[1], inner[0] / canvas[0]), dim=-1)
        whole, scale = both.index_select(0, partner.flatten()).view(-1, TILES, 4).split(2, dim=-1)
        factors: Any = scale.unbind(-1)
    else:
        whole = size if inner == after else spans(inner, center)
        factors = inner[1] / canvas[1], inner[0] / canvas[0]
    shown = torch.minimum(whole, spans(cell, center)) if fit_mode == "cover" and cell is not None else whole
    tile = torch.arange(TILES, device=center.device, dtype=center.dtype)
    right = torch.stack((tile % 2, tile // 2), dim=-1)  # of the centre, and below it
    point = center[:, None]
    middle = point
    if gate is not None:
        on = gate[:, None, None]
        first = shown[:, :1] if shown.dim() == 3 else shown
        middle = torch.where(on, point, size if shown is size else torch.floor((size + first) / 2))
    low = torch.addcmul(middle - shown, right, shown)
    high, place = low + shown, low
    if gate is not None:
        high = torch.where(on | (tile == 0)[:, None], high, low)
    if shown is not whole:
        place = torch.addcmul(point - whole, right, whole)
        if gate is not None:
            place = torch.where(on, place, _middle(after, inner, size, whole))
    if isinstance(canvas, Sizes) or any(factor != 1 for factor in factors):
        matrix = center.new_zeros((*partner.shape, 3, 3))
        for axis, factor in enumerate(factors):
            matrix[..., axis, axis] = factor
        matrix[..., 2, 2] = 1.0
    else:
        eye = torch.eye(3, dtype=center.dtype, device=center.device)
        matrix = eye.repeat(*partner.shape, 1, 1)
    matrix[..., :2, 2] = place
    return matrix, torch.cat((low.clamp(min=0), torch.minimum(high, size)), dim=-1)
