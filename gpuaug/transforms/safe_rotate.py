"""Rotations that lose nothing: the turned image is fitted into the canvas."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from gpuaug.geometry import matrix as mat
from gpuaug.sampling.distributions import as_distribution
from gpuaug.sampling.law import Number, Range
from gpuaug.transforms.base import Drawn, Geometric
from gpuaug.transforms.layer import Context

__all__ = ["SafeRotate"]


class SafeRotate(Geometric):
    """Rotate each sample by an angle drawn for it, counter-clockwise, and squeeze it so that no part is lost.

    The rectangle around the turned image is resized to the canvas: sides shrink by factors of their own.

    Args:
        limit: range of the angle in degrees; a number d means (-d, d); 0 is neutral.
        interpolation: "bilinear" (default), "nearest" or "bicubic".
        fill: value outside the image, in the input's unit.
        antialias: whether the filter widens where the image shrinks (default), or reads as the peers do.
        p: probability for each sample.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        Moved with the image.

    Raises:
        ValueError: for a range that is not (low, high).

    Source: albumentations.SafeRotate, which rounds the sides of that rectangle down to whole pixels, lies half a pixel
    beside the middle, and does not widen the filter.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.SafeRotate(45, p=1.0)(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"angle": 0.0}

    def __init__(
        self,
        limit: Range = (-90, 90),
        interpolation: Any = None,
        fill: Any = None,
        *,
        antialias: bool | None = None,
        p: Number = 0.5,
    ) -> None:
        """See the class."""
        super().__init__(p, interpolation, fill, antialias)
        self.limit = as_distribution(limit, owner="SafeRotate", name="limit", symmetric_about=0.0)
        self.declare(angle=self.limit)

    def shrink(self, canvas: tuple[int, int]) -> float:
        """Return the factor of the worst angle."""
        h, w = canvas
        return math.hypot(h, w) / min(h, w)

    def matrix(self, values: Drawn, context: Context) -> Tensor:
        """Return the rotation about the middle, and the scaling of the rectangle around it."""
        h, w = context.canvas
        angle = mat.wide(values["angle"]) * (math.pi / 180)
        cos, sin = torch.cos(angle), torch.sin(angle)
        sx, sy = w / (w * cos.abs() + h * sin.abs()), h / (w * sin.abs() + h * cos.abs())
        a, b, c, d = sx * cos, sx * sin, -sy * sin, sy * cos
        x, y = w / 2, h / 2
        return mat.from_entries((a, b, x - a * x - b * y, c, d, y - c * x - d * y, 0.0, 0.0, 1.0), cos)
