"""Occlusion: rectangles and grids of pixels replaced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gpuaug._compiling import stacked
from gpuaug.functional import occlude
from gpuaug.functional.replace_one import erase_one, level_erased, write_erased
from gpuaug.geometry.canvas import along, larger, smaller, whole
from gpuaug.geometry.canvas import ratio as divided
from gpuaug.render import ops
from gpuaug.render.plan import Choice, Plan
from gpuaug.render.settings import as_fill
from gpuaug.sampling.counts import as_counts, as_number, constants, drawn_number
from gpuaug.sampling.distributions import LogUniform, Uniform, as_distribution, static_range, within
from gpuaug.sampling.law import Number, Range
from gpuaug.transforms.base import Drawn, Photometric
from gpuaug.transforms.layer import Context
from gpuaug.transforms.noise import KEY, as_key
from gpuaug.transforms.sizes import is_fraction
from gpuaug.transforms.window import first_of

__all__ = ["CoarseDropout", "GridDropout", "RandomErasing"]

TRIES = 10


def as_value(value: Any, owner: str, name: str) -> tuple[float, ...] | str:
    """Return what holes are filled with: numbers, "random" or "color"."""
    if isinstance(value, str):
        if value not in ("random", "color"):
            raise ValueError(f"{owner}: {name} must be a number, numbers, 'random' or 'color', got {value!r}")
        return value
    return as_fill(value, owner) or (0.0,)


class Occluding(Photometric):
    """A transform that covers pixels, and may treat annotations there: `fill_mask`, `hide_keypoints`."""

    clamps = False

    def __init__(
        self,
        p: Number,
        channels: tuple[int, ...] | None,
        keys: Sequence[str] | None,
        fill_mask: float | None,
        hide_keypoints: bool,
    ) -> None:
        """Check what happens to annotations."""
        super().__init__(p, channels, keys)
        if fill_mask is not None and (isinstance(fill_mask, bool) or not isinstance(fill_mask, (int, float))):
            raise TypeError(f"{type(self).__name__}: fill_mask must be a number or None, got {fill_mask!r}")
        self.fill_mask, self.hide_keypoints = fill_mask, bool(hide_keypoints)

    def covered(self, values: Drawn, canvas: tuple[int, int]) -> Tensor:
        """Return where (B, H, W) pixels are replaced in the samples to which the transform applies."""
        raise NotImplementedError  # pragma: no cover

    def occluded(self, values: Drawn, canvas: tuple[int, int]) -> Tensor:
        """Return where (B, H, W) pixels are replaced."""
        covered, gate = self.covered(values, canvas), values.get("gate")
        return covered if gate is None else covered & gate[:, None, None]


class Rectangles(Occluding):
    """Replace rectangles: `boxes` (B, R, 4) as top, left, height, width, height 0 where there is none."""

    value: tuple[float, ...] | str

    def covered(self, values: Drawn, canvas: tuple[int, int]) -> Tensor:
        """Return where the rectangles are."""
        return occlude.rectangles(values["boxes"], *canvas)

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the operation for the kind of value."""
        boxes = values["boxes"]
        if self.value == "random":
            return [[Choice("erase_noise", ops.erase_with_noise, (boxes, values["key"]))]]
        if self.value == "color":
            return [[Choice("erase_color", ops.erase_with_color, (boxes, values["color_key"]))]]
        assert not isinstance(self.value, str)
        if len(self.value) not in (1, context.channels):
            raise ValueError(
                f"{type(self).__name__}: the value must be one number or one for each of the {context.channels} "
                f"channels, got {self.value}"
            )
        value = context.values.working(self.value)
        made = Choice("erase", ops.erase_with_value, (boxes,), {"value": value}, move_one=erase_one)
        made.write_one, made.level_one, made.together = write_erased, level_erased, True
        return [[made]]


