"""A dict of tensors: `image`, `mask`, `boxes`, `labels`, `masks`, `keypoints`, `visible`, `valid`, and what else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from gpuaug.data.batch import Batch, Settings, Write, as_given, as_images, frames_of
from gpuaug.data.instances import ROTATED, Instances, boxes_from_xyxy, boxes_to_xyxy
from gpuaug.data.ragged import Ragged
from gpuaug.geometry.canvas import Sizes

__all__ = ["KNOWN", "read"]

Structure = dict[str, Any]
KNOWN = {"image", "mask", "boxes", "masks", "keypoints", "visible", "valid", "label", "labels"}


def read(data: Structure, owner: str, settings: Settings) -> tuple[Batch, Write]:
    """Read a dict; what comes out has the keys that went in, and `valid` and `visible` where objects can be lost."""
    given = as_images(data["image"], owner)
    frame = Batch(given, frames=frames_of(data["image"]))
    single = isinstance(data["image"], Tensor) and data["image"].dim() == 3
    clips = isinstance(data["image"], Tensor) and data["image"].dim() == 5
    lead = data["image"].shape[:2] if clips else (len(frame),)
    shown = ", ".join(str(n) for n in lead)
    unbatched = as_given(data["image"])

    def batched(key: str) -> Tensor:
        value = data[key]
        if not isinstance(value, Tensor):
            raise TypeError(f"{owner}: {key} must be a tensor, got {type(value).__name__}")
        value = value[None] if single else value
        if value.shape[: len(lead)] != lead:
            raise ValueError(f"{owner}: {key} must begin with ({shown}), as the images, got {tuple(value.shape)}")
        if value.device != given.device:
            raise ValueError(f"{owner}: {key} must be on {given.device}, as the images, got {value.device}")
        return value.flatten(0, 1) if clips else value

    def planes(key: str, role: str = "mask") -> tuple[Any, int]:
        if isinstance(given, Ragged):
            return _ragged_planes(data[key], key, given, owner)
        value, (h, w) = batched(key), frame.canvas
        fits = value.shape[-2:] == (h, w) or (role == "mask" and at_fraction(value, (h, w)))
        if value.dim() not in (3, 4) or not fits:
            raise ValueError(
                f"{owner}: {key} must have shape ({shown}, {h}, {w}) or ({shown}, C, {h}, {w}), got "
                f"{tuple(data[key].shape)}"
            )
        return (value[:, None], 3) if value.dim() == 3 else (value, 4)

    dims: dict[str, int] = {}
    mask = None
    if "mask" in data:
        mask, dims["mask"] = planes("mask")
    extra = {}
    for key, role in settings.roles:
        if key in data:
            value, dims[key] = planes(key, role)
            extra[key] = (role, value)
    instances = _instances(data, batched, () if single else tuple(lead), frame, owner, settings)
    alone = "boxes" not in data and "keypoints" in data and batched("keypoints").dim() == 3

    def write(out: Batch) -> Structure:
        result = dict(data)
        result["image"] = data["image"] if out.image is given else unbatched(out.image)
        found = {"mask": out.mask, **{key: value for key, (_, value) in out.extra.items()}}
        for key, value in found.items():
            if isinstance(value, Ragged):
                listed = isinstance(data[key], list)
                kept = replace(value, planar=dims[key] == 3)
                result[key] = [v[0] if dims[key] == 3 else v for v in value] if listed else kept
            elif value is not None:
                result[key] = unbatched(value[:, 0] if dims[key] == 3 else value)
        result.update({key: value[0] if single else value for key, value in out.added.items()})
        if out.padding_mask is not None:
            result["padding_mask"], result["sizes"] = unbatched(out.padding_mask), unbatched(out.sizes)
        rows = out.instances
        if rows is None:
            return result
        canvas = out.canvas
        if rows.boxes is not None:
            boxes = boxes_from_xyxy(rows.boxes, out.box_format, canvas)
            result["boxes"] = unbatched(boxes.to(data["boxes"].dtype) if data["boxes"].is_floating_point() else boxes)
        if rows.boxes is not None or rows.masks is not None or "valid" in data:
            result["valid"] = unbatched(rows.valid)
        for key, value in (("labels", rows.labels), ("masks", rows.masks), *rows.columns.items()):
            if value is not None:
                result[key] = unbatched(value)
        angle = settings.keypoint.angle
        if angle in rows.columns and alone:
            result[angle] = unbatched(rows.columns[angle].flatten(1, 2))
        if rows.keypoints is not None and rows.visible is not None:
            points = rows.keypoints - 0.5 if settings.keypoint.origin == "center" else rows.keypoints
            result["keypoints"] = unbatched(points.flatten(1, 2) if alone else points)
            result["visible"] = unbatched(rows.visible.flatten(1, 2) if alone else rows.visible)
        return result

    return Batch(given, mask, instances, extra, frame.frames, box_format=settings.bbox.format, clips=clips), write


def at_fraction(planes: Tensor, canvas: tuple[int, int]) -> bool:
    """Tell whether planes (..., h, w) have one fraction of the resolution of a canvas, to rounding."""
    h, w = planes.shape[-2:]
    return min(h, w) > 0 and abs(h / canvas[0] - w / canvas[1]) * min(canvas) <= 1


def _ragged_planes(value: Any, key: str, images: Ragged, owner: str) -> tuple[Ragged, int]:
    """Return maps of the images' own sizes: a list of (H, W) or (C, H, W), or a Ragged."""
    dims = 4
    if isinstance(value, list) and all(isinstance(v, Tensor) for v in value):
        dims = value[0].dim() + 1 if value else 4
        value = Ragged.pack([v[None] if v.dim() == 2 else v for v in value])
    if not isinstance(value, Ragged) or value.host != images.host:
        raise ValueError(f"{owner}: {key} must be a list or a Ragged of the sizes of the images, got {value!r:.60}")
    return value, 3 if value.planar else dims


