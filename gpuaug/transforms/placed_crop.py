"""Crops of one size whose place depends on the objects or on the mask: pixels go to pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from gpuaug.geometry import matrix as mat
from gpuaug.geometry.canvas import Canvas, exact, hosts, smaller
from gpuaug.render.warp import Kind
from gpuaug.sampling.counts import as_number, constants, drawn_number
from gpuaug.sampling.distributions import Uniform
from gpuaug.sampling.law import Number
from gpuaug.transforms.base import Drawn, Geometric
from gpuaug.transforms.crop import CenterCrop, as_size
from gpuaug.transforms.layer import Context, Layer
from gpuaug.transforms.window import as_rank, pick_one, seen_boxes

__all__ = ["AtLeastOneBBoxRandomCrop", "CropNonEmptyMaskIfExists"]


class _PlacedCrop(Geometric):
    """Cut a rectangle of one size at `top` and `left`."""

    kind: ClassVar[Kind] = "lattice"
    cuts: ClassVar[bool] = True

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        owner = type(self).__name__
        self.size = (as_size(height, owner, "height")[0], as_size(width, owner, "width")[0])
        self.declare(_place=(Uniform(0.0, 1.0), 2), _which=(Uniform(0.0, 1.0), 1))

    def evaluation(self) -> Layer:
        """Return the centre crop."""
        return CenterCrop(self.size)

    def output_canvas(self, canvas: Canvas) -> Canvas:
        """Return the size."""
        return self.size

    def room(self, context: Context) -> tuple[Any, Any]:
        """Return the last `top` and `left`, or raise where the canvas is too small."""
        for size in hosts(context.canvas):
            if size[0] < self.size[0] or size[1] < self.size[1]:
                raise ValueError(
                    f"{type(self).__name__}: height and width must not be larger than the image, got {self.size} for "
                    f"{size}"
                )
        h, w = exact(context.canvas)
        return h - self.size[0], w - self.size[1]

    def matrix(self, values: Drawn, context: Context) -> Tensor:
        """Return the shift."""
        return mat.scale_shift(1.0, 0 - mat.wide(values["left"]), 1.0, 0 - mat.wide(values["top"]), context.like)

    def extra_repr(self) -> str:
        """Show the size."""
        return f"height={self.size[0]}, width={self.size[1]}"


def _within(place: Tensor, room: Any) -> Tensor:
    held: Tensor = smaller(place.clamp(min=0), room)
    return held


def _between(u: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return whole numbers evenly from `low` to `high`."""
    return torch.minimum(low + torch.floor(u * (high - low + 1)), high)


