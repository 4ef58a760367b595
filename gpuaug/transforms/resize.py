"""Resizing: axes stay axes, and shrinking never aliases."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from gpuaug._arrays import arrays, tensor
from gpuaug.geometry import matrix as mat
from gpuaug.geometry.canvas import Canvas, Sizes, along, larger, ratio, rectangle, rounded, scaled, smaller, whole
from gpuaug.render.warp import Kind
from gpuaug.sampling.distributions import LogUniform, Uniform, as_distribution, static_range
from gpuaug.sampling.law import Range
from gpuaug.transforms.base import Drawn, Geometric
from gpuaug.transforms.crop import CenterCrop, Size, as_size
from gpuaug.transforms.layer import Context, Layer
from gpuaug.transforms.window import Window, first_of

__all__ = ["LetterBox", "LongestMaxSize", "RandomResizedCrop", "Resize", "Resizing", "SmallestMaxSize"]

TRIES = 10
"""How many rectangles RandomResizedCrop draws before it falls back, as torchvision."""


class Resizing(Geometric):
    """A resize of the whole canvas."""

    kind: ClassVar[Kind] = "axis"

    def inner_size(self, canvas: Canvas) -> Canvas:
        """Return the size of the resized image, without padding."""
        raise NotImplementedError  # pragma: no cover

    def output_canvas(self, canvas: Canvas) -> Canvas:
        """Return the size after resizing."""
        return self.inner_size(canvas)

    def shrink(self, canvas: tuple[int, int]) -> float:
        """Return the larger of the two factors."""
        h, w = self.inner_size(canvas)
        return max(1.0, float(canvas[0] / h), float(canvas[1] / w))

    def window(self, values: Drawn, context: Context) -> Tensor | None:
        """Return the whole canvas: the filter is cut at its border; None where the size stays."""
        if not isinstance(context.canvas, Sizes) and self.inner_size(context.canvas) == context.canvas:
            return None
        return rectangle(context.canvas, context.like)

    def matrix(self, values: Drawn, context: Context) -> Tensor:
        """Return the scaling."""
        h, w = self.inner_size(context.canvas)
        rows, cols = context.canvas
        return mat.scale_shift(ratio(w, cols), 0.0, ratio(h, rows), 0.0, context.like)


class Resize(Resizing):
    """Resize each sample.

    Args:
        size: (height, width), or a number for the shorter side.
        interpolation: "bilinear" (default), "nearest" (to the pixel centre) or "bicubic".
        max_size: largest longer side, where `size` is a number.
        antialias: whether the filter widens when shrinking.

    Shape:
        (B, C, H, W) to (B, C, *size).

    Boxes and masks:
        Scaled with the image.

    Raises:
        ValueError: for max_size with a pair, or not larger than the size.

    Source: torchvision.transforms.v2.Resize; equals functional.resize to 1e-5.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.Resize(4)(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 4, 5])
    """

    def __init__(
        self,
        size: Size,
        interpolation: Any = None,
        max_size: int | None = None,
        antialias: bool | None = True,
    ) -> None:
        """See the class."""
        super().__init__(interpolation=interpolation, antialias=antialias)
        self.shorter = size if isinstance(size, int) else size[0] if len(size) == 1 else None
        self.size = as_size(size, "Resize")
        if max_size is not None and (self.shorter is None or max_size <= self.shorter):
            raise ValueError(f"Resize: max_size needs a number as size and must be larger, got {max_size} with {size}")
        self.max_size = max_size

    def inner_size(self, canvas: Canvas) -> Canvas:
        """Return the size for a canvas."""
        if self.shorter is None:
            return self.size
        h, w = canvas
        short, long = self.shorter, whole(self.shorter * larger(h, w) / smaller(h, w))
        if self.max_size is not None:  # whichever side is at its limit
            short, long = smaller(whole(ratio(self.max_size * short, long)), short), smaller(long, self.max_size)
        if isinstance(h, Tensor):
            return torch.where(h >= w, long, short), torch.where(h >= w, short, long)
        return (long, short) if h >= w else (short, long)

    def drawn(self, size: Any) -> Resize:
        """Return the resize to another size."""
        made: Any = super().drawn(size)
        made.shorter = size if isinstance(size, int) and self.shorter is not None else None
        return made  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        """Show the size."""
        return f"size={self.shorter or self.size}"


class LongestMaxSize(Resizing):
    """Resize each sample so that its longer side is `max_size`, keeping the aspect.

    Args:
        max_size: longer side in pixels.
        interpolation: "bilinear" (default), "nearest" or "bicubic".

    Shape:
        (B, C, H, W) to (B, C, h, w) with max(h, w) = max_size.

    Boxes and masks:
        Scaled with the image.

    Source: albumentations.LongestMaxSize.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.LongestMaxSize(5)(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 4, 5])
    """

    def __init__(self, max_size: int, interpolation: Any = None) -> None:
        """See the class."""
        super().__init__(interpolation=interpolation)
        self.max_size = as_size(max_size, type(self).__name__, "max_size")[0]

    def inner_size(self, canvas: Canvas) -> Canvas:
        """Return the size for a canvas."""
        return scaled(canvas, ratio(self.max_size, larger(*canvas)))

    def extra_repr(self) -> str:
        """Show the size."""
        return f"max_size={self.max_size}"


class SmallestMaxSize(LongestMaxSize):
    """Resize each sample so that its shorter side is `max_size`, keeping the aspect.

    Args:
        max_size: shorter side in pixels.
        interpolation: "bilinear" (default), "nearest" or "bicubic".

    Shape:
        (B, C, H, W) to (B, C, h, w) with min(h, w) = max_size.

    Boxes and masks:
        Scaled with the image.

    Source: albumentations.SmallestMaxSize.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.SmallestMaxSize(4)(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 4, 5])
    """

    def inner_size(self, canvas: Canvas) -> Canvas:
        """Return the size for a canvas."""
        return scaled(canvas, ratio(self.max_size, smaller(*canvas)))


class LetterBox(Resizing):
    """Resize each sample into a canvas, keeping the aspect, in the middle of a border of `fill`.

    Args:
        size: (height, width) of the canvas, or a number for a square.
        interpolation: "bilinear" (default), "nearest" or "bicubic".
        fill: value of the border in the input's unit; 114 of 255, as in YOLO, by default.

    Shape:
        (B, C, H, W) to (B, C, *size).

    Boxes and masks:
        Scaled and shifted with the image.

    Source: albumentations.LetterBox; the geometry of Ultralytics' LetterBox.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.LetterBox(16)(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 16, 16])
    """

    pads = True

    def __init__(self, size: Size, interpolation: Any = None, fill: Any = None) -> None:
        """See the class."""
        super().__init__(interpolation=interpolation, fill=fill)
        self.size = as_size(size, "LetterBox")

    def default_fill(self, context: Context) -> tuple[float, ...]:
        """Return YOLO's gray."""
        return context.values.own(114.0 / 255)

    def inner_size(self, canvas: Canvas) -> Canvas:
        """Return the size of the image within the canvas."""
        return scaled(canvas, smaller(ratio(self.size[0], canvas[0]), ratio(self.size[1], canvas[1])))

    def output_canvas(self, canvas: Canvas) -> Canvas:
        """Return the canvas."""
        return self.size

    def matrix(self, values: Drawn, context: Context) -> Tensor:
        """Return scaling and shift to the middle; an odd border has its extra pixel at the bottom right."""
        (h, w), (rows, cols) = self.inner_size(context.canvas), context.canvas
        top, left = whole((self.size[0] - h) / 2), whole((self.size[1] - w) / 2)
        return mat.scale_shift(w / cols, left, h / rows, top, context.like)

    def extra_repr(self) -> str:
        """Show the size."""
        return f"size={self.size}"


