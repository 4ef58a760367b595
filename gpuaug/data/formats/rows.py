"""Rows of objects as YOLO's trainers have them: packed with an index of the sample, or padded with zeros."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gpuaug.data.batch import Batch, Settings, Write, as_images
from gpuaug.data.formats.plain import at_fraction
from gpuaug.data.instances import Instances, boxes_from_xyxy, boxes_to_xyxy
from gpuaug.geometry import masks as msk

__all__ = ["read_ultralytics", "read_yolox"]


def read_ultralytics(inputs: tuple[Any, ...], owner: str, settings: Settings) -> tuple[Batch, Write]:
    """Read Ultralytics' batch: `img`, and rows of `batch_idx`, `cls`, `bboxes` (cxcywh, fractions), `keypoints`.

    `masks` is the index map (B, h, w) that Ultralytics makes with its default `overlap_mask=True`, at any fraction of
    the resolution: values are 1 + the place of the object among its sample's rows. What comes out has the rows of
    the objects that are left, in their order (where samples of the batch met, sample by sample), and the values of
    `masks` name these; objects that went are 0 there.
    That waits for the device once.
    """
    data = inputs[0] if len(inputs) == 1 else None
    needed = ("img", "batch_idx", "bboxes")
    if not isinstance(data, dict) or any(not isinstance(data.get(key), Tensor) for key in needed):
        raise TypeError(
            f"{owner}: an Ultralytics batch must be a dict with tensors {', '.join(needed)}, got {data!r:.60}"
        )
    image = as_images(data["img"], owner)
    batch, canvas = image.shape[0], (image.shape[2], image.shape[3])
    index = data["batch_idx"].flatten().to(torch.int64)
    rows = index.shape[0]
    # A table (B, M) in which each row has its own column: no number has to be read from the device.
    table = index[None] == torch.arange(batch, device=index.device)[:, None]

    def spread(value: Tensor) -> Tensor:
        return value[None].expand(batch, *value.shape)

    if data["bboxes"].shape != (rows, 4):
        raise ValueError(f"{owner}: bboxes must have shape ({rows}, 4), got {tuple(data['bboxes'].shape)}")
    boxes = boxes_to_xyxy(spread(data["bboxes"]), "yolo", canvas)
    masks = data.get("masks")
    if masks is not None:
        if masks.dim() != 3 or masks.shape[0] != batch or not at_fraction(masks, canvas):
            raise ValueError(
                f"{owner}: masks must be index maps ({batch}, h, w) (overlap_mask=True) of a fraction of {canvas}, got "
                f"{tuple(masks.shape)}"
            )
        own_rows = torch.argsort((~table).to(torch.uint8), dim=1, stable=True)  # of each sample, its rows first
        numbers = torch.where(torch.gather(table, 1, own_rows), own_rows, torch.full_like(own_rows, -1))
        masks = msk.renumber(masks.to(torch.int64), numbers)
    points = data.get("keypoints")
    scale = image.new_tensor([canvas[1], canvas[0]], dtype=torch.float32) if points is not None else None
    keypoints = visible = None
    if points is not None and scale is not None:
        keypoints = spread(points[..., :2].to(torch.float32) * scale)
        visible = spread(points[..., 2]).to(torch.int64) if points.shape[-1] > 2 else None
    labels = spread(data["cls"].flatten()) if isinstance(data.get("cls"), Tensor) else None
    instances = Instances(table, boxes, labels, masks, keypoints, visible)

    def write(out: Batch) -> Any:
        found = out.instances
        assert found is not None and found.boxes is not None
        size = (out.image.shape[2], out.image.shape[3])
        own = torch.arange(rows, device=index.device)
        sample, row = (index, own) if found.valid.shape[1] == rows else _everywhere(found.valid)
        left = found.valid[sample, row]
        sample, row = sample[left], row[left]

        def gathered(value: Tensor) -> Tensor:
            return value[sample, row]

        result = dict(data)
        result["img"] = out.image
        for key, value in data.items():
            if isinstance(value, Tensor) and key not in ("img", "masks") and value.shape[:1] == (rows,):
                result[key] = value[row % max(rows, 1)]  # a mix repeats all rows
        result["batch_idx"] = sample.to(data["batch_idx"].dtype).view(-1, *data["batch_idx"].shape[1:])
        result["bboxes"] = gathered(boxes_from_xyxy(found.boxes, out.box_format, size)).to(data["bboxes"].dtype)
        if found.masks is not None:
            count = torch.cumsum(found.valid, 1)
            place = torch.where(found.valid, count - 1, torch.full_like(count, -1))
            result["masks"] = msk.renumber(found.masks, place).to(data["masks"].dtype)
        if found.labels is not None:
            result["cls"] = gathered(found.labels).view(-1, *data["cls"].shape[1:])
        if points is not None and found.keypoints is not None and found.visible is not None:
            moved = gathered(found.keypoints) / found.keypoints.new_tensor([size[1], size[0]])
            shown = gathered(found.visible)[..., None].to(moved.dtype)
            result["keypoints"] = torch.cat((moved, shown), dim=-1) if points.shape[-1] > 2 else moved
        return result

    return Batch(image, None, instances, box_format="yolo"), write


def _everywhere(table: Tensor) -> tuple[Tensor, Tensor]:
    """Return row and column of every place of a table (B, M)."""
    b, m = (torch.arange(n, device=table.device) for n in table.shape)
    return b[:, None].expand_as(table).flatten(), m.expand_as(table).flatten()


def read_yolox(inputs: tuple[Any, ...], owner: str, settings: Settings) -> tuple[Batch, Write]:
    """Read YOLOX's `images, targets`: rows (B, N, 5) of class and cxcywh in pixels; rows of zeros are none.

    What comes out has at least as many rows as went in, and more where samples of the batch met.
    """
    pair = inputs[0] if len(inputs) == 1 and isinstance(inputs[0], (tuple, list)) else inputs
    if len(pair) != 2 or not isinstance(pair[1], Tensor) or pair[1].dim() != 3 or pair[1].shape[2] != 5:
        raise TypeError(f"{owner}: a YOLOX batch must be images and a tensor (B, N, 5) of class and cxcywh")
    image, targets = as_images(pair[0], owner), pair[1]
    canvas = (image.shape[2], image.shape[3])
    boxes = boxes_to_xyxy(targets[..., 1:], "cxcywh", canvas)
    instances = Instances((targets[..., 3:] > 0).all(-1), boxes, targets[..., 0])

    def write(out: Batch) -> Any:
        found = out.instances
        assert found is not None and found.boxes is not None and found.labels is not None
        found, size = found.first(max(targets.shape[1], found.valid.shape[1])), (out.image.shape[2], out.image.shape[3])
        assert found.boxes is not None and found.labels is not None
        values = torch.cat((found.labels[..., None], boxes_from_xyxy(found.boxes, out.box_format, size)), dim=-1)
        rows = torch.where(found.valid[..., None], values, torch.zeros_like(values)).to(targets.dtype)
        return (out.image, rows) if len(inputs) == 2 else type(inputs[0])((out.image, rows))

    return Batch(image, None, instances, box_format="cxcywh"), write
