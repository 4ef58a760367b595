"""Changes of scale onto a fixed canvas: zooming out, and large scale jitter."""

from __future__ import annotations

import copy as copying
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from gpuaug.geometry import matrix as mat
from gpuaug.geometry.canvas import Canvas, exact, ratio, rectangle, smaller
from gpuaug.render.plan import Plan
from gpuaug.render.warp import Kind
from gpuaug.sampling.distributions import Uniform, as_distribution, static_range
from gpuaug.sampling.law import Number, Range
from gpuaug.transforms.base import Drawn, Geometric
from gpuaug.transforms.crop import Size, as_size
from gpuaug.transforms.layer import Context, Layer, Node
from gpuaug.transforms.resize import Resize
from gpuaug.transforms.window import Window

__all__ = ["RandomZoomOut", "ScaleJitter"]


class RandomZoomOut(Window):
    """Shrink each sample by a factor drawn for it, at a random place of a canvas of `fill`.

    The image lies in a canvas that is the factor larger each way, which is resized to the present canvas or to `size`:
    torchvision gives that larger canvas out as it is, which a batch cannot.

    Args:
        fill: value around the image, in the input's unit.
        side_range: range of the factor by which the canvas is larger than the image; 1 is neutral.
        p: probability for each sample; 0 is neutral.
        size: (height, width) of the output, or a number for a square; None keeps the present canvas. Samples that are
            left out are resized to it whole.
        interpolation: "bilinear" (default), "nearest" or "bicubic".
        antialias: whether the filter widens when shrinking.

    Shape:
        (B, C, H, W) to the same, or to (B, C, *size). In `eval()` mode the identity, or a resize to `size`.

    Boxes and masks:
        Scaled and shifted with the image.

    Raises:
        ValueError: for factors below 1.

    Source: torchvision.transforms.v2.RandomZoomOut, followed by a resize.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomZoomOut(p=1.0)(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"factor": 1.0}

    pads = True
    cuts: ClassVar[bool] = False

    def __init__(
        self,
        fill: Any = None,
        side_range: Range = (1.0, 4.0),
        p: Number = 0.5,
        *,
        size: Size | None = None,
        interpolation: Any = None,
        antialias: bool | None = True,
    ) -> None:
        """See the class."""
        super().__init__(p, interpolation, fill, antialias)
        self.size = None if size is None else as_size(size, "RandomZoomOut")
        self.side = as_distribution(side_range, owner="RandomZoomOut", name="side_range", low=1.0)
        self.declare(factor=self.side, place=(Uniform(0.0, 1.0), 2))

    def evaluation(self) -> Layer | None:
        """Return the resize to `size`, if there is one."""
        return None if self.size is None else Resize(self.size, self.interpolation, antialias=self.antialias)

    def shrink(self, canvas: tuple[int, int]) -> float:
        """Return the factor of the largest canvas."""
        return super().shrink(canvas) * static_range(self.side)[1]

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return the larger canvas as a rectangle around the image: `top` and `left` are not positive."""
        h, w = context.canvas
        height, width = (torch.floor(raw["factor"] * n) for n in (h, w))
        top, left = (
            torch.floor((n - have) * raw["place"][:, i]) for i, (n, have) in enumerate(((height, h), (width, w)))
        )
        return {"factor": raw["factor"], "top": 0 - top, "left": 0 - left, "height": height, "width": width}


class ScaleJitter(Geometric):
    """Resize each sample by a factor drawn for it, and cut or pad it to one canvas: large scale jitter.

    A factor of 1 fits the image into the canvas, keeping its aspect. A side longer than the canvas is cut at a random
    place; a shorter one is padded with `fill` at the bottom and the right.

    Args:
        target_size: (height, width) of the canvas, or a number for a square.
        scale_range: range of the factor; 1 fits the image into the canvas.
        interpolation: "bilinear" (default), "nearest" or "bicubic".
        antialias: whether the filter widens when shrinking.
        fill: value of the padding, in the input's unit.

    Shape:
        (B, C, H, W) to (B, C, *target_size). In `eval()` mode the factor is 1.

    Boxes and masks:
        Scaled and shifted with the image; what lies outside the canvas is lost for good.

    Raises:
        ValueError: for factors that are not positive.

    Source: torchvision.transforms.v2.ScaleJitter, whose outputs have many sizes, followed by the random crop and the
    padding of detectron2's large scale jitter (both axes drawn, as in TensorFlow's).

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.ScaleJitter((16, 12))(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 16, 12])
    """

    neutral: ClassVar[Mapping[str, float]] = {"scale": 1.0}

    kind: ClassVar[Kind] = "axis"
    pads = True
    cuts: ClassVar[bool] = True

    def __init__(
        self,
        target_size: Size,
        scale_range: Range = (0.1, 2.0),
        interpolation: Any = None,
        antialias: bool | None = True,
        *,
        fill: Any = None,
    ) -> None:
        """See the class."""
        super().__init__(1.0, interpolation, fill, antialias)
        self.target_size = as_size(target_size, "ScaleJitter", "target_size")
        self.scale = as_distribution(scale_range, owner="ScaleJitter", name="scale_range", low=1e-9)
        if static_range(self.scale) != (1.0, 1.0):  # there is no place to draw then, either
            self.declare(scale=self.scale, place=(Uniform(0.0, 1.0), 2))

    def evaluation(self) -> Layer:
        """Return the same with a factor of 1."""
        fixed = ScaleJitter(self.target_size, (1.0, 1.0), self.interpolation, self.antialias, fill=self.fill)
        return self if self.deterministic else fixed

    def drawn(self, size: Any) -> ScaleJitter:
        """Return the same with another canvas."""
        made: Any = copying.copy(self)
        made.target_size = as_size(size, "ScaleJitter", "target_size")
        return made  # type: ignore[no-any-return]

    def output_canvas(self, canvas: Canvas) -> Canvas:
        """Return the size."""
        return self.target_size

    def _fit(self, canvas: Canvas) -> Any:
        h, w = exact(canvas)
        return smaller(ratio(self.target_size[0], h), ratio(self.target_size[1], w))

    def shrink(self, canvas: tuple[int, int]) -> float:
        """Return how much the smallest image is smaller than the canvas; its sides are rounded down."""
        least = float(self._fit(canvas)) * static_range(self.scale)[0]
        return max(n / max(1.0, n * least - 1) for n in canvas)

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `height` and `width` of the resized image, and `top` and `left` of the canvas in it."""
        values = dict(raw)
        scale = raw.get("scale", torch.ones_like(context.like, dtype=torch.float32))
        place = values.pop("place", torch.zeros_like(scale)[:, None].expand(-1, 2))
        factor = mat.wide(scale) * self._fit(context.canvas)
        for i, (side, start) in enumerate((("height", "top"), ("width", "left"))):
            # A side that fits the canvas exactly must not lose a pixel to rounding.
            size = torch.floor(factor * context.canvas[i] + 1e-6).clamp(min=1)
            room = (size - self.target_size[i]).clamp(min=0)
            values[side], values[start] = size, torch.minimum(torch.floor(place[:, i] * (room + 1)), room)
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

    def extra_repr(self) -> str:
        """Show the size."""
        return f"target_size={self.target_size}, scale_range={self.scale}"
