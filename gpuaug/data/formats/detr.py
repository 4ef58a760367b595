"""DETR's batches: images with a mask of their padding, and a list of targets with normalised cxcywh boxes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from gpuaug.data.batch import PADDING, Batch, Settings, Write, as_images
from gpuaug.data.formats.torchvision import read_targets
from gpuaug.geometry import masks as msk

__all__ = ["read_detr"]


def read_detr(inputs: tuple[Any, ...], owner: str, settings: Settings) -> tuple[Batch, Write]:
    """Read a batch for DETR and its descendants, as one of the two structures there are.

    `(samples, targets)`: as in the original repository, `samples` an object with `tensors` (B, C, H, W) and `mask`
    (B, H, W), True where padding is, or a pair of the two; targets with `boxes` and `labels`. Boxes are fractions of
    the image without its padding, that is of the rectangle around what is not padding, before and after.

    A dict with `pixel_values`, `pixel_mask` (1 where the image is, 0 where padding is) and `labels`, as Hugging Face's
    image processors give it; targets with `boxes` and `class_labels`. Boxes are fractions of the padded canvas.

    The mask moves with the image: what the geometry brings in from outside is padding. What comes out has only the
    rows that are valid, which waits for the device once.
    """
    data = inputs[0] if len(inputs) == 1 else inputs
    if isinstance(data, Mapping):
        return _read_pixel_values(data, owner, settings)
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise TypeError(f"{owner}: a DETR batch must be (samples, targets) or a dict of pixel_values, got {data!r:.60}")
    samples, targets = data
    paired = isinstance(samples, (tuple, list)) and len(samples) == 2 and not hasattr(samples, "tensors")
    tensors, padding = samples if paired else (getattr(samples, "tensors", None), getattr(samples, "mask", None))
    if not isinstance(tensors, Tensor):
        raise TypeError(
            f"{owner}: the samples of a DETR batch must be a pair of images (B, C, H, W) and the mask of their padding,"
            f" or have both as `tensors` and `mask`, got {samples!r:.40}; a list of images goes in without format, with"
            f" pad_divisor"
        )
    image = as_images(tensors, owner)
    mask = _checked(padding, image, owner, "mask")
    frame = _frame(mask, image)
    given = _batch(image, mask)
    given.instances, write_targets = read_targets(targets, given, owner, _unframed(frame, image))

    def write(out: Batch) -> Any:
        moved = None if mask is None else out.extra[PADDING][1][:, 0]
        new = out.image if out.image is not image else tensors
        rows = _framed(out, _frame(moved, out.image))
        kind = type(samples)
        result = kind((new, moved)) if paired else kind(new, moved)
        pair = (result, write_targets(rows))
        return pair if len(inputs) == 2 else type(inputs[0])(pair)

    return given, write


def _read_pixel_values(data: Mapping[str, Any], owner: str, settings: Settings) -> tuple[Batch, Write]:
    image = as_images(data.get("pixel_values"), owner)
    given = data.get("pixel_mask")
    mask = None if given is None else _checked(given == 0, image, owner, "pixel_mask")
    batch, write_targets = _batch(image, mask), None
    if "labels" in data:
        batch.instances, write_targets = read_targets(data["labels"], batch, owner)

    def write(out: Batch) -> Any:
        result = dict(data)
        result["pixel_values"] = out.image
        if mask is not None and given is not None:
            result["pixel_mask"] = (~out.extra[PADDING][1][:, 0]).to(given.dtype)
        if write_targets is not None:
            result["labels"] = write_targets(out)
        return result if isinstance(data, dict) else type(data)(result)  # type: ignore[call-arg]

    return batch, write


def _batch(image: Tensor, mask: Tensor | None) -> Batch:
    extra = {} if mask is None else {PADDING: ("mask", mask[:, None])}
    return Batch(image, None, None, extra, box_format="yolo")


def _checked(mask: Any, image: Tensor, owner: str, name: str) -> Tensor | None:
    if mask is None:
        return None
    shape = (image.shape[0], *image.shape[2:])
    if not isinstance(mask, Tensor) or mask.shape != shape:
        got = tuple(mask.shape) if isinstance(mask, Tensor) else type(mask).__name__
        raise ValueError(f"{owner}: {name} must have shape {shape}, got {got}")
    return mask.to(torch.bool)


def _frame(mask: Tensor | None, image: Tensor) -> Tensor | None:
    """Return the rectangle (B, 1, 4) xyxy around what is not padding; None for the canvas."""
    if mask is None:
        return None
    return msk.boxes(~mask[:, None], 1, (image.shape[2], image.shape[3]))


def _unframed(frame: Tensor | None, image: Tensor) -> Any:
    """Return what turns fractions of a frame, as xyxy on the canvas, into pixels."""
    if frame is None:
        return None
    size, start = (frame[..., 2:] - frame[..., :2]).repeat(1, 1, 2), frame[..., :2].repeat(1, 1, 2)
    h, w = image.shape[2:]

    def change(boxes: Tensor) -> Tensor:
        x, y = boxes[..., 0::2] / w, boxes[..., 1::2] / h
        return torch.stack((x[..., 0], y[..., 0], x[..., 1], y[..., 1]), dim=-1) * size + start

    return change


def _framed(out: Batch, frame: Tensor | None) -> Batch:
    """Return the batch with boxes that, as fractions of the canvas, are those of a frame."""
    rows = out.instances
    if frame is None or rows is None or rows.boxes is None:
        return out
    h, w = out.canvas
    size = (frame[..., 2:] - frame[..., :2]).clamp(min=1)
    inner = (rows.boxes - frame[..., :2].repeat(1, 1, 2)) / size.repeat(1, 1, 2)
    scaled = torch.stack((inner[..., 0] * w, inner[..., 1] * h, inner[..., 2] * w, inner[..., 3] * h), dim=-1)
    return replace(out, instances=rows.with_(boxes=scaled))
