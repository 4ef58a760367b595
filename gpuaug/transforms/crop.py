"""Crops and pads: pixels go to pixels, and what a crop removes is gone for good."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from gpuaug.geometry import matrix as mat
from gpuaug.geometry.canvas import Canvas, hosts, larger, rounded, smaller, whole
from gpuaug.render.warp import Kind
from gpuaug.sampling.distributions import Uniform
from gpuaug.transforms.base import Drawn, Geometric
from gpuaug.transforms.layer import Context, Layer
from gpuaug.transforms.sizes import as_size

__all__ = ["CenterCrop", "Pad", "RandomCrop", "as_padding", "as_size"]

Size = int | Sequence[int]


def as_padding(padding: Any, owner: str) -> tuple[int, int, int, int]:
    """Return (left, top, right, bottom) from one, two or four numbers, as torchvision reads them."""
    values = (padding,) if isinstance(padding, int) else tuple(padding) if isinstance(padding, Sequence) else ()
    if len(values) not in (1, 2, 4) or any(isinstance(v, bool) or not isinstance(v, int) for v in values):
        raise TypeError(
            f"{owner}: padding must be an integer, (horizontal, vertical) or four integers, got {padding!r}"
        )
    if min(values) < 0:
        raise ValueError(f"{owner}: padding must not be negative, got {padding!r}")
    if len(values) == 1:
        return values * 4
    left, top = values[:2]
    return (left, top, *values[2:]) if len(values) == 4 else (left, top, left, top)


class Pad(Geometric):
    """Surround each sample with `fill`.

    Args:
        padding: pixels: one number, (left/right, top/bottom) or (left, top, right, bottom); 0 is neutral.
        fill: value of the border, in the input's unit.
        padding_mode: "constant" is the only one.

    Shape:
        (B, C, H, W) to (B, C, H + top + bottom, W + left + right); bit-exact.

    Boxes and masks:
        Shifted with the image.

    Raises:
        TypeError: for paddings that are not integers.

    Source: torchvision.transforms.v2.Pad.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.Pad((1, 2))(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 12, 12])
    """

    kind: ClassVar[Kind] = "lattice"
    pads = True

    def __init__(self, padding: int | Sequence[int], fill: Any = None, padding_mode: str = "constant") -> None:
        """See the class."""
        super().__init__(fill=fill)
        if padding_mode != "constant":
            raise ValueError(f"Pad: padding_mode must be 'constant', got {padding_mode!r}")
        self.padding = as_padding(padding, "Pad")

    def output_canvas(self, canvas: Canvas) -> Canvas:
        """Return the larger canvas."""
        left, top, right, bottom = self.padding
        return (canvas[0] + top + bottom, canvas[1] + left + right)

    def matrix(self, values: Drawn, context: Context) -> Tensor:
        """Return the shift."""
        return mat.scale_shift(1.0, float(self.padding[0]), 1.0, float(self.padding[1]), context.like)

    def extra_repr(self) -> str:
        """Show the padding."""
        return f"padding={self.padding}"


class CenterCrop(Geometric):
    """Cut the middle out of each sample; where the sample is smaller, surround it with `fill`.

    Args:
        size: (height, width), or a number for a square.
        fill: value outside the image, in the input's unit.

    Shape:
        (B, C, H, W) to (B, C, *size); bit-exact.

    Boxes and masks:
        Shifted with the image; what lies outside is lost for good.

    Raises:
        TypeError: for a size that is not an integer or a pair.

    Source: torchvision.transforms.v2.CenterCrop.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.CenterCrop((4, 6))(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 4, 6])
    """

    kind: ClassVar[Kind] = "lattice"
    pads = True
    only_pads: ClassVar[bool] = True
    cuts: ClassVar[bool] = True

    def __init__(self, size: Size, fill: Any = None) -> None:
        """See the class."""
        super().__init__(fill=fill)
        self.size = as_size(size, "CenterCrop")

    def output_canvas(self, canvas: Canvas) -> Canvas:
        """Return the size."""
        return self.size

    def shows_outside(self, canvas: Canvas) -> bool:
        """Tell whether a sample is smaller than the crop."""
        return any(h < self.size[0] or w < self.size[1] for h, w in hosts(canvas))

    def matrix(self, values: Drawn, context: Context) -> Tensor:
        """Return the shift: torchvision's anchor, which rounds halves to even, and its padding where too small."""
        shifts = []
        for have, want in zip(context.canvas, self.size, strict=True):
            missing = larger(want - have, 0)
            before = whole(missing / 2)
            shifts.append(before - rounded((have + missing - want) / 2))
        return mat.scale_shift(1.0, shifts[1], 1.0, shifts[0], context.like)

    def extra_repr(self) -> str:
        """Show the size."""
        return f"size={self.size}"


