"""Scales in the unit of the image: a factor for each sample on its canvas, and crops of a drawn height."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from gpuaug.geometry import matrix as mat
from gpuaug.geometry.canvas import hosts, rectangle
from gpuaug.render.plan import Plan
from gpuaug.render.warp import Kind
from gpuaug.sampling.distributions import Integers, Uniform, as_distribution, static_range
from gpuaug.sampling.law import Number, Range
from gpuaug.transforms.base import Drawn, Geometric
from gpuaug.transforms.crop import CenterCrop, Size, as_size
from gpuaug.transforms.layer import Context, Layer, Node
from gpuaug.transforms.resize import Resize
from gpuaug.transforms.window import Window

__all__ = ["RandomScale", "RandomSizedCrop"]


class RandomScale(Geometric):
    """Resize each sample by a factor drawn for it, on the canvas that it has.

    A smaller image lies in the middle of `fill`; of a larger one a part is cut at a place drawn for it. That is
    albumentations' usual RandomScale, PadIfNeeded and RandomCrop at once: RandomScale alone gives every image a size
    of its own. One size drawn for the whole batch, without border or cut, is `RandomResize`.

    Args:
        scale_limit: range of the factor less one; a number d means (-d, d); 0 is neutral.
        interpolation: "bilinear" (default), "nearest" or "bicubic".
        antialias: whether the filter widens when shrinking.
        fill: value of the border, in the input's unit.
        p: probability for each sample.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        Scaled and shifted with the image; what lies outside the canvas is lost for good.

    Raises:
        ValueError: for limits of -1 and below.

    Source: albumentations.RandomScale, with its sizes (rounded down), antialiased where it shrinks.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomScale(0.5, p=1.0)(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"scale": 0.0}

    kind: ClassVar[Kind] = "axis"
    pads = True
    cuts: ClassVar[bool] = True

    def __init__(
        self,
        scale_limit: Range = (-0.1, 0.1),
        interpolation: Any = None,
        *,
        antialias: bool | None = True,
        fill: Any = None,
        p: Number = 0.5,
    ) -> None:
        """See the class."""
        super().__init__(p, interpolation, fill, antialias)
        self.limit = as_distribution(
            scale_limit, owner="RandomScale", name="scale_limit", symmetric_about=0.0, low=-1 + 1e-6, cut=-1 + 1e-6
        )
        self.declare(scale=self.limit, place=(Uniform(0.0, 1.0), 2))

    def shrink(self, canvas: tuple[int, int]) -> float:
        """Return how much the smallest image is smaller than the canvas; its sides are rounded down."""
        least = 1 + static_range(self.limit)[0]
        return max(n / max(1.0, n * least - 1) for n in canvas)

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `height` and `width` of the resized image, and `top` and `left` of the canvas in it."""
        values = {"scale": raw["scale"]}
        factor = mat.wide(raw["scale"]) + 1
        for i, (side, start) in enumerate((("height", "top"), ("width", "left"))):
            n = context.canvas[i]
            size = torch.floor(factor * n + 1e-5).clamp(min=1)  # a float32 factor times a number may fall short of it
            room = size - n
            cut = torch.minimum(torch.floor(raw["place"][:, i] * (room + 1)), room)
            values[side], values[start] = size, torch.where(room < 0, 0 - torch.floor((0 - room) / 2), cut)
        return values

    def matrix(self, values: Drawn, context: Context) -> Tensor:
        """Return scaling and shift."""
        h, w = context.canvas
        top, left = mat.wide(values["top"]), mat.wide(values["left"])
        return mat.scale_shift(values["width"] / w, 0 - left, values["height"] / h, 0 - top, context.like)

    def window(self, values: Drawn, context: Context) -> Tensor:
        """Return the whole canvas: the filter is cut at its border, not at the crop's."""
        return rectangle(context.canvas, context.like).expand(len(context.like), 4)

    def contribute(self, plan: Plan, values: Drawn, context: Context, node: Node) -> None:
        """Multiply into the pending warp, and cut what lies outside the canvas."""
        super().contribute(plan, values, context, node)
        plan.cut()


class RandomSizedCrop(Window):
    """Cut a rectangle of a height drawn for each sample and one aspect, and resize it to one size.

    Args:
        min_max_height: range of the height in pixels, both ends included.
        size: (height, width) of the output, or a number for a square.
        w2h_ratio: width of the rectangle over its height; the width is rounded down.
        interpolation: "bilinear" (default), "nearest" or "bicubic".
        antialias: whether the filter widens when shrinking.
        p: probability for each sample; others are resized whole.

    Shape:
        (B, C, H, W) to (B, C, *size). In `eval()` mode the middle, of the greatest height.

    Boxes and masks:
        Cropped and scaled with the image.

    Raises:
        ValueError: for heights below 1; when called on a canvas smaller than the greatest rectangle.

    Source: albumentations.RandomSizedCrop; the same distribution.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomSizedCrop((4, 8), (6, 5))(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 6, 5])
    """

    size: tuple[int, int]

    def __init__(
        self,
        min_max_height: Range,
        size: Size,
        w2h_ratio: float = 1.0,
        interpolation: Any = None,
        *,
        antialias: bool | None = True,
        p: Number = 1.0,
    ) -> None:
        """See the class."""
        owner = "RandomSizedCrop"
        super().__init__(p, interpolation, antialias=antialias)
        self.size = as_size(size, owner)
        if isinstance(w2h_ratio, bool) or not isinstance(w2h_ratio, (int, float)) or not w2h_ratio > 0:
            raise ValueError(f"{owner}: w2h_ratio must be a positive number, got {w2h_ratio!r}")
        self.w2h_ratio = float(w2h_ratio)
        law = as_distribution(min_max_height, owner=owner, name="min_max_height", low=1.0)
        self.heights = Integers(law.low, law.high) if isinstance(law, Uniform) else law
        self.declare(_height=self.heights, place=(Uniform(0.0, 1.0), 2))

    def _rectangle(self) -> tuple[int, int]:
        """Return the greatest height and width."""
        most = round(static_range(self.heights)[1])
        return most, max(1, int(most * self.w2h_ratio))

    def evaluation(self) -> Layer:
        """Return the middle, resized."""
        from gpuaug.transforms.compose import Compose

        resize = Resize(self.size, interpolation=self.interpolation, antialias=self.antialias)
        return Compose([CenterCrop(self._rectangle()), resize])

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return the rectangle in whole pixels: `top`, `left`, `height`, `width`."""
        most = self._rectangle()
        for have in hosts(context.canvas):
            if have[0] < most[0] or have[1] < most[1]:
                raise ValueError(
                    f"RandomSizedCrop: images must be at least {most[0]}x{most[1]}, the greatest rectangle, got "
                    f"{have[0]}x{have[1]}"
                )
        height = torch.round(raw["_height"]).clamp(1, most[0])
        width = torch.floor(height * self.w2h_ratio + 1e-4).clamp(1, most[1])
        values = {"height": height, "width": width}
        for i, (name, length) in enumerate((("top", height), ("left", width))):
            room = context.canvas[i] - length
            values[name] = torch.minimum(torch.floor(raw["place"][:, i] * (room + 1)), room)
        return values

    def extra_repr(self) -> str:
        """Show the heights and the size."""
        return f"min_max_height={self.heights}, size={self.size}, w2h_ratio={self.w2h_ratio:g}"
