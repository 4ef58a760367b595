"""Make a picture of a sample: its image as uint8, and what is annotated drawn on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gpuaug._draw import Colour, colour, corners, outline, stroke, tag, tint
from gpuaug.data.batch import Batch
from gpuaug.data.instances import Instances
from gpuaug.render.values import ValueRange, default_range, to_unit

__all__ = ["Names", "as_pictures", "draw_classes", "draw_keypoints", "draw_objects", "sample_of", "sized"]

Names = Sequence[str] | Mapping[int, str]
"""Names of classes, by number."""

_IGNORED = 255
_GRAY: Colour = (128, 128, 128)
_RIM: Colour = (0, 0, 0)
"""Around keypoints, which are seen then on a mask of their colour."""
_MAX_COUNTED = 1 << 20  # of values looked at to find black and white


def sample_of(rows: Instances, i: int) -> Instances:
    """Return the valid objects of one sample, on the CPU, without the dimension of the batch."""
    valid = rows.valid[i].detach().cpu()

    def of(value: Any, by_row: bool = True) -> Any:
        if value is None:
            return None
        own = value[i].detach().cpu()
        return own[valid] if by_row else own

    masks = of(rows.masks, by_row=False)
    if masks is not None and masks.dim() == 2:  # an index map: 1 + the row of the object
        masks = masks[None] == torch.arange(1, len(valid) + 1)[:, None, None]
    return Instances(
        valid.nonzero()[:, 0],  # which rows they are: their colours
        of(rows.boxes),
        of(rows.labels),
        None if masks is None else masks[valid],
        of(rows.keypoints),
        of(rows.visible),
    )


def as_pictures(
    batch: Batch, mean: Sequence[float] | None, std: Sequence[float] | None, values: ValueRange | None
) -> list[Tensor]:
    """Return the images as uint8 (3, H, W) on the CPU, new ones."""
    if (mean is None) != (std is None):
        raise ValueError("draw: mean and std must be given together")
    images = [image.detach().cpu() for image in batch.image]
    if not images:
        return []
    channels, dtype = images[0].shape[0], images[0].dtype
    if mean is not None and not dtype.is_floating_point:
        raise ValueError(f"draw: mean and std go with normalized float images, got {dtype}")
    for name, given in (("mean", mean), ("std", std), ("value_range", values.black if values else None)):
        if given is not None and len(given) not in (1, channels):
            raise ValueError(f"draw: {name} must have 1 or {channels} numbers, as channels, got {len(given)}")
    shown = slice(0, 1 if channels < 3 else 3)
    if dtype == torch.uint8 and values is None:
        return [image[shown].repeat(3 // len(image[shown]), 1, 1) for image in images]
    wide = [image[shown].to(torch.float64) for image in images]
    if mean is not None and std is not None:
        deviations, means = (torch.tensor(v, dtype=torch.float64)[:3, None, None] for v in (std, mean))
        wide = [image * deviations[shown] + means[shown] for image in wide]
        values = values or default_range(torch.float64)
    values = values or _range_of(wide, dtype)
    values = values.of((0,) if channels < 3 else (0, 1, 2))
    units = [to_unit(image[None], values=values)[0] for image in wide]
    units = [unit.nan_to_num(0.0, 1.0, 0.0).clamp(0, 1).mul(255).round().to(torch.uint8) for unit in units]
    return [unit.repeat(3 // len(unit), 1, 1) for unit in units]


def _range_of(images: Iterable[Tensor], dtype: torch.dtype) -> ValueRange:
    """Return the range of a dtype, or of the values themselves where it says nothing or they do not keep to it."""
    usual = default_range(dtype)
    if dtype in (torch.uint8, torch.uint16):
        return usual
    seen = torch.cat([image.flatten() for image in images])
    seen = seen[seen.isfinite()]
    seen = seen[:: -(-len(seen) // _MAX_COUNTED) or 1]
    if not len(seen):
        return usual
    low, high = torch.quantile(seen, torch.tensor([0.005, 0.995], dtype=seen.dtype)).tolist()
    if dtype.is_floating_point and low > -0.05 and high < 1.05:
        return usual
    return ValueRange((low,), (high if high > low else low + 1,))


def sized(picture: Tensor, scale: int, max_size: int | None) -> tuple[Tensor, Tensor]:
    """Return a picture at its size on paper, and the factor (2,) from positions in the image to positions in it."""
    height, width = picture.shape[1:]
    picture = picture.repeat_interleave(scale, dim=1).repeat_interleave(scale, dim=2)
    longer = max(picture.shape[1:])
    if max_size is not None and longer > max_size:
        size = [max(1, round(side * max_size / longer)) for side in picture.shape[1:]]
        wide = torch.nn.functional.interpolate(picture[None].float(), size, mode="bilinear", antialias=True)
        picture = wide[0].round().clamp(0, 255).to(torch.uint8)
    return picture, torch.tensor([picture.shape[2] / width, picture.shape[1] / height], dtype=torch.float64)


def _planes(masks: Tensor, picture: Tensor) -> Tensor:
    """Return masks (N, h, w) at the size of a picture, by nearest pixel."""
    y, x = (
        ((torch.arange(n, dtype=torch.float64) + 0.5) * have / n).floor().to(torch.int64)
        for n, have in zip(picture.shape[1:], masks.shape[1:], strict=True)
    )
    return masks[:, y[:, None], x[None]]


def draw_classes(picture: Tensor, mask: Tensor, opacity: float) -> None:
    """Tint classes (1, H, W); of several planes each in its colour, where it is not 0."""
    planes = _planes(mask.detach().cpu(), picture)
    if len(planes) > 1:
        for number, plane in enumerate(planes):
            tint(picture, plane != 0, colour(number), opacity)
        return
    classes = planes[0].to(torch.int64)
    for number in classes.unique().tolist():
        if number != 0:
            ink = _GRAY if number < 0 or number == _IGNORED else colour(number - 1)
            tint(picture, classes == number, ink, opacity)


def draw_objects(
    picture: Tensor, rows: Instances, factor: Tensor, width: int, opacity: float, names: Names | None
) -> None:
    numbers = rows.valid.tolist()
    if rows.masks is not None and len(rows.masks):
        planes = _planes(rows.masks, picture)
        planes = planes > 0.5 if planes.is_floating_point() else planes != 0
        for number, plane in zip(numbers, planes, strict=True):
            tint(picture, plane, colour(number), opacity)
    if rows.boxes is None:
        return
    quads = corners(rows.boxes.to(torch.float64)) * factor
    there = quads.isfinite().flatten(1).all(1)
    for number, quad, ok in zip(numbers, quads, there.tolist(), strict=True):
        if ok:
            outline(picture, quad, width, colour(number))
    if rows.labels is None or rows.labels.dim() != 1:
        return
    size = 1 if min(picture.shape[1:]) < 200 else 2
    for number, quad, ok, label in zip(numbers, quads, there.tolist(), rows.labels.tolist(), strict=True):
        if ok:
            tag(picture, _name(int(label), names), quad.amin(0).tolist(), size, colour(number))


def _name(label: int, names: Names | None) -> str:
    if isinstance(names, Mapping):
        return names.get(label, str(label))
    return names[label] if names is not None and 0 <= label < len(names) else str(label)


def draw_keypoints(
    picture: Tensor, rows: Instances, factor: Tensor, width: int, skeleton: Sequence[tuple[int, int]]
) -> None:
    if rows.keypoints is None:
        return
    count = rows.keypoints.shape[1]
    for pair in skeleton:
        if len(pair) != 2 or not all(0 <= k < count for k in pair):
            raise ValueError(f"draw: skeleton must be pairs of numbers below {count}, got {pair!r}")
    places = rows.keypoints.to(torch.float64) * factor
    finite = places.isfinite().all(-1)
    seen = torch.full(finite.shape, 2) if rows.visible is None else rows.visible.to(torch.int64)
    seen = seen * finite
    radius = 1.5 + width
    for number, points, visible in zip(rows.valid.tolist(), places.tolist(), seen.tolist(), strict=True):
        for a, b in skeleton:
            if visible[a] and visible[b]:
                stroke(picture, points[a], points[b], width / 2, colour(number))
        for k, point in enumerate(points):
            if visible[k]:
                hole = radius - width if visible[k] == 1 else 0.0
                stroke(picture, point, point, radius + 1, _RIM, max(0.0, hole - 1))
                stroke(picture, point, point, radius, colour(k), hole)
