"""Rotation, affine and perspective warps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from gpuaug.geometry import matrix as mat
from gpuaug.geometry.canvas import Canvas, Sizes, along, rectangle, whole
from gpuaug.geometry.extent import extent
from gpuaug.render.warp import MAX_HALF_WIDTH
from gpuaug.sampling.distributions import (
    Constant,
    Distribution,
    LogUniform,
    Uniform,
    as_distribution,
    static_range,
)
from gpuaug.sampling.law import Number, Range
from gpuaug.sampling.params import Geometry
from gpuaug.sampling.varying import Varying, is_number, least, most
from gpuaug.transforms.base import Drawn, Geometric
from gpuaug.transforms.layer import Context

__all__ = ["GivenMap", "RandomAffine", "RandomPerspective", "RandomRotation"]


def _center(center: Any, owner: str) -> tuple[float, float] | None:
    if center is None:
        return None
    if not isinstance(center, Sequence) or len(center) != 2:
        raise ValueError(f"{owner}: center must be (x, y) in pixels, got {center!r}")
    return (float(center[0]), float(center[1]))


class RandomRotation(Geometric):
    """Rotate each sample about `center` by an angle drawn for it, counter-clockwise.

    Args:
        degrees: range of the angle in degrees; a number d means (-d, d); 0 is neutral.
        interpolation: "bilinear" (default), "nearest" or "bicubic".
        expand: whether the canvas grows to hold the largest rotation of the range: one canvas for the batch.
        center: (x, y) in pixels from the top left corner; None is the middle.
        fill: value outside the image, in the input's unit.
        antialias: whether the filter widens where the image shrinks (default), or reads as the peers do.
        p: probability for each sample.

    Shape:
        (B, C, H, W) to the same, or to the larger canvas with `expand`.

    Boxes and masks:
        Moved with the image.

    Raises:
        ValueError: for a range that is not (low, high).

    Source: torchvision.transforms.v2.RandomRotation; equals functional.rotate to 1e-4 (fill blended by coverage).

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomRotation(30)(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"angle": 0.0}

    def __init__(
        self,
        degrees: Range,
        interpolation: Any = None,
        expand: bool = False,
        center: Sequence[float] | None = None,
        fill: Any = None,
        *,
        antialias: bool | None = None,
        p: Number = 1.0,
    ) -> None:
        """See the class."""
        super().__init__(p, interpolation, fill, antialias)
        if expand and p < 1:
            raise ValueError(f"RandomRotation: expand changes the canvas of the whole batch and needs p=1, got p={p}")
        if expand and center is not None:
            raise ValueError(f"RandomRotation: expand turns about the middle, center must be None, got {center!r}")
        self.expand = expand
        self.center = _center(center, "RandomRotation")
        self.degrees = as_distribution(degrees, owner="RandomRotation", name="degrees", symmetric_about=0.0)
        self.pads = expand
        self.declare(angle=self.degrees)

    def output_canvas(self, canvas: Canvas) -> Canvas:
        """Return the canvas that holds every rotation of the range, where it expands."""
        if not self.expand:
            return canvas
        if isinstance(canvas, Sizes):
            raise ValueError("RandomRotation: expand needs images of one size, got several; resize or crop first")
        return extent(canvas, static_range(self.degrees))

    def matrix(self, values: Drawn, context: Context) -> Tensor:
        """Return the rotation."""
        h, w = context.canvas
        center = self.center or (w / 2, h / 2)
        to = self.output_canvas(context.canvas)
        shift = (to[1] / 2 - w / 2, to[0] / 2 - h / 2)
        return mat.affine(-values["angle"], shift, (1.0, 1.0), None, center)