class RandomCrop(Geometric):
    """Cut a rectangle out of each sample at a place drawn for it.

    Args:
        size: (height, width), or a number for a square.
        padding: pixels added around the image first, as in `Pad`; None adds none.
        pad_if_needed: whether a canvas smaller than `size` is padded, by the whole deficit on both sides.
        fill: value of the padding, in the input's unit.
        padding_mode: "constant" is the only one.

    Shape:
        (B, C, H, W) to (B, C, *size); bit-exact. In `eval()` mode a centre crop of the same size.

    Boxes and masks:
        Shifted with the image; what lies outside is lost for good.

    Raises:
        ValueError: when called on a canvas smaller than `size` without `pad_if_needed`.

    Source: torchvision.transforms.v2.RandomCrop.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomCrop(8, padding=2)(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 8])
    """

    kind: ClassVar[Kind] = "lattice"
    cuts: ClassVar[bool] = True

    def __init__(
        self,
        size: Size,
        padding: int | Sequence[int] | None = None,
        pad_if_needed: bool = False,
        fill: Any = None,
        padding_mode: str = "constant",
    ) -> None:
        """See the class."""
        super().__init__(fill=fill)
        if padding_mode != "constant":
            raise ValueError(f"RandomCrop: padding_mode must be 'constant', got {padding_mode!r}")
        self.size = as_size(size, "RandomCrop")
        self.padding = (0, 0, 0, 0) if padding is None else as_padding(padding, "RandomCrop")
        self.pad_if_needed = pad_if_needed
        self.pads = pad_if_needed or any(self.padding)
        self.declare(place=(Uniform(0.0, 1.0), 2))

    def evaluation(self) -> Layer:
        """Return the centre crop."""
        return CenterCrop(self.size, fill=self.fill)

    def output_canvas(self, canvas: Canvas) -> Canvas:
        """Return the size."""
        return self.size

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Draw `top` and `left` in whole pixels of the unpadded image; both ends can occur."""
        left, top, right, bottom = self.padding
        values = {}
        for i, (name, before, after) in enumerate((("top", top, bottom), ("left", left, right))):
            want = self.size[i]
            for size in hosts(context.canvas):
                if size[i] + before + after < want and not self.pad_if_needed:
                    raise ValueError(
                        f"RandomCrop: the padded image must be at least {self.size} unless pad_if_needed, got "
                        f"{size} with padding {self.padding}"
                    )
            have = context.canvas[i] + before + after
            missing = larger(want - have, 0)
            places = have + 2 * missing - want + 1
            values[name] = smaller(torch.floor(raw["place"][:, i] * places), places - 1.0) - (before + missing)
        return values

    def matrix(self, values: Drawn, context: Context) -> Tensor:
        """Return the shift."""
        return mat.scale_shift(1.0, -mat.wide(values["left"]), 1.0, -mat.wide(values["top"]), context.like)

    def extra_repr(self) -> str:
        """Show the size."""
        return f"size={self.size}, padding={self.padding}"
