"""Crops whose rectangle depends on the objects, resized to one canvas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gpuaug.geometry import matrix as mat
from gpuaug.geometry.canvas import Canvas, along, exact, larger, smaller, whole
from gpuaug.sampling.counts import as_number, constants, drawn_number
from gpuaug.sampling.distributions import Uniform
from gpuaug.sampling.law import Number
from gpuaug.sampling.varying import least, most, parts
from gpuaug.transforms.base import Drawn
from gpuaug.transforms.crop import Size, as_size
from gpuaug.transforms.layer import Context, Layer
from gpuaug.transforms.resize import Resize
from gpuaug.transforms.window import Window, first_of, seen_boxes

__all__ = ["BBoxSafeRandomCrop", "RandomIoUCrop"]

OPTIONS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)


class _ObjectCrop(Window):
    """A crop onto the present canvas, or onto `size`, that sees the boxes."""

    sees = ("objects",)

    def __init__(self, size: Size | None, p: Number, interpolation: Any, antialias: bool | None) -> None:
        super().__init__(p, interpolation, antialias=antialias)
        self.size = None if size is None else as_size(size, type(self).__name__)

    def evaluation(self) -> Layer | None:
        """Return the resize to `size`, if there is one."""
        return None if self.size is None else Resize(self.size, self.interpolation, antialias=self.antialias)


class RandomIoUCrop(_ObjectCrop):
    """Cut a rectangle that overlaps an object by at least a share drawn for each sample, and resize it to one canvas.

    One set of `trials` rectangles is drawn for a sample. Of the options that one of them meets one is drawn, and the
    first rectangle that meets it is taken; where none does, the sample stays whole, and so does one without objects.

    Args:
        min_scale: least height and width, as a fraction of the image.
        max_scale: greatest height and width, likewise.
        min_aspect_ratio: least width over height.
        max_aspect_ratio: greatest width over height.
        sampler_options: least overlaps (intersection over union of the rectangle with an object whose centre lies in
            it), drawn evenly; 1 and more leave the sample whole. None takes 0, 0.1, 0.3, 0.5, 0.7, 0.9 and 1.
        trials: number of rectangles that are drawn for a sample.
        size: (height, width) of the output, or a number for a square; None keeps the present canvas.
        interpolation: "bilinear" (default), "nearest" or "bicubic".
        antialias: whether the filter widens when shrinking.

    Shape:
        (B, C, H, W) to the same, or to (B, C, *size). In `eval()` mode the identity, or a resize to `size`.

    Boxes and masks:
        Cropped and scaled with the image; objects whose centre lies outside the rectangle are lost.

    Raises:
        TypeError: when called on a batch without boxes.
        ValueError: for ranges out of order, or no trials.

    Source: torchvision.transforms.v2.RandomIoUCrop, followed by a resize. It draws another option and other
    rectangles until one is met: options that a set of rectangles meets only sometimes are a little rarer here.

    Example:
        >>> import torch, gpuaug as ga
        >>> data = {"image": torch.zeros(1, 3, 8, 10), "boxes": torch.tensor([[[1.0, 2.0, 5.0, 7.0]]])}
        >>> ga.RandomIoUCrop()(data)["image"].shape
        torch.Size([1, 3, 8, 10])
    """

    def __init__(
        self,
        min_scale: Number = 0.3,
        max_scale: Number = 1.0,
        min_aspect_ratio: Number = 0.5,
        max_aspect_ratio: Number = 2.0,
        sampler_options: Sequence[float] | None = None,
        trials: int = 40,
        *,
        size: Size | None = None,
        interpolation: Any = None,
        antialias: bool | None = True,
    ) -> None:
        """See the class."""
        super().__init__(size, 1.0, interpolation, antialias)
        for name, low, high in (("scale", min_scale, max_scale), ("aspect_ratio", min_aspect_ratio, max_aspect_ratio)):
            top = 1.0 if name == "scale" else math.inf
            if least(low) <= 0 or most(high) > top or not (parts((low, high)) or least(low) <= least(high)):
                rule = f"0 < min_{name} <= max_{name}" + (" <= 1" if name == "scale" else "")
                raise ValueError(f"RandomIoUCrop: min_{name} and max_{name} must be {rule}, got {(low, high)!r}")
        self.aspects = (min_aspect_ratio, max_aspect_ratio)
        self.options = OPTIONS if sampler_options is None else tuple(float(v) for v in sampler_options)
        if not self.options or min(self.options) < 0:
            raise ValueError(f"RandomIoUCrop: sampler_options must be numbers from 0 on, got {sampler_options!r}")
        if isinstance(trials, bool) or not isinstance(trials, int) or trials < 1:
            raise ValueError(f"RandomIoUCrop: trials must be an integer of at least 1, got {trials!r}")
        self.trials = trials
        self.declare(
            _order=(Uniform(0.0, 1.0), len(self.options)),
            _scale=(Uniform(min_scale, max_scale), 2 * trials),
            _place=(Uniform(0.0, 1.0), 2 * trials),
            **constants(flattest=max_aspect_ratio, tallest=min_aspect_ratio),
        )

    def settle(self, raw: Drawn, gate: Tensor | None, context: Context) -> Drawn:
        """Compute the matrix; samples that the gate leaves out are not cropped."""
        values = super().settle(raw, gate, context)
        if gate is not None:
            values["cropped"] = values["cropped"] & gate
        return values

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Take the first rectangle that meets a drawn option.

        Returns `top`, `left`, `height`, `width`; `option`, the index of the option, -1 where none is met; and
        `cropped`, false where the sample stays whole.
        """
        if context.objects is None or context.objects.boxes is None:
            raise TypeError("RandomIoUCrop: the batch must have boxes, got none: give a dict with image and boxes")
        h, w = (along(n, 1) for n in context.canvas)
        # Columns in pairs, so that the draws of a trial do not depend on how many there are.
        scale, place = raw["_scale"].reshape(-1, self.trials, 2), raw["_place"].reshape(-1, self.trials, 2)
        width, height = torch.floor(w * scale[..., 0]), torch.floor(h * scale[..., 1])
        left, top = torch.floor((w - width) * place[..., 0]), torch.floor((h - height) * place[..., 1])
        fits = (width > 0) & (height > 0)
        aspect = width / height.clamp(min=1)
        low, high = (drawn_number(raw, k, v, 1) for k, v in zip(("tallest", "flattest"), self.aspects, strict=True))
        fits = fits & (aspect >= low) & (aspect <= high)
        overlap = self._overlap(context, left, top, width, height)
        met = torch.stack(
            [fits & (overlap >= o) if o < 1 else torch.zeros_like(fits) for o in self.options], dim=-1
        )  # (B, trials, options)
        whole = [torch.full_like(fits[:, 0], o >= 1) for o in self.options]
        possible = met.any(dim=1) | torch.stack(whole, dim=-1)
        option = torch.where(possible, raw["_order"].reshape(-1, len(self.options)), -1.0).argmax(dim=1)
        chosen = torch.arange(len(self.options), device=option.device) == option[:, None]
        good = (met & chosen[:, None]).any(dim=-1)
        first = first_of(good)
        cropped = good.any(dim=1)
        rectangle = {"top": top, "left": left, "height": height, "width": width}
        h, w = context.canvas
        neutral = {"top": 0.0, "left": 0.0, "height": h * 1.0, "width": w * 1.0}
        values = {k: torch.where(cropped, (v * first).sum(1), neutral[k]) for k, v in rectangle.items()}
        values["option"] = torch.where(possible.any(dim=1), option, torch.full_like(option, -1))
        values["cropped"] = cropped
        return values

    def _overlap(self, context: Context, left: Tensor, top: Tensor, width: Tensor, height: Tensor) -> Tensor:
        """Return the largest overlap (B, trials) with an object whose centre is inside, -1 where there is none."""
        seen = seen_boxes(context, clipped=False)  # as `keeps` judges them: boxes may stick out of the canvas
        if seen is None:
            return torch.full_like(left, -1.0)
        boxes, valid = seen
        x0, y0 = mat.wide(left)[..., None], mat.wide(top)[..., None]  # (B, trials, 1)
        x1, y1 = x0 + width[..., None], y0 + height[..., None]
        bx0, by0, bx1, by1 = boxes[:, None].unbind(-1)  # (B, 1, N)
        cx, cy = (bx0 + bx1) / 2, (by0 + by1) / 2
        inside = valid[:, None] & (x0 < cx) & (cx < x1) & (y0 < cy) & (cy < y1)
        common = (torch.minimum(x1, bx1) - torch.maximum(x0, bx0)) * (torch.minimum(y1, by1) - torch.maximum(y0, by0))
        union = (x1 - x0) * (y1 - y0) + (bx1 - bx0) * (by1 - by0) - common
        return torch.where(inside, common / union, -1.0).amax(-1)

    def keeps(self, values: Drawn, context: Context) -> Tensor:
        """Return the rectangle in which the centre of an object must lie, endless where nothing is cropped."""
        window = self.window(values, context)
        signs = torch.cat((torch.full_like(window[:, :2], -torch.inf), torch.full_like(window[:, 2:], torch.inf)), -1)
        return torch.where(values["cropped"][:, None], window, signs)

    def extra_repr(self) -> str:
        """Show the options."""
        return f"sampler_options={self.options}, trials={self.trials}"


