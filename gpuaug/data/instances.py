"""The objects of each sample: rows of one length, of which `valid` says which are there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from gpuaug.data.ragged import Ragged
from gpuaug.geometry import masks as msk
from gpuaug.geometry import polygons as poly
from gpuaug.geometry.canvas import Canvas, along
from gpuaug.geometry.matrix import wide

__all__ = ["BboxParams", "Instances", "KeypointParams"]

FORMATS = {
    "xyxy": ("xyxy", False),
    "pascal_voc": ("xyxy", False),
    "xywh": ("xywh", False),
    "coco": ("xywh", False),
    "cxcywh": ("cxcywh", False),
    "yolo": ("cxcywh", True),
    "albumentations": ("xyxy", True),
    "cxcywhr": ("cxcywhr", False),
    "xywhr": ("xywhr", False),
    "xyxyxyxy": ("xyxyxyxy", False),
}
ROTATED = {"cxcywhr": 5, "xywhr": 5, "xyxyxyxy": 8}
"""Formats of rotated boxes, and how many numbers a box has; the others have four."""
METHODS = ("largest_box", "ellipse", "mask")


@dataclass(frozen=True)
class BboxParams:
    """Say what boxes look like, and which of them are still objects after the geometry.

    Args:
        format: "xyxy" or "pascal_voc", "xywh" or "coco", "cxcywh", in pixels; "yolo" (cxcywh) or "albumentations"
            (xyxy), as fractions of the image; rotated boxes as torchvision's "cxcywhr", "xywhr" (the first corner,
            sides and angle in degrees, counter-clockwise) and "xyxyxyxy" (four corners), in pixels.
        min_area: least area in pixels of what is left in the image; 0 is neutral.
        min_visibility: least share of the object's original area that is left, 0 to 1; 0 is neutral.
        min_size: least width and height in pixels; 0 is neutral.
        max_aspect: largest ratio of the longer side to the shorter one; None is neutral.
        rotate_method: "largest_box" boxes the box's corners, "ellipse" the ellipse in it, "mask" the object's own
            mask after it has moved (`masks` must be there; a row without a pixel is no longer valid).
        max_objects: number of rows of the output, valid ones first; None keeps all.
        angle: key of a column (B, N) of headings of the objects, in degrees, counter-clockwise; 0 points right.

    Boxes and masks:
        Axis-aligned boxes are cut at the image. A rotated box is not: its angle would not survive. It is moved by its
        corners through the whole pipeline; "xyxyxyxy" gives these corners (ordered again where the image is mirrored,
        as torchvision does), the others the rectangle around them along the longer side, made once at the end: exact
        for rotations, flips and scales, and for shears what torchvision gives. `min_area` and `min_visibility` look at
        the part of the moved box inside the image, and inside every earlier crop; `min_size` and `max_aspect` at the
        rectangle.

    Raises:
        ValueError: for an unknown format or method, or a number out of range.

    Source: albumentations.BboxParams.

    Example:
        >>> import gpuaug as ga
        >>> ga.BboxParams(format="coco", min_visibility=0.3).format
        'coco'
    """

    format: str = "xyxy"
    min_area: float = 0.0
    min_visibility: float = 0.0
    min_size: float = 0.0
    max_aspect: float | None = None
    rotate_method: str = "largest_box"
    max_objects: int | None = None
    angle: str | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        if self.format not in FORMATS:
            raise ValueError(f"BboxParams: format must be one of {', '.join(FORMATS)}, got {self.format!r}")
        if self.rotate_method not in METHODS:
            raise ValueError(
                f"BboxParams: rotate_method must be one of {', '.join(METHODS)}, got {self.rotate_method!r}"
            )
        if self.format in ROTATED and self.rotate_method != "largest_box":
            raise ValueError(
                f"BboxParams: rotate_method must be 'largest_box' for {self.format}, got {self.rotate_method!r}"
            )
        for name in ("min_area", "min_size"):
            if getattr(self, name) < 0:
                raise ValueError(f"BboxParams: {name} must not be negative, got {getattr(self, name)!r}")
        if not 0 <= self.min_visibility <= 1:
            raise ValueError(f"BboxParams: min_visibility must be between 0 and 1, got {self.min_visibility!r}")
        if self.max_aspect is not None and self.max_aspect < 1:
            raise ValueError(f"BboxParams: max_aspect must be at least 1, got {self.max_aspect!r}")
        if self.max_objects is not None and self.max_objects < 1:
            raise ValueError(f"BboxParams: max_objects must be at least 1, got {self.max_objects!r}")

    @property
    def filters(self) -> bool:
        """Whether rows can go although nothing moved."""
        least = self.min_area > 0 or self.min_visibility > 0 or self.min_size > 0
        return least or self.max_aspect is not None or self.max_objects is not None


@dataclass(frozen=True)
class KeypointParams:
    """Say where keypoints count from, and which of them are the left and right of each other.

    Args:
        origin: "edge": positions in [0, W], as boxes; "center": indices of pixels, whose centres are whole numbers.
        flip_pairs: pairs of keypoints that a mirror exchanges, or the whole permutation as one list of numbers (what
            Ultralytics calls `flip_idx`); () says that they have no sides; None too, but a mirror then warns once.
        angle: key of a column of directions, (B, N, K) or (B, K) as the keypoints, in degrees, counter-clockwise;
            0 points right. A direction turns as a short arrow painted at its keypoint does.

    Raises:
        ValueError: for another origin, or pairs that are none.

    Source: the `flip_idx` of Ultralytics' pose data sets.

    Example:
        >>> import gpuaug as ga
        >>> ga.KeypointParams(flip_pairs=[(0, 1), (2, 3)]).permutation(5)
        [1, 0, 3, 2, 4]
    """

    origin: str = "edge"
    flip_pairs: Sequence[Any] | None = None
    angle: str | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        if self.origin not in ("edge", "center"):
            raise ValueError(f"KeypointParams: origin must be 'edge' or 'center', got {self.origin!r}")
        if self.flip_pairs:
            flat = all(isinstance(v, int) for v in self.flip_pairs)
            order = list(self.flip_pairs) if flat else [i for pair in self.flip_pairs for i in pair]
            if len(set(order)) != len(order) or (flat and sorted(order) != list(range(len(order)))):
                raise ValueError(f"KeypointParams: flip_pairs must be pairs or a permutation, got {self.flip_pairs!r}")

    def permutation(self, count: int) -> list[int]:
        """Return which keypoint each one becomes in a mirror."""
        order = list(range(count))
        if not self.flip_pairs:
            return order
        if isinstance(self.flip_pairs[0], int):
            if len(self.flip_pairs) != count:
                raise ValueError(
                    f"KeypointParams: flip_pairs must be a permutation of {count} keypoints, got {self.flip_pairs!r}"
                )
            return list(self.flip_pairs)
        for a, b in self.flip_pairs:
            if not (0 <= a < count and 0 <= b < count):
                raise ValueError(f"KeypointParams: flip_pairs must be below {count}, got {(a, b)!r}")
            order[a], order[b] = b, a
        return order


@dataclass
class Instances:
    """Hold up to N objects for each sample; all but `valid` may be absent.

    Rows are never removed: `valid` is cleared, and every field keeps its row.
    """

    valid: Tensor
    """(B, N) bool."""
    boxes: Tensor | None = None
    """(B, N, 4) xyxy in pixels; or the corners of rotated boxes, (B, N, 8) xyxyxyxy."""
    labels: Tensor | None = None
    """(B, N)."""
    masks: Any = None
    """(B, N, h, w), or an index map (B, h, w): 1 + the row of the object, 0 where none is; of any resolution; `Ragged`
    of N channels where images have several sizes."""
    keypoints: Tensor | None = None
    """(B, N, K, 2) x and y."""
    visible: Tensor | None = None
    """(B, N, K): 0 not there, 1 hidden, 2 seen."""
    columns: dict[str, Tensor] = field(default_factory=dict)
    """Anything else with a row for each object, (B, N, ...)."""
    share: Tensor | None = None
    """(B, N): how much of each object samples that met have left of it; None is all."""

    def map(self, function: Callable[[Tensor], Tensor]) -> Instances:
        """Return the same with a function applied to every tensor."""
        fields = {
            name: None if getattr(self, name) is None else function(getattr(self, name))
            for name in ("valid", "boxes", "labels", "masks", "keypoints", "visible", "share")
        }
        return Instances(**fields, columns={k: function(v) for k, v in self.columns.items()})  # type: ignore[arg-type]

    def first(self, count: int) -> Instances:
        """Return `count` rows, valid ones first and in their order; missing rows are empty ones."""
        n = self.valid.shape[1]
        ranked = torch.argsort((~self.valid).to(torch.uint8), dim=1, stable=True)
        order = ranked[:, :count]

        def pick(t: Tensor) -> Tensor:
            if t is self.masks and t.dim() == 3:
                place = torch.argsort(ranked, dim=1)
                return msk.renumber(t, torch.where(place < count, place, torch.full_like(place, -1)))
            index = order.view(*order.shape, *([1] * (t.dim() - 2))).expand(*order.shape, *t.shape[2:])
            rows = torch.gather(t, 1, index)
            if count <= n:
                return rows
            room = t.new_zeros((t.shape[0], count - n, *t.shape[2:]))
            return torch.cat((rows, room), dim=1)

        if not isinstance(self.masks, Ragged):
            return self.map(pick)
        few = replace(self, masks=None).map(pick)
        rows = torch.nn.functional.pad(order, (0, max(0, count - n)))
        masks = [one[index] * ok[:, None, None] for one, index, ok in zip(self.masks, rows, few.valid, strict=True)]
        return few.with_(masks=Ragged.pack(masks))

    def with_(self, **fields: Any) -> Instances:
        """Return the same with some fields replaced."""
        return replace(self, **fields)


def boxes_to_xyxy(boxes: Tensor, format: str, canvas: Canvas) -> Tensor:
    """Return boxes as xyxy in pixels, (..., 4) in float32 or wider; rotated ones as their corners, (..., 8)."""
    layout, fractions = FORMATS[format]
    if format in ROTATED:
        exact = wide(boxes)
        if layout == "xyxyxyxy":
            return exact
        if layout == "xywhr":
            exact = _from_corner(exact, 1)
        return poly.corners(exact).flatten(-2)
    narrow = boxes if boxes.dtype == torch.float64 else boxes.to(torch.float32)
    if fractions:
        x, y, z, w = narrow.unbind(-1)
        height, width = (along(n, x.dim() - 1) for n in canvas)
        narrow = torch.stack((x * width, y * height, z * width, w * height), dim=-1).to(narrow.dtype)
    a, b = narrow[..., :2], narrow[..., 2:]
    if layout == "xywh":
        return torch.cat((a, a + b), dim=-1)
    if layout == "cxcywh":
        return torch.cat((a - b / 2, a + b / 2), dim=-1)
    return narrow


def boxes_from_xyxy(boxes: Tensor, format: str, canvas: Canvas) -> Tensor:
    """Return what `boxes_to_xyxy` gives in a format."""
    layout, fractions = FORMATS[format]
    if format in ROTATED:
        if layout == "xyxyxyxy":
            return boxes
        found = poly.rectangle(boxes.unflatten(-1, (4, 2)))
        return _from_corner(found, -1) if layout == "xywhr" else found
    a, b = boxes[..., :2], boxes[..., 2:]
    if layout == "xywh":
        boxes = torch.cat((a, b - a), dim=-1)
    elif layout == "cxcywh":
        boxes = torch.cat(((a + b) / 2, b - a), dim=-1)
    if fractions:
        x, y, z, w = boxes.unbind(-1)
        height, width = (along(n, x.dim() - 1) for n in canvas)
        boxes = torch.stack((x / width, y / height, z / width, w / height), dim=-1).to(boxes.dtype)
    return boxes


def _from_corner(boxes: Tensor, sign: int) -> Tensor:
    """Shift the position (..., 5) by half of both sides: from the first corner to the centre, or back."""
    u = poly.axis(boxes[..., 4]) * (sign / 2)
    v = torch.stack((-u[..., 1], u[..., 0]), dim=-1)
    return torch.cat((boxes[..., :2] + u * boxes[..., 2:3] + v * boxes[..., 3:4], boxes[..., 2:]), dim=-1)
