"""Sides that are cut or padded by amounts of their own, and canvases padded to a least size or to a multiple."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from gpuaug.geometry import matrix as mat
from gpuaug.geometry.canvas import Canvas, hosts, larger, ratio, whole
from gpuaug.render.warp import Kind
from gpuaug.sampling.distributions import Constant, Distribution, Integers, Uniform, as_distribution, static_range
from gpuaug.sampling.law import Number
from gpuaug.sampling.varying import PerClass, Varying
from gpuaug.transforms.base import Drawn, Geometric
from gpuaug.transforms.layer import Context, Layer
from gpuaug.transforms.sizes import as_size
from gpuaug.transforms.window import Window

__all__ = ["CropAndPad", "PadIfNeeded"]

SIDES = ("top", "right", "bottom", "left")
POSITIONS = ("center", "top_left", "top_right", "bottom_left", "bottom_right", "random")


def _side(value: Any, name: str) -> Distribution:
    """Return the law of one side's amount: whole numbers for pixels."""
    law = as_distribution(value, owner="CropAndPad", name=name, low=None if name == "px" else -1.0)
    return Integers(law.low, law.high) if name == "px" and isinstance(law, Uniform) else law


class CropAndPad(Window):
    """Pad or cut each side of each sample by an amount drawn for it, and resize what is left to the canvas.

    Positive amounts pad with `fill`, negative ones cut.

    Args:
        px: pixels: one number for all sides; a range (low, high), both ends included; or four of either for top,
            right, bottom and left. 0 is neutral.
        percent: likewise as fractions of height and width; amounts are rounded towards zero. Either this or `px`.
        keep_size: whether the result is resized to the canvas; False gives it as it is, for numbers alone.
        sample_independently: whether one range is drawn from for each side, or once for all four.
        interpolation: "bilinear" (default), "nearest" or "bicubic".
        fill: value of the padding, in the input's unit.
        antialias: whether the filter widens when shrinking.
        p: probability for each sample.

    Shape:
        (B, C, H, W) to the same, or, without `keep_size`, to the size that is left. At least one row and column are
        left of the image: where more is to be cut, both sides lose in proportion.

    Boxes and masks:
        Cut, padded and scaled with the image.

    Raises:
        ValueError: for both or none of px and percent, fractions below -1, and ranges or p < 1 without `keep_size`.

    Source: albumentations.CropAndPad, whose ranges of pixels end before `high`, and which resizes by OpenCV: the same
    to 1e-5 where that enlarges, without antialiasing where it shrinks.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.CropAndPad(px=(-2, 3))(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
        >>> ga.CropAndPad(px=(-1, 2, 3, 0), keep_size=False)(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 10, 12])
    """

    neutral: ClassVar[Mapping[str, float]] = {f"pad_{side}": 0.0 for side in (*SIDES, "all")}

    pads = True

    def __init__(
        self,
        px: Any = None,
        percent: Any = None,
        keep_size: bool = True,
        sample_independently: bool = True,
        interpolation: Any = None,
        fill: Any = None,
        *,
        antialias: bool | None = True,
        p: Number = 1.0,
    ) -> None:
        """See the class."""
        super().__init__(p, interpolation, fill, antialias)
        if (px is None) == (percent is None):
            raise ValueError(f"CropAndPad: give either px or percent, got px={px!r} and percent={percent!r}")
        self.name = "px" if percent is None else "percent"
        given = px if percent is None else percent
        self.by_side = isinstance(given, (tuple, list)) and len(given) == 4
        single = not self.by_side and not isinstance(given, (tuple, list, Distribution, Varying, PerClass))
        self.laws = [_side(one, self.name) for one in (given if self.by_side else [given] * 4)]
        fixed = all(isinstance(law, Constant) and law.support()[0] == law.support()[1] for law in self.laws)
        if self.name == "px" and any(bound % 1 for law in self.laws for bound in static_range(law) if fixed):
            raise TypeError(f"CropAndPad: px must be whole numbers, got {px!r}")
        self.keep_size = keep_size
        if not keep_size:
            if not fixed or p < 1:
                raise ValueError(
                    "CropAndPad: keep_size=False changes the canvas of the whole batch and needs numbers and p=1, got "
                    f"{self.name}={given!r}, p={p}"
                )
            self.kind: Kind = "lattice"  # type: ignore[misc]
        if fixed:
            return
        if self.by_side or (sample_independently and not single):
            self.declare(**{f"pad_{side}": law for side, law in zip(SIDES, self.laws, strict=True)})
        else:
            self.declare(pad_all=self.laws[0])

    def _left(self, canvas: Canvas, amounts: Sequence[Any]) -> list[tuple[Any, Any]]:
        """Return where the result begins, and its length, vertically and horizontally."""
        found = []
        for n, before, after in ((canvas[0], *amounts[0::2]), (canvas[1], amounts[3], amounts[1])):
            cut = [larger(0 - v, 0) for v in (before, after)]
            lost = cut[0] + cut[1]
            most = n - 1
            first = larger(whole(ratio(cut[0] * most, larger(lost, 1))), 0)
            if isinstance(lost, Tensor) or isinstance(n, Tensor):
                lost = lost if isinstance(lost, Tensor) else torch.full_like(n, lost)
                keeps = lost <= most
                cut = [torch.where(keeps, cut[0], first), torch.where(keeps, cut[1], most - first)]
            elif lost > most:
                cut = [first, most - first]
            added = [larger(v, 0) for v in (before, after)]
            found.append((cut[0] - added[0], n - cut[0] - cut[1] + added[0] + added[1]))
        return found

    def _numbers(self, canvas: Canvas, amounts: Sequence[Any]) -> list[Any]:
        """Return amounts as whole pixels."""
        if self.name == "px":
            return [torch.round(v) if isinstance(v, Tensor) else round(v) for v in amounts]
        sides = (canvas[0], canvas[1], canvas[0], canvas[1])
        made = [v * n for v, n in zip(amounts, sides, strict=True)]
        return [torch.trunc(v) if isinstance(v, Tensor) else int(v) for v in made]

    def _fixed(self, canvas: Canvas) -> list[tuple[Any, Any]]:
        return self._left(canvas, self._numbers(canvas, [law.support()[0] for law in self.laws]))

    def output_canvas(self, canvas: Canvas) -> Canvas:
        """Return the canvas, or what is left of it."""
        if self.keep_size:
            return canvas
        (_, height), (_, width) = self._fixed(canvas)
        return height, width

    def shrink(self, canvas: tuple[int, int]) -> float:
        """Return the factor of the largest padding."""
        if not self.keep_size:
            return 1.0
        most = self._numbers(canvas, [max(0.0, static_range(law)[1]) for law in self.laws])
        (_, height), (_, width) = self._left(canvas, most)
        return max(1.0, float(height / canvas[0]), float(width / canvas[1]))

    def evaluation(self) -> Layer | None:
        """Return itself where it is deterministic, else None."""
        return self if self.deterministic else None

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return the rectangle, in whole pixels of the image: `top` and `left` are negative where it is padded."""
        canvas = context.canvas
        if not raw:
            found = self._fixed(canvas)
        else:
            amounts = [raw["pad_all"]] * 4 if "pad_all" in raw else [raw[f"pad_{side}"] for side in SIDES]
            found = self._left(canvas, self._numbers(canvas, amounts))
        zero = torch.zeros_like(context.like, dtype=torch.float32)
        (top, height), (left, width) = ((zero + start, zero + length) for start, length in found)
        return {**raw, "top": top, "left": left, "height": height, "width": width}

    def extra_repr(self) -> str:
        """Show the amounts."""
        shown = ", ".join(str(law) for law in (self.laws if self.by_side else self.laws[:1]))
        return f"{self.name}={shown}, keep_size={self.keep_size}"


class PadIfNeeded(Geometric):
    """Surround each sample with `fill` until it has a least size, or sides that are multiples of a number.

    Args:
        min_height: least height in pixels; None where `pad_height_divisor` says.
        min_width: least width, likewise.
        pad_height_divisor: number of which the height becomes a multiple.
        pad_width_divisor: number of which the width becomes a multiple.
        position: where the image lies in the larger canvas: "center" (an odd row or column more at the bottom and the
            right), "top_left", "top_right", "bottom_left", "bottom_right", or "random", drawn for each sample.
        fill: value of the border, in the input's unit.

    Shape:
        (B, C, H, W) to (B, C, h, w); bit-exact. In `eval()` mode a random position is the middle.

    Boxes and masks:
        Shifted with the image.

    Raises:
        ValueError: where a side has both a least length and a divisor, or none; for an unknown position.

    Source: albumentations.PadIfNeeded.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.PadIfNeeded(12, 9)(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 12, 10])
        >>> ga.PadIfNeeded(None, None, 16, 16)(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 16, 16])
    """

    kind: ClassVar[Kind] = "lattice"
    pads = True

    def __init__(
        self,
        min_height: int | None = 1024,
        min_width: int | None = 1024,
        pad_height_divisor: int | None = None,
        pad_width_divisor: int | None = None,
        position: str = "center",
        fill: Any = None,
    ) -> None:
        """See the class."""
        super().__init__(fill=fill)
        owner = "PadIfNeeded"
        self.least: list[tuple[int | None, int | None]] = []
        for side, least, divisor in (
            ("height", min_height, pad_height_divisor),
            ("width", min_width, pad_width_divisor),
        ):
            if (least is None) == (divisor is None):
                raise ValueError(
                    f"{owner}: give either min_{side} or pad_{side}_divisor and None for the other, got {least!r} and "
                    f"{divisor!r}"
                )
            name = f"min_{side}" if divisor is None else f"pad_{side}_divisor"
            number = as_size(divisor if least is None else least, owner, name)[0]
            self.least.append((number, None) if divisor is None else (None, number))
        if position not in POSITIONS:
            raise ValueError(f"{owner}: position must be one of {', '.join(POSITIONS)}, got {position!r}")
        self.position = position
        if position == "random":
            self.declare(place=(Uniform(0.0, 1.0), 2))

    def evaluation(self) -> Layer:
        """Return the same with the image in the middle where its place is drawn."""
        if self.position != "random":
            return self
        (height, rows), (width, columns) = self.least
        return PadIfNeeded(height, width, rows, columns, fill=self.fill)

    def output_canvas(self, canvas: Canvas) -> Canvas:
        """Return the larger canvas."""
        sides = []
        for n, (least, divisor) in zip(canvas, self.least, strict=True):
            if divisor is None:
                sides.append(larger(n, least))
            else:
                sides.append(whole((n + (divisor - 1)) / divisor) * divisor)
        return sides[0], sides[1]

    def shows_outside(self, canvas: Canvas) -> bool:
        """Tell whether a sample is smaller than its canvas."""
        return any(self.output_canvas(size) != size for size in hosts(canvas))

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `top` and `left`: rows and columns of `fill` before the image."""
        after = self.output_canvas(context.canvas)
        zero = torch.zeros_like(context.like, dtype=torch.float32)
        values = {}
        for i, (name, far) in enumerate((("top", "bottom"), ("left", "right"))):
            room = after[i] - context.canvas[i]
            if self.position == "random":
                places = room + 1
                start = torch.minimum(torch.floor(raw["place"][:, i] * places), zero + room)
            else:
                start = zero + (whole(room / 2) if self.position == "center" else room if far in self.position else 0)
            values[name] = start
        return values

    def matrix(self, values: Drawn, context: Context) -> Tensor:
        """Return the shift."""
        return mat.scale_shift(1.0, mat.wide(values["left"]), 1.0, mat.wide(values["top"]), context.like)

    def extra_repr(self) -> str:
        """Show the sizes."""
        named = zip(("height", "width"), self.least, strict=True)
        shown = [f"min_{k}={n}" if d is None else f"pad_{k}_divisor={d}" for k, (n, d) in named]
        return ", ".join([*shown, f"position={self.position!r}"])
