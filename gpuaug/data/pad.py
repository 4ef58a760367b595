"""Pad what a pipeline of no fixed size gives to one canvas, with a mask of the padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gpuaug.data.batch import PADDING, Batch
from gpuaug.data.ragged import Ragged
from gpuaug.geometry.canvas import hosts, rectangle
from gpuaug.render.pick import part_of

__all__ = ["Padded", "pad"]


class Padded(NamedTuple):
    """Images on one canvas, where a structure has no keys for what belongs to them."""

    images: Tensor
    """(B, C, H, W): each image at the top left."""
    padding_mask: Tensor
    """(B, H, W) bool: True where there is padding."""
    sizes: Tensor
    """(B, 2) int64: height and width of each image."""


def pad(batch: Batch, to: tuple[int, int] | None, divisor: int, fill: dict[str, Any], owner: str) -> Batch:
    """Return a batch on one canvas: `to`, or the largest height and width, rounded up to a multiple of `divisor`."""
    have = hosts(batch.canvas)
    most = [max(size[i] for size in have) for i in (0, 1)]
    if to is not None and (most[0] > to[0] or most[1] > to[1]):
        raise ValueError(f"{owner}: pad_to must hold every image, up to {most[0]}x{most[1]} here, got {to[0]}x{to[1]}")
    h, w = (-(-n // divisor) * divisor for n in (to or most))

    def padded(value: Any, number: float | Sequence[float]) -> Tensor:
        channels = value.channels if isinstance(value, Ragged) else value.shape[1]
        if isinstance(number, Sequence) and len(number) not in (1, channels):
            raise ValueError(f"{owner}: fill must be one number or {channels} numbers, got {tuple(number)}")
        if isinstance(value, Ragged):
            return value.padded((h, w), number)
        # A mask of a fraction of the resolution keeps it.
        rows, columns = part_of((h, w), (value.shape[2] / have[0][0], value.shape[3] / have[0][1]))
        more = (0, columns - value.shape[3], 0, rows - value.shape[2])
        if isinstance(number, Sequence) and len(number) > 1:
            planes = zip(value.split(1, 1), number, strict=True)
            return torch.cat([torch.nn.functional.pad(plane, more, value=one) for plane, one in planes], dim=1)
        number = number[0] if isinstance(number, Sequence) else number
        out: Tensor = torch.nn.functional.pad(value, more, value=number)
        return out

    image = padded(batch.image, fill["image"])
    corner = rectangle(batch.canvas, torch.zeros((), device=image.device)).expand(len(batch), 4)
    rows, columns = torch.arange(h, device=image.device), torch.arange(w, device=image.device)
    outside = (rows[:, None] >= corner[:, 3, None, None]) | (columns >= corner[:, 2, None, None])
    instances = batch.instances
    if instances is not None and instances.masks is not None:
        index = isinstance(instances.masks, Tensor) and instances.masks.dim() == 3
        masks = padded(instances.masks[:, None] if index else instances.masks, fill.get("masks", 0))
        instances = instances.with_(masks=masks[:, 0] if index else masks)
    extra = {}
    for key, (role, value) in batch.extra.items():
        default: Any = 1 if key == PADDING else fill["image"] if role == "image" else 0
        extra[key] = (role, padded(value, fill.get(key, default)))
    if PADDING in extra:  # what was padding before is still
        outside = outside | (extra[PADDING][1][:, 0] != 0)
    return Batch(
        image,
        None if batch.mask is None else padded(batch.mask, fill.get("mask", 0)),
        instances,
        extra,
        batch.frames,
        outside,
        corner[:, 2:].flip(-1).to(torch.int64),
        batch.box_format,
    )
