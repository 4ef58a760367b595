"""Occlusion by stripes and by turned grids: SpecAugment, GridMask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gpuaug.functional import occlude
from gpuaug.geometry.canvas import along, smaller
from gpuaug.render import ops
from gpuaug.render.plan import Choice, Plan
from gpuaug.render.settings import as_fill
from gpuaug.sampling.counts import as_counts
from gpuaug.sampling.distributions import Distribution, Uniform, as_distribution, within
from gpuaug.sampling.law import Number, Range
from gpuaug.transforms.base import Drawn
from gpuaug.transforms.layer import Context
from gpuaug.transforms.noise import KEY, as_key
from gpuaug.transforms.occlude import Occluding, Rectangles, as_value
from gpuaug.transforms.sizes import is_fraction

__all__ = ["GridMask", "XYMasking"]


def _up_to(value: Any, name: str) -> tuple[Distribution, int]:
    """Return the law of a whole number, of which a number v means 0 to v, and the largest that it gives."""
    law = as_counts((0, value) if isinstance(value, int) else value, "XYMasking", name, 0)
    return law, int(law.support()[1])


class XYMasking(Rectangles):
    """Replace stripes of each sample, across all rows or all columns, as SpecAugment does on spectrograms.

    Args:
        num_masks_x: number of stripes along x, each over all rows: (low, high), or v for 0 to v.
        num_masks_y: likewise along y, each over all columns.
        mask_x_length: width of a stripe along x in pixels: (low, high), or v for 0 to v.
        mask_y_length: height of a stripe along y in pixels, likewise.
        fill: a number or one for each channel, in the input's unit (after `Normalize`, in its units); "random" for
            normal noise pixel by pixel; "color" for one colour of normal components for each stripe.
        fill_mask: class that masks get where the image is replaced (masks of objects are cleared there); None leaves
            masks as they are.
        p: probability for each sample; 0 is neutral.
        hide_keypoints: whether keypoints under what is replaced are no longer visible.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        Boxes unchanged; masks and keypoints too, unless `fill_mask` or `hide_keypoints` say otherwise.

    Raises:
        ValueError: for numbers that are not whole or out of order, or where there is no stripe along either axis.

    Source: albumentations.XYMasking; Park et al., "SpecAugment" (2019).

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.XYMasking(2, 2, (3, 5), (1, 2), p=1.0)(torch.ones(2, 1, 20, 30)).shape
        torch.Size([2, 1, 20, 30])
    """

    def __init__(
        self,
        num_masks_x: Range = 0,
        num_masks_y: Range = 0,
        mask_x_length: Range = 0,
        mask_y_length: Range = 0,
        fill: float | Sequence[float] | str = 0,
        fill_mask: float | None = None,
        p: Number = 0.5,
        *,
        hide_keypoints: bool = False,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys, fill_mask, hide_keypoints)
        self.value = as_value(fill, "XYMasking", "fill")
        counts = {"x": _up_to(num_masks_x, "num_masks_x"), "y": _up_to(num_masks_y, "num_masks_y")}
        lengths = {"x": _up_to(mask_x_length, "mask_x_length"), "y": _up_to(mask_y_length, "mask_y_length")}
        self.most = {axis: counts[axis][1] for axis in "xy" if counts[axis][1] and lengths[axis][1]}
        if not self.most:
            raise ValueError(
                "XYMasking: num_masks and mask_length must be positive along x or y, got "
                f"{num_masks_x!r} of {mask_x_length!r} and {num_masks_y!r} of {mask_y_length!r}"
            )
        random: dict[str, Any] = {}
        for axis, most in self.most.items():
            random[f"count_{axis}"] = counts[axis][0]
            random[f"_length_{axis}"] = (lengths[axis][0], most)
            random[f"_place_{axis}"] = (Uniform(0.0, 1.0), most)
        if isinstance(self.value, str):
            random["_key"] = KEY
        self.declare(**random)

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return how many stripes there are, and their `boxes`."""
        sizes = dict(zip("yx", context.canvas, strict=True))
        values, boxes = {}, []
        for axis, most in self.most.items():
            size = along(sizes[axis], 1)
            length = smaller(raw[f"_length_{axis}"].reshape(-1, most), size)
            start = torch.floor(raw[f"_place_{axis}"].reshape(-1, most) * (size - length + 1))
            start = torch.minimum(start, size - length)
            values[f"count_{axis}"] = count = raw[f"count_{axis}"]
            there = (torch.arange(most, device=count.device) < count[:, None]) & (length > 0)
            zero, across = (
                torch.zeros_like(start),
                torch.zeros_like(start) + along(sizes["y" if axis == "x" else "x"], 1),
            )
            parts = (zero, start, across, length) if axis == "x" else (start, zero, length, across)
            boxes.append(torch.stack(parts, dim=-1) * there[..., None])
        values["boxes"] = torch.cat(boxes, dim=1).to(torch.int64)
        if "_key" in raw:
            values["color_key" if self.value == "color" else "key"] = as_key(raw["_key"])
        return values