def _or(values: Any, otherwise: Any, other: float | Tensor) -> Any:
    """Return values (B,), and `other` where a mask says so: one operation where that is a number."""
    if not isinstance(values, Tensor):
        return np.where(otherwise, values.dtype.type(other), values)
    if isinstance(other, Tensor):
        return torch.where(otherwise, other.to(values.dtype), values)
    return values.masked_fill(otherwise, other)


class RandomResizedCrop(Window):
    """Cut a rectangle of an area and aspect drawn for each sample, and resize it to one size.

    Args:
        size: (height, width) of the output, or a number for a square.
        scale: range of the area, as a fraction of the image; (1, 1) with a fitting ratio is neutral.
        ratio: range of width over height.
        interpolation: "bilinear" (default), "nearest" or "bicubic".
        antialias: whether the filter widens when shrinking.
        eval_crop_pct: in `eval()` mode, the part of the resized shorter side that the centre crop keeps.

    Shape:
        (B, C, H, W) to (B, C, *size). In `eval()` mode: resize of the shorter side to size / eval_crop_pct, then a
        centre crop.

    Boxes and masks:
        Cropped and scaled with the image.

    Raises:
        ValueError: for ranges that are not positive.

    Source: torchvision.transforms.v2.RandomResizedCrop; the same distribution (ten tries, then a centre crop), and
    equals functional.resized_crop to 1e-5.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomResizedCrop((4, 6))(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 4, 6])
    """

    neutral: ClassVar[Mapping[str, float]] = {"area": 1.0}

    size: tuple[int, int]

    def __init__(
        self,
        size: Size,
        scale: Range = (0.08, 1.0),
        ratio: Range = (3.0 / 4.0, 4.0 / 3.0),
        interpolation: Any = None,
        antialias: bool | None = True,
        *,
        eval_crop_pct: float = 0.875,
    ) -> None:
        """See the class."""
        super().__init__(interpolation=interpolation, antialias=antialias)
        owner = "RandomResizedCrop"
        self.size = as_size(size, owner)
        self.scale = as_distribution(scale, owner=owner, name="scale", low=0.0)
        self.ratio = as_distribution(ratio, owner=owner, name="ratio", low=1e-9)
        if isinstance(self.ratio, Uniform):  # a ratio and its inverse are equally likely
            self.ratio = LogUniform(self.ratio.low, self.ratio.high)
        if not 0 < eval_crop_pct <= 1:
            raise ValueError(f"{owner}: eval_crop_pct must be in (0, 1], got {eval_crop_pct!r}")
        self.eval_crop_pct = eval_crop_pct
        self.declare(area=(self.scale, TRIES), aspect=(self.ratio, TRIES), place=(Uniform(0.0, 1.0), 2))

    def evaluation(self) -> Layer:
        """Return resize and centre crop."""
        from gpuaug.transforms.compose import Compose

        h, w = self.size
        size: Any = math.floor(h / self.eval_crop_pct)
        if h != w:
            size = (math.floor(h / self.eval_crop_pct), math.floor(w / self.eval_crop_pct))
        resize = Resize(size, interpolation=self.interpolation, antialias=self.antialias)
        return Compose([resize, CenterCrop(self.size)])

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Take the first of ten rectangles that fits, or torchvision's fallback: `top`, `left`, `height`, `width`."""
        h, w = context.canvas
        library, (areas, aspect, place) = torch, (raw["area"], raw["aspect"], raw["place"])
        if not isinstance(h, Tensor):
            library, (areas, aspect, place) = arrays(areas, aspect, place)
        area = areas * along(h * w * 1.0, 1)
        widths, heights = (library.round(library.sqrt(a)) for a in (area * aspect, area / aspect))
        fits = (widths > 0) & (widths <= along(w, 1)) & (heights > 0) & (heights <= along(h, 1))
        first = first_of(fits)
        none = ~fits.any(1)
        low, high = static_range(self.ratio)
        # The whole image, or as much of it as has an aspect of the range.
        fallback = smaller(h, rounded(w / low)), smaller(w, rounded(h * high))
        height = _or((heights * first).sum(1), none, fallback[0] * 1.0)
        width = _or((widths * first).sum(1), none, fallback[1] * 1.0)
        middle = whole((h - fallback[0]) / 2) * 1.0, whole((w - fallback[1]) / 2) * 1.0
        top = _or(library.floor(place[:, 0] * (h - height + 1)), none, middle[0])
        left = _or(library.floor(place[:, 1] * (w - width + 1)), none, middle[1])
        # A uniform just under one may round up to the place after the last.
        top, left = library.minimum(top, h - height), library.minimum(left, w - width)
        return {"top": tensor(top), "left": tensor(left), "height": tensor(height), "width": tensor(width)}