class RandomErasing(Rectangles):
    """Replace rectangles of each sample, of an area and aspect drawn for it.

    Args:
        p: probability for each sample; 0 is neutral.
        scale: range of the area, as a fraction of the image.
        ratio: range of height over width.
        value: a number or one for each channel, in the input's unit (after `Normalize`, in its units); "random" for
            normal noise pixel by pixel; "color" for one colour of normal components for each rectangle.
        min_count: least number of rectangles.
        max_count: largest number of rectangles, None for `min_count`; the area is shared among them, as in timm.
        fill_mask: class that masks get where the image is replaced (masks of objects are cleared there); None leaves
            masks as they are.
        hide_keypoints: whether keypoints under what is replaced are no longer visible.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        Boxes unchanged; masks and keypoints too, unless `fill_mask` or `hide_keypoints` say otherwise.

    Raises:
        ValueError: for ranges out of order, or counts below 1.

    Source: torchvision.transforms.v2.RandomErasing (the same distribution); timm's RandomErasing for counts and
    colours (its `rand` is "color", its `pixel` "random").

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomErasing(p=1.0)(torch.ones(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    def __init__(
        self,
        p: Number = 0.5,
        scale: Range = (0.02, 0.33),
        ratio: Range = (0.3, 3.3),
        value: float | Sequence[float] | str = 0.0,
        *,
        min_count: Number = 1,
        max_count: Number | None = None,
        fill_mask: float | None = None,
        hide_keypoints: bool = False,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys, fill_mask, hide_keypoints)
        owner = "RandomErasing"
        self.value = as_value(value, owner, "value")
        counts = as_counts((min_count, min_count if max_count is None else max_count), owner, "min_count, max_count")
        self.most = high = int(counts.support()[1])
        aspect = as_distribution(ratio, owner=owner, name="ratio", low=1e-6)
        if isinstance(aspect, Uniform):
            aspect = LogUniform(aspect.low, aspect.high)
        random: dict[str, Any] = {
            "_area": (as_distribution(scale, owner=owner, name="scale", low=0.0, high=1.0), TRIES * high),
            "_aspect": (aspect, TRIES * high),
            "_place": (Uniform(0.0, 1.0), 2 * high),
        }
        if high > 1:
            random["count"] = counts
        if isinstance(self.value, str):
            random["_key"] = KEY
        self.declare(**random)

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Take, for each rectangle, the first of ten tries that fits; none leaves the sample as it is."""
        h, w = context.canvas
        most = self.most
        values: Drawn = {}
        count = raw.get("count")
        area = raw["_area"].unflatten(1, (most, TRIES)) * along(h * w * 1.0, 2)
        if count is not None:
            area = area / count[:, None, None]
        aspect = raw["_aspect"].unflatten(1, (most, TRIES))
        heights, widths = torch.round(torch.sqrt(area * aspect)), torch.round(torch.sqrt(area / aspect))
        fits = (heights < along(h, 2)) & (widths < along(w, 2))
        first = first_of(fits)
        height, width = (heights * first).sum(2), (widths * first).sum(2)
        place = raw["_place"].unflatten(1, (most, 2))
        h, w = along(h, 1), along(w, 1)
        top = torch.floor(place[..., 0] * (h - height + 1))
        left = torch.floor(place[..., 1] * (w - width + 1))
        boxes = stacked((torch.minimum(top, h - height), torch.minimum(left, w - width), height, width))
        if count is not None:
            values["count"] = count
            boxes = boxes * (torch.arange(most, device=boxes.device) < count[:, None])[..., None]
        values["boxes"] = boxes.to(torch.int64)
        if "_key" in raw:
            values["color_key" if self.value == "color" else "key"] = as_key(raw["_key"])
        return values


def _lengths(draws: Tensor, size: Any, fraction: bool) -> Tensor:
    lengths = draws * size if fraction else draws
    lengths = torch.floor(lengths).clamp(min=1)
    return torch.minimum(lengths, size) if isinstance(size, Tensor) else lengths.clamp(max=size)


class CoarseDropout(Rectangles):
    """Replace several rectangles of each sample, of numbers, sizes and places drawn for it.

    Args:
        num_holes_range: (low, high) number of rectangles, or a distribution of it.
        hole_height_range: range of heights: floats are fractions of the image, integers pixels.
        hole_width_range: likewise.
        fill: a number or one for each channel, in the input's unit (after `Normalize`, in its units); "random" for
            normal noise pixel by pixel; "color" for one colour of normal components for each rectangle.
        p: probability for each sample; 0 is neutral.
        fill_mask: class that masks get where the image is replaced (masks of objects are cleared there); None leaves
            masks as they are.
        hide_keypoints: whether keypoints under what is replaced are no longer visible.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        Boxes unchanged; masks and keypoints too, unless `fill_mask` or `hide_keypoints` say otherwise.

    Raises:
        ValueError: for ranges out of order.

    Source: albumentations.CoarseDropout.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.CoarseDropout((2, 4), p=1.0)(torch.ones(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    def __init__(
        self,
        num_holes_range: Range = (1, 2),
        hole_height_range: Range = (0.1, 0.2),
        hole_width_range: Range = (0.1, 0.2),
        fill: float | Sequence[float] | str = 0,
        p: Number = 0.5,
        *,
        fill_mask: float | None = None,
        hide_keypoints: bool = False,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys, fill_mask, hide_keypoints)
        owner = "CoarseDropout"
        self.value = as_value(fill, owner, "fill")
        counts = as_counts(num_holes_range, owner, "num_holes_range")
        self.most = high = int(counts.support()[1])
        self._fractions = (
            is_fraction(hole_height_range, owner, "hole_height_range"),
            is_fraction(hole_width_range, owner, "hole_width_range"),
        )
        random: dict[str, Any] = {"count": counts}
        for name, value in (("height", hole_height_range), ("width", hole_width_range)):
            drawn = as_distribution(value, owner=owner, name=f"hole_{name}_range", low=0.0)
            if isinstance(drawn, Uniform) and drawn.support()[0] > 1:
                drawn = within(drawn)
            random[f"_{name}"] = (drawn, high)
        random["_place"] = (Uniform(0.0, 1.0), 2 * high)
        if isinstance(self.value, str):
            random["_key"] = KEY
        self.declare(**random)

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `count` and `boxes`."""
        h, w = (along(n, 1) for n in context.canvas)
        most = self.most
        height = _lengths(raw["_height"].reshape(-1, most), h, self._fractions[0])
        width = _lengths(raw["_width"].reshape(-1, most), w, self._fractions[1])
        place = raw["_place"].unflatten(1, (most, 2))
        top = torch.minimum(torch.floor(place[..., 0] * (h - height + 1)), h - height)
        left = torch.minimum(torch.floor(place[..., 1] * (w - width + 1)), w - width)
        boxes = torch.stack((top, left, height, width), dim=-1)
        boxes = boxes * (torch.arange(most, device=boxes.device) < raw["count"][:, None])[..., None]
        values = {"count": raw["count"], "boxes": boxes.to(torch.int64)}
        if "_key" in raw:
            values["color_key" if self.value == "color" else "key"] = as_key(raw["_key"])
        return values