class GridMask(Occluding):
    """Replace the squares of a grid of each sample, of a size, place and turn drawn for it.

    Args:
        unit_size_range: range of the side of a grid cell: floats are fractions of the shorter side, integers pixels.
        ratio: width of what stays between squares over the side of a cell, within 0..1; 1 is neutral.
        degrees: range of the angle by which the grid is turned.
        fill: a number or one for each channel, in the input's unit (after `Normalize`, in its units).
        fill_mask: class that masks get where the image is replaced (masks of objects are cleared there); None leaves
            masks as they are.
        p: probability for each sample; 0 is neutral.
        hide_keypoints: whether keypoints under what is replaced are no longer visible.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        Boxes unchanged; masks and keypoints too, unless `fill_mask` or `hide_keypoints` say otherwise.

    Raises:
        ValueError: for a ratio outside 0..1, or sizes out of order.

    Source: Chen et al., "GridMask Data Augmentation" (2020), with its cells of 96 to 224 pixels on 224 and its ratio
    for ImageNet.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.GridMask(p=1.0)(torch.ones(2, 3, 20, 30)).shape
        torch.Size([2, 3, 20, 30])
    """

    def __init__(
        self,
        unit_size_range: Range = (0.43, 1.0),
        ratio: Range = 0.6,
        degrees: Range = (0.0, 360.0),
        fill: float | Sequence[float] = 0,
        fill_mask: float | None = None,
        p: Number = 0.5,
        *,
        hide_keypoints: bool = False,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys, fill_mask, hide_keypoints)
        owner = "GridMask"
        self._fraction = is_fraction(unit_size_range, owner, "unit_size_range")
        unit = as_distribution(
            unit_size_range, owner=owner, name="unit_size_range", low=1e-6 if self._fraction else 1.0
        )
        self.hole_fill = as_fill(fill, owner) or (0.0,)
        self.declare(
            _unit=within(unit) if isinstance(unit, Uniform) and not self._fraction else unit,
            ratio=as_distribution(ratio, owner=owner, name="ratio", low=0.0, high=1.0),
            angle=as_distribution(degrees, owner=owner, name="degrees"),
            _shift=(Uniform(0.0, 1.0), 2),
        )

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `unit` in pixels, `ratio`, `angle`, and of the grid `hole` in cells, `shift` in cells, `turn`."""
        unit = raw["_unit"] * smaller(*context.canvas) if self._fraction else raw["_unit"]
        angle = torch.deg2rad(raw["angle"])
        return {
            "unit": unit.clamp(min=1),
            "ratio": raw["ratio"],
            "angle": raw["angle"],
            "hole": 1 - raw["ratio"],
            "shift": raw["_shift"],
            "turn": torch.stack((torch.cos(angle), torch.sin(angle)), dim=-1),
        }

    def covered(self, values: Drawn, canvas: tuple[int, int]) -> Tensor:
        """Return where the squares are."""
        return occlude.turned_grid(values["unit"], values["hole"], values["shift"], values["turn"], *canvas)

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the operation."""
        fill = context.values.working(self.hole_fill)
        operands = (values["unit"], values["hole"], values["shift"], values["turn"])
        return [[Choice("grid_mask", ops.mask_grid, operands, {"fill": fill})]]
