"""Flips, transposes and quarter turns: pixels go to pixels."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from gpuaug.geometry import matrix as mat
from gpuaug.geometry.canvas import hosts
from gpuaug.render.warp import Kind
from gpuaug.sampling.distributions import Integers
from gpuaug.sampling.law import Number
from gpuaug.transforms.base import Drawn, Geometric
from gpuaug.transforms.layer import Context

__all__ = [
    "RandomHorizontalFlip",
    "RandomRotate90",
    "RandomTranspose",
    "RandomVerticalFlip",
    "SquareSymmetry",
]


class _Lattice(Geometric):
    kind: ClassVar[Kind] = "lattice"
    reads: ClassVar[bool] = False

    def __init__(self, p: Number = 0.5) -> None:
        """Remember the probability."""
        super().__init__(p)


class RandomHorizontalFlip(_Lattice):
    """Mirror each sample left to right with probability `p`.

    Args:
        p: probability for each sample; 0 is neutral.

    Shape:
        (B, C, H, W) to the same; bit-exact.

    Boxes and masks:
        x goes to W - x.

    Source: torchvision.transforms.v2.RandomHorizontalFlip.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomHorizontalFlip(p=1.0)(torch.tensor([[[[1.0, 2.0, 3.0]]]])).flatten().tolist()
        [3.0, 2.0, 1.0]
    """

    mirrors: ClassVar[bool] = True

    def matrix(self, values: Drawn, context: Context) -> Tensor:
        """Return x -> W - x."""
        return mat.scale_shift(-1.0, context.canvas[1], 1.0, 0.0, context.like)


class RandomVerticalFlip(_Lattice):
    """Mirror each sample top to bottom with probability `p`.

    Args:
        p: probability for each sample; 0 is neutral.

    Shape:
        (B, C, H, W) to the same; bit-exact.

    Boxes and masks:
        y goes to H - y.

    Source: torchvision.transforms.v2.RandomVerticalFlip.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomVerticalFlip(p=1.0)(torch.tensor([[[[1.0], [2.0]]]])).flatten().tolist()
        [2.0, 1.0]
    """

    mirrors: ClassVar[bool] = True

    def matrix(self, values: Drawn, context: Context) -> Tensor:
        """Return y -> H - y."""
        return mat.scale_shift(1.0, 0.0, -1.0, context.canvas[0], context.like)


class _Turning(_Lattice):
    """A transform that may exchange height and width: all samples of a batch have one canvas, so they must agree."""

    transposes: ClassVar[bool] = True

    def settle(self, raw: Drawn, gate: Tensor | None, context: Context) -> Drawn:
        """Refuse a canvas that is not square, where a sample could come out with another size than its neighbour."""
        for h, w in hosts(context.canvas):
            if h != w and not self._whole_batch():
                raise ValueError(
                    f"{type(self).__name__}: the canvas must be square, because samples that are turned and samples"
                    f" that are not share a batch, got {h}x{w}"
                )
        return super().settle(raw, gate, context)

    def _whole_batch(self) -> bool:
        return False


class RandomTranspose(_Turning):
    """Exchange rows and columns of each sample with probability `p`.

    Args:
        p: probability for each sample; 0 is neutral. With p = 1 the canvas need not be square.

    Shape:
        (B, C, H, W) to the same for square images, (B, C, W, H) with p = 1; bit-exact.

    Boxes and masks:
        (x, y) goes to (y, x).

    Raises:
        ValueError: for a canvas that is not square, unless p is 1.

    Source: albumentations.Transpose.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomTranspose(p=1.0)(torch.zeros(2, 3, 4, 6)).shape
        torch.Size([2, 3, 6, 4])
    """

    mirrors: ClassVar[bool] = True

    def _whole_batch(self) -> bool:
        return bool(self.p == 1)

    def output_canvas(self, canvas: tuple[int, int]) -> tuple[int, int]:
        """Return (W, H) where every sample is transposed."""
        return (canvas[1], canvas[0]) if self.p == 1 else canvas

    def matrix(self, values: Drawn, context: Context) -> Tensor:
        """Return (x, y) -> (y, x)."""
        return mat.from_entries((0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0), context.like)


class RandomRotate90(_Turning):
    """Turn each sample counter-clockwise by 0, 90, 180 or 270 degrees, drawn for it, with probability `p`.

    Args:
        p: probability for each sample; 0 is neutral.

    Shape:
        (B, C, S, S) to the same; bit-exact.

    Boxes and masks:
        Turned with the image, exactly.

    Raises:
        ValueError: for a canvas that is not square.

    Source: albumentations.RandomRotate90; equals torch.rot90.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomRotate90(p=1.0)(torch.zeros(2, 3, 5, 5)).shape
        torch.Size([2, 3, 5, 5])
    """

    def __init__(self, p: Number = 0.5) -> None:
        """Remember the probability."""
        super().__init__(p)
        self.declare(turns=Integers(0, 3))

    def matrix(self, values: Drawn, context: Context) -> Tensor:
        """Return the quarter turns."""
        return mat.quarter_turn(values["turns"], *context.canvas)


class SquareSymmetry(_Turning):
    """Apply one of the eight symmetries of the square to each sample, drawn for it.

    Args:
        p: probability for each sample; 0 is neutral.

    Shape:
        (B, C, S, S) to the same; bit-exact.

    Boxes and masks:
        Moved with the image, exactly.

    Raises:
        ValueError: for a canvas that is not square.

    Source: albumentations.SquareSymmetry (D4).

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.SquareSymmetry()(torch.zeros(2, 3, 5, 5)).shape
        torch.Size([2, 3, 5, 5])
    """

    mirrors: ClassVar[bool] = True

    def __init__(self, p: Number = 1.0) -> None:
        """Remember the probability."""
        super().__init__(p)
        self.declare(symmetry=Integers(0, 7))

    def matrix(self, values: Drawn, context: Context) -> Tensor:
        """Return a quarter turn, then a mirror for the upper four."""
        symmetry = mat.wide(values["symmetry"])
        mirrored = torch.floor(symmetry / 4)
        turn = mat.quarter_turn(symmetry - 4 * mirrored, *context.canvas)
        sign = 1 - 2 * mirrored
        mirror = mat.scale_shift(sign, mirrored * context.canvas[1], 1.0, 0.0, context.like)
        return mirror @ turn