class BBoxSafeRandomCrop(_ObjectCrop):
    """Cut a rectangle that holds all objects of each sample whole, and resize it to one canvas.

    Each side of the rectangle is drawn evenly from the whole pixels between the objects and the border of the image.

    Args:
        erosion_rate: by how much of its size the hull of the objects is made smaller first: 0 cuts no box, 1 takes no
            notice of the objects.
        size: (height, width) of the output, or a number for a square; None keeps the present canvas. Samples that are
            left out are resized to it whole.
        p: probability for each sample.
        interpolation: "bilinear" (default), "nearest" or "bicubic".
        antialias: whether the filter widens when shrinking.

    Shape:
        (B, C, H, W) to the same, or to (B, C, *size). In `eval()` mode the identity, or a resize to `size`.

    Boxes and masks:
        Cropped and scaled with the image. A sample without objects is cropped at random, to a height between
        1 - erosion_rate and 1 of the image's, keeping its aspect.

    Raises:
        ValueError: for a rate outside 0..1.

    Source: albumentations.BBoxSafeRandomCrop (RandomSizedBBoxSafeCrop with `size`), which rounds the far sides down
    and cuts boxes by up to a pixel, and does not erode a single box.

    Example:
        >>> import torch, gpuaug as ga
        >>> data = {"image": torch.zeros(1, 3, 8, 10), "boxes": torch.tensor([[[1.0, 2.0, 5.0, 7.0]]])}
        >>> ga.BBoxSafeRandomCrop(size=6)(data)["image"].shape
        torch.Size([1, 3, 6, 6])
    """

    def __init__(
        self,
        erosion_rate: Number = 0.0,
        *,
        size: Size | None = None,
        p: Number = 1.0,
        interpolation: Any = None,
        antialias: bool | None = True,
    ) -> None:
        """See the class."""
        super().__init__(size, p, interpolation, antialias)
        self.erosion_rate = as_number(erosion_rate, "BBoxSafeRandomCrop", "erosion_rate")
        self.declare(_sides=(Uniform(0.0, 1.0), 4), **constants(rate=self.erosion_rate))

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `top`, `left`, `height` and `width` in whole pixels."""
        canvas, u = exact(context.canvas), mat.wide(raw["_sides"])
        rate = drawn_number(raw, "rate", self.erosion_rate)
        free = self._free(u, canvas, rate)
        seen = None if self.erosion_rate == 1 else seen_boxes(context)
        if seen is None:
            return free
        boxes, valid = seen
        held = {}
        for axis, (start, side) in enumerate((("top", "height"), ("left", "width"))):
            n, i = canvas[axis], 1 - axis
            low = torch.where(valid, boxes[..., i], torch.inf).amin(1)
            high = torch.where(valid, boxes[..., i + 2], -torch.inf).amax(1)
            eroded = (high - low) * (rate / 2)
            most, least = torch.floor(low + eroded), torch.ceil(high - eroded)
            first = torch.minimum(torch.floor(u[:, axis] * (most + 1)), most)
            last = torch.minimum(least + torch.floor(u[:, 2 + axis] * (n - least + 1)), n * torch.ones_like(least))
            held[start], held[side] = first, (last - first).clamp(min=1)
        there = valid.any(dim=1)
        if "_rate" in raw:  # the objects do not matter
            there = there & (rate < 1)
        return {k: torch.where(there, held[k], free[k]) for k in free}

    def _free(self, u: Tensor, canvas: Canvas, rate: Any) -> Drawn:
        """Return the rectangles of samples without objects."""
        h, w = canvas
        least = larger(whole(h * (1 - rate)), 1)
        height = least + smaller(torch.floor(u[:, 2] * (h - least + 1)), h - least)
        width = smaller(torch.floor(height * (w / h) + 1e-6).clamp(min=1), w)
        top, left = (torch.floor(u[:, i] * (n - n_in + 1)) for i, (n, n_in) in enumerate(((h, height), (w, width))))
        return {
            "top": torch.minimum(top, h - height),
            "left": torch.minimum(left, w - width),
            "height": height,
            "width": width,
        }

    def extra_repr(self) -> str:
        """Show the rate."""
        return f"erosion_rate={self.erosion_rate:g}, size={self.size}" + (f", p={self.p:g}" if self.p < 1 else "")