class RandomAffine(Geometric):
    """Rotate, shift, scale and shear each sample by amounts drawn for it; the angle is clockwise, as torchvision's.

    Args:
        degrees: range of the angle in degrees, clockwise; a number d means (-d, d); 0 is neutral.
        translate: largest shift as fractions (horizontal, vertical) of the canvas; None or (0, 0) is neutral.
        scale: range of the scale factor; None or (1, 1) is neutral.
        shear: degrees along x: a number or (low, high); with four numbers also along y; None is neutral.
        interpolation: "bilinear" (default), "nearest" or "bicubic".
        fill: value outside the image, in the input's unit.
        center: (x, y) in pixels from the top left corner; None is the middle.
        balanced_scale: whether enlarging and shrinking are equally likely: the factor is drawn uniformly in its
            logarithm.
        antialias: whether the filter widens where the image shrinks (default), or reads as the peers do.
        fit_output: whether the canvas grows to hold the largest map of the ranges, one canvas for the batch; no shift
            then, and about the middle.
        p: probability for each sample.

    Shape:
        (B, C, H, W) to the same, or to the larger canvas with `fit_output`.

    Boxes and masks:
        Moved with the image.

    Raises:
        ValueError: for a range that is not (low, high), or a scale that is not positive; for `fit_output` with a shift,
            a center or p < 1.

    Source: torchvision.transforms.v2.RandomAffine; equals functional.affine to 1e-4 without antialiasing
    (its shift is not rounded to whole pixels). `fit_output` is albumentations.Affine's, whose canvas differs from
    image to image; `SafeRotate` keeps the canvas.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomAffine(15, translate=(0.1, 0.1), scale=(0.9, 1.1), shear=10)(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {
        **dict.fromkeys(("angle", "translate_x", "translate_y", "shear_x", "shear_y"), 0.0),
        "scale": 1.0,
    }

    def __init__(
        self,
        degrees: Range,
        translate: Sequence[Number] | None = None,
        scale: Range | None = None,
        shear: Range | None = None,
        interpolation: Any = None,
        fill: Any = None,
        center: Sequence[float] | None = None,
        *,
        balanced_scale: bool = False,
        antialias: bool | None = None,
        fit_output: bool = False,
        p: Number = 1.0,
    ) -> None:
        """See the class."""
        super().__init__(p, interpolation, fill, antialias)
        owner = "RandomAffine"
        self.center = _center(center, owner)
        if fit_output and (p < 1 or center is not None or translate is not None):
            raise ValueError(
                f"{owner}: fit_output sets canvas and middle of the whole batch and needs p=1, no center and no"
                f" translate, got p={p}, center={center!r}, translate={translate!r}"
            )
        self.fit_output = self.pads = fit_output
        self.degrees = as_distribution(degrees, owner=owner, name="degrees", symmetric_about=0.0)
        random: dict[str, Distribution] = {"angle": self.degrees}
        if translate is not None:
            if (
                not isinstance(translate, Sequence)
                or len(translate) != 2
                or any(least(t) < 0 or most(t) > 1 for t in translate)
            ):
                raise ValueError(f"{owner}: translate must be two fractions between 0 and 1, got {translate!r}")
            for axis, t in zip("xy", translate, strict=True):
                random[f"translate_{axis}"] = as_distribution(t, owner=owner, name="translate", symmetric_about=0.0)
        self.scale = None
        if scale is not None:
            self.scale = as_distribution(scale, owner=owner, name="scale", low=1e-6)
            if balanced_scale and isinstance(self.scale, Uniform):
                self.scale = LogUniform(self.scale.low, self.scale.high)
            random["scale"] = self.scale
        if shear is not None:
            if isinstance(shear, Sequence) and len(shear) == 4:
                pairs: list[Any] = [tuple(shear[:2]), tuple(shear[2:])]
            else:
                pairs = [shear, Constant(0.0)]
            for axis, pair in zip("xy", pairs, strict=True):
                random[f"shear_{axis}"] = as_distribution(
                    pair, owner=owner, name="shear", symmetric_about=0.0, low=-89.0, high=89.0
                )
        self.declare(**random)

    def output_canvas(self, canvas: Canvas) -> Canvas:
        """Return the canvas that holds every map of the ranges, where it fits the output."""
        if not self.fit_output:
            return canvas
        if isinstance(canvas, Sizes):
            raise ValueError("RandomAffine: fit_output needs images of one size, got several; resize or crop first")
        ranges = {name: static_range(found[0]) for name, found in self._declared.items()}
        zero = (0.0, 0.0)
        shears = (ranges.get("shear_x", zero), ranges.get("shear_y", zero))
        return extent(canvas, ranges["angle"], ranges.get("scale", (1.0, 1.0)), *shears)

    def shrink(self, canvas: tuple[int, int]) -> float:
        """Return the bound: one over the smallest scale, times what a shear adds to a row's norm."""
        low = 1.0 if self.scale is None else static_range(self.scale)[0]
        skew = 1.0
        for axis in "xy":
            if f"shear_{axis}" in self._declared:
                angle = max(abs(v) for v in static_range(self._declared[f"shear_{axis}"][0]))
                skew *= (math.tan(math.radians(angle)) + math.hypot(2, math.tan(math.radians(angle)))) / 2
        return max(1.0, skew / max(low, 1e-6))

    def matrix(self, values: Drawn, context: Context) -> Tensor:
        """Return torchvision's affine matrix."""
        h, w = context.canvas
        shift: tuple[Any, Any] = (0.0, 0.0)
        if "translate_x" in values:
            shift = (mat.wide(values["translate_x"]) * w, mat.wide(values["translate_y"]) * h)
        if self.fit_output:
            height, width = self.output_canvas(context.canvas)
            shift = ((width - w) / 2, (height - h) / 2)
        scale: Any = values.get("scale", 1.0)
        shear = (values["shear_x"], values["shear_y"]) if "shear_x" in values else None
        return mat.affine(values["angle"], shift, (scale, scale), shear, self.center or (w / 2, h / 2))