class AtLeastOneBBoxRandomCrop(_PlacedCrop):
    """Cut a rectangle out of each sample at a random place where it holds an object drawn for the sample.

    Args:
        height: of the output, in pixels.
        width: likewise.
        erosion_factor: how much of the object may be cut off along each axis: 0 holds it whole, where it is smaller
            than the rectangle, 1 touches it.

    Shape:
        (B, C, H, W) to (B, C, height, width); bit-exact. In `eval()` mode a centre crop of the same size.

    Boxes and masks:
        Shifted with the image; what lies outside is lost for good. A sample without objects is cropped anywhere.

    Raises:
        ValueError: for a factor outside 0..1; when called on a canvas smaller than the rectangle.

    Source: albumentations.AtLeastOneBBoxRandomCrop, which rounds places down and may cut up to a pixel more.

    Example:
        >>> import torch, gpuaug as ga
        >>> data = {"image": torch.zeros(1, 3, 8, 10), "boxes": torch.tensor([[[1.0, 2.0, 5.0, 6.0]]])}
        >>> ga.AtLeastOneBBoxRandomCrop(5, 6)(data)["image"].shape
        torch.Size([1, 3, 5, 6])
    """

    sees = ("objects",)

    def __init__(self, height: int, width: int, erosion_factor: Number = 0.0) -> None:
        """See the class."""
        super().__init__(height, width)
        self.erosion_factor = as_number(erosion_factor, "AtLeastOneBBoxRandomCrop", "erosion_factor")
        self._declared.update({k: (law, 1) for k, law in constants(factor=self.erosion_factor).items()})
        self._build()

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `top` and `left` in whole pixels."""
        room, u = self.room(context), mat.wide(raw["_place"])
        zero = torch.zeros_like(u[:, 0])
        free = [_between(u[:, axis], zero, zero + room[axis]) for axis in (0, 1)]
        seen = seen_boxes(context)
        if seen is None:
            return {"top": free[0], "left": free[1]}
        boxes, valid = seen
        there = valid.to(torch.int64)
        index, _ = pick_one(there, as_rank(raw["_which"], there.sum(1)))
        factor = drawn_number(raw, "factor", self.erosion_factor)
        box = torch.gather(boxes, 1, index[:, None, None].expand(-1, 1, 4))[:, 0]
        values = {}
        for axis, name in enumerate(("top", "left")):
            near, far = box[:, 1 - axis], box[:, 3 - axis]
            held = (far - near) * (1 - factor)
            ends = near + held - self.size[axis], far - held
            low, high = torch.minimum(*ends), torch.maximum(*ends)
            inner, outer = (torch.floor(low) + 1, torch.ceil(high) - 1), (torch.ceil(low), torch.floor(high))
            if isinstance(factor, Tensor):
                low, high = (torch.where(factor == 1, a, b) for a, b in zip(inner, outer, strict=True))
            else:  # touching is not holding
                low, high = inner if factor == 1 else outer
            # Between two whole numbers there may be none: then the nearest place, which cuts less than a pixel.
            low, high = torch.where(low > high, high, low), torch.where(low > high, high, high)
            place = _between(u[:, axis], _within(low, room[axis]), _within(high, room[axis]))
            values[name] = torch.where(valid.any(1), place, free[axis])
        return values


class CropNonEmptyMaskIfExists(_PlacedCrop):
    """Cut a rectangle out of each sample that holds a pixel, drawn for it, at which the mask is not zero.

    Every such pixel is as likely, and then every place that holds it, as far as the border allows.

    Args:
        height: of the output, in pixels.
        width: likewise.
        ignore_values: classes of the mask that count as zero.
        ignore_channels: channels of the mask that do not count.

    Shape:
        (B, C, H, W) to (B, C, height, width); bit-exact. In `eval()` mode a centre crop of the same size.

    Boxes and masks:
        Shifted with the image; what lies outside is lost for good. A sample whose mask is empty, or a batch without
        `mask`, is cropped anywhere; masks of instances are not looked at.

    Raises:
        ValueError: when called on a canvas smaller than the rectangle.

    Source: albumentations.CropNonEmptyMaskIfExists.

    Example:
        >>> import torch, gpuaug as ga
        >>> data = {"image": torch.zeros(1, 3, 8, 10), "mask": torch.ones(1, 8, 10, dtype=torch.uint8)}
        >>> ga.CropNonEmptyMaskIfExists(5, 6)(data)["mask"].shape
        torch.Size([1, 5, 6])
    """

    sees = ("mask",)

    def __init__(
        self,
        height: int,
        width: int,
        ignore_values: Sequence[int] | None = None,
        ignore_channels: Sequence[int] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(height, width)
        self.ignore_values = tuple(ignore_values or ())
        self.ignore_channels = tuple(ignore_channels or ())

    def _wanted(self, mask: Tensor) -> Tensor:
        """Return where (B, H, W) a mask (B, C, H, W) has something."""
        if self.ignore_channels:
            kept = [c for i, c in enumerate(mask.unbind(1)) if i not in self.ignore_channels]
            mask = torch.stack(kept, dim=1) if kept else torch.zeros_like(mask)
        wanted = mask != 0
        for value in self.ignore_values:
            wanted = wanted & (mask != value)
        return wanted.any(dim=1)

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `top` and `left` in whole pixels."""
        room, u = self.room(context), mat.wide(raw["_place"])
        zero = torch.zeros_like(u[:, 0])
        free = [_between(u[:, axis], zero, zero + room[axis]) for axis in (0, 1)]
        if context.mask is None:
            return {"top": free[0], "left": free[1]}
        wanted = self._wanted(context.mask)
        rows = wanted.sum(-1)
        row, rest = pick_one(rows, as_rank(raw["_which"], rows.sum(1)))
        line = torch.gather(wanted, 1, row[:, None, None].expand(-1, 1, wanted.shape[2]))[:, 0]
        column, _ = pick_one(line.to(torch.int64), rest)
        there = rows.sum(1) > 0
        values = {}
        for axis, (name, pixel) in enumerate((("top", row), ("left", column))):
            n = self.size[axis]
            place = _within(pixel - torch.floor(u[:, axis] * n).clamp(max=n - 1.0), room[axis])
            values[name] = torch.where(there, place, free[axis])
        return values