def _are_rows(value: Any, rows: tuple[int, ...]) -> bool:
    """Tell whether a tensor has one entry for each object."""
    return isinstance(value, Tensor) and tuple(value.shape[: len(rows)]) == rows


def _instances(
    data: Structure, batched: Any, lead: tuple[int, ...], frame: Batch, owner: str, settings: Settings
) -> Any:
    if not {"boxes", "keypoints", "masks"} & data.keys():
        return None
    canvas, device = frame.canvas, frame.image.device
    boxes = keypoints = visible = masks = labels = None
    rows: tuple[int, int] | None = None

    def shaped(key: str, value: Tensor, tail: tuple[Any, ...]) -> Tensor:
        nonlocal rows
        rows = rows or (value.shape[0], value.shape[1])
        fits = value.dim() == 2 + len(tail) and tuple(value.shape[:2]) == rows
        if not fits or any(want is not None and want != have for want, have in zip(tail, value.shape[2:], strict=True)):
            shown = ", ".join(str(s) if s is not None else "K" for s in (*rows, *tail))
            hint = ": give x and y, and `visible` beside them" if key == "keypoints" and value.shape[-1] == 3 else ""
            raise ValueError(f"{owner}: {key} must have shape ({shown}), got {tuple(value.shape)}{hint}")
        return value

    if "boxes" in data:
        numbers = ROTATED.get(settings.bbox.format, 4)
        boxes = boxes_to_xyxy(shaped("boxes", batched("boxes"), (numbers,)), settings.bbox.format, canvas)
    if "masks" in data and isinstance(canvas, Sizes):
        masks = data["masks"]
        if not isinstance(masks, Ragged) or masks.host != canvas.host or (rows and masks.channels != rows[1]):
            raise ValueError(f"{owner}: masks must be a Ragged of the images' sizes with N channels, got {masks!r:.60}")
        rows = rows or (len(masks), masks.channels)
    elif "masks" in data:
        masks = batched("masks")
        own = tuple(masks.shape[-2:]) if at_fraction(masks, canvas) else canvas
        if masks.dim() != 3 or "boxes" not in data:  # else an index map: the rows are the boxes'
            masks = shaped("masks", masks, own)
        elif tuple(masks.shape[1:]) != own:
            raise ValueError(f"{owner}: masks must have shape {(masks.shape[0], *own)}, got {tuple(masks.shape)}")
    alone = False
    if "keypoints" in data:
        points = batched("keypoints")
        alone = boxes is None and points.dim() == 3
        points = shaped("keypoints", points[:, None] if alone else points, (None, 2))
        points = points if points.dtype == torch.float64 else points.to(torch.float32)
        keypoints = points + 0.5 if settings.keypoint.origin == "center" else points
        if "visible" in data:
            seen = batched("visible")
            visible = shaped("visible", seen[:, None] if alone else seen, (keypoints.shape[2],))
    assert rows is not None
    objects = boxes is not None or masks is not None
    if "labels" in data and (boxes is not None or (objects and _are_rows(data["labels"], (*lead, rows[1])))):
        labels = shaped("labels", batched("labels"), (None,) * (batched("labels").dim() - 2))
    valid = batched("valid").to(torch.bool) if "valid" in data else torch.ones(rows, dtype=torch.bool, device=device)
    shaped("valid", valid, ())
    columns = {}
    turning = settings.keypoint.angle
    others = [key for key, _ in settings.roles]
    for key, value in data.items():
        if key in KNOWN or key in others:
            continue
        if key == turning and keypoints is not None:
            own_rows = batched(key)[:, None] if alone else batched(key)
            columns[key] = shaped(key, own_rows, (keypoints.shape[2],))
        elif objects and _are_rows(value, (*lead, rows[1])):
            columns[key] = batched(key)
    return Instances(valid, boxes, labels, masks, keypoints, visible, columns)