class RandomPerspective(Geometric):
    """Move the four corners of each sample inwards by amounts drawn for it, as if seen from the side.

    Args:
        distortion_scale: how far corners may move, 0 (neutral) to 1, as a fraction of half the image.
        p: probability for each sample.
        interpolation: "bilinear" (default), "nearest" or "bicubic".
        fill: value outside the image, in the input's unit.
        antialias: whether the filter widens where the image shrinks (default), or reads as the peers do.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        Moved with the image.

    Raises:
        ValueError: for a distortion outside 0..1.

    Source: torchvision.transforms.v2.RandomPerspective: corners are drawn from its whole pixels; equals
    functional.perspective to 1e-4 without antialiasing.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomPerspective(0.3, p=1.0)(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"corners": 0.0}

    projective: ClassVar[bool] = True

    def __init__(
        self,
        distortion_scale: Number = 0.5,
        p: Number = 0.5,
        interpolation: Any = None,
        fill: Any = None,
        *,
        antialias: bool | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, interpolation, fill, antialias)
        varies = isinstance(distortion_scale, Varying)
        if not varies and not is_number(distortion_scale):
            raise TypeError(f"RandomPerspective: distortion_scale must be a number, got {distortion_scale!r}")
        if least(distortion_scale) < 0 or not most(distortion_scale) <= 1:
            raise ValueError(f"RandomPerspective: distortion_scale must be between 0 and 1, got {distortion_scale!r}")
        self.distortion_scale = most(distortion_scale)
        scale = {"_scale": Constant(distortion_scale)} if varies else {}
        self.declare(corners=(Uniform(0.0, 1.0), 8), **scale)

    def shrink(self, canvas: tuple[int, int]) -> float:
        """Return the general bound: a homography's local scale has none of its own."""
        return MAX_HALF_WIDTH if self.distortion_scale > 0 else 1.0

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Draw whole pixels: `corners` (B, 8) are the moved x, y of top left, top right, bottom right, bottom left."""
        h, w = context.canvas
        inwards = []
        scale = mat.wide(raw["_scale"]) if "_scale" in raw else self.distortion_scale
        for i, size in enumerate((w, h) * 4):
            reach = whole(scale * whole(size / 2)) + 1
            inwards.append(torch.floor(raw["corners"][:, i] * reach))
        right, bottom = w - 1.0, h - 1.0
        ends = (
            inwards[0], inwards[1],
            right - inwards[2], inwards[3],
            right - inwards[4], bottom - inwards[5],
            inwards[6], bottom - inwards[7],
        )  # fmt: skip
        return {"corners": torch.stack(ends, dim=-1)}

    def matrix(self, values: Drawn, context: Context) -> Tensor:
        """Return the homography from the corners of the image to the moved ones."""
        h, w = context.canvas
        end = mat.wide(values["corners"])
        start = torch.zeros_like(end)
        start[:, 2:5:2] += along(w - 1.0, 1)  # x of the right corners
        start[:, 5:8:2] += along(h - 1.0, 1)  # y of the bottom ones
        return mat.perspective(start.unflatten(-1, (4, 2)), end.unflatten(-1, (4, 2)))


class GivenMap(Geometric):
    """Move samples by matrices that are there already: what `Params.inverse` is replayed by."""

    def __init__(self, geometry: Geometry, device: torch.device) -> None:
        """Take over what is known of the map."""
        super().__init__()
        self.kind, self.projective, self.transposes = geometry.kind, geometry.projective, geometry.transposes  # type: ignore[misc,assignment]
        self.pads = True
        self.canvas: Canvas = geometry.canvas
        if geometry.canvas and isinstance(geometry.canvas[0], tuple):
            table = torch.tensor(geometry.canvas, dtype=mat.matrix_dtype(device)).to(device)
            self.canvas = Sizes(table[:, 0], table[:, 1], geometry.canvas)

    def output_canvas(self, canvas: Canvas) -> Canvas:
        """Return the canvas of the input that the parameters were drawn for."""
        return self.canvas

    def shrink(self, canvas: tuple[int, int]) -> float:
        """Return the general bound."""
        return 1.0 if self.kind == "lattice" else MAX_HALF_WIDTH

    def window(self, values: Drawn, context: Context) -> Tensor | None:
        """Return the whole canvas, where axes stay axes: the filter is cut at its border."""
        if self.kind != "axis" or self.transposes:
            return None
        return rectangle(context.canvas, context.like)
