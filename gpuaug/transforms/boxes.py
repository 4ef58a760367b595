"""What is done to boxes alone, at a place of the pipeline: drop small ones, cut at the canvas, write in a format."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from gpuaug.data.instances import FORMATS
from gpuaug.render.plan import Plan
from gpuaug.transforms.base import Drawn, Transform
from gpuaug.transforms.layer import Context, Node
from gpuaug.transforms.track import Check, Clamp

__all__ = ["ClampBoundingBoxes", "ConvertBoundingBoxFormat", "SanitizeBoundingBoxes"]


class _BoxTransform(Transform):
    treats_boxes: ClassVar[bool] = True

    def contribute(self, plan: Plan, values: Drawn, context: Context, node: Node) -> None:
        """Do nothing to pixels."""

    def step(self, canvas: tuple[int, int], pending: Tensor | None, gate: Tensor | None) -> Check | Clamp | None:
        """Return what happens to boxes on this canvas, after a pending map; None for nothing."""
        return None


class SanitizeBoundingBoxes(_BoxTransform):
    """Declare objects invalid whose box, at this place of the pipeline, is too small.

    Rows stay where they are, as everywhere in a pipeline: `valid` becomes False, and labels, masks and keypoints keep
    their row (torchvision's `labels_getter` has no use here). `gpuaug.compact` removes rows.

    Args:
        min_size: least width and height in pixels of what is in the image.
        min_area: least area in pixels of what is in the image.

    Shape:
        (B, C, H, W) to the same, untouched.

    Boxes and masks:
        Boxes are judged, not changed. A rotated box is judged by its own sides, and by the area of it that lies in
        the image and in every earlier crop.

    Raises:
        ValueError: for a number below 1.

    Source: torchvision.transforms.v2.SanitizeBoundingBoxes, without its rule that a box that leaves the image goes:
        boxes are cut at the image here, and for rotated ones that rule drops what is mostly in view
        (`BboxParams(min_visibility=...)` says how much must be).

    Example:
        >>> import torch, gpuaug as ga
        >>> data = {"image": torch.zeros(1, 3, 20, 30), "boxes": torch.tensor([[[1.0, 2, 9, 8], [3, 3, 3.5, 9]]])}
        >>> ga.SanitizeBoundingBoxes()(data)["valid"].tolist()
        [[True, False]]
    """

    def __init__(self, min_size: float = 1.0, min_area: float = 1.0) -> None:
        """Remember the limits."""
        super().__init__()
        for name, value in (("min_size", min_size), ("min_area", min_area)):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 1:
                raise ValueError(f"SanitizeBoundingBoxes: {name} must be a number of at least 1, got {value!r}")
        self.min_size, self.min_area = float(min_size), float(min_area)

    def step(self, canvas: tuple[int, int], pending: Tensor | None, gate: Tensor | None) -> Check | Clamp | None:
        """Return the judgement."""
        return Check(canvas, pending, self.min_size, self.min_area, gate)

    def extra_repr(self) -> str:
        """Show the limits."""
        return f"min_size={self.min_size:g}, min_area={self.min_area:g}"


class ClampBoundingBoxes(_BoxTransform):
    """Cut boxes, and nothing else, at the image as it is at this place of the pipeline.

    Boxes that are not rotated are cut at the output anyway, so that this matters between a transform that moves them
    out and one that would move them in again, and for rotated boxes.

    Args:
        clamping_mode: "soft" (and "auto", which means the same): a rotated box becomes the smallest one of its angle
            that encloses what is in the image, which may stick out a little; None leaves boxes alone. "hard" exists
            for boxes that are not rotated, where it is the same as "soft".

    Shape:
        (B, C, H, W) to the same, untouched.

    Boxes and masks:
        Masks and keypoints are not changed.

    Raises:
        ValueError: for another mode.

    Source: torchvision.transforms.v2.ClampBoundingBoxes.

    Example:
        >>> import torch, gpuaug as ga
        >>> data = {"image": torch.zeros(1, 3, 20, 30), "boxes": torch.tensor([[[-4.0, 2, 9, 48]]])}
        >>> ga.ClampBoundingBoxes()(data)["boxes"].tolist()
        [[[0.0, 2.0, 9.0, 20.0]]]
    """

    def __init__(self, clamping_mode: str | None = "auto") -> None:
        """Remember the mode."""
        super().__init__()
        if clamping_mode not in ("auto", "soft", "hard", None):
            raise ValueError(
                f"ClampBoundingBoxes: clamping_mode must be 'auto', 'soft', 'hard' or None, got {clamping_mode!r}"
            )
        self.clamping_mode = clamping_mode

    def step(self, canvas: tuple[int, int], pending: Tensor | None, gate: Tensor | None) -> Check | Clamp | None:
        """Return the cut."""
        return None if self.clamping_mode is None else Clamp(canvas, gate, self.clamping_mode == "hard")

    def extra_repr(self) -> str:
        """Show the mode."""
        return f"clamping_mode={self.clamping_mode!r}"


class ConvertBoundingBoxFormat(_BoxTransform):
    """Write the boxes that come out of the pipeline in another format than those that went in.

    Inside a pipeline boxes have one representation, so that the place does not matter; the last one counts.

    Args:
        format: torchvision's "XYXY", "XYWH", "CXCYWH", or "CXCYWHR", "XYWHR", "XYXYXYXY" for rotated boxes, in any
            case or as its enum; or one of the others of `BboxParams`, such as "yolo".

    Shape:
        (B, C, H, W) to the same, untouched.

    Boxes and masks:
        `boxes` of a dict, and `tv_tensors.BoundingBoxes` with their `format`, come out converted.

    Raises:
        ValueError: for an unknown format; at the call, between rotated boxes and those that are not.

    Source: torchvision.transforms.v2.ConvertBoundingBoxFormat.

    Example:
        >>> import torch, gpuaug as ga
        >>> data = {"image": torch.zeros(1, 3, 20, 30), "boxes": torch.tensor([[[2.0, 2, 9, 8]]])}
        >>> ga.ConvertBoundingBoxFormat("XYWH")(data)["boxes"].tolist()
        [[[2.0, 2.0, 7.0, 6.0]]]
    """

    def __init__(self, format: Any) -> None:
        """Remember the format."""
        super().__init__()
        name = str(getattr(format, "value", format)).lower()
        if name not in FORMATS:
            raise ValueError(f"ConvertBoundingBoxFormat: format must be one of {', '.join(FORMATS)}, got {format!r}")
        self.box_format = name

    def extra_repr(self) -> str:
        """Show the format."""
        return f"format={self.box_format!r}"
