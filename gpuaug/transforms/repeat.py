"""Transforms after which there are more samples: repeats of a sample, and its crops."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from gpuaug.geometry import matrix as mat
from gpuaug.geometry.canvas import Canvas, hosts, rounded
from gpuaug.render.plan import Plan
from gpuaug.render.warp import Kind
from gpuaug.transforms.base import Drawn, Geometric, Transform
from gpuaug.transforms.crop import Size, as_size
from gpuaug.transforms.layer import Context, Layer, Node
from gpuaug.transforms.node import which_copy

__all__ = ["FiveCrop", "Repeat", "TenCrop"]


class Repeat(Transform):
    """Give each sample several times; what follows draws for each of them anew.

    What stands before it is drawn once for all repeats of a sample. Nothing is copied: they are read from one source.

    Args:
        n: how many times; 1 is neutral.

    Shape:
        (B, C, H, W) to (n * B, C, H, W): all samples, then all samples again. `out.unflatten(0, (n, -1))` has the
        repeats in front. Labels and whatever else has a row for each sample are repeated likewise. In `eval()` mode
        the identity.

    Boxes and masks:
        Repeated with the image.

    Raises:
        ValueError: for a number below 1; after a transform in which samples meet, and in a container that decides.

    Source: the repeated augmentation of Hoffer et al. 2020 (Augment your batch); multi-crop of SwAV.

    Example:
        >>> import torch, gpuaug as ga
        >>> augment = ga.Compose([ga.RandomHorizontalFlip(), ga.Repeat(3), ga.RandomCrop(6)])
        >>> images, labels = augment(torch.zeros(2, 3, 8, 10), torch.tensor([4, 5]))
        >>> images.shape, labels.tolist()
        (torch.Size([6, 3, 6, 6]), [4, 5, 4, 5, 4, 5])
    """

    mute: ClassVar[bool] = True

    def __init__(self, n: int) -> None:
        """See the class."""
        super().__init__()
        self.copies = as_size(n, "Repeat", "n")[0]

    def evaluation(self) -> Layer | None:
        """Return the identity."""
        return None

    def contribute(self, plan: Plan, values: Drawn, context: Context, node: Node) -> None:
        """Leave the plan: which rows are read stands in it already."""

    def extra_repr(self) -> str:
        """Show the number."""
        return f"n={self.copies}"


class FiveCrop(Geometric):
    """Cut the four corners and the middle out of each sample.

    Args:
        size: (height, width) of the crops, or a number for a square.

    Shape:
        (B, C, H, W) to (5 * B, C, *size): top left of all samples, then top right, bottom left, bottom right, middle;
        bit-exact. `out.chunk(5)` is torchvision's tuple, `out.unflatten(0, (5, -1)).transpose(0, 1)` the (B, 5, ...)
        that is stacked from it. Labels and whatever else has a row for each sample are repeated likewise.

    Boxes and masks:
        Shifted with each crop; what lies outside is lost for good.

    Raises:
        ValueError: when called on a canvas smaller than `size`.

    Source: torchvision.transforms.v2.FiveCrop.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.FiveCrop((4, 6))(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([10, 3, 4, 6])
    """

    kind: ClassVar[Kind] = "lattice"
    cuts: ClassVar[bool] = True
    reads: ClassVar[bool] = False
    copies = 5

    def __init__(self, size: Size) -> None:
        """See the class."""
        super().__init__()
        self.size = as_size(size, type(self).__name__)

    def output_canvas(self, canvas: Canvas) -> Canvas:
        """Return the size."""
        return self.size

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `top` and `left` of each crop, in whole pixels."""
        for have in hosts(context.canvas):
            if have[0] < self.size[0] or have[1] < self.size[1]:
                raise ValueError(
                    f"{type(self).__name__}: size must not be larger than the image, got {self.size} for {have}"
                )
        which = which_copy(context, self.copies) % 5
        zero = torch.zeros_like(context.like, dtype=torch.float32)
        low, right, middle = (which == 2) | (which == 3), (which == 1) | (which == 3), which == 4
        values = {}
        for i, (name, far) in enumerate((("top", low), ("left", right))):
            room = context.canvas[i] - self.size[i]
            values[name] = torch.where(middle, zero + rounded(room / 2), torch.where(far, zero + room, zero))
        return values

    def matrix(self, values: Drawn, context: Context) -> Tensor:
        """Return the shift."""
        return mat.scale_shift(1.0, 0 - mat.wide(values["left"]), 1.0, 0 - mat.wide(values["top"]), context.like)

    def extra_repr(self) -> str:
        """Show the size."""
        return f"size={self.size}"


class TenCrop(FiveCrop):
    """Cut the four corners and the middle out of each sample, and out of its mirror image.

    Args:
        size: (height, width) of the crops, or a number for a square.
        vertical_flip: whether the mirror exchanges top and bottom instead of left and right.

    Shape:
        (B, C, H, W) to (10 * B, C, *size): as `FiveCrop`, then the same of the mirror images; bit-exact.
        `out.chunk(10)` is torchvision's tuple.

    Boxes and masks:
        Moved with each crop; what lies outside is lost for good.

    Raises:
        ValueError: when called on a canvas smaller than `size`.

    Source: torchvision.transforms.v2.TenCrop.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.TenCrop((4, 6))(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([20, 3, 4, 6])
    """

    mirrors: ClassVar[bool] = True
    copies = 10

    def __init__(self, size: Size, vertical_flip: bool = False) -> None:
        """See the class."""
        super().__init__(size)
        self.vertical_flip = bool(vertical_flip)

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `top` and `left` of each crop, and which are `mirrored` first."""
        values = super().parameters_for(raw, context)
        return {**values, "mirrored": which_copy(context, self.copies) >= 5}

    def matrix(self, values: Drawn, context: Context) -> Tensor:
        """Return the shift, after the mirror."""
        on = mat.wide(values["mirrored"])
        h, w = context.canvas
        if self.vertical_flip:
            mirror = mat.scale_shift(1.0, 0.0, 1 - 2 * on, on * h, context.like)
        else:
            mirror = mat.scale_shift(1 - 2 * on, on * w, 1.0, 0.0, context.like)
        return super().matrix(values, context) @ mirror
