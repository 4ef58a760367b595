"""Large images through a model in tiles that overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

from gpuaug.geometry.canvas import spans
from gpuaug.transforms.sizes import as_size
from gpuaug.tta.boxes import non_maximum_suppression

__all__ = ["Tiled"]

Size = tuple[int, int]


class Tiled(nn.Module):
    """Let a model see large images tile by tile, and put what it says together again.

    Maps are blended where tiles overlap, with weights that fall towards the border of a tile; labels are averaged;
    boxes are moved to their place, and of those that overlap the best is kept.

    Args:
        model: what takes images (B, C, height, width).
        tile: (height, width) of a tile, or a number for a square.
        overlap: of neighbouring tiles, in pixels; 0 lays them side by side.
        outputs: what the model gives: `label`, `mask` (maps at a whole fraction of the resolution) or `boxes`, in a
            dict by its keys; None as for `TTA`.
        max_batch: most tiles in one call of the model; None is those of one position at a time.
        iou_threshold: overlap from which boxes are one object.

    Shape:
        Images (B, C, H, W) to what the model would give for whole ones; smaller ones than a tile are padded with zeros.

    Raises:
        ValueError: for an overlap that leaves no step, and at the call where the model's maps are no whole fraction.

    Example:
        >>> import torch
        >>> from gpuaug.tta import Tiled
        >>> Tiled(torch.nn.Conv2d(3, 2, 1), tile=(16, 24), overlap=4)(torch.rand(1, 3, 50, 61)).shape
        torch.Size([1, 2, 50, 61])
    """

    def __init__(
        self,
        model: Callable[..., Any],
        tile: Any,
        overlap: int = 0,
        *,
        outputs: Any = None,
        max_batch: int | None = None,
        iou_threshold: float = 0.5,
    ) -> None:
        """See the class."""
        super().__init__()
        self.tile = as_size(tile, "Tiled")
        if isinstance(overlap, bool) or not isinstance(overlap, int) or not 0 <= overlap < min(self.tile):
            raise ValueError(f"Tiled: overlap must be at least 0 and less than the tile {self.tile}, got {overlap!r}")
        kinds = outputs.values() if isinstance(outputs, Mapping) else [outputs]
        if any(kind not in (None, "label", "mask", "boxes") for kind in kinds):
            raise ValueError(f"Tiled: outputs must be of label, mask, boxes, got {outputs!r}")
        self.model: Any = model
        self.overlap, self.outputs, self.max_batch, self.iou_threshold = overlap, outputs, max_batch, iou_threshold

    def forward(self, images: Tensor) -> Any:
        """Return what the model says of whole images."""
        h, w = images.shape[2:]
        th, tw = self.tile
        if h < th or w < tw:
            images = nnf.pad(images, (0, max(tw - w, 0), 0, max(th - h, 0)))
        first = self.model(images[:, :, :th, :tw])
        if isinstance(first, Mapping):
            outputs = self.outputs if isinstance(self.outputs, Mapping) else dict.fromkeys(first, self.outputs)
            gathered = {key: self._gather(kind, first[key]) for key, kind in outputs.items()}
        else:
            gathered = {None: self._gather(self.outputs, first)}
        stride = max((one.stride for one in gathered.values()), default=1)
        starts = [_starts(n, t, self.overlap, stride) for n, t in zip(images.shape[2:], self.tile, strict=True)]
        room = [s[-1] + t - n for s, t, n in zip(starts, self.tile, images.shape[2:], strict=True)]
        if any(room):  # less than a stride of the model
            images = nnf.pad(images, (0, room[1], 0, room[0]), mode="replicate")
        places = [(y, x) for y in starts[0] for x in starts[1]]
        for at, prediction in self._called(images, places, first):
            for key, one in gathered.items():
                one.add(prediction if key is None else prediction[key], at, (images.shape[2], images.shape[3]))
        results = {key: one.result((h, w)) for key, one in gathered.items()}
        return results[None] if None in results else results

    def _gather(self, kind: str | None, first: Any) -> _Gather:
        if kind is None:
            kind = "mask" if isinstance(first, Tensor) and first.dim() == 4 else "label"
        return _Gather(kind, self.tile, first, self.iou_threshold)

    def _called(self, images: Tensor, places: list[Size], first: Any) -> Iterator[tuple[Size, Any]]:
        yield places[0], first
        batch, rest = images.shape[0], places[1:]
        together = max((self.max_batch or batch) // max(batch, 1), 1)
        for n in range(0, len(rest), together):
            some = rest[n : n + together]
            shown = torch.cat([images[:, :, y : y + self.tile[0], x : x + self.tile[1]] for y, x in some])
            prediction = self.model(shown)
            for k, at in enumerate(some):
                yield at, _part(prediction, k * batch, (k + 1) * batch)


class _Gather:
    """One output, gathered over tiles."""

    def __init__(self, kind: str, tile: Size, first: Any, iou_threshold: float) -> None:
        self.kind, self.tile, self.iou_threshold = kind, tile, iou_threshold
        self.stride = 1
        self.total: Any = None
        self.count: Any = 0.0
        if kind == "mask":
            strides = [t / n for t, n in zip(tile, first.shape[2:], strict=True)]
            self.stride = int(strides[0])
            if strides[0] != strides[1] or strides[0] != self.stride:
                raise ValueError(
                    f"Tiled: maps must be of a whole fraction of the tile {tile}, got {tuple(first.shape[2:])}"
                )
            like = first.new_zeros((), dtype=torch.float64 if first.dtype == torch.float64 else torch.float32)
            ramps = [(torch.arange(n).to(like) + 0.5) for n in first.shape[2:]]
            rows, columns = (torch.minimum(ramp, ramp.flip(0)) for ramp in ramps)
            self.share = rows[:, None] * columns

    def add(self, value: Any, at: Size, canvas: Size) -> None:
        """Take in the prediction of the tile at a place."""
        if self.kind == "label":
            self.total = value if self.total is None else self.total + value
            self.count += 1
        elif self.kind == "boxes":
            if self.total is None:
                self.total = [[] for _ in value]
            for rows, found in zip(self.total, value, strict=True):
                boxes = found["boxes"]
                rows.append({**found, "boxes": boxes + spans(at, boxes).repeat(2)})
        else:
            h, w = (n // self.stride for n in canvas)
            if self.total is None:
                self.total = self.share.new_zeros((*value.shape[:2], h, w))
                self.count = self.share.new_zeros((h, w))
            y, x = (n // self.stride for n in at)
            th, tw = self.share.shape
            self.total[:, :, y : y + th, x : x + tw] += value * self.share
            self.count[y : y + th, x : x + tw] += self.share

    def result(self, canvas: Size) -> Any:
        """Return the prediction of whole images of a canvas."""
        if self.kind == "label":
            return self.total / self.count
        if self.kind == "mask":
            h, w = (-(-n // self.stride) for n in canvas)
            return (self.total / self.count)[:, :, :h, :w]
        whole = [{key: torch.cat([one[key] for one in rows]) for key in rows[0]} for rows in self.total]
        return [non_maximum_suppression(found, self.iou_threshold) for found in whole]


def _starts(size: int, tile: int, overlap: int, stride: int) -> list[int]:
    """Return where tiles begin, at multiples of a stride; the last one ends at the border, or less than that after."""
    step = max((tile - overlap) // stride, 1) * stride
    last = -(-max(size - tile, 0) // stride) * stride
    return [*range(0, last, step), last]


def _part(prediction: Any, first: int, last: int) -> Any:
    if isinstance(prediction, Mapping):
        return {key: value[first:last] for key, value in prediction.items()}
    return prediction[first:last]