class GridDropout(Occluding):
    """Replace a regular grid of rectangles in each sample.

    Args:
        ratio: side of a hole over the side of a grid cell, within (0, 1): a number, or a range to draw from.
        random_offset: whether the grid is shifted by amounts drawn for each sample.
        unit_size_range: (low, high) side of a cell in pixels, drawn for each sample; None takes a tenth of the shorter
            side.
        holes_number_xy: number of cells along x and y, instead of their size.
        fill: a number or one for each channel, in the input's unit (after `Normalize`, in its units).
        p: probability for each sample; 0 is neutral.
        fill_mask: class that masks get where the image is replaced (masks of objects are cleared there); None leaves
            masks as they are.
        hide_keypoints: whether keypoints under what is replaced are no longer visible.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        Boxes unchanged; masks and keypoints too, unless `fill_mask` or `hide_keypoints` say otherwise.

    Raises:
        ValueError: for a ratio outside (0, 1), or cells below 2 pixels.

    Source: albumentations.GridDropout.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.GridDropout(p=1.0)(torch.ones(2, 3, 20, 30)).shape
        torch.Size([2, 3, 20, 30])
    """

    def __init__(
        self,
        ratio: Range = 0.5,
        random_offset: bool = True,
        unit_size_range: Range | None = None,
        holes_number_xy: Sequence[Number] | None = None,
        fill: float | Sequence[float] = 0,
        p: Number = 0.5,
        *,
        fill_mask: float | None = None,
        hide_keypoints: bool = False,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys, fill_mask, hide_keypoints)
        owner = "GridDropout"
        share = as_distribution(ratio, owner=owner, name="ratio")
        if not 0 < static_range(share)[0] <= static_range(share)[1] < 1:
            raise ValueError(f"{owner}: ratio must be between 0 and 1, got {ratio!r}")
        self.random_offset = random_offset
        self.holes_number_xy = None
        if holes_number_xy is not None:
            if not isinstance(holes_number_xy, Sequence) or len(holes_number_xy) != 2:
                raise ValueError(f"{owner}: holes_number_xy must be two numbers, got {holes_number_xy!r}")
            self.holes_number_xy = tuple(as_number(v, owner, "holes_number_xy", 1, 1e6) for v in holes_number_xy)
        self.hole_fill = as_fill(fill, owner) or (0.0,)
        random: dict[str, Any] = {}
        if unit_size_range is not None:
            random["_unit"] = as_counts(unit_size_range, owner, "unit_size_range", 2)
        if random_offset:
            random["_shift"] = (Uniform(0.0, 1.0), 2)
        nx, ny = self.holes_number_xy or (None, None)
        self.declare(**random, _ratio=share, **constants(nx=nx, ny=ny))

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `unit`, `hole` and `shift` (B, 2), heights and widths in pixels."""
        h, w = context.canvas
        ones = torch.ones_like(context.like, dtype=torch.float32)
        if "_unit" in raw:
            unit = torch.stack((smaller(raw["_unit"], h), smaller(raw["_unit"], w)), dim=-1)
        elif self.holes_number_xy is not None:
            sides = []
            for size, name, number in zip((w, h), ("nx", "ny"), self.holes_number_xy, strict=True):
                count = drawn_number(raw, name, number)
                count = torch.round(count) if isinstance(count, Tensor) else count
                sides.append(ones * larger(whole(divided(size, count)), 2))
            unit = torch.stack(sides[::-1], dim=-1)
        else:
            side = larger(whole(smaller(h, w) / 10), 2)
            unit = torch.stack((ones * side, ones * side), dim=-1)
        hole = torch.minimum(torch.floor(unit * raw["_ratio"][:, None]).clamp(min=1), (unit - 1).clamp(min=1))
        shift = torch.zeros_like(unit)
        if "_shift" in raw:
            free = unit - hole
            shift = torch.minimum(torch.floor(raw["_shift"] * (free + 1)), free)
        return {"unit": unit, "hole": hole, "shift": shift}

    def covered(self, values: Drawn, canvas: tuple[int, int]) -> Tensor:
        """Return where the holes are."""
        return occlude.grid(values["unit"], values["hole"], values["shift"], *canvas)

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the operation."""
        fill = context.values.working(self.hole_fill)
        operands = (values["unit"], values["hole"], values["shift"])
        return [[Choice("grid_dropout", ops.drop_grid, operands, {"fill": fill})]]
