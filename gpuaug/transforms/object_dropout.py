"""Occlusion of objects: holes within boxes, or on regions of the mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gpuaug.geometry import matrix as mat
from gpuaug.geometry.canvas import along, smaller
from gpuaug.sampling.counts import as_counts, constants, drawn_number
from gpuaug.sampling.distributions import as_distribution
from gpuaug.sampling.generator import uniform
from gpuaug.sampling.law import Number, Range
from gpuaug.transforms.base import Drawn
from gpuaug.transforms.layer import Context
from gpuaug.transforms.noise import KEY, as_key
from gpuaug.transforms.occlude import Rectangles, as_value
from gpuaug.transforms.window import as_rank, pick_one, seen_boxes

__all__ = ["ConstrainedCoarseDropout"]


class ConstrainedCoarseDropout(Rectangles):
    """Replace rectangles on the objects of each sample, of a number, sizes and places drawn for it.

    With `mask_indices` the objects are the regions of these classes of `mask`, each class one, and a hole lies about a
    pixel of it; otherwise they are boxes, and holes lie within them.

    Args:
        num_holes_range: (low, high) number of rectangles on each object, drawn once for a sample.
        hole_height_range: range of heights, as a share of the box's, or of the square root of the region's area.
        hole_width_range: likewise.
        fill: a number or one for each channel, in the input's unit (after `Normalize`, in its units); "random" for
            normal noise pixel by pixel; "color" for one colour of normal components for each rectangle.
        fill_mask: class that masks get where the image is replaced (masks of objects are cleared there); None leaves
            masks as they are.
        p: probability for each sample; 0 is neutral.
        mask_indices: classes of `mask` that are objects.
        bbox_labels: labels of the boxes that are objects; None takes all boxes.
        hide_keypoints: whether keypoints under what is replaced are no longer visible.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same; a batch without what it is to cover stays as it is.

    Boxes and masks:
        Boxes unchanged; masks and keypoints too, unless `fill_mask` or `hide_keypoints` say otherwise.

    Raises:
        ValueError: for ranges out of order or beyond 0..1, or both `mask_indices` and `bbox_labels`.

    Source: albumentations.ConstrainedCoarseDropout, whose regions are the connected parts of all the classes.

    Example:
        >>> import torch, gpuaug as ga
        >>> data = {"image": torch.ones(1, 3, 8, 10), "boxes": torch.tensor([[[1.0, 2.0, 7.0, 6.0]]])}
        >>> ga.ConstrainedCoarseDropout(p=1.0)(data)["image"].shape
        torch.Size([1, 3, 8, 10])
    """

    def __init__(
        self,
        num_holes_range: Range = (1, 1),
        hole_height_range: Range = (0.1, 0.1),
        hole_width_range: Range = (0.1, 0.1),
        fill: float | Sequence[float] | str = 0,
        fill_mask: float | None = None,
        p: Number = 0.5,
        mask_indices: Sequence[int] | None = None,
        bbox_labels: Sequence[int] | None = None,
        *,
        hide_keypoints: bool = False,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys, fill_mask, hide_keypoints)
        owner = "ConstrainedCoarseDropout"
        if mask_indices is not None and bbox_labels is not None:
            raise ValueError(
                f"{owner}: objects must be of mask_indices or of bbox_labels, got {mask_indices!r} and {bbox_labels!r}"
            )
        for name, value in (("mask_indices", mask_indices), ("bbox_labels", bbox_labels)):
            if value is not None and (
                not value or any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in value)
            ):
                raise ValueError(f"{owner}: {name} must be numbers, got {value!r}")
        self.mask_indices = None if mask_indices is None else tuple(mask_indices)
        self.bbox_labels = None if bbox_labels is None else tuple(bbox_labels)
        self.value = as_value(fill, owner, "fill")
        counts = as_counts(num_holes_range, owner, "num_holes_range")
        self.num_holes_range, self.most = num_holes_range, int(counts.support()[1])
        self.shares = [
            as_distribution(v, owner=owner, name=f"hole_{side}_range", low=0.0, high=1.0)
            for side, v in (("height", hole_height_range), ("width", hole_width_range))
        ]
        self.sees = ("objects",) if self.mask_indices is None else ("mask",)
        random: dict[str, Any] = {"count": counts, "_holes": KEY}
        if isinstance(self.value, str):
            random["_key"] = KEY
        # The holes are drawn from a key, with the numbers that the table has for each sample.
        laws = {f"side{i}_{name}": n for i, law in enumerate(self.shares) for name, n in law.numbers().items()}
        self.declare(**random, **constants(**laws))

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `count` and `boxes`, as many for each object as there can be, of which `count` have a size."""
        find = self._in_boxes if self.mask_indices is None else self._on_regions
        holes = find(raw, context)  # (B, N, most, 4)
        counted = torch.arange(self.most, device=holes.device) < raw["count"][:, None]
        values = {"count": raw["count"], "boxes": (holes * counted[:, None, :, None]).flatten(1, 2).to(torch.int64)}
        if "_key" in raw:
            values["key"] = as_key(raw["_key"])
        return values

    def _draws(self, raw: Drawn, rows: int) -> tuple[list[Tensor], Tensor]:
        """Return the shares of height and width (B, N, most), and uniforms (B, N, 2, most) for the place.

        How many rows there are is the batch's matter, which no column can be laid out for: they are counted from the
        sample's key. What a row draws does not depend on how many rows follow.
        """
        key = as_key(raw["_holes"])
        holes = torch.arange(rows * self.most, device=key.device)
        lanes = torch.arange(4 * rows * self.most, device=key.device)
        u = uniform(key.new_full((2,), 1), key, key >> 32, holes, lanes).view(-1, rows, self.most, 4)
        shares = []
        for i, law in enumerate(self.shares):
            numbers = zip(law.numbers(), law.bounds, strict=True)
            given = [drawn_number(raw, f"side{i}_{name}", bound, 2) for name, bound in numbers]
            bounds = [n if isinstance(n, Tensor) else u.new_full((), n) for n in given]
            shares.append(law.icdf(u[..., i], *bounds))
        return [mat.wide(share) for share in shares], mat.wide(u[..., 2:]).transpose(2, 3)

    def _in_boxes(self, raw: Drawn, context: Context) -> Tensor:
        seen = seen_boxes(context)
        if seen is None:
            return context.like.new_zeros((context.like.shape[0], 0, self.most, 4))
        boxes, there = seen
        if self.bbox_labels is not None:
            labels = context.objects.labels if context.objects is not None else None
            if labels is None:
                raise TypeError("ConstrainedCoarseDropout: bbox_labels needs labels beside the boxes, got none")
            there = there & torch.stack([labels == v for v in self.bbox_labels]).any(0)
        shares, u = self._draws(raw, boxes.shape[1])
        starts, sides = [], []
        for axis, share in enumerate(shares):
            low, high = boxes[..., 1 - axis, None], boxes[..., 3 - axis, None]
            first, last = torch.ceil(low), torch.floor(high)  # a hole lies on whole pixels, within the box
            side = torch.minimum(torch.floor(share * (high - low)), last - first).clamp(min=1)
            place = first + torch.floor(u[:, :, axis] * ((last - side - first).clamp(min=0) + 1))
            starts.append(torch.minimum(place, along(context.canvas[axis], 2) - side))
            sides.append(side)
        return torch.stack((*starts, *sides), dim=-1) * there[..., None, None]

    def _on_regions(self, raw: Drawn, context: Context) -> Tensor:
        mask, most, classes = context.mask, self.most, self.mask_indices or ()
        if mask is None:
            return context.like.new_zeros((context.like.shape[0], 0, most, 4))
        shares, u = self._draws(raw, len(classes))
        holes = []
        for k, value in enumerate(classes):
            region = (mask == value).any(dim=1)
            rows = region.sum(-1)
            area = rows.sum(1)
            # One rank for each hole: its samples stand beside each other.
            rank = as_rank(u[:, k, 0].flatten(), area.repeat_interleave(most))
            row, rest = pick_one(rows.repeat_interleave(most, dim=0), rank)
            lines = torch.gather(region, 1, row.view(-1, most, 1).expand(-1, most, region.shape[2])).flatten(0, 1)
            column, _ = pick_one(lines.to(torch.int64), rest)
            bounds = []
            for n, pixel, share in zip(context.canvas, (row, column), shares, strict=True):
                side = torch.floor(share[:, k] * mat.wide(area).sqrt()[:, None]).clamp(min=1)
                start = pixel.view(-1, most) - torch.floor(side / 2)
                bounds.append((start.clamp(min=0), smaller(start + side, along(n, 1))))
            (top, bottom), (left, right) = bounds
            hole = torch.stack((top, left, bottom - top, right - left), dim=-1)
            holes.append(hole * (area > 0)[:, None, None])
        return torch.stack(holes, dim=1)

    def extra_repr(self) -> str:
        """Show the objects."""
        which = f"bbox_labels={self.bbox_labels}" if self.mask_indices is None else f"mask_indices={self.mask_indices}"
        return f"num_holes_range={self.num_holes_range}, {which}" + (f", p={self.p:g}" if self.p < 1 else "")
