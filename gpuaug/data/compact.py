"""Remove the rows of objects that are no longer there: the one place where shapes depend on the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gpuaug.data.ragged import Ragged
from gpuaug.geometry import masks as msk

__all__ = ["compact"]

FIELDS = ("boxes", "labels", "masks", "keypoints", "visible")


def compact(batch: dict[str, Any], label_fields: Sequence[str] = ()) -> dict[str, Any]:
    """Remove the rows that are not `valid` from a batch that a pipeline gave.

    Inside a pipeline shapes are static and rows are only marked. This waits for the device once, and its shapes cannot
    be captured or compiled: call it after the pipeline, where a model wants only what is there.

    Args:
        batch: a dict with `valid` (B, N), as comes out of a pipeline for a dict with `boxes`.
        label_fields: further keys with a row for each object, such as ids.

    Shape:
        `boxes`, `labels`, `masks`, `keypoints`, `visible` and `label_fields`, (B, N, ...), each to a list of B tensors
        (n, ...). An index map `masks` (B, h, w) stays one tensor, whose values name the rows that are left. `valid` is
        no longer there; everything else is what it was.

    Raises:
        TypeError: for anything but a dict with `valid`.
        ValueError: for a key whose rows are not those of `valid`.

    Source: what torchvision's detection models take as targets.

    Example:
        >>> import torch, gpuaug as ga
        >>> boxes = torch.tensor([[[1.0, 1, 5, 5], [20, 1, 29, 5]]])
        >>> out = ga.CenterCrop((10, 12))({"image": torch.zeros(1, 3, 10, 30), "boxes": boxes})
        >>> out["boxes"].shape, [rows.shape for rows in ga.compact(out)["boxes"]]
        (torch.Size([1, 2, 4]), [torch.Size([1, 4])])
    """
    valid = batch.get("valid") if isinstance(batch, dict) else None
    if not isinstance(valid, Tensor) or valid.dim() != 2:
        raise TypeError(f"compact: batch must be a dict with `valid` (B, N), got {batch!r:.60}")
    counts = valid.sum(1).tolist()
    result = {key: value for key, value in batch.items() if key != "valid"}
    for key in (*FIELDS, *label_fields):
        if key not in batch:
            continue
        value = batch[key]
        if key == "masks" and isinstance(value, Tensor) and value.dim() == 3:
            place = torch.where(valid, torch.cumsum(valid, 1) - 1, torch.full_like(valid, -1, dtype=torch.int64))
            result[key] = msk.renumber(value, place)
            continue
        if isinstance(value, (Ragged, list)):  # images of several sizes
            result[key] = [one[kept] for one, kept in zip(value, valid, strict=True)]
            continue
        if value.shape[:2] != valid.shape:
            raise ValueError(f"compact: {key} must begin with {tuple(valid.shape)}, got {tuple(value.shape)}")
        result[key] = list(value[valid].split(counts))
    return result
